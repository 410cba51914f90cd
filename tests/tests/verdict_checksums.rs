//! Row W10: the checksum is verified over the whole message, at every length, however many headers
//! are before it and wherever the frame's octets lie.
//!
//! Each length is sent twice: good, and with one bit of the message flipped.

use icmp_common::abi::{Trace, checksum, fragment};
use icmpgate_tests::{
    Extension, Frame, Gate, Ipv4, Ipv6, Message,
    gate::hex,
    message::{echo, error_v4, error_v6, mld},
    sampled,
};

/// The longest frame that the kernel's test run takes (18 pages, less what it keeps).
const LONGEST: usize = 8_942;
/// Linear area of a test run's buffer: a page, less headroom and what skb_shared_info takes. The
/// lengths around it are those at which a message begins to lie in fragments.
const LINEAR: usize = 4096 - 256 - 320;

/// Runs a frame as it is and with a bit flipped that the message's checksum covers, and no other.
///
/// `message` is the message's length: it is the last of the packet, `padding` octets from the end.
fn good_and_bad(
    gate: &mut Gate,
    what: &str,
    frame: &[u8],
    message: usize,
    padding: usize,
    bit: usize,
) {
    let good = gate.send(frame).trace;
    assert!(
        good.checksum == checksum::GOOD && good.faults == 0,
        "{what}: {good:?}: {}",
        hex(frame)
    );
    let mut bad = frame.to_vec();
    let start = frame.len() - padding - message;
    // Not in type and code, so that the message stays what it is.
    let bit = 16 + bit % (message * 8 - 16);
    bad[start + bit / 8] ^= 0x80 >> (bit % 8);
    let bad = gate.send(&bad).trace;
    let like = Trace {
        checksum: bad.checksum,
        faults: bad.faults,
        outcome: bad.outcome,
        rule: bad.rule,
        ..good
    };
    assert!(
        bad.checksum == checksum::BAD && bad == like,
        "{what}, bit {bit}: {bad:?}: {}",
        hex(frame)
    );
}

