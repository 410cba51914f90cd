//! Rows L1 and L2: what shares a bucket, what one sender can do to another, and what a flood of
//! spoofed sources can't.

use icmp_common::{
    abi::{CellStats, limit_key, local},
    verdict::{Reason, Verdict},
};
use icmpgate::datapath::{CounterEntry, LimitEntry, Program};
use icmpgate_tests::{
    Gate, Ipv4, Ipv6, Message, in_vm,
    message::{echo, error_v4, error_v6},
};
use std::{
    net::Ipv4Addr,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

const HERE: &str = "198.51.100.1";
const HERE6: &str = "2001:db8:2::1";

/// A policy with one rule on echo requests of a family, with these limits.
fn limited(family: &str, limits: &str) -> String {
    format!(
        "profile = \"host\"\n[[rule]]\nname = \"limited\"\nfamily = \"{family}\"\n\
         type = \"echo-request\"\naction = \"limit\"\nlimits = [{limits}]\n"
    )
}

fn ping(from: &str) -> Vec<u8> {
    Ipv4::between(from, HERE).icmp(echo(8)).into()
}

fn ping6(from: &str) -> Vec<u8> {
    Ipv6::between(from, HERE6).icmp(echo(128)).into()
}

/// How many of some frames pass; the rest must be dropped for one reason.
fn passed(gate: &mut Gate, frames: impl IntoIterator<Item = Vec<u8>>, beyond: Reason) -> usize {
    let mut passed = 0;
    for frame in frames {
        let seen = gate.send(&frame);
        match seen.verdict() {
            Verdict::Pass => {
                assert_eq!(seen.reason(), Reason::WITHIN_LIMIT, "{seen}");
                passed += 1;
            }
            _ => assert_eq!(seen.reason(), beyond, "{seen}"),
        }
    }
    gate.settle();
    passed
}

fn times(frame: &[u8], n: usize) -> impl Iterator<Item = Vec<u8>> {
    std::iter::repeat_n(frame.to_vec(), n)
}

fn stats(gate: &mut Gate) -> CellStats {
    gate.instance().maps().cell_stats().expect("readable")
}

/// The limits of a rule, those in total first.
fn limits_of(gate: &mut Gate, rule: &str) -> Vec<LimitEntry> {
    let name = |entry: &LimitEntry| {
        let end = entry.info.rule.iter().position(|o| *o == 0).expect("padded");
        String::from_utf8_lossy(&entry.info.rule[..end]).into_owned()
    };
    let mut limits = gate.instance().maps().limits().expect("readable");
    limits.retain(|entry| name(entry) == rule);
    limits.sort_by_key(|entry| entry.info.key);
    limits
}

const BY_SOURCE: &str = r#"{ rate = 1, burst = 3, every = "hour", key = "source" }"#;

#[test]
fn each_source_has_a_bucket_of_its_own() {
    let mut gate = Gate::new(&limited("icmpv4", BY_SOURCE));
    for n in 1..=50 {
        let from = format!("192.0.2.{n}");
        assert_eq!(passed(&mut gate, times(&ping(&from), 5), Reason::OVER_LIMIT), 3, "{from}");
    }
    // What was counted at the limit is what was counted at the exit.
    let [entry] = limits_of(&mut gate, "limited")[..] else { panic!("one limit") };
    assert_eq!((entry.count.passed, entry.count.refused), (150, 100));
    assert_eq!((entry.info.key, entry.info.rate, entry.info.burst), (limit_key::SOURCE, 1, 3));
    assert_eq!((stats(&mut gate).taken, stats(&mut gate).full), (50, 0));
}

/// One row of [`who_shares_a_bucket`]: a name, the limit, packets of which the first two share a
/// bucket and the third has another.
type Sharing<'a> = (&'a str, &'a str, [Vec<u8>; 3]);

#[test]
fn who_shares_a_bucket() {
    let key = |key: &str| format!("{{ rate = 1, burst = 1, every = \"hour\", {key} }}");
    let (by_24, by_56) =
        (key("key = \"source\", prefix-v4 = 24"), key("key = \"source\", prefix-v6 = 56"));
    let by_128 = key("key = \"source\", prefix-v6 = 128");
    let (source, destination) = (key("key = \"source\""), key("key = \"destination\""));
    let all = key("key = \"source\", prefix-v4 = 0");
    let to = |to: &str| -> Vec<u8> { Ipv4::between("192.0.2.1", to).icmp(echo(8)).into() };
    let from_hardware = |last: u8| {
        let mut frame = ping("0.0.0.0");
        frame[11] = last;
        frame
    };
    let from_hardware6 = |last: u8| {
        let mut frame = ping6("::");
        frame[11] = last;
        frame
    };
    let cases: Vec<Sharing<'_>> = vec![
        ("a host", &source, [ping("192.0.2.1"), ping("192.0.2.1"), ping("192.0.2.2")]),
        ("a /24", &by_24, [ping("192.0.2.1"), ping("192.0.2.200"), ping("192.0.3.1")]),
        (
            "an IPv6 /64 behind a router",
            &source,
            [ping6("2001:db8:1:2::1"), ping6("2001:db8:1:2:3::9"), ping6("2001:db8:1:3::1")],
        ),
        (
            "an IPv6 /56",
            &by_56,
            [ping6("2001:db8:1:200::1"), ping6("2001:db8:1:2ff::1"), ping6("2001:db8:1:300::1")],
        ),
        (
            "an IPv6 host, where all bits are asked for",
            &by_128,
            [ping6("2001:db8:1:2::1"), ping6("2001:db8:1:2::1"), ping6("2001:db8:1:2::2")],
        ),
        ("a link-local host", &source, [ping6("fe80::1"), ping6("fe80::1"), ping6("fe80::2")]),
        (
            "a host on a network of this machine",
            &source,
            [ping6("2001:db8:aa::1"), ping6("2001:db8:aa::1"), ping6("2001:db8:aa::2")],
        ),
        (
            "a host on a shorter network of this machine",
            &source,
            [ping6("2001:db8:bb00:1::1"), ping6("2001:db8:bb00:1::1"), ping6("2001:db8:bb00:1::2")],
        ),
        (
            "hardware without an IPv4 address",
            &source,
            [from_hardware(1), from_hardware(1), from_hardware(2)],
        ),
        (
            "hardware without an IPv6 address",
            &source,
            [from_hardware6(1), from_hardware6(1), from_hardware6(2)],
        ),
        (
            "a destination",
            &destination,
            [to("198.51.100.1"), to("198.51.100.1"), to("198.51.100.2")],
        ),
    ];
    for (name, limit, [one, alike, other]) in cases {
        let family = if one[12..14] == [0x86, 0xdd] { "icmpv6" } else { "icmpv4" };
        let mut gate = Gate::new(&limited(family, limit));
        let on_link = ["2001:db8:aa::/64", "2001:db8:bb00::/40"];
        let on_link: Vec<_> = on_link.iter().map(|net| net.parse().expect("a prefix")).collect();
        assert_eq!(gate.instance().maps().set_on_link(&on_link).expect("written"), 0);
        let verdicts = [one, alike, other].map(|frame| gate.run(&frame).verdict());
        let expected = [Verdict::Pass, Verdict::Drop, Verdict::Pass];
        assert_eq!(verdicts, expected, "{name}");
    }
    // All of IPv4, by a prefix of no bits.
    let mut gate = Gate::new(&limited("icmpv4", &all));
    assert_eq!(gate.run(&ping("192.0.2.1")).verdict(), Verdict::Pass);
    assert_eq!(gate.run(&ping("10.9.8.7")).verdict(), Verdict::Drop);
}

