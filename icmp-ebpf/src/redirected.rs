//! Redirects that arrive, held against the routes in use (RFC 1122 3.2.2.2, RFC 4861 8.1). Nothing else pays for it.
//!
//! Where the interface forwards, the kernel's tables are asked ([`fib`]), else the mirror of them. What neither tells
//! isn't verified.

use crate::{
    fib,
    frame::XdpFrame,
    key, local,
    maps::{ENDPOINTS, INTERFACE_ID, QUOTED},
    mirror,
};
use aya_ebpf::{
    bindings::{bpf_fib_lookup as FibLookup, xdp_md},
    programs::XdpContext,
};
use icmp_common::{
    abi::{Endpoint, Rule, family, local as kind, rule_flag},
    mirror::{HOPS, hardware as number, hop},
    parse::Packet,
    redirect::{is_redirect, on_one_network},
    verdict::{BY_ROUTES, Reason},
    wire::ipv6::Address,
};

/// What is found of a redirect.
#[derive(Clone, Copy)]
pub struct Found {
    /// What is wrong with it: a set of [`Reason::bit`]s.
    pub faults: u32,
    /// Whether it could be held against the routes; of what is no redirect, that it needn't be.
    pub is_verified: bool,
}

/// Beside the faults: it couldn't be held against the routes.
const UNVERIFIED: u32 = 1;
const _: () = assert!(BY_ROUTES & UNVERIFIED == 0);

const SENDER: u32 = Reason::REDIRECT_SENDER.bit();
const GATEWAY: u32 = Reason::REDIRECT_GATEWAY.bit();
const ROUTE: u32 = Reason::REDIRECT_ROUTE.bit();

/// Holds a redirect that arrives against the routes, where its rule asks.
#[inline(always)]
pub fn judge(ctx: *mut xdp_md, packet: &Packet, rule: &Rule) -> Found {
    let asks = rule.flags & rule_flag::REDIRECT != 0;
    if !asks || !is_redirect(packet.family, packet.ty) {
        return Found { faults: 0, is_verified: true };
    }
    let found = icmpgate_redirected(ctx, packet);
    Found { faults: found & BY_ROUTES, is_verified: found & UNVERIFIED == 0 }
}

/// What is wrong with a redirect for this machine: a set of [`Reason::bit`]s, and [`UNVERIFIED`]. A global function,
/// which the verifier looks at once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn icmpgate_redirected(ctx: *mut xdp_md, packet: *const Packet) -> u32 {
    // SAFETY: the only caller hands over a reference, and the verifier checks the size that BTF
    // says. It also wants to see that it isn't null.
    let Some(packet) = (unsafe { packet.as_ref() }) else { return UNVERIFIED };
    let context = XdpContext::new(ctx);
    let frame = XdpFrame::new(&context);
    let hardware = key::hardware(&frame);
    // Behind a tag, or through the port of a bridge, its networks are another interface's.
    if hardware & key::OTHERS != 0 || local::is_transit(packet) {
        return UNVERIFIED;
    }
    let Some((better, about)) = claim(&frame, packet) else { return UNVERIFIED };
    // Without an address of its own, as on the port of a bridge, its routes are another interface's.
    let Some(endpoint) = ENDPOINTS.get(INTERFACE_ID.load()) else { return UNVERIFIED };
    let has_address = if packet.family == family::ICMPV6 {
        endpoint.link_local[0] != 0 || endpoint.v6[0][0] != 0
    } else {
        endpoint.v4[0].address != 0
    };
    if !has_address {
        return UNVERIFIED;
    }
    let gateway = gateway(endpoint, packet.family, better);
    gateway | route(ctx, packet, about, hardware)
}

