//! Which flow an error is about, and which request an answer answers (row V4).
//!
//! What the message says of it is read here; whether this machine has such a flow, the kernel program asks:
//! of TCP and UDP its sockets, of echo and timestamp what it sent.

use crate::abi::family;
use crate::parse::{Frame, Packet};
use crate::plausible::Claim;
use crate::wire::{
    icmpv4, icmpv6,
    ipv4::{self, PROTOCOL_ICMP},
    ipv6::{self, Address},
    quote::Quote,
};

/// What is known of the flow of a packet.
pub mod state {
    /// Nothing was asked.
    pub const NONE: u8 = 0;
    /// This machine has it.
    pub const LIVE: u8 = 1;
    /// It has its connection, of which the quoted octets can't be (RFC 5927 4.1).
    pub const CONTRADICTED: u8 = 2;
    /// Nothing is known of it here.
    pub const UNKNOWN: u8 = 3;

    /// The label used by `explain`; `None` where nothing was asked.
    #[must_use]
    pub const fn label(state: u8) -> Option<&'static str> {
        match state {
            LIVE => Some("live"),
            CONTRADICTED => Some("contradicted"),
            UNKNOWN => Some("unknown"),
            _ => None,
        }
    }
}

/// Of what a flow is.
pub mod kind {
    /// Of nothing that this machine keeps, or the quote ends before it says.
    pub const NONE: u8 = 0;
    /// A TCP connection.
    pub const TCP: u8 = 1;
    /// UDP.
    pub const UDP: u8 = 2;
    /// Requests of ICMP that one identifier is given to.
    pub const REQUEST: u8 = 3;
}

/// TCP's number as a protocol.
const TCP: u8 = 6;
/// UDP's.
const UDP: u8 = 17;

/// A flow, as a message tells of it. What its kind doesn't have says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Flow {
    /// Who sent its packet: this machine, where it is one of its own.
    pub near: Address,
    /// To whom.
    pub far: Address,
    /// The ports of both, as they lie in the packet.
    pub near_port: u16,
    /// See `near_port`.
    pub far_port: u16,
    /// Of TCP, the number of the first octet.
    pub sequence: u32,
    /// One of [`kind`].
    pub kind: u8,
    /// The type of a request.
    pub ty: u8,
    /// Its identifier, as it lies in the packet.
    pub identifier: u16,
    /// Whether the error is *fragmentation needed* and states no MTU, as routers did before RFC 1191.
    pub no_mtu: bool,
    /// Whether the error goes through this machine.
    pub in_transit: bool,
    /// Zero.
    pub pad: u16,
}

impl Flow {
    /// Puts that of the packet that an error quotes in the place of one of which nothing is known.
    #[inline(always)]
    pub fn put_quote(&mut self, claim: &Claim, quote: &Quote) {
        (self.near, self.far) = (quote.source, quote.destination);
        self.no_mtu = claim.family == family::ICMPV4 && claim.mtu_v4() == Some(0);
        let Some([a, b, c, d, e, f, g, h]) = quote.first else { return };
        let message = if claim.family == family::ICMPV6 { ipv6::ICMPV6 } else { PROTOCOL_ICMP };
        if quote.protocol == TCP || quote.protocol == UDP {
            self.kind = if quote.protocol == TCP { kind::TCP } else { kind::UDP };
            self.near_port = u16::from_ne_bytes([a, b]);
            self.far_port = u16::from_ne_bytes([c, d]);
            self.sequence = u32::from_be_bytes([e, f, g, h]);
        } else if quote.protocol == message && is_request(claim.family, a) {
            self.kind = kind::REQUEST;
            self.ty = a;
            self.identifier = u16::from_ne_bytes([e, f]);
        }
    }

    /// That of a request that is sent.
    #[must_use]
    #[inline(always)]
    pub fn of_request<F: Frame + ?Sized>(frame: &F, packet: &Packet) -> Self {
        let flow = Self { near: packet.source, far: packet.destination, ..Self::default() };
        let ty = is_request(packet.family, packet.ty).then_some(packet.ty);
        flow.of_requests(frame, packet, ty)
    }

    /// That of the request which an answer that arrives is to.
    #[must_use]
    #[inline(always)]
    pub fn of_answer<F: Frame + ?Sized>(frame: &F, packet: &Packet) -> Self {
        let flow = Self { near: packet.destination, far: packet.source, ..Self::default() };
        flow.of_requests(frame, packet, answered(packet.family, packet.ty))
    }

    /// Of requests of this type, with the identifier of a message.
    #[inline(always)]
    fn of_requests<F: Frame + ?Sized>(
        mut self,
        frame: &F,
        packet: &Packet,
        request: Option<u8>,
    ) -> Self {
        if let Some(ty) = request
            && let Some([_, _, _, _, a, b, _, _]) = packet.message(frame).take::<[u8; 8]>()
        {
            (self.kind, self.ty) = (kind::REQUEST, ty);
            self.identifier = u16::from_ne_bytes([a, b]);
        }
        self
    }

