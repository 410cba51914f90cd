//! Whether a packet can be what it says: checks that hold before any rule is asked.
//!
//! Here is what the message alone tells. What needs the machine's state (its broadcast addresses,
//! its routes, its sockets) is asked in the kernel program.

use crate::abi::{checksum, family, fragment};
use crate::classify::{INFO_ERROR, INFO_LINK, INFO_MIN_LENGTH};
use crate::parse::{Frame, Packet, stage};
use crate::verdict::Reason;
use crate::wire::{checksum::verifies, igmp, ipv4, mld};

/// Finds the faults of a parsed packet, and what its checksum is.
#[inline(always)]
pub fn validate<F: Frame + ?Sized>(frame: &F, packet: &mut Packet) {
    if !packet.has_type {
        return;
    }
    let info = note_stage(packet);
    if info & INFO_ERROR != 0 {
        addresses_of_error(packet);
    }
    let is_fragment = packet.fragment != fragment::NONE;
    // What is missing of another message may be in a later fragment. An error whose quote begins there couldn't be held
    // against it, and none is cut so: any link takes more at once (RFC 791 3.2, RFC 8200 5).
    let is_cut = !is_fragment || info & INFO_ERROR != 0;
    if is_cut && packet.length < u32::from(info & INFO_MIN_LENGTH) {
        packet.fault(Reason::MESSAGE_TOO_SHORT);
    }
    if is_fragment {
        packet.checksum = checksum::UNVERIFIED;
        return;
    }
    verify_checksum(frame, packet);
    match (packet.family, packet.ty) {
        (family::IGMP, igmp::QUERY) => {
            let (count_at, sources_at) = igmp::QUERY_SOURCES;
            if packet.length > igmp::QUERY_V2_LENGTH && packet.length < igmp::QUERY_V3_LENGTH {
                packet.fault(Reason::MESSAGE_LENGTH);
            } else if packet.length >= igmp::QUERY_V3_LENGTH {
                sources(frame, packet, count_at, sources_at, igmp::ADDRESS);
            }
        }
        (family::ICMPV6, mld::QUERY) => {
            let (count_at, sources_at) = mld::QUERY_SOURCES;
            if packet.length > mld::QUERY_V1_LENGTH && packet.length < mld::QUERY_V2_LENGTH {
                packet.fault(Reason::MESSAGE_LENGTH);
            } else if packet.length >= mld::QUERY_V2_LENGTH {
                sources(frame, packet, count_at, sources_at, mld::ADDRESS);
            }
        }
        (family::IGMP, igmp::REPORT_V3) => {
            report(frame, packet, igmp::ADDRESS);
        }
        (family::ICMPV6, mld::REPORT_V2) => {
            report(frame, packet, mld::ADDRESS);
        }
        _ => {}
    }
}

/// Keeps what is looked at of a packet besides, by its type, and returns the facts of that: see
/// [`crate::classify::TYPE_INFO`].
#[inline(always)]
pub fn note_stage(packet: &mut Packet) -> u8 {
    let info = if packet.has_type { packet.type_info() } else { 0 };
    if info & INFO_ERROR != 0 {
        packet.stage = stage::ERROR;
    } else if info & INFO_LINK != 0 {
        packet.stage = stage::LINK;
    }
    info
}

#[inline(always)]
fn verify_checksum<F: Frame + ?Sized>(frame: &F, packet: &mut Packet) {
    if packet.checksum == checksum::UNVERIFIED {
        return;
    }
    // Where the frame doesn't have the whole message, the lengths disagree, which has its own
    // reason; there is then nothing to verify.
    let Some(sum) = frame.sum(packet.offset, packet.length) else { return };
    if verifies(sum + packet.pseudo) {
        packet.checksum = checksum::GOOD;
    } else {
        packet.checksum = checksum::BAD;
        packet.fault(Reason::BAD_CHECKSUM);
    }
}

/// V1: who can neither send nor be sent an error (RFC 1122 3.2.2, RFC 4443 2.2, 2.4).
///
/// Which other addresses are broadcasts, the routing table knows: the kernel program asks it.
#[inline(always)]
fn addresses_of_error(packet: &mut Packet) {
    let [source, destination] = error_addresses(packet);
    if !source {
        packet.fault(Reason::ERROR_SOURCE);
    }
    if !destination {
        packet.fault(Reason::ERROR_DESTINATION);
    }
}

/// Whether an error can be from its source, and to its destination, as far as the addresses tell.
#[inline(always)]
pub(crate) fn error_addresses(packet: &Packet) -> [bool; 2] {
    if packet.family == family::ICMPV6 {
        [!packet.source.is_not_a_host(), !packet.destination.is_multicast()]
    } else {
        let (s, d) = (packet.source.v4(), packet.destination.v4());
        [!ipv4::is_not_a_host(s), !ipv4::is_multicast(d) && !ipv4::is_limited_broadcast(d)]
    }
}

/// Whether the sources that a query counts lie within it (RFC 9776 4.1.8, RFC 9777 5.1.10).
#[inline(always)]
fn sources<F: Frame + ?Sized>(
    frame: &F,
    packet: &mut Packet,
    count_at: u32,
    sources_at: u32,
    address: u32,
) {
    if let Some(n) = count(frame, packet, count_at)
        && sources_at + u32::from(n) * address > packet.length
    {
        packet.fault(Reason::RECORDS_OVERRUN);
    }
}

#[inline(always)]
fn report<F: Frame + ?Sized>(frame: &F, packet: &mut Packet, address: u32) {
    if packet.length < mld::REPORT_RECORDS {
        return;
    }
    match frame.records(packet.offset, packet.length, address) {
        mld::Records::Within => {}
        // Where the packet goes, which that depends on, isn't known yet: see `link`.
        mld::Records::NoGroup => packet.fault(Reason::GROUP_ADDRESS),
        mld::Records::Overrun => packet.fault(Reason::RECORDS_OVERRUN),
        mld::Records::BeyondBound => packet.fault(Reason::RECORDS_BEYOND_BOUND),
    }
}

/// A big-endian count within the message; `None` where the message, or the frame, ends before it,
/// which other checks have found.
#[inline(always)]
fn count<F: Frame + ?Sized>(frame: &F, packet: &Packet, at: u32) -> Option<u16> {
    if packet.length < at + 2 {
        return None;
    }
    packet.message(frame).skip(at).take::<[u8; 2]>().map(u16::from_be_bytes)
}
