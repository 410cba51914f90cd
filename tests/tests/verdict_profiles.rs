//! Row P3: what the profiles say, line by line, of every type, from here and in transit, whole and
//! in fragments.
//!
//! [`host`] and [`transit`] are the table of defaults read once more, as code of its own; what
//! passes within a limit and what passes freely is the same to them. So that no limit by source
//! matters, each packet of a sweep has a source of its own.

use icmp_common::{
    abi::{class_kind, family, fragment, local},
    classify::assigned,
    verdict::{Mode, Reason, Verdict},
};
use icmpgate::policy::{self, Profile};
use icmpgate_tests::{
    Extension, Gate, Ipv4, Ipv6, Message, check,
    gate::{Lease, counted_code, hex},
    in_vm,
    message::echo,
};
use std::collections::HashSet;

/// What becomes of a message: passed, or dropped for a reason.
type Fate = Result<(), Reason>;

const PASS: Fate = Ok(());
const DROP: Fate = Err(Reason::DENIED);
const REDIRECT: Fate = Err(Reason::REDIRECT_UNVERIFIED);

/// The column `host`, for whole packets.
fn host(f: u8, ty: u8, code: u8) -> Fate {
    match (f, ty) {
        (family::ICMPV4, 0 | 11 | 12) => PASS,
        (family::ICMPV4, 3) if matches!(code, 5 | 8 | 14 | 15) => DROP,
        // Codes that aren't assigned follow their type.
        (family::ICMPV4, 3 | 8) => PASS,
        (family::ICMPV4, 5) => REDIRECT,
        (family::ICMPV4, _) => DROP,
        (family::ICMPV6, 1..=99 | 102..=126) => PASS,
        (family::ICMPV6, 128..=136 | 141..=143 | 148 | 149 | 151..=153) => PASS,
        (family::ICMPV6, 137) => REDIRECT,
        (family::ICMPV6, _) => DROP,
        (_, 0x11 | 0x12 | 0x16 | 0x17 | 0x22 | 0x30..=0x32) => PASS,
        _ => DROP,
    }
}

/// The column `router`, for whole packets in transit.
fn transit(f: u8, ty: u8) -> Fate {
    match (f, ty) {
        (family::ICMPV4, 4 | 5 | 6 | 9 | 10 | 15..=18 | 30..=39) => DROP,
        (family::ICMPV4, _) => PASS,
        (family::ICMPV6, 1..=99 | 102..=126 | 128 | 129) => PASS,
        (family::ICMPV6, 144..=147 | 150 | 154..=161) => PASS,
        (family::ICMPV6, _) => DROP,
        (_, 0x13..=0x15 | 0x1e | 0x1f) => PASS,
        _ => host(f, ty, 0),
    }
}

/// What a profile makes of a packet. RFC 6980 5 names the messages that mustn't be fragmented.
fn expected(profile: Profile, f: u8, ty: u8, code: u8, part: u8, in_transit: bool) -> Fate {
    let unfragmented = f == family::ICMPV6 && matches!(ty, 133..=137 | 148 | 149);
    let has_no_code = f == family::ICMPV6 && matches!(ty, 133..=137 | 141 | 142);
    // In transit only a host's own rule for whole messages asks, and none for redirects.
    let is_asked = profile != Profile::Router
        && (matches!(ty, 133..=136) && part == fragment::NONE || matches!(ty, 141 | 142));
    if has_no_code && code != 0 && (!in_transit || is_asked) {
        return Err(Reason::DISCOVERY_MESSAGE);
    }
    if part == fragment::FIRST && unfragmented && !in_transit {
        return Err(Reason::FRAGMENTED_DISCOVERY);
    }
    if part == fragment::FIRST && (f == family::IGMP || unfragmented) {
        return DROP;
    }
    let is_error = match f {
        family::ICMPV4 => matches!(ty, 3 | 11 | 12),
        _ => f == family::ICMPV6 && ty < 128,
    };
    match profile {
        // Nothing here has sent what they quote.
        Profile::Strict if is_error && !in_transit && host(f, ty, code) == PASS => {
            Err(Reason::UNKNOWN_FLOW)
        }
        Profile::Router if in_transit => transit(f, ty),
        Profile::Strict if (f, ty) == (family::ICMPV4, 8) || (f, ty) == (family::ICMPV6, 128) => {
            DROP
        }
        _ => host(f, ty, code),
    }
}

