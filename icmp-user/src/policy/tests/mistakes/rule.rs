//! Mistakes in rules, and between them.

use super::*;

#[test]
fn a_rule_has_a_name_and_an_action() {
    const NAME: &str = "expected lower-case letters, digits and hyphens, at most 64";
    assert_rule("action = \"drop\"", "2:1: the rule has no `name`; expected name = \"...\"");
    assert_rule(
        "name = \"a\"",
        "2:1: the rule has no `action`; expected `pass`, `drop`, `limit`, `reject`, `reply` or `verify-redirect`",
    );
    assert_rule(
        "name = \"Echo Requests\"\naction = \"drop\"",
        &format!("3:8: `Echo Requests` is no name for a rule; {NAME}"),
    );
    // The slash is the profiles'.
    assert_rule(
        "name = \"icmpv4/redirect\"\naction = \"drop\"",
        &format!("3:8: `icmpv4/redirect` is no name for a rule; {NAME}"),
    );
    assert_rule(
        "name = 7\naction = \"drop\"",
        &format!("3:8: a whole number does not belong here; {NAME}"),
    );
    assert_mistakes(
        "profile = \"host\"\n[rule]\nname = \"a\"\naction = \"drop\"\n",
        &["2:1: a rule is an item of a list; expected [[rule]]"],
    );
}

#[test]
fn an_unknown_key_of_a_rule_gets_a_hint() {
    assert_rule(
        "name = \"a\"\ntpye = 8\naction = \"drop\"",
        "4:1: unknown key `tpye` of a rule; expected `name`, `family`, `type`, `code`, `zone`, \
         `interface`, `destination`, `origin`, `fragment`, `hook`, `action`, `limit`, `limits`, `penalty`, \
         `reject`, `mode`, `checks`, `unknown-flow` or `source` (did you mean `type`?)",
    );
}

#[test]
fn a_rule_asks_for_checks_that_rules_can_ask_for() {
    let checks = |value: &str, messages: &[&str]| {
        let rule = format!("name = \"a\"\naction = \"pass\"\nchecks = {value}");
        assert_mistakes(&format!("{MINIMAL}[[rule]]\n{rule}\n"), messages);
    };
    checks("\"unanswerable\"", &[]);
    checks("[\"unanswerable\"]", &[]);
    checks("[]", &[]);
    checks("{ quote-mtu = \"off\", unanswerable = \"observe\" }", &[]);
    let expected = "expected `unanswerable`, `quote-source`, `quote-mtu`, `quote-pointer`, `hop-limit`, \
                    `router-alert`, `discovery-message`, `discovery-address`, `fragmented-discovery`, \
                    `router-advertisement`, `group-address`, `group-source`, `flow-contradicted`, \
                    `redirect-sender`, `redirect-gateway`, `redirect-route` or `router-unlisted`";
    let list = "expected a list of checks, or a table of them";
    checks(
        "[\"unanswerable\", \"redirect\", 3, \"bad-checksum\", \"unanswerabel\"]",
        &[
            &format!("5:27: unknown check `redirect`; {expected} (did you mean `redirect-route`?)"),
            &format!("5:39: a whole number does not belong here; {list}"),
            &format!("5:42: unknown check `bad-checksum`; {expected}"),
            &format!(
                "5:58: unknown check `unanswerabel`; {expected} (did you mean `unanswerable`?)"
            ),
        ],
    );
    checks("true", &[&format!("5:10: true or false does not belong here; {list}")]);
    checks(
        "{ quote-mtu = \"on\", quote = \"off\", quote-source = true }",
        &[
            "5:24: unknown setting `on`; expected `enforce`, `observe` or `off`",
            &format!("5:30: unknown check `quote`; {expected} (did you mean `quote-mtu`?)"),
            "5:60: true or false does not belong here; expected `enforce`, `observe` or `off`",
        ],
    );
}

