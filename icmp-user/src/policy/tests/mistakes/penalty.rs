//! Mistakes in penalties, and rules that may have none.

use super::*;

const LIMIT: &str = "limit = { rate = 1, burst = 1, key = \"source\" }";
const PENALTY: &str = "penalty = { after = 9, time = \"60s\" }";

/// Asserts that a penalty, on line 7 of a rule on echo requests, has one mistake.
#[track_caller]
fn assert_penalty(penalty: &str, expected: &str) {
    assert_rule(
        &format!(
            "name = \"a\"\ntype = \"echo-request\"\nfamily = \"icmpv4\"\n{LIMIT}\npenalty = \
             {penalty}\naction = \"limit\""
        ),
        expected,
    );
}

/// Asserts that a rule of this pattern, a limit by source and a penalty has these mistakes.
#[track_caller]
fn assert_pattern(pattern: &str, expected: &[&str]) {
    let rule = format!("name = \"a\"\naction = \"limit\"\n{LIMIT}\n{PENALTY}\n{pattern}\n");
    assert_mistakes(&format!("{MINIMAL}[[rule]]\n{rule}"), expected);
}

#[test]
fn a_penalty_says_after_how_many_and_for_how_long() {
    const AFTER: &str =
        "expected a whole number, 1 to 1000000: the packets beyond the limit that box a source";
    const TIME: &str = "expected a time in whole seconds, \"1s\" to \"60s\"";
    assert_penalty("{ time = \"60s\" }", &format!("7:11: the penalty has no `after`; {AFTER}"));
    assert_penalty("{ after = 5 }", &format!("7:11: the penalty has no `time`; {TIME}"));
    for n in ["0", "-1", "1000001"] {
        assert_penalty(
            &format!("{{ after = {n}, time = \"1s\" }}"),
            &format!("7:21: a penalty after {n} packets; {AFTER}"),
        );
    }
    for (time, message) in [
        ("\"61s\"", "a penalty of `61s` is too long"),
        ("\"2m\"", "a penalty of `2m` is too long"),
        ("\"0s\"", "a penalty of `0s` can't be kept"),
        ("\"1500ms\"", "a penalty of `1500ms` can't be kept"),
        ("\"soon\"", "`soon` is not a time"),
        ("\"60\"", "`60` is not a time"),
        ("60", "a whole number does not belong here"),
    ] {
        assert_penalty(
            &format!("{{ after = 5, time = {time} }}"),
            &format!("7:31: {message}; {TIME}"),
        );
    }
    assert_penalty(
        "{ after = 5, time = \"9s\", within = \"10m\" }",
        &format!("7:46: a window of `10m` is too long; {TIME}"),
    );
    assert_penalty(
        "{ after = 5, time = \"9s\", off-link = 1 }",
        "7:48: a whole number does not belong here; expected true or false",
    );
    assert_penalty(
        "{ after = 5, times = \"9s\", time = \"9s\" }",
        "7:24: unknown key `times` of a penalty; expected `after`, `within`, `time`, `off-link` or \
         `exempt` (did you mean `time`?)",
    );
    assert_penalty(
        "60",
        "7:11: a whole number does not belong here; expected a penalty like { after = 100, within \
         = \"10s\", time = \"60s\" }",
    );
}

#[test]
fn who_is_exempt_is_a_zone_that_is_there() {
    assert_penalty(
        "{ after = 5, time = \"9s\", exempt = [\"office\"] }",
        "7:47: there is no zone `office`; expected the zone to be defined: [zones], office = \
         [\"192.0.2.0/24\"]",
    );
    // A rule may name it without there being one; whoever exempts it means somebody.
    assert_penalty(
        "{ after = 5, time = \"9s\", exempt = \"monitors\" }",
        "7:46: there is no zone `monitors`; expected the zone to be defined: [zones], monitors = \
         [\"192.0.2.0/24\"]",
    );
    // Beside another mistake, too.
    let found = mistakes(&format!(
        "{MINIMAL}[[rule]]\nname = \"a\"\nfamily = \"icmpv4\"\ntype = 8\naction = \"limit\"\n\
         {LIMIT}\npenalty = {{ after = 5, time = \"99s\", exempt = \"x\" }}\n"
    ));
    assert_eq!(found.len(), 2, "{found:#?}");
    assert_penalty(
        "{ after = 5, time = \"9s\", exempt = [7] }",
        "7:47: a whole number does not belong here; expected the name of a zone",
    );
}

