//! Redirects that this machine makes: what one says, and whether it may be sent (RFC 1812 5.2.7.2,
//! RFC 4861 8.2).
//!
//! Which way the packet goes that one is about, only the kernel's tables know: who asks here has asked
//! them. What can't be read of a redirect, or isn't known, counts against it. A machine that forwards
//! always quotes the packet, so nothing of its own is lost, and a redirect is only advice: who gets none
//! is served as before, and who gets a wrong one sends its packets astray.

use crate::abi::{Endpoint, family};
use crate::parse::Frame;
use crate::wire::ipv6::Address;
use crate::wire::quote::{self, Quote};
use crate::wire::{icmpv4, icmpv6, ipv4, nd};

/// Type, code, checksum, a reserved word, and two addresses (RFC 4861 4.5).
const HEADER_V6: u32 = 40;
/// Traffic class and flow label, in the first word of an IPv6 header.
const FLOW_V6: u32 = 0x0fff_ffff_u32.to_be();

/// What a redirect says, and what it quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// The first hop that it names as better: a gateway, or the destination itself. IPv4 in mapped form,
    /// as all of these.
    pub better: Address,
    /// The source of the packet that it is about.
    pub source: Address,
    /// The destination of that packet.
    pub destination: Address,
    /// Whether that packet has a source route, or a routing header.
    pub source_routed: bool,
    /// Its protocol.
    pub protocol: u8,
    /// Its ports, as they lie in it; 0 where it has none, or they aren't there.
    pub ports: [u16; 2],
    /// Its type of service, or traffic class and flow label, as `struct bpf_fib_lookup` (linux/bpf.h)
    /// has them.
    pub flow: u32,
}

/// Whether this type of a family is a redirect.
#[must_use]
#[inline(always)]
pub const fn is_redirect(family: u8, ty: u8) -> bool {
    matches!((family, ty), (family::ICMPV4, icmpv4::REDIRECT) | (family::ICMPV6, icmpv6::REDIRECT))
}

/// Reads a redirect of this family, whose message lies at `offset` of the frame and has `length` octets.
/// `None` where one has no quote with its whole header, or is about another destination than its quote.
#[must_use]
#[inline(always)]
pub fn read<F: Frame + ?Sized>(
    frame: &F,
    family: u8,
    offset: u32,
    length: u32,
) -> Option<Redirect> {
    if family == family::ICMPV6 {
        read_v6(frame, offset, length)
    } else {
        read_v4(frame, offset, length)
    }
}

#[inline(always)]
fn read_v4<F: Frame + ?Sized>(frame: &F, offset: u32, length: u32) -> Option<Redirect> {
    let [_, _, _, _, a, b, c, d] = frame.cursor().skip(offset).take::<[u8; 8]>()?;
    let quote = quote::read(frame, family::ICMPV4, offset, length)?;
    if quote::OFFSET + quote.header_length > length {
        return None;
    }
    let at = offset + quote::OFFSET;
    let [_, service, _, _] = frame.cursor().skip(at).take::<[u8; 4]>()?;
    let options = quote.header_length - ipv4::MIN_HEADER;
    Some(Redirect {
        better: Address::mapped(u32::from_be_bytes([a, b, c, d])),
        source: quote.source,
        destination: quote.destination,
        source_routed: options != 0 && frame.source_routed(at + ipv4::MIN_HEADER, options),
        protocol: quote.protocol,
        ports: ports(&quote),
        flow: service.into(),
    })
}

#[inline(always)]
fn read_v6<F: Frame + ?Sized>(frame: &F, offset: u32, length: u32) -> Option<Redirect> {
    let mut message = frame.cursor().skip(offset + 8);
    let better = Address::new(message.take::<[u8; 16]>()?);
    let destination = Address::new(message.take::<[u8; 16]>()?);
    let (at, octets) = nd::option(message, length.checked_sub(HEADER_V6)?, nd::REDIRECTED_HEADER)?;
    let at = offset + HEADER_V6 + at + nd::UNIT;
    let quote = quote::read_at(frame, family::ICMPV6, at, octets - nd::UNIT)?;
    // Behind what isn't there, a routing header may stand.
    let whole = quote.first.is_some() || quote.later_fragment;
    if !whole || quote.destination != destination {
        return None;
    }
    let first = frame.cursor().skip(at).take::<u32>()?;
    Some(Redirect {
        better,
        source: quote.source,
        destination,
        source_routed: quote.routing,
        protocol: quote.protocol,
        ports: ports(&quote),
        flow: first & FLOW_V6,
    })
}

