//! IPv4 (RFC 791): what is read of its header, and which addresses are a single host's.

use super::ipv6::Address;
use crate::branchless::{is_some, select};
use crate::cursor::Cursor;
use core::hint::black_box;
use network_types::ip::Ipv4Hdr;

/// The header without options.
pub const MIN_HEADER: u32 = 20;
/// ICMP (RFC 792).
pub const PROTOCOL_ICMP: u8 = 1;
/// IGMP (RFC 1112, 2236, 9776): straight on IP.
pub const PROTOCOL_IGMP: u8 = 2;

/// What is carried on of a header. Lengths are in octets.
#[derive(Clone, Copy, Debug)]
pub struct Ipv4 {
    /// The version field.
    pub version: u8,
    /// The header length, options included: 0 to 60.
    pub header_length: u32,
    /// The total length field.
    pub total_length: u32,
    /// More fragments follow.
    pub more_fragments: bool,
    /// The fragment's place, in units of 8 octets.
    pub fragment_offset: u16,
    /// The time to live field.
    pub ttl: u8,
    /// The protocol field.
    pub protocol: u8,
    /// The source, in mapped form.
    pub source: Address,
    /// The destination, likewise.
    pub destination: Address,
    /// The sum of the 20 octets without options, checksum field included.
    pub sum: u64,
}

/// Reads a header's first 20 octets. `None` where the frame ends first.
#[inline(always)]
pub fn take(cursor: &mut Cursor<'_>) -> Option<Ipv4> {
    let h = cursor.take::<Ipv4Hdr>()?;
    let word = |a: u8, b: u8, c: u8, d: u8| u64::from(u32::from_ne_bytes([a, b, c, d]));
    let sum = word(h.vihl, h.tos, h.tot_len[0], h.tot_len[1])
        + word(h.id[0], h.id[1], h.frags[0], h.frags[1])
        + word(h.ttl, h.proto, h.check[0], h.check[1])
        + u64::from(u32::from_ne_bytes(h.src_addr))
        + u64::from(u32::from_ne_bytes(h.dst_addr));
    let frags = u16::from_be_bytes(h.frags);
    Some(Ipv4 {
        version: h.vihl >> 4,
        header_length: u32::from(h.vihl & 0xf) * 4,
        total_length: u32::from(u16::from_be_bytes(h.tot_len)),
        more_fragments: frags & 0x2000 != 0,
        fragment_offset: frags & 0x1fff,
        ttl: h.ttl,
        protocol: h.proto,
        source: Address::of_v4(h.src_addr),
        destination: Address::of_v4(h.dst_addr),
        sum,
    })
}

/// Options end (RFC 791 3.1).
const OPTION_END: u8 = 0;
/// An option of one octet.
const OPTION_NONE: u8 = 1;
/// Loose source and record route.
const OPTION_LOOSE_ROUTE: u8 = 131;
/// Strict source and record route.
const OPTION_STRICT_ROUTE: u8 = 137;
/// The least MTU that a link may have (RFC 791 3.2).
pub const LEAST_MTU: u32 = 68;
/// Router alert (RFC 2113).
const OPTION_ROUTER_ALERT: u8 = 148;
/// The most octets of options.
pub const MAX_OPTIONS: u32 = 40;

/// Whether so many octets of options have a source route, or can't be read to their end.
///
/// `options` stands at them; behind them there must be one octet more.
#[must_use]
#[inline(always)]
pub fn source_routed(options: Cursor<'_>, length: u32) -> bool {
    let is_route = |kind| matches!(kind, OPTION_LOOSE_ROUTE | OPTION_STRICT_ROUTE);
    has_option(options, length, is_route).unwrap_or(true)
}

/// Whether so many octets of options have a router alert, as far as they can be read: likewise.
#[must_use]
#[inline(always)]
pub fn alerts_routers(options: Cursor<'_>, length: u32) -> bool {
    has_option(options, length, |kind| kind == OPTION_ROUTER_ALERT).unwrap_or(false)
}

