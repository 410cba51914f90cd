//! The packet that an error quotes (RFC 792, RFC 1812 4.3.2.3, RFC 4443 3): its IP header with
//! options or extension headers, and what is there of the octets behind, which hold the ports.
//!
//! The quoted header's checksum is not looked at: routers have changed the header on the way. RFC
//! 4884 lengths and extensions are tolerated: they come behind what is read here.

use super::ipv4::{self, PROTOCOL_ICMP};
use super::ipv6::{self, Address, End};
use crate::abi::family;
use crate::opaque::opaque;
use crate::parse::Frame;

/// Where the quote begins in an error of either family.
pub const OFFSET: u32 = 8;

/// What an error quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote {
    /// The quoted source; IPv4 in mapped form.
    pub source: Address,
    /// The quoted destination.
    pub destination: Address,
    /// The total length (IPv4) or payload length (IPv6) that the quoted header states, in octets.
    pub stated_length: u16,
    /// Whether hop-by-hop options follow an IPv6 header: with a stated length of 0 it may be a jumbogram's (RFC 2675 3).
    pub hop_by_hop: bool,
    /// The octets of the quoted header, options or walked extension headers included.
    pub header_length: u32,
    /// The protocol behind it.
    pub protocol: u8,
    /// Whether the quoted packet is a fragment that isn't the first: then nothing behind its
    /// header is one.
    pub later_fragment: bool,
    /// Whether a routing header was walked. What options of IPv4 say, [`ipv4::source_routed`] tells.
    pub routing: bool,
    /// The type of the quoted message, where that is one of the error's own family and its first
    /// octet is there.
    pub message: Option<u8>,
    /// The first 8 octets behind the header, where they are there and are the beginning of the
    /// quoted message.
    pub first: Option<[u8; 8]>,
}

impl Quote {
    /// The ports of a quoted TCP, UDP or SCTP packet: source, destination.
    #[must_use]
    #[inline(always)]
    pub fn ports(&self) -> Option<(u16, u16)> {
        let [a, b, c, d, ..] = self.first?;
        matches!(self.protocol, 6 | 17 | 132)
            .then(|| (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
    }
}

/// Reads the quote of an error of this family, whose message lies at `offset` of the frame and has
/// `length` octets: what the frame has behind them is padding. `None` where no header of the family
/// is there, IPv4 options and IPv6 extension headers not counted.
#[must_use]
#[inline(always)]
pub fn read<F: Frame + ?Sized>(frame: &F, family: u8, offset: u32, length: u32) -> Option<Quote> {
    read_at(frame, family, offset + OFFSET, length.saturating_sub(OFFSET))
}

/// Reads a quote of `length` octets that lies at `at` of the frame, as [`read`] does.
#[must_use]
#[inline(always)]
pub fn read_at<F: Frame + ?Sized>(frame: &F, family: u8, at: u32, length: u32) -> Option<Quote> {
    let quoted = Quoted { frame, at, length };
    if family == family::ICMPV6 { quoted.ipv6() } else { quoted.ipv4() }
}

/// Where a quote lies.
struct Quoted<'f, F: Frame + ?Sized> {
    frame: &'f F,
    at: u32,
    length: u32,
}

impl<F: Frame + ?Sized> Quoted<'_, F> {
    #[inline(always)]
    fn ipv4(&self) -> Option<Quote> {
        let header = ipv4::take(&mut self.frame.cursor().skip(self.at))?;
        let whole = self.length >= ipv4::MIN_HEADER && header.header_length >= ipv4::MIN_HEADER;
        if header.version != 4 || !whole {
            return None;
        }
        let later_fragment = header.fragment_offset != 0;
        let is_message = header.protocol == PROTOCOL_ICMP && !later_fragment;
        Some(Quote {
            source: header.source,
            destination: header.destination,
            stated_length: header.total_length as u16,
            hop_by_hop: false,
            header_length: header.header_length,
            protocol: header.protocol,
            later_fragment,
            routing: false,
            message: self.message(is_message, header.header_length, header.total_length),
            first: self.first(!later_fragment, header.header_length),
        })
    }

