//! Rows P1, P2 and P5: which rule decides, what it does, and how one policy follows another.

use icmp_common::{
    abi::{limit_flag, local},
    verdict::{Mode, Reason, Verdict},
};
use icmpgate::{
    datapath::Program,
    policy::{self, Hook, Profile},
};
use icmpgate_tests::{
    Extension, Gate, Ipv4, Ipv6, Message, check,
    gate::{OPEN, policy},
    in_vm,
    message::{echo, error_v4, igmp},
    repetitions,
};
use std::{
    fmt::Write as _,
    net::{Ipv4Addr, Ipv6Addr},
    time::{Duration, Instant},
};

const ECHO: &str = "icmpv4 8/0 good";

fn ping(from: &str) -> Vec<u8> {
    Ipv4::between(from, "198.51.100.1").icmp(echo(8)).into()
}

fn ping6(from: &str) -> Vec<u8> {
    Ipv6::between(from, "2001:db8:2::1").icmp(echo(128)).into()
}

fn unreachable(from: &str, code: u8) -> Vec<u8> {
    Ipv4::between(from, "198.51.100.1").icmp(error_v4(3, code, 0)).into()
}

fn limit(rate: &str, burst: u64, every: &str) -> String {
    format!(
        "profile = \"host\"\n[[rule]]\nname = \"limited\"\nfamily = \"icmpv4\"\ntype = 8\naction = \"limit\"\nlimit = {{ rate = {rate}, burst = {burst}, every = \"{every}\", random = false }}\n"
    )
}

#[test]
fn the_more_specific_rule_decides() {
    let mut gate = Gate::with(&policy(
        r#"
        profile = "host"
        [zones]
        office = ["10.0.0.0/8", "2001:db8:a::/48"]
        [[rule]]
        name = "any"
        action = "pass"
        [[rule]]
        name = "family"
        family = "icmpv4"
        action = "drop"
        [[rule]]
        name = "wide-types"
        family = "icmpv4"
        type = "0-40"
        action = "pass"
        [[rule]]
        name = "types"
        family = "icmpv4"
        type = "3-5"
        action = "drop"
        [[rule]]
        name = "type"
        family = "icmpv4"
        type = 3
        action = "pass"
        [[rule]]
        name = "codes"
        family = "icmpv4"
        type = "3-4"
        code = "1-3"
        action = "drop"
        [[rule]]
        name = "code"
        family = "icmpv4"
        type = 3
        code = 2
        action = "pass"
        [[rule]]
        name = "on-interface"
        interface = "test0"
        family = "icmpv4"
        type = "100-110"
        action = "drop"
        [[rule]]
        name = "elsewhere"
        interface = "test1"
        family = "icmpv4"
        type = 8
        action = "drop"
        [[rule]]
        name = "zone"
        zone = "office"
        action = "drop"
        "#,
    ));
    let v4 = |from: &str, ty: u8, code: u8| -> Vec<u8> {
        Ipv4::between(from, "198.51.100.1").icmp(Message::new(ty, code).zeros(40)).into()
    };
    let it = "192.0.2.1";
    let cases = [
        ("no rule but any", ping6("2001:db8::1"), "icmpv6 128/0 good -> pass accepted by any"),
        ("the family", v4(it, 77, 0), "icmpv4 77/0 good -> drop denied by family"),
        ("a range of types", v4(it, 8, 0), "icmpv4 8/0 good -> pass accepted by wide-types"),
        ("a narrower range", v4(it, 5, 0), "icmpv4 5/0 good -> drop denied by types"),
        ("one type", v4(it, 3, 0), "icmpv4 3/0 good -> pass accepted by type"),
        ("codes come before types", v4(it, 3, 1), "icmpv4 3/1 good -> drop denied by codes"),
        ("codes of a type", v4(it, 4, 3), "icmpv4 4/3 good -> drop denied by codes"),
        ("one code", v4(it, 3, 2), "icmpv4 3/2 good -> pass accepted by code"),
        ("an interface", v4(it, 105, 0), "icmpv4 105/0 good -> drop denied by on-interface"),
        ("a zone comes before all", v4("10.1.1.1", 3, 2), "icmpv4 3/2 good -> drop denied by zone"),
        ("a zone, IPv6", ping6("2001:db8:a::7"), "icmpv6 128/0 good -> drop denied by zone"),
        (
            "an operator's rule beats any of the profile's, however specific",
            v4(it, 3, 5),
            "icmpv4 3/5 good -> pass accepted by type",
        ),
        (
            "IGMP, of which nothing but any speaks",
            Ipv4::between(it, "239.1.2.3")
                .ttl(1)
                .router_alert()
                .igmp(igmp(0x16, 0, "239.1.2.3"))
                .into(),
            "igmp 22/0 good -> pass accepted by any",
        ),
        (
            "what has no type is of no rule that names one",
            Ipv4::between(it, "198.51.100.1").fragment(1, false).payload(1, [8; 8]).into(),
            "icmpv4 later -> drop denied by family",
        ),
    ];
    check(&mut gate, cases);
}

