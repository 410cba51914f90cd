//! What a later version has, and this one refuses to read over.

use super::*;

#[test]
fn what_a_later_version_has_is_refused_as_such() {
    let rule = |line: &str, message: &str| {
        let found = mistakes(&format!("{MINIMAL}[[rule]]\nname = \"a\"\n{line}\n"));
        assert_eq!(found.len(), 1, "{line}: {found:?}");
        assert!(found[0].starts_with(message), "{line}: {}", found[0]);
    };
    rule(
        "action = \"verify-redirect\"",
        "4:10: this version does not have the action `verify-redirect` (the check of redirects against \
         the routes in use) yet; expected `pass`, `drop`, `limit`, `reject` or `reply`",
    );
    let drop = |line: &str, message: &str| rule(&format!("action = \"drop\"\n{line}"), message);
    let message = "this version does not have the check `redirect` (V5) yet";
    drop("checks = [\"redirect\"]", &format!("5:11: {message}"));
    drop("checks = { redirect = \"off\" }", &format!("5:12: {message}"));
    drop("except = [\"gateway\"]", "5:1: this version does not have exceptions yet");
    assert_mistakes(
        "profile = \"host\"\nrouters = [\"192.0.2.1\"]\n",
        &["2:1: this version does not have a list of routers yet; expected `profile`, `mode`, \
           `checks`, `limits`, `interfaces`, `zones` or `rule`"],
    );
}

#[test]
fn redirects_can_be_passed_or_dropped_by_choice() {
    for action in ["pass", "drop", "limit\"\nlimit = { rate = 1, burst = 1 }\nsource = \""] {
        for family in ["icmpv4", "icmpv6"] {
            assert_right(&format!(
                "family = \"{family}\"\ntype = \"redirect\"\naction = \"{action}\""
            ));
        }
    }
}
