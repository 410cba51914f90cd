//! Mistakes in limits that are a share, and in the speeds of interfaces.

use super::*;

const SHARE: &str = "expected a share of the interface's speed, \"0.001%\" to \"100%\"";
const BURST: &str = "expected the time in which it comes back, \"1ms\" to \"60s\"";
const SPEED: &str =
    "expected a speed like \"100 Mbit/s\" or \"2.5 Gbit/s\", 1 Mbit/s to 800 Gbit/s";

fn limit(limit: &str, message: &str) {
    assert_rule(&format!("name = \"a\"\naction = \"limit\"\nlimit = {limit}"), message);
}

#[test]
fn a_share_is_a_percentage_within_its_range() {
    let share = |share: &str, message: &str| limit(&format!("{{ share = {share} }}"), message);
    share(
        "\"0%\"",
        &format!(
            "5:19: a share of `0%` lets nothing pass; {SHARE}; for nothing at all: action = \"drop\""
        ),
    );
    share(
        "\"0.000%\"",
        &format!(
            "5:19: a share of `0.000%` lets nothing pass; {SHARE}; for nothing at all: action = \"drop\""
        ),
    );
    for more in ["100.001%", "101%", "18446744073709551616%", "99999999999999999999999%"] {
        let message = format!("5:19: a share of `{more}` is more than there is; {SHARE}");
        share(&format!("\"{more}\""), &message);
    }
    for finer in ["0.0001%", "1.0005%", "99.9999%"] {
        let what = "is finer than a thousandth of a percent";
        share(&format!("\"{finer}\""), &format!("5:19: a share of `{finer}` {what}; {SHARE}"));
    }
    for none in
        ["", "%", "1", "-1%", "+1%", "1%%", "1e1%", "1.%", ".5%", "1,5%", "1  %", "% 1", "1‰"]
    {
        share(&format!("\"{none}\""), &format!("5:19: `{none}` is not a share; {SHARE}"));
    }
    share("0.01", &format!("5:19: a number with a fraction does not belong here; {SHARE}"));
    share("1", &format!("5:19: a whole number does not belong here; {SHARE}"));
    share("[\"1%\"]", &format!("5:19: a list does not belong here; {SHARE}"));
    for right in ["0.001%", "1%", "1 %", "0.250%", "1.50000%", "100%", "100.000%"] {
        assert_right(&format!("action = \"limit\"\nlimit = {{ share = \"{right}\" }}"));
    }
}

#[test]
fn a_share_has_no_rate_and_no_key_but_the_link() {
    for (more, place, message) in [
        (
            "rate = 5",
            25,
            "a share goes by the speed of the interface, and has no rate; expected `share` or `rate`",
        ),
        (
            "every = \"second\"",
            25,
            "a share goes by the speed of the interface, and has no period; expected `share` or `every`",
        ),
        (
            "unit = \"octets\"",
            25,
            "a share is one of octets, as the speed of an interface is, and has no unit; expected `share` or `unit`",
        ),
        (
            "prefix-v4 = 24",
            25,
            "a share has one bucket for each interface, and no prefix; expected `share` or `prefix-v4`",
        ),
        (
            "prefix-v6 = 64",
            25,
            "a share has one bucket for each interface, and no prefix; expected `share` or `prefix-v6`",
        ),
        (
            "key = \"total\"",
            31,
            "a share has one bucket for each interface; expected key = \"link\", or no `key`",
        ),
        (
            "key = \"source\"",
            31,
            "a share has one bucket for each interface; expected key = \"link\", or no `key`",
        ),
        (
            "key = \"destination\"",
            31,
            "a share has one bucket for each interface; expected key = \"link\", or no `key`",
        ),
        ("random = 1", 34, "a whole number does not belong here; expected true or false"),
        ("reserve = \"yes\"", 35, "a string does not belong here; expected true or false"),
        (
            "spare = 1",
            25,
            "unknown key `spare` of a limit; expected `rate`, `burst`, `every`, `unit`, `share`, `key`, `prefix-v4`, `prefix-v6`, `reserve` or `random` (did you mean `share`?)",
        ),
    ] {
        limit(&format!("{{ share = \"1%\", {more} }}"), &format!("5:{place}: {message}"));
    }
    // All of them are said at once.
    let found = mistakes(&format!(
        "{MINIMAL}[[rule]]\nname = \"a\"\naction = \"limit\"\n\
         limit = {{ share = \"0%\", rate = 1, burst = 1, key = \"source\" }}\n"
    ));
    assert_eq!(found.len(), 4, "{found:?}");
    let right =
        "{ share = \"1%\", key = \"link\", random = false, reserve = true, burst = \"1s\" }";
    assert_right(&format!("action = \"limit\"\nlimit = {right}"));
    // A rate isn't taken for one that has a share, nor a time for its burst.
    limit(
        "{ rate = 5, burst = \"100ms\" }",
        "5:29: a string does not belong here; expected a whole number of 1 or more: what may pass at once",
    );
}