#[test]
fn the_rest_of_a_rule_is_one_of_its_words() {
    let rule = |line: &str, message: &str| {
        assert_rule(&format!("name = \"a\"\naction = \"drop\"\n{line}"), message);
    };
    rule(
        "destination = \"remote\"",
        "5:15: unknown destination `remote`; expected `local` or `transit`",
    );
    rule(
        "fragment = \"last\"",
        "5:12: unknown fragment `last`; expected `none`, `first` or `later`",
    );
    rule("mode = \"off\"", "5:8: unknown mode `off`; expected `enforce` or `observe`");
    rule(
        "interface = \"much-too-long-a-name\"",
        "5:13: `much-too-long-a-name` is no name of an interface; expected the name of an \
         interface: 1 to 15 octets, no slash, colon or space",
    );
    rule(
        "zone = \"office\"",
        "5:8: there is no zone `office`; expected the zone to be defined: [zones], office = \
         [\"192.0.2.0/24\"]",
    );
    rule("zone = [\"a\"]", "5:8: a list does not belong here; expected the name of a zone");
    rule(
        "family = \"icmpv4\"\ntype = 8\nfragment = \"later\"",
        "7:12: a later fragment has no type, so this rule never matches; expected `none` or \
         `first`, or no `type`",
    );
    // Profiles name this zone, so a file may, and nobody is in it.
    assert_right("action = \"drop\"\nzone = \"monitors\"");
    assert_mistakes(
        "profile = \"host\"\n[zones]\noffice = []\n[[rule]]\nname = \"a\"\naction = \"drop\"\nzone = \
         \"ofice\"\n",
        &["7:8: there is no zone `ofice`; expected `office` (did you mean `office`?)"],
    );
}

/// A policy of two rules, `a` on line 4 and `b` behind it; a semicolon stands for a new line.
fn two_rules(first: &str, second: &str) -> String {
    let rule = |name: &str, lines: &str| {
        format!("[[rule]]\nname = \"{name}\"\naction = \"drop\"\n{lines}\n")
    };
    let rules = format!("{}{}", rule("a", first), rule("b", second));
    format!("{MINIMAL}[zones]\nz = [\"10.0.0.0/8\"]\n{}", rules.replace("; ", "\n"))
}

#[test]
fn rules_that_tie_name_both_lines() {
    for (first, second) in [
        ("family = \"icmpv4\"", "family = \"icmpv4\""),
        ("", ""),
        ("type = \"timestamp\"", "family = \"icmpv4\"; type = 13"),
        ("family = \"icmpv4\"; type = \"13-14\"", "family = \"icmpv4\"; type = [14, 15]"),
        (
            "family = \"icmpv4\"; destination = \"local\"",
            "family = \"icmpv4\"; fragment = \"none\"",
        ),
        ("zone = \"z\"", "zone = \"z\""),
        ("zone = \"monitors\"", "zone = \"monitors\""),
        ("interface = \"eth0\"; family = \"igmp\"", "family = \"igmp\"; interface = \"eth0\""),
    ] {
        let line = 8 + first.matches("; ").count();
        assert_mistakes(
            &two_rules(first, second),
            &[&format!(
                "{line}:1: rule `b` overlaps rule `a`, and neither is more specific; the other is \
                 on line 4; expected one of them to name less or more, or only one of them"
            )],
        );
    }
}

#[test]
fn rules_of_which_one_is_more_specific_or_that_never_meet_do_not_tie() {
    for (first, second) in [
        ("family = \"icmpv4\"", "family = \"icmpv6\""),
        ("family = \"icmpv4\"", ""),
        ("family = \"icmpv4\"; type = 13", "family = \"icmpv4\"; type = \"13-14\""),
        ("family = \"icmpv4\"; type = \"13-14\"", "family = \"icmpv4\"; type = \"15-16\""),
        ("zone = \"z\"", "zone = \"monitors\""),
        ("interface = \"eth0\"", "interface = \"eth1\""),
        ("fragment = \"none\"", "fragment = \"first\""),
        ("fragment = \"none\"", "fragment = \"none\"; destination = \"local\""),
        ("family = \"icmpv4\"; type = 3; code = 4", "family = \"icmpv4\"; type = 3"),
    ] {
        assert_mistakes(&two_rules(first, second), &[]);
    }
}

#[test]
fn a_rule_with_a_mistake_is_not_said_to_tie_as_well() {
    assert_mistakes(
        &two_rules("zone = \"nowhere\"", "zone = \"elsewhere\""),
        &[
            "7:8: there is no zone `nowhere`; expected `z`",
            "11:8: there is no zone `elsewhere`; expected `z`",
        ],
    );
}
