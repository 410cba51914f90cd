//! IPv6 (RFC 8200): the header, and a bounded walk of its extension headers.

use crate::branchless::{is_some, select};
use crate::cursor::Cursor;
use core::hint::black_box;
use core::net::IpAddr;
use network_types::ip::Ipv6Hdr;

/// The header.
pub const HEADER: u32 = 40;
/// The least MTU that a link may have (RFC 8200 5).
pub const LEAST_MTU: u32 = 1280;
/// How many extension headers are walked. Real packets have at most a handful; RFC 8504 5.3 lets a
/// host set such a limit, and RFC 8883 names the error for exceeding it.
pub const MAX_EXTENSION_HEADERS: u32 = 8;

/// The least length of an extension header, which is what [`walk`] reads of one.
pub const LEAST_EXTENSION: u32 = 8;

/// Hop-by-hop options (RFC 8200 4.3).
pub const HOP_BY_HOP: u8 = 0;
/// Routing (RFC 8200 4.4).
pub const ROUTING: u8 = 43;
/// Fragment (RFC 8200 4.5).
pub const FRAGMENT: u8 = 44;
/// Authentication (RFC 4302).
pub const AUTHENTICATION: u8 = 51;
/// ICMPv6 (RFC 4443).
pub const ICMPV6: u8 = 58;
/// Destination options (RFC 8200 4.6).
pub const DESTINATION_OPTIONS: u8 = 60;

/// An address of either family, as two words in the machine's order, as they lie in the packet.
///
/// Words of 8 octets, because with shorter ones the compiler joins stores into keys on the stack
/// that the verifier refuses (`misaligned stack access`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Address(pub [u64; 2]);

/// IPv4 in mapped form.
impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self::mapped(v4.into()),
            IpAddr::V6(v6) => Self::new(v6.octets()),
        }
    }
}

impl Address {
    /// `::`.
    pub const NONE: Self = Self([0; 2]);
    /// All nodes of the link, `ff02::1` (RFC 4291 2.7.1).
    pub const ALL_NODES: Self = Self([0xff02_0000_0000_0000_u64.to_be(), 1_u64.to_be()]);

    /// The address in these octets.
    #[must_use]
    #[inline(always)]
    pub const fn new(o: [u8; 16]) -> Self {
        Self([
            u64::from_ne_bytes([o[0], o[1], o[2], o[3], o[4], o[5], o[6], o[7]]),
            u64::from_ne_bytes([o[8], o[9], o[10], o[11], o[12], o[13], o[14], o[15]]),
        ])
    }

    /// The IPv4-mapped form (RFC 4291 2.5.5.2) of an IPv4 address in host order: one shape for the
    /// maps of both families.
    #[must_use]
    #[inline(always)]
    pub const fn mapped(v4: u32) -> Self {
        Self([0, (0xffff_0000_0000 | v4 as u64).to_be()])
    }

    /// The same of the address in these octets, without turning them round.
    #[must_use]
    #[inline(always)]
    pub const fn of_v4([a, b, c, d]: [u8; 4]) -> Self {
        Self([0, u64::from_ne_bytes([0, 0, 0xff, 0xff, a, b, c, d])])
    }

    /// Whether it has the form of [`Address::mapped`].
    #[must_use]
    #[inline(always)]
    pub const fn is_mapped(self) -> bool {
        self.0[0] == 0 && u64::from_be(self.0[1]) >> 32 == 0xffff
    }

    /// The IPv4 address, in host order, of a mapped one.
    #[must_use]
    #[inline(always)]
    pub const fn v4(self) -> u32 {
        u64::from_be(self.0[1]) as u32
    }

    /// Its octets.
    #[must_use]
    #[inline(always)]
    pub const fn octets(self) -> [u8; 16] {
        // SAFETY: two words are 16 octets. (Taken apart and joined again, they would be written
        // octet by octet.)
        unsafe { core::mem::transmute(self.0) }
    }

