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
        "5:32: unknown key `brust` of a limit; expected `rate`, `burst`, `every`, `unit` or `key` \
         (did you mean `burst`?)",
    );
    rule("5000", &format!("5:9: a whole number does not belong here; {LIMIT}"));
    rule(
        "[{ rate = 1, burst = 1 }, { rate = 2, burst = 2 }]",
        &format!("5:9: a list does not belong here; {LIMIT}"),
    );
    assert_rule(
        "name = \"a\"\naction = \"limit\"",
        &format!("2:1: the rule has no `limit`; {LIMIT}"),
    );
    assert_rule(
        "name = \"a\"\naction = \"pass\"\nlimit = { rate = 1, burst = 1 }",
        "5:1: only what is limited has a limit; expected action = \"limit\"",
    );
}
