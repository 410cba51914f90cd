//! The packet that an error quotes (RFC 792, RFC 1812 4.3.2.3, RFC 4443 3): its IP header with
//! options or extension headers, and what is there of the octets behind, which hold the ports.
//!
//! The quoted header's checksum is not looked at: routers have changed the header on the way. RFC
//! 4884 lengths and extensions are tolerated: they come behind what is read here.

use super::ipv6::{self, Address, End};
use crate::cursor::Cursor;

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
    /// The octets of the quoted header, options or walked extension headers included.
    pub header_length: u32,
    /// The protocol behind it.
    pub protocol: u8,
    /// Whether the quoted packet is a fragment that isn't the first: then nothing behind its
    /// header is one.
    pub later_fragment: bool,
    /// The first 8 octets behind the header, where they are there and are the beginning of the
    /// quoted message.
    pub first: Option<[u8; 8]>,
}

impl Quote {
    /// The ports of a quoted TCP, UDP or SCTP packet: source, destination.
    #[must_use]
    pub fn ports(&self) -> Option<(u16, u16)> {
        let [a, b, c, d, ..] = self.first?;
        matches!(self.protocol, 6 | 17 | 132)
            .then(|| (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
    }
}

/// Reads the quote of an ICMPv4 error. `None` where no whole IPv4 header is there.
#[must_use]
pub fn ipv4(error: Cursor<'_>) -> Option<Quote> {
    let quoted = error.skip(OFFSET);
    let header = super::ipv4::take(&mut { quoted })?;
    if header.version != 4 || header.header_length < super::ipv4::MIN_HEADER {
        return None;
    }
    let later_fragment = header.fragment_offset != 0;
    let first = quoted.skip(header.header_length).take::<[u8; 8]>();
    Some(Quote {
        source: Address::mapped(header.source),
        destination: Address::mapped(header.destination),
        stated_length: header.total_length as u16,
        header_length: header.header_length,
        protocol: header.protocol,
        later_fragment,
        first: first.filter(|_| !later_fragment),
    })
}

/// Reads the quote of an ICMPv6 error. `None` where no whole IPv6 header is there.
#[must_use]
pub fn ipv6(error: Cursor<'_>) -> Option<Quote> {
    let quoted = error.skip(OFFSET);
    let header = ipv6::take(&mut { quoted })?;
    if header.version != 6 {
        return None;
    }
    let chain = ipv6::walk(quoted.skip(ipv6::HEADER), header.next_header);
    let header_length = ipv6::HEADER + chain.length;
    let first = quoted.skip(header_length).take::<[u8; 8]>();
    Some(Quote {
        source: header.source,
        destination: header.destination,
        stated_length: header.payload_length as u16,
        header_length,
        protocol: chain.next_header,
        later_fragment: chain.end == End::LaterFragment,
        first: first.filter(|_| chain.end == End::UpperLayer),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
            let quote = ipv4(Cursor::new(&m)).unwrap();
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
            let quote = ipv4(Cursor::new(&whole[..n]));
            assert_eq!(quote.is_some(), n >= 28, "{n}");
            assert_eq!(quote.and_then(|q| q.ports()), None, "{n}");
        }
    }

    #[test]
    fn a_later_fragment_has_no_ports() {
        let mut m = error_v4(0, &[0x30, 0x39, 0, 53, 0, 20, 0, 0]);
        m[8 + 7] = 1;
        let quote = ipv4(Cursor::new(&m)).unwrap();
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
        let quote = ipv6(Cursor::new(&m)).unwrap();
        assert_eq!((quote.protocol, quote.header_length), (6, 48));
        assert_eq!(quote.ports(), Some((80, 12345)));
        assert_eq!(quote.source, Address::new([0x20; 16]));
        for n in 0..m.len() {
            assert_eq!(ipv6(Cursor::new(&m[..n])).is_some(), n >= 48, "{n}");
        }
    }
}