/// The better gateway that it names, and the destination that it is for.
#[inline(always)]
fn claim(frame: &XdpFrame<'_>, packet: &Packet) -> Option<(Address, Address)> {
    if packet.family == family::ICMPV6 {
        let mut message = packet.message(frame).skip(8);
        let better = message.take::<[u8; 16]>()?;
        let about = message.take::<[u8; 16]>()?;
        return Some((Address::new(better), Address::new(about)));
    }
    let [_, _, _, _, better @ ..] = packet.message(frame).take::<[u8; 8]>()?;
    Some((Address::mapped(u32::from_be_bytes(better)), QUOTED.get(0)?.far))
}

/// What is wrong with the gateway: it is this machine itself, or none of the link. That of IPv6 is link-local, or the
/// destination, which is then a neighbour (`discovery-address`).
#[inline(always)]
fn gateway(endpoint: &Endpoint, family: u8, better: Address) -> u32 {
    if matches!(local::kind(better), kind::UNICAST | kind::BROADCAST) {
        return GATEWAY;
    }
    if family == family::ICMPV6 {
        return 0;
    }
    let address = better.v4().to_be();
    let [.., last] = &endpoint.v4;
    if on_one_network(endpoint, address, address) {
        0
    } else if last.address != 0 {
        // Not each network is known.
        UNVERIFIED
    } else {
        GATEWAY
    }
}

/// What is wrong with its sender: he isn't the gateway to that destination, or there is none.
#[inline(always)]
fn route(ctx: *mut xdp_md, packet: &Packet, about: Address, hardware: u64) -> u32 {
    match icmpgate_ask_route(ctx, packet, about.0[0], about.0[1], hardware) {
        DOES_NOT_SAY => by_mirror(packet, about, hardware),
        found => found,
    }
}

/// What [`icmpgate_ask_route`] says where the interface doesn't forward.
const DOES_NOT_SAY: u32 = u32::MAX;

/// What the kernel's tables say: faults, or [`DOES_NOT_SAY`]. A function of its own, for the stack that its question
/// takes.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn icmpgate_ask_route(
    ctx: *mut xdp_md,
    packet: *const Packet,
    high: u64,
    low: u64,
    hardware: u64,
) -> u32 {
    // SAFETY: as above.
    let Some(packet) = (unsafe { packet.as_ref() }) else { return DOES_NOT_SAY };
    let about = Address([high, low]);
    // SAFETY: the context is the program's own.
    let interface = unsafe { (*ctx).ingress_ifindex };
    // The helper refuses a source that is link-local.
    let is_v6 = packet.family == family::ICMPV6;
    let near = packet.destination;
    let from = if is_v6 && near.is_link_local() { Address([0; 2]) } else { near };
    let mut ask: FibLookup = fib::question(packet.family, interface, from, about);
    let result = fib::ask(ctx.cast(), &mut ask);
    if result == fib::FWD_DISABLED {
        return DOES_NOT_SAY;
    }
    let is_routed = matches!(result, fib::SUCCESS | fib::NO_NEIGH | fib::FRAG_NEEDED);
    // Where the next hop is the destination itself, there is no gateway.
    if !is_routed || fib::is_next_hop(&ask, packet.family, about) {
        return ROUTE;
    }
    let is_sender = ask.ifindex == interface
        && fib::is_next_hop(&ask, packet.family, packet.source)
        && (result != fib::SUCCESS || number(ask.dmac) == hardware);
    if is_sender { 0 } else { SENDER }
}

/// What the mirror says.
#[inline(always)]
fn by_mirror(packet: &Packet, about: Address, hardware: u64) -> u32 {
    if !mirror::is_fresh() {
        return UNVERIFIED;
    }
    let Some(route) = mirror::route(packet.family, about) else { return ROUTE };
    let mut found = ROUTE;
    for i in 0..HOPS {
        let next = &route.hops[i];
        if next.kind == hop::NONE {
            break;
        }
        if next.kind != hop::GATEWAY {
            continue;
        }
        let [high, low] = packet.source.0;
        let is_sender = next.interface == INTERFACE_ID.load()
            && next.gateway[0] == high
            && next.gateway[1] == low
            && (next.hardware == 0 || next.hardware == hardware);
        if is_sender {
            return 0;
        }
        found = SENDER;
    }
    found
}
