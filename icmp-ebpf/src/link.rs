//! Messages for one link alone that arrive: `icmp_common::link`, and whether their sender is on this one.
//!
//! A global function for each kind, which the verifier looks at once. Nothing else pays for this stage.

use crate::{
    error::placed,
    frame::{Buffer as _, XdpFrame},
    local,
    maps::{ENDPOINTS, INTERFACE_ID},
};
use aya_ebpf::{bindings::xdp_md, programs::XdpContext};
use core::hint::black_box;
use icmp_common::{
    abi::{endpoint_flag, family, local::BROADCAST},
    link::{self, Kind},
    parse::{Candidate, Frame as _, Packet, find},
    redirect::on_one_network,
    verdict::Reason,
    wire::{ethernet, igmp},
};

/// The faults of such a message: in the lower half those that hold, in the upper half those that hold in transit
/// where its rule asks for them.
#[inline(always)]
pub fn judge(ctx: *mut xdp_md, packet: &Packet) -> u64 {
    match link::kind(packet.family, packet.ty) {
        Some(Kind::Membership) => icmpgate_membership(ctx, packet),
        _ => icmpgate_discovery(ctx, packet),
    }
}

/// The frame, and where its IP header begins. The verifier doesn't see by how many tags that lies behind.
#[inline(always)]
fn headers<'a>(ctx: &'a XdpContext) -> Option<(XdpFrame<'a>, Candidate)> {
    let frame = XdpFrame::new(ctx);
    let ip = find(&frame).ok()?.anywhere();
    Some((frame.again(), ip))
}

/// Of neighbour and router discovery.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn icmpgate_discovery(ctx: *mut xdp_md, packet: *const Packet) -> u64 {
    // SAFETY: the only caller hands over a reference, and the verifier checks the size that BTF
    // says. It also wants to see that it isn't null.
    let Some(packet) = (unsafe { packet.as_ref() }) else { return 0 };
    let ctx = XdpContext::new(ctx);
    let Some((frame, ip)) = headers(&ctx) else { return 0 };
    let found = if packet.family == family::ICMPV6 {
        link::neighbours(&frame, packet, ip.start)
    } else {
        link::routers(&frame, packet)
    };
    placed(found, || local::is_transit(packet))
}

/// Of group membership.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn icmpgate_membership(ctx: *mut xdp_md, packet: *const Packet) -> u64 {
    // SAFETY: as above.
    let Some(packet) = (unsafe { packet.as_ref() }) else { return 0 };
    let ctx = XdpContext::new(ctx);
    let Some((frame, ip)) = headers(&ctx) else { return 0 };
    // Opaque: else what follows is walked again for each set of them.
    let of_message = black_box(link::membership(&frame, packet, ip));
    // What was found of its records depends on where it goes as well.
    let mut found = of_message | packet.faults & Reason::GROUP_ADDRESS.bit();
    if packet.family == family::IGMP {
        if local::kind_at_once(packet.destination) == BROADCAST {
            found |= Reason::GROUP_ADDRESS.bit();
        }
        if is_from_elsewhere(&frame, packet) {
            found |= Reason::GROUP_SOURCE.bit();
        }
    }
    placed(found, || local::is_transit(packet))
}

/// Whether a member's source is on none of the networks that its interface is on (RFC 9776 4.2.13). 0.0.0.0 is
/// how who has no address yet reports. Queriers are asked nothing: a switch has no address of the link, or any
/// (RFC 4541 2.1.1). Where the networks aren't known, nothing is: behind a tag, of an interface without addresses or
/// with more than are kept, and where an address stands alone or with one other, as by a provider's gateway.
#[inline(always)]
fn is_from_elsewhere(frame: &XdpFrame<'_>, packet: &Packet) -> bool {
    let reports = packet.ty <= igmp::VERSION_0_LAST
        || matches!(packet.ty, igmp::REPORT_V1 | igmp::REPORT_V2 | igmp::LEAVE | igmp::REPORT_V3);
    let source = packet.source.v4().to_be();
    let Some(endpoint) = ENDPOINTS.get(INTERFACE_ID.load()) else { return false };
    let is_untagged = ethernet::is_of_no_vlan(frame.cursor())
        && endpoint.flags & endpoint_flag::VLAN_UNKNOWN == 0;
    let [first, .., last] = &endpoint.v4;
    let alone =
        endpoint.v4.iter().any(|v4| v4.address != 0 && u32::from_be(v4.mask) >= 0xffff_fffe);
    let are_known = is_untagged && first.address != 0 && last.address == 0 && !alone;
    reports && source != 0 && are_known && !on_one_network(endpoint, source, source)
}
