//! Row L3: who is put into the penalty box and when, who never is, and how they get out.
//!
//! The mirror of neighbours and routes is written here as a daemon would, so that every answer of it
//! is tried. The gates are made in a network namespace whose interfaces don't forward: then the
//! kernel's own tables don't answer. That they do where it forwards is tried on a wire
//! (`live/penalty.rs`).

use icmp_common::{
    abi::local,
    penalty::{SOURCES, Stats, refusal},
    verdict::{Reason, Verdict},
};
use icmpgate::datapath::{BoxedSource, LimitEntry, Neighbour, RouteLine, Tables};
use icmpgate_tests::{Gate, Ipv4, Ipv6, Seen, message::echo, netns::Namespace};
use std::{
    net::Ipv4Addr,
    thread::sleep,
    time::{Duration, Instant},
};

const HERE: &str = "198.51.100.1";
const HERE6: &str = "2001:db8:2::1";
/// The hardware address of the frames that the builder makes.
const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// Another.
const OTHER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];
/// The index that the mirrored interface has; the instance calls it 0.
const INDEX: u32 = 7;
/// An interface that isn't the one that frames come in by; the instance calls it 1.
const ELSEWHERE: u32 = 9;

/// A policy with one rule on echo requests of a family that lets one of each source pass.
fn policy(family: &str, penalty: &str, rest: &str) -> String {
    format!(
        "profile = \"host\"\n{rest}\n[[rule]]\nname = \"echo\"\nfamily = \"{family}\"\n\
         type = \"echo-request\"\naction = \"limit\"\n\
         limit = {{ rate = 1, burst = 1, every = \"hour\", key = \"source\" }}\n\
         penalty = {{ {penalty} }}\n"
    )
}

const THREE: &str = "after = 3, time = \"60s\"";

fn line(prefix: &str, hops: &[(u32, Option<&str>)]) -> RouteLine {
    let hops = hops.iter().map(|(i, g)| (*i, g.map(|g| g.parse().expect("an address"))));
    RouteLine { prefix: prefix.parse().expect("a prefix"), metric: 0, hops: hops.collect() }
}

fn neighbour(address: &str, interface: u32, hardware: [u8; 6]) -> Neighbour {
    Neighbour { address: address.parse().expect("an address"), interface, hardware }
}

/// Neighbours of 192.0.2.0/24 and 2001:db8:1::/64, and gateways to the rest.
fn tables() -> Tables {
    Tables {
        neighbours: vec![
            neighbour("192.0.2.1", INDEX, MAC),
            neighbour("192.0.2.2", INDEX, MAC),
            neighbour("192.0.2.3", INDEX, OTHER_MAC),
            neighbour("192.0.2.254", INDEX, MAC),
            neighbour("203.0.113.1", ELSEWHERE, MAC),
            neighbour("2001:db8:1::1", INDEX, MAC),
            neighbour("fe80::1", INDEX, MAC),
            neighbour("fe80::3", INDEX, OTHER_MAC),
            neighbour("fe80::fe", INDEX, MAC),
            neighbour("fe80::4", ELSEWHERE, MAC),
        ],
        routes: vec![
            line("192.0.2.0/24", &[(INDEX, None)]),
            line("203.0.113.0/24", &[(ELSEWHERE, None)]),
            line("10.0.0.0/8", &[(INDEX, Some("192.0.2.254"))]),
            line("10.1.0.0/16", &[(INDEX, Some("192.0.2.3"))]),
            line("10.2.0.0/16", &[(INDEX, Some("192.0.2.99"))]),
            line("10.3.0.0/16", &[(ELSEWHERE, Some("203.0.113.1"))]),
            line("10.4.0.0/16", &[]),
            line("10.5.0.0/16", &[(ELSEWHERE, Some("203.0.113.1")), (INDEX, Some("192.0.2.254"))]),
            line("2001:db8:1::/64", &[(INDEX, None)]),
            line("::/0", &[(INDEX, Some("fe80::fe"))]),
        ],
    }
}

/// Makes a gate, in a namespace that doesn't forward, with a mirror that is true.
fn gate_with(text: &str, tables: &Tables, test: impl FnOnce(&mut Gate) + Send) {
    let namespace = Namespace::new();
    namespace.sysctl("ipv4/ip_forward", "0");
    namespace.sysctl("ipv6/conf/all/forwarding", "0");
    let entries = tables.entries(&[(0, INDEX), (1, ELSEWHERE)]).expect("it fits");
    namespace.run(|| {
        let mut gate = Gate::among(&["test0", "test1"], 0, text);
        let mirror = gate.instance().maps().mirror();
        assert!(mirror.wanted().expect("readable").penalty);
        mirror.set(&entries).expect("written");
        mirror.renew(Duration::from_secs(3600)).expect("written");
        test(&mut gate);
    });
}