    /// What requests of it are kept under; of those to many, each of whom answers for himself, under none of
    /// their addresses.
    #[must_use]
    #[inline(always)]
    pub fn request(&self, family: u8, to_many: bool) -> Request {
        let far = if to_many { [0; 2] } else { self.far.0 };
        let what = u64::from(family) | u64::from(self.ty) << 8 | u64::from(self.identifier) << 16;
        Request { far, what }
    }
}

/// Requests that this machine sends: those of one type, to one address, with one identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Request {
    /// To whom, as it lies in the packet; zero where that is many.
    pub far: [u64; 2],
    /// From the lowest octet up: the family, the type, and the identifier in two octets as it lies in the packet.
    pub what: u64,
}

/// How many requests are remembered. The one that wasn't looked at for longest makes room.
pub const REQUESTS: usize = 16_384;

/// For how many seconds after the last one an answer to it, or an error about it, is known as such.
pub const REQUEST_S: u64 = 60;

/// Whether messages of this type are requests that are remembered.
#[must_use]
#[inline(always)]
pub const fn is_request(family: u8, ty: u8) -> bool {
    match family {
        family::ICMPV4 => matches!(ty, icmpv4::ECHO | icmpv4::TIMESTAMP),
        family::ICMPV6 => ty == icmpv6::ECHO,
        _ => false,
    }
}

/// The type of the request that messages of this type answer.
#[must_use]
#[inline(always)]
pub const fn answered(family: u8, ty: u8) -> Option<u8> {
    match (family, ty) {
        (family::ICMPV4, icmpv4::ECHO_REPLY) => Some(icmpv4::ECHO),
        (family::ICMPV4, icmpv4::TIMESTAMP_REPLY) => Some(icmpv4::TIMESTAMP),
        (family::ICMPV6, icmpv6::ECHO_REPLY) => Some(icmpv6::ECHO),
        _ => None,
    }
}

/// Whether a UDP port, as it lies in a packet, is one that tunnels have on their far side, and send to from any: GTP-U,
/// GRE (RFC 8086), VXLAN (RFC 7348; Linux's own default before), its generic extension, GUE, Geneve (RFC 8926), MPLS
/// (RFC 7510) and L2TP (RFC 2661).
#[must_use]
#[inline(always)]
pub const fn is_of_tunnel(port: u16) -> bool {
    matches!(u16::from_be(port), 1701 | 2152 | 4754 | 4789 | 4790 | 6080 | 6081 | 6635 | 8472)
}

/// Whether what goes to this address goes to many, as far as the address tells.
#[must_use]
#[inline(always)]
pub fn is_to_many(family: u8, address: Address) -> bool {
    if family == family::ICMPV6 {
        address.is_multicast()
    } else {
        ipv4::is_multicast(address.v4()) || ipv4::is_limited_broadcast(address.v4())
    }
}

/// Whether what is sent to this address is answered from another one: to many, each of whom answers from his own, or to
/// the routers of a network of 64 bits, of which one does (RFC 4291 2.6.1, RFC 4443 4.2). Other anycast addresses don't
/// show what they are.
#[must_use]
#[inline(always)]
pub fn is_answered_by_others(family: u8, address: Address) -> bool {
    is_to_many(family, address) || family == family::ICMPV6 && address.0[1] == 0
}