#[test]
fn rules_of_an_interface_are_of_that_one_only() {
    let text = r#"
        profile = "host"
        [[rule]]
        name = "zero"
        interface = "eth0"
        family = "icmpv4"
        type = 8
        action = "drop"
        [[rule]]
        name = "one"
        interface = "eth1"
        family = "icmpv4"
        type = 8
        action = "pass"
        [[rule]]
        name = "rest"
        family = "icmpv4"
        type = 8
        action = "drop"
    "#;
    for (interface, expected) in [
        ("eth0", "drop denied by zero"),
        ("eth1", "pass accepted by one"),
        ("eth10", "drop denied by rest"),
    ] {
        let mut gate = Gate::on(interface, text);
        check(&mut gate, [(interface, ping("192.0.2.1"), format!("{ECHO} -> {expected}"))]);
        let absent = &gate.compiled().absent_interfaces;
        assert_eq!(absent.len(), if interface == "eth10" { 2 } else { 1 }, "{absent:?}");
    }
}

/// The table is found by the stable index, and a copy on index 0 can't tell it from none.
#[test]
fn a_rule_of_an_interface_holds_on_that_one_whatever_its_index() {
    let text = r#"
        profile = "host"
        [[rule]]
        name = "first"
        interface = "eth0"
        family = "icmpv4"
        type = 8
        action = "drop"
        [[rule]]
        name = "second"
        interface = "eth1"
        family = "icmpv4"
        type = 8
        action = "pass"
        [[rule]]
        name = "rest"
        family = "icmpv4"
        type = 8
        action = "drop"
    "#;
    // The order of the names is not that of the indices.
    let interfaces = ["eth2", "eth1", "eth0"];
    let expected = ["drop denied by rest", "pass accepted by second", "drop denied by first"];
    for (index, expected) in (0..).zip(expected) {
        let mut gate = Gate::among(&interfaces, index, text);
        let name = format!("index {index}");
        check(&mut gate, [(name, ping("192.0.2.1"), format!("{ECHO} -> {expected}"))]);
        assert!(gate.compiled().absent_interfaces.is_empty());
    }
}

