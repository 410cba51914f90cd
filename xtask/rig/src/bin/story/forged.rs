//! Frames that no honest stack sends, or that none should believe.

use crate::{
    acts::{About, Act, Doing},
    stage::{BEYOND, CROWD, GATE_MAC, GATE_V4, GATE_V6, PEER_MAC, PEER_V4, PEER_V6},
};
use icmpgate_rig::frame::{self, ICMP, ICMPV6, IPV4, IPV6, Link, UDP, V4, counting};
use std::net::Ipv4Addr;

const LINK: Link = Link { destination: GATE_MAC, source: PEER_MAC };

/// IPv6's fragment header (RFC 8200 4.5).
const FRAGMENT: u8 = 44;
/// "More fragments" of an IPv4 header.
const MORE: u16 = 0x2000;

/// How often each is sent.
const TIMES: usize = 3;

/// Acts whose frames are made here, octet by octet.
pub(crate) fn forged() -> Vec<Act> {
    let act = |title: &str, frame: Vec<u8>, ty: &'static [&'static str], reason| Act {
        title: title.to_owned(),
        doing: Doing::Frames(vec![frame; TIMES]),
        frames: Some(TIMES as u64),
        about: About("icmpv4", ty),
        reasons: reason,
    };
    let mut forged = vec![
        act("echo with a bad checksum", bad_checksum(), &["8"], &["bad-checksum"]),
        act("source quench", error(PEER_V4, [4, 0], [0; 4]), &["4"], &["denied"]),
        act(
            "redirect to another gateway",
            error(PEER_V4, [5, 1], BEYOND.octets()),
            &["5"],
            &["redirect-gateway"],
        ),
        act(
            "time exceeded, from a multicast address",
            error(Ipv4Addr::new(224, 0, 0, 5), [11, 0], [0; 4]),
            &["11"],
            &["error-source"],
        ),
        act("timestamp request", timestamp(), &["13"], &["denied"]),
    ];
    forged.push(Act {
        frames: Some(2),
        doing: Doing::Frames(in_two_fragments()),
        ..act("echo in two fragments", Vec::new(), &["8", "none"], &["within-limit"])
    });
    forged.push(Act {
        about: About("icmpv6", &["128"]),
        ..act(
            "IPv6 first fragment cut in its header",
            cut_first_fragment(),
            &[],
            &["first-fragment-incomplete"],
        )
    });
    forged
}

/// Echo requests from the zone `crowd`, told apart by their sequence.
pub(crate) fn crowd(frames: u16) -> Vec<Vec<u8>> {
    let one = |sequence: u16| {
        let [high, low] = sequence.to_be_bytes();
        let message = frame::icmp(8, 0, [0x1c, 0x1c, high, low], &counting(56));
        LINK.frame(IPV4, &V4::new(CROWD, GATE_V4, ICMP).packet(&message))
    };
    (0..frames).map(one).collect()
}

/// Datagrams to ports of the protected host that nobody listens on, without a checksum of their own.
pub(crate) fn probes(frames: u16) -> Vec<Vec<u8>> {
    let one = |n: u16| {
        let [high, low] = (33_434 + n).to_be_bytes();
        let datagram = [0xc3, 0x50, high, low, 0, 16, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
        LINK.frame(IPV4, &V4::new(PEER_V4, GATE_V4, UDP).packet(&datagram))
    };
    (0..frames).map(one).collect()
}

fn bad_checksum() -> Vec<u8> {
    let mut message = frame::icmp(8, 0, [0, 7, 0, 1], &counting(56));
    message[2] ^= 0x40;
    LINK.frame(IPV4, &V4::new(PEER_V4, GATE_V4, ICMP).packet(&message))
}

/// An ICMP error about a datagram that the protected host never sent.
fn error(from: Ipv4Addr, [ty, code]: [u8; 2], word: [u8; 4]) -> Vec<u8> {
    let quoted = V4::new(GATE_V4, BEYOND, UDP).packet(&[0xc3, 0x50, 0, 53, 0, 8, 0, 0]);
    LINK.frame(IPV4, &V4::new(from, GATE_V4, ICMP).packet(&frame::icmp(ty, code, word, &quoted)))
}

fn timestamp() -> Vec<u8> {
    let message = frame::icmp(13, 0, [0, 7, 0, 1], &[0; 12]);
    LINK.frame(IPV4, &V4::new(PEER_V4, GATE_V4, ICMP).packet(&message))
}

/// One echo request, cut behind 64 octets of its message.
fn in_two_fragments() -> Vec<Vec<u8>> {
    let message = frame::icmp(8, 0, [0, 7, 0, 2], &counting(100));
    let part = |fragment, octets: &[u8]| {
        let header = V4 { id: 7, fragment, ..V4::new(PEER_V4, GATE_V4, ICMP) };
        LINK.frame(IPV4, &header.packet(octets))
    };
    vec![part(MORE, &message[..64]), part(64 / 8, &message[64..])]
}

/// A first fragment without its full header chain (RFC 7112): four octets of an ICMPv6 message.
fn cut_first_fragment() -> Vec<u8> {
    let message = frame::icmpv6(PEER_V6, GATE_V6, [128, 0], [0, 7, 0, 1], &counting(56));
    let header = [ICMPV6, 0, 0, 1, 0, 0, 0, 7];
    let payload = [&header[..], &message[..4]].concat();
    LINK.frame(IPV6, &frame::v6(PEER_V6, GATE_V6, FRAGMENT, 64, &payload))
}