    #[inline(always)]
    fn ipv6(&self) -> Option<Quote> {
        let header = ipv6::take(&mut self.frame.cursor().skip(self.at))?;
        if header.version != 6 || self.length < ipv6::HEADER {
            return None;
        }
        let chain = self.frame.extension_headers(self.at + ipv6::HEADER, header.next_header);
        let header_length = ipv6::HEADER + chain.length;
        // What was walked behind the message is padding.
        let walked = header_length <= self.length;
        let is_behind = walked && chain.end == End::UpperLayer;
        let is_message = is_behind && chain.next_header == ipv6::ICMPV6;
        let stated = ipv6::HEADER + header.payload_length;
        Some(Quote {
            source: header.source,
            destination: header.destination,
            stated_length: header.payload_length as u16,
            hop_by_hop: header.next_header == ipv6::HOP_BY_HOP,
            header_length,
            protocol: chain.next_header,
            later_fragment: walked && chain.end == End::LaterFragment,
            routing: chain.routing,
            message: self.message(is_message, header_length, stated),
            first: self.first(is_behind, header_length),
        })
    }

    /// The type of a message behind a header. The quoted packet has to have it as well: what follows
    /// a packet that ends before is padding, which RFC 4884 4 has with zeros.
    #[inline(always)]
    fn message(&self, is_message: bool, header_length: u32, stated: u32) -> Option<u8> {
        if !is_message || header_length >= self.length || header_length >= stated {
            return None;
        }
        // With the octet before it: see `cursor` for what the verifier makes of a single one. Opaque,
        // or the one less goes into the instruction (`R3 offset is outside of the packet`).
        let behind =
            self.frame.cursor().skip(opaque((self.at + header_length - 1) as usize) as u32);
        let [_, ty] = { behind }.take::<[u8; 2]>()?;
        Some(ty)
    }