    /// Its contribution to a checksum.
    #[must_use]
    #[inline(always)]
    pub const fn sum(self) -> u64 {
        (self.0[0] & 0xffff_ffff)
            + (self.0[0] >> 32)
            + (self.0[1] & 0xffff_ffff)
            + (self.0[1] >> 32)
    }

    /// Its two words in host order, the first the more significant.
    #[must_use]
    #[inline(always)]
    pub const fn words(self) -> [u64; 2] {
        [u64::from_be(self.0[0]), u64::from_be(self.0[1])]
    }

    /// Whether it is `::`, or 0.0.0.0 in mapped form: a host that has no address yet.
    #[must_use]
    #[inline(always)]
    pub const fn is_unspecified(self) -> bool {
        self.0[0] == 0 && (self.0[1] == 0 || u64::from_be(self.0[1]) == 0xffff_0000_0000)
    }

    /// fe80::/10 (RFC 4291 2.5.6).
    #[must_use]
    #[inline(always)]
    pub const fn is_link_local(self) -> bool {
        u64::from_be(self.0[0]) >> 54 == 0xfe80 >> 6
    }

    /// ff02::1:ff00:0/104 (RFC 4291 2.7.1).
    #[must_use]
    #[inline(always)]
    pub const fn is_solicited_node(self) -> bool {
        let [high, low] = self.words();
        high == 0xff02 << 48 && low >> 24 == 0x1ff
    }

    /// ff00::/8 (RFC 4291 2.7).
    #[must_use]
    #[inline(always)]
    pub const fn is_multicast(self) -> bool {
        u64::from_be(self.0[0]) >> 56 == 0xff
    }

    /// Whether it cannot be a single host's: unspecified, loopback, multicast.
    #[must_use]
    #[inline(always)]
    pub const fn is_not_a_host(self) -> bool {
        self.is_multicast() || (self.0[0] == 0 && u64::from_be(self.0[1]) <= 1)
    }
}

/// How many hop-by-hop options are walked in search of a router alert.
const MAX_HOP_OPTIONS: u32 = 16;
/// An option of one octet (RFC 8200 4.2).
const OPTION_PAD1: u8 = 0;
/// Router alert (RFC 2711).
const OPTION_ROUTER_ALERT: u8 = 5;

/// Whether the hop-by-hop options whose header begins there have a router alert, or more options than are walked.
#[must_use]
#[inline(always)]
pub fn alerts_routers(header: Cursor<'_>) -> bool {
    let Some([_, units]) = { header }.take::<[u8; 2]>() else { return true };
    let length = (u32::from(units) + 1) * 8;
    let mut at = 2;
    for _ in 0..MAX_HOP_OPTIONS {
        if at + 2 > length {
            return false;
        }
        let Some([kind, octets]) = header.skip(at).take::<[u8; 2]>() else { return true };
        if kind == OPTION_ROUTER_ALERT {
            return true;
        }
        // Without a branch, behind which the rest would be walked once more.
        let octets = select(is_some((kind ^ OPTION_PAD1).into()), 2 + u64::from(octets), 1) as u32;
        // The mask changes nothing: see `ipv4::has_option`.
        at = black_box(at + octets) & 0xfff;
    }
    true
}

/// What is carried on of a header. Lengths are in octets.
#[derive(Clone, Copy, Debug)]
pub struct Ipv6 {
    /// The version field.
    pub version: u8,
    /// The payload length field: everything behind the header.
    pub payload_length: u32,
    /// The next header field.
    pub next_header: u8,
    /// The hop limit field.
    pub hop_limit: u8,
    /// The source.
    pub source: Address,
    /// The destination.
    pub destination: Address,
}

/// Reads the header. `None` where the frame ends first.
#[inline(always)]
pub fn take(cursor: &mut Cursor<'_>) -> Option<Ipv6> {
    let h = cursor.take::<Ipv6Hdr>()?;
    Some(Ipv6 {
        version: h.version(),
        payload_length: u32::from(u16::from_be_bytes(h.payload_len)),
        next_header: h.next_hdr,
        hop_limit: h.hop_limit,
        source: Address::new(h.src_addr),
        destination: Address::new(h.dst_addr),
    })
}