#[test]
fn the_zone_with_the_longest_prefix_decides() {
    let mut gate = Gate::with(&policy(
        r#"
        profile = "host"
        [zones]
        all = ["0.0.0.0/0"]
        wide = ["10.0.0.0/8", "2001:db8::/32"]
        narrow = ["10.1.0.0/16", "2001:db8:1::/48"]
        one = ["10.1.2.3", "2001:db8:1::5"]
        back = ["10.1.2.0/24"]
        silent = ["10.1.2.128/25"]
        [[rule]]
        name = "of-all"
        zone = "all"
        action = "pass"
        [[rule]]
        name = "of-wide"
        zone = "wide"
        action = "drop"
        [[rule]]
        name = "of-narrow"
        zone = "narrow"
        family = "icmpv4"
        action = "pass"
        [[rule]]
        name = "of-narrow6"
        zone = "narrow"
        family = "icmpv6"
        type = "echo-request"
        action = "pass"
        [[rule]]
        name = "of-one"
        zone = "one"
        action = "drop"
        [[rule]]
        name = "of-back"
        zone = "back"
        family = "icmpv4"
        type = 3
        action = "drop"
        "#,
    ));
    let echo6 = "icmpv6 128/0 good";
    let cases = [
        ("nothing but all", ping("192.0.2.1"), format!("{ECHO} -> pass accepted by of-all")),
        ("the first of a prefix", ping("10.0.0.0"), format!("{ECHO} -> drop denied by of-wide")),
        (
            "the last of a prefix",
            ping("10.255.255.255"),
            format!("{ECHO} -> drop denied by of-wide"),
        ),
        ("before it", ping("9.255.255.255"), format!("{ECHO} -> pass accepted by of-all")),
        ("behind it", ping("11.0.0.0"), format!("{ECHO} -> pass accepted by of-all")),
        ("a prefix within", ping("10.1.9.9"), format!("{ECHO} -> pass accepted by of-narrow")),
        ("one address", ping("10.1.2.3"), format!("{ECHO} -> drop denied by of-one")),
        (
            "a zone whose rules speak of something else leaves it to the zone around",
            ping("10.1.2.4"),
            format!("{ECHO} -> pass accepted by of-narrow"),
        ),
        (
            "and decides what they speak of",
            unreachable("10.1.2.4", 1),
            "icmpv4 3/1 good -> drop denied by of-back".into(),
        ),
        (
            "a zone without rules is as if it weren't there",
            ping("10.1.2.200"),
            format!("{ECHO} -> pass accepted by of-narrow"),
        ),
        ("IPv6, wide", ping6("2001:db8:ffff::1"), format!("{echo6} -> drop denied by of-wide")),
        (
            "IPv6, narrow",
            ping6("2001:db8:1:ffff::1"),
            format!("{echo6} -> pass accepted by of-narrow6"),
        ),
        ("IPv6, one", ping6("2001:db8:1::5"), format!("{echo6} -> drop denied by of-one")),
        (
            "IPv6, none",
            ping6("2001:db9::1"),
            format!("{echo6} -> pass within-limit by icmpv6/echo-request"),
        ),
        (
            "an IPv6 source that is an IPv4 one in its mapped form",
            ping6("::ffff:10.1.2.3"),
            format!("{echo6} -> pass within-limit by icmpv6/echo-request"),
        ),
    ];
    check(&mut gate, cases);
    // The same prefixes in other zones are other zones, after the swap and not before.
    gate.apply(
        r#"
        profile = "host"
        [zones]
        swapped = ["10.0.0.0/8"]
        [[rule]]
        name = "of-swapped"
        zone = "swapped"
        action = "pass"
        "#,
    );
    let cases = [
        (
            "a zone of the new policy",
            ping("10.1.2.3"),
            format!("{ECHO} -> pass accepted by of-swapped"),
        ),
        (
            "a zone of the old one",
            ping6("2001:db8:1::5"),
            format!("{echo6} -> pass within-limit by icmpv6/echo-request"),
        ),
    ];
    check(&mut gate, cases);
}

