//! Mistakes in limits.

use super::*;

#[test]
fn limits_can_be_kept() {
    let rule = |limit: &str, message: &str| {
        assert_rule(&format!("name = \"a\"\naction = \"limit\"\nlimit = {limit}"), message);
    };
    const RATE: &str = "expected a whole number of 1 or more";
    const BURST: &str = "expected a whole number of 1 or more: what may pass at once";
    const LIMIT: &str = "expected a limit like { rate = 100, burst = 200 }";
    rule("{ rate = 5 }", &format!("5:9: the limit has no `burst`; {BURST}"));
    rule("{ burst = 5 }", &format!("5:9: the limit has no `rate`; {RATE}"));
    rule(
        "{ rate = 0, burst = 5 }",
        &format!(
            "5:18: a rate of 0 lets nothing pass; {RATE}; for nothing at all: action = \"drop\""
        ),
    );
    rule("{ rate = -3, burst = 5 }", &format!("5:18: a rate of -3 makes no limit; {RATE}"));
    rule("{ rate = 5, burst = 0 }", &format!("5:29: a burst of 0 lets nothing pass; {BURST}"));
    rule(
        "{ rate = 1000000001, burst = 5 }",
        "5:18: a rate of 1000000001 packets per second is too high; expected at most 1000000000",
    );
    rule(
        "{ rate = 18446744073709551616, burst = 5 }",
        &format!("5:18: a rate of 18446744073709551616 makes no limit; {RATE}"),
    );
    rule(
        "{ rate = 1, burst = 5000, every = \"hour\" }",
        "5:29: a burst of 5000 takes more than 104 days to come back at this rate; expected at \
         most 2501",
    );
    rule(
        "{ rate = 1, burst = 5, every = \"hour\", unit = \"octets\" }",
        "5:18: a rate of 1 octets per hour is too low; expected a higher rate, or a limit in packets",
    );
    rule(
        "{ rate = 1, burst = 5, every = \"day\" }",
        "5:40: unknown period `day`; expected `second`, `minute` or `hour`",
    );
    rule(
        "{ rate = 1, burst = 5, unit = \"bytes\" }",
        "5:39: unknown unit `bytes`; expected `packets` or `octets`",
    );
    rule(
        "{ rate = 1.5, burst = 5 }",
        &format!("5:18: a number with a fraction does not belong here; {RATE}"),
    );
    rule(
        "{ rate = 1, burst = 5, brust = 6 }",
        "5:32: unknown key `brust` of a limit; expected `rate`, `burst`, `every`, `unit`, `share`, \
         `key`, `prefix-v4`, `prefix-v6`, `reserve` or `random` (did you mean `burst`?)",
    );
    // What shares a bucket.
    rule(
        "{ rate = 1, burst = 1, key = \"sauce\" }",
        "5:38: unknown key `sauce`; expected `total`, `source`, `destination` or `link` (did you \
         mean `source`?)",
    );
    rule(
        "{ rate = 1, burst = 1, key = \"source\", prefix-v4 = 33 }",
        "5:60: prefix-v4 is too long or negative; expected a whole number of bits, 0 to 32",
    );
    rule(
        "{ rate = 1, burst = 1, key = \"source\", prefix-v6 = 129 }",
        "5:60: prefix-v6 is too long or negative; expected a whole number of bits, 0 to 128",
    );
    rule(
        "{ rate = 1, burst = 1, prefix-v4 = 24 }",
        "5:32: only a limit by source or destination has a prefix; expected key = \"source\" or \
         key = \"destination\"",
    );
    rule(
        "{ rate = 1, burst = 1, key = \"link\", prefix-v6 = 64 }",
        "5:46: only a limit by source or destination has a prefix; expected key = \"source\" or \
         key = \"destination\"",
    );
    rule(
        "{ rate = 1, burst = 1, key = \"source\", random = true }",
        "5:48: only a limit in total is randomised: nobody else draws on one by key; expected a \
         limit without `key`",
    );
    rule(
        "{ rate = 1, burst = 1, random = 1 }",
        "5:41: a whole number does not belong here; expected true or false",
    );
    for (family, key, message) in [
        ("icmpv4", "prefix-v6", "icmpv4 has no IPv6 addresses; expected `prefix-v4`"),
        ("igmp", "prefix-v6", "igmp has no IPv6 addresses; expected `prefix-v4`"),
        ("icmpv6", "prefix-v4", "icmpv6 has no IPv4 addresses; expected `prefix-v6`"),
    ] {
        assert_rule(
            &format!(
                "name = \"a\"\nfamily = \"{family}\"\naction = \"limit\"\n\
                 limit = {{ rate = 1, burst = 1, key = \"source\", {key} = 24 }}"
            ),
            &format!("6:48: {message}"),
        );
    }
    rule("5000", &format!("5:9: a whole number does not belong here; {LIMIT}"));
    rule(
        "[{ rate = 1, burst = 1 }, { rate = 2, burst = 2 }]",
        &format!("5:9: a list does not belong here; {LIMIT}"),
    );
    assert_rule(
        "name = \"a\"\naction = \"limit\"",
        &format!("2:1: the rule has no `limit`; {LIMIT}"),
    );
    let limits = |limits: &str, message: &str| {
        assert_rule(&format!("name = \"a\"\naction = \"limit\"\nlimits = {limits}"), message);
    };
    limits("[]", &format!("5:1: the list of limits is empty; {LIMIT}"));
    limits(
        "[{ rate = 1, burst = 1 }, { rate = 2, burst = 2 }, { rate = 3, burst = 3 }]",
        "5:61: more than 2 limits in total; expected at most two in total and two by key",
    );
    limits(
        "[{ rate = 1, burst = 1 }]\nlimit = { rate = 1, burst = 1 }",
        "5:1: the rule has `limit` and `limits`; expected one of them",
    );
    assert_rule(
        "name = \"a\"\naction = \"pass\"\nlimit = { rate = 1, burst = 1 }",
        "5:1: only what is limited or answered has a limit; expected action = \"limit\", or `reject` or \
         `reply`",
    );
}

#[test]
fn the_table_of_keys_has_bounds() {
    for (value, message) in [
        ("1", "3:8: limits can't hold 1 keys; expected a whole number, 1024 to 67108864"),
        ("67108865", "3:8: limits can't hold 67108865 keys; expected"),
        ("-1", "3:8: limits can't hold -1 keys; expected"),
        ("\"many\"", "3:8: a string does not belong here; expected a whole number, 1024 to"),
    ] {
        let found = mistakes(&format!("profile = \"host\"\n[limits]\nkeys = {value}\n"));
        assert_eq!(found.len(), 1, "{value}: {found:?}");
        assert!(found[0].starts_with(message), "{value}: {}", found[0]);
    }
    let found = mistakes("profile = \"host\"\n[limits]\nkey = 5000\n");
    assert_eq!(
        found,
        ["3:1: unknown key `key` of [limits]; expected `keys` (did you mean `keys`?)"]
    );
}
