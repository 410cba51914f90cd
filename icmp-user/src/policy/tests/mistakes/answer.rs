//! Mistakes in rules that answer.

use super::{super::rendered, *};
use icmp_common::abi::{KeyedLimit, Rule as TableRule, TotalLimit, action, family};
use icmp_common::answer::Error;
use icmp_common::classify::code_assigned;

/// Asserts that a rule of these lines, from line 4 on, has one mistake.
#[track_caller]
fn assert_answer(lines: &str, expected: &str) {
    assert_rule(&format!("name = \"a\"\n{lines}"), expected);
}

/// A rule of a family that rejects with this.
fn reject(family: &str, with: &str) -> String {
    format!("family = \"{family}\"\naction = \"reject\"\nreject = {with}")
}

#[test]
fn errors_are_those_that_can_answer() {
    let wrong = |family: &str, with: &str, expected: &str| {
        assert_answer(&reject(family, with), expected);
    };
    const V4: &str = "`destination-unreachable`, `time-exceeded` or `parameter-problem`";
    wrong(
        "icmpv4",
        "{ type = \"source-quench\" }",
        &format!(
            "6:19: `source-quench` is no error of icmpv4 that can answer a packet; expected {V4}"
        ),
    );
    wrong(
        "igmp",
        "{ type = 5, code = 0 }",
        &format!("6:19: `5` is no error of icmpv4 that can answer a packet; expected {V4}"),
    );
    wrong(
        "icmpv6",
        "{ type = \"packet-too-bog\", mtu = 1400 }",
        "6:19: `packet-too-bog` is no error of icmpv6 that can answer a packet; expected \
         `destination-unreachable`, `packet-too-big`, `time-exceeded` or `parameter-problem` (did you \
         mean `packet-too-big`?)",
    );
    wrong(
        "icmpv4",
        "{ code = \"port-unreachabel\" }",
        "6:19: unknown code `port-unreachabel` of destination-unreachable; expected `net-unreachable`, \
         `host-unreachable`, `protocol-unreachable`, `port-unreachable`, `fragmentation-needed`, \
         `source-route-failed`, `network-unknown`, `host-unknown`, `source-host-isolated`, \
         `network-prohibited`, `host-prohibited`, `network-unreachable-for-tos`, \
         `host-unreachable-for-tos`, `communication-prohibited`, `host-precedence-violation` or \
         `precedence-cutoff` (did you mean `port-unreachable`?)",
    );
    wrong(
        "icmpv4",
        "{ type = 11, code = 2 }",
        "6:30: unknown code `2` of time-exceeded; expected `ttl-exceeded` or `reassembly-time-exceeded`",
    );
    wrong(
        "icmpv4",
        "{ type = 11, code = 256 }",
        "6:30: unknown code `256` of time-exceeded; expected `ttl-exceeded` or \
         `reassembly-time-exceeded`",
    );
    wrong(
        "icmpv6",
        "{ type = 3 }",
        "6:10: the answer has no `code`; expected `hop-limit-exceeded` or `reassembly-time-exceeded`",
    );
    // A word of nft for a code of another type.
    wrong(
        "icmpv4",
        "{ type = 11, code = \"admin-prohibited\" }",
        "6:30: unknown code `admin-prohibited` of time-exceeded; expected `ttl-exceeded` or \
         `reassembly-time-exceeded`",
    );
    wrong(
        "icmpv4",
        "\"host-unreachable\"",
        "6:10: a string does not belong here; expected what is answered, like { type = \
         \"destination-unreachable\", code = \"host-unreachable\" }",
    );
    wrong(
        "icmpv4",
        "{ kode = 1 }",
        "6:12: unknown key `kode` of `reject`; expected `type`, `code`, `mtu` or `pointer` (did you \
         mean `code`?)",
    );
}