/// Thousands of prefixes, nested at random, against a walk over all of them.
#[test]
fn zones_agree_with_a_walk_over_their_prefixes() {
    let mut rng = fastrand::Rng::with_seed(11);
    const ZONES: usize = 3;
    let mut v4: Vec<(u32, u32, usize)> = Vec::new();
    let mut v6: Vec<(u128, u32, usize)> = Vec::new();
    while v4.len() < repetitions(3000).max(200) {
        // Close together, so that they nest.
        let length = rng.u32(18..=32);
        let address = 10 << 24 | (rng.u32(..) & rng.u32(..) & 0x00ff_ffff);
        let prefix = address & (u32::MAX << (32 - length));
        if !v4.iter().any(|(p, l, _)| (*p, *l) == (prefix, length)) {
            v4.push((prefix, length, rng.usize(..ZONES)));
        }
        let length = rng.u32(40..=128);
        let address = 0x2001 << 112 | (rng.u128(..) & rng.u128(..) & (u128::MAX >> 16));
        let prefix = address & (u128::MAX << (128 - length));
        if !v6.iter().any(|(p, l, _)| (*p, *l) == (prefix, length)) {
            v6.push((prefix, length, rng.usize(..ZONES)));
        }
    }
    let mut text = String::from("profile = \"host\"\n[zones]\n");
    for zone in 0..ZONES {
        let mut prefixes: Vec<String> = Vec::new();
        let of = |z: &usize| *z == zone;
        prefixes.extend(
            v4.iter()
                .filter(|p| of(&p.2))
                .map(|(p, l, _)| format!("\"{}/{l}\"", Ipv4Addr::from(*p))),
        );
        prefixes.extend(
            v6.iter()
                .filter(|p| of(&p.2))
                .map(|(p, l, _)| format!("\"{}/{l}\"", Ipv6Addr::from(*p))),
        );
        writeln!(text, "z{zone} = [{}]", prefixes.join(", ")).unwrap();
    }
    for zone in 0..ZONES {
        writeln!(text, "[[rule]]\nname = \"r{zone}\"\nzone = \"z{zone}\"\naction = \"pass\"")
            .unwrap();
    }
    let mut gate = Gate::with(&policy(&text));
    let mut inside = 0;
    let runs = repetitions(6000);
    for n in 0..runs {
        let (frame, zone) = if n % 2 == 0 {
            let (prefix, length, _) = *rng.choice(v4.iter()).unwrap();
            let low = rng.u32(..).checked_shr(length).unwrap_or(0);
            let source = (prefix | low) ^ if rng.bool() { 0 } else { 1 << rng.u32(..24) };
            let within = v4.iter().filter(|(p, l, _)| (source ^ p) >> (32 - l) == 0);
            let zone = within.max_by_key(|p| p.1).map(|p| p.2);
            (Vec::from(Ipv4::default().from(source).icmp(echo(8))), zone)
        } else {
            let (prefix, length, _) = *rng.choice(v6.iter()).unwrap();
            let low = rng.u128(..).checked_shr(length).unwrap_or(0);
            let source = (prefix | low) ^ if rng.bool() { 0 } else { 1 << rng.u32(..100) };
            let within = v6.iter().filter(|(p, l, _)| (source ^ p) >> (128 - l) == 0);
            let zone = within.max_by_key(|p| p.1).map(|p| p.2);
            (Vec::from(Ipv6::default().from(source).icmp(echo(128))), zone)
        };
        let seen = gate.send(&frame);
        let rule = seen.rule.as_deref().expect("a rule");
        match zone {
            Some(zone) => assert_eq!(rule, format!("r{zone}"), "{seen}"),
            None => assert!(rule.ends_with("/echo-request"), "{seen}"),
        }
        inside += usize::from(zone.is_some());
    }
    gate.settle();
    println!("{} and {} prefixes, {runs} packets, {inside} of them in a zone", v4.len(), v6.len());
    assert!(inside > runs / 3 && inside < runs);
}

/// Passes what is for this machine, and drops what goes through it.
const HERE_OR_THROUGH: &str = r#"
    profile = "host"
    [[rule]]
    name = "here"
    destination = "local"
    action = "pass"
    [[rule]]
    name = "through"
    destination = "transit"
    action = "drop"
"#;