fn gate(text: &str, test: impl FnOnce(&mut Gate) + Send) {
    gate_with(text, &tables(), test);
}

fn ping(from: &str) -> Vec<u8> {
    Ipv4::between(from, HERE).icmp(echo(8)).into()
}

fn ping6(from: &str) -> Vec<u8> {
    Ipv6::between(from, HERE6).icmp(echo(128)).into()
}

/// The same frame from other hardware.
fn from_hardware(mut frame: Vec<u8>, hardware: [u8; 6]) -> Vec<u8> {
    frame[6..12].copy_from_slice(&hardware);
    frame
}

/// The reasons that a frame gets when it is sent so many times. Each is counted once.
fn reasons(gate: &mut Gate, frame: &[u8], times: usize) -> Vec<Reason> {
    (0..times)
        .map(|_| {
            let seen = gate.run(frame);
            assert_eq!(seen.rule.as_deref(), Some("echo"), "{seen}");
            let passes = seen.reason() == Reason::WITHIN_LIMIT;
            assert_eq!(seen.verdict() == Verdict::Pass, passes, "{seen}");
            seen.reason()
        })
        .collect()
}

const PASS: Reason = Reason::WITHIN_LIMIT;
const OVER: Reason = Reason::OVER_LIMIT;
const BOXED: Reason = Reason::PENALTY_BOX;

fn stats(gate: &mut Gate) -> Stats {
    gate.instance().maps().penalty().stats().expect("readable")
}

fn boxed(gate: &mut Gate) -> Vec<BoxedSource> {
    gate.instance().maps().penalty().boxed().expect("readable")
}

/// What passed the rule's limit and what it refused.
fn at_the_limit(gate: &mut Gate) -> (u64, u64) {
    let limits = gate.instance().maps().limits().expect("readable");
    let is = |entry: &&LimitEntry| entry.info.rule.starts_with(b"echo\0");
    let of_rule: Vec<&LimitEntry> = limits.iter().filter(is).collect();
    let [limit] = of_rule[..] else { panic!("{of_rule:?}") };
    (limit.count.passed, limit.count.refused)
}

/// Who is in the box, as people write them.
fn shown(gate: &mut Gate) -> Vec<String> {
    boxed(gate).iter().map(|b| b.prefix().to_string()).collect()
}

#[test]
fn a_source_is_boxed_at_the_offence_that_is_said_and_nobody_else_is() {
    gate(&policy("icmpv4", THREE, ""), |gate| {
        let frame = ping("192.0.2.1");
        assert_eq!(reasons(gate, &frame, 3), [PASS, OVER, OVER]);
        assert_eq!((boxed(gate), stats(gate)), (vec![], Stats::default()));
        // The third packet beyond the limit boxes; it is still the limit's.
        assert_eq!(reasons(gate, &frame, 5), [OVER, BOXED, BOXED, BOXED, BOXED]);
        let [source] = boxed(gate)[..] else { panic!("{:?}", boxed(gate)) };
        assert_eq!(source.prefix().to_string(), "192.0.2.1/32");
        assert_eq!((source.hardware().as_str(), source.dropped), ("02:00:00:00:00:01", 4));
        assert!((58..=60).contains(&source.left.as_secs()), "{source:?}");
        assert_eq!(stats(gate), Stats { boxed: 1, ..Stats::default() });
        // What the box drops is charged to no limit and counted at none.
        assert_eq!(at_the_limit(gate), (1, 3));
        // Others are as they were.
        assert_eq!(reasons(gate, &ping("192.0.2.2"), 2), [PASS, OVER]);
        assert_eq!(shown(gate), ["192.0.2.1/32"]);
    });
}

#[test]
fn the_first_offence_boxes_where_that_is_said() {
    gate(&policy("icmpv6", "after = 1, time = \"1s\"", ""), |gate| {
        assert_eq!(reasons(gate, &ping6("fe80::1"), 4), [PASS, OVER, BOXED, BOXED]);
        assert_eq!(reasons(gate, &ping6("2001:db8:1::1"), 3), [PASS, OVER, BOXED]);
        assert_eq!(stats(gate), Stats { boxed: 2, ..Stats::default() });
    });
}

