//! Frames, from Ethernet to IP. Whatever isn't said is valid: lengths, next headers and checksums
//! are worked out when the frame is built, and each can be set to something else.

use crate::Message;
use std::net::{Ipv4Addr, Ipv6Addr};

/// IPv4.
pub const ETHER_IPV4: u16 = 0x0800;
/// IPv6.
pub const ETHER_IPV6: u16 = 0x86dd;
/// A customer VLAN tag.
pub const C_TAG: u16 = 0x8100;
/// A service VLAN tag.
pub const S_TAG: u16 = 0x88a8;

/// The Internet checksum of these octets (RFC 1071), as the field that has to be zero meanwhile.
#[must_use]
pub fn internet_checksum(octets: &[u8]) -> u16 {
    let words =
        octets.chunks(2).map(|w| u64::from(w[0]) << 8 | w.get(1).map_or(0, |b| (*b).into()));
    let mut sum: u64 = words.sum();
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    !(sum as u16)
}

/// An Ethernet frame.
#[derive(Clone, Debug)]
pub struct Frame {
    addresses: [u8; 12],
    tags: Vec<(u16, u16)>,
    ether_type: u16,
    payload: Vec<u8>,
}

impl Frame {
    /// A frame with this payload.
    #[must_use]
    pub fn new(ether_type: u16, payload: impl Into<Vec<u8>>) -> Self {
        let addresses = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
        Self { addresses, tags: Vec::new(), ether_type, payload: payload.into() }
    }

    /// Another tag, inside of those that there are.
    #[must_use]
    pub fn tag(mut self, tpid: u16, tci: u16) -> Self {
        self.tags.push((tpid, tci));
        self
    }

    /// That many customer tags.
    #[must_use]
    pub fn tags(self, n: usize) -> Self {
        (0..n).fold(self, |frame, i| frame.tag(C_TAG, 100 + i as u16))
    }

    /// Another EtherType.
    #[must_use]
    pub fn ether_type(mut self, ether_type: u16) -> Self {
        self.ether_type = ether_type;
        self
    }

    /// To a group of stations; which doesn't matter.
    #[must_use]
    pub fn to_many(mut self) -> Self {
        self.addresses[0] |= 1;
        self
    }

    /// Octets behind the packet, none of them zero, so that whoever sums them notices.
    #[must_use]
    pub fn pad(mut self, n: usize) -> Self {
        self.payload.extend((0..n).map(|i| (i % 255) as u8 + 1));
        self
    }

    /// Without its last octets.
    #[must_use]
    pub fn cut(mut self, n: usize) -> Self {
        self.payload.truncate(self.payload.len() - n);
        self
    }

    /// The octets of the whole frame.
    #[must_use]
    pub fn build(&self) -> Vec<u8> {
        let mut octets = self.addresses.to_vec();
        for (tpid, tci) in &self.tags {
            octets.extend(tpid.to_be_bytes());
            octets.extend(tci.to_be_bytes());
        }
        octets.extend(self.ether_type.to_be_bytes());
        octets.extend(&self.payload);
        octets
    }
}

impl From<Frame> for Vec<u8> {
    fn from(frame: Frame) -> Self {
        frame.build()
    }
}

/// An IPv4 packet.
#[derive(Clone, Debug)]
pub struct Ipv4 {
    version: u8,
    header_words: Option<u8>,
    total_length: Option<u16>,
    fragment: u16,
    ttl: u8,
    protocol: u8,
    checksum_off: u16,
    source: Ipv4Addr,
    destination: Ipv4Addr,
    options: Vec<u8>,
    payload: Vec<u8>,
}

impl Default for Ipv4 {
    fn default() -> Self {
        Self::between("192.0.2.1", "198.51.100.1")
    }
}

impl Ipv4 {
    /// A packet from one address to another.
    #[must_use]
    pub fn between(source: &str, destination: &str) -> Self {
        Self {
            version: 4,
            header_words: None,
            total_length: None,
            fragment: 0,
            ttl: 64,
            protocol: 1,
            checksum_off: 0,
            source: source.parse().expect("an IPv4 address"),
            destination: destination.parse().expect("an IPv4 address"),
            options: Vec::new(),
            payload: Vec::new(),
        }
    }

    /// From another source.
    #[must_use]
    pub fn from(mut self, source: impl Into<Ipv4Addr>) -> Self {
        self.source = source.into();
        self
    }