#[test]
fn local_and_transit() {
    let mut gate = Gate::with(&policy(HERE_OR_THROUGH));
    gate.local(&[
        ("198.51.100.1", local::UNICAST),
        ("198.51.100.255", local::BROADCAST),
        ("2001:db8:2::1", local::UNICAST),
    ]);
    let v4 = |to: &str| -> Vec<u8> { Ipv4::between("192.0.2.1", to).icmp(echo(8)).into() };
    let v6 = |to: &str| -> Vec<u8> { Ipv6::between("2001:db8::1", to).icmp(echo(128)).into() };
    let (here, through) = ("pass accepted by here", "drop denied by through");
    for (to, expected) in [
        ("198.51.100.1", here),
        ("198.51.100.2", through),
        ("198.51.100.255", here),
        ("198.51.101.255", through),
        ("255.255.255.255", here),
        ("255.255.255.254", through),
        ("224.0.0.1", here),
        ("239.255.255.255", here),
        ("223.255.255.255", through),
        ("240.0.0.0", through),
        ("0.0.0.0", through),
    ] {
        check(&mut gate, [(to, v4(to), format!("{ECHO} -> {expected}"))]);
    }
    for (to, expected) in [
        ("2001:db8:2::1", here),
        ("2001:db8:2::2", through),
        ("ff02::1", here),
        ("ff0e::1", here),
        ("fe80::1", through),
        // No IPv4 address in another's clothes.
        ("::ffff:198.51.100.2", through),
    ] {
        check(&mut gate, [(to, v6(to), format!("icmpv6 128/0 good -> {expected}"))]);
    }
    // Addresses come and go without a new policy.
    gate.local(&[("198.51.100.2", local::UNICAST)]);
    for (to, expected) in [("198.51.100.1", through), ("198.51.100.2", here)] {
        check(&mut gate, [(to, v4(to), format!("{ECHO} -> {expected}"))]);
    }
}

/// The map of addresses keeps IPv4 ones in mapped form; an IPv6 packet to that very form (which
/// Linux would forward) is to another address.
#[test]
fn an_ipv6_destination_that_looks_like_an_ipv4_address_of_ours_is_in_transit() {
    let mut gate = Gate::with(&policy(HERE_OR_THROUGH));
    gate.local(&[("198.51.100.1", local::UNICAST)]);
    let packet = Ipv6::between("2001:db8::1", "::ffff:198.51.100.1").icmp(echo(128));
    check(&mut gate, [("mapped", packet, "icmpv6 128/0 good -> drop denied by through")]);
}

#[test]
fn fragments_have_rules_of_their_own() {
    let mut gate = Gate::with(&policy(
        r#"
        profile = "host"
        [[rule]]
        name = "whole"
        fragment = "none"
        action = "pass"
        [[rule]]
        name = "first"
        fragment = "first"
        action = "drop"
        [[rule]]
        name = "first-echo"
        family = "icmpv4"
        type = 8
        fragment = "first"
        action = "pass"
        [[rule]]
        name = "later"
        fragment = "later"
        action = "drop"
        [[rule]]
        name = "later6"
        family = "icmpv6"
        fragment = "later"
        action = "pass"
        "#,
    ));
    let v4 = |ty: u8| Ipv4::default().icmp(Message::new(ty, 0).zeros(40));
    let v6 = |offset, more| {
        let packet = Ipv6::default().extension(Extension::fragment(offset, more));
        Vec::from(packet.icmp(echo(128)))
    };
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("whole", v4(8).into(), "icmpv4 8/0 good -> pass accepted by whole"),
        (
            "first of echo",
            v4(8).fragment(0, true).into(),
            "icmpv4 8/0 unverified first -> pass accepted by first-echo",
        ),
        (
            "first of another",
            v4(0).fragment(0, true).into(),
            "icmpv4 0/0 unverified first -> drop denied by first",
        ),
        ("later", v4(8).fragment(3, true).into(), "icmpv4 later -> drop denied by later"),
        ("atomic", v6(0, false), "icmpv6 128/0 good -> pass accepted by whole"),
        ("first of IPv6", v6(0, true), "icmpv6 128/0 unverified first -> drop denied by first"),
        ("later of IPv6", v6(3, false), "icmpv6 later -> pass accepted by later6"),
    ];
    check(&mut gate, cases);
}

