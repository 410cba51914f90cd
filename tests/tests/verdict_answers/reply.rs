//! Row G4: replies.

use crate::{
    HERE, HERE6, PEER, PEER6, assert_seen, gate, is_run, link_of, octets,
    oracle::{Oracle, assert_echo_reply, link_header},
    replying,
};
use icmp_common::verdict::{Reason, Verdict};
use icmpgate_tests::{Ipv4, Ipv6, Message, frame::internet_checksum, gate::check, message::echo};
use std::time::{SystemTime, UNIX_EPOCH};

/// What identifier and sequence are made of a number.
type Numbers = fn(u16) -> (u16, u16);

/// Sends echo requests for each number.
fn sweep(family: &str, of: &[Numbers]) {
    let mut gate = gate(&replying());
    let mut oracle = Oracle::default();
    for n in (0..=u16::MAX).filter(|n| is_run((*n).into())) {
        for of in of {
            let (identifier, sequence) = of(n);
            let message = |ty| Message::new(ty, 0).half(identifier).half(sequence);
            let frame: Vec<u8> = match family {
                "icmpv6" => Ipv6::between(PEER6, HERE6).icmp(message(128)).into(),
                _ => Ipv4::between(PEER, HERE).icmp(message(8)).into(),
            };
            let (seen, answer) = gate.send_for_output(&frame);
            assert_seen(&seen, Verdict::Tx, Reason::REPLIED, &frame);
            assert_echo_reply(&frame, &answer);
            if n % 251 == 0 {
                oracle.ask(&frame, &answer);
            }
        }
    }
    gate.settle();
    oracle.verify();
}

/// By themselves, and with what makes the words of the message sum to 0xffff.
#[test]
fn every_identifier_and_sequence_of_an_echo_is_answered_exactly() {
    sweep("icmpv4", &[|n| (n, 0), |n| (!n, n)]);
}

#[test]
fn every_identifier_and_sequence_of_an_icmpv6_echo_is_answered_exactly() {
    sweep("icmpv6", &[|n| (n, n.swap_bytes())]);
}

#[test]
fn replies_that_are_all_zeros_have_the_checksum_0xffff() {
    let mut gate = gate(&replying());
    for length in [8, 9, 64, 1000, 5000] {
        let message = Message::new(8, 0).zeros(length);
        let frame: Vec<u8> = Ipv4::between(PEER, HERE).icmp(message).into();
        let (seen, answer) = gate.answer(&frame);
        assert_seen(&seen, Verdict::Tx, Reason::REPLIED, &frame);
        assert_eq!(answer[34..38], [0, 0, 0xff, 0xff], "{length}");
        assert_echo_reply(&frame, &answer);
    }
}

#[test]
fn echo_of_every_length_is_answered_in_place() {
    let mut gate = gate(&replying());
    let mut oracle = Oracle::default();
    // Up to a full frame, around the end of the linear area of a test run, and near its longest.
    let lengths = (8..=1480).chain(3400..3620).chain(8800..8860);
    for length in lengths.filter(|n| is_run(*n)) {
        for (n, frame) in [
            Ipv4::between(PEER, HERE).icmp(echo(8).length(length)).frame(),
            Ipv6::between(PEER6, HERE6).icmp(echo(128).length(length)).frame(),
            Ipv4::between(PEER, HERE).icmp(echo(8).length(length)).frame().tags(length % 3),
            Ipv6::between(PEER6, HERE6).icmp(echo(128).length(length)).frame().pad(length % 7),
        ]
        .into_iter()
        .enumerate()
        {
            let frame = frame.build();
            let (seen, answer) = gate.send_for_output(&frame);
            assert_seen(&seen, Verdict::Tx, Reason::REPLIED, &frame);
            assert_echo_reply(&frame, &answer);
            if length % 31 == 0 && n < 3 {
                oracle.ask(&frame, &answer);
            }
        }
    }
    gate.settle();
    oracle.verify();
}

