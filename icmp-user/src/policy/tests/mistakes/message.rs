//! Mistakes in families, types and codes.

use super::*;

#[test]
fn types_are_types_of_their_family() {
    let rule = |lines: &str, message: &str| {
        assert_rule(
            &format!("name = \"a\"\naction = \"drop\"\nfamily = \"icmpv4\"\n{lines}"),
            message,
        );
    };
    rule(
        "type = \"timestmp\"",
        &format!("6:8: unknown type `timestmp` of icmpv4; {TYPE} (did you mean `timestamp`?)"),
    );
    rule(
        "type = \"wholly-unlike\"",
        &format!("6:8: unknown type `wholly-unlike` of icmpv4; {TYPE}"),
    );
    rule("type = 300", &format!("6:8: `300` is out of the range of a type; {TYPE}"));
    rule("type = -1", &format!("6:8: `-1` is out of the range of a type; {TYPE}"));
    rule("type = \"250-256\"", &format!("6:8: `250-256` is out of the range of a type; {TYPE}"));
    rule(
        "type = 99999999999999999999999999999999999999999999",
        &format!("6:8: this number is out of range; {TYPE}"),
    );
    rule(
        "type = [3, \"14-13\"]",
        "6:12: the range `14-13` is empty; expected the lower number first",
    );
    rule("type = []", &format!("6:8: an empty list matches nothing; {TYPE}"));
    rule("type = 8.0", &format!("6:8: a number with a fraction does not belong here; {TYPE}"));
    rule("type = [[8]]", &format!("6:9: a list does not belong here; {TYPE}"));
    rule("type = \"+8\"", &format!("6:8: unknown type `+8` of icmpv4; {TYPE}"));
    rule(
        "type = \"packet-too-big\"",
        "6:8: `packet-too-big` is no type of icmpv4; expected family = `icmpv6`",
    );
    assert_rule(
        "name = \"a\"\naction = \"drop\"\nfamily = \"icmp\"\ntype = \"echo-request\"",
        "5:10: unknown family `icmp`; expected `icmpv4`, `icmpv6` or `igmp` (did you mean \
         `icmpv4`?)",
    );
}

#[test]
fn a_type_without_a_family_must_be_of_only_one() {
    let rule = |lines: &str, message: &str| {
        assert_rule(&format!("name = \"a\"\naction = \"drop\"\n{lines}"), message);
    };
    rule(
        "type = \"echo-request\"",
        "5:8: `echo-request` is a type of more than one family; expected `family` as well: `icmpv4` \
         or `icmpv6`",
    );
    rule(
        "type = 8",
        "5:8: a type's number means another message in each family; expected `family` as well: \
         `icmpv4`, `icmpv6` or `igmp`",
    );
    rule(
        "type = [\"timestamp\", \"packet-too-big\"]",
        "5:22: `packet-too-big` is no type of icmpv4; expected family = `icmpv6`",
    );
    rule(
        "type = \"timestmp\"",
        &format!("5:8: unknown type `timestmp`; {TYPE} (did you mean `timestamp`?)"),
    );
    assert_right("action = \"drop\"\ntype = [\"timestamp\", 14]");
}

#[test]
fn codes_are_codes_of_their_type() {
    let rule = |lines: &str, message: &str| {
        assert_rule(
            &format!("name = \"a\"\naction = \"drop\"\nfamily = \"icmpv4\"\n{lines}"),
            message,
        );
    };
    rule("type = 3\ncode = 256", &format!("7:8: `256` is out of the range of a code; {CODE}"));
    rule(
        "type = 3\ncode = \"fragmentation-neded\"",
        &format!(
            "7:8: unknown code `fragmentation-neded` of destination-unreachable; {CODE} (did you \
             mean `fragmentation-needed`?)"
        ),
    );
    rule(
        "type = [3, 11]\ncode = \"fragmentation-needed\"",
        "7:8: the code `fragmentation-needed` is named beside several types; expected one type, or \
         the code as a number",
    );
    rule(
        "code = 0",
        "6:1: a code has a meaning only beside a type; expected `type` as well; of any type: \
         \"0-255\"",
    );
    assert_right(
        "action = \"drop\"\nfamily = \"icmpv4\"\ntype = 3\ncode = [\"fragmentation-needed\", \"0-2\"]",
    );
}