#[test]
fn a_rule_that_observes_passes_and_keeps_its_reason() {
    let mut gate = Gate::with(&policy(
        r#"
        profile = "host"
        [[rule]]
        name = "would-drop"
        family = "icmpv4"
        type = 8
        action = "drop"
        mode = "observe"
        [[rule]]
        name = "would-limit"
        family = "icmpv4"
        type = 0
        action = "limit"
        limit = { rate = 1, burst = 2, every = "hour", random = false }
        mode = "observe"
        [[rule]]
        name = "drops"
        family = "icmpv4"
        type = 13
        action = "drop"
        [checks]
        bad-checksum = "observe"
        "#,
    ));
    let reply = || -> Vec<u8> { Ipv4::default().icmp(echo(0)).into() };
    let stamp = |bits| -> Vec<u8> {
        Ipv4::default().icmp(Message::new(13, 0).zeros(20).bad_checksum(bits)).into()
    };
    let within = "icmpv4 0/0 good -> pass (observed) within-limit by would-limit";
    let cases = [
        ("a drop", ping("192.0.2.1"), "icmpv4 8/0 good -> pass (observed) denied by would-drop"),
        ("the first of two", reply(), within),
        ("the second", reply(), within),
        ("beyond them", reply(), "icmpv4 0/0 good -> pass (observed) over-limit by would-limit"),
        ("a rule beside it", stamp(0), "icmpv4 13/0 good -> drop denied by drops"),
        (
            "a check that observes, and a rule that drops",
            stamp(1),
            "icmpv4 13/0 bad -> drop denied by drops",
        ),
        (
            "a check that observes, and a rule that does",
            Ipv4::default().icmp(echo(8).bad_checksum(1)).into(),
            "icmpv4 8/0 bad -> pass (observed) bad-checksum by would-drop",
        ),
    ];
    check(&mut gate, cases);
}

#[test]
fn of_a_limit_the_burst_passes_and_the_rest_is_over_it() {
    let mut gate = Gate::new(OPEN);
    for burst in [1, 7, 100] {
        gate.apply(&limit("1", burst, "hour"));
        for n in 0..burst + 20 {
            let seen = gate.send(&ping("192.0.2.1"));
            let expected = if n < burst { Reason::WITHIN_LIMIT } else { Reason::OVER_LIMIT };
            assert_eq!((seen.reason(), seen.mode()), (expected, Mode::Enforce), "packet {n}");
        }
        gate.settle();
        // It is the rule's own: others go on.
        check(
            &mut gate,
            [(
                "another",
                Ipv4::default().icmp(echo(0)),
                "icmpv4 0/0 good -> pass within-limit by icmpv4/echo-reply",
            )],
        );
        // And every source's.
        let over = format!("{ECHO} -> drop over-limit by limited");
        check(&mut gate, [("another source", ping("10.9.8.7"), over)]);
        assert_eq!(contention(&mut gate), 0);
    }
}

/// How often a compare-and-swap of some limit's bucket gave up.
fn contention(gate: &mut Gate) -> u64 {
    let limits = gate.instance().maps().limits().expect("readable");
    limits.iter().map(|entry| entry.bucket.contended).sum()
}

#[test]
fn a_limit_in_octets_counts_the_octets_of_frames() {
    let mut gate =
        Gate::new(&limit("4000", 10_000, "hour").replace("every", "unit = \"octets\", every"));
    let frame = Vec::from(Ipv4::default().icmp(echo(8).length(1000 - 34)));
    assert_eq!(frame.len(), 1000);
    let passed = (0..30).filter(|_| gate.send(&frame).reason() == Reason::WITHIN_LIMIT).count();
    assert_eq!(passed, 10);
    // What is too long for what is left doesn't use it up.
    gate.apply(&limit("4000", 1_500, "hour").replace("every", "unit = \"octets\", every"));
    let short = Vec::from(Ipv4::default().icmp(echo(8).length(500 - 34)));
    let verdicts: Vec<bool> = [&frame, &frame, &short, &short]
        .into_iter()
        .map(|f| gate.send(f).verdict() == Verdict::Pass)
        .collect();
    assert_eq!(verdicts, [true, false, true, false]);
    gate.settle();
}

