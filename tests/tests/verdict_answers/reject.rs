//! Row G3: errors.

use crate::{
    BEYOND, BEYOND6, FROM, FROM6, HERE, HERE6, PEER, PEER6, PLENTY, assert_seen, endpoint, gate,
    hardware, is_run, octets,
    oracle::{Oracle, assert_error_v4, assert_error_v6, sum_v6},
    policy, rejecting, replying, rule,
};
use icmp_common::{
    classify::code_assigned,
    verdict::{Reason, Verdict},
};
use icmpgate::datapath::Endpoint;
use icmpgate_tests::{
    Extension, Ipv4, Ipv6, Message, frame::internet_checksum, gate::check, message::echo,
};

/// Every type and code of ICMPv4 that can answer, and of ICMPv6.
fn errors() -> Vec<(bool, u8, u8)> {
    let of = |v6: bool, types: &[u8]| -> Vec<(bool, u8, u8)> {
        let family = if v6 { 2 } else { 1 };
        let codes = |ty| {
            (0..=u8::MAX)
                .filter(move |code| code_assigned(family, ty, *code))
                // The code of packet too big is ignored by all: only 0 is sent.
                .filter(move |code| !v6 || ty != 2 || *code == 0)
        };
        types.iter().flat_map(|ty| codes(*ty).map(|code| (v6, *ty, code))).collect()
    };
    [of(false, &[3, 11, 12]), of(true, &[1, 2, 3, 4])].concat()
}

/// The word behind the checksum of one of [`errors`], and how a rule asks for it.
fn word(v6: bool, ty: u8, code: u8) -> (u32, &'static str) {
    match (v6, ty, code) {
        (false, 3, 4) => (1400, ", mtu = 1400"),
        (false, 12, _) => (9 << 24, ", pointer = 9"),
        (true, 2, _) => (1400, ", mtu = 1400"),
        (true, 4, _) => (40, ", pointer = 40"),
        _ => (0, ""),
    }
}

#[test]
fn every_code_of_every_error_is_sent_as_asked() {
    let mut rules = Vec::new();
    // A type that nothing else is said of; its codes stand for the errors.
    for (n, (v6, ty, code)) in errors().into_iter().enumerate() {
        let family = if v6 { "icmpv6" } else { "icmpv4" };
        let more = word(v6, ty, code).1;
        rules.push(rule(
            &format!("r{n}"),
            &format!(
                "family = \"{family}\"\ntype = 200\ncode = {n}\naction = \"reject\"\n\
                 reject = {{ type = {ty}, code = {code}{more} }}\n{PLENTY}"
            ),
        ));
    }
    let mut gate = gate(&policy(&rules));
    let mut oracle = Oracle::default();
    for (n, (v6, ty, code)) in errors().into_iter().enumerate() {
        let (word, _) = word(v6, ty, code);
        let message = || Message::new(200, n as u8).length(40);
        // For this machine, and through it: it answers from the address that was asked, or its own.
        for to in [true, false] {
            let (frame, from): (Vec<u8>, &str) = match (v6, to) {
                (false, true) => (Ipv4::between(PEER, HERE).icmp(message()).into(), HERE),
                (false, false) => (Ipv4::between(PEER, BEYOND).icmp(message()).into(), FROM),
                (true, true) => (Ipv6::between(PEER6, HERE6).icmp(message()).into(), HERE6),
                (true, false) => (Ipv6::between(PEER6, BEYOND6).icmp(message()).into(), FROM6),
            };
            let (seen, answer) = gate.answer(&frame);
            assert_seen(&seen, Verdict::Tx, Reason::REJECTED, &frame);
            if v6 {
                assert_error_v6(&frame, &answer, from, (ty, code, word));
            } else {
                assert_error_v4(&frame, &answer, from, (ty, code, word));
            }
            oracle.ask(&frame, &answer);
        }
    }
    assert!(oracle.count > 80, "{}", oracle.count);
    oracle.verify();
}