    #[inline(always)]
    fn first(&self, is_behind: bool, header_length: u32) -> Option<[u8; 8]> {
        if !is_behind || header_length + 8 > self.length {
            return None;
        }
        let behind = self.frame.cursor().skip(self.at + header_length);
        { behind }.take::<[u8; 8]>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The quote of an error that is the whole of these octets.
    fn v4(error: &[u8]) -> Option<Quote> {
        read(error, family::ICMPV4, 0, error.len() as u32)
    }

    /// Likewise.
    fn v6(error: &[u8]) -> Option<Quote> {
        read(error, family::ICMPV6, 0, error.len() as u32)
    }

    fn error_v4(options: usize, behind: &[u8]) -> Vec<u8> {
        let mut m = vec![3, 3, 0, 0, 0, 0, 0, 0];
        m.push(0x45 + (options / 4) as u8);
        m.extend([0, 0x05, 0xdc, 0, 0, 0, 0, 64, 17, 0xde, 0xad]);
        m.extend([192, 0, 2, 1, 198, 51, 100, 2]);
        m.extend(vec![1; options]);
        m.extend(behind);
        m
    }

    #[test]
    fn ports_stand_behind_the_options() {
        for options in (0..=40).step_by(4) {
            let m = error_v4(options, &[0x30, 0x39, 0, 53, 0, 20, 0, 0]);
            let quote = v4(&m).unwrap();
            assert_eq!(quote.ports(), Some((12345, 53)), "{options}");
            assert_eq!(quote.header_length as usize, 20 + options);
            // The quoted header's checksum is 0xdead, and its length field is what it is.
            assert_eq!(quote.stated_length, 1500);
            assert_eq!(quote.source, Address::mapped(0xc000_0201));
        }
    }

    #[test]
    fn cut_anywhere_it_says_only_what_is_there() {
        let whole = error_v4(8, &[0x30, 0x39, 0, 53, 0, 20, 0, 0]);
        for n in 0..whole.len() {
            let quote = v4(&whole[..n]);
            assert_eq!(quote.is_some(), n >= 28, "{n}");
            assert_eq!(quote.and_then(|q| q.ports()), None, "{n}");
        }
    }

    #[test]
    fn a_later_fragment_has_no_ports() {
        let mut m = error_v4(0, &[0x30, 0x39, 0, 53, 0, 20, 0, 0]);
        m[8 + 7] = 1;
        let quote = v4(&m).unwrap();
        assert!(quote.later_fragment);
        assert_eq!(quote.ports(), None);
    }

    #[test]
    fn extension_headers_are_walked() {
        let mut m = vec![1, 4, 0, 0, 0, 0, 0, 0, 0x60, 0, 0, 0, 0, 24, 60, 64];
        m.extend([0x20; 16]);
        m.extend([0x30; 16]);
        m.extend([6, 0, 1, 4, 0, 0, 0, 0]);
        m.extend([0, 80, 0x30, 0x39, 0, 0, 0, 1]);
        let quote = v6(&m).unwrap();
        assert_eq!((quote.protocol, quote.header_length), (6, 48));
        assert_eq!(quote.ports(), Some((80, 12345)));
        assert_eq!(quote.source, Address::new([0x20; 16]));
        for n in 0..m.len() {
            assert_eq!(v6(&m[..n]).is_some(), n >= 48, "{n}");
        }
    }

    /// An ICMPv6 error about a packet with these extension headers and an ICMPv6 message.
    fn error_v6(next_header: u8, headers: &[u8], message: &[u8]) -> Vec<u8> {
        let mut m = vec![1, 4, 0, 0, 0, 0, 0, 0, 0x60, 0, 0, 0, 0];
        m.extend([(headers.len() + message.len()) as u8, next_header, 64]);
        m.extend([0x20; 32]);
        m.extend(headers);
        m.extend(message);
        m
    }

    #[test]
    fn the_type_of_a_quoted_message_is_its_first_octet() {
        for ty in 0..=u8::MAX {
            for options in (0..=40).step_by(4) {
                let mut m = error_v4(options, &[ty]);
                m[17] = 1;
                assert_eq!(v4(&m).unwrap().message, Some(ty));
                assert_eq!(v4(&m[..m.len() - 1]).unwrap().message, None);
                // Of a later fragment, and of UDP, it is none.
                m[15] = 1;
                assert_eq!(v4(&m).unwrap().message, None);
                (m[15], m[17]) = (0, 17);
                assert_eq!(v4(&m).unwrap().message, None);
            }
            let m = error_v6(58, &[], &[ty]);
            assert_eq!(v6(&m).unwrap().message, Some(ty));
            assert_eq!(v6(&m[..m.len() - 1]).unwrap().message, None);
            let m = error_v6(60, &[58, 0, 1, 4, 0, 0, 0, 0], &[ty]);
            assert_eq!(v6(&m).unwrap().message, Some(ty));
            let fragment = |offset| error_v6(44, &[58, 0, 0, offset, 1, 2, 3, 4], &[ty]);
            assert_eq!(v6(&fragment(1)).unwrap().message, Some(ty));
            let later = v6(&fragment(8)).unwrap();
            assert_eq!((later.later_fragment, later.message), (true, None));
            // ICMPv4 in IPv6 is no message of anyone's.
            assert_eq!(v6(&error_v6(1, &[], &[ty])).unwrap().message, None);
        }
    }

    #[test]
    fn padding_behind_the_quoted_packet_is_not_of_it() {
        // An IPv4 packet of no more than its header, and zeros behind it as RFC 4884 has them.
        let mut m = error_v4(0, &[0; 108]);
        m[17] = 1;
        m[10..12].copy_from_slice(&[0, 20]);
        assert_eq!(v4(&m).unwrap().message, None);
        m[10..12].copy_from_slice(&[0, 21]);
        assert_eq!(v4(&m).unwrap().message, Some(0));
        let mut m = error_v6(58, &[], &[1]);
        m[13] = 0;
        assert_eq!(v6(&m).unwrap().message, None);
    }

    #[test]
    fn what_the_frame_has_behind_the_message_is_not_of_it() {
        let cut = |m: &[u8], family, at: u32| read(m, family, 0, at);
        let mut m = error_v4(8, &[3, 3, 0, 0, 0, 0, 0, 0]);
        m[17] = 1;
        for n in 0..=m.len() as u32 {
            let quote = cut(&m, family::ICMPV4, n);
            assert_eq!(quote.is_some(), n >= 28, "{n}");
            assert_eq!(quote.and_then(|q| q.message), (n > 36).then_some(3), "{n}");
            assert_eq!(quote.and_then(|q| q.first).is_some(), n >= 44, "{n}");
        }
        let later = error_v6(44, &[58, 0, 0, 8, 1, 2, 3, 4], &[1; 8]);
        let whole = error_v6(60, &[58, 0, 1, 4, 0, 0, 0, 0], &[1; 8]);
        for n in 0..=later.len() as u32 {
            let quote = cut(&later, family::ICMPV6, n);
            assert_eq!(quote.is_some(), n >= 48, "{n}");
            assert_eq!(quote.is_some_and(|q| q.later_fragment), n >= 56, "{n}");
            let quote = cut(&whole, family::ICMPV6, n);
            assert_eq!(quote.and_then(|q| q.message), (n > 56).then_some(1), "{n}");
            assert_eq!(quote.and_then(|q| q.first).is_some(), n >= 64, "{n}");
        }
    }
}
