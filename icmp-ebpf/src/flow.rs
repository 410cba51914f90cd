//! Whether the flow that an error is about, or the request that an answer is to, is this machine's.
//!
//! What an error quotes is kept until its rule is known, so that only those pay for the question whose rule asks.

use crate::{
    frame::XdpFrame,
    local,
    maps::{ENDPOINTS, INTERFACE_ID, QUOTED},
    request, socket,
};
use aya_ebpf::{bindings::xdp_md, programs::XdpContext};
use icmp_common::{
    abi::{PolicyTable, RULE_NONE, RULES, Rule, action, endpoint_flag, rule_flag},
    flow::{Flow, answered, kind, state},
    parse::{Packet, stage},
    plausible::Claim,
    verdict::Reason,
    wire::quote::Quote,
};

/// What is found of the flow of a packet.
#[derive(Clone, Copy)]
pub struct Found {
    /// One of [`state`].
    pub state: u8,
    /// What is wrong with it: a set of [`Reason::bit`]s.
    pub faults: u32,
    /// Whether it is an error that isn't trusted as those about live flows are: it should state an MTU and doesn't, or
    /// whose flow it is about isn't this machine's to know.
    pub apart: bool,
}

/// The rule that says what becomes of a packet of whose flow this is found, where `rule` is its own: that for unknown
/// flows, which is not drawn from for what is live. An error that is [apart](Found::apart) is of the budget for unknown
/// flows, where there is one.
#[inline(always)]
pub fn rule<'a>(of_flow: u8, is_apart: bool, policy: &'a PolicyTable, rule: &'a Rule) -> &'a Rule {
    if of_flow != state::UNKNOWN && !is_apart || rule.unknown == RULE_NONE {
        return rule;
    }
    // A mask and not a comparison, as in `decide`.
    let apart = &policy.rules[usize::from(rule.unknown) & (RULES - 1)];
    if of_flow == state::UNKNOWN || apart.action == action::LIMIT { apart } else { rule }
}

/// Beside the state that [`find`] gives: the error states no MTU.
const NO_MTU: u32 = 1 << 8;

/// Looks for the flow of a packet, where its rule asks.
#[inline(always)]
pub fn judge(ctx: *mut xdp_md, packet: &Packet, rule: &Rule) -> Found {
    // Of an answer nothing can be wrong; it is asked about where something depends on it.
    let depends = rule.unknown != RULE_NONE || rule.flags & rule_flag::EXCEPT_OWN_REQUESTS != 0;
    let asks = rule.flags & rule_flag::FLOW != 0 && (packet.stage == stage::ERROR || depends);
    if !asks {
        return Found { state: state::NONE, faults: 0, apart: false };
    }
    let found = find(ctx, packet, rule.checks & Reason::FLOW_CONTRADICTED.bit() != 0);
    let (state, no_mtu) = (found as u8, found & NO_MTU != 0);
    let faults = match state {
        state::CONTRADICTED => Reason::FLOW_CONTRADICTED.bit(),
        // What a router older than RFC 1191 leaves out, only a flow's own machine can make up for.
        state::UNKNOWN if no_mtu => Reason::QUOTE_MTU.bit(),
        _ => 0,
    };
    // What goes through this machine would otherwise spend what is kept for its own flows.
    let is_of_none = state == state::NONE && packet.stage == stage::ERROR;
    Found { state, faults, apart: no_mtu || is_of_none }
}

/// Keeps the flow that an error is about, as far as its quote could be read. It is written where it stays: on the stack
/// first, it would be one more thing by which the verifier tells the ways apart that lead here.
#[inline(always)]
pub fn note(in_transit: bool, quoted: Option<(&Claim, &Quote)>) {
    let Some(flow) = QUOTED.get_ptr_mut(0) else { return };
    // Volatile, or it becomes a call that clears octet by octet.
    for word in 0..size_of::<Flow>() / 8 {
        // SAFETY: they are within it, and zeros are one of which nothing is known.
        unsafe { flow.cast::<u64>().add(word).write_volatile(0) };
    }
    // SAFETY: this CPU's own element, which nothing else uses while this packet is looked at.
    let flow = unsafe { &mut *flow };
    flow.in_transit = in_transit;
    if let Some((claim, quote)) = quoted {
        flow.put_quote(claim, quote);
    }
}
const _: () = assert!(size_of::<Flow>().is_multiple_of(8));

/// What is known of the flow of a packet: one of [`state`], and [`NO_MTU`]. What is in transit is none of this
/// machine's, unless it is asked for.
#[inline(always)]
fn find(ctx: *mut xdp_md, packet: &Packet, in_transit: bool) -> u32 {
    if packet.stage != stage::ERROR {
        let ctx = XdpContext::new(ctx);
        return answer(&XdpFrame::new(&ctx), packet).into();
    }
    let Some(quoted) = QUOTED.get(0) else { return state::NONE.into() };
    if !in_transit && quoted.in_transit {
        return state::NONE.into();
    }
    let state = match quoted.kind {
        kind::TCP => socket::tcp(ctx.cast(), packet.family, quoted),
        kind::UDP => socket::udp(ctx.cast(), packet.family, quoted),
        kind::REQUEST if are_requests_noted() => request::state(packet.family, quoted),
        kind::REQUEST => state::NONE,
        _ => state::UNKNOWN,
    };
    // Who is in transit has his own flow, which is another machine's to know.
    u32::from(state) | if quoted.no_mtu && !quoted.in_transit { NO_MTU } else { 0 }
}

/// Whether somebody looks at what is sent by this interface, so that requests are known.
#[inline(always)]
fn are_requests_noted() -> bool {
    ENDPOINTS
        .get(INTERFACE_ID.load())
        .is_some_and(|endpoint| endpoint.flags & endpoint_flag::REQUESTS_NOTED != 0)
}

/// Of an answer: whether it is to a request that was sent here. Where nobody looks at what is sent, nothing is
/// known.
#[inline(always)]
fn answer(frame: &XdpFrame<'_>, packet: &Packet) -> u8 {
    // A later fragment has no type, and 0 in its place.
    let is_answer = packet.has_type && answered(packet.family, packet.ty).is_some();
    if !is_answer || !are_requests_noted() || local::is_transit(packet) {
        return state::NONE;
    }
    request::state_of_answer(packet.family, &Flow::of_answer(frame, packet))
}
