//! Mistakes in what becomes of unknown flows.

use super::*;

#[test]
fn unknown_flows_are_dropped_or_limited() {
    let rule = |what: &str, value: &str, messages: &[&str]| {
        let rule = format!("name = \"a\"\n{what}\nunknown-flow = {value}");
        assert_mistakes(&format!("{MINIMAL}[[rule]]\n{rule}\n"), messages);
    };
    let errors = "action = \"pass\"\nfamily = \"icmpv4\"\ntype = \"3\"";
    rule("action = \"pass\"", "\"drop\"", &[]);
    rule(errors, "{ rate = 1, burst = 1 }", &[]);
    rule(errors, "{ rate = 1, burst = 1, key = \"source\" }", &[]);
    let expected = "expected `drop`, or a limit like { rate = 10, burst = 20, key = \"source\" }";
    rule(errors, "\"pass\"", &[&format!("7:16: unknown choice `pass`; {expected}")]);
    rule(errors, "3", &[&format!("7:16: a whole number does not belong here; {expected}")]);
    rule(
        errors,
        "{ rate = 1 }",
        &[
            "7:16: the limit has no `burst`; expected a whole number of 1 or more: what may pass at once",
        ],
    );
    rule(
        errors,
        "{ rate = 1, burst = 1, key = \"source\", prefix-v6 = 64 }",
        &["7:55: icmpv4 has no IPv6 addresses; expected `prefix-v4`"],
    );
}

#[test]
fn only_what_passes_and_has_a_flow_is_told_apart() {
    let rule = |lines: &str, message: &str| {
        let rule = format!("name = \"a\"\nunknown-flow = \"drop\"\n{lines}");
        assert_mistakes(&format!("{MINIMAL}[[rule]]\n{rule}\n"), &[message]);
    };
    for action in ["drop", "reject", "reply"] {
        let family = if action == "drop" { "" } else { "family = \"icmpv4\"\ntype = 8\n" };
        rule(
            &format!("{family}action = \"{action}\""),
            "4:1: the rule lets nothing pass, whatever its flow; expected action = \"limit\" or `pass`",
        );
    }
    let none = "4:1: nothing that the rule matches has a flow; expected errors that arrive, or replies to echo or \
                timestamp requests";
    for about in [
        "family = \"icmpv4\"\ntype = 8",
        "family = \"icmpv6\"\ntype = \"133-137\"",
        "family = \"igmp\"",
        "fragment = \"later\"",
        "hook = \"egress\"",
    ] {
        rule(&format!("action = \"pass\"\n{about}"), none);
    }
    for about in [
        "family = \"icmpv4\"\ntype = 0",
        "family = \"icmpv4\"\ntype = 14",
        "family = \"icmpv6\"\ntype = \"128-129\"",
        "family = \"icmpv6\"\ntype = 100",
        "destination = \"transit\"",
    ] {
        assert_right(&format!("action = \"pass\"\nunknown-flow = \"drop\"\n{about}"));
    }
}