const HERE: &str = "198.51.100.1";
const HERE6: &str = "2001:db8:2::1";

/// The frame of a message from the `n`th source.
fn frame(n: usize, f: u8, ty: u8, code: u8, part: u8, in_transit: bool) -> Vec<u8> {
    // As long as any type requires, and of zeros, which no count of records minds. What is for one link is of its
    // exact length, so that no options follow, about a group, and with the hop limit that it is sent with.
    let length = match ty {
        133 | 141 | 142 => 8,
        134 => 16,
        135 | 136 => 24,
        137 => 40,
        _ => 52,
    };
    let zeros = Message::new(ty, code).zeros(length);
    let (to4, to6) = if in_transit { ("203.0.113.9", "2001:db8:9::9") } else { (HERE, HERE6) };
    let message = match (f, ty) {
        // One entry of two words.
        (family::ICMPV4, 9) => Message::new(ty, code).word(0x0102_0000).zeros(52),
        (family::IGMP, 0x12 | 0x16 | 0x17) => {
            Message::new(ty, code).octets([239, 1, 2, 3]).zeros(52)
        }
        (family::ICMPV6, 131 | 132) => {
            Message::new(ty, code).word(0).octets([0xff, 0x0e]).zeros(24)
        }
        (family::ICMPV6, 130) => zeros.zeros(24),
        // About a packet that whoever it goes to has sent, and that was too big where that is said.
        (family::ICMPV4, 3..=5 | 11 | 12) => {
            let quoted = Ipv4::between(to4, "203.0.113.77").payload(17, [0; 8]).total_length(1500);
            Message::new(ty, code).word(1400).octets(quoted.packet()).zeros(52)
        }
        (family::ICMPV6, 0..=127) => {
            let quoted = Ipv6::between(to6, "2001:db8:9::77").payload(17, [0; 8]);
            let quoted = quoted.payload_length(1460).packet();
            Message::new(ty, code).word(1280).octets(quoted)
        }
        (family::ICMPV6, _) => zeros,
        _ => Message::new(ty, code).zeros(52),
    };
    let more = part == fragment::FIRST;
    if f == family::ICMPV6 {
        let is_of_link = matches!(ty, 130..=137 | 141..=143 | 151..=153);
        let network = if is_of_link { "fe80:0" } else { "2001:db8" };
        let from = format!("{network}:{:x}:{:x}::1", 0x100 + (n >> 16), n & 0xffff);
        let hop_limit = if matches!(ty, 133..=137 | 141 | 142) { 255 } else { 1 };
        let packet = Ipv6::between(&from, to6).hop_limit(hop_limit);
        let packet = if matches!(ty, 130..=132 | 143 | 151..=153) {
            packet.extension(Extension::router_alert())
        } else {
            packet
        };
        let packet = if more { packet.extension(Extension::fragment(0, true)) } else { packet };
        return packet.icmp(message).into();
    }
    let packet = Ipv4::between(&format!("10.{}.{}.{}", n >> 16, n >> 8 & 255, n & 255), to4);
    let packet = packet.ttl(1).router_alert().fragment(0, more);
    (if f == family::IGMP { packet.igmp(message) } else { packet.icmp(message) }).into()
}

fn local_gate(profile: Profile) -> Lease {
    let mut gate = Gate::with(&policy::profile(profile));
    gate.local(&[(HERE, local::UNICAST), (HERE6, local::UNICAST)]);
    gate
}

/// Codes at the ends of what types have, and those that a line of the table names.
const CODES: [u8; 20] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 128, 255];

