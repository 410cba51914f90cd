//! Messages for one link alone that arrive: `icmp_common::link`, and whether their sender is on this one.
//!
//! A global function for each kind, which the verifier looks at once. Nothing else pays for this stage.

use crate::{
    error::placed,
    frame::XdpFrame,
    local,
    maps::{ENDPOINTS, INTERFACE_ID},
};
use aya_ebpf::{bindings::xdp_md, programs::XdpContext};
use icmp_common::{
    abi::{destination, family},
    link::{self, Kind},
    parse::Packet,
    redirect::on_one_network,
    verdict::Reason,
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

/// Of neighbour and router discovery.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn icmpgate_discovery(ctx: *mut xdp_md, packet: *const Packet) -> u64 {
    // SAFETY: the only caller hands over a reference, and the verifier checks the size that BTF
    // says. It also wants to see that it isn't null.
    let Some(packet) = (unsafe { packet.as_ref() }) else { return 0 };
    let ctx = XdpContext::new(ctx);
    let frame = XdpFrame::new(&ctx);
    let found = if packet.family == family::ICMPV6 {
        link::neighbours(&frame, packet)
    } else {
        link::routers(&frame, packet)
    };
    placed(found, || is_transit(packet))
}

/// Of group membership.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn icmpgate_membership(ctx: *mut xdp_md, packet: *const Packet) -> u64 {
    // SAFETY: as above.
    let Some(packet) = (unsafe { packet.as_ref() }) else { return 0 };
    let ctx = XdpContext::new(ctx);
    let frame = XdpFrame::new(&ctx);
    // What was found of its records depends on where it goes as well.
    let mut found = link::membership(&frame, packet) | packet.faults & Reason::GROUP_ADDRESS.bit();
    if packet.family == family::IGMP && is_from_elsewhere(packet) {
        found |= Reason::GROUP_SOURCE.bit();
    }
    placed(found, || is_transit(packet))
}

#[inline(always)]
fn is_transit(packet: &Packet) -> bool {
    local::destination(packet.family, packet.destination) != destination::LOCAL
}

/// Whether the source of an IPv4 packet is on none of the networks that its interface is on. 0.0.0.0 is how who
/// has no address yet reports (RFC 9776 4.2.13), and how a switch without one asks (RFC 4541 2.1.1). Of an interface
/// without addresses nothing is known, nor of one with more than are kept.
#[inline(always)]
fn is_from_elsewhere(packet: &Packet) -> bool {
    let source = packet.source.v4().to_be();
    let Some(endpoint) = ENDPOINTS.get(INTERFACE_ID.load()) else { return false };
    let [first, .., last] = &endpoint.v4;
    let are_known = first.address != 0 && last.address == 0;
    source != 0 && are_known && !on_one_network(endpoint, source, source)
}