/// Row L1's accuracy, on both clocks: what passes is rate x time + burst.
#[test]
fn over_time_a_limit_passes_its_rate() {
    // Bursts that cover two ticks at any HZ, and that cover none.
    for (rate, burst, ticks) in [(500, 100, true), (2000, 1, false)] {
        let gate = Gate::new(&limit(&rate.to_string(), burst, "second"));
        let total = gate.compiled().hook(Hook::Ingress).table.rules[0].totals[0];
        assert_eq!(total.flags & limit_flag::TICKS != 0, ticks, "{rate}/{burst}");
        let frame = ping("192.0.2.1");
        let (start, mut passed, mut sent) = (Instant::now(), 0u32, 0u32);
        // What came free while nothing was offered, because the machine did something else, is
        // lost where the burst doesn't bridge it.
        const GAP: Duration = Duration::from_micros(20);
        let (mut last, mut lost) = (start, 0.0);
        while last - start < Duration::from_millis(1500) {
            let run = gate.shared().run(Program::Ingress, &frame, 1).expect("it runs");
            passed += u32::from(run.action == 2);
            sent += 1;
            let now = Instant::now();
            if now - last > GAP {
                let bridged = if burst == 1 { 0.0 } else { burst as f64 };
                lost += (f64::from(rate) * (now - last).as_secs_f64() - bridged).max(0.0);
            }
            last = now;
        }
        let allowed = f64::from(rate) * (last - start).as_secs_f64() + burst as f64;
        // A tick may be as long as 10 ms.
        let tick = if ticks { f64::from(rate) / 100.0 } else { 1.0 };
        println!(
            "{rate}/{burst}: {passed} of {sent} passed, {allowed:.0} are allowed, {lost:.0} lost"
        );
        let passed = f64::from(passed);
        assert!(passed <= allowed * 1.02 + tick, "{passed} > {allowed}");
        // Below that, the sender can't keep up with the limit; and an emulated machine's clock jumps.
        if f64::from(sent) > 20.0 * allowed && !in_vm() {
            let least = allowed * if ticks { 0.98 } else { 0.95 } - lost - tick;
            assert!(passed >= least, "{passed} < {least}");
        }
        assert!(passed >= burst as f64);
    }
}

#[test]
fn a_new_policy_leaves_the_buckets_of_unchanged_rules_as_they_are() {
    let mut gate = Gate::new(&limit("1", 5, "hour"));
    assert_eq!(gate.generation(), 1);
    let spend = |gate: &mut Gate, n: usize| {
        (0..n).filter(|_| gate.run(&ping("192.0.2.1")).verdict() == Verdict::Pass).count()
    };
    assert_eq!(spend(&mut gate, 3), 3);
    // The same rule, and others before and behind it, under another profile.
    let rule = limit("1", 5, "hour");
    let more = rule.replace("\"host\"", "\"router\"")
        + "[[rule]]\nname = \"a\"\nfamily = \"icmpv6\"\ntype = 128\naction = \"limit\"\nlimit = { rate = 1, burst = 1 }\n";
    gate.apply(&more);
    assert_eq!(gate.generation(), 2);
    assert_eq!(spend(&mut gate, 3), 2, "two of its five were left");
    gate.apply(&rule);
    assert_eq!(spend(&mut gate, 1), 0, "and none after another swap");
    // Another limit is another bucket, and a full one.
    gate.apply(&limit("1", 4, "hour"));
    assert_eq!(spend(&mut gate, 6), 4);
    // So is another name.
    gate.apply(&limit("1", 4, "hour").replace("\"limited\"", "\"renamed\""));
    assert_eq!(spend(&mut gate, 6), 4);
    // A rule that was gone comes back with a full one.
    gate.apply(&rule);
    assert_eq!(spend(&mut gate, 6), 5);
    assert_eq!(gate.generation(), 6);
    gate.settle();
}

