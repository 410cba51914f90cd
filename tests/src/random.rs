//! Random frames: valid ones, ones with a field out of place, and noise. All from one seed, which
//! the test prints when it fails.

use crate::{
    Extension, Ipv4, Ipv6, Message,
    frame::{C_TAG, ETHER_IPV4, ETHER_IPV6, Frame, S_TAG},
    message,
};
use fastrand::Rng;
use std::net::{Ipv4Addr, Ipv6Addr};

/// A frame of at most some 1,600 octets.
#[must_use]
pub fn frame(rng: &mut Rng) -> Vec<u8> {
    let frame = match rng.u8(..20) {
        0 => noise(rng),
        1 => other(rng),
        2..11 => ipv4(rng).frame(),
        _ => ipv6(rng).frame(),
    };
    let mut octets = link(rng, frame).build();
    match rng.u8(..10) {
        0..6 => {}
        6 => octets.truncate(rng.usize(14..=octets.len())),
        7 => octets.extend((0..rng.u8(1..64)).map(|i| i ^ 0x5a)),
        _ => mutate(rng, &mut octets),
    }
    octets
}

/// Changes some octets, most often where headers are.
pub fn mutate(rng: &mut Rng, octets: &mut [u8]) {
    for _ in 0..rng.u8(1..5) {
        let near = if rng.bool() { 80 } else { octets.len() };
        let at = rng.usize(12..near.min(octets.len()).max(13));
        let Some(octet) = octets.get_mut(at) else { continue };
        match rng.u8(..4) {
            0 => *octet ^= 1 << rng.u8(..8),
            1 => *octet = rng.u8(..),
            2 => *octet = *rng.choice([0, 1, 4, 5, 58, 44, 60, 0x7f, 0x80, 0xff].iter()).unwrap(),
            _ => {
                let from = rng.usize(..octets.len());
                octets[at] = octets[from];
            }
        }
    }
}

fn noise(rng: &mut Rng) -> Frame {
    let ether_type = *rng.choice([ETHER_IPV4, ETHER_IPV6, 0x0806].iter()).unwrap();
    let payload: Vec<u8> = (0..rng.usize(..200)).map(|_| rng.u8(..)).collect();
    Frame::new(ether_type, payload)
}

fn other(rng: &mut Rng) -> Frame {
    match rng.u8(..3) {
        0 => Ipv4::default().payload(rng.u8(3..), vec![7; rng.usize(..100)]).frame(),
        1 => Ipv6::default().payload(rng.u8(61..), vec![7; rng.usize(..100)]).frame(),
        _ => Frame::new(rng.u16(..), vec![7; rng.usize(..100)]),
    }
}

fn link(rng: &mut Rng, mut frame: Frame) -> Frame {
    for _ in 0..*rng.choice([0, 0, 0, 0, 1, 2, 3].iter()).unwrap() {
        let tpid = if rng.bool() { C_TAG } else { S_TAG };
        frame = frame.tag(tpid, rng.u16(..));
    }
    if rng.u8(..8) == 0 {
        frame = frame.pad(rng.usize(1..40));
    }
    frame
}

fn length(rng: &mut Rng) -> usize {
    match rng.u8(..4) {
        0 => rng.usize(..64),
        1 => rng.usize(..1500),
        _ => rng.usize(4..200),
    }
}

fn spoil(rng: &mut Rng, message: Message) -> Message {
    if rng.u8(..5) == 0 { message.bad_checksum(rng.u16(1..)) } else { message }
}

