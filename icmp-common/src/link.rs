//! Messages for one link alone: neighbour discovery, router discovery, group membership. What their documents have
//! a receiver look at before it believes one.
//!
//! They aren't often met, so what is asked of the headers in front of them is read here once more, and nothing else
//! pays for it. What the frame doesn't have says nothing.

use crate::abi::family;
use crate::branchless::is_some;
use crate::parse::{Candidate, Frame, Packet, find};
use crate::verdict::Reason;
use crate::wire::{
    icmpv4, icmpv6, igmp, ipv4,
    ipv6::{self, Address},
    mld,
    nd::{self, Options},
};

/// The hop limit that no router leaves (RFC 4861 3.1): what has it was sent on this link.
pub const FROM_THIS_LINK: u8 = 255;
/// The hop limit that no router forwards (RFC 9776 4, RFC 9777 5, RFC 4286 3 to 5).
pub const FOR_THIS_LINK: u8 = 1;

/// Which of these a message is; what the kernel program looks at by a function each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Neighbour discovery, and what RFC 6980 treats likewise.
    Neighbours,
    /// IGMP, MLD, and multicast router discovery.
    Membership,
    /// Router advertisements of ICMPv4.
    Routers,
}

/// What a type is of these; `None` where it is none of them. IGMP that other than members and queriers send
/// travels further (DVMRP, PIM, mtrace), and of version 0 only requests are about who listens.
#[must_use]
#[inline(always)]
pub const fn kind(family: u8, ty: u8) -> Option<Kind> {
    match (family, ty) {
        (family::ICMPV4, icmpv4::ROUTER_ADVERTISEMENT) => Some(Kind::Routers),
        (family::ICMPV6, 133..=137 | 141 | 142 | 148 | 149) => Some(Kind::Neighbours),
        (family::ICMPV6, 130..=132 | 143 | 151..=153)
        | (family::IGMP, 3 | 5 | 7 | 0x11 | 0x12 | 0x16 | 0x17 | 0x22 | 0x30..=0x32) => {
            Some(Kind::Membership)
        }
        _ => None,
    }
}

/// Whether messages of this type are router advertisements (RFC 1256, RFC 4861 4.2).
#[must_use]
#[inline(always)]
pub const fn advertises_router(family: u8, ty: u8) -> bool {
    matches!(
        (family, ty),
        (family::ICMPV4, icmpv4::ROUTER_ADVERTISEMENT) | (family::ICMPV6, nd::ROUTER_ADVERTISEMENT)
    )
}

/// What is wrong with one: a set of [`Reason::bit`]s, 0 for any other message.
#[must_use]
pub fn faults<F: Frame + ?Sized>(frame: &F, packet: &Packet) -> u32 {
    let Ok(ip) = find(frame) else { return 0 };
    match kind(packet.family, packet.ty) {
        Some(Kind::Neighbours) => neighbours(frame, packet, ip.start),
        Some(Kind::Membership) => membership(frame, packet, ip),
        Some(Kind::Routers) => routers(frame, packet),
        None => 0,
    }
}

/// Octets of a message, where it has them: what the frame has behind it is padding.
#[inline(always)]
fn octets<const N: usize, F: Frame + ?Sized>(
    frame: &F,
    packet: &Packet,
    at: u32,
) -> Option<[u8; N]> {
    if packet.length < at + N as u32 {
        return None;
    }
    packet.message(frame).skip(at).take()
}

/// RFC 1256 3.1, 3.3: entries of two words or more, at least one, within the message.
#[must_use]
#[inline(always)]
pub fn routers<F: Frame + ?Sized>(frame: &F, packet: &Packet) -> u32 {
    let Some([count, words]) = octets::<2, F>(frame, packet, 4) else { return 0 };
    let entries = u32::from(count) * u32::from(words) * 4;
    let is_sound = count > 0 && words >= 2 && icmpv4::HEADER + entries <= packet.length;
    if is_sound { 0 } else { Reason::ROUTER_ADVERTISEMENT.bit() }
}