#[test]
fn a_source_leaves_when_its_time_is_over_and_begins_anew() {
    gate(&policy("icmpv4", "after = 2, time = \"1s\"", ""), |gate| {
        let frame = ping("192.0.2.1");
        assert_eq!(reasons(gate, &frame, 4), [PASS, OVER, OVER, BOXED]);
        let [source] = boxed(gate)[..] else { panic!() };
        let leaves = Instant::now() + source.left;
        // What is sent meanwhile doesn't prolong it.
        sleep(source.left / 2);
        assert_eq!(reasons(gate, &frame, 1), [BOXED]);
        sleep(leaves.saturating_duration_since(Instant::now()) + Duration::from_millis(5));
        // The limit's bucket is as spent as it was, and offences count from 1.
        assert_eq!(reasons(gate, &frame, 3), [OVER, OVER, BOXED]);
        assert_eq!(stats(gate).boxed, 2);
        let [source] = boxed(gate)[..] else { panic!() };
        assert_eq!(source.dropped, 1, "what it drops is counted from 0");
    });
}

#[test]
fn offences_of_two_windows_are_not_added_up() {
    gate(&policy("icmpv4", "after = 3, within = \"1s\", time = \"9s\"", ""), |gate| {
        let frame = ping("192.0.2.1");
        assert_eq!(reasons(gate, &frame, 3), [PASS, OVER, OVER]);
        sleep(Duration::from_millis(1010));
        assert_eq!(reasons(gate, &frame, 2), [OVER, OVER]);
        assert_eq!(boxed(gate), []);
        assert_eq!(reasons(gate, &frame, 2), [OVER, BOXED]);
    });
}

/// How many offences a frame is refused for, and why; none may box anybody.
fn refused(gate: &mut Gate, frame: &[u8], why: u32, name: &str) {
    let before = stats(gate);
    let reasons = reasons(gate, frame, 6);
    assert_eq!(reasons[1..], [OVER; 5], "{name}");
    let after = stats(gate);
    let mut expected = before;
    expected.refused[why as usize] += 6 - u64::from(reasons[0] == PASS);
    assert_eq!(after, expected, "{name}");
    assert_eq!(boxed(gate), [], "{name}");
}

#[test]
fn an_offence_is_held_only_against_whom_this_machine_would_answer_so() {
    const NEVER: [(&str, u32); 12] = [
        ("192.0.2.3", refusal::HARDWARE_ADDRESS),
        ("192.0.2.77", refusal::NEIGHBOUR_UNKNOWN),
        ("203.0.113.1", refusal::REVERSE_PATH),
        ("172.16.0.1", refusal::REVERSE_PATH),
        ("10.4.0.1", refusal::REVERSE_PATH),
        ("10.3.0.1", refusal::REVERSE_PATH),
        ("0.0.0.0", refusal::NO_ADDRESS),
        ("198.51.100.1", refusal::OWN_ADDRESS),
        ("198.51.100.255", refusal::OWN_ADDRESS),
        ("192.0.2.254", refusal::GATEWAY),
        ("10.9.0.1", refusal::OFF_LINK),
        ("10.5.0.1", refusal::OFF_LINK),
    ];
    gate(&policy("icmpv4", "after = 1, time = \"60s\"", ""), |gate| {
        gate.local(&[
            ("198.51.100.1", local::UNICAST),
            ("198.51.100.255", local::BROADCAST),
            ("192.0.2.254", local::GATEWAY),
        ]);
        for (source, why) in NEVER {
            refused(gate, &ping(source), why, source);
        }
        // A spoofer with its own hardware, and one behind a VLAN tag.
        let spoofed = from_hardware(ping("192.0.2.1"), OTHER_MAC);
        refused(gate, &spoofed, refusal::HARDWARE_ADDRESS, "spoofed");
        let tagged: Vec<u8> = Ipv4::between("192.0.2.1", HERE).icmp(echo(8)).frame().tags(1).into();
        refused(gate, &tagged, refusal::VLAN, "tagged");
        let priority = ping("192.0.2.1");
        let priority = [&priority[..12], &[0x81, 0, 0xe0, 0], &priority[12..]].concat();
        refused(
            gate,
            &from_hardware(priority, OTHER_MAC),
            refusal::HARDWARE_ADDRESS,
            "spoofed, with a priority",
        );
    });
    gate(&policy("icmpv6", "after = 1, time = \"60s\"", ""), |gate| {
        gate.local(&[("fe80::fe", local::GATEWAY)]);
        for (source, why) in [
            ("fe80::3", refusal::HARDWARE_ADDRESS),
            ("fe80::4", refusal::NEIGHBOUR_UNKNOWN),
            ("fe80::fe", refusal::GATEWAY),
            ("2001:db8:1::77", refusal::NEIGHBOUR_UNKNOWN),
            ("2001:db8:9::1", refusal::OFF_LINK),
            ("::", refusal::NO_ADDRESS),
            // No host has it, and the longest prefix is one of IPv4.
            ("::ffff:192.0.2.1", refusal::REVERSE_PATH),
        ] {
            refused(gate, &ping6(source), why, source);
        }
    });
}