#[test]
fn mtu_and_pointer_stand_where_the_error_has_them_and_nowhere_else() {
    let wrong = |family: &str, with: &str, expected: &str| {
        assert_answer(&reject(family, with), expected);
    };
    wrong(
        "icmpv4",
        "{ code = \"fragmentation-needed\" }",
        "6:10: icmpv4 3/4 fragmentation-needed has no `mtu`; expected octets, a whole number from 68 to \
         65535",
    );
    wrong(
        "icmpv4",
        "{ code = 4, mtu = 67 }",
        "6:28: 67 can't be the mtu of icmpv4 3/4 fragmentation-needed; expected octets, a whole number \
         from 68 to 65535",
    );
    wrong(
        "icmpv6",
        "{ type = 2, mtu = 1279 }",
        "6:28: 1279 can't be the mtu of icmpv6 2/0 packet-too-big; expected octets, a whole number from \
         1280 to 65535",
    );
    wrong(
        "icmpv4",
        "{ code = 1, mtu = 1400 }",
        "6:22: icmpv4 3/1 host-unreachable has no mtu; expected no `mtu`",
    );
    wrong(
        "icmpv4",
        "{ type = 12, code = 0 }",
        "6:10: icmpv4 12/0 pointer-indicates-error has no `pointer`; expected the octet, a whole number \
         from 0 to 59",
    );
    wrong(
        "icmpv4",
        "{ type = 12, code = 0, pointer = 60 }",
        "6:43: 60 can't be the pointer of icmpv4 12/0 pointer-indicates-error; expected the octet, a \
         whole number from 0 to 59",
    );
    wrong(
        "icmpv6",
        "{ type = 1, code = 1, pointer = 6 }",
        "6:32: icmpv6 1/1 communication-prohibited has no pointer; expected no `pointer`",
    );
    wrong(
        "icmpv6",
        "{ type = 4, code = 1, pointer = -6 }",
        "6:42: -6 can't be the pointer of icmpv6 4/1 unrecognized-next-header; expected the octet, a \
         whole number from 0 to 65535",
    );
}

#[test]
fn what_belongs_to_another_action_is_told() {
    assert_answer(
        "family = \"icmpv4\"\naction = \"drop\"\nreject = { code = 1 }",
        "6:1: only a rule that rejects says what with; expected action = \"reject\"",
    );
    assert_answer(
        "action = \"reject\"\nreject = { code = 1 }",
        "5:1: an error has another type in each family; expected `family` as well: `icmpv4`, `icmpv6` \
         or `igmp`",
    );
}

#[test]
fn errors_are_never_answered() {
    for (family, types) in
        [("icmpv4", "[3, 4, 5, 11, 12]"), ("icmpv4", "\"destination-unreachable\"")]
    {
        assert_answer(
            &format!("family = \"{family}\"\ntype = {types}\naction = \"reject\""),
            "5:8: errors are never answered by an error (RFC 1122 3.2.2); expected action = \"drop\", \
             or another type",
        );
    }
    for types in ["[\"0-127\"]", "\"redirect\"", "[1, 137]"] {
        assert_answer(
            &format!("family = \"icmpv6\"\ntype = {types}\naction = \"reject\""),
            "5:8: errors and redirects are never answered by an error (RFC 4443 2.4(e)); expected \
             action = \"drop\", or another type",
        );
    }
    assert_answer(
        "family = \"icmpv4\"\nfragment = \"later\"\naction = \"reject\"",
        "5:12: a fragment but the first is never answered by an error (RFC 1122 3.2.2); expected action \
         = \"drop\", or `none` or `first`",
    );
    // Where the pattern is wider, the hook leaves those out. Types of IGMP are no errors.
    assert_right("family = \"icmpv4\"\naction = \"reject\"");
    assert_right("family = \"icmpv4\"\ntype = \"3-8\"\naction = \"reject\"");
    assert_right("family = \"icmpv6\"\nfragment = \"later\"\naction = \"reject\"");
    assert_right("family = \"igmp\"\ntype = 5\naction = \"reject\"");
    assert_right("action = \"reject\"");
}