/// RFC 4861 6.1, 7.1, 8.1; RFC 3122 5 for the inverse; RFC 6980 5 for fragments, which leaves that out. The IPv6
/// header begins at `start`.
#[must_use]
#[inline(always)]
pub fn neighbours<F: Frame + ?Sized>(frame: &F, packet: &Packet, start: u32) -> u32 {
    let Some(ip) = ipv6::take(&mut frame.cursor().skip(start)) else { return 0 };
    // Not a plain 0: see `Packet::fault`.
    let mut faults = packet.zero;
    if ip.next_header != ipv6::ICMPV6 {
        let chain = frame.extension_headers(start + ipv6::HEADER, ip.next_header);
        if chain.fragment && !matches!(packet.ty, 141 | 142) {
            faults |= Reason::FRAGMENTED_DISCOVERY.bit();
        }
    }
    // Certification paths are longer than a link's packets at times, and travel like other messages.
    if matches!(packet.ty, 148 | 149) {
        return faults;
    }
    if ip.hop_limit != FROM_THIS_LINK {
        faults |= Reason::HOP_LIMIT.bit();
    }
    let (source, destination) = (packet.source, packet.destination);
    // The target of those that have one.
    let target = octets(frame, packet, 8).map_or(Address::NONE, Address::new);
    let has_no_source = source == Address::NONE;
    let (options_at, is_sound, no_source_link) = match packet.ty {
        nd::ROUTER_SOLICITATION => (8, true, has_no_source),
        nd::ROUTER_ADVERTISEMENT => (16, source.is_link_local(), false),
        nd::NEIGHBOUR_SOLICITATION => {
            let to = !has_no_source || destination.is_solicited_node();
            (24, !target.is_multicast() && to, has_no_source)
        }
        nd::NEIGHBOUR_ADVERTISEMENT => {
            let is_solicited = octets::<4, F>(frame, packet, 4)
                .is_some_and(|[flags, ..]| flags & nd::SOLICITED != 0);
            let to = !(is_solicited && destination.is_multicast());
            (24, !target.is_multicast() && to, false)
        }
        icmpv6::REDIRECT => {
            let about = octets(frame, packet, 24).map_or(Address::NONE, Address::new);
            let better = target.is_link_local() || target == about;
            (40, source.is_link_local() && !about.is_multicast() && better, false)
        }
        _ => (8, true, false),
    };
    if packet.code != 0 {
        faults |= Reason::DISCOVERY_MESSAGE.bit();
    }
    if !is_sound {
        faults |= Reason::DISCOVERY_ADDRESS.bit();
    }
    // What is too short for its type has its own reason.
    if packet.length > options_at {
        match frame.options(packet.offset + options_at, packet.length - options_at) {
            Options::SourceLink if no_source_link => {
                faults |= Reason::DISCOVERY_ADDRESS.bit();
            }
            Options::Sound | Options::SourceLink => {}
            Options::Overrun => faults |= Reason::DISCOVERY_MESSAGE.bit(),
            Options::BeyondBound => faults |= Reason::RECORDS_BEYOND_BOUND.bit(),
        }
    }
    faults
}

/// 1 where two numbers differ, else 0.
#[inline(always)]
fn differs(a: u32, b: u32) -> u64 {
    is_some(u64::from(a ^ b))
}

/// RFC 1112, 2236, 9776; RFC 2710, 9777; RFC 4286. Of the records of a report, `validate` finds whether they are
/// about groups. `ip` is where the IP header begins.
#[must_use]
#[inline(always)]
pub fn membership<F: Frame + ?Sized>(frame: &F, packet: &Packet, ip: Candidate) -> u32 {
    if ip.is_v6 { listeners(frame, packet, ip.start) } else { members(frame, packet, ip.start) }
}

