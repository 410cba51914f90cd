//! Row G2, as a share of bandwidth: what passes of a flood is that share of the interface's speed,
//! whatever that is, and what draws on a share is kept apart as on any total.

use icmp_common::{
    abi::{CellStats, limit_key, local, origin::GENERATED},
    share::{Share, Speed},
    verdict::{Reason, Verdict},
};
use icmpgate::datapath::{Endpoint, LimitEntry, Program};
use icmpgate_tests::{
    Gate, Ipv4, Message, in_vm,
    message::{echo, error_v4},
    repetitions,
};
use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

const HERE: &str = "198.51.100.1";

/// Of 1 Mbit/s, 140 bit/s: 1,050 octets in a minute, and 104 in six seconds.
const SHARE: &str = r#"{ share = "0.014%", burst = "60s", random = false }"#;
/// The octets of the frames that are sent: ten of them are within [`SHARE`] of 1 Mbit/s.
const OCTETS: usize = 104;

/// A policy with one rule on a hook, with these limits.
fn limited(hook: &str, limits: &str) -> String {
    format!(
        "profile = \"host\"\n[[rule]]\nname = \"limited\"\nhook = \"{hook}\"\n\
         family = \"icmpv4\"\ntype = 8\naction = \"limit\"\nlimits = [{limits}]\n"
    )
}

fn ping_of(from: &str, octets: usize) -> Vec<u8> {
    let message = Message::new(8, 0).zeros(octets - 14 - 20);
    let frame: Vec<u8> = Ipv4::between(from, HERE).icmp(message).into();
    assert_eq!(frame.len(), octets);
    frame
}

fn ping(from: &str) -> Vec<u8> {
    ping_of(from, OCTETS)
}

fn set_speed(gate: &mut Gate, speed: Speed) {
    gate.endpoint(&Endpoint { speed, ..Endpoint::default() });
}

/// A gate on an interface of so many Mbit/s.
fn gate_at(text: &str, mbit: u32) -> Gate {
    let mut gate = Gate::new(text);
    set_speed(&mut gate, Speed(mbit));
    gate
}

