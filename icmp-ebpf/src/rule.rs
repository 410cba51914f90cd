//! Which rule of a policy a packet has: one index into a table that the loader worked out (see
//! [`PolicyTable`]).

use crate::{
    maps::{INTERFACE_ID, POLICY, PolicyWords},
    zone::icmpgate_zone,
};
use core::hint::black_box;
use icmp_common::{
    abi::{ClassEntry, PolicyTable, RULE_NONE, fragment, hook, policy_flag},
    parse::Packet,
};

/// The policy in force at a hook.
#[inline(always)]
pub fn policy(hook: u8) -> Option<&'static PolicyTable> {
    // The key is opaque, and so on the stack. As a plain constant it lies in .rodata, where the compiler
    // merges it with any constant of the loader's whose initial value is 0: the lookup then asks
    // for whatever the loader put there.
    let words: &PolicyWords = POLICY.get_value(0, &black_box(u32::from(hook)))?;
    // SAFETY: the loader writes nothing else there. It has the size and the alignment of the words, any
    // bits are a value of it, and a table isn't written to once it is in the slot.
    Some(unsafe { &*core::ptr::from_ref(words).cast() })
}

/// What the packet's type and code are to the policy.
#[inline(always)]
pub fn class(policy: &PolicyTable, packet: &Packet) -> Option<ClassEntry> {
    if packet.has_type {
        policy.classes.get(packet.type_index())?.get(usize::from(packet.code)).copied()
    } else {
        policy.headerless.get(usize::from(packet.family)).copied()
    }
}

/// The number of the one rule that the policy has for this packet at a hook. `place` says, where a rule
/// asks, where it goes ([`abi::destination`](icmp_common::abi::destination)), or of what is sent where
/// it is from ([`abi::origin`](icmp_common::abi::origin)).
#[inline(always)]
pub fn number(
    policy: &PolicyTable,
    packet: &Packet,
    entry: ClassEntry,
    hook: u8,
    place: impl FnOnce() -> u8,
) -> Option<u16> {
    if entry.sole != RULE_NONE && packet.fragment == fragment::NONE {
        return Some(entry.sole);
    }
    let mut index =
        policy.interfaces.get(INTERFACE_ID.load() as usize)?.wrapping_add(entry.row.into());
    if packet.fragment != fragment::NONE {
        index = index.wrapping_add(u32::from(packet.fragment).wrapping_mul(policy.fragment_stride));
    }
    if policy.flags & policy_flag::DESTINATION != 0 {
        index = index.wrapping_add(u32::from(place()).wrapping_mul(policy.destination_stride));
    }
    if policy.flags & (policy_flag::ZONES_V4 | policy_flag::ZONES_V6) != 0 {
        let other = if hook == hook::EGRESS { packet.destination } else { packet.source };
        let zone = icmpgate_zone(policy, packet.family.into(), other.0[0], other.0[1]);
        index = index.wrapping_add(zone.wrapping_mul(policy.zone_stride));
    }
    policy.decisions.get(index as usize).copied()
}