#[inline(always)]
fn members<F: Frame + ?Sized>(frame: &F, packet: &Packet, start: u32) -> u32 {
    let Some(ip) = ipv4::take(&mut frame.cursor().skip(start)) else { return 0 };
    // Not a plain 0: see `Packet::fault`.
    let mut faults = packet.zero;
    // The requests of version 0 go to an agent, wherever it is (RFC 988): what of them is of this link, sources tell.
    if packet.ty <= igmp::VERSION_0_LAST {
        return faults;
    }
    faults |= Reason::HOP_LIMIT.bit_where(differs(ip.ttl.into(), FOR_THIS_LINK.into()));
    // Multicast router discovery may be of 4 octets; what else is that short has its own reason.
    let message = octets::<8, F>(frame, packet, 0);
    let (is_there, [_, second, _, _, group @ ..]) =
        (u64::from(message.is_some()), message.unwrap_or_default());
    let (group, to) = (u32::from_be_bytes(group), packet.destination.v4());
    // To an address of this machine's own is allowed for debugging (RFC 9776 4.1.12, 4.2.14); whether it is one,
    // or a broadcast, the kernel program asks.
    let is = |a, b| 1 - differs(a, b);
    let to_one = differs(to >> 28, ipv4::MULTICAST) & differs(to, u32::MAX);
    let is_multicast = is(group >> 28, ipv4::MULTICAST);
    let (is_group, goes_there, has_alert) = match packet.ty {
        igmp::QUERY => {
            let is_general = is(group, 0);
            // All systems have that address, and must take a query to any of theirs.
            let to_group = is(to, igmp::ALL_SYSTEMS) | is(to, group) & (1 - is_general);
            // Version 1 knows no router alert.
            let version_1 = is(packet.length, igmp::QUERY_V2_LENGTH) & is(second.into(), 0);
            (is_general | is_multicast, to_group, version_1)
        }
        igmp::REPORT_V1 => (is_multicast, is(to, group), 1),
        igmp::REPORT_V2 => (is_multicast, is(to, group), 0),
        igmp::LEAVE => (is_multicast, is(to, igmp::ALL_ROUTERS) | is(to, group), 0),
        igmp::REPORT_V3 => (1, is(to, igmp::ALL_V3_ROUTERS), 0),
        _ => (1, 1, 0),
    };
    faults |= Reason::GROUP_ADDRESS.bit_where(is_there & (1 - (is_group & (goes_there | to_one))));
    let options = packet.offset.wrapping_sub(start + ipv4::MIN_HEADER);
    let alerted = has_alert != 0
        || options <= ipv4::MAX_OPTIONS && frame.alerts_routers(start + ipv4::MIN_HEADER, options);
    if !alerted {
        faults |= Reason::ROUTER_ALERT.bit();
    }
    faults
}

#[inline(always)]
fn listeners<F: Frame + ?Sized>(frame: &F, packet: &Packet, start: u32) -> u32 {
    let Some(ip) = ipv6::take(&mut frame.cursor().skip(start)) else { return 0 };
    // Not a plain 0: see `Packet::fault`.
    let mut faults = packet.zero;
    if ip.hop_limit != FOR_THIS_LINK {
        faults |= Reason::HOP_LIMIT.bit();
    }
    let alerted = ip.next_header == ipv6::HOP_BY_HOP
        && ipv6::alerts_routers(frame.cursor().skip(start + ipv6::HEADER));
    if !alerted {
        faults |= Reason::ROUTER_ALERT.bit();
    }
    let group = octets(frame, packet, 8).map(Address::new);
    let (is_group, may_be_none) = match (packet.ty, group) {
        (mld::QUERY, Some(group)) => (group == Address::NONE || group.is_multicast(), false),
        (mld::REPORT_V1 | mld::DONE, Some(group)) => (group.is_multicast(), true),
        (mld::REPORT_V2, _) => (true, true),
        // Multicast router discovery names no group, and its sources are link-local as well.
        _ => (true, false),
    };
    if !is_group {
        faults |= Reason::GROUP_ADDRESS.bit();
    }
    // A report may be sent before there is an address (RFC 3590 4, RFC 9777 5.2.13).
    let source = packet.source;
    let is_of_link = source.is_link_local() || may_be_none && source == Address::NONE;
    if !is_of_link {
        faults |= Reason::GROUP_SOURCE.bit();
    }
    faults
}