/// What isn't defined by a code is kept: RFC 792 has 0, and Linux copies what came.
#[test]
fn the_code_and_the_service_of_a_request_are_those_of_the_reply() {
    let mut gate = gate(&replying());
    for code in [0, 1, 255] {
        let mut frame: Vec<u8> =
            Ipv4::between(PEER, HERE).icmp(Message::new(8, code).word(7)).into();
        frame[15] = 0xb9;
        fix_header(&mut frame);
        let (seen, answer) = gate.answer(&frame);
        assert_seen(&seen, Verdict::Tx, Reason::REPLIED, &frame);
        assert_echo_reply(&frame, &answer);
        let mut frame: Vec<u8> =
            Ipv6::between(PEER6, HERE6).icmp(Message::new(128, code).word(7)).into();
        // Traffic class 0xb9, and a flow label.
        frame[14..18].copy_from_slice(&[0x6b, 0x91, 0x23, 0x45]);
        let (seen, answer) = gate.answer(&frame);
        assert_seen(&seen, Verdict::Tx, Reason::REPLIED, &frame);
        assert_echo_reply(&frame, &answer);
    }
}

/// Sums an IPv4 header without tags and options anew.
fn fix_header(frame: &mut [u8]) {
    frame[24..26].fill(0);
    let sum = internet_checksum(&frame[14..34]).to_be_bytes();
    frame[24..26].copy_from_slice(&sum);
}

#[test]
fn a_timestamp_is_answered_with_the_time_of_day() {
    let mut gate = gate(&replying());
    let now = || {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        (since.as_millis() % 86_400_000) as u32
    };
    for (length, tags) in [(20, 0), (20, 2), (24, 1), (1000, 0)] {
        let message = Message::new(13, 0).word(0x1234_5678).word(0xdead_beef).word(7).word(8);
        let packet = Ipv4::between(PEER, HERE).icmp(message.length(length));
        let frame = packet.frame().tags(tags).build();
        let before = now();
        let (seen, answer) = gate.answer(&frame);
        let after = now();
        assert_seen(&seen, Verdict::Tx, Reason::REPLIED, &frame);
        let sent = &answer[link_of(&frame)..];
        assert_eq!(answer[..link_of(&frame)], link_header(&frame));
        // The message is of 20 octets, whatever followed in the request.
        assert_eq!(sent[2..4], [0, 40]);
        assert_eq!(internet_checksum(&sent[..20]), 0);
        assert_eq!(internet_checksum(&sent[20..40]), 0);
        assert_eq!(sent[20..22], [14, 0]);
        assert_eq!(sent[24..32], [0x12, 0x34, 0x56, 0x78, 0xde, 0xad, 0xbe, 0xef]);
        let [receive, transmit] = [32, 36]
            .map(|at| u32::from_be_bytes([sent[at], sent[at + 1], sent[at + 2], sent[at + 3]]));
        assert_eq!(receive, transmit);
        let is = receive >= before && receive <= after;
        // Midnight may lie between.
        assert!(is || after < before, "{before} <= {receive} <= {after}");
    }
}

#[test]
fn a_mask_is_that_of_the_network_which_the_request_came_from() {
    let mut gate = gate(&replying());
    let request = |from: &str| -> Vec<u8> {
        Ipv4::between(from, HERE).icmp(Message::new(17, 0).word(0x1234_5678).word(0)).into()
    };
    for (from, mask) in [("198.51.100.7", [255, 255, 255, 0]), ("10.3.2.1", [255, 0, 0, 0])] {
        let frame = request(from);
        let (seen, answer) = gate.answer(&frame);
        assert_seen(&seen, Verdict::Tx, Reason::REPLIED, &frame);
        let sent = &answer[14..];
        assert_eq!(sent[20..22], [18, 0]);
        assert_eq!((&sent[24..28], &sent[28..32]), (&[0x12, 0x34, 0x56, 0x78][..], &mask[..]));
        assert_eq!((internet_checksum(&sent[..20]), internet_checksum(&sent[20..32])), (0, 0));
        assert_eq!((&sent[12..16], &sent[16..20]), (&octets(HERE)[..], &octets(from)[..]));
    }
    // From a network that the interface isn't on, there is no mask to tell.
    check(&mut gate, [("elsewhere", request(PEER), "icmpv4 17/0 good -> drop denied by v4")]);
}
