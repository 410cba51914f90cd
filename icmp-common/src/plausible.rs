//! Whether what an error says of the packet that it quotes can be true of it.
//!
//! This is what the message alone tells; no socket and no route is asked. What the quote doesn't have says
//! nothing.

use crate::abi::family;
use crate::parse::{Frame, Packet};
use crate::verdict::Reason;
use crate::wire::{
    icmpv4, icmpv6, ipv4,
    ipv6::{self, Address},
    quote::{self, Quote},
};

/// An error, as far as it is held against its quote.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// Its family: ICMPv4 or ICMPv6.
    pub family: u8,
    /// Its type.
    pub ty: u8,
    /// Its code.
    pub code: u8,
    /// Where it goes.
    pub destination: Address,
    /// The second word of its message, in host order.
    pub word: u32,
}

impl Claim {
    /// The MTU that an error of ICMPv4 states, where it is one that does; 0 by a router older than RFC 1191.
    #[must_use]
    #[inline(always)]
    pub fn mtu_v4(&self) -> Option<u32> {
        let is_too_big =
            self.ty == icmpv4::UNREACHABLE && self.code == icmpv4::FRAGMENTATION_NEEDED;
        is_too_big.then_some(self.word & 0xffff)
    }
}

/// What can't be true: a set of [`Reason::bit`]s.
#[must_use]
#[inline(always)]
pub fn faults(claim: &Claim, quote: &Quote) -> u32 {
    let mut faults = 0;
    // It goes to whoever sent the packet that it is about (RFC 792, RFC 4443 3).
    if quote.source != claim.destination {
        faults |= Reason::QUOTE_SOURCE.bit();
    }
    let (mtu, pointer) = if claim.family == family::ICMPV6 {
        (is_mtu_v6(claim, quote), is_pointer_v6(claim, quote))
    } else {
        (is_mtu_v4(claim, quote), is_pointer_v4(claim, quote))
    };
    if !mtu {
        faults |= Reason::QUOTE_MTU.bit();
    }
    if !pointer {
        faults |= Reason::QUOTE_POINTER.bit();
    }
    faults
}

/// RFC 1191 4: the packet was too big for the link. 0 says a router that is older than that.
#[inline(always)]
fn is_mtu_v4(claim: &Claim, quote: &Quote) -> bool {
    let Some(mtu) = claim.mtu_v4() else { return true };
    mtu == 0 || mtu >= ipv4::LEAST_MTU && mtu < u32::from(quote.stated_length)
}

/// RFC 8201 4, likewise. A router that says less than the least MTU wants fragment headers in whole packets, which
/// nobody gives it any more (RFC 8021). Receivers ignore the code.
#[inline(always)]
fn is_mtu_v6(claim: &Claim, quote: &Quote) -> bool {
    if claim.ty != icmpv6::PACKET_TOO_BIG {
        return true;
    }
    claim.word >= ipv6::LEAST_MTU && claim.word < octets_v6(quote)
}

/// RFC 792: an octet of the header. Only where the code says that there is one: *missing option* has the type
/// of the option there (RFC 1108 2.6), and what others have nobody has laid down.
#[inline(always)]
fn is_pointer_v4(claim: &Claim, quote: &Quote) -> bool {
    let points = matches!(claim.code, icmpv4::POINTER_INDICATES_ERROR | icmpv4::BAD_LENGTH);
    if claim.ty != icmpv4::PARAMETER_PROBLEM || !points {
        return true;
    }
    claim.word >> 24 < quote.header_length.max(ipv4::MIN_HEADER)
}

/// RFC 4443 3.4: an octet of the packet, quoted or not.
#[inline(always)]
fn is_pointer_v6(claim: &Claim, quote: &Quote) -> bool {
    claim.ty != icmpv6::PARAMETER_PROBLEM || claim.word < octets_v6(quote)
}

/// The octets of a quoted IPv6 packet. A jumbogram (RFC 2675 3) says 0, and may have any.
#[inline(always)]
fn octets_v6(quote: &Quote) -> u32 {
    if quote.stated_length == 0 && quote.hop_by_hop {
        return u32::MAX;
    }
    ipv6::HEADER + u32::from(quote.stated_length)
}