#[test]
fn behind_a_gateway_only_where_the_rule_says_so() {
    let penalty = "after = 1, time = \"60s\", off-link = true";
    gate(&policy("icmpv4", penalty, ""), |gate| {
        // From the gateway that is used for each, one of two, and from another.
        assert_eq!(reasons(gate, &ping("10.9.0.1"), 3), [PASS, OVER, BOXED]);
        assert_eq!(reasons(gate, &ping("10.5.0.1"), 3), [PASS, OVER, BOXED]);
        assert_eq!(shown(gate), ["10.5.0.1/32", "10.9.0.1/32"]);
        // Neighbours are boxed as before.
        assert_eq!(reasons(gate, &ping("192.0.2.1"), 3), [PASS, OVER, BOXED]);
        let released = gate.instance().maps().penalty().release(|_| true);
        assert_eq!(released.expect("written").len(), 3);
        for (source, why) in [
            ("10.1.0.1", refusal::HARDWARE_ADDRESS),
            ("10.2.0.1", refusal::NEIGHBOUR_UNKNOWN),
            ("10.3.0.1", refusal::REVERSE_PATH),
            ("10.4.0.1", refusal::REVERSE_PATH),
        ] {
            refused(gate, &ping(source), why, source);
        }
    });
    // The source of such a limit is a /64, and so is what is boxed.
    gate(&policy("icmpv6", penalty, ""), |gate| {
        assert_eq!(reasons(gate, &ping6("2001:db8:9::1"), 3), [PASS, OVER, BOXED]);
        assert_eq!(reasons(gate, &ping6("2001:db8:9::2"), 1), [BOXED]);
        assert_eq!(reasons(gate, &ping6("2001:db8:9:1::1"), 2), [PASS, OVER]);
        assert!(shown(gate).contains(&"2001:db8:9::/64".to_owned()), "{:?}", shown(gate));
    });
}

/// A box is of a source from its own hardware: nobody can be spoofed out of, or be hurt by, it.
#[test]
fn who_is_boxed_is_not_boxed_from_other_hardware() {
    gate(&policy("icmpv4", "after = 1, time = \"60s\"", ""), |gate| {
        let frame = ping("192.0.2.1");
        assert_eq!(reasons(gate, &frame, 3), [PASS, OVER, BOXED]);
        let other = from_hardware(frame.clone(), OTHER_MAC);
        assert_eq!(reasons(gate, &other, 3), [OVER; 3]);
        assert_eq!(reasons(gate, &frame, 1), [BOXED]);
    });
    // Nor where a limit takes a whole network for one source: 192.0.2.2 has the same hardware here,
    // 192.0.2.3 has its own.
    let text = policy("icmpv4", "after = 1, time = \"60s\"", "")
        .replace("key = \"source\"", "key = \"source\", prefix-v4 = 24");
    gate(&text, |gate| {
        gate.local(&[("192.0.2.254", local::GATEWAY)]);
        assert_eq!(reasons(gate, &ping("192.0.2.1"), 3), [PASS, OVER, BOXED]);
        assert_eq!(shown(gate), ["192.0.2.0/24"]);
        assert_eq!(reasons(gate, &ping("192.0.2.2"), 1), [BOXED]);
        let third = from_hardware(ping("192.0.2.3"), OTHER_MAC);
        assert_eq!(reasons(gate, &third, 1), [OVER]);
        // A gateway never, whatever it shares a prefix and hardware with.
        assert_eq!(reasons(gate, &ping("192.0.2.254"), 2), [OVER; 2]);
    });
}