#[test]
fn a_quote_is_what_there_is_room_for_at_every_length() {
    let mut gate = gate(&rejecting());
    let mut oracle = Oracle::default();
    let lengths = (4..=1500).chain(3400..3620).chain(8700..8760);
    for length in lengths.filter(|n| is_run(*n)) {
        let message = |v6: bool| {
            // Type 200 may have 4 octets.
            Message::new(
                if length < 8 {
                    200
                } else if v6 {
                    128
                } else {
                    8
                },
                0,
            )
            .length(length)
        };
        let (tags, padding) = (length % 3, length % 5 * 9);
        let v4 = Ipv4::between(PEER, HERE).icmp(message(false)).frame().tags(tags).pad(padding);
        let v6 = Ipv6::between(PEER6, HERE6).icmp(message(true)).frame().tags(tags).pad(padding);
        let (v4, v6) = (v4.build(), v6.build());
        let (seen, answer) = gate.send_for_output(&v4);
        assert_seen(&seen, Verdict::Tx, Reason::REJECTED, &v4);
        assert_error_v4(&v4, &answer, HERE, (3, 13, 0));
        let (seen6, answer6) = gate.send_for_output(&v6);
        assert_seen(&seen6, Verdict::Tx, Reason::REJECTED, &v6);
        assert_error_v6(&v6, &answer6, HERE6, (1, 1, 0));
        if length % 29 == 0 {
            oracle.ask(&v4, &answer);
            oracle.ask(&v6, &answer6);
        }
    }
    gate.settle();
    oracle.verify();
}

#[test]
fn an_error_is_no_longer_than_the_link_carries() {
    let mut gate = gate(&rejecting());
    let frame: Vec<u8> = Ipv4::between(PEER, HERE).icmp(echo(8).length(1000)).into();
    for (mtu, length) in [(296, 296), (575, 575), (576, 576), (1500, 576), (0, 576)] {
        gate.endpoint(&Endpoint { mtu, ..endpoint() });
        let (seen, answer) = gate.answer(&frame);
        assert_seen(&seen, Verdict::Tx, Reason::REJECTED, &frame);
        assert_eq!(answer.len(), 14 + length, "{mtu}");
        let sum = internet_checksum(&answer[34..]);
        assert_eq!(sum, 0, "{mtu}");
    }
}

#[test]
fn options_extension_headers_and_fragments_are_quoted_as_they_are() {
    let mut gate = gate(&rejecting());
    let mut oracle = Oracle::default();
    for options in (0..=40).step_by(4) {
        for tags in 0..3 {
            let packet = Ipv4::between(PEER, HERE).icmp(echo(8).length(100)).options(options);
            let frame = packet.frame().tags(tags).build();
            let (seen, answer) = gate.answer(&frame);
            assert_seen(&seen, Verdict::Tx, Reason::REJECTED, &frame);
            assert_error_v4(&frame, &answer, HERE, (3, 13, 0));
            oracle.ask(&frame, &answer);
        }
    }
    let first: Vec<u8> =
        Ipv4::between(PEER, HERE).icmp(echo(8).length(1000)).fragment(0, true).into();
    let alert: Vec<u8> = Ipv4::between(PEER, HERE).icmp(echo(8)).router_alert().into();
    for frame in [first, alert] {
        let (seen, answer) = gate.answer(&frame);
        assert_seen(&seen, Verdict::Tx, Reason::REJECTED, &frame);
        assert_error_v4(&frame, &answer, HERE, (3, 13, 0));
    }
    let echo6 = || Ipv6::between(PEER6, HERE6).icmp(echo(128).length(100));
    for packet in [
        echo6().extensions(1),
        echo6().extensions(8),
        echo6().extension(Extension::hop_by_hop(3)),
        echo6().extension(Extension::fragment(0, false)),
        echo6().extension(Extension::fragment(0, true)),
        // RFC 4443 2.4(e) has no condition on fragments.
        echo6().extension(Extension::fragment(5, true)),
    ] {
        let frame: Vec<u8> = packet.into();
        let (seen, answer) = gate.answer(&frame);
        assert_seen(&seen, Verdict::Tx, Reason::REJECTED, &frame);
        assert_error_v6(&frame, &answer, HERE6, (1, 1, 0));
    }
    // IGMP is answered by ICMP.
    let frame: Vec<u8> = Ipv4::between(PEER, HERE).igmp(Message::new(0x13, 0).length(32)).into();
    let (seen, answer) = gate.answer(&frame);
    assert_seen(&seen, Verdict::Tx, Reason::REJECTED, &frame);
    assert_error_v4(&frame, &answer, HERE, (3, 13, 0));
    oracle.verify();
}