/// How many of some frames pass at a hook; the rest must be dropped for one reason.
fn passed_at(
    gate: &mut Gate,
    hook: &str,
    frames: impl IntoIterator<Item = Vec<u8>>,
    beyond: Reason,
) -> usize {
    let mut passed = 0;
    for frame in frames {
        let seen = match hook {
            "ingress" => gate.send(&frame),
            _ => gate.send_egress(GENERATED, &frame),
        };
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

fn passed(gate: &mut Gate, frames: impl IntoIterator<Item = Vec<u8>>) -> usize {
    passed_at(gate, "ingress", frames, Reason::OVER_LIMIT)
}

fn times(frame: &[u8], n: usize) -> impl Iterator<Item = Vec<u8>> + use<> {
    std::iter::repeat_n(frame.to_vec(), n)
}

/// The limits of the rule, those in total first, then by source, then shares.
fn limits(gate: &mut Gate) -> Vec<LimitEntry> {
    let mut limits = gate.instance().maps().limits().expect("readable");
    limits.retain(|entry| entry.info.rule.starts_with(b"limited\0"));
    limits.sort_by_key(|entry| entry.info.key);
    limits
}

/// Packets within and beyond a limit.
fn count(entry: &LimitEntry) -> (u64, u64) {
    (entry.count.passed, entry.count.refused)
}

fn stats(gate: &mut Gate) -> CellStats {
    gate.instance().maps().cell_stats().expect("readable")
}

#[test]
fn a_share_is_of_the_speed_of_the_interface_at_both_hooks() {
    for hook in ["ingress", "egress"] {
        for (mbit, octets, within) in [
            (1, OCTETS, 10),
            (2, OCTETS, 20),
            (5, OCTETS, 50),
            (1, 2 * OCTETS, 5),
            (5, 1040, 5),
            // The most that fits.
            (1, 1050, 1),
        ] {
            let mut gate = gate_at(&limited(hook, SHARE), mbit);
            let frames = times(&ping_of("192.0.2.1", octets), 70);
            let passed = passed_at(&mut gate, hook, frames, Reason::OVER_LIMIT);
            assert_eq!(passed, within, "{hook}, {mbit} Mbit/s, {octets} octets");
            // What was counted at the limit is what was counted at the exit.
            let [share] = limits(&mut gate)[..] else { panic!("one limit") };
            assert_eq!(count(&share), (within as u64, 70 - within as u64));
            assert_eq!((share.info.key, share.info.rate), (limit_key::LINK, 14));
            assert_eq!(stats(&mut gate), CellStats::default(), "no cell is made");
        }
    }
}

#[test]
fn where_the_speed_is_not_known_the_other_limits_of_the_rule_hold() {
    let alone = times(&ping("192.0.2.1"), 200);
    let mut gate = Gate::new(&limited("ingress", SHARE));
    assert_eq!(passed(&mut gate, alone), 200);
    let [share] = limits(&mut gate)[..] else { panic!("one limit") };
    assert_eq!(count(&share), (0, 0), "it was asked nothing");

    let others = |total: u32| {
        format!(
            "{SHARE}, {{ rate = 1, burst = {total}, every = \"hour\", random = false }},
             {{ rate = 1, burst = 3, every = \"hour\", key = \"source\" }}"
        )
    };
    gate.apply(&limited("ingress", &others(1000)));
    assert_eq!(passed(&mut gate, times(&ping("192.0.2.1"), 20)), 3);
    gate.apply(&limited("ingress", &others(30)));
    let spoofed = (0..40u32).map(|n| ping(&Ipv4Addr::from(0x0a00_0000 + n).to_string()));
    assert_eq!(passed(&mut gate, spoofed), 30);
    let [total, _, share] = limits(&mut gate)[..] else { panic!("three limits") };
    assert_eq!((count(&total), count(&share)), ((30, 10), (0, 0)));
    // Known, it holds beside them.
    set_speed(&mut gate, Speed(1));
    gate.apply(&limited("ingress", &others(31)));
    let spoofed = (0..40u32).map(|n| ping(&Ipv4Addr::from(0x0b00_0000 + n).to_string()));
    assert_eq!(passed(&mut gate, spoofed), 10);
}

#[test]
fn a_speed_that_changes_counts_from_the_next_packet_on() {
    let mut gate = gate_at(&limited("ingress", SHARE), 1);
    assert_eq!(passed(&mut gate, times(&ping("192.0.2.1"), 20)), 10);
    // What was spent is a time, and stays spent: nothing of a faster link is there yet.
    set_speed(&mut gate, Speed(100));
    assert!(passed(&mut gate, times(&ping("192.0.2.1"), 3)) <= 3);
    set_speed(&mut gate, Speed::UNKNOWN);
    assert_eq!(passed(&mut gate, times(&ping("192.0.2.1"), 20)), 20);
}

#[test]
fn the_speed_that_the_policy_gives_is_the_one_that_counts() {
    let said = |speed: &str| {
        format!("{}[interfaces.test0]\nspeed = \"{speed}\"\n", limited("ingress", SHARE))
    };
    let many = || times(&ping("192.0.2.1"), 70);
    // Where the driver says none, and where it says another.
    let mut gate = Gate::new(&said("1 Mbit/s"));
    assert_eq!(passed(&mut gate, many()), 10);
    let mut gate = gate_at(&said("2 Mbit/s"), 10_000);
    assert_eq!(passed(&mut gate, many()), 20);
    // That of the driver is noted meanwhile, and counts where a policy says none.
    let other = limited("ingress", SHARE).replace("60s", "59s");
    gate.apply(&other);
    assert_eq!(passed(&mut gate, many()), 70);
    // Of another interface it says nothing.
    let text = limited("ingress", SHARE) + "[interfaces.test1]\nspeed = \"1 Mbit/s\"\n";
    let mut gate = Gate::new(&text);
    assert_eq!(passed(&mut gate, many()), 70);
}

/// What a source sends beyond its own limit draws on no share, and what a share has no room for makes
/// no cell.
#[test]
fn a_share_is_drawn_on_as_a_total_is() {
    let by_source = r#"{ rate = 1, burst = 2, every = "hour", key = "source" }"#;
    // However they are written.
    for limits_of in [format!("{SHARE}, {by_source}"), format!("{by_source}, {SHARE}")] {
        let mut gate = gate_at(&limited("ingress", &limits_of), 1);
        assert_eq!(passed(&mut gate, times(&ping("192.0.2.1"), 50)), 2);
        let spoofed = (0..500u32).map(|n| ping(&Ipv4Addr::from(0x0a00_0000 + n).to_string()));
        let strangers = passed(&mut gate, spoofed);
        // A quarter is for the source that was there before.
        assert!((5..=8).contains(&strangers), "{strangers}");
        let [source, share] = limits(&mut gate)[..] else { panic!("two limits") };
        assert_eq!(source.info.key, limit_key::SOURCE);
        assert_eq!(share.count.passed, 2 + strangers as u64);
        assert!(stats(&mut gate).taken <= 1 + strangers as u64, "{:?}", stats(&mut gate));
    }
}

/// What it lets pass is no exact measure of what others sent.
#[test]
fn a_share_is_randomised_unless_it_is_told_otherwise() {
    let passes = |random: &str| {
        let share = format!("{{ share = \"0.14%\", burst = \"60s\"{random} }}");
        let mut gate = gate_at(&limited("ingress", &share), 1);
        passed(&mut gate, times(&ping("192.0.2.1"), 300))
    };
    let seen: Vec<usize> = (0..6).map(|_| passes("")).collect();
    // 100 in the mean, with a deviation of 8.
    assert!(seen.iter().all(|n| (50..=160).contains(n)), "{seen:?}");
    assert!(seen.iter().any(|n| *n != seen[0]), "{seen:?}");
    let exact: Vec<usize> = (0..2).map(|_| passes(", random = false")).collect();
    assert!(exact.iter().all(|n| (100..=102).contains(n)), "{exact:?}");
}

#[test]
fn a_burst_that_is_less_than_a_packet_lets_one_pass() {
    let share = r#"{ share = "0.001%", burst = "1ms", random = false }"#;
    for octets in [60, 1514] {
        let mut gate = gate_at(&limited("ingress", share), 1);
        assert_eq!(passed(&mut gate, times(&ping_of("192.0.2.1", octets), 20)), 1, "{octets}");
    }
}

/// A packet that passes though it is larger than the burst is paid for by those that follow, whatever
/// their size.
#[test]
fn small_packets_wait_for_what_a_large_one_spent() {
    let share = r#"{ share = "0.01%", burst = "10ms", random = false }"#;
    let mut gate = gate_at(&limited("ingress", share), 10);
    let turns = (0..100).flat_map(|_| [ping_of("192.0.2.1", 1514), ping_of("192.0.2.1", 60)]);
    // At 125 octets a second the first takes 12 s.
    assert_eq!(passed(&mut gate, turns), 1);
}

/// However much of a share is kept for those who were there before, a full bucket lets one packet pass.
#[test]
fn a_large_packet_of_a_stranger_finds_room_in_a_full_bucket() {
    let limits =
        r#"{ rate = 1000, burst = 1000, key = "source" }, { share = "0.5%", random = false }"#;
    let mut gate = gate_at(&limited("ingress", limits), 10);
    for n in 1..=3 {
        let known = ping_of("192.0.2.1", 60);
        assert_eq!(passed(&mut gate, times(&known, 2)), 2, "{n}");
        // 60 octets come back in 10 ms; 590 of the burst's 625 are more than three quarters.
        std::thread::sleep(Duration::from_millis(40));
        let large = ping_of(&format!("198.51.100.{n}"), 590);
        assert_eq!(passed(&mut gate, [large]), 1, "{n}");
        std::thread::sleep(Duration::from_millis(150));
    }
}

#[test]
fn a_reload_leaves_what_is_spent_of_a_share() {
    let text = limited("ingress", SHARE);
    let mut gate = gate_at(&text, 1);
    assert_eq!(passed(&mut gate, times(&ping("192.0.2.1"), 7)), 7);
    gate.apply(&(text.clone() + "[[rule]]\nname = \"x\"\nfamily = \"igmp\"\naction = \"drop\"\n"));
    assert_eq!(passed(&mut gate, times(&ping("192.0.2.1"), 7)), 3);
    let [share] = limits(&mut gate)[..] else { panic!("one limit") };
    assert_eq!(count(&share), (10, 4), "its counters go on");
    // Another share is another bucket, in which nothing of a former one is left.
    for other in ["0.028%", "0.042%", "0.014%"] {
        gate.apply(&text.replace("0.014%", other));
        let within = match other {
            "0.028%" => 20,
            "0.042%" => 30,
            _ => 10,
        };
        assert_eq!(passed(&mut gate, times(&ping("192.0.2.1"), 50)), within, "{other}");
    }
}

#[test]
fn a_share_can_be_a_reserve() {
    let reserve = SHARE.replace(" }", ", reserve = true }");
    let mut gate = gate_at(&limited("egress", &reserve), 1);
    let frames = times(&ping("192.0.2.1"), 20);
    assert_eq!(passed_at(&mut gate, "egress", frames, Reason::RESERVE_EXCEEDED), 10);
}

/// What the hook answers itself passes no egress program: its limits are its rule's.
#[test]
fn answers_are_held_to_a_share() {
    let text = limited("ingress", SHARE).replace("\"limit\"", "\"reject\"");
    let mut gate = Gate::new(&text);
    gate.local(&[(HERE, local::UNICAST)]);
    let addresses = vec!["198.51.100.1/24".parse().expect("a network")];
    let mtu = 1500;
    gate.endpoint(&Endpoint { addresses, mtu, speed: Speed(1), ..Endpoint::default() });
    let reasons: Vec<Reason> =
        times(&ping("198.51.100.2"), 20).map(|frame| gate.send(&frame).reason()).collect();
    gate.settle();
    assert!(reasons[..10].iter().all(|r| *r == Reason::REJECTED), "{reasons:?}");
    assert!(reasons[10..].iter().all(|r| *r == Reason::OVER_LIMIT), "{reasons:?}");
}

/// As [`SHARE`], of errors: the rule that RFC 1812 4.3.2.8 and RFC 4443 2.4(f) ask for.
#[test]
fn errors_that_are_sent_can_be_held_to_a_share() {
    let text = limited("egress", SHARE).replace("type = 8", "type = 3\norigin = \"generated\"");
    let mut gate = gate_at(&text, 1);
    let error: Vec<u8> = Ipv4::between(HERE, "192.0.2.1").icmp(error_v4(3, 3, 0)).into();
    // Less than one comes back in a second.
    let within = 1049 / error.len();
    let frames = times(&error, 3 * within);
    let passed = passed_at(&mut gate, "egress", frames, Reason::OVER_LIMIT);
    assert!((within..=within + 1).contains(&passed), "{passed} of {within}");
    let others = times(&Vec::from(Ipv4::between(HERE, "192.0.2.1").icmp(echo(0))), 50);
    let passing = others.filter(|f| gate.send_egress(GENERATED, f).verdict() == Verdict::Pass);
    assert_eq!(passing.count(), 50, "other messages don't draw on it");
    gate.settle();
}

/// As fast as this machine can, what passes is within 2 % of share x speed x time. A machine that is
/// busy with something else may measure a flood wrongly; one of three counts.
#[test]
fn what_passes_of_a_flood_is_the_share_of_the_speed() {
    for (mbit, share) in
        [(10, 100_000), (1_000, 10_000), (10_000, 5_000), (100_000, 1_000), (400_000, 250)]
    {
        let mut tries = Vec::new();
        loop {
            let off = flood(mbit, Share(share));
            if off.abs() <= 0.02 {
                break;
            }
            tries.push(off);
            assert!(tries.len() < 3, "{} of {mbit} Mbit/s is off by {tries:.4?}", Share(share));
        }
    }
}

/// By how much what passes of a flood is off, once the burst is spent.
fn flood(mbit: u32, share: Share) -> f64 {
    // What comes back between the two runs isn't to fill the burst, or it would be lost: the kernel
    // takes some milliseconds before and after it runs a program, on some machines a hundred.
    let text = format!("{{ share = \"{share}\", burst = \"1s\", random = false }}");
    let mut gate = gate_at(&limited("ingress", &text), mbit);
    let frame = ping_of("192.0.2.1", 1514);
    let mut run = |frames: usize| {
        let frames = repetitions(frames) as u32;
        gate.shared().run(Program::Ingress, &frame, frames).expect("it runs");
        let at = Instant::now();
        let [entry] = limits(&mut gate)[..] else { panic!("one limit") };
        (at, entry.count)
    };
    // Until the burst is spent, which an emulated machine, with fewer frames, takes some runs for.
    let mut spent = run(400_000);
    for _ in 0..20 {
        if spent.1.refused == 0 {
            spent = run(400_000);
        }
    }
    // Long enough that the milliseconds between a run's end and the reading of the clock, some twenty
    // where a machine is emulated, are less than a hundredth.
    let (start, before) = spent;
    let (end, after) = loop {
        let last = run(3_000_000);
        if last.0 - start >= Duration::from_secs(2) {
            break last;
        }
    };
    let took = (end - start).as_secs_f64();
    let passed = (after.passed - before.passed) as f64 * 1514.0;
    let allowed = f64::from(mbit) * 125_000.0 * share.ratio() * took;
    let off = passed / allowed - 1.0;
    println!("{share} of {}: {passed} of {allowed:.0} octets, {off:+.4}", Speed(mbit));
    assert!(after.refused > before.refused || in_vm(), "it is a flood");
    off
}