#[test]
fn a_penalty_goes_with_one_limit_by_source() {
    let rule = |lines: &str, message: &str| {
        assert_rule(
            &format!("name = \"a\"\nfamily = \"icmpv4\"\ntype = 8\n{PENALTY}\n{lines}"),
            message,
        );
    };
    const ONE: &str = "expected one limit with key = \"source\"";
    for key in ["total", "link", "destination"] {
        rule(
            &format!("action = \"limit\"\nlimit = {{ rate = 1, burst = 1, key = \"{key}\" }}"),
            &format!("6:1: a penalty is for sources that exceed a limit by source; {ONE}"),
        );
    }
    rule(
        "action = \"limit\"\nlimits = [{ rate = 1, burst = 1, key = \"source\" }, { rate = 2, \
         burst = 2, key = \"source\", prefix-v4 = 24 }]",
        &format!("6:1: a penalty can't tell which of 2 limits by source counts; {ONE}"),
    );
    for action in ["pass", "drop"] {
        rule(
            &format!("action = \"{action}\""),
            "6:1: only what is limited has a penalty; expected action = \"limit\"",
        );
    }
    let found = mistakes(&format!(
        "{MINIMAL}[[rule]]\nname = \"a\"\nfamily = \"icmpv4\"\ntype = 8\naction = \"limit\"\n\
         {LIMIT}\n{PENALTY}\nhook = \"egress\"\n"
    ));
    let said = "8:1: only what arrives is boxed: what this machine sends has no sender to be held \
                off; expected hook = \"ingress\", or no `penalty`";
    assert!(found.iter().any(|m| m == said), "{found:#?}");
}

#[test]
fn what_a_source_can_not_do_without_is_never_boxed() {
    let never = |what: &str, which: &str| {
        format!(
            "6:1: the penalty box is never for {what}, and this rule matches it: {which}; expected \
             `family`, `type` and `code` that leave it out"
        )
    };
    let pmtud = |which: &str| never("path MTU discovery", which);
    let discovery = |which: &str| never("neighbour discovery", which);
    let groups = |which: &str| never("group membership", which);
    const DISCOVERY: &str = "icmpv6 133, 134, 135, 136, 137, 141, 142, 148, 149";
    const MLD: &str = "icmpv6 130, 131, 132, 143, 151, 152, 153";
    for (pattern, message) in [
        ("family = \"icmpv4\"", pmtud("icmpv4 3/4")),
        ("family = \"icmpv4\"\ntype = 3", pmtud("icmpv4 3/4")),
        ("family = \"icmpv4\"\ntype = 3\ncode = \"3-5\"", pmtud("icmpv4 3/4")),
        ("family = \"icmpv4\"\ntype = \"0-255\"\ncode = 4", pmtud("icmpv4 3/4")),
        ("type = \"packet-too-big\"", pmtud("icmpv6 2")),
        ("family = \"icmpv6\"\ntype = 2\ncode = 77", pmtud("icmpv6 2")),
        (
            "family = \"icmpv6\"\ntype = [\"128-129\", \"136-141\"]",
            discovery("icmpv6 136, 137, 141"),
        ),
        ("family = \"icmpv6\"\ntype = [128, 148]", discovery("icmpv6 148")),
        ("family = \"icmpv6\"\ntype = \"129-132\"", groups("icmpv6 130, 131, 132")),
        ("family = \"igmp\"\ntype = 0x16", groups("igmp")),
    ] {
        assert_pattern(pattern, &[&message]);
    }
    let all = [pmtud("icmpv6 2"), discovery(DISCOVERY), groups(MLD)];
    assert_pattern("family = \"icmpv6\"", &all.each_ref().map(String::as_str));
    let all =
        [pmtud("icmpv4 3/4; icmpv6 2"), discovery(DISCOVERY), groups(&format!("{MLD}; igmp"))];
    assert_pattern("", &all.each_ref().map(String::as_str));
    for pattern in [
        "family = \"icmpv4\"\ntype = 3\ncode = [\"0-3\", \"5-255\"]",
        "family = \"icmpv4\"\ntype = [\"0-2\", \"4-255\"]",
        "type = [\"echo-request\", \"echo-reply\"]\nfamily = \"icmpv6\"",
        "family = \"icmpv6\"\ntype = [1, \"3-129\", \"138-140\", \"144-147\", 150, \"154-255\"]",
    ] {
        assert_pattern(pattern, &[]);
    }
}

#[test]
fn a_penalty_can_be_written_so() {
    for penalty in [
        "{ after = 1, time = \"1s\" }",
        "{ after = 1000000, within = \"1m\", time = \"1min\", off-link = false }",
        "{ after = 5, within = \"60s\", time = \"60s\", off-link = true, exempt = [\"z\", \"z\"] }",
    ] {
        assert_mistakes(
            &format!(
                "{MINIMAL}[zones]\nz = [\"10.0.0.0/8\"]\n[[rule]]\nname = \"a\"\nfamily = \
                 \"icmpv4\"\ntype = 8\naction = \"limit\"\n{LIMIT}\npenalty = {penalty}\n"
            ),
            &[],
        );
    }
    let in_a_profile = "a profile has none";
    assert!(Profile::ALL.iter().all(|p| !p.text().contains("penalty")), "{in_a_profile}");
}
