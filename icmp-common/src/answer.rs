//! What the hook answers with: the headers of an ICMP error around what is left of the packet, the
//! address it comes from, and the fields of a reply. Time, random numbers and addresses are passed
//! in.
//!
//! Where the RFCs leave a choice, the answer is what Linux sends (net/ipv4/icmp.c, net/ipv6/icmp.c),
//! so that an operator who moves a rule from the stack to the hook sees no difference. Words are in
//! the machine's order as they lie in the packet.

use crate::abi::{ENDPOINT_ADDRESSES, Endpoint, Rule, family};
use crate::branchless::{is_some, select, top_bit};
use crate::wire::checksum::{finish, pseudo_header};
use crate::wire::icmpv4::{self, FRAGMENTATION_NEEDED, PARAMETER_PROBLEM, UNREACHABLE};
use crate::wire::icmpv6;
use crate::wire::ipv4::{self, PROTOCOL_ICMP};
use crate::wire::ipv6::{self, Address, ICMPV6};

/// The time to live, or hop limit, of an answer (RFC 1700: the current recommended default).
pub const TTL: u8 = 64;
/// Words of the headers that an ICMPv4 error has before its quote: IPv4 and ICMP.
pub const WORDS_V4: usize = 7;
/// Words of those of an ICMPv6 error: IPv6 and ICMPv6.
pub const WORDS_V6: usize = 12;
/// The longest ICMPv4 error, in octets (RFC 1812 4.3.2.3).
pub const LONGEST_V4: u32 = 576;
/// The longest ICMPv6 error: the least MTU of IPv6 (RFC 4443 2.4(c)).
pub const LONGEST_V6: u32 = ipv6::LEAST_MTU;

/// Its code *communication with destination administratively prohibited*.
const PROHIBITED_V6: u8 = 1;
/// The code of ICMPv4 that says the same (RFC 1812 5.2.7.1).
const PROHIBITED_V4: u8 = 13;

/// An ICMP error, as a rule asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    /// The type.
    pub ty: u8,
    /// The code.
    pub code: u8,
    /// An MTU or a pointer, in octets; 0 where it has neither.
    pub value: u16,
}

impl Error {
    /// What a family has for *administratively prohibited*. IGMP is answered by ICMPv4.
    #[must_use]
    #[inline(always)]
    pub const fn prohibited(family: u8) -> Self {
        if family == family::ICMPV6 {
            Self { ty: icmpv6::UNREACHABLE, code: PROHIBITED_V6, value: 0 }
        } else {
            Self { ty: UNREACHABLE, code: PROHIBITED_V4, value: 0 }
        }
    }

    /// What a rule of [`crate::abi::action::REJECT`] answers a packet of this family with.
    #[must_use]
    #[inline(always)]
    pub const fn of(rule: &Rule, family: u8) -> Self {
        match rule.answer_type {
            0 => Self::prohibited(family),
            ty => Self { ty, code: rule.answer_code, value: rule.answer_value },
        }
    }

    /// The word behind type, code and checksum of an ICMPv4 error: the MTU in its low half
    /// (RFC 1191 4), the pointer in its first octet (RFC 792), else unused.
    #[inline(always)]
    const fn word_v4(self) -> u32 {
        let [high, low] = self.value.to_be_bytes();
        match (self.ty, self.code) {
            (UNREACHABLE, FRAGMENTATION_NEEDED) => u32::from_ne_bytes([0, 0, high, low]),
            (PARAMETER_PROBLEM, _) => u32::from_ne_bytes([low, 0, 0, 0]),
            _ => 0,
        }
    }

    /// That of an ICMPv6 error: MTU or pointer (RFC 4443 3.2, 3.4), else unused.
    #[inline(always)]
    const fn word_v6(self) -> u32 {
        (self.value as u32).to_be()
    }

    #[inline(always)]
    const fn first_word(self, check: u16) -> u32 {
        let [a, b] = check.to_ne_bytes();
        u32::from_ne_bytes([self.ty, self.code, a, b])
    }
}

/// How much of a packet an ICMPv4 error quotes: `packet` is its total length, and `mtu` that of the
/// interface, 0 where it isn't known. As much as there is room for in [`LONGEST_V4`].
#[must_use]
#[inline(always)]
pub const fn quoted_v4(packet: u32, mtu: u32) -> u32 {
    let known = mtu >= ipv4::LEAST_MTU && mtu < LONGEST_V4;
    let room = if known { mtu } else { LONGEST_V4 } - WORDS_V4 as u32 * 4;
    if packet < room { packet } else { room }
}

