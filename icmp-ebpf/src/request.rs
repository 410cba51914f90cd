//! What this machine asks others by ICMP, kept from what it sends: so answers and errors are known for what they are.

use crate::{clock::Clock, frame::Buffer, local, maps::REQUESTS, skb::SkbFrame};
use aya_ebpf::{bindings::__sk_buff, programs::TcContext};
use icmp_common::{
    abi::{family, hook, limit_flag, origin},
    bucket::UNITS_PER_S,
    flow::{Flow, REQUEST_S, Request, is_answered_by_others, is_request, state},
    parse::Packet,
    wire::ipv6::Address,
};

/// Remembers a packet that is sent, where it is a request of this machine's own. Nothing else pays for it.
#[inline(always)]
pub fn remember<F: Buffer>(frame: &F, packet: &Packet) {
    // What has no type has 0 in its place, which is none.
    let is_own = || is_request(packet.family, packet.ty) && frame.origin() == origin::GENERATED;
    if F::HOOK == hook::EGRESS && is_own() {
        frame.remember(packet);
    }
}

/// Notes when a request was last sent. A global function, which the verifier looks at once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn icmpgate_skb_request(skb: *mut __sk_buff, packet: *const Packet) -> u32 {
    // SAFETY: the only caller hands over a reference, and the verifier checks the size that BTF
    // says. It also wants to see that it isn't null.
    let Some(packet) = (unsafe { packet.as_ref() }) else { return 0 };
    let ctx = TcContext::new(skb);
    let flow = Flow::of_request(&SkbFrame::new(&ctx), packet);
    let key = key(packet.family, &flow);
    let now = now();
    match REQUESTS.get_ptr_mut(key) {
        // SAFETY: the element may be another request's by now, to which a time does no harm.
        Some(sent) => unsafe { sent.write_volatile(now) },
        // Of as many as there is room for, the one that was longest unused makes room.
        None => drop(REQUESTS.insert(key, now, 0)),
    }
    0
}

/// The state of the flow of requests, one of [`state`]: whether such a one was sent lately.
#[inline(always)]
pub fn state(family: u8, flow: &Flow) -> u8 {
    known(&key(family, flow))
}

/// The same of the request that a packet answers: to its source, or to many.
#[inline(always)]
pub fn state_of_answer(family: u8, flow: &Flow) -> u8 {
    match known(&flow.request(family, false)) {
        state::UNKNOWN => known(&flow.request(family, true)),
        state => state,
    }
}

#[inline(always)]
fn known(request: &Request) -> u8 {
    // SAFETY: a u64 is read at once.
    let Some(sent) = (unsafe { REQUESTS.get(request) }) else { return state::UNKNOWN };
    let since = now().wrapping_sub(*sent);
    if since <= REQUEST_S * UNITS_PER_S { state::LIVE } else { state::UNKNOWN }
}

#[inline(always)]
fn key(family: u8, flow: &Flow) -> Request {
    flow.request(family, is_many(family, flow.far))
}

/// Whether what goes to this address is answered from others.
#[inline(always)]
fn is_many(family: u8, address: Address) -> bool {
    is_answered_by_others(family, address)
        || family == family::ICMPV4 && local::is_broadcast(address)
}

/// To a tick.
#[inline(always)]
fn now() -> u64 {
    Clock::new().now(limit_flag::TICKS)
}
