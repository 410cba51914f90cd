//! The parser is one source, compiled twice: on the host and for the kernel, where reads go through
//! the verifier's bounds, sums through helpers, and walks through functions of their own. Here both
//! see the same frames, random and out of shape, and must find the same.
//!
//! One difference is excepted: frames longer than the kernel's linear area, where it can't follow
//! headers ([`LINEAR`]; what becomes of these, `verdict_wire` says). No address is a broadcast in a
//! private instance, and no frame reaches the bound of 32,767 octets.

use icmp_common::{
    abi::{Trace, checksum, family, fragment, hook},
    answerable::{Original, unanswerable},
    link,
    parse::{Packet, parse, stage},
    plausible::{self, Claim},
    validate::validate,
    verdict::{BY_MACHINE, BY_RULE, Reason, TABLE, enforceable},
    wire::quote,
};
use icmpgate_tests::{
    Gate,
    gate::{Lease, OPEN, hex, policy},
    random, repetitions,
};
use std::collections::BTreeMap;

/// The linear area of a test run's buffer: a page, less headroom and skb_shared_info.
const LINEAR: usize = 4096 - 256 - 320;

/// What the host makes of a frame, in the kernel's words: what it could be read as, and its faults
/// or why it isn't ours.
fn on_host(frame: &[u8]) -> (Trace, Option<Reason>) {
    match parse(frame) {
        Err(reason) => (Trace::default(), Some(reason)),
        Ok(mut packet) => {
            validate(frame, &mut packet);
            packet.faults |= match packet.stage {
                stage::ERROR => faults_of_quote(frame, &packet),
                stage::LINK => link::faults(frame, &packet),
                _ => 0,
            };
            let trace = Trace {
                family: packet.family,
                has_type: u8::from(packet.has_type),
                ty: packet.ty,
                code: packet.code,
                checksum: packet.checksum,
                fragment: packet.fragment,
                faults: packet.faults,
                ..Trace::default()
            };
            (trace, None)
        }
    }
}

/// Where no address is a broadcast.
fn faults_of_quote(frame: &[u8], packet: &Packet) -> u32 {
    let Packet { family, ty, code, destination, offset, length, .. } = *packet;
    let Some(quote) = quote::read(frame, family, offset, length) else {
        return plausible::faults_of_unread(frame, packet);
    };
    let word = frame[offset as usize + 4..][..4].try_into().expect("four octets");
    let word = u32::from_be_bytes(word);
    let faults = plausible::faults(&Claim { family, ty, code, destination, word }, &quote);
    match unanswerable(&Original::of_quote(family, &quote), ty, code) {
        true => faults | Reason::UNANSWERABLE.bit(),
        false => faults,
    }
}

/// A gate whose rules ask for every check, and which observes, so that each packet that has a header
/// gets as far as its rule.
fn gate() -> Lease {
    // The sockets and routes of a machine are none of the host's parser.
    let by_rule = BY_RULE & !BY_MACHINE;
    let named = TABLE.iter().filter(|e| by_rule & e.reason.bit() != 0);
    let named: Vec<String> = named.map(|e| format!("{:?}", e.label)).collect();
    let asking = &format!("action = \"pass\"\nchecks = [{}]", named.join(", "));
    let off = TABLE.iter().filter(|e| BY_MACHINE & e.reason.bit() != 0);
    let off: String = off.map(|e| format!("{} = \"off\"\n", e.label)).collect();
    Gate::with(&policy(&format!(
        "mode = \"observe\"\n{}[checks]\n{off}",
        OPEN.replace("action = \"pass\"", asking)
    )))
}

#[test]
fn host_and_kernel_find_the_same_in_random_frames() {
    let seed = std::env::var("ICMPGATE_SEED").ok().and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    let frames = repetitions(220_000);
    println!("seed {seed}, {frames} frames");
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut gate = gate();
    // That the frames are worth it: how many had each fault, family, checksum and fragment.
    let mut faults: BTreeMap<&str, usize> = BTreeMap::new();
    let mut kinds: BTreeMap<(u8, u8, u8), usize> = BTreeMap::new();
    for n in 0..frames {
        let frame = random::frame(&mut rng);
        if frame.len() > LINEAR {
            continue;
        }
        let seen = gate.send(&frame);
        let (host, reason) = on_host(&frame);
        let kernel = Trace { outcome: 0, rule: 0, class: 0, ..seen.trace };
        assert_eq!(
            host,
            kernel,
            "frame {n} of ICMPGATE_SEED={seed}: host and kernel differ on {}",
            hex(&frame)
        );
        match reason {
            Some(reason) => assert_eq!(seen.reason(), reason, "{}", hex(&frame)),
            None if host.faults != 0 => assert_eq!(seen.reason(), Reason::first(host.faults)),
            None => assert_eq!(seen.reason(), Reason::ACCEPTED),
        }
        for entry in TABLE.iter().filter(|e| host.faults & e.reason.bit() != 0) {
            *faults.entry(entry.label).or_default() += 1;
        }
        *kinds.entry((host.family, host.checksum, host.fragment)).or_default() += 1;
    }
    gate.settle();
    println!("{faults:#?}\n{kinds:?}");
    // Every fault of what arrives.
    let arriving = enforceable(hook::INGRESS) & !BY_MACHINE;
    for entry in TABLE.iter().filter(|e| arriving & e.reason.bit() != 0) {
        let hits = faults.get(entry.label).copied().unwrap_or(0);
        assert!(hits * 4_000 > frames, "{} in {hits} of {frames}: too rare to tell", entry.label);
    }
    for f in family::ALL {
        for status in [checksum::GOOD, checksum::BAD] {
            let hits = kinds.get(&(f, status, fragment::NONE)).copied().unwrap_or(0);
            assert!(hits * 100 > frames, "family {f}, checksum {status}: {hits} of {frames}");
        }
    }
}

/// Every length that a valid frame can be cut to.
#[test]
fn host_and_kernel_find_the_same_in_frames_cut_anywhere() {
    let mut rng = fastrand::Rng::with_seed(7);
    let mut gate = gate();
    for _ in 0..repetitions(200) {
        let frames = [random::ipv4(&mut rng).frame(), random::ipv6(&mut rng).frame()];
        for frame in frames {
            let tags = rng.usize(..3);
            let mut frame = frame.tags(tags).build();
            frame.truncate(300);
            while frame.len() >= 14 {
                let kernel = Trace { outcome: 0, rule: 0, class: 0, ..gate.send(&frame).trace };
                assert_eq!(on_host(&frame).0, kernel, "{}", hex(&frame));
                frame.pop();
            }
        }
    }
    gate.settle();
}