/// How a walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum End {
    /// At a header that is none of the extension headers.
    UpperLayer = 0,
    /// At a fragment that isn't the first: what is behind is no header.
    LaterFragment = 1,
    /// The frame ended within the chain.
    Cut = 2,
    /// After [`MAX_EXTENSION_HEADERS`].
    BeyondBound = 3,
}

/// All bits that the length of the headers before the last that is walked may have.
const MAX_BEFORE: u32 = 0x3fff;
const _: () = assert!((MAX_EXTENSION_HEADERS - 1) * 256 * 8 <= MAX_BEFORE);

/// What a walk found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    /// How it ended.
    pub end: End,
    /// The next header behind what was walked.
    pub next_header: u8,
    /// The octets of extension headers.
    pub length: u32,
    /// A first fragment: one with offset 0 that more follow. An atomic fragment (RFC 6946) is
    /// none.
    pub first_fragment: bool,
    /// Where, from the end of the IPv6 header, the address stands that the pseudo-header takes in
    /// place of the destination (RFC 8200 8.1); `None` where it takes the destination.
    pub final_destination: Option<u32>,
    /// A routing header has segments left, and its final destination can't be told.
    pub opaque_route: bool,
    /// There is a routing header, whatever it says.
    pub routing: bool,
    /// There is a fragment header, an atomic fragment's included.
    pub fragment: bool,
    /// The place of a later fragment, in units of 8 octets; 0 for all others.
    pub fragment_offset: u16,
}

impl Chain {
    /// The chain of a packet without extension headers.
    #[must_use]
    #[inline(always)]
    pub const fn none(next_header: u8) -> Self {
        Self {
            end: End::UpperLayer,
            next_header,
            length: 0,
            first_fragment: false,
            final_destination: None,
            opaque_route: false,
            routing: false,
            fragment: false,
            fragment_offset: 0,
        }
    }

    /// In one word, as a function of the kernel program can return it: length in bits 0-14 (eight
    /// headers have at most 16,448 octets), final destination in 16-30 (0 for none: a routing header comes before it), next header in 32-39,
    /// end in 40-41, first fragment in 42, opaque route in 43, routing header in 44, fragment header in 45, place of the
    /// fragment in 46-58.
    #[must_use]
    #[inline(always)]
    pub const fn pack(self) -> u64 {
        let at = match self.final_destination {
            Some(at) => at,
            None => 0,
        };
        self.length as u64
            | (at as u64) << 16
            | (self.next_header as u64) << 32
            | (self.end as u64) << 40
            | (self.first_fragment as u64) << 42
            | (self.opaque_route as u64) << 43
            | (self.routing as u64) << 44
            | (self.fragment as u64) << 45
            | (self.fragment_offset as u64) << 46
    }

    /// The reverse of [`Chain::pack`].
    #[must_use]
    #[inline(always)]
    pub const fn unpack(word: u64) -> Self {
        let at = (word >> 16 & 0x7fff) as u32;
        Self {
            length: (word & 0x7fff) as u32,
            final_destination: if at == 0 { None } else { Some(at) },
            next_header: (word >> 32) as u8,
            end: match word >> 40 & 3 {
                0 => End::UpperLayer,
                1 => End::LaterFragment,
                2 => End::Cut,
                _ => End::BeyondBound,
            },
            first_fragment: word >> 42 & 1 != 0,
            opaque_route: word >> 43 & 1 != 0,
            routing: word >> 44 & 1 != 0,
            fragment: word >> 45 & 1 != 0,
            fragment_offset: (word >> 46 & 0x1fff) as u16,
        }
    }
}

/// Whether a next header is one of those that [`walk`] goes behind.
#[must_use]
#[inline(always)]
pub const fn is_extension(next_header: u8) -> bool {
    matches!(next_header, HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION_OPTIONS)
}

