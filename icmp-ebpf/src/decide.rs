//! Packet to outcome: faults first, then the one rule that the policy has for this packet.
//!
//! The policy is looked up once; what is found is one whole policy, whatever the loader does
//! meanwhile. Which rule applies was worked out by the loader: here it is one index into a table
//! (see [`PolicyTable`]).

use crate::{INTERNAL_ERROR, answer, ask, error::Faults, flow, frame::Buffer, limit, local, rule};
use icmp_common::{
    abi::{
        self, PolicyTable, RULE_NONE, Rule, Trace, action, fragment, hook, policy_flag, rule_flag,
    },
    flow::state,
    parse::Packet,
    verdict::{JUDGED, Mode, Outcome, Reason, Verdict, enforceable},
};

/// What becomes of a packet, and why.
#[derive(Clone, Copy)]
pub struct Decision {
    /// Its verdict and reason.
    pub outcome: Outcome,
    /// The number of its rule, or [`RULE_NONE`].
    pub rule: u16,
    /// What it is counted as.
    pub class: u16,
    /// Every fault found.
    pub faults: u32,
    /// What was found of its flow: one of [`state`].
    pub flow: u8,
}

impl Decision {
    /// What it says of the packet. Of one that isn't ours nothing is known.
    #[inline(always)]
    pub fn trace(self, packet: Option<&Packet>) -> Trace {
        let Self { outcome, rule, class, faults, flow } = self;
        let decided = Trace { outcome: outcome.0, rule, class, faults, flow, ..Trace::default() };
        let Some(packet) = packet else { return decided };
        Trace {
            family: packet.family,
            has_type: u8::from(packet.has_type),
            ty: packet.ty,
            code: packet.code,
            checksum: packet.checksum,
            fragment: packet.fragment,
            ..decided
        }
    }
}

/// Decides on a parsed and validated packet.
#[inline(always)]
pub fn decide<F: Buffer>(frame: &F, packet: &Packet, found: Faults, octets: u64) -> Decision {
    let mut decision = Decision {
        outcome: INTERNAL_ERROR,
        rule: RULE_NONE,
        class: abi::class_headerless(packet.family),
        faults: found.held,
        // None, and to the verifier, as any other: else all that follows is a state of its own.
        flow: packet.zero as u8,
    };
    let outcome = outcome(frame, packet, found, octets, &mut decision);
    Decision { outcome, ..decision }
}

/// The outcome; beside it, what is found on the way to it.
#[inline(always)]
fn outcome<F: Buffer>(
    frame: &F,
    packet: &Packet,
    found: Faults,
    octets: u64,
    decision: &mut Decision,
) -> Outcome {
    let Some(policy) = rule::policy(F::HOOK) else { return INTERNAL_ERROR };
    let observing = policy.flags & policy_flag::OBSERVE != 0;

    let Some(entry) = rule::class(policy, packet) else { return INTERNAL_ERROR };
    decision.class = entry.class;

    let mut faults = found.held & !JUDGED & !policy.checks_off;
    if faults != 0 {
        let enforced =
            if observing { 0 } else { faults & enforceable(F::HOOK) & !policy.checks_observe };
        if enforced != 0 {
            return Outcome::new(Reason::first(enforced), Mode::Enforce);
        }
    }

    // A packet that couldn't be read as far as its type, for a fault that isn't enforced: there is
    // nothing for a rule to match, and the fault is what there is to tell.
    if !packet.has_type && packet.fragment != fragment::LATER {
        return Outcome::new(Reason::first(found.held), Mode::Observe);
    }

    let place = || match F::HOOK {
        hook::EGRESS => frame.origin(),
        _ => local::destination(packet.family, packet.destination),
    };
    let Some(number) = rule::number(policy, packet, entry, F::HOOK, place) else {
        return INTERNAL_ERROR;
    };
    decision.rule = number;
    // A mask and not a comparison: on 6.1 the verifier forgets the comparison when the number is
    // copied. The loader writes no number beyond the rules.
    let rule = &policy.rules[usize::from(number) & (abi::RULES - 1)];
    let observing = observing || rule.flags & rule_flag::OBSERVE != 0;
    // Of what a rule can relax by name, what has the packet dropped.
    let enforced = |by_rule: u32| {
        if observing { 0 } else { by_rule & enforceable(F::HOOK) & !rule.checks_observe }
    };
    // What holds in any case, and what this rule asks for in transit.
    let held = found.held & JUDGED;
    if held != 0 || found.in_transit != 0 {
        let by_rule = (held | found.in_transit & rule.checks) & !rule.checks_off;
        decision.faults |= by_rule;
        faults |= by_rule;
        let enforced = enforced(by_rule);
        if enforced != 0 {
            return Outcome::new(Reason::first(enforced), Mode::Enforce);
        }
    }
    let (mut deciding, mut instead) = (rule, None);
    // Of what is left, whose flow it is about, whether the routes bear it out, and whether the router is a listed one;
    // most rules ask nothing of that.
    if rule.flags & rule_flag::ASKS != 0 {
        let asked = ask::judge(frame, packet, policy, rule);
        decision.flow |= asked.state();
        let by_rule = asked.faults() & !rule.checks_off;
        decision.faults |= by_rule;
        faults |= by_rule;
        let enforced = enforced(by_rule);
        if enforced != 0 {
            return Outcome::new(Reason::first(enforced), Mode::Enforce);
        }
        deciding = flow::rule(asked.state(), asked.is_apart(), policy, rule);
        if !asked.is_verified() && rule.flags & rule_flag::VERIFY != 0 {
            instead = Some(Reason::REDIRECT_UNVERIFIED);
        } else if asked.state() == state::LIVE && rule.flags & rule_flag::EXCEPT_OWN_REQUESTS != 0
            || asked.is_listed() && rule.flags & rule_flag::EXCEPT_LISTED_ROUTERS != 0
        {
            instead = Some(Reason::ACCEPTED);
        }
    }

    let reason = match instead {
        Some(reason) => reason,
        None => apply(frame, packet, found, octets, policy, deciding, observing),
    };
    let outcome = Outcome::new(reason, if observing { Mode::Observe } else { Mode::Enforce });
    // A fault that is only observed doesn't exempt the packet from its rule, but where the rule
    // lets it pass, the fault is what there is to tell.
    if faults != 0 && matches!(outcome.verdict(), Verdict::Pass) {
        return Outcome::new(Reason::first(faults), Mode::Observe);
    }
    outcome
}

#[inline(always)]
fn apply<F: Buffer>(
    frame: &F,
    packet: &Packet,
    found: Faults,
    octets: u64,
    policy: &PolicyTable,
    rule: &Rule,
    observing: bool,
) -> Reason {
    // Before the others, since it is what most packets meet that have a rule of ours at all.
    if rule.action == action::LIMIT {
        return limit::admit(frame, packet, octets, policy, rule);
    }
    match rule.action {
        action::PASS => Reason::ACCEPTED,
        action::DROP => Reason(rule.reason),
        action::REJECT | action::REPLY => {
            answer::answer(frame, packet, found, policy, rule, observing)
        }
        _ => Reason::INTERNAL_ERROR,
    }
}