/// How much of a packet an ICMPv6 error quotes: `packet` counts the header (RFC 4443 2.4(c)).
#[must_use]
#[inline(always)]
pub const fn quoted_v6(packet: u32) -> u32 {
    const ROOM: u32 = LONGEST_V6 - WORDS_V6 as u32 * 4;
    if packet < ROOM { packet } else { ROOM }
}

/// The type of service of an ICMPv4 error: that of the packet without its precedence, in place of
/// which stands *internetwork control* (RFC 1812 4.3.2.5).
#[must_use]
#[inline(always)]
pub const fn service_v4(packet: u8) -> u8 {
    packet & 0x1e | 0xc0
}

/// An IPv4 header without options of a packet that may be fragmented, checksum included.
///
/// `id` must be hard to guess and rarely repeat (RFC 6864 4.3).
#[must_use]
#[inline(always)]
pub const fn header_v4(
    service: u8,
    length: u32,
    id: u16,
    source: u32,
    destination: u32,
) -> [u32; 5] {
    let [a, b] = (length as u16).to_be_bytes();
    let [c, d] = id.to_ne_bytes();
    let first = u32::from_ne_bytes([0x45, service, a, b]);
    let second = u32::from_ne_bytes([c, d, 0, 0]);
    [first, second, third_word(first, second, source, destination), source, destination]
}

/// The headers before the quote of an ICMPv4 error.
#[derive(Clone, Copy, Debug)]
pub struct ErrorV4 {
    /// The error.
    pub error: Error,
    /// See [`service_v4`].
    pub service: u8,
    /// See [`header_v4`].
    pub id: u16,
    /// Where it comes from.
    pub source: u32,
    /// Whom it answers.
    pub destination: u32,
    /// The octets of its quote.
    pub quoted: u32,
    /// The one's complement sum of the quote.
    pub sum: u64,
}

impl ErrorV4 {
    /// The words of both headers.
    #[must_use]
    #[inline(always)]
    pub const fn words(&self) -> [u32; WORDS_V4] {
        let length = self.quoted + WORDS_V4 as u32 * 4;
        let [a, b, c, d, e] =
            header_v4(self.service, length, self.id, self.source, self.destination);
        let word = self.error.word_v4();
        let check = finish(self.error.first_word(0) as u64 + word as u64 + self.sum);
        [a, b, c, d, e, self.error.first_word(check), word]
    }
}

/// The headers before the quote of an ICMPv6 error.
#[derive(Clone, Copy, Debug)]
pub struct ErrorV6 {
    /// The error.
    pub error: Error,
    /// Where it comes from.
    pub source: Address,
    /// Whom it answers.
    pub destination: Address,
    /// The octets of its quote.
    pub quoted: u32,
    /// The one's complement sum of the quote.
    pub sum: u64,
}

impl ErrorV6 {
    /// The words of both headers.
    #[must_use]
    #[inline(always)]
    pub const fn words(&self) -> [u32; WORDS_V6] {
        let length = self.quoted + 8;
        let word = self.error.word_v6();
        let pseudo = self.source.sum() + self.destination.sum() + pseudo_header(length, ICMPV6);
        let check = finish(pseudo + self.error.first_word(0) as u64 + word as u64 + self.sum);
        let [a, b] = (length as u16).to_be_bytes();
        let ([s0, s1, s2, s3], [d0, d1, d2, d3]) = (halves(self.source), halves(self.destination));
        [
            u32::from_ne_bytes([0x60, 0, 0, 0]),
            u32::from_ne_bytes([a, b, ICMPV6, TTL]),
            s0,
            s1,
            s2,
            s3,
            d0,
            d1,
            d2,
            d3,
            self.error.first_word(check),
            word,
        ]
    }
}

/// An address as words of 4 octets.
#[inline(always)]
const fn halves(address: Address) -> [u32; 4] {
    // SAFETY: two words of 8 octets are four of 4.
    unsafe { core::mem::transmute(address.0) }
}

/// The IPv4 address that an interface answers `to` from, where the packet wasn't for an address of
/// this machine: the one whose network `to` is on, else its first; 0 where it has none. (Linux takes
/// the one on the network of the next hop, which only its routes know.)
#[must_use]
#[inline(always)]
pub fn source_v4(endpoint: &Endpoint, to: u32) -> u32 {
    let mut found = endpoint.v4[0].address;
    // Backwards, so that the first of several wins.
    for i in 0..ENDPOINT_ADDRESSES {
        let entry = endpoint.v4[ENDPOINT_ADDRESSES - 1 - i];
        if entry.address != 0 && (entry.address ^ to) & entry.mask == 0 {
            found = entry.address;
        }
    }
    found
}