/// Any ICMPv4 or IGMP packet.
pub fn ipv4(rng: &mut Rng) -> Ipv4 {
    let source = match rng.u8(..4) {
        0 => Ipv4Addr::from(rng.u32(..)),
        1 => *rng
            .choice(
                [
                    Ipv4Addr::LOCALHOST,
                    Ipv4Addr::BROADCAST,
                    Ipv4Addr::UNSPECIFIED,
                    Ipv4Addr::new(224, 0, 0, 1),
                    Ipv4Addr::new(240, 0, 0, 1),
                ]
                .iter(),
            )
            .unwrap(),
        _ => Ipv4Addr::new(192, 0, 2, rng.u8(..)),
    };
    let destination = match rng.u8(..4) {
        0 => Ipv4Addr::from(rng.u32(..)),
        1 => Ipv4Addr::new(224, 0, 0, rng.u8(..)),
        _ => Ipv4Addr::new(198, 51, 100, rng.u8(..)),
    };
    let mut packet = Ipv4::default().from(source).to(destination);
    packet = if rng.u8(..3) == 0 {
        let message = igmp_message(rng);
        packet.igmp(spoil(rng, message))
    } else {
        let ty = if rng.bool() { rng.u8(..20) } else { rng.u8(..) };
        let message = if rng.u8(..6) == 0 {
            let quoted = ipv4(rng).packet();
            error(rng, &[3, 4, 5, 11, 12], quoted)
        } else {
            Message::new(ty, rng.u8(..17)).length(length(rng))
        };
        packet.icmp(spoil(rng, message))
    };
    if rng.u8(..3) == 0 {
        packet = packet.options(rng.usize(..11) * 4);
    }
    match rng.u8(..24) {
        0 => packet = packet.version(rng.u8(..16)),
        1 => packet = packet.header_words(rng.u8(..16)),
        2 => packet = packet.total_length(rng.u16(..)),
        3 => packet = packet.total_length_off(rng.i32(-40..40)),
        4 => packet = packet.bad_checksum(rng.u16(1..)),
        5 | 6 => packet = packet.fragment(rng.u16(..0x2000), rng.bool()),
        7 | 8 => packet = packet.fragment(0, true),
        9 => packet = packet.dont_fragment(),
        _ => {}
    }
    packet
}

fn igmp_message(rng: &mut Rng) -> Message {
    match rng.u8(..5) {
        0 => message::igmp_query_v3("239.1.2.3", rng.u16(..8), rng.usize(..8)),
        1 => {
            let records: Vec<_> = (0..rng.u8(..6))
                .map(|_| message::record(rng.u8(1..7), rng.u8(..3), rng.u16(..4)))
                .collect();
            let counted = records.len() as u16;
            let counted = if rng.u8(..3) == 0 { rng.u16(..300) } else { counted };
            let whole = message::igmp_report(counted, &records);
            let length = whole.len();
            if rng.u8(..4) == 0 { whole.length(rng.usize(8..=length)) } else { whole }
        }
        2 => {
            // As many least records as a frame holds, around the bound of the walk.
            let records = vec![message::record(4, 0, 0); rng.usize(180..200)];
            message::igmp_report(records.len() as u16, &records)
        }
        3 => Message::new(0x11, rng.u8(..)).length(rng.usize(..20)),
        _ => Message::new(rng.u8(..), rng.u8(..)).length(rng.usize(..40)),
    }
}

/// Any ICMPv6 packet.
pub fn ipv6(rng: &mut Rng) -> Ipv6 {
    let source = match rng.u8(..4) {
        0 => Ipv6Addr::from(rng.u128(..)),
        1 => *rng
            .choice([Ipv6Addr::LOCALHOST, Ipv6Addr::UNSPECIFIED, "ff02::1".parse().unwrap()].iter())
            .unwrap(),
        _ => "fe80::1".parse().unwrap(),
    };
    let destination = match rng.u8(..3) {
        0 => "ff02::16".parse().unwrap(),
        1 => Ipv6Addr::from(rng.u128(..)),
        _ => "2001:db8:2::1".parse().unwrap(),
    };
    let mut packet = Ipv6::default().from(source).to(destination);
    let extensions = match rng.u8(..6) {
        0..3 => 0,
        3 => rng.u8(..4),
        _ => rng.u8(..11),
    };
    for _ in 0..extensions {
        packet = packet.extension(extension(rng));
    }
    let message = match rng.u8(..6) {
        0 => message::mld_query_v2("ff0e::1", rng.u16(..8), rng.usize(..8)),
        1 => {
            let records: Vec<_> = (0..rng.u8(..6))
                .map(|_| message::record6(rng.u8(1..7), rng.u8(..3), rng.u16(..4)))
                .collect();
            let counted = records.len() as u16;
            message::mld_report(if rng.u8(..3) == 0 { rng.u16(..300) } else { counted }, &records)
        }
        2 => Message::new(130, 0).length(rng.usize(..40)),
        3 => {
            let quoted = ipv6(rng).packet();
            error(rng, &[1, 2, 3, 4, 99], quoted)
        }
        _ => {
            let ty = if rng.bool() { rng.u8(126..165) } else { rng.u8(..) };
            Message::new(ty, rng.u8(..12)).length(length(rng))
        }
    };
    packet = if rng.u8(..12) == 0 {
        packet.payload(*rng.choice([6, 17, 59, 2, 1].iter()).unwrap(), vec![3; rng.usize(..30)])
    } else {
        packet.icmp(spoil(rng, message))
    };
    match rng.u8(..24) {
        0 => packet.version(rng.u8(..16)),
        1 => packet.payload_length(rng.u16(..)),
        2 | 3 => packet.payload_length_off(rng.i32(-40..40)),
        _ => packet,
    }
}

