//! What no ICMP error may answer: the five of RFC 1122 3.2.2 for IPv4, and RFC 4443 2.4(e.1) to
//! (e.6) for IPv6.
//!
//! One rule for three who ask: an error that arrives and quotes such a packet is forged or faulty,
//! an error that this machine would send in answer to one isn't sent, and the hook answers none
//! itself. They know different things of the packet: of a quote only what is left of it, and not how
//! it was sent on its link. What isn't known forbids nothing.

use crate::abi::{family, fragment};
use crate::classify;
use crate::parse::Packet;
use crate::wire::icmpv6::{PACKET_TOO_BIG, PARAMETER_PROBLEM, REDIRECT, UNRECOGNIZED_OPTION};
use crate::wire::ipv4;
use crate::wire::ipv6::Address;
use crate::wire::quote::Quote;
use core::hint::black_box;

/// What is known of a packet that an error answers, or would.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Original {
    /// Whose errors answer it: [`family::ICMPV4`] for what is IPv4, else [`family::ICMPV6`].
    pub family: u8,
    /// Its source; IPv4 in mapped form.
    pub source: Address,
    /// Its destination.
    pub destination: Address,
    /// The routing tables call its source a broadcast address. Only who has them can tell; false
    /// until then. 255.255.255.255 needs no telling.
    pub from_broadcast: bool,
    /// The routing tables call its destination a broadcast address.
    pub to_broadcast: bool,
    /// It was sent to a link-layer broadcast or multicast address. Only who received it can tell: no
    /// quote does, nor does a packet on its way out.
    pub to_link_group: bool,
    /// It is a fragment, and not the first.
    pub later_fragment: bool,
    /// The type of the message that it carries, where that is one of `family` and was read.
    pub message: Option<u8>,
}

impl Original {
    /// A packet, as the parser read it. IGMP, too, is answered by ICMP.
    #[must_use]
    #[inline(always)]
    pub fn of_packet(packet: &Packet) -> Self {
        let is_message = packet.has_type && packet.family != family::IGMP;
        // Read in any case. Read only where it is a message, it isn't there where 6.1 takes it for
        // possible that it isn't one and then that it is (`R4 !read_ok`).
        let ty = black_box(packet.ty);
        Self {
            family: if packet.family == family::ICMPV6 { family::ICMPV6 } else { family::ICMPV4 },
            source: packet.source,
            destination: packet.destination,
            from_broadcast: false,
            to_broadcast: false,
            to_link_group: false,
            later_fragment: packet.fragment == fragment::LATER,
            message: is_message.then_some(ty),
        }
    }

    /// What an error of this family quotes.
    #[must_use]
    #[inline(always)]
    pub const fn of_quote(family: u8, quote: &Quote) -> Self {
        Self {
            family,
            source: quote.source,
            destination: quote.destination,
            from_broadcast: false,
            to_broadcast: false,
            to_link_group: false,
            later_fragment: quote.later_fragment,
            message: quote.message,
        }
    }
}

/// Whether no error of this type and code may answer a packet. An ICMPv4 error may answer none that
/// another may not; of ICMPv6, two may answer what was sent to a group.
#[must_use]
#[inline(always)]
pub fn unanswerable(original: &Original, ty: u8, code: u8) -> bool {
    if original.family == family::ICMPV6 {
        unanswerable_v6(original, ty, code)
    } else {
        unanswerable_v4(original)
    }
}

/// RFC 1122 3.2.2. What it forbids hosts, RFC 1812 4.3.2.7 forbids routers.
#[inline(always)]
fn unanswerable_v4(original: &Original) -> bool {
    let (source, destination) = (original.source.v4(), original.destination.v4());
    // An ICMP error message. Queries may be answered, and so may what is neither.
    original.message.is_some_and(|ty| classify::is_error(family::ICMPV4, ty))
        // A datagram destined to an IP broadcast or IP multicast address.
        || ipv4::is_multicast(destination)
        || ipv4::is_limited_broadcast(destination)
        || original.to_broadcast
        // A datagram sent as a link-layer broadcast.
        || original.to_link_group
        // A non-initial fragment.
        || original.later_fragment
        // A datagram whose source address does not define a single host.
        || ipv4::is_not_a_host(source)
        || original.from_broadcast
}

