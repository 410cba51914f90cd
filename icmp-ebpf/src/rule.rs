//! Which rule of a policy a packet has: one index into a table that the loader worked out (see
//! [`PolicyTable`]).

use crate::maps::{INTERFACE_ID, POLICY, PolicyWords, ZONES_V4, ZONES_V6};
use aya_ebpf::maps::lpm_trie::Key;
use core::hint::black_box;
use icmp_common::{
    abi::{ClassEntry, PolicyTable, family, fragment, hook, policy_flag},
    parse::Packet,
    wire::ipv6::Address,
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