#[test]
fn two_limits_by_key_are_both_asked() {
    let by_link = r#"{ rate = 1, burst = 10, every = "hour", key = "link" }"#;
    let mut gate = Gate::new(&limited("icmpv4", &format!("{BY_SOURCE}, {by_link}")));
    let from = |n: usize| ping(&format!("192.0.2.{n}"));
    assert_eq!(passed(&mut gate, times(&from(1), 5), Reason::OVER_LIMIT), 3);
    let others = (2..20).map(from);
    assert_eq!(passed(&mut gate, others, Reason::OVER_LIMIT), 7, "ten on the link");
    let [source, link] = limits_of(&mut gate, "limited")[..] else { panic!("two limits") };
    assert_eq!((source.count.passed, source.count.refused), (3 + 18, 2));
    assert_eq!((link.count.passed, link.count.refused), (10, 11));
}

/// Limits of a source and in total, neither of which anything comes back to in a test's time.
fn source_and_total(source: u32, total: u32) -> String {
    format!(
        "{{ rate = 1, burst = {source}, every = \"hour\", key = \"source\" }},
         {{ rate = 1, burst = {total}, every = \"hour\", random = false }}"
    )
}

/// What a source sends beyond its own limit draws on no total.
#[test]
fn one_source_does_not_starve_another() {
    let mut gate = Gate::new(&limited("icmpv4", &source_and_total(5, 200)));
    assert_eq!(passed(&mut gate, times(&ping("10.0.0.1"), 5000), Reason::OVER_LIMIT), 5);
    for n in 1..=19 {
        let from = format!("192.0.2.{n}");
        assert_eq!(passed(&mut gate, times(&ping(&from), 5), Reason::OVER_LIMIT), 5, "{from}");
    }
    let [total, source] = limits_of(&mut gate, "limited")[..] else { panic!("two limits") };
    assert_eq!((total.count.passed, total.count.refused), (100, 0));
    assert_eq!((source.count.passed, source.count.refused), (100, 4995));
}

/// Strangers get three quarters of a total while someone who was there before draws on it.
#[test]
fn a_quarter_of_a_total_is_for_those_who_were_there_before() {
    let mut gate = Gate::new(&limited("icmpv4", &source_and_total(50, 100)));
    let known = ping("192.0.2.1");
    assert_eq!(passed(&mut gate, times(&known, 2), Reason::OVER_LIMIT), 2);
    let (mut of_strangers, mut of_known) = (0, 2);
    // All within a second of the known one's last packet, also on an emulated processor.
    let passes = |gate: &Gate, frame: &[u8]| {
        usize::from(gate.shared().run(Program::Ingress, frame, 1).expect("it runs").action == 2)
    };
    for n in 0..165u32 {
        let stranger = ping(&Ipv4Addr::from(0x0a00_0000 + n).to_string());
        of_strangers += passes(&gate, &stranger);
        if n % 5 == 4 {
            of_known += passes(&gate, &known);
        }
    }
    assert_eq!(of_known, 35, "all that it sent");
    // 75 less what the known one had sent by then.
    assert!((60..=65).contains(&of_strangers), "{of_strangers}");
    // Nor is a total larger for those that are known.
    let rest: usize = (0..15).map(|_| passes(&gate, &known)).sum();
    assert_eq!(of_strangers + of_known + rest, 100);
}

/// To have a cell is not to be established: who came after the half was spent waits with the strangers.
#[test]
fn who_has_a_cell_and_is_no_old_acquaintance_leaves_the_last_quarter() {
    let gate = Gate::new(&limited("icmpv4", &source_and_total(50, 100)));
    let passes = |from: u32| {
        let frame = ping(&Ipv4Addr::from(from).to_string());
        gate.shared().run(Program::Ingress, &frame, 1).expect("it runs").action == 2
    };
    const KNOWN: u32 = 0xc000_0201;
    const LATE: u32 = 0x0b00_0001;
    assert!(passes(KNOWN) && passes(KNOWN));
    assert!((0..50).all(|n| passes(0x0a00_0000 + n)), "half of it, and a little");
    assert!(passes(LATE) && passes(LATE), "there is room for strangers");
    assert!((50..70).all(|n| passes(0x0a00_0000 + n)), "all but the last quarter");
    assert!(passes(KNOWN), "75");
    assert!(!passes(LATE), "its own limit isn't spent, and it has no share of the last quarter");
    assert!(passes(KNOWN));
}

#[test]
fn two_limits_in_total_are_both_asked() {
    let limits = r#"{ rate = 1, burst = 5, every = "hour", random = false },
        { rate = 1, burst = 3, every = "hour", random = false }"#;
    let mut gate = Gate::new(&limited("icmpv4", limits));
    let all = (1..=10).map(|n| ping(&format!("192.0.2.{n}")));
    assert_eq!(passed(&mut gate, all, Reason::OVER_LIMIT), 3);
    let [five, three] = limits_of(&mut gate, "limited")[..] else { panic!("two limits") };
    assert_eq!((five.count.passed, five.count.refused), (3, 0));
    assert_eq!((three.count.passed, three.count.refused), (3, 7));
}

/// A random charge may put a bucket further ahead than its burst: of a slow limit by hours, which is no
/// clock that jumped.
#[test]
fn a_slow_total_that_is_random_gives_nothing_back() {
    const RULES: u8 = 100;
    let rule = |code: u8| {
        format!(
            "[[rule]]\nname = \"r{code}\"\nfamily = \"icmpv4\"\ntype = 200\ncode = {code}\n\
             action = \"limit\"\nlimit = {{ rate = 1, burst = 1, every = \"hour\" }}\n"
        )
    };
    let rules: String = (0..RULES).map(rule).collect();
    let mut gate = Gate::new(&format!("profile = \"host\"\n{rules}"));
    let mut passed = 0;
    for code in 0..RULES {
        let frame: Vec<u8> = Ipv4::between("192.0.2.1", HERE).icmp(Message::new(200, code)).into();
        passed += (0..1000).take_while(|_| gate.send(&frame).verdict() == Verdict::Pass).count();
    }
    gate.settle();
    // A packet that isn't charged passes, and one more: 1.5 of each in the mean, with a deviation of 0.87.
    assert!((90..=215).contains(&passed), "{passed}");
}

/// What a total has no room for makes no cell, so a flood doesn't churn the table.
#[test]
fn beyond_a_total_no_source_is_remembered() {
    let mut gate = Gate::new(&limited("icmpv4", &source_and_total(5, 100)));
    let spoofed = (0..5000u32).map(|n| ping(&Ipv4Addr::from(0x0a00_0000 + n).to_string()));
    assert_eq!(passed(&mut gate, spoofed, Reason::OVER_LIMIT), 100);
    assert_eq!((stats(&mut gate).taken, stats(&mut gate).full), (100, 0));
}

#[test]
fn a_full_table_falls_back_to_one_bucket_and_is_counted() {
    let text = limited("icmpv4", BY_SOURCE) + "[limits]\nkeys = 1024\n";
    let mut gate = Gate::new(&text);
    assert_eq!(gate.instance().maps().cell_sets(), 256);
    let from = |n: u32| ping(&Ipv4Addr::from(0x0a00_0000 + n).to_string());
    let strangers = 8000;
    let passed = passed(&mut gate, (0..strangers).map(from), Reason::OVER_LIMIT) as u64;
    let after = stats(&mut gate);
    assert!((1000..=1024).contains(&after.taken), "nearly every cell is taken: {after:?}");
    assert_eq!(after.full, u64::from(strangers) - after.taken);
    // Those without a cell share one bucket of three, and what they are charged is random.
    assert!((after.taken + 1..=after.taken + 30).contains(&passed), "{passed}, {after:?}");
}

#[test]
fn a_reload_leaves_what_sources_have_spent() {
    let mut gate = Gate::new(&limited("icmpv4", BY_SOURCE));
    assert_eq!(passed(&mut gate, times(&ping("192.0.2.1"), 2), Reason::OVER_LIMIT), 2);
    gate.apply(
        &(limited("icmpv4", BY_SOURCE)
            + "[[rule]]\nname = \"a\"\nfamily = \"igmp\"\naction = \"drop\"\n"),
    );
    assert_eq!(passed(&mut gate, times(&ping("192.0.2.1"), 5), Reason::OVER_LIMIT), 1);
    let [entry] = limits_of(&mut gate, "limited")[..] else { panic!("one limit") };
    assert_eq!((entry.count.passed, entry.count.refused), (3, 4), "its counters go on");
    // Another limit is another bucket for each.
    gate.apply(&limited("icmpv4", &BY_SOURCE.replace("burst = 3", "burst = 4")));
    assert_eq!(passed(&mut gate, times(&ping("192.0.2.1"), 6), Reason::OVER_LIMIT), 4);
}

#[test]
fn a_reserve_has_a_reason_of_its_own() {
    let reserve = r#"{ rate = 1, burst = 2, every = "hour", reserve = true, random = false }"#;
    let mut gate = Gate::new(&limited("icmpv4", reserve));
    assert_eq!(passed(&mut gate, times(&ping("192.0.2.1"), 5), Reason::RESERVE_EXCEEDED), 2);
}

/// How many sources a flood has, a power of two: a million, or what an emulated processor can do.
fn sweep() -> u32 {
    if in_vm() { 1 << 14 } else { 1 << 20 }
}

/// Row L2, with the profile `host`: ten sources that were there before a flood of a million spoofed
/// ones lose nothing of what they send, and what is reserved is there all the while.
fn a_flood_of_spoofed_sources(
    good: impl Fn(u32) -> Vec<u8>,
    spoofed: &[u8],
    reserved: &[u8],
    discovery: &[u8],
) {
    let mut gate = Gate::profile(icmpgate::policy::Profile::Host);
    gate.local(&[(HERE, local::UNICAST), (HERE6, local::UNICAST)]);
    let passes = |gate: &Gate, frame: &[u8]| {
        gate.shared().run(Program::Ingress, frame, 1).expect("it runs").action == 2
    };
    for _ in 0..3 {
        (0..10).for_each(|n| assert!(passes(&gate, &good(n)), "before the flood"));
    }
    gate.instance().sweep(sweep(), Program::Ingress).expect("it can be set");
    // As fast as this machine can; meanwhile the others send from another processor, fewer than each may.
    let done = AtomicBool::new(false);
    let (mut lost, mut pmtud, mut neighbours) = (0, 0, 0);
    let mut rounds = 0u64;
    std::thread::scope(|scope| {
        let flood = scope.spawn(|| {
            for _ in 0..16 {
                gate.shared().run(Program::Sweep, spoofed, sweep() / 16).expect("it runs");
            }
            done.store(true, Ordering::Relaxed);
        });
        while !done.load(Ordering::Relaxed) {
            lost += (0..10).filter(|n| !passes(&gate, &good(*n))).count();
            pmtud += usize::from(!passes(&gate, reserved));
            neighbours += usize::from(!passes(&gate, discovery));
            rounds += 1;
            std::thread::sleep(Duration::from_millis(12));
        }
        flood.join().expect("it floods");
    });
    let counted = |gate: &Gate, reason: Reason| -> u64 {
        let entries = gate.shared().counters().expect("readable").entries;
        let of = |e: &&CounterEntry| e.outcome.reason() == reason;
        entries.iter().filter(of).map(|e| e.count.packets).sum()
    };
    let (within, over) = (Reason::WITHIN_LIMIT, Reason::OVER_LIMIT);
    let (within, over) = (counted(&gate, within), counted(&gate, over));
    let state = stats(&mut gate);
    println!(
        "{within} within limits, {over} beyond, {lost} of the ten's {} lost, {state:?}",
        10 * rounds
    );
    let others = 30 + rounds * 12;
    assert_eq!(within + over, u64::from(sweep()) + others, "each is counted once");
    if !in_vm() {
        assert!(within - others < u64::from(sweep()) / 4, "the total cut the flood: {within}");
    }
    assert_eq!(
        (lost, pmtud, neighbours),
        (0, 0, 0),
        "of the ten, of path MTU discovery, of neighbours"
    );
    // Nothing grew: what the total refused made no cell. Of thousands that come at once, a few may meet in
    // a set.
    assert!(state.taken <= within && state.full <= 10, "{state:?}");
}

#[test]
fn a_million_spoofed_sources_take_nothing_from_ten() {
    a_flood_of_spoofed_sources(
        |n| ping(&format!("192.0.2.{}", n + 1)),
        &Vec::from(Ipv4::between("10.0.0.1", HERE).icmp(echo(8))),
        &Vec::from(Ipv4::between("192.0.2.1", HERE).icmp(error_v4(3, 4, 1400))),
        &Vec::from(neighbour_solicitation()),
    );
}

#[test]
fn a_million_spoofed_ipv6_sources_take_nothing_from_ten() {
    a_flood_of_spoofed_sources(
        |n| ping6(&format!("2001:db8:1:{n:x}::1")),
        &ping6("2001:db8::1"),
        &Vec::from(Ipv6::between("2001:db8:1::1", HERE6).icmp(error_v6(2, 0, 1400))),
        &Vec::from(neighbour_solicitation()),
    );
}

fn neighbour_solicitation() -> Ipv6 {
    Ipv6::between("fe80::1", HERE6).hop_limit(255).icmp(Message::new(135, 0).zeros(24))
}

/// Neighbour discovery has a total by link, and the gateway is outside it.
#[test]
fn the_gateway_is_outside_the_total_of_its_link() {
    let text = r#"
        profile = "host"
    "#;
    let mut gate = Gate::new(text);
    gate.local(&[("fe80::1", local::GATEWAY)]);
    let from = |from: &str| -> Vec<u8> {
        Ipv6::between(from, HERE6).hop_limit(255).icmp(Message::new(135, 0).zeros(24)).into()
    };
    // 10,000 a second on the link, 200 at once of a source: 60 sources spend it.
    let sources: Vec<Vec<u8>> = (0..80).map(|n| from(&format!("fe80::1:{n:x}"))).collect();
    let passed = (0..200).map(|_| {
        sources
            .iter()
            .filter(|f| gate.shared().run(Program::Ingress, f, 1).expect("it runs").action == 2)
            .count()
    });
    let passed: usize = passed.sum();
    // An emulated processor doesn't send more than the rate.
    assert!((10_000..15_900).contains(&passed) || in_vm(), "{passed}");
    for n in 0..200 {
        let run = gate.shared().run(Program::Ingress, &from("fe80::1"), 1).expect("it runs");
        assert_eq!(run.action, 2, "packet {n} of the gateway");
    }
}