/// An IPv4 packet with these octets of options.
fn with_options(options: &[u8]) -> Vec<u8> {
    Ipv4::between(PEER, HERE).raw_options(options).icmp(echo(8)).into()
}

#[test]
fn a_source_route_is_not_answered_and_other_options_only_by_an_error() {
    let loose = [131, 7, 4, 10, 0, 0, 1, 0];
    let strict = [1, 1, 137, 7, 4, 10, 0, 0, 1, 0, 0, 0];
    let record = [7, 7, 4, 0, 0, 0, 0, 0];
    let timestamp = [68, 8, 5, 0, 0, 0, 0, 0];
    let cut = [7, 9, 4, 0, 0, 0, 0, 0];
    let denied = |rule: &str| format!("icmpv4 8/0 good -> drop denied by {rule}");
    let rejected = "icmpv4 8/0 good -> tx rejected by no".to_owned();
    check(
        &mut gate(&rejecting()),
        [
            ("loose source route", with_options(&loose), denied("no")),
            ("strict source route", with_options(&strict), denied("no")),
            ("options that can't be read", with_options(&cut), denied("no")),
            ("record route", with_options(&record), rejected.clone()),
            ("timestamps", with_options(&timestamp), rejected.clone()),
            ("no option", with_options(&[1, 1, 1, 0]), rejected),
        ],
    );
    check(
        &mut gate(&replying()),
        [
            ("loose source route", with_options(&loose), denied("v4")),
            ("record route", with_options(&record), denied("v4")),
            ("no option", with_options(&[1, 1, 1, 0]), denied("v4")),
        ],
    );
}

/// RFC 4443 2.4(e.3): two errors may answer what was sent to a group.
#[test]
fn packet_too_big_and_unrecognized_options_answer_groups() {
    let with = |with: &str| {
        let lines = format!("family = \"icmpv6\"\naction = \"reject\"\nreject = {with}\n{PLENTY}");
        policy(&[rule("no", &lines)])
    };
    let frame: Vec<u8> = Ipv6::between(PEER6, "ff0e::5").icmp(echo(128)).into();
    let frame = hardware(frame, Some([0x33, 0x33, 0, 0, 0, 5]), None);
    let mut gate = gate(&with("{ type = 2, mtu = 1400 }"));
    for (text, error) in [
        (with("{ type = 2, mtu = 1400 }"), (2, 0, 1400)),
        (with("{ type = 4, code = 2, pointer = 42 }"), (4, 2, 42)),
    ] {
        gate.apply(&text);
        let (seen, answer) = gate.answer(&frame);
        assert_seen(&seen, Verdict::Tx, Reason::REJECTED, &frame);
        // From the interface, not from the group, by both addresses.
        assert_eq!(answer[..6], frame[6..12]);
        assert_eq!(answer[6..12], [2, 0, 0, 0, 0, 2]);
        assert_eq!(answer[22..38], octets(FROM6));
        assert_eq!(answer[54..56], [error.0, error.1]);
        assert_eq!(answer[58..62], u32::to_be_bytes(error.2));
        assert_eq!(sum_v6(&answer[14..]), 0);
    }
    gate.apply(&with("{ type = 4, code = 1, pointer = 6 }"));
    check(&mut gate, [("another code", frame, "icmpv6 128/0 good -> drop denied by no")]);
}

#[test]
fn an_answer_comes_from_the_address_that_suits_whom_it_goes_to() {
    let mut gate = gate(&rejecting());
    for (from, source) in [("10.9.9.9", "10.0.0.254"), (PEER, FROM), ("198.51.100.9", FROM)] {
        let frame: Vec<u8> = Ipv4::between(from, BEYOND).icmp(echo(8)).into();
        let (seen, answer) = gate.answer(&frame);
        assert_seen(&seen, Verdict::Tx, Reason::REJECTED, &frame);
        assert_error_v4(&frame, &answer, source, (3, 13, 0));
    }
    for (from, to, source) in [
        ("fe80::9", BEYOND6, "fe80::fe"),
        (PEER6, BEYOND6, FROM6),
        ("fe80::9", "fe80::1", "fe80::1"),
    ] {
        let frame: Vec<u8> = Ipv6::between(from, to).icmp(echo(128)).into();
        let (seen, answer) = gate.answer(&frame);
        assert_seen(&seen, Verdict::Tx, Reason::REJECTED, &frame);
        assert_error_v6(&frame, &answer, source, (1, 1, 0));
    }
}