/// An error of one of these types about a packet, or about its beginning.
fn error(rng: &mut Rng, types: &[u8], mut quoted: Vec<u8>) -> Message {
    quoted.truncate(if rng.bool() { 600 } else { rng.usize(..100) });
    Message::new(*rng.choice(types.iter()).unwrap(), rng.u8(..5)).word(rng.u32(..)).octets(quoted)
}

fn extension(rng: &mut Rng) -> Extension {
    match rng.u8(..9) {
        0 => Extension::hop_by_hop(rng.u8(..3)),
        1 | 2 => Extension::destination_options(if rng.u8(..20) == 0 { rng.u8(..) } else { 1 }),
        3 => Extension::authentication(rng.u8(2..9)),
        4 => {
            let ty = *rng.choice([0, 2, 3, 4, 253].iter()).unwrap();
            let route = ["2001:db8:7::1", "2001:db8:8::1"];
            Extension::routing(ty, rng.u8(..3), &route[..rng.usize(..3)])
        }
        5 => Extension::fragment(0, false),
        6 => Extension::fragment(0, true),
        7 => Extension::fragment(rng.u16(..0x2000), rng.bool()),
        _ => {
            let kind = *rng.choice([0, 43, 44, 51, 60].iter()).unwrap();
            let octets: Vec<u8> = (0..8).map(|_| if rng.bool() { 0 } else { rng.u8(..) }).collect();
            Extension::raw(kind, octets)
        }
    }
}

/// A valid frame, but for checksums: what tools of all kinds read alike.
#[must_use]
pub fn plain(rng: &mut Rng) -> Vec<u8> {
    let tags = rng.usize(..3);
    let frame = match rng.u8(..3) {
        0 => {
            let ty = if rng.bool() { rng.u8(..20) } else { rng.u8(..) };
            let message = Message::new(ty, rng.u8(..17)).length(rng.usize(48..300));
            let packet = Ipv4::default().options(rng.usize(..11) * 4).icmp(spoil(rng, message));
            fragmented(rng, packet).frame()
        }
        1 => {
            let message = igmp_message(rng);
            let length = message.len().max(8);
            let packet = Ipv4::between("192.0.2.1", "239.1.2.3").ttl(1);
            packet.igmp(spoil(rng, message.length(length))).frame()
        }
        _ => {
            let ty = if rng.bool() { rng.u8(126..165) } else { rng.u8(..) };
            let message = Message::new(ty, rng.u8(..12)).length(rng.usize(48..300));
            let mut packet = Ipv6::default();
            for _ in 0..rng.u8(..4) {
                packet = packet.extension(match rng.u8(..4) {
                    0 => Extension::destination_options(rng.u8(..3)),
                    1 => Extension::authentication(6),
                    2 => Extension::routing(0, rng.u8(..2), &["2001:db8:7::1"]),
                    _ => Extension::fragment(*rng.choice([0, 0, 5].iter()).unwrap(), rng.bool()),
                });
            }
            packet.icmp(spoil(rng, message)).frame()
        }
    };
    let padding = if rng.u8(..4) == 0 { rng.usize(1..30) } else { 0 };
    frame.tags(tags).pad(padding).build()
}

fn fragmented(rng: &mut Rng, packet: Ipv4) -> Ipv4 {
    match rng.u8(..10) {
        0 => packet.fragment(0, true),
        1 => packet.fragment(rng.u16(1..0x1000), rng.bool()),
        _ => packet,
    }
}