/// The mask of the address of an interface on whose network `to` is (RFC 950); 0 where there is none.
#[must_use]
#[inline(always)]
pub fn mask_v4(endpoint: &Endpoint, to: u32) -> u32 {
    let mut found = 0;
    for i in 0..ENDPOINT_ADDRESSES {
        let entry = endpoint.v4[ENDPOINT_ADDRESSES - 1 - i];
        if entry.address != 0 && (entry.address ^ to) & entry.mask == 0 {
            found = entry.mask;
        }
    }
    found
}

/// The IPv6 address that an interface answers `to` from, likewise: of the same scope, and of those
/// with the longest prefix in common the first (RFC 6724 5, rules 2 and 8); `::` where it has none.
#[must_use]
#[inline(always)]
pub fn source_v6(endpoint: &Endpoint, to: Address) -> Address {
    if to.is_link_local() {
        return Address(endpoint.link_local);
    }
    let [high, low] = to.words();
    let (mut found, mut best) = ([0, 0], 0_u64);
    // By reference: a copy of all is more than the kernel program's stack has left.
    for &entry in &endpoint.v6 {
        let [a, b] = Address(entry).words();
        let lower = is_some(a ^ high).wrapping_neg() | b ^ low;
        // More than 0 for any address, so that the first has one to exceed.
        let in_common = 129 - significant(a ^ high) - significant(lower);
        let rank = in_common * is_some(entry[0] | entry[1]);
        let is_better = top_bit(best.wrapping_sub(rank));
        found = [select(is_better, entry[0], found[0]), select(is_better, entry[1], found[1])];
        best = select(is_better, rank, best);
    }
    Address(found)
}

/// How many bits a number has, leading zeros excepted. A loop has, to the verifier, a step for each bit; this has as
/// many ones as bits.
#[inline(always)]
const fn significant(number: u64) -> u64 {
    let mut number = number;
    let mut by = 1;
    while by < 64 {
        number |= number >> by;
        by *= 2;
    }
    number.count_ones() as u64
}

/// The type of the reply to a request of this family and type.
#[must_use]
#[inline(always)]
pub const fn reply_type(family: u8, request: u8) -> u8 {
    match (family, request) {
        (family::ICMPV6, _) => icmpv6::ECHO_REPLY,
        (_, icmpv4::ECHO) => icmpv4::ECHO_REPLY,
        (_, icmpv4::TIMESTAMP) => icmpv4::TIMESTAMP_REPLY,
        (_, _) => icmpv4::MASK_REPLY,
    }
}

/// The octets of an error that answers a packet of this family and length, IP header included, without
/// the link-layer header. `mtu` as of [`quoted_v4`].
#[must_use]
#[inline(always)]
pub const fn error_octets(family: u8, packet: u32, mtu: u32) -> u32 {
    match family {
        family::ICMPV6 => WORDS_V6 as u32 * 4 + quoted_v6(packet),
        _ => WORDS_V4 as u32 * 4 + quoted_v4(packet, mtu),
    }
}

/// Milliseconds since midnight UT (RFC 792), as CLOCK_TAI and its distance from UTC tell.
#[must_use]
#[inline(always)]
pub const fn since_midnight(tai_ns: u64, offset_s: i32) -> u32 {
    const DAY_MS: u64 = 86_400_000;
    let utc_ns = tai_ns.wrapping_sub((offset_s as i64 * 1_000_000_000) as u64);
    (utc_ns / 1_000_000 % DAY_MS) as u32
}