/// Walks the extension headers behind `cursor`. `zero` is a 0 of which the verifier doesn't know that it is one:
/// each set of what a walk has seen would be a state of its own to it, in which all that follows is walked again.
#[must_use]
#[inline(always)]
pub fn walk(cursor: Cursor<'_>, mut next_header: u8, zero: u32) -> Chain {
    let mut seen = Seen { what: zero, final_destination: zero };
    let (mut length, mut fragment_offset) = (0, 0);
    let end = 'walk: {
        for _ in 0..MAX_EXTENSION_HEADERS {
            if !is_extension(next_header) {
                break 'walk End::UpperLayer;
            }
            length = (length ^ zero) & MAX_BEFORE;
            let Some(h) = cursor.skip(length).take::<[u8; 8]>() else { break 'walk End::Cut };
            let this = next_header;
            next_header = h[0];
            if this == FRAGMENT {
                // The offset is tested before anything behind it is taken for a header.
                let field = u16::from_be_bytes([h[2], h[3]]);
                length += 8;
                seen.what |= Seen::FRAGMENT ^ zero;
                if field & 0xfff8 != 0 {
                    fragment_offset = field >> 3;
                    break 'walk End::LaterFragment;
                }
                if field & 1 != 0 {
                    seen.what |= Seen::FIRST_FRAGMENT ^ zero;
                }
                continue;
            }
            if this == AUTHENTICATION {
                // RFC 4302 2.2: in units of 4 octets, less 2.
                length += (u32::from(h[1]) + 2) * 4;
                continue;
            }
            if this == ROUTING {
                seen.route(length, h, zero);
            }
            length += (u32::from(h[1]) + 1) * 8;
        }
        if is_extension(next_header) { End::BeyondBound } else { End::UpperLayer }
    };
    let Seen { what, final_destination } = seen;
    Chain {
        end,
        next_header,
        length,
        first_fragment: what & Seen::FIRST_FRAGMENT != 0,
        final_destination: if final_destination == 0 { None } else { Some(final_destination) },
        opaque_route: what & Seen::OPAQUE_ROUTE != 0,
        routing: what & Seen::ROUTING != 0,
        fragment: what & Seen::FRAGMENT != 0,
        fragment_offset,
    }
}

/// What a walk has seen so far.
struct Seen {
    /// A set of the bits below.
    what: u32,
    /// [`Chain::final_destination`], 0 for none: a routing header comes before it.
    final_destination: u32,
}

impl Seen {
    const FIRST_FRAGMENT: u32 = 1;
    const OPAQUE_ROUTE: u32 = 2;
    const ROUTING: u32 = 4;
    const FRAGMENT: u32 = 8;