fn every_type(profile: Profile) {
    let mut gate = local_gate(profile);
    let mut wrong = Vec::new();
    let mut n = 0;
    for f in family::ALL {
        for ty in 0..=u8::MAX {
            for code in CODES.into_iter().filter(|c| !in_vm() || ty == 3 || *c == 0) {
                for part in [fragment::NONE, fragment::FIRST] {
                    for in_transit in [false, true] {
                        let frame = frame(n, f, ty, code, part, in_transit);
                        let seen = gate.send(&frame);
                        let should = expected(profile, f, ty, code, part, in_transit);
                        let observing = profile == Profile::Observe;
                        let is = if seen.verdict() == Verdict::Pass && seen.mode() == Mode::Enforce
                            || observing
                                && matches!(seen.reason(), Reason::ACCEPTED | Reason::WITHIN_LIMIT)
                        {
                            PASS
                        } else {
                            Err(seen.reason())
                        };
                        let named = seen
                            .rule
                            .as_ref()
                            .is_some_and(|rule| rule.starts_with(family::label(f)));
                        let passed = !observing
                            || seen.verdict() == Verdict::Pass && seen.mode() == Mode::Observe;
                        if is != should || !named || !passed {
                            wrong.push(format!(
                                "{seen}, in transit: {in_transit}, should be {should:?}: {}",
                                hex(&frame)
                            ));
                        }
                        n += 1;
                    }
                }
            }
        }
    }
    gate.settle();
    println!("{n} packets");
    wrong.truncate(40);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn host_says_of_every_type_what_the_table_says() {
    every_type(Profile::Host);
}

#[test]
fn router_says_of_every_type_what_the_table_says() {
    every_type(Profile::Router);
}

#[test]
fn strict_says_of_every_type_what_the_table_says() {
    every_type(Profile::Strict);
}

#[test]
fn observe_says_what_host_would_and_drops_nothing() {
    every_type(Profile::Observe);
}

fn later(f: u8, to: &str) -> Vec<u8> {
    match f {
        family::ICMPV6 => {
            let packet =
                Ipv6::between("2001:db8:1::1", to).extension(Extension::fragment(9, false));
            packet.payload(58, [1; 40]).into()
        }
        _ => {
            let protocol = if f == family::IGMP { 2 } else { 1 };
            Ipv4::between("192.0.2.1", to).fragment(9, false).payload(protocol, [1; 40]).into()
        }
    }
}

#[test]
fn later_fragments_have_a_rule_of_their_own() {
    for (profile, to, to6, suffix) in [
        (Profile::Host, HERE, HERE6, ""),
        (Profile::Strict, HERE, HERE6, ""),
        (Profile::Router, HERE, HERE6, ""),
        (Profile::Router, "203.0.113.9", "2001:db8:9::9", "-transit"),
    ] {
        let mut gate = local_gate(profile);
        let by = |f: &str, suffix: &str| {
            let reason = if suffix.is_empty() { "within-limit" } else { "accepted" };
            format!("{f} later -> pass {reason} by {f}/later-fragment{suffix}")
        };
        let cases = [
            ("icmpv4", later(family::ICMPV4, to), by("icmpv4", suffix)),
            ("icmpv6", later(family::ICMPV6, to6), by("icmpv6", suffix)),
            (
                "igmp",
                later(family::IGMP, to),
                "igmp later -> drop denied by igmp/later-fragment".to_owned(),
            ),
        ];
        check(&mut gate, cases);
    }
}

/// Row W3: dropped by `host` and `strict`, passed by `router`, counted by all.
#[test]
fn what_is_beyond_the_bound_of_extension_headers() {
    let frame = |to: &str| -> Vec<u8> {
        Ipv6::between("2001:db8:1::1", to).extensions(9).icmp(echo(128)).into()
    };
    for profile in [Profile::Host, Profile::Strict] {
        let expected = "icmpv6 -> drop extension-headers-beyond-bound";
        check(&mut local_gate(profile), [(profile.name(), frame(HERE6), expected)]);
    }
    let mut gate = local_gate(Profile::Router);
    for to in [HERE6, "2001:db8:9::9"] {
        let seen = gate.run(&frame(to));
        assert_eq!(
            (seen.verdict(), seen.reason(), seen.mode()),
            (Verdict::Pass, Reason::EXTENSION_HEADERS_BEYOND_BOUND, Mode::Observe),
            "router, to {to}: {seen}: {}",
            hex(&frame(to))
        );
    }
}

/// RFC 1122 3.2.2 and RFC 4443 2.4: what is malformed has no say in any profile but `observe`.
#[test]
fn no_profile_passes_what_is_malformed_but_observe() {
    let frames: [Vec<u8>; 4] = [
        Ipv4::default().icmp(echo(0).bad_checksum(1)).into(),
        Ipv6::default().icmp(echo(129).length(7)).into(),
        Ipv4::default().icmp(echo(0)).bad_checksum(1).into(),
        Ipv4::between("127.0.0.1", HERE).icmp(Message::new(3, 3).zeros(28)).into(),
    ];
    for profile in Profile::ALL {
        let mut gate = local_gate(profile);
        for frame in &frames {
            let seen = gate.run(frame);
            let verdict = if profile == Profile::Observe { Verdict::Pass } else { Verdict::Drop };
            assert!(seen.verdict() == verdict && seen.reason().is_fault(), "{seen}");
        }
    }
}

/// The zone `monitors`: outside the echo total of `host`, and alone answered by `strict`.
#[test]
fn monitors_are_spared() {
    let mut gate = local_gate(Profile::Strict);
    let zones = "[zones]\nmonitors = [\"192.0.2.0/24\", \"2001:db8:1::/48\"]\n";
    let ping = |from: &str| -> Vec<u8> { Ipv4::between(from, HERE).icmp(echo(8)).into() };
    let ping6 = |from: &str| -> Vec<u8> { Ipv6::between(from, HERE6).icmp(echo(128)).into() };
    for (profile, other, other6) in [
        ("strict", "drop denied by icmpv4/echo-request", "drop denied by icmpv6/echo-request"),
        (
            "host",
            "pass within-limit by icmpv4/echo-request",
            "pass within-limit by icmpv6/echo-request",
        ),
    ] {
        gate.apply(&format!("profile = \"{profile}\"\n{zones}"));
        let cases = [
            (
                "a monitor",
                ping("192.0.2.77"),
                "icmpv4 8/0 good -> pass within-limit by icmpv4/echo-request-from-monitors"
                    .to_owned(),
            ),
            ("a stranger", ping("192.0.3.1"), format!("icmpv4 8/0 good -> {other}")),
            (
                "a monitor, IPv6",
                ping6("2001:db8:1:9::1"),
                "icmpv6 128/0 good -> pass within-limit by icmpv6/echo-request-from-monitors"
                    .to_owned(),
            ),
            ("a stranger, IPv6", ping6("2001:db8:7::1"), format!("icmpv6 128/0 good -> {other6}")),
        ];
        check(&mut gate, cases);
    }
}

/// Every pair, but inside an emulated machine every 29th, which are of every type and of every code.
fn sampled_pair(ty: u8, code: u8) -> bool {
    !in_vm() || (u32::from(ty) * 256 + u32::from(code)).is_multiple_of(29)
}

/// Rows W and C1, exhaustively: each of the 256 x 256 pairs of each family, in the kernel.
#[test]
fn every_type_and_code_is_seen_and_counted_by_its_class() {
    let mut gate = Gate::profile(Profile::Observe);
    let named = policy::profile(Profile::Observe);
    assert!(named.rules.len() > 40);
    let assigned: HashSet<(u8, u8, u8)> = assigned().collect();
    let (mut n, mut apart) = (0u64, 0u64);
    for f in family::ALL {
        for ty in 0..=u8::MAX {
            for code in (0..=u8::MAX).filter(|code| sampled_pair(ty, *code)) {
                let frame = frame(n as usize, f, ty, code, fragment::NONE, false);
                let seen = gate.send(&frame);
                // But for version 0 (RFC 988), IGMP has no codes.
                let read = if f == family::IGMP && !(1..=8).contains(&ty) { 0 } else { code };
                let trace = seen.trace;
                assert_eq!((trace.family, trace.has_type, trace.ty, trace.code), (f, 1, ty, read));
                assert_eq!((seen.verdict(), seen.mode()), (Verdict::Pass, Mode::Observe), "{seen}");
                let is_apart = seen.class.kind == class_kind::PAIR;
                assert_eq!(is_apart, assigned.contains(&(f, ty, counted_code(&trace))), "{seen}");
                n += 1;
                apart += u64::from(is_apart);
            }
        }
    }
    // Each counter against what was sent.
    gate.settle();
    let counters = gate.counters();
    assert_eq!(counters.entries.iter().map(|e| e.count.packets).sum::<u64>(), n);
    println!(
        "{n} packets, {apart} of them of pairs that are counted apart, in {} counters",
        counters.used
    );
    assert!(in_vm() || n == 3 * 65_536);
}