#[inline(always)]
const fn third_word(first: u32, second: u32, source: u32, destination: u32) -> u32 {
    let without = u32::from_ne_bytes([TTL, PROTOCOL_ICMP, 0, 0]);
    let sum = first as u64 + second as u64 + without as u64 + source as u64 + destination as u64;
    let [a, b] = finish(sum).to_ne_bytes();
    u32::from_ne_bytes([TTL, PROTOCOL_ICMP, a, b])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::EndpointV4;
    use crate::wire::checksum::{sum, verifies};
    use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    fn octets(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|w| w.to_ne_bytes()).collect()
    }

    fn v4(text: &str) -> u32 {
        u32::from(text.parse::<Ipv4Addr>().unwrap()).to_be()
    }

    fn v6(text: &str) -> Address {
        Address::new(text.parse::<Ipv6Addr>().unwrap().octets())
    }

    #[test]
    fn each_request_has_its_reply() {
        for (family, request, reply) in [
            (family::ICMPV4, 8, 0),
            (family::ICMPV4, 13, 14),
            (family::ICMPV4, 17, 18),
            (family::ICMPV6, 128, 129),
        ] {
            assert_eq!(reply_type(family, request), reply);
        }
    }

    #[test]
    fn an_error_has_its_headers_and_what_it_quotes() {
        for (family, packet, mtu, octets) in [
            (family::ICMPV4, 28, 1500, 56),
            (family::ICMPV4, 1500, 1500, 576),
            (family::ICMPV4, 1500, 300, 300),
            (family::ICMPV6, 48, 1500, 96),
            (family::ICMPV6, 1500, 1500, 1280),
        ] {
            assert_eq!(error_octets(family, packet, mtu), octets);
        }
    }

    #[test]
    fn an_icmpv4_error_has_both_checksums_and_its_fields_at_every_length() {
        let quote: Vec<u8> = (0..548).map(|i| (i * 7 + 3) as u8).collect();
        for n in 0..=quote.len() {
            for (error, word) in [
                (Error { ty: 3, code: 4, value: 1400 }, [0, 0, 0x05, 0x78]),
                (Error { ty: 3, code: 13, value: 0 }, [0; 4]),
                (Error { ty: 12, code: 0, value: 9 }, [9, 0, 0, 0]),
                (Error { ty: 11, code: 1, value: 0 }, [0; 4]),
            ] {
                let answer = ErrorV4 {
                    error,
                    service: service_v4(0x1f),
                    id: 0x1234u16.to_be(),
                    source: v4("192.0.2.1"),
                    destination: v4("198.51.100.7"),
                    quoted: n as u32,
                    sum: sum(&quote[..n]),
                };
                let mut packet = octets(&answer.words());
                packet.extend(&quote[..n]);
                assert!(verifies(sum(&packet[..20])) && verifies(sum(&packet[20..])), "{n}");
                let length = (packet.len() as u16).to_be_bytes();
                assert_eq!(
                    packet[..10],
                    [0x45, 0xde, length[0], length[1], 0x12, 0x34, 0, 0, 64, 1]
                );
                assert_eq!(packet[12..20], [192, 0, 2, 1, 198, 51, 100, 7]);
                assert_eq!((packet[20], packet[21]), (error.ty, error.code));
                assert_eq!(packet[24..28], word);
            }
        }
    }

    #[test]
    fn an_icmpv6_error_sums_its_pseudo_header_at_every_length() {
        let quote: Vec<u8> = (0..1232).map(|i| (i * 5 + 1) as u8).collect();
        let (source, destination) = (v6("2001:db8::1"), v6("fe80::7"));
        for n in 0..=quote.len() {
            let error = Error { ty: 2, code: 0, value: 1400 };
            let sum_of = sum(&quote[..n]);
            let answer = ErrorV6 { error, source, destination, quoted: n as u32, sum: sum_of };
            let mut packet = octets(&answer.words());
            packet.extend(&quote[..n]);
            let mut pseudo = packet[8..40].to_vec();
            pseudo.extend((n as u32 + 8).to_be_bytes());
            pseudo.extend([0, 0, 0, 58]);
            pseudo.extend(&packet[40..]);
            assert!(verifies(sum(&pseudo)), "{n}");
            let length = (n as u16 + 8).to_be_bytes();
            assert_eq!(packet[..8], [0x60, 0, 0, 0, length[0], length[1], 58, 64]);
            assert_eq!(packet[8..24], source.octets());
            assert_eq!(packet[24..40], destination.octets());
            assert_eq!(packet[40..42], [2, 0]);
            assert_eq!(packet[44..48], [0, 0, 0x05, 0x78]);
        }
    }

    #[test]
    fn a_quote_is_as_long_as_there_is_room_for() {
        for n in 0..=65_535 {
            assert_eq!(quoted_v4(n, 0), n.min(548), "{n}");
            assert_eq!(quoted_v4(n, 1500), n.min(548), "{n}");
            assert_eq!(quoted_v4(n, 500), n.min(472), "{n}");
            assert_eq!(quoted_v6(n), n.min(1232), "{n}");
        }
        // No interface has such an MTU.
        assert_eq!(quoted_v4(1000, 67), 548);
        assert_eq!(quoted_v4(1000, 68), 40);
    }

    #[test]
    fn prohibited_is_what_each_family_calls_so() {
        let rule = Rule::default();
        for (f, ty, code) in
            [(family::ICMPV4, 3, 13), (family::IGMP, 3, 13), (family::ICMPV6, 1, 1)]
        {
            assert_eq!(Error::of(&rule, f), Error { ty, code, value: 0 });
        }
        let rule = Rule { answer_type: 11, answer_code: 1, answer_value: 5, ..rule };
        assert_eq!(Error::of(&rule, family::ICMPV4), Error { ty: 11, code: 1, value: 5 });
    }

    fn endpoint(addresses: &[&str]) -> Endpoint {
        let mut endpoint = Endpoint::default();
        let (mut fours, mut sixes) = (0, 0);
        for text in addresses {
            let (address, length) = text.split_once('/').unwrap();
            let length: u32 = length.parse().unwrap();
            match address.parse().unwrap() {
                IpAddr::V4(_) => {
                    let mask = (u64::from(u32::MAX) << (32 - length)) as u32;
                    endpoint.v4[fours] = EndpointV4 { address: v4(address), mask: mask.to_be() };
                    fours += 1;
                }
                IpAddr::V6(_) if v6(address).is_link_local() => endpoint.link_local = v6(address).0,
                IpAddr::V6(_) => {
                    endpoint.v6[sixes] = v6(address).0;
                    sixes += 1;
                }
            }
        }
        endpoint
    }

    #[test]
    fn an_ipv4_source_is_on_the_network_of_whom_it_answers() {
        let e = endpoint(&["192.0.2.1/24", "10.0.0.1/8", "10.1.0.1/16", "203.0.113.1/32"]);
        for (to, from) in [
            ("192.0.2.77", "192.0.2.1"),
            ("10.9.9.9", "10.0.0.1"),
            ("10.1.9.9", "10.0.0.1"),
            ("203.0.113.1", "203.0.113.1"),
            ("198.51.100.1", "192.0.2.1"),
        ] {
            assert_eq!(source_v4(&e, v4(to)), v4(from), "{to}");
        }
        assert_eq!(source_v4(&Endpoint::default(), v4("192.0.2.1")), 0);
        assert_eq!(mask_v4(&e, v4("10.9.9.9")), v4("255.0.0.0"));
        assert_eq!(mask_v4(&e, v4("198.51.100.1")), 0);
        assert_eq!(mask_v4(&Endpoint::default(), v4("0.0.0.1")), 0);
    }

    #[test]
    fn an_ipv6_source_has_the_scope_and_the_longest_prefix() {
        let e = endpoint(&["fd00:1::1/64", "2001:db8:1::1/64", "2001:db8:1:2::1/64", "fe80::1/64"]);
        for (to, from) in [
            ("fe80::99", "fe80::1"),
            ("fd99::1", "fd00:1::1"),
            ("2001:db8:1::99", "2001:db8:1::1"),
            ("2001:db8:1:2::99", "2001:db8:1:2::1"),
            ("2a00::1", "2001:db8:1::1"),
            ("2001:db8:1:2::2", "2001:db8:1:2::1"),
        ] {
            assert_eq!(source_v6(&e, v6(to)), v6(from), "{to}");
        }
        // Within one /64 the lower word decides.
        let e = endpoint(&["2001:db8::8000:0:0:1/64", "2001:db8::1/64"]);
        assert_eq!(source_v6(&e, v6("2001:db8::2")), v6("2001:db8::1"));
        assert_eq!(source_v6(&e, v6("2001:db8::8000:0:0:2")), v6("2001:db8::8000:0:0:1"));
        assert!(source_v6(&Endpoint::default(), v6("2001:db8::2")).is_unspecified());
        assert!(source_v6(&Endpoint::default(), v6("fe80::2")).is_unspecified());
        let only_link_local = endpoint(&["fe80::1/64"]);
        assert!(source_v6(&only_link_local, v6("2001:db8::2")).is_unspecified());
    }

    #[test]
    fn midnight_is_universal_time() {
        const S: u64 = 1_000_000_000;
        // 2026-11-26 00:00:00 UTC, and TAI ahead by 37 s.
        let midnight = 1_795_651_200;
        assert_eq!(since_midnight((midnight + 37) * S, 37), 0);
        assert_eq!(since_midnight((midnight + 37) * S - 1, 37), 86_399_999);
        assert_eq!(since_midnight((midnight + 3600) * S + 1_999_999, 0), 3_600_001);
        assert_eq!(since_midnight(midnight * S, -1), 1000);
    }
}