    /// Notes a routing header that stands behind so many octets, and finds its final destination where it has
    /// segments left.
    ///
    /// Types 0 (RFC 5095, deprecated) and 2 (RFC 6275 6.4) end with it; in type 4 (RFC 8754 2) it is
    /// the first of the list. Type 3 (RFC 6554) compresses its addresses: the checksum is then
    /// unverified.
    #[inline(always)]
    fn route(&mut self, behind: u32, h: [u8; 8], zero: u32) {
        self.what |= Self::ROUTING ^ zero;
        if h[3] == 0 {
            return;
        }
        match h[2] {
            // Length in units of 8 octets without the first: the last address is 16 octets before the
            // end.
            0 | 2 if h[1] >= 2 => {
                self.final_destination = (behind + 8 + (u32::from(h[1]) - 2) * 8) ^ zero;
            }
            4 if h[1] >= 2 => self.final_destination = (behind + 8) ^ zero,
            _ => self.what |= Self::OPAQUE_ROUTE ^ zero,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_comes_back_from_its_word() {
        for end in [End::UpperLayer, End::LaterFragment, End::Cut, End::BeyondBound] {
            for (length, at) in [(0, None), (8, Some(16)), (16_448, Some(16_440)), (2048, None)] {
                for flags in 0..16u8 {
                    let chain = Chain {
                        end,
                        next_header: 58 + flags,
                        length,
                        first_fragment: flags & 1 != 0,
                        final_destination: at,
                        opaque_route: flags & 2 != 0,
                        routing: flags & 4 != 0,
                        fragment: flags & 8 != 0,
                        fragment_offset: if flags & 8 == 0 { 0 } else { 0x1fff - u16::from(flags) },
                    };
                    assert_eq!(Chain::unpack(chain.pack()), chain);
                }
            }
        }
    }

    /// A chain of these (kind, octets), ending in ICMPv6.
    fn chain(kinds: &[u8]) -> Vec<u8> {
        let mut octets = Vec::new();
        for (i, _) in kinds.iter().enumerate() {
            octets.extend([kinds.get(i + 1).copied().unwrap_or(ICMPV6), 0, 0, 0, 0, 0, 0, 0]);
        }
        octets.extend([0; 8]);
        octets
    }

    #[test]
    fn eight_headers_are_walked_and_a_ninth_is_not() {
        for n in 0..=10 {
            let kinds = vec![DESTINATION_OPTIONS; n];
            let octets = chain(&kinds);
            let first = kinds.first().copied().unwrap_or(ICMPV6);
            let found = walk(Cursor::new(&octets), first, 0);
            if n <= 8 {
                assert_eq!((found.end, found.next_header), (End::UpperLayer, ICMPV6), "{n}");
                assert_eq!(found.length as usize, 8 * n);
            } else {
                assert_eq!(found.end, End::BeyondBound, "{n}");
            }
        }
    }

    #[test]
    fn nothing_behind_a_later_fragment_is_a_header() {
        let mut octets = chain(&[FRAGMENT, HOP_BY_HOP]);
        octets[2..4].copy_from_slice(&[0, 8]);
        let found = walk(Cursor::new(&octets), FRAGMENT, 0);
        assert_eq!((found.end, found.length), (End::LaterFragment, 8));
        // Offset 0 and no more to come: an atomic fragment is a whole packet (RFC 6946).
        octets[2..4].copy_from_slice(&[0, 0]);
        let found = walk(Cursor::new(&octets), FRAGMENT, 0);
        assert_eq!((found.end, found.first_fragment), (End::UpperLayer, false));
        octets[2..4].copy_from_slice(&[0, 1]);
        assert!(walk(Cursor::new(&octets), FRAGMENT, 0).first_fragment);
    }

    #[test]
    fn an_authentication_header_counts_in_words() {
        // RFC 4302 2.2: length 4 is (4 + 2) * 4 = 24 octets.
        let mut octets = vec![ICMPV6, 4];
        octets.extend([0; 30]);
        let found = walk(Cursor::new(&octets), AUTHENTICATION, 0);
        assert_eq!((found.length, found.next_header), (24, ICMPV6));
    }

    #[test]
    fn a_routing_header_names_its_final_destination() {
        let route = |kind, left| {
            let mut octets = vec![ICMPV6, 4, kind, left];
            octets.extend([0; 48]);
            walk(Cursor::new(&octets), ROUTING, 0)
        };
        assert_eq!(route(0, 2).final_destination, Some(24));
        assert_eq!(route(2, 1).final_destination, Some(24));
        assert_eq!(route(4, 1).final_destination, Some(8));
        assert_eq!(route(4, 0).final_destination, None);
        assert!(route(3, 1).opaque_route);
        assert!(!route(3, 0).opaque_route);
        assert!(route(3, 0).routing && route(0, 2).routing);
        assert!(!walk(Cursor::new(&chain(&[HOP_BY_HOP])), HOP_BY_HOP, 0).routing);
    }

    #[test]
    fn who_is_not_a_host() {
        let address =
            |text: &str| Address::new(text.parse::<core::net::Ipv6Addr>().unwrap().octets());
        for not in ["::", "::1", "ff02::1", "ff0e::1234"] {
            assert!(address(not).is_not_a_host(), "{not}");
        }
        for host in ["::2", "fe80::1", "2001:db8::1", "fc00::1", "::ffff:192.0.2.1"] {
            assert!(!address(host).is_not_a_host(), "{host}");
        }
        assert_eq!(Address::mapped(0xc000_0201), address("::ffff:192.0.2.1"));
        assert_eq!(Address::mapped(0xc000_0201).v4(), 0xc000_0201);
    }
}