#[test]
fn the_burst_of_a_share_is_a_time() {
    let burst = |burst: &str, message: &str| {
        limit(
            &format!("{{ share = \"1%\", burst = {burst} }}"),
            &format!("5:33: {message}; {BURST}"),
        );
    };
    burst("1500", "a whole number does not belong here");
    burst("\"0ms\"", "a burst of `0ms` lets nothing pass");
    burst("\"61s\"", "a burst of `61s` is too long");
    burst("\"60001ms\"", "a burst of `60001ms` is too long");
    burst("\"1500us\"", "a burst of `1500us` is no whole number of milliseconds");
    burst("\"10us\"", "a burst of `10us` is no whole number of milliseconds");
    burst("\"fast\"", "`fast` is not a time");
    burst("\"100\"", "`100` is not a time");
    for right in ["1ms", "100 ms", "60s", "1m"] {
        let limit = format!("{{ share = \"1%\", burst = \"{right}\" }}");
        assert_right(&format!("action = \"limit\"\nlimit = {limit}"));
    }
}

#[test]
fn shares_count_among_the_limits_in_total() {
    const ROOM: &str = "expected at most two in total and two by key";
    assert_rule(
        "name = \"a\"\naction = \"limit\"\nlimits = [{ rate = 1, burst = 1 }, { rate = 2, burst = 2 }, { share = \"1%\" }]",
        &format!("5:61: more than 2 limits in total, shares included; {ROOM}"),
    );
    assert_rule(
        "name = \"a\"\naction = \"limit\"\nlimits = [{ share = \"1%\" }, { share = \"2%\" }, { rate = 2, burst = 2 }]",
        &format!("5:47: more than 2 limits in total, shares included; {ROOM}"),
    );
    assert_right(
        "action = \"limit\"\nlimits = [{ share = \"1%\" }, { rate = 2, burst = 2 }, \
         { rate = 1, burst = 1, key = \"source\" }, { rate = 1, burst = 1, key = \"link\" }]",
    );
}

#[test]
fn the_speed_of_an_interface_can_be_given() {
    let speed = |speed: &str, message: &str| {
        let text = format!("{MINIMAL}[interfaces.eth0]\nspeed = {speed}\n");
        assert_mistakes(&text, &[&format!("3:9: {message}; {SPEED}")]);
    };
    for none in
        ["", "1000", "gbit", "1 kbit/s", "1 gbps", "-1 Gbit/s", "1/s", "1 Gbit/s/s", "1e3 Mbit/s"]
    {
        speed(&format!("\"{none}\""), &format!("`{none}` is not a speed"));
    }
    for out in ["0 Mbit/s", "801 Gbit/s", "5000000000 Mbit/s"] {
        speed(&format!("\"{out}\""), &format!("a speed of `{out}` is out of range"));
    }
    for part in ["0.5 Mbit/s", "2.5001 Gbit/s", "10.1Mbit"] {
        speed(&format!("\"{part}\""), &format!("a speed of `{part}` is no whole number of Mbit/s"));
    }
    speed("1000", "a whole number does not belong here");
    for (text, mbit) in [
        ("1 Mbit/s", 1),
        ("100mbit", 100),
        ("2.5 Gbit/s", 2500),
        ("10Gbit", 10_000),
        ("800 Gbit/s", 800_000),
        ("1.000Mbit", 1),
    ] {
        let policy =
            from_str("f", &format!("{MINIMAL}[interfaces.eth0]\nspeed = \"{text}\"\n")).unwrap();
        assert_eq!(policy.speeds["eth0"].0, mbit, "{text}");
    }
}

#[test]
fn what_is_said_of_interfaces_has_its_form() {
    let wrong = |lines: &str, message: &str| {
        assert_mistakes(&format!("{MINIMAL}{lines}\n"), &[message]);
    };
    wrong(
        "interfaces = 3",
        "2:14: a whole number does not belong here; expected a table: [interfaces.eth0]",
    );
    wrong(
        "[interfaces]\neth0 = \"1 Gbit/s\"",
        "3:8: a string does not belong here; expected a table: [interfaces.eth0]",
    );
    wrong("[interfaces.eth0]", &format!("2:1: the interface has no `speed`; {SPEED}"));
    wrong(
        "[interfaces.eth0]\nspeed = \"1 Gbit/s\"\nmtu = 1500",
        "4:1: unknown key `mtu` of an interface; expected `speed`",
    );
    wrong(
        "[interfaces.\"a/b\"]\nspeed = \"1 Gbit/s\"",
        "2:13: `a/b` is no name of an interface; expected the name of an interface: 1 to 15 octets, \
         no slash, colon or space",
    );
}
