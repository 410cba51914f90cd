//! The short way to what [`parse::read`] and [`validate`] find, for messages of which there is nothing to say.
//!
//! Most messages are whole, without options, extension headers or fragments, nothing for one link alone, nothing of
//! IGMP, and of the lengths and checksums that they state, and errors are between hosts. For such a one the
//! short way asks only whether it is one, in the entry itself; what isn't, or may not be, goes the long way, which
//! finds why. Both come to the same packet: the tests hold one against the other.
//!
//! [`parse::read`]: crate::parse::read
//! [`validate`]: crate::validate::validate

use crate::abi::{checksum, family};
use crate::classify::{self, INFO_ERROR, INFO_LINK, INFO_MIN_LENGTH};
use crate::parse::{Candidate, Frame, Packet, stage};
use crate::validate::error_addresses;
use crate::wire::{
    checksum::{pseudo_header, verifies},
    ipv4, ipv6,
};

/// Reads a plain message, and says whether it is one. Where not, `packet` says nothing.
#[inline(always)]
pub fn read<F: Frame + ?Sized>(frame: &F, candidate: Candidate, packet: &mut Packet) -> bool {
    let is_plain = if candidate.is_v6 {
        read_ipv6(frame, candidate.start, packet)
    } else {
        read_ipv4(frame, candidate.start, packet)
    };
    is_plain.is_some()
}

#[inline(always)]
fn read_ipv4<F: Frame + ?Sized>(frame: &F, start: u32, packet: &mut Packet) -> Option<()> {
    let ip = ipv4::take(&mut frame.cursor().skip(start))?;
    let is_whole = ip.fragment_offset == 0 && !ip.more_fragments;
    let is_plain = ip.version == 4
        && ip.header_length == ipv4::MIN_HEADER
        && ip.protocol == ipv4::PROTOCOL_ICMP
        && is_whole;
    if !is_plain || ip.total_length < ipv4::MIN_HEADER || !verifies(ip.sum) {
        return None;
    }
    packet.begin(family::ICMPV4, frame.zero());
    packet.offset = start + ipv4::MIN_HEADER;
    packet.length = ip.total_length - ipv4::MIN_HEADER;
    packet.source = ip.source;
    packet.destination = ip.destination;
    read_message(frame, start + ipv4::MIN_HEADER, packet)
}

#[inline(always)]
fn read_ipv6<F: Frame + ?Sized>(frame: &F, start: u32, packet: &mut Packet) -> Option<()> {
    let ip = ipv6::take(&mut frame.cursor().skip(start))?;
    if ip.version != 6 || ip.next_header != ipv6::ICMPV6 {
        return None;
    }
    packet.begin(family::ICMPV6, frame.zero());
    packet.offset = start + ipv6::HEADER;
    packet.length = ip.payload_length;
    packet.pseudo =
        ip.source.sum() + ip.destination.sum() + pseudo_header(ip.payload_length, ipv6::ICMPV6);
    packet.source = ip.source;
    packet.destination = ip.destination;
    read_message(frame, start + ipv6::HEADER, packet)
}