#[test]
fn without_a_mirror_that_is_true_nobody_is_boxed_and_who_is_stays() {
    gate(&policy("icmpv4", "after = 1, time = \"60s\"", ""), |gate| {
        assert_eq!(reasons(gate, &ping("192.0.2.1"), 3), [PASS, OVER, BOXED]);
        gate.instance().maps().mirror().expire().expect("written");
        assert!(!gate.instance().maps().mirror().is_fresh().expect("readable"));
        assert_eq!(reasons(gate, &ping("192.0.2.2"), 3), [PASS, OVER, OVER]);
        let mut expected = Stats { boxed: 1, ..Stats::default() };
        expected.refused[refusal::STALE as usize] = 2;
        assert_eq!(stats(gate), expected);
        assert_eq!(reasons(gate, &ping("192.0.2.1"), 1), [BOXED]);
        // It is said for a time that it is true, and is so no longer.
        gate.instance().maps().mirror().renew(Duration::from_secs(2)).expect("written");
        assert_eq!(reasons(gate, &ping("192.0.2.2"), 2), [OVER, BOXED]);
        sleep(Duration::from_millis(2010));
        assert_eq!(reasons(gate, &from_hardware(ping("192.0.2.3"), OTHER_MAC), 2), [PASS, OVER]);
        expected.refused[refusal::STALE as usize] += 1;
        expected.boxed += 1;
        assert_eq!(stats(gate), expected);
    });
}

#[test]
fn exempt_zones_are_limited_and_never_boxed() {
    let zones =
        "[zones]\nmonitors = [\"192.0.2.2\", \"192.0.2.128/25\"]\nothers = [\"10.0.0.0/8\"]";
    let penalty = "after = 1, time = \"60s\", exempt = [\"monitors\"]";
    gate(&policy("icmpv4", penalty, zones), |gate| {
        // It is one rule, and its limits are the same ones.
        assert_eq!(reasons(gate, &ping("192.0.2.2"), 6)[1..], [OVER; 5]);
        assert_eq!((boxed(gate), stats(gate)), (vec![], Stats::default()));
        assert_eq!(reasons(gate, &ping("192.0.2.1"), 3), [PASS, OVER, BOXED]);
        assert_eq!(at_the_limit(gate), (2, 6));
        // Who is exempted while boxed is let out by the policy.
        let all = zones.replace("192.0.2.2\"", "192.0.2.1\", \"192.0.2.2\"");
        gate.apply(&policy("icmpv4", penalty, &all));
        assert_eq!(reasons(gate, &ping("192.0.2.1"), 2), [OVER; 2]);
    });
}

#[test]
fn a_full_table_boxes_nobody_new_and_is_counted() {
    let addresses: Vec<Ipv4Addr> =
        (0..=SOURCES as u32).map(|n| Ipv4Addr::from(0xc000_0000 + n + 1)).collect();
    // Behind one gateway there can be more of them than neighbours.
    let tables = Tables {
        neighbours: vec![neighbour("192.0.2.254", INDEX, MAC)],
        routes: vec![line("0.0.0.0/0", &[(INDEX, Some("192.0.2.254"))])],
    };
    let penalty = "after = 2, time = \"60s\", off-link = true";
    // So many keys that none of these goes without a bucket of its own.
    let keys = "[limits]\nkeys = 1048576";
    gate_with(&policy("icmpv4", penalty, keys), &tables, |gate| {
        let mut send = |address: &Ipv4Addr| gate.send(&ping(&address.to_string())).reason();
        let (last, fitting) = addresses.split_last().expect("some");
        assert_eq!(send(&fitting[0]), PASS);
        assert_eq!([send(&fitting[0]), send(&fitting[0])], [OVER, OVER]);
        for address in &fitting[1..] {
            assert_eq!([send(address), send(address)], [PASS, OVER]);
        }
        assert_eq!([(); 4].map(|()| send(last)), [PASS, OVER, OVER, OVER]);
        // Who is in stays in.
        assert_eq!(send(&fitting[0]), BOXED);
        gate.settle();
        assert_eq!(stats(gate), Stats { boxed: 1, full: 3, ..Stats::default() });
        let penalty = gate.instance().maps().penalty();
        assert_eq!(penalty.entries().expect("readable").len(), SOURCES);
        // Nothing is over yet; a place that is free is taken.
        penalty.sweep().expect("written");
        assert_eq!(penalty.entries().expect("readable").len(), SOURCES);
        assert_eq!(penalty.release(|_| true).expect("written").len(), 1);
        assert_eq!(reasons(gate, &ping(&last.to_string()), 3), [OVER, OVER, BOXED]);
    });
}

