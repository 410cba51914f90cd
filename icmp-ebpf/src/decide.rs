//! Packet to outcome: faults first, then the one rule that the policy has for this packet.
//!
//! The policy is looked up once; what is found is one whole policy, whatever the loader does
//! meanwhile. Which rule applies was worked out by the loader: here it is one index into a table
//! (see [`PolicyTable`]).

use crate::{
    INTERNAL_ERROR, answer,
    error::Faults,
    frame::Buffer,
    limit, local,
    maps::{INTERFACE_ID, POLICY, ZONES_V4, ZONES_V6},
};
use aya_ebpf::maps::lpm_trie::Key;
use core::hint::black_box;
use icmp_common::{
    abi::{
        self, ClassEntry, PolicyTable, RULE_NONE, Rule, Trace, action, family, fragment, hook,
        policy_flag, rule_flag,
    },
    parse::Packet,
    verdict::{Mode, Outcome, Reason, Verdict},
    wire::ipv6::Address,
};

/// The faults that can have a packet dropped, by hook: of what is sent, that it must not be (G1). All
/// else that is odd about it is the stack's doing.
const ENFORCEABLE: [u32; hook::COUNT] = [u32::MAX, Reason::UNANSWERABLE.bit()];

/// Decides on a parsed and validated packet.
#[inline(always)]
pub fn decide<F: Buffer>(
    frame: &F,
    packet: &Packet,
    found: Faults,
    octets: u64,
) -> (Outcome, Trace) {
    let mut trace = Trace {
        family: packet.family,
        has_type: u8::from(packet.has_type),
        ty: packet.ty,
        code: packet.code,
        checksum: packet.checksum,
        fragment: packet.fragment,
        outcome: 0,
        pad: 0,
        rule: RULE_NONE,
        class: abi::class_headerless(packet.family),
        faults: found.held,
    };
    // The key is opaque, and so on the stack. As a plain constant it lies in .rodata, where the compiler
    // merges it with any constant of the loader's whose initial value is 0: the lookup then asks
    // for whatever the loader put there.
    let Some(policy) = POLICY.get_value(0, &black_box(u32::from(F::HOOK))) else {
        return (INTERNAL_ERROR, trace);
    };
    let observing = policy.flags & policy_flag::OBSERVE != 0;

    let Some(entry) = class(policy, packet) else { return (INTERNAL_ERROR, trace) };
    trace.class = entry.class;

    let mut faults = found.held & !policy.checks_off;
    if faults != 0 {
        let enforced = if observing {
            0
        } else {
            faults & ENFORCEABLE[F::HOOK as usize] & !policy.checks_observe
        };
        if enforced != 0 {
            return (Outcome::new(Reason::first(enforced), Mode::Enforce), trace);
        }
    }

    // A packet that couldn't be read as far as its type, for a fault that isn't enforced: there is
    // nothing for a rule to match, and the fault is what there is to tell.
    if !packet.has_type && packet.fragment != fragment::LATER {
        return (Outcome::new(Reason::first(found.held), Mode::Observe), trace);
    }

    let Some(number) = rule_number(frame, policy, packet, entry) else {
        return (INTERNAL_ERROR, trace);
    };
    trace.rule = number;
    // A mask and not a comparison: on 6.1 the verifier forgets the comparison when the number is
    // copied. The loader writes no number beyond the rules.
    let rule = &policy.rules[usize::from(number) & (abi::RULES - 1)];
    let observing = observing || rule.flags & rule_flag::OBSERVE != 0;

    // What this rule asks for in transit is its own doing, which it may only observe.
    let asked = found.in_transit & rule.checks;
    if asked != 0 {
        trace.faults |= asked;
        faults |= asked & !policy.checks_off;
        let enforced = if observing { 0 } else { faults & asked & !policy.checks_observe };
        if enforced != 0 {
            return (Outcome::new(Reason::first(enforced), Mode::Enforce), trace);
        }
    }

    let reason = apply(frame, packet, found, octets, policy, rule, observing);
    let outcome = Outcome::new(reason, if observing { Mode::Observe } else { Mode::Enforce });
    // A fault that is only observed doesn't exempt the packet from its rule, but where the rule
    // lets it pass, the fault is what there is to tell.
    if faults != 0 && matches!(outcome.verdict(), Verdict::Pass) {
        return (Outcome::new(Reason::first(faults), Mode::Observe), trace);
    }
    (outcome, trace)
}

