//! Frames, from the outside in: each function takes the header's fields and what it carries.
//!
//! Lengths and checksums are filled in. Nothing of the product is used here, so that a frame of the
//! bench or the story is what an independent sender would have made.

use std::net::{Ipv4Addr, Ipv6Addr};

/// EtherTypes.
pub const IPV4: u16 = 0x0800;
/// IPv6.
pub const IPV6: u16 = 0x86dd;
/// IEEE 802.1Q.
pub const CUSTOMER_TAG: u16 = 0x8100;
/// IEEE 802.1ad.
pub const SERVICE_TAG: u16 = 0x88a8;

/// IP protocols.
pub const ICMP: u8 = 1;
/// IGMP.
pub const IGMP: u8 = 2;
/// TCP.
pub const TCP: u8 = 6;
/// UDP.
pub const UDP: u8 = 17;
/// ICMPv6.
pub const ICMPV6: u8 = 58;

/// A pair of link-layer addresses.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// Where the frame goes.
    pub destination: [u8; 6],
    /// Where it comes from.
    pub source: [u8; 6],
}

impl Link {
    /// An Ethernet frame.
    #[must_use]
    pub fn frame(&self, ethertype: u16, payload: &[u8]) -> Vec<u8> {
        [&self.destination[..], &self.source, &ethertype.to_be_bytes(), payload].concat()
    }
}

/// Puts a VLAN tag in front of what an Ethernet frame carries.
#[must_use]
pub fn tagged(frame: &[u8], tpid: u16, vlan: u16) -> Vec<u8> {
    let (addresses, rest) = frame.split_at(12);
    [addresses, &tpid.to_be_bytes(), &vlan.to_be_bytes(), rest].concat()
}

/// An IPv4 header, but for what is worked out.
#[derive(Clone, Debug)]
pub struct V4 {
    /// Source address.
    pub source: Ipv4Addr,
    /// Destination address.
    pub destination: Ipv4Addr,
    /// Protocol.
    pub protocol: u8,
    /// Time to live.
    pub ttl: u8,
    /// Identification.
    pub id: u16,
    /// Flags and fragment offset, as they stand in the header.
    pub fragment: u16,
    /// Options, a multiple of four octets.
    pub options: Vec<u8>,
}

impl V4 {
    /// A whole packet with a usual time to live and no options.
    #[must_use]
    pub fn new(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8) -> Self {
        Self { source, destination, protocol, ttl: 64, id: 1, fragment: 0, options: Vec::new() }
    }

    /// The packet.
    #[must_use]
    pub fn packet(&self, payload: &[u8]) -> Vec<u8> {
        let header = 20 + self.options.len();
        let mut packet = vec![0x40 | (header / 4) as u8, 0];
        packet.extend(((header + payload.len()) as u16).to_be_bytes());
        packet.extend(self.id.to_be_bytes());
        packet.extend(self.fragment.to_be_bytes());
        packet.extend([self.ttl, self.protocol, 0, 0]);
        packet.extend(self.source.octets());
        packet.extend(self.destination.octets());
        packet.extend(&self.options);
        let sum = checksum(&packet);
        packet[10..12].copy_from_slice(&sum);
        packet.extend(payload);
        packet
    }
}

/// An IPv6 packet.
#[must_use]
pub fn v6(
    source: Ipv6Addr,
    destination: Ipv6Addr,
    next: u8,
    hop_limit: u8,
    payload: &[u8],
) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((payload.len() as u16).to_be_bytes());
    packet.extend([next, hop_limit]);
    packet.extend(source.octets());
    packet.extend(destination.octets());
    packet.extend(payload);
    packet
}

/// An ICMPv4 message: type, code, the four octets behind the checksum, and the rest. Its shape is
/// IGMP's too.
#[must_use]
pub fn icmp(ty: u8, code: u8, word: [u8; 4], body: &[u8]) -> Vec<u8> {
    let mut message = [&[ty, code, 0, 0][..], &word, body].concat();
    let sum = checksum(&message);
    message[2..4].copy_from_slice(&sum);
    message
}

/// An ICMPv6 message, whose checksum covers the addresses, too (RFC 4443 2.3).
#[must_use]
pub fn icmpv6(
    source: Ipv6Addr,
    destination: Ipv6Addr,
    [ty, code]: [u8; 2],
    word: [u8; 4],
    body: &[u8],
) -> Vec<u8> {
    let mut message = [&[ty, code, 0, 0][..], &word, body].concat();
    let mut summed = [source.octets(), destination.octets()].concat();
    summed.extend((message.len() as u32).to_be_bytes());
    summed.extend([0, 0, 0, ICMPV6]);
    summed.extend(&message);
    message[2..4].copy_from_slice(&checksum(&summed));
    message
}

/// What an echo carries: as `ping` fills it, octets that count.
#[must_use]
pub fn counting(octets: usize) -> Vec<u8> {
    (0..octets).map(|i| i as u8).collect()
}

/// The Internet checksum (RFC 1071).
#[must_use]
pub fn checksum(octets: &[u8]) -> [u8; 2] {
    let words =
        octets.chunks(2).map(|w| u64::from(w[0]) << 8 | w.get(1).map_or(0, |o| (*o).into()));
    let mut sum: u64 = words.sum();
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    (!(sum as u16)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What verifies sums to all ones, so its checksum is 0.
    #[test]
    fn what_is_built_verifies() {
        let (a, b) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2));
        for octets in [0, 1, 56, 1472] {
            let message = icmp(8, 0, [0, 1, 0, 2], &counting(octets));
            assert_eq!(checksum(&message), [0, 0]);
            let packet =
                V4 { options: vec![0x94, 4, 0, 0], ..V4::new(a, b, ICMP) }.packet(&message);
            assert_eq!(checksum(&packet[..24]), [0, 0]);
            assert_eq!(usize::from(u16::from_be_bytes([packet[2], packet[3]])), packet.len());
        }
    }

    /// The example of RFC 1071 section 3.
    #[test]
    fn the_rfcs_example() {
        assert_eq!(checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), [0x22, 0x0d]);
    }

    #[test]
    fn a_tag_goes_between_the_addresses_and_the_type() {
        let link = Link { destination: [1; 6], source: [2; 6] };
        let frame = tagged(&link.frame(IPV4, &[9]), CUSTOMER_TAG, 100);
        assert_eq!(frame[12..], [0x81, 0, 0, 100, 8, 0, 9]);
    }
}
