//! What a rule can ask of a packet that the packet can't say itself: whose flow it is about ([`flow`]), whether the
//! routes bear it out ([`redirected`]), whether its router is a listed one ([`routers`]). Nothing else pays for it.

use crate::{flow, frame::Buffer, redirected, routers};
use aya_ebpf::bindings::xdp_md;
use icmp_common::{
    abi::{PolicyTable, Rule, rule_flag},
    flow::state,
    parse::Packet,
    verdict::Reason,
};

/// What is found: the faults, a set of [`Reason::bit`]s, in the lower half; then the flags below, and from bit 40
/// the state of the flow.
#[derive(Clone, Copy)]
pub struct Found(u64);

/// An error that isn't trusted as those about live flows are: see [`flow::Found::apart`].
const APART: u64 = 1 << 32;
/// A redirect that couldn't be held against the routes.
const UNVERIFIED: u64 = 1 << 33;
/// An advertisement of a listed router.
const LISTED: u64 = 1 << 34;
const STATE: u32 = 40;

impl Found {
    /// Where nothing is asked.
    const NOTHING: Self = Self((state::NONE as u64) << STATE);

    /// What is wrong with the packet: a set of [`Reason::bit`]s.
    #[inline(always)]
    pub const fn faults(self) -> u32 {
        self.0 as u32
    }

    /// Of its flow: one of [`state`].
    #[inline(always)]
    pub const fn state(self) -> u8 {
        (self.0 >> STATE) as u8
    }

    /// See [`flow::Found::apart`].
    #[inline(always)]
    pub const fn is_apart(self) -> bool {
        self.0 & APART != 0
    }

    /// Whether it could be held against the routes; of what is no redirect, that it needn't be.
    #[inline(always)]
    pub const fn is_verified(self) -> bool {
        self.0 & UNVERIFIED == 0
    }

    /// Whether it is a listed router's advertisement.
    #[inline(always)]
    pub const fn is_listed(self) -> bool {
        self.0 & LISTED != 0
    }
}

/// Asks what the rule of a packet asks; for rules that ask something ([`rule_flag::ASKS`]).
#[inline(always)]
pub fn judge<F: Buffer>(frame: &F, packet: &Packet, policy: &PolicyTable, rule: &Rule) -> Found {
    Found(frame.ask(packet, policy, rule))
}

/// What [`Found`] holds of what arrives. The routes are asked apart from the others: one above the other, they have no
/// room on the stack.
#[inline(always)]
pub fn of_arrived(ctx: *mut xdp_md, packet: &Packet, policy: &PolicyTable, rule: &Rule) -> u64 {
    let found = icmpgate_ask(ctx, packet, policy, rule);
    let redirect = redirected::judge(ctx, packet, rule);
    found | u64::from(redirect.faults) | if redirect.is_verified { 0 } else { UNVERIFIED }
}

/// The same without what the routes say. A global function, which the verifier looks at once: as part of the pipeline,
/// what follows is walked again for each way through these questions, a third of all that it looked at.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn icmpgate_ask(
    ctx: *mut xdp_md,
    packet: *const Packet,
    policy: *const PolicyTable,
    rule: *const Rule,
) -> u64 {
    // SAFETY: the only caller hands over references, and the verifier checks the sizes that BTF
    // says. It also wants to see that they aren't null.
    let (Some(packet), Some(policy), Some(rule)) =
        (unsafe { (packet.as_ref(), policy.as_ref(), rule.as_ref()) })
    else {
        return Found::NOTHING.0;
    };
    let flow = flow::judge(ctx, packet, rule);
    let apart = if flow.apart { APART } else { 0 };
    u64::from(flow.faults)
        | apart
        | u64::from(flow.state) << STATE
        | match routers::judge(packet, policy, rule) {
            Some(true) => LISTED,
            Some(false) if rule.flags & rule_flag::ROUTERS != 0 => {
                Reason::ROUTER_UNLISTED.bit().into()
            }
            _ => 0,
        }
}