/// The faults of an error whose quote can't be read: a set of [`Reason::bit`]s. Where what stands in the place of a quoted
/// header is none of the error's family, it says nothing of whom it goes to; stacks look for the flow all the same, and by
/// other fields. Where the message has it and the readable part of the frame doesn't, behind extension headers of
/// thousands of octets, what it says can't be held against it.
#[must_use]
#[inline(always)]
pub fn faults_of_unread<F: Frame + ?Sized>(frame: &F, packet: &Packet) -> u32 {
    let is_v6 = packet.family == family::ICMPV6;
    let header = if is_v6 { ipv6::HEADER } else { ipv4::MIN_HEADER };
    let end = quote::OFFSET + header;
    if packet.length < end || !frame.holds(packet.offset + end) {
        return 0;
    }
    let first = packet.message(frame).take::<[u8; 28]>().map(|[_, _, _, _, _, _, _, _, a, ..]| a);
    match first {
        Some(a) if is_v6 && a >> 4 != 6 => Reason::QUOTE_SOURCE.bit(),
        Some(a) if !is_v6 && (a >> 4 != 4 || a & 0xf < 5) => Reason::QUOTE_SOURCE.bit(),
        _ => Reason::EXTENSION_HEADERS_BEYOND_BOUND.bit(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: Address = Address::mapped(0xc000_0201);

    fn quote(stated_length: u16, header_length: u32) -> Quote {
        Quote {
            source: HOST,
            destination: Address::mapped(0xc000_0202),
            stated_length,
            hop_by_hop: stated_length == 0,
            header_length,
            protocol: 17,
            later_fragment: false,
            routing: false,
            message: None,
            first: None,
        }
    }

    fn found(family: u8, [ty, code]: [u8; 2], word: u32, quote: &Quote) -> u32 {
        faults(&Claim { family, ty, code, destination: HOST, word }, quote)
    }

    fn v4(kind: [u8; 2], word: u32, quote: &Quote) -> u32 {
        found(family::ICMPV4, kind, word, quote)
    }

    fn v6(kind: [u8; 2], word: u32, quote: &Quote) -> u32 {
        found(family::ICMPV6, kind, word, quote)
    }

    #[test]
    fn an_error_goes_to_whom_it_quotes() {
        let of_another = Quote { source: Address::mapped(0xc000_0203), ..quote(1500, 20) };
        for (family, kinds) in
            [(family::ICMPV4, [3, 4, 5, 11, 12]), (family::ICMPV6, [1, 2, 3, 4, 100])]
        {
            for ty in kinds {
                let word = 1400;
                let own = found(family, [ty, 0], word, &quote(1500, 20));
                assert_eq!(own & Reason::QUOTE_SOURCE.bit(), 0);
                let others = found(family, [ty, 0], word, &of_another);
                assert_eq!(others ^ own, Reason::QUOTE_SOURCE.bit(), "{family} {ty}");
            }
        }
    }

    #[test]
    fn an_mtu_is_one_that_a_link_has_and_the_packet_had_not_fitted() {
        let quoted = quote(1500, 20);
        let bad = |mtu, quote: &Quote| v4([3, 4], mtu, quote) == Reason::QUOTE_MTU.bit();
        for (mtu, is_bad) in [
            (0, false),
            (1, true),
            (67, true),
            (68, false),
            (1499, false),
            (1500, true),
            (65_535, true),
        ] {
            assert_eq!(bad(mtu, &quoted), is_bad, "{mtu}");
            // The half before it is unused, and need not be zero.
            assert_eq!(bad(0xabcd_0000 | mtu, &quoted), is_bad, "{mtu}");
        }
        // It is the field that counts, even one that no packet can have.
        assert!(bad(68, &quote(68, 20)) && bad(68, &quote(0, 20)) && !bad(0, &quote(0, 20)));
        // Other codes have none.
        assert_eq!(v4([3, 3], 1, &quoted), 0);

        let bad = |mtu, payload| v6([2, 0], mtu, &quote(payload, 40)) == Reason::QUOTE_MTU.bit();
        for (mtu, is_bad) in [
            (0, true),
            (68, true),
            (1279, true),
            (1280, false),
            (1499, false),
            (1500, true),
            (u32::MAX, true),
        ] {
            assert_eq!(bad(mtu, 1460), is_bad, "{mtu}");
        }
        assert!(bad(1280, 1240) && !bad(1280, 1241));
        // A jumbogram doesn't say its length there; anything else without payload has none.
        assert!(!bad(70_000, 0) && bad(1279, 0));
        let empty = Quote { hop_by_hop: false, ..quote(0, 40) };
        assert_eq!(v6([2, 0], 1280, &empty), Reason::QUOTE_MTU.bit());
    }

    #[test]
    fn a_pointer_lies_in_what_it_is_about() {
        let bad = |kind, pointer: u32, header| {
            v4(kind, pointer << 24 | 0xff_ffff, &quote(1500, header)) == Reason::QUOTE_POINTER.bit()
        };
        for kind in [[12, 0], [12, 2]] {
            assert!(!bad(kind, 19, 20) && bad(kind, 20, 20));
            assert!(!bad(kind, 59, 60) && bad(kind, 60, 60) && bad(kind, 255, 60));
        }
        // A missing option is named there, by its type.
        assert!(!bad([12, 1], 130, 20) && !bad([12, 3], 255, 20));
        assert_eq!(v4([11, 0], u32::MAX, &quote(1500, 20)), 0);

        let bad = |pointer, payload| {
            v6([4, 1], pointer, &quote(payload, 40)) == Reason::QUOTE_POINTER.bit()
        };
        // It may lie beyond the quote, but not beyond the packet.
        assert!(!bad(0, 8) && !bad(47, 8) && bad(48, 8) && bad(u32::MAX, 8));
        assert!(!bad(70_000, 0));
        assert_eq!(v6([3, 0], u32::MAX, &quote(8, 40)), 0);
    }
}