#[inline(always)]
fn read_message<F: Frame + ?Sized>(frame: &F, offset: u32, packet: &mut Packet) -> Option<()> {
    let length = packet.length;
    let [ty, code, _, _] = frame.cursor().skip(offset).take::<[u8; 4]>()?;
    let info = classify::facts(packet.family, ty);
    let is_short = length < u32::from(info & INFO_MIN_LENGTH);
    if info & INFO_LINK != 0 || is_short {
        return None;
    }
    // There is no sum of what the frame doesn't hold.
    if !verifies(frame.sum(offset, length)? + packet.pseudo) {
        return None;
    }
    packet.has_type = true;
    packet.ty = ty;
    packet.code = code;
    packet.checksum = checksum::GOOD;
    if info & INFO_ERROR != 0 {
        packet.stage = stage::ERROR;
        if error_addresses(packet) != [true; 2] {
            return None;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::{find, parse};
    use crate::validate::validate;
    use crate::wire::checksum::{fold, sum};

    /// Writes the checksum of these octets, to which so much is added, into two of them.
    fn set_checksum(octets: &mut [u8], at: usize, more: u64) {
        octets[at..at + 2].fill(0);
        let checksum = !fold(sum(octets) + more);
        octets[at..at + 2].copy_from_slice(&checksum.to_ne_bytes());
    }

    /// An ICMPv4 message behind Ethernet and IPv4, with a checksum that verifies.
    fn v4(protocol: u8, message: &[u8]) -> Vec<u8> {
        let total = 20 + message.len() as u16;
        let mut ip = vec![0x45, 0, 0, 0, 0, 1, 0, 0, 64, protocol, 0, 0];
        ip[2..4].copy_from_slice(&total.to_be_bytes());
        ip.extend([192, 0, 2, 2, 192, 0, 2, 1]);
        set_checksum(&mut ip, 10, 0);
        let mut message = message.to_vec();
        set_checksum(&mut message, 2, 0);
        [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0], &ip[..], &message].concat()
    }

    /// An ICMPv6 message behind Ethernet and IPv6, likewise.
    fn v6(message: &[u8]) -> Vec<u8> {
        let mut ip = vec![0x60, 0, 0, 0, 0, message.len() as u8, 58, 255];
        for last in [2, 1] {
            ip.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
        }
        let pseudo = sum(&ip[8..]) + pseudo_header(message.len() as u32, 58);
        let mut message = message.to_vec();
        set_checksum(&mut message, 2, pseudo);
        [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x86, 0xdd], &ip[..], &message].concat()
    }

    /// Whether the short way takes a frame. Where it does, both ways must come to the same.
    fn is_plain(frame: &[u8]) -> bool {
        let Ok(candidate) = find(frame) else { return false };
        let mut short = Packet::default();
        if !read(frame, candidate, &mut short) {
            return false;
        }
        let mut long = parse(frame).expect("it is ours");
        validate(frame, &mut long);
        assert_eq!(short, long, "{frame:02x?}");
        true
    }

    #[test]
    fn both_ways_come_to_the_same() {
        let plain = [
            v4(1, &[8, 0, 0, 0, 0, 1, 0, 1, 5, 6, 7]),
            v4(1, &[&[13, 0, 0, 0, 0, 1, 0, 1][..], &[7; 12]].concat()),
            v4(1, &[200, 9, 0, 0]),
            v6(&[128, 0, 0, 0, 0, 1, 0, 1, 5, 6, 7]),
            v4(1, &[&[3, 3, 0, 0, 0, 0, 0, 0][..], &[0x45; 28]].concat()),
            v6(&[&[1, 4, 0, 0, 0, 0, 0, 0][..], &[0x60; 48]].concat()),
        ];
        let others = [
            // A version 1 report of IGMP, and what has records.
            v4(2, &[0x12, 0, 0, 0, 224, 1, 1, 1]),
            v6(&[&[130, 0, 0, 0, 0, 0, 0, 0][..], &[0; 20]].concat()),
            v6(&[143, 0, 0, 0, 0, 0, 0, 0]),
            v6(&[&[135, 0, 0, 0, 0, 0, 0, 0][..], &[0xfe; 16]].concat()),
        ];
        assert!(plain.iter().all(|frame| is_plain(frame)));
        assert!(!others.iter().any(|frame| is_plain(frame)));
        // One bit other than it was, or two in places that a checksum takes for the same.
        let mut taken = 0;
        for frame in plain.iter().chain(&others) {
            for at in 12..frame.len() {
                for bit in 0..8 {
                    let mut frame = frame.clone();
                    frame[at] ^= 1 << bit;
                    taken += u32::from(is_plain(&frame));
                    for other in (14..frame.len()).filter(|other| other % 2 == at % 2) {
                        let mut frame = frame.clone();
                        frame[other] ^= 1 << bit;
                        taken += u32::from(is_plain(&frame));
                    }
                }
                is_plain(&frame[..at]);
                is_plain(&[&frame[..], &[0; 9]].concat());
            }
        }
        assert!(taken > 1000, "{taken}");
    }
}