#[test]
fn only_requests_have_a_reply() {
    const EXPECTED: &str = "expected `icmpv4 echo-request`, `icmpv4 timestamp`, `icmpv4 \
                            address-mask-request` or `icmpv6 echo-request`";
    let wrong = |lines: &str, at: &str| {
        assert_answer(&format!("action = \"reply\"\n{lines}"), &format!("{at}; {EXPECTED}"));
    };
    wrong(
        "family = \"icmpv4\"\ntype = \"echo-reply\"",
        "6:8: icmpv4 0 (echo-reply) has no reply that the hook sends",
    );
    wrong(
        "family = \"icmpv4\"\ntype = [8, 13, 15]",
        "6:8: icmpv4 15 (information-request) has no reply that the hook sends",
    );
    wrong(
        "family = \"icmpv6\"\ntype = 8",
        "6:8: icmpv6 8 (unassigned) has no reply that the hook sends",
    );
    wrong(
        "family = \"igmp\"\ntype = 0x11",
        "6:8: igmp 17 (membership-query) has no reply that the hook sends",
    );
    assert_answer(
        "action = \"reply\"\nfamily = \"icmpv4\"",
        "4:10: only requests have a reply, and the rule names no type; expected `family` and `type`: \
         `icmpv4 echo-request`, `icmpv4 timestamp`, `icmpv4 address-mask-request` or `icmpv6 \
         echo-request`",
    );
    let echo = "action = \"reply\"\nfamily = \"icmpv4\"\ntype = 8\n";
    for fragment in ["first", "later"] {
        let mut found = mistakes(&format!(
            "{MINIMAL}[[rule]]\nname = \"a\"\n{echo}fragment = \"{fragment}\"\n"
        ));
        let last = found.pop().unwrap();
        assert_eq!(
            last,
            "7:12: a fragment has no reply: only a whole request can be answered; expected fragment = \
             \"none\""
        );
    }
    assert_answer(
        &format!("{echo}destination = \"transit\""),
        "7:15: a reply is its destination's, and what is in transit is another's; expected destination \
         = \"local\"",
    );
    for right in [
        "family = \"icmpv4\"\ntype = [8, 13, 17]",
        "family = \"icmpv6\"\ntype = 128\ncode = 0\ndestination = \"local\"\nfragment = \"none\"",
    ] {
        assert_right(&format!("action = \"reply\"\n{right}"));
    }
}

#[test]
fn what_is_sent_is_not_answered() {
    for lines in ["action = \"reject\"", "action = \"reply\"\nfamily = \"icmpv4\"\ntype = 8"] {
        let found =
            mistakes(&format!("{MINIMAL}[[rule]]\nname = \"a\"\n{lines}\nhook = \"egress\"\n"));
        let message =
            "4:10: what this machine sends is not answered by it; expected hook = \"ingress\"";
        assert!(found.iter().any(|m| m == message), "{found:?}");
    }
}

/// The one rule of a policy that has no other, as the table has it.
fn compiled(lines: &str) -> TableRule {
    let text = format!("{MINIMAL}[[rule]]\nname = \"a\"\n{lines}\n");
    let policy = from_str("f", &text).unwrap();
    let compiled = policy.compile(&CompileContext::EMPTY).unwrap();
    let number =
        compiled.hook(Hook::Ingress).rule_names.iter().position(|name| name == "a").unwrap();
    compiled.hook(Hook::Ingress).table.rules[number]
}