    /// To another destination.
    #[must_use]
    pub fn to(mut self, destination: impl Into<Ipv4Addr>) -> Self {
        self.destination = destination.into();
        self
    }

    /// An ICMP message.
    #[must_use]
    pub fn icmp(self, message: Message) -> Self {
        self.payload(1, message.build(&[]))
    }

    /// An IGMP message.
    #[must_use]
    pub fn igmp(self, message: Message) -> Self {
        self.payload(2, message.build(&[]))
    }

    /// Any payload.
    #[must_use]
    pub fn payload(mut self, protocol: u8, payload: impl Into<Vec<u8>>) -> Self {
        (self.protocol, self.payload) = (protocol, payload.into());
        self
    }

    /// That many octets of options, a multiple of 4: no-operation, up to the last.
    #[must_use]
    pub fn options(mut self, octets: usize) -> Self {
        assert!(octets.is_multiple_of(4) && octets <= 40);
        self.options = vec![1; octets];
        if let Some(last) = self.options.last_mut() {
            *last = 0;
        }
        self
    }

    /// The router alert (RFC 2113).
    #[must_use]
    pub fn router_alert(self) -> Self {
        self.raw_options(&[0x94, 4, 0, 0])
    }

    /// These options, a multiple of 4 octets.
    #[must_use]
    pub fn raw_options(mut self, octets: &[u8]) -> Self {
        assert!(octets.len().is_multiple_of(4) && octets.len() <= 40);
        self.options = octets.to_vec();
        self
    }

    /// Another version.
    #[must_use]
    pub const fn version(mut self, version: u8) -> Self {
        self.version = version;
        self
    }

    /// Another header length than it has, in words.
    #[must_use]
    pub const fn header_words(mut self, words: u8) -> Self {
        self.header_words = Some(words);
        self
    }

    /// Another total length than it has.
    #[must_use]
    pub const fn total_length(mut self, octets: u16) -> Self {
        self.total_length = Some(octets);
        self
    }

    /// A total length that is off by so much.
    #[must_use]
    pub fn total_length_off(self, octets: i32) -> Self {
        let length = self.length() as i32 + octets;
        self.total_length(length as u16)
    }

    /// A time to live.
    #[must_use]
    pub const fn ttl(mut self, ttl: u8) -> Self {
        self.ttl = ttl;
        self
    }

    /// A fragment: its offset in units of 8 octets, and whether more follow.
    #[must_use]
    pub const fn fragment(mut self, offset: u16, more: bool) -> Self {
        self.fragment = offset & 0x1fff | (more as u16) << 13;
        self
    }

    /// The flag that forbids fragments.
    #[must_use]
    pub const fn dont_fragment(mut self) -> Self {
        self.fragment |= 0x4000;
        self
    }

    /// A header checksum that is off by these bits.
    #[must_use]
    pub const fn bad_checksum(mut self, bits: u16) -> Self {
        self.checksum_off = bits;
        self
    }

    fn length(&self) -> usize {
        20 + self.options.len() + self.payload.len()
    }

    /// The octets of the packet.
    #[must_use]
    pub fn packet(&self) -> Vec<u8> {
        let words = self.header_words.unwrap_or(5 + self.options.len() as u8 / 4);
        let mut p = vec![self.version << 4 | words & 0xf, 0];
        p.extend(self.total_length.unwrap_or(self.length() as u16).to_be_bytes());
        p.extend([0x12, 0x34]);
        p.extend(self.fragment.to_be_bytes());
        p.extend([self.ttl, self.protocol, 0, 0]);
        p.extend(self.source.octets());
        p.extend(self.destination.octets());
        p.extend(&self.options);
        // Over what the header length says, so that a wrong one has no wrong checksum besides.
        p.extend(&self.payload);
        let header = (usize::from(words & 0xf) * 4).clamp(20, p.len());
        let sum = internet_checksum(&p[..header]) ^ self.checksum_off;
        p[10..12].copy_from_slice(&sum.to_be_bytes());
        p
    }

    /// The packet in a frame.
    #[must_use]
    pub fn frame(&self) -> Frame {
        Frame::new(ETHER_IPV4, self.packet())
    }
}

impl From<Ipv4> for Vec<u8> {
    fn from(packet: Ipv4) -> Self {
        packet.frame().build()
    }
}

