//! Redirects that this machine makes, held against its own routes (G5): `icmp_common::redirect` over
//! `bpf_fib_lookup`. Nothing else pays for this stage.
//!
//! A redirect goes out by the interface that the packet which it is about came in by: there the source
//! is a neighbour. So the tables are asked where that packet goes when it arrives there. The answer
//! has to be the same interface, and the next hop the address that the redirect names as better. An
//! address that isn't in the tables was itself learnt from a redirect: see [`fib`].
//!
//! By any other answer this machine doesn't forward the packet as it is, and has nothing to redirect: it
//! is a host (`FWD_DISABLED`; RFC 1122 3.2.2.2), discards the packet, keeps it, or sends it through a
//! tunnel.

use crate::{
    fib,
    frame::Buffer,
    maps::{ENDPOINTS, INTERFACE_ID},
    skb::SkbFrame,
};
use aya_ebpf::{
    bindings::{__sk_buff, bpf_fib_lookup as FibLookup},
    programs::TcContext,
};
use core::hint::black_box;
use icmp_common::{
    abi::{family, hook, origin},
    parse::Packet,
    redirect::{is_redirect, on_one_network, read},
    verdict::Reason,
    wire::ipv6::Address,
};

/// The furthest that a redirect may begin: as for other messages that are read to their quote.
const MAX_OFFSET: u32 = 0x3fff;

/// Notes what is wrong with a packet that is a redirect of this machine's own. What it forwards is the
/// doing of who made it.
#[inline(always)]
pub fn judge<F: Buffer>(frame: &F, packet: &mut Packet) {
    // What has no type has 0 in its place, which is none.
    let is_own = || is_redirect(packet.family, packet.ty) && frame.origin() == origin::GENERATED;
    if F::HOOK == hook::EGRESS && is_own() {
        packet.faults |= frame.judge_redirect(packet);
    }
}

/// What is wrong with a redirect that this machine makes: a set of [`Reason::bit`]s. A global function,
/// which the verifier looks at once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn icmpgate_skb_redirect(skb: *mut __sk_buff, packet: *const Packet) -> u32 {
    // SAFETY: the only caller hands over a reference, and the verifier checks the size that BTF
    // says. It also wants to see that it isn't null.
    let founded = unsafe { packet.as_ref() }.and_then(|packet| bears_out(skb, packet));
    if founded.is_some() { 0 } else { Reason::REDIRECT_UNFOUNDED.bit() }
}

/// Whether the routes bear it out; `None` where it may not be sent.
#[inline(always)]
fn bears_out(skb: *mut __sk_buff, packet: &Packet) -> Option<()> {
    let ctx = TcContext::new(skb);
    let frame = SkbFrame::new(&ctx);
    let (family, receiver) = (packet.family, packet.destination);
    if packet.offset > MAX_OFFSET {
        return None;
    }
    // A mask, and opaque, as in `pipeline`.
    let offset = black_box(packet.offset) & MAX_OFFSET;
    let redirect = read(&frame, family, offset, packet.length)?;
    if !redirect.is_sound(family, receiver) {
        return None;
    }
    let is_v6 = family == family::ICMPV6;
    // The helper refuses a source that is link-local. Linux forwards it where it stays on its link.
    let source = if is_v6 && receiver.is_link_local() { Address([0; 2]) } else { receiver };
    // SAFETY: a field of the program's own context.
    let interface = unsafe { (*skb).ifindex };
    let mut ask = fib::question(family, interface, source, redirect.destination);
    ask.l4_protocol = redirect.protocol;
    [ask.sport, ask.dport] = redirect.ports;
    if is_v6 {
        ask.__bindgen_anon_2.flowinfo = redirect.flow;
    } else {
        ask.__bindgen_anon_2.tos = redirect.flow as u8;
    }
    goes_to(skb, ask, interface, family, redirect.better)?;
    let is_neighbour = if !is_v6 {
        let (a, b) = (receiver.v4().to_be(), redirect.better.v4().to_be());
        ENDPOINTS.get(INTERFACE_ID.load()).is_some_and(|endpoint| on_one_network(endpoint, a, b))
    } else {
        receiver.is_link_local() || {
            let ask = fib::question(family, interface, Address([0; 2]), receiver);
            goes_to(skb, ask, interface, family, receiver).is_some()
        }
    };
    is_neighbour.then_some(())
}

/// Whether the tables send a packet back by the interface that it came by, to this next hop.
#[inline(always)]
fn goes_to(
    skb: *mut __sk_buff,
    mut ask: FibLookup,
    interface: u32,
    family: u8,
    next_hop: Address,
) -> Option<()> {
    let result = fib::ask(skb.cast(), &mut ask);
    // A next hop that isn't resolved yet is one all the same.
    let routed = matches!(result, fib::SUCCESS | fib::NO_NEIGH | fib::FRAG_NEEDED);
    let same = ask.ifindex == interface && fib::is_next_hop(&ask, family, next_hop);
    (routed && same).then_some(())
}