/// RFC 4443 2.4(e). It has no condition on fragments: a router that finds a later fragment too big
/// must say so (3.2).
#[inline(always)]
fn unanswerable_v6(original: &Original, ty: u8, code: u8) -> bool {
    // (e.3) to (e.5): path MTU discovery works for groups, and an option may ask to be told of by
    // its two highest bits (RFC 8200 4.2).
    let of_groups = ty == PACKET_TOO_BIG || ty == PARAMETER_PROBLEM && code == UNRECOGNIZED_OPTION;
    let to_group = original.destination.is_multicast() || original.to_link_group;
    // (e.1) An ICMPv6 error message.
    original.message.is_some_and(|ty| classify::is_error(family::ICMPV6, ty))
        // (e.2) An ICMPv6 redirect message.
        || original.message == Some(REDIRECT)
        // (e.3) An IPv6 multicast destination; (e.4), (e.5) link-layer multicast and broadcast.
        || to_group && !of_groups
        // (e.6) A source that does not uniquely identify a single node. That an address is anycast
        // shows nowhere.
        || original.source.is_multicast()
        || original.source.is_unspecified()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::checksum;
    use crate::parse::stage;
    use core::net::IpAddr;

    fn address(text: &str) -> Address {
        match text.parse().unwrap() {
            IpAddr::V4(v4) => Address::mapped(v4.into()),
            IpAddr::V6(v6) => Address::new(v6.octets()),
        }
    }

    /// A packet that any error may answer.
    fn original(family: u8) -> Original {
        let (source, destination) = match family {
            family::ICMPV6 => ("2001:db8::1", "2001:db8:9::1"),
            _ => ("192.0.2.1", "203.0.113.9"),
        };
        Original {
            family,
            source: address(source),
            destination: address(destination),
            from_broadcast: false,
            to_broadcast: false,
            to_link_group: false,
            later_fragment: false,
            message: None,
        }
    }

    /// Every type and code that an error could have.
    fn answers(family: u8) -> impl Iterator<Item = (u8, u8)> {
        (0..=u8::MAX)
            .filter(move |ty| classify::is_error(family, *ty))
            .flat_map(|ty| (0..=u8::MAX).map(move |code| (ty, code)))
    }

    /// Whether none of the answers, or every one, is forbidden.
    #[track_caller]
    fn assert_all(original: &Original, forbidden: bool) {
        for (ty, code) in answers(original.family) {
            assert_eq!(unanswerable(original, ty, code), forbidden, "{ty}/{code}: {original:?}");
        }
    }

    /// As [`assert_all`], but for the two errors that may answer what was sent to a group.
    #[track_caller]
    fn assert_all_but_of_groups(original: &Original) {
        for (ty, code) in answers(family::ICMPV6) {
            let excepted = ty == 2 || (ty, code) == (4, 2);
            assert_eq!(unanswerable(original, ty, code), !excepted, "{ty}/{code}: {original:?}");
        }
    }

    #[test]
    fn an_ordinary_packet_may_be_answered() {
        assert_all(&original(family::ICMPV4), false);
        assert_all(&original(family::ICMPV6), false);
    }

    #[test]
    fn of_icmpv4_messages_only_errors_are_not_answered() {
        for ty in 0..=u8::MAX {
            let error = matches!(ty, 3 | 4 | 5 | 11 | 12);
            assert_all(&Original { message: Some(ty), ..original(family::ICMPV4) }, error);
        }
    }

    #[test]
    fn of_icmpv6_messages_only_errors_and_redirects_are_not_answered() {
        for ty in 0..=u8::MAX {
            let error = ty < 128 || ty == 137;
            assert_all(&Original { message: Some(ty), ..original(family::ICMPV6) }, error);
        }
    }

    #[test]
    fn ipv4_destinations() {
        let to = |text| Original { destination: address(text), ..original(family::ICMPV4) };
        for group in ["224.0.0.0", "224.0.0.1", "239.255.255.255", "255.255.255.255"] {
            assert_all(&to(group), true);
        }
        // Neither the last octet nor class E makes a broadcast; nor is a destination that can't be
        // reached one that no error answers.
        for host in ["192.0.2.255", "10.255.255.255", "192.0.2.0", "240.0.0.1", "255.255.255.254"] {
            assert_all(&to(host), false);
        }
        for host in ["0.0.0.0", "127.0.0.1", "223.255.255.255", "198.51.100.9"] {
            assert_all(&to(host), false);
        }
        let told = Original { to_broadcast: true, ..to("192.0.2.255") };
        assert_all(&told, true);
    }

    #[test]
    fn ipv4_sources() {
        let from = |text| Original { source: address(text), ..original(family::ICMPV4) };
        for not in [
            "0.0.0.0",
            "0.255.255.255",
            "127.0.0.1",
            "127.255.255.255",
            "224.0.0.0",
            "239.255.255.255",
            "240.0.0.0",
            "255.255.255.254",
            "255.255.255.255",
        ] {
            assert_all(&from(not), true);
        }
        for host in ["1.0.0.0", "126.255.255.255", "128.0.0.0", "223.255.255.255", "10.0.0.255"] {
            assert_all(&from(host), false);
        }
        assert_all(&Original { from_broadcast: true, ..from("10.0.0.255") }, true);
    }

    #[test]
    fn ipv4_fragments_but_the_first_and_link_layer_groups() {
        assert_all(&Original { later_fragment: true, ..original(family::ICMPV4) }, true);
        assert_all(&Original { to_link_group: true, ..original(family::ICMPV4) }, true);
    }

    #[test]
    fn ipv6_groups_are_told_of_two_things_only() {
        for group in ["ff02::1", "ff00::", "ff0e::1:2:3", "ff02::1:ff00:1"] {
            let to = Original { destination: address(group), ..original(family::ICMPV6) };
            assert_all_but_of_groups(&to);
            // Each of the other conditions holds for those two as well.
            assert_all(&Original { message: Some(1), ..to }, true);
            assert_all(&Original { message: Some(REDIRECT), ..to }, true);
            assert_all(&Original { source: address("::"), ..to }, true);
            assert_all(&Original { source: address("ff02::2"), ..to }, true);
        }
        assert_all_but_of_groups(&Original { to_link_group: true, ..original(family::ICMPV6) });
    }

    #[test]
    fn ipv6_sources() {
        let from = |text| Original { source: address(text), ..original(family::ICMPV6) };
        for not in ["::", "ff02::1", "ff0e::1:2:3"] {
            assert_all(&from(not), true);
        }
        for node in ["fe80::1", "fd00::1", "2001:db8::", "::2", "feff::1", "::ffff:224.0.0.1"] {
            assert_all(&from(node), false);
        }
    }

    #[test]
    fn an_ipv6_fragment_may_be_answered() {
        assert_all(&Original { later_fragment: true, ..original(family::ICMPV6) }, false);
    }

    /// A parsed packet of these.
    fn packet(family: u8, fragment: u8, ty: Option<u8>) -> Packet {
        let of = original(family);
        Packet {
            family,
            fragment,
            has_type: ty.is_some(),
            ty: ty.unwrap_or_default(),
            code: 0,
            stage: stage::NONE,
            checksum: checksum::GOOD,
            pad: 0,
            offset: 34,
            length: 64,
            pseudo: 0,
            source: of.source,
            destination: of.destination,
            faults: 0,
            zero: 0,
        }
    }

    #[test]
    fn what_a_packet_says_of_itself() {
        for (f, of) in [
            (family::ICMPV4, family::ICMPV4),
            (family::ICMPV6, family::ICMPV6),
            (family::IGMP, family::ICMPV4),
        ] {
            let is = |fragment, ty| Original::of_packet(&packet(f, fragment, ty));
            let expected = Original { family: of, ..original(f) };
            assert_eq!(is(fragment::NONE, None), expected);
            assert_eq!(
                is(fragment::LATER, None),
                Original { later_fragment: true, ..expected },
                "{f}"
            );
            // Three and five are no errors as types of IGMP.
            let message = (f != family::IGMP).then_some(3);
            let expected = Original { message, ..expected };
            assert_eq!(is(fragment::NONE, Some(3)), expected);
            assert_eq!(is(fragment::FIRST, Some(3)), expected);
            assert_eq!(unanswerable(&expected, 3, 0), f != family::IGMP);
        }
    }
}