/// An IPv6 extension header; its first octet is filled in when the packet is built.
#[derive(Clone, Debug)]
pub struct Extension {
    kind: u8,
    octets: Vec<u8>,
    /// What the pseudo-header takes in place of the destination.
    route: Option<Ipv6Addr>,
}

impl Extension {
    /// Any header.
    #[must_use]
    pub fn raw(kind: u8, octets: impl Into<Vec<u8>>) -> Self {
        Self { kind, octets: octets.into(), route: None }
    }

    fn padded(kind: u8, units: u8) -> Self {
        let mut octets = vec![0; (usize::from(units) + 1) * 8];
        // One PadN option fills it; as its length is an octet, long headers have several.
        octets[1] = units;
        let mut at = 2;
        while at < octets.len() {
            let length = (octets.len() - at).min(250);
            if length == 1 {
                break;
            }
            octets[at] = 1;
            octets[at + 1] = (length - 2) as u8;
            at += length;
        }
        Self::raw(kind, octets)
    }

    /// Hop-by-hop options of 8 octets and so many times 8 more.
    #[must_use]
    pub fn hop_by_hop(units: u8) -> Self {
        Self::padded(0, units)
    }

    /// Hop-by-hop options with the router alert of MLD (RFC 2711).
    #[must_use]
    pub fn router_alert() -> Self {
        Self::raw(0, [0, 0, 5, 2, 0, 0, 1, 0])
    }

    /// Destination options of 8 octets and so many times 8 more.
    #[must_use]
    pub fn destination_options(units: u8) -> Self {
        Self::padded(60, units)
    }

    /// A routing header of a type that lists whole addresses (0, 2, 4). The last of the route is
    /// the final destination.
    #[must_use]
    pub fn routing(ty: u8, segments_left: u8, addresses: &[&str]) -> Self {
        let addresses: Vec<Ipv6Addr> = addresses.iter().map(|a| a.parse().expect("IPv6")).collect();
        let mut octets = vec![0, 2 * addresses.len() as u8, ty, segments_left, 0, 0, 0, 0];
        octets.extend(addresses.iter().flat_map(Ipv6Addr::octets));
        // In a segment routing header the list is in reverse (RFC 8754 2).
        let last = if ty == 4 { addresses.first() } else { addresses.last() };
        Self { kind: 43, octets, route: last.copied().filter(|_| segments_left > 0) }
    }

    /// A fragment header: the offset in units of 8 octets, and whether more follow.
    #[must_use]
    pub fn fragment(offset: u16, more: bool) -> Self {
        let [a, b] = (offset << 3 | u16::from(more)).to_be_bytes();
        Self::raw(44, [0, 0, a, b, 0xde, 0xad, 0xbe, 0xef])
    }

    /// An authentication header of so many words (RFC 4302: 6 with a 96-bit check value).
    #[must_use]
    pub fn authentication(words: u8) -> Self {
        let mut octets = vec![7; usize::from(words) * 4];
        octets[1] = words - 2;
        Self::raw(51, octets)
    }
}

/// An IPv6 packet.
#[derive(Clone, Debug)]
pub struct Ipv6 {
    version: u8,
    payload_length: Option<u16>,
    hop_limit: u8,
    source: Ipv6Addr,
    destination: Ipv6Addr,
    extensions: Vec<Extension>,
    upper: u8,
    payload: Payload,
}

#[derive(Clone, Debug)]
enum Payload {
    Message(Message),
    Octets(Vec<u8>),
}

impl Default for Ipv6 {
    fn default() -> Self {
        Self::between("2001:db8:1::1", "2001:db8:2::1")
    }
}

impl Ipv6 {
    /// A packet from one address to another.
    #[must_use]
    pub fn between(source: &str, destination: &str) -> Self {
        Self {
            version: 6,
            payload_length: None,
            hop_limit: 64,
            source: source.parse().expect("an IPv6 address"),
            destination: destination.parse().expect("an IPv6 address"),
            extensions: Vec::new(),
            upper: 58,
            payload: Payload::Octets(Vec::new()),
        }
    }

    /// From another source.
    #[must_use]
    pub fn from(mut self, source: impl Into<Ipv6Addr>) -> Self {
        self.source = source.into();
        self
    }

    /// To another destination.
    #[must_use]
    pub fn to(mut self, destination: impl Into<Ipv6Addr>) -> Self {
        self.destination = destination.into();
        self
    }