/// A kind of message: its name, and the frame whose message has a length.
type Kind = (&'static str, fn(usize) -> Frame);

fn messages() -> [Kind; 4] {
    [
        ("ICMPv4 echo", |n| Ipv4::default().icmp(echo(8).length(n)).frame()),
        ("ICMPv6 echo", |n| Ipv6::default().icmp(echo(128).length(n)).frame()),
        ("ICMPv6 echo behind a header", |n| {
            let packet = Ipv6::default().extension(Extension::destination_options(0));
            packet.icmp(echo(128).length(n)).frame()
        }),
        // Types whose length nothing else depends on.
        ("IGMP report", |n| {
            let message = Message::new(0x16, 0).octets([239, 1, 2, 3]).length(n);
            Ipv4::between("192.0.2.1", "239.1.2.3").ttl(1).router_alert().igmp(message).frame()
        }),
    ]
}

#[test]
fn at_every_length_of_an_ordinary_frame() {
    let mut gate = Gate::open();
    let mut n = 0;
    for (name, packet) in messages() {
        for length in (8..=1500).filter(|n| *n < 80 || *n > 1470 || sampled(*n)) {
            let what = format!("{name} of {length}");
            good_and_bad(&mut gate, &what, &packet(length).build(), length, 0, length * 7919);
            n += 2;
        }
    }
    gate.settle();
    println!("{n} frames");
}

#[test]
fn at_every_length_up_to_what_a_test_run_takes() {
    let mut gate = Gate::open();
    let mut n = 0;
    for (name, packet) in messages() {
        let headers = packet(8).build().len() - 8;
        let lengths = (1500..=LONGEST - headers).filter(|length| {
            let frame = length + headers;
            // The ends of the linear area and of the pages behind it, and of the blocks that are
            // copied from there; all else by a stride that meets every remainder.
            let near = |edge: usize| frame.abs_diff(edge) < 40;
            near(LINEAR)
                || near(LINEAR + 4096)
                || near(LONGEST) && frame.abs_diff(LONGEST) < 12
                || length % 512 < 4
                || length % 512 > 508
                || length.is_multiple_of(37)
        });
        for length in lengths.filter(|n| sampled(*n)) {
            let what = format!("{name} of {length}");
            good_and_bad(&mut gate, &what, &packet(length).build(), length, 0, length * 7919);
            n += 2;
        }
    }
    gate.settle();
    println!("{n} frames");
}

/// A sum that misses one octet of any frame would be found by that octet alone.
#[test]
fn every_bit_of_a_message_counts() {
    let mut gate = Gate::open();
    for (name, packet) in messages() {
        for length in [8, 9, 64, 67] {
            let frame = packet(length).build();
            for bit in 0..length * 8 - 16 {
                if sampled(bit) {
                    good_and_bad(&mut gate, name, &frame, length, 0, bit);
                }
            }
        }
        // One bit in each octet, of the linear area, of its end and of what lies behind it.
        for length in [1500, 5000] {
            let frame = packet(length).build();
            for octet in (2..length).filter(|n| sampled(*n)) {
                good_and_bad(&mut gate, name, &frame, length, 0, octet * 8 - 16 + octet % 8);
            }
        }
    }
    gate.settle();
}

#[test]
fn behind_every_header_length() {
    let mut gate = Gate::open();
    for tags in 0..=2 {
        for padding in [0, 1, 18] {
            for length in [8, 9, 10, 11, 35, 64, 513, 1200, 1477, 4000, 7001] {
                for options in 0..=10 {
                    let packet = Ipv4::default().options(options * 4).icmp(echo(8).length(length));
                    let frame = packet.frame().tags(tags).pad(padding).build();
                    let what = format!("{tags} tags, {options} words, {padding} octets of padding");
                    good_and_bad(&mut gate, &what, &frame, length, padding, length * 31 + options);
                }
                for headers in 0..=8 {
                    let packet = Ipv6::default().extensions(headers).icmp(echo(128).length(length));
                    let frame = packet.frame().tags(tags).pad(padding).build();
                    let what =
                        format!("{tags} tags, {headers} headers, {padding} octets of padding");
                    good_and_bad(&mut gate, &what, &frame, length, padding, length * 31 + headers);
                }
            }
        }
    }
    gate.settle();
}

#[test]
fn of_an_atomic_fragment_and_not_of_another() {
    let mut gate = Gate::open();
    for length in (8..200).chain([1400, 4000, 8001]) {
        let message = || echo(128).length(length);
        for headers in [0, 3] {
            let packet = || Ipv6::default().extensions(headers);
            let atomic = packet().extension(Extension::fragment(0, false)).icmp(message());
            good_and_bad(&mut gate, "atomic", &atomic.frame().build(), length, 0, length * 11);
            for (offset, more, expected, status) in [
                (0, true, fragment::FIRST, checksum::UNVERIFIED),
                (1, true, fragment::LATER, checksum::ABSENT),
                (1, false, fragment::LATER, checksum::ABSENT),
            ] {
                for off in [0, 0x5555] {
                    let message = message().bad_checksum(off);
                    let part = packet().extension(Extension::fragment(offset, more)).icmp(message);
                    let trace = gate.send(&Vec::from(part)).trace;
                    assert_eq!((trace.fragment, trace.checksum), (expected, status));
                    assert_eq!(trace.faults, 0);
                    let message = echo(8).length(length).bad_checksum(off);
                    let part = Ipv4::default().fragment(offset, more).icmp(message);
                    let trace = gate.send(&Vec::from(part)).trace;
                    assert_eq!((trace.fragment, trace.checksum), (expected, status));
                    assert_eq!(trace.faults, 0);
                }
            }
        }
    }
    gate.settle();
}

/// Beyond the bound of the walk nothing is known of a message, so nothing is verified.
#[test]
fn not_beyond_the_bound_of_extension_headers() {
    let mut gate = Gate::open();
    for bits in [0, 1] {
        let message = echo(128).bad_checksum(bits);
        let seen = gate.run(&Vec::from(Ipv6::default().extensions(9).icmp(message)));
        assert_eq!(seen.to_string(), "icmpv6 -> drop extension-headers-beyond-bound");
    }
}

#[test]
fn of_messages_whose_octets_are_all_alike() {
    // 0xffff and 0 are the same to a one's complement sum; a field of 0 is legitimate in ICMP.
    let mut gate = Gate::open();
    for octet in [0x00, 0xff, 0x80, 0x01] {
        for length in (8..100).chain([1499, 1500, 4096, 8000]).filter(|n| sampled(*n)) {
            let body = vec![octet; length - 4];
            let message = || Message::new(8, 0).octets(&body);
            let good = gate.send(&Vec::from(Ipv4::default().icmp(message()))).trace;
            assert_eq!(good.checksum, checksum::GOOD, "{octet:#x} x {length}");
            let packet = Ipv4::default().icmp(message().bad_checksum(0x0100));
            let bad = gate.send(&Vec::from(packet)).trace;
            assert_eq!(bad.checksum, checksum::BAD, "{octet:#x} x {length}");
        }
    }
    // Negative zero: a sum of which the field is the complement of 0xffff.
    for field in [0x0000, 0xffff] {
        let mut message = Message::new(8, 0).octets([0xf7, 0xff, 0, 0]).build(&[]);
        assert_eq!(message[2..4], [0, 0], "the sum without it is 0xffff");
        message[2..4].copy_from_slice(&u16::to_be_bytes(field));
        let trace = gate.send(&Vec::from(Ipv4::default().payload(1, message))).trace;
        assert_eq!(trace.checksum, checksum::GOOD, "{field:#x}");
    }
    gate.settle();
}

#[test]
fn of_errors_and_listener_messages_too() {
    let mut gate = Gate::open();
    for length in (48..1200).filter(|n| n % 13 == 0) {
        for (ty, code) in [(3, 4), (11, 0), (12, 0)] {
            let packet = Ipv4::default().icmp(error_v4(ty, code, 0).length(length));
            good_and_bad(&mut gate, "error", &Vec::from(packet), length, 0, length * 17);
        }
        for ty in [1, 2, 3, 4, 77] {
            let packet = Ipv6::default().icmp(error_v6(ty, 0, 1280).length(length));
            good_and_bad(&mut gate, "error", &Vec::from(packet), length, 0, length * 17);
        }
        let packet = Ipv6::between("fe80::1", "ff02::2").hop_limit(1);
        let packet = packet.extension(Extension::router_alert());
        let packet = packet.icmp(mld(132, "ff0e::1").length(length));
        good_and_bad(&mut gate, "done", &Vec::from(packet), length, 0, length * 17);
    }
    gate.settle();
}