#[test]
fn every_code_of_every_error_is_put_into_the_table() {
    for (f, label, ty) in [
        (family::ICMPV4, "icmpv4", 3u8),
        (family::ICMPV4, "icmpv4", 11),
        (family::ICMPV4, "icmpv4", 12),
        (family::ICMPV6, "icmpv6", 1),
        (family::ICMPV6, "icmpv6", 2),
        (family::ICMPV6, "icmpv6", 3),
        (family::ICMPV6, "icmpv6", 4),
    ] {
        let mut codes = 0;
        for code in (0..=u8::MAX).filter(|code| code_assigned(f, ty, *code)) {
            // Packet too big has no code that counts.
            if (f, ty) == (family::ICMPV6, 2) && code != 0 {
                continue;
            }
            let more = match (f, ty, code) {
                (family::ICMPV4, 3, 4) | (family::ICMPV6, 2, _) => ", mtu = 1400",
                (family::ICMPV4, 12, _) | (family::ICMPV6, 4, _) => ", pointer = 9",
                _ => "",
            };
            let rule = compiled(&reject(label, &format!("{{ type = {ty}, code = {code}{more} }}")));
            assert_eq!(rule.action, action::REJECT);
            let value = if more.contains("mtu") { 1400 } else { 9 * u16::from(!more.is_empty()) };
            assert_eq!(Error::of(&rule, f), Error { ty, code, value });
            codes += 1;
        }
        assert!(codes > 0, "{label} {ty}");
    }
    let by_name = |family, with| {
        let rule = compiled(&reject(family, with));
        (rule.answer_type, rule.answer_code)
    };
    assert_eq!(by_name("icmpv4", "{ code = \"admin-prohibited\" }"), (3, 13));
    assert_eq!(by_name("icmpv6", "{ code = \"admin-prohibited\" }"), (1, 1));
    assert_eq!(by_name("igmp", "{ code = \"host-unreachable\" }"), (3, 1));
    assert_eq!(by_name("icmpv6", "{ type = \"packet-too-big\", mtu = 1280 }"), (2, 0));
    assert_eq!(by_name("icmpv4", "{ }"), (3, 13));
    assert_eq!(compiled("action = \"reject\"").answer_type, 0);
}

#[test]
fn answers_are_limited_whether_their_rule_says_so_or_not() {
    let echo = "family = \"icmpv4\"\ntype = 8\n";
    for action in ["reject", "reply"] {
        let rule = compiled(&format!("{echo}action = \"{action}\""));
        assert!(rule.totals[0].cost != 0 && rule.totals[1] == TotalLimit::default());
        assert!(rule.keyed[0].cost != 0 && rule.keyed[1] == KeyedLimit::default());
        let rule =
            compiled(&format!("{echo}action = \"{action}\"\nlimit = {{ rate = 1, burst = 1 }}"));
        assert!(rule.totals[0].cost != 0 && rule.keyed[0] == KeyedLimit::default());
    }
}

#[test]
fn the_table_says_what_is_answered() {
    let lines = |lines: &str| {
        let text = format!("{MINIMAL}[[rule]]\nname = \"a\"\n{lines}\n");
        let table = from_str("f", &text).unwrap().table();
        rendered(&table).lines().find(|line| line.contains("f:2")).unwrap().to_owned()
    };
    for (rule, shown) in [
        (
            "family = \"icmpv4\"\naction = \"reject\"",
            "reject with icmpv4 3/13 communication-prohibited, limit 10 packets per second, burst 20, by \
             source; 1000 packets per second, burst 50",
        ),
        (
            "action = \"reject\"\nlimit = { rate = 1, burst = 2 }",
            "reject with icmpv4 3/13 communication-prohibited or icmpv6 1/1 communication-prohibited, \
             limit 1 packets per second, burst 2",
        ),
        (
            "family = \"icmpv6\"\naction = \"reject\"\nreject = { type = 2, mtu = 1400 }",
            "reject with icmpv6 2/0 packet-too-big, mtu 1400, limit",
        ),
        (
            "family = \"icmpv6\"\naction = \"reject\"\nreject = { type = 4, code = 0, pointer = 0 }",
            "reject with icmpv6 4/0 erroneous-header-field, pointer 0, limit",
        ),
        (
            "family = \"icmpv6\"\ntype = 128\naction = \"reply\"",
            "reply, limit 100 packets per second, burst 200, by source; 5000 packets per second, burst \
             5000 ",
        ),
    ] {
        let line = lines(rule);
        assert!(line.contains(shown), "{line}\n{shown}");
    }
}