/// Whether there is such an option; `None` where they can't be read to their end.
#[inline(always)]
fn has_option(options: Cursor<'_>, length: u32, is: impl Fn(u8) -> bool) -> Option<bool> {
    let mut at = 0;
    for _ in 0..MAX_OPTIONS {
        if at >= length {
            return Some(false);
        }
        let [kind, octets] = options.skip(at).take::<[u8; 2]>()?;
        match kind {
            OPTION_END => return Some(false),
            kind if is(kind) => return Some(true),
            _ => {}
        }
        // One that does nothing is an octet, and all others say their length. Without a branch, behind which the rest
        // would be walked once more.
        let says = is_some((kind ^ OPTION_NONE).into());
        let octets = select(says, octets.into(), 1) as u32;
        if octets < 1 + says as u32 || octets > length - at {
            return None;
        }
        // The mask changes nothing. To the verifier every place is then the same one, and the ways that
        // lead to it aren't walked again each (three times as many instructions in all).
        at = black_box(at + octets) & 0x3f;
    }
    Some(false)
}

/// The first four bits of a group's address.
pub const MULTICAST: u32 = 0xe;

/// 224.0.0.0/4 (RFC 1112).
#[must_use]
#[inline(always)]
pub const fn is_multicast(address: u32) -> bool {
    address >> 28 == MULTICAST
}

/// The limited broadcast address. What else is a broadcast, the routing table knows.
#[must_use]
#[inline(always)]
pub const fn is_limited_broadcast(address: u32) -> bool {
    address == u32::MAX
}

/// Whether an address cannot be a single host's: 0/8, 127/8, multicast, class E, broadcast
/// (RFC 1122 3.2.1.3, 3.2.2).
#[must_use]
#[inline(always)]
pub const fn is_not_a_host(address: u32) -> bool {
    let first = address >> 24;
    first == 0 || first == 127 || first >= 224
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_routes_are_found_behind_other_options() {
        let routed = |octets: &[u8]| {
            let mut padded = octets.to_vec();
            padded.push(8);
            source_routed(Cursor::new(&padded), octets.len() as u32)
        };
        assert!(!routed(&[]));
        assert!(!routed(&[1; 40]));
        assert!(!routed(&[0x94, 4, 0, 0]));
        // Record route and timestamp aren't source routes; what stands behind the end is no option.
        assert!(!routed(&[7, 7, 4, 0, 0, 0, 0, 1]));
        assert!(!routed(&[0, 131, 3, 4]));
        for kind in [131, 137] {
            assert!(routed(&[kind, 7, 4, 10, 0, 0, 1, 0]));
            assert!(routed(&[1, kind, 7, 4, 10, 0, 0, 1]));
            assert!(routed(&[0x94, 4, 0, 0, kind, 3, 4, 0]));
            for before in 0..37 {
                let mut octets = vec![1; before];
                octets.extend([kind, 3, 4]);
                octets.resize(40, 0);
                assert!(routed(&octets), "{before}");
            }
        }
        // A length that leads nowhere, or beyond.
        for wrong in [[7, 0, 0, 0], [7, 1, 0, 0], [7, 5, 0, 0], [1, 1, 1, 7], [0x94, 255, 0, 0]] {
            assert!(routed(&wrong), "{wrong:?}");
        }
    }

    #[test]
    fn who_is_not_a_host() {
        let of = |text: &str| u32::from(text.parse::<core::net::Ipv4Addr>().unwrap());
        for not in ["0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"]
        {
            assert!(is_not_a_host(of(not)), "{not}");
        }
        // Private addresses are legitimate, and .255 says nothing by itself.
        for host in ["10.0.0.1", "192.168.1.255", "172.16.0.1", "223.255.255.255", "1.0.0.0"] {
            assert!(!is_not_a_host(of(host)), "{host}");
        }
    }
}