#[inline(always)]
fn ports(quote: &Quote) -> [u16; 2] {
    quote.ports().map_or([0; 2], |(source, destination)| [source.to_be(), destination.to_be()])
}

impl Redirect {
    /// Whether it may be sent to `receiver`, as far as itself tells.
    #[must_use]
    #[inline(always)]
    pub fn is_sound(&self, family: u8, receiver: Address) -> bool {
        // RFC 4861 8.1: no receiver takes another target.
        let names_first_hop = family != family::ICMPV6
            || self.better.is_link_local()
            || self.better == self.destination;
        self.source == receiver && !self.source_routed && names_first_hop
    }
}

/// Whether two IPv4 addresses, as they lie in a packet, are of one network that the interface is on.
#[must_use]
#[inline(always)]
pub fn on_one_network(endpoint: &Endpoint, a: u32, b: u32) -> bool {
    let mut found = false;
    for entry in &endpoint.v4 {
        let differs = (entry.address ^ a | entry.address ^ b) & entry.mask;
        found |= entry.address != 0 && differs == 0;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::EndpointV4;
    use core::net::IpAddr;

    fn address(text: &str) -> Address {
        match text.parse().unwrap() {
            IpAddr::V4(v4) => Address::mapped(v4.into()),
            IpAddr::V6(v6) => Address::new(v6.octets()),
        }
    }

    /// About UDP from 192.0.2.9 to 203.0.113.9, a better gateway for which is 192.0.2.2.
    fn v4(options: &[u8]) -> Vec<u8> {
        let mut m = vec![5, 1, 0, 0, 192, 0, 2, 2];
        m.extend([0x45 + options.len() as u8 / 4, 0xb8, 0, 28 + options.len() as u8]);
        m.extend([0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 9, 203, 0, 113, 9]);
        m.extend(options);
        m.extend([0x30, 0x39, 0, 53, 0, 8, 0, 0]);
        m
    }

    const TARGET: [u8; 16] = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
    const SOURCE: [u8; 16] = [0x20; 16];
    const DESTINATION: [u8; 16] = [0x30; 16];

    /// The same of IPv6, with these options, and extension headers in what it is about.
    fn v6(options: &[u8], next_header: u8, headers: &[u8]) -> Vec<u8> {
        let mut m = vec![137, 0, 0, 0, 0, 0, 0, 0];
        m.extend(TARGET);
        m.extend(DESTINATION);
        m.extend(options);
        m.extend([nd::REDIRECTED_HEADER, 7 + headers.len() as u8 / 8, 0, 0, 0, 0, 0, 0]);
        m.extend([0x6b, 0x81, 0x23, 0x45, 0, 8 + headers.len() as u8, next_header, 64]);
        m.extend(SOURCE);
        m.extend(DESTINATION);
        m.extend(headers);
        m.extend([0x30, 0x39, 0, 53, 0, 8, 0, 0]);
        m
    }

    fn read_all(family: u8, message: &[u8]) -> Option<Redirect> {
        read(message, family, 0, message.len() as u32)
    }

    #[test]
    fn it_says_what_it_is_about() {
        let redirect = read_all(family::ICMPV4, &v4(&[])).unwrap();
        let expected = Redirect {
            better: address("192.0.2.2"),
            source: address("192.0.2.9"),
            destination: address("203.0.113.9"),
            source_routed: false,
            protocol: 17,
            ports: [12345u16.to_be(), 53u16.to_be()],
            flow: 0xb8,
        };
        assert_eq!(redirect, expected);
        let redirect = read_all(family::ICMPV6, &v6(&[2, 1, 0, 0, 0, 0, 0, 0], 17, &[])).unwrap();
        let expected = Redirect {
            better: Address::new(TARGET),
            source: Address::new(SOURCE),
            destination: Address::new(DESTINATION),
            // The version is no part of it.
            flow: 0x0b81_2345_u32.to_be(),
            ..expected
        };
        assert_eq!(redirect, expected);
    }

    #[test]
    fn source_routes_and_routing_headers_are_seen() {
        let routed = |options: &[u8]| read_all(family::ICMPV4, &v4(options)).unwrap().source_routed;
        assert!(routed(&[131, 3, 4, 0]) && routed(&[1, 137, 3, 4]));
        assert!(!routed(&[7, 3, 4, 0]) && !routed(&[0x94, 4, 0, 0]));
        let routed = |kind, header: [u8; 8]| {
            read_all(family::ICMPV6, &v6(&[], kind, &header)).unwrap().source_routed
        };
        assert!(routed(43, [17, 0, 0, 1, 0, 0, 0, 0]) && routed(43, [17, 0, 4, 0, 0, 0, 0, 0]));
        assert!(!routed(0, [17, 0, 1, 4, 0, 0, 0, 0]) && !routed(60, [17, 0, 1, 4, 0, 0, 0, 0]));
    }

    #[test]
    fn cut_anywhere_it_is_none_or_the_same() {
        let whole = v4(&[0x94, 4, 0, 0]);
        for n in 0..=whole.len() {
            let cut = read_all(family::ICMPV4, &whole[..n]);
            assert_eq!(cut.is_some(), n >= 32, "{n}");
            // What the frame has behind the message is padding.
            assert_eq!(read(&whole[..], family::ICMPV4, 0, n as u32).is_some(), n >= 32, "{n}");
        }
        let whole = v6(&[], 60, &[17, 0, 1, 4, 0, 0, 0, 0]);
        for n in 0..=whole.len() {
            assert_eq!(read_all(family::ICMPV6, &whole[..n]).is_some(), n == whole.len(), "{n}");
            let padded = read(&whole[..], family::ICMPV6, 0, n as u32);
            assert_eq!(padded.is_some(), n == whole.len(), "{n}");
        }
        // Long enough for a header, but not for all of its extensions.
        for units in 0..=8 {
            let mut short = whole.clone();
            short[41] = units;
            assert_eq!(read_all(family::ICMPV6, &short).is_some(), units == 8, "{units}");
        }
    }

    #[test]
    fn it_is_about_one_destination() {
        let mut m = v6(&[], 17, &[]);
        m[39] ^= 1;
        assert_eq!(read_all(family::ICMPV6, &m), None);
    }

    #[test]
    fn it_goes_to_the_source_and_names_a_first_hop() {
        let four = read_all(family::ICMPV4, &v4(&[])).unwrap();
        let six = read_all(family::ICMPV6, &v6(&[], 17, &[])).unwrap();
        for (family, redirect) in [(family::ICMPV4, four), (family::ICMPV6, six)] {
            let source = redirect.source;
            assert!(redirect.is_sound(family, source));
            assert!(!redirect.is_sound(family, redirect.destination));
            assert!(!Redirect { source_routed: true, ..redirect }.is_sound(family, source));
        }
        let named = |better| Redirect { better, ..six }.is_sound(family::ICMPV6, six.source);
        assert!(named(address("fe80::7")) && named(six.destination));
        assert!(!named(address("2001:db8::7")));
    }

    #[test]
    fn two_addresses_are_of_one_network_that_the_interface_is_on() {
        let word = |text: &str| address(text).v4().to_be();
        let mut endpoint = Endpoint::default();
        assert!(!on_one_network(&endpoint, 0, 0));
        for (n, (address, mask)) in
            [("192.0.2.1", "255.255.255.0"), ("198.51.100.1", "255.255.255.128")].iter().enumerate()
        {
            // The last are looked at as well.
            endpoint.v4[endpoint.v4.len() - 1 - n] =
                EndpointV4 { address: word(address), mask: word(mask) };
        }
        let one = |a, b| on_one_network(&endpoint, word(a), word(b));
        assert!(one("192.0.2.9", "192.0.2.2") && one("198.51.100.9", "198.51.100.2"));
        assert!(!one("192.0.2.9", "198.51.100.2") && !one("198.51.100.9", "192.0.2.2"));
        assert!(!one("198.51.100.9", "198.51.100.129") && !one("203.0.113.1", "203.0.113.2"));
    }

    #[test]
    fn two_types_are_redirects() {
        for family in 0..=u8::MAX {
            for ty in 0..=u8::MAX {
                // 1 is ICMPv4, 2 is ICMPv6: IGMP has other types.
                let expected = [(1, 5), (2, 137)].contains(&(family, ty));
                assert_eq!(is_redirect(family, ty), expected, "{family} {ty}");
            }
        }
    }
}