    /// An ICMPv6 message.
    #[must_use]
    pub fn icmp(mut self, message: Message) -> Self {
        (self.upper, self.payload) = (58, Payload::Message(message));
        self
    }

    /// Any payload.
    #[must_use]
    pub fn payload(mut self, next_header: u8, payload: impl Into<Vec<u8>>) -> Self {
        (self.upper, self.payload) = (next_header, Payload::Octets(payload.into()));
        self
    }

    /// Another extension header, behind those that there are.
    #[must_use]
    pub fn extension(mut self, extension: Extension) -> Self {
        self.extensions.push(extension);
        self
    }

    /// That many destination options headers.
    #[must_use]
    pub fn extensions(self, n: usize) -> Self {
        (0..n).fold(self, |p, i| p.extension(Extension::destination_options(i as u8 % 3)))
    }

    /// Another version.
    #[must_use]
    pub const fn version(mut self, version: u8) -> Self {
        self.version = version;
        self
    }

    /// Another payload length than it has.
    #[must_use]
    pub const fn payload_length(mut self, octets: u16) -> Self {
        self.payload_length = Some(octets);
        self
    }

    /// A payload length that is off by so much.
    #[must_use]
    pub fn payload_length_off(self, octets: i32) -> Self {
        let length = self.behind_header().len() as i32 + octets;
        self.payload_length(length as u16)
    }

    /// A hop limit.
    #[must_use]
    pub const fn hop_limit(mut self, hop_limit: u8) -> Self {
        self.hop_limit = hop_limit;
        self
    }

    fn behind_header(&self) -> Vec<u8> {
        let mut octets = Vec::new();
        let kinds = self.extensions.iter().map(|e| e.kind).skip(1).chain([self.upper]);
        for (extension, next) in self.extensions.iter().zip(kinds) {
            let at = octets.len();
            octets.extend(&extension.octets);
            octets[at] = next;
        }
        match &self.payload {
            Payload::Octets(payload) => octets.extend(payload),
            Payload::Message(message) => {
                let route = self.extensions.iter().filter_map(|e| e.route).next_back();
                let destination = route.unwrap_or(self.destination);
                let length = message.len() as u32;
                let mut pseudo = [self.source.octets(), destination.octets()].concat();
                pseudo.extend(length.to_be_bytes());
                pseudo.extend([0, 0, 0, 58]);
                octets.extend(message.build(&pseudo));
            }
        }
        octets
    }

    /// The octets of the packet.
    #[must_use]
    pub fn packet(&self) -> Vec<u8> {
        let behind = self.behind_header();
        let mut p = vec![self.version << 4, 0, 0, 0];
        p.extend(self.payload_length.unwrap_or(behind.len() as u16).to_be_bytes());
        p.extend([self.extensions.first().map_or(self.upper, |e| e.kind), self.hop_limit]);
        p.extend(self.source.octets());
        p.extend(self.destination.octets());
        p.extend(behind);
        p
    }

    /// The packet in a frame.
    #[must_use]
    pub fn frame(&self) -> Frame {
        Frame::new(ETHER_IPV6, self.packet())
    }
}

impl From<Ipv6> for Vec<u8> {
    fn from(packet: Ipv6) -> Self {
        packet.frame().build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 1071 section 3 has the sum; the packet is a ping's.
    #[test]
    fn checksums_are_those_of_rfc_1071() {
        assert_eq!(!internet_checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), 0xddf2);
        let message = Message::new(8, 0).half(0x0d00).half(1).octets([0x61, 0x62, 0x63]);
        let packet = Ipv4::between("127.0.0.1", "127.0.0.1").icmp(message).packet();
        assert_eq!(packet.len(), 31);
        assert_eq!((internet_checksum(&packet[..20]), internet_checksum(&packet[20..])), (0, 0));
        assert_eq!(packet[20..], [8, 0, 0x26, 0x9c, 0x0d, 0, 0, 1, 0x61, 0x62, 0x63]);
    }

    #[test]
    fn extension_headers_have_the_lengths_that_they_state() {
        for units in 0..=255 {
            let e = Extension::hop_by_hop(units);
            assert_eq!(e.octets.len(), (usize::from(e.octets[1]) + 1) * 8);
        }
        for words in 2..=64 {
            let e = Extension::authentication(words);
            assert_eq!(e.octets.len(), (usize::from(e.octets[1]) + 2) * 4);
        }
    }
}