#[test]
fn a_policy_that_does_not_fit_changes_nothing() {
    let mut gate = Gate::new(OPEN);
    let expected = format!("{ECHO} -> pass accepted by v4");
    check(&mut gate, [("before", ping("192.0.2.1"), &expected)]);
    // More decisions than the table has: zones that nest in thousands of ways.
    let mut text = String::from("profile = \"router\"\n[zones]\n");
    for zone in 0..900 {
        let (a, b) = (zone / 250, zone % 250);
        writeln!(text, "z{zone} = [\"10.{a}.{b}.0/24\"]").unwrap();
    }
    for zone in 0..900 {
        writeln!(text, "[[rule]]\nname = \"r{zone}\"\nzone = \"z{zone}\"\nfamily = \"icmpv4\"\ntype = 8\naction = \"drop\"").unwrap();
    }
    let error = gate.apply_checked(&policy(&text)).expect_err("too large");
    println!("{error}");
    assert_eq!(gate.generation(), 1);
    check(&mut gate, [("after", ping("10.0.0.1"), &expected)]);
    // A smaller one fits.
    gate.apply(&limit("1", 1, "hour"));
    check(
        &mut gate,
        [("then", ping("10.0.0.1"), format!("{ECHO} -> pass within-limit by limited"))],
    );
    assert_eq!(gate.generation(), 2);
}

/// Many swaps: the two slots of zones and the buckets are used in turn, and nothing is used up.
#[test]
fn swaps_without_end() {
    let mut gate = Gate::new(OPEN);
    for n in 0..repetitions(60) {
        let text = match n % 3 {
            0 => limit("1", 1, "hour").replace("\"limited\"", &format!("\"limited-{n}\"")),
            1 => format!(
                "profile = \"host\"\n[zones]\nz = [\"192.0.2.{}\"]\n[[rule]]\nname = \"z-{n}\"\nzone = \"z\"\naction = \"drop\"\n",
                n % 256
            ),
            _ => OPEN.to_owned(),
        };
        gate.apply(&text);
        let source = format!("192.0.2.{}", n % 256);
        let expected = match n % 3 {
            0 => format!("{ECHO} -> pass within-limit by limited-{n}"),
            1 => format!("{ECHO} -> drop denied by z-{n}"),
            _ => format!("{ECHO} -> pass accepted by v4"),
        };
        assert_eq!(gate.run(&ping(&source)).to_string(), expected);
    }
    let info = gate.instance().maps().policy_info().expect("readable");
    assert_eq!(info.generation, repetitions(60) as u64 + 1);
}

#[test]
fn profiles_follow_each_other_whole() {
    let mut gate = Gate::profile(Profile::Host);
    let stamp = || -> Vec<u8> {
        Ipv4::between("192.0.2.1", "203.0.113.9").icmp(Message::new(13, 0).zeros(20)).into()
    };
    for (profile, expected) in [
        (Profile::Router, "pass accepted by icmpv4/timestamp-transit"),
        (Profile::Observe, "pass (observed) denied by icmpv4/timestamp"),
        (Profile::Strict, "drop denied by icmpv4/timestamp"),
        (Profile::Host, "drop denied by icmpv4/timestamp"),
    ] {
        gate.apply_profile(profile);
        check(&mut gate, [(profile.name(), stamp(), format!("icmpv4 13/0 good -> {expected}"))]);
        let info = gate.instance().maps().policy_info().expect("readable");
        let name = info.profile.split(|octet| *octet == 0).next().unwrap_or_default();
        assert_eq!(name, profile.name().as_bytes());
        assert_eq!(info.observe, u32::from(policy::profile(profile).mode == Mode::Observe));
    }
}
