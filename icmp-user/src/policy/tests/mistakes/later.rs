//! What a later version has, and this one refuses to read over.

use super::*;

#[test]
fn what_a_later_version_has_is_refused_as_such() {
    let rule = |line: &str, message: &str| {
        let found = mistakes(&format!("{MINIMAL}[[rule]]\nname = \"a\"\n{line}\n"));
        assert_eq!(found.len(), 1, "{line}: {found:?}");
        assert!(found[0].starts_with(message), "{line}: {}", found[0]);
    };
    let drop = |line: &str, message: &str| rule(&format!("action = \"drop\"\n{line}"), message);
    drop("except = [\"gateway\"]", "5:1: this version does not have exceptions yet");
}

/// What verifies redirects is about those that arrive and nothing else.
#[test]
fn only_redirects_are_verified() {
    for about in ["family = \"icmpv4\"\ntype = 5", "family = \"icmpv6\"\ntype = \"redirect\""] {
        assert_right(&format!("{about}\naction = \"verify-redirect\""));
        let limit = "limit = { rate = 1, burst = 1, key = \"source\" }";
        assert_right(&format!("{about}\naction = \"verify-redirect\"\n{limit}"));
        let none = "unknown-flow = \"drop\"";
        let is_v4 = about.contains("icmpv4");
        let rule =
            format!("[[rule]]\nname = \"a\"\n{about}\naction = \"verify-redirect\"\n{none}\n");
        assert_eq!(mistakes(&format!("{MINIMAL}{rule}")).is_empty(), is_v4, "{about}");
    }
    let only = "only redirects that arrive are held against the routes; expected a family and type = \
                \"redirect\", or another action";
    for about in [
        "",
        "family = \"icmpv4\"",
        "family = \"icmpv4\"\ntype = 8",
        "family = \"icmpv4\"\ntype = [5, 8]",
        "family = \"icmpv6\"\ntype = 5",
        "family = \"igmp\"\ntype = 5",
        "family = \"icmpv4\"\ntype = 5\nhook = \"egress\"",
        "family = \"icmpv4\"\nfragment = \"later\"",
    ] {
        let rule = format!("[[rule]]\naction = \"verify-redirect\"\nname = \"a\"\n{about}\n");
        assert_mistakes(&format!("{MINIMAL}{rule}"), &[&format!("3:1: {only}")]);
    }
}

#[test]
fn redirects_can_be_passed_or_dropped_by_choice() {
    for action in
        ["pass", "drop", "verify-redirect", "limit\"\nlimit = { rate = 1, burst = 1 }\nsource = \""]
    {
        for family in ["icmpv4", "icmpv6"] {
            assert_right(&format!(
                "family = \"{family}\"\ntype = \"redirect\"\naction = \"{action}\""
            ));
        }
    }
}

/// They advertise from one address each, of IPv6 a link-local one.
#[test]
fn routers_are_listed_by_the_addresses_that_they_advertise_from() {
    let list = |routers: &str, messages: &[&str]| {
        assert_mistakes(&format!("profile = \"host\"\nrouters = {routers}\n"), messages);
    };
    const ROUTER: &str = "expected the address that a router advertises from: IPv4, or link-local like \
                          \"fe80::1\"";
    list("\"fe80::1\"", &[]);
    list("[\"fe80::1\", \"192.0.2.1\", \"fe80::2\"]", &[]);
    list("[]", &[&format!("2:11: the list of routers is empty; {ROUTER}")]);
    list("7", &[&format!("2:11: a whole number does not belong here; {ROUTER}")]);
    for wrong in [
        "2001:db8::1",
        "ff02::2",
        "::",
        "224.0.0.1",
        "0.0.0.0",
        "127.0.0.1",
        "fe80::1/64",
        "gateway",
    ] {
        let message = format!("2:12: `{wrong}` is no address of a router; {ROUTER}");
        list(&format!("[\"{wrong}\"]"), &[&message]);
    }
    list(
        "[\"fe80::1\", \"FE80::0:1\"]",
        &["2:23: the router fe80::1 is listed twice; expected each router once"],
    );
    let many: Vec<String> = (1..=17).map(|n| format!("\"fe80::{n:x}\"")).collect();
    let found = mistakes(&format!("profile = \"host\"\nrouters = [{}]\n", many.join(", ")));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("more than 16 routers; expected at most 16 routers"), "{}", found[0]);
}