/// Whether a sequence number is one of what was sent and not all acknowledged: `first..=next`, modulo 2^32
/// (RFC 5927 4.1).
#[must_use]
#[inline(always)]
pub const fn is_in_flight(sequence: u32, first: u32, next: u32) -> bool {
    sequence.wrapping_sub(first) <= next.wrapping_sub(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::IpAddr;

    const HERE: Address = Address::mapped(0xc000_0201);
    const THERE: Address = Address::mapped(0xc633_6402);

    fn quote(protocol: u8, first: Option<[u8; 8]>) -> Quote {
        Quote {
            source: HERE,
            destination: THERE,
            stated_length: 100,
            hop_by_hop: false,
            header_length: 20,
            protocol,
            later_fragment: false,
            routing: false,
            message: None,
            first,
        }
    }

    fn claim(family: u8, ty: u8, code: u8, word: u32) -> Claim {
        Claim { family, ty, code, destination: HERE, word }
    }

    const EIGHT: [u8; 8] = [0x30, 0x39, 0, 53, 0xfe, 0xdc, 0xba, 0x98];

    fn of_quote(claim: &Claim, quote: &Quote) -> Flow {
        let mut flow = Flow::default();
        flow.put_quote(claim, quote);
        flow
    }

    #[test]
    fn ports_and_sequence_are_those_of_the_first_eight_octets() {
        for (protocol, kind) in [(6, kind::TCP), (17, kind::UDP)] {
            for family in [family::ICMPV4, family::ICMPV6] {
                let flow = of_quote(&claim(family, 3, 3, 0), &quote(protocol, Some(EIGHT)));
                assert_eq!((flow.near, flow.far, flow.kind), (HERE, THERE, kind));
                assert_eq!((flow.near_port, flow.far_port), (12345_u16.to_be(), 53_u16.to_be()));
                assert_eq!(flow.sequence, 0xfedc_ba98);
                let cut = of_quote(&claim(family, 3, 3, 0), &quote(protocol, None));
                assert_eq!(cut.kind, kind::NONE);
            }
        }
        // SCTP, DCCP, ESP, GRE, UDP-Lite.
        for protocol in (0..=u8::MAX).filter(|p| !matches!(p, 1 | 6 | 17 | 58)) {
            let flow = of_quote(&claim(1, 3, 3, 0), &quote(protocol, Some(EIGHT)));
            assert_eq!(flow.kind, kind::NONE, "{protocol}");
        }
    }

    #[test]
    fn a_quoted_request_is_one_of_its_own_family() {
        for (family, protocol) in
            [(family::ICMPV4, 1), (family::ICMPV4, 58), (family::ICMPV6, 58), (family::ICMPV6, 1)]
        {
            for ty in 0..=u8::MAX {
                let first = [ty, 0, 1, 2, 0x12, 0x34, 0, 7];
                let flow = of_quote(&claim(family, 1, 3, 0), &quote(protocol, Some(first)));
                let is_own = (family == family::ICMPV4) == (protocol == 1);
                let expected = is_own && is_request(family, ty);
                assert_eq!(flow.kind == kind::REQUEST, expected, "{family} {protocol} {ty}");
                if expected {
                    assert_eq!((flow.ty, flow.identifier), (ty, 0x1234_u16.to_be()));
                }
            }
        }
    }

    #[test]
    fn only_fragmentation_needed_has_an_mtu_to_leave_out() {
        let no_mtu = |family, ty, code, word| {
            of_quote(&claim(family, ty, code, word), &quote(17, Some(EIGHT))).no_mtu
        };
        assert!(no_mtu(1, 3, 4, 0) && no_mtu(1, 3, 4, 0xabcd_0000));
        assert!(!no_mtu(1, 3, 4, 1400) && !no_mtu(1, 3, 3, 0) && !no_mtu(1, 11, 4, 0));
        assert!(!no_mtu(2, 3, 4, 0));
    }

    #[test]
    fn answers_are_to_requests() {
        for family in family::ALL {
            for ty in 0..=u8::MAX {
                let Some(request) = answered(family, ty) else { continue };
                assert!(is_request(family, request) && !is_request(family, ty));
            }
        }
        let pairs = [(1, 0, 8), (1, 14, 13), (2, 129, 128)];
        for (family, answer, request) in pairs {
            assert_eq!(answered(family, answer), Some(request));
        }
        let all = family::ALL.iter().flat_map(|f| (0..=u8::MAX).map(move |ty| (*f, ty)));
        assert_eq!(all.filter(|(f, ty)| answered(*f, *ty).is_some()).count(), pairs.len());

        let packet = Packet {
            family: family::ICMPV4,
            has_type: true,
            source: THERE,
            destination: HERE,
            length: 8,
            ..Packet::default()
        };
        let message: &[u8] = &[0, 0, 0, 0, 0x12, 0x34, 0, 1];
        let flow = Flow::of_answer(message, &packet);
        assert_eq!((flow.kind, flow.ty, flow.far), (kind::REQUEST, icmpv4::ECHO, THERE));
        assert_eq!(flow.identifier, 0x1234_u16.to_be());
        assert_eq!(Flow::of_answer(&message[..7], &packet).kind, kind::NONE);
        // It is the one that was sent.
        let sent = Packet { ty: icmpv4::ECHO, source: HERE, destination: THERE, ..packet };
        assert_eq!(Flow::of_request(message, &sent), flow);
        assert_eq!(Flow::of_request(message, &Packet { ty: 0, ..sent }).kind, kind::NONE);
        // What was sent to many is answered by each.
        let many = flow.request(family::ICMPV4, true);
        assert_eq!(many.far, [0; 2]);
        assert_eq!(many.what, flow.request(family::ICMPV4, false).what);
    }

    #[test]
    fn routers_of_a_network_and_many_are_answered_by_others() {
        let by_others = |family, address: IpAddr| is_answered_by_others(family, address.into());
        let v6 = |text: &str| by_others(family::ICMPV6, text.parse().unwrap());
        let v4 = |text: &str| by_others(family::ICMPV4, text.parse().unwrap());
        assert!(v6("ff02::1") && v6("2001:db8:9::") && v6("fe80::"));
        assert!(!v6("2001:db8:9::1") && !v6("2001:db8:9:0:8000::"));
        assert!(v4("224.0.0.1") && v4("255.255.255.255") && !v4("192.0.2.0"));
    }

    #[test]
    fn what_is_in_flight_is_between_the_first_unacknowledged_and_the_next() {
        for first in [0, 1, 0x7fff_ffff, 0xffff_fff0, u32::MAX] {
            for sent in [0, 1, 1000, 0x3fff_ffff] {
                let next = first.wrapping_add(sent);
                assert!(is_in_flight(first, first, next) && is_in_flight(next, first, next));
                assert!(!is_in_flight(first.wrapping_sub(1), first, next));
                assert!(!is_in_flight(next.wrapping_add(1), first, next));
            }
        }
    }
}