#[test]
fn who_is_released_begins_anew() {
    gate(&policy("icmpv4", "after = 2, time = \"2s\"", ""), |gate| {
        for source in ["192.0.2.1", "192.0.2.2"] {
            assert_eq!(reasons(gate, &ping(source), 4), [PASS, OVER, OVER, BOXED], "{source}");
        }
        let only = |b: &BoxedSource| b.prefix().to_string() == "192.0.2.1/32";
        let released = gate.instance().maps().penalty().release(only).expect("written");
        assert_eq!(released.iter().map(|r| r.dropped).collect::<Vec<_>>(), [1]);
        assert_eq!(shown(gate), ["192.0.2.2/32"]);
        assert_eq!(reasons(gate, &ping("192.0.2.1"), 3), [OVER, OVER, BOXED]);
        assert_eq!(reasons(gate, &ping("192.0.2.2"), 1), [BOXED]);
        // What is over is swept away, what isn't stays.
        let penalty = gate.instance().maps().penalty();
        penalty.sweep().expect("written");
        assert_eq!(penalty.entries().expect("readable").len(), 2);
        sleep(Duration::from_millis(2010));
        penalty.sweep().expect("written");
        assert_eq!(penalty.entries().expect("readable"), []);
    });
}

#[test]
fn another_policy_keeps_who_its_rule_still_boxes() {
    let text = policy("icmpv4", "after = 1, time = \"60s\"", "");
    gate(&text, |gate| {
        assert_eq!(reasons(gate, &ping("192.0.2.1"), 3), [PASS, OVER, BOXED]);
        gate.apply(
            &(text.clone() + "[[rule]]\nname = \"a\"\nfamily = \"igmp\"\naction = \"drop\"\n"),
        );
        assert_eq!(reasons(gate, &ping("192.0.2.1"), 1), [BOXED]);
        // Without the penalty it is out, and stays out when that comes back.
        let lines = text.lines().filter(|line| !line.starts_with("penalty"));
        let without = lines.map(|line| format!("{line}\n")).collect::<String>();
        gate.apply(&without);
        assert!(!gate.instance().maps().mirror().wanted().expect("readable").penalty);
        assert_eq!(reasons(gate, &ping("192.0.2.1"), 1), [OVER]);
        assert_eq!(boxed(gate), []);
        gate.apply(&text);
        assert_eq!(reasons(gate, &ping("192.0.2.1"), 2), [OVER, BOXED]);
        // Another limit is another rule to the box.
        gate.apply(&text.replace("burst = 1", "burst = 2"));
        assert_eq!(reasons(gate, &ping("192.0.2.1"), 2), [PASS, PASS]);
        assert_eq!(boxed(gate), []);
    });
}

#[test]
fn what_another_limit_refuses_is_no_offence() {
    let text = policy("icmpv4", "after = 1, time = \"60s\"", "").replace(
        "limit = {",
        "limits = [{ rate = 1, burst = 1, every = \"hour\", key = \"destination\" }, {",
    );
    let text = text.replace("key = \"source\" }", "key = \"source\", prefix-v4 = 32 }]");
    gate(&text, |gate| {
        // The destination's comes first, and is spent.
        assert_eq!(reasons(gate, &ping("192.0.2.1"), 4), [PASS, OVER, OVER, OVER]);
        assert_eq!((boxed(gate), stats(gate)), (vec![], Stats::default()));
        // To another the source's own is met, which is the second by key.
        let other: Vec<u8> = Ipv4::between("192.0.2.1", "198.51.100.2").icmp(echo(8)).into();
        assert_eq!(reasons(gate, &other, 2), [OVER, BOXED]);
        assert_eq!(reasons(gate, &ping("192.0.2.1"), 1), [BOXED]);
    });
}

#[test]
fn an_observed_rule_says_whom_it_would_box_and_drops_nothing() {
    let text = policy("icmpv4", "after = 1, time = \"60s\"", "") + "mode = \"observe\"\n";
    gate(&text, |gate| {
        let seen: Vec<String> =
            (0..3).map(|_| gate.run(&ping("192.0.2.1"))).map(|s: Seen| s.to_string()).collect();
        let what = "icmpv4 8/0 good -> pass (observed)";
        assert_eq!(
            seen,
            [
                format!("{what} within-limit by echo"),
                format!("{what} over-limit by echo"),
                format!("{what} penalty-box by echo"),
            ]
        );
    });
}