/// What the packet's type and code are to the policy.
#[inline(always)]
fn class(policy: &PolicyTable, packet: &Packet) -> Option<ClassEntry> {
    if packet.has_type {
        policy.classes.get(packet.type_index())?.get(usize::from(packet.code)).copied()
    } else {
        policy.headerless.get(usize::from(packet.family)).copied()
    }
}

#[inline(always)]
fn rule_number<F: Buffer>(
    frame: &F,
    policy: &PolicyTable,
    packet: &Packet,
    entry: ClassEntry,
) -> Option<u16> {
    let mut index =
        policy.interfaces.get(INTERFACE_ID.load() as usize)?.wrapping_add(entry.row.into());
    if packet.fragment != fragment::NONE {
        index = index.wrapping_add(u32::from(packet.fragment).wrapping_mul(policy.fragment_stride));
    }
    if policy.flags & policy_flag::DESTINATION != 0 {
        let place = match F::HOOK {
            hook::EGRESS => frame.origin(),
            _ => local::destination(packet.family, packet.destination),
        };
        index = index.wrapping_add(u32::from(place).wrapping_mul(policy.destination_stride));
    }
    if policy.flags & (policy_flag::ZONES_V4 | policy_flag::ZONES_V6) != 0 {
        let other = if F::HOOK == hook::EGRESS { packet.destination } else { packet.source };
        let zone = icmpgate_zone(policy, packet.family.into(), other.0[0], other.0[1]);
        index = index.wrapping_add(zone.wrapping_mul(policy.zone_stride));
    }
    policy.decisions.get(index as usize).copied()
}

/// The set of zones that the longest prefix of an address belongs to, which is that of whom a packet is
/// from, or of whom it is sent to, in two words as they lie in the packet. 0 where there is none. A
/// global function, so that the keys are on no stack but its own.
///
/// The structure behind the zones is known to this function, to the maps and to the loader's
/// `zones` module, and to nothing else.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn icmpgate_zone(
    policy: *const PolicyTable,
    family: u32,
    high: u64,
    low: u64,
) -> u32 {
    // SAFETY: the only caller hands over a reference, and the verifier checks the size that BTF
    // says. It also wants to see that it isn't null.
    let Some(policy) = (unsafe { policy.as_ref() }) else { return 0 };
    let other = Address([high, low]);
    /// The trie's key is packed. On the stack its data must lie at 8 octets, and so the key at 4
    /// more: otherwise it is written by words that the verifier refuses (`misaligned stack
    /// access`).
    #[repr(C, align(8))]
    struct Aligned<T> {
        pad: u32,
        key: Key<T>,
    }

    let found = if family == u32::from(family::ICMPV6) {
        if policy.flags & policy_flag::ZONES_V6 == 0 {
            return 0;
        }
        let key = Aligned { pad: 0, key: Key::new(128, other.octets()) };
        ZONES_V6.get(policy.zone_slot).and_then(|zones| zones.get(&key.key).copied())
    } else {
        if policy.flags & policy_flag::ZONES_V4 == 0 {
            return 0;
        }
        let key = Aligned { pad: 0, key: Key::new(32, other.v4().to_be_bytes()) };
        ZONES_V4.get(policy.zone_slot).and_then(|zones| zones.get(&key.key).copied())
    };
    found.unwrap_or(0)
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
    match rule.action {
        action::PASS => Reason::ACCEPTED,
        action::DROP => Reason(rule.reason),
        action::LIMIT => limit::admit(frame, packet, octets, policy, rule),
        action::REJECT | action::REPLY => {
            answer::answer(frame, packet, found, octets, policy, rule, observing)
        }
        _ => Reason::INTERNAL_ERROR,
    }
}
