//! Which zones an address is in: `icmp_common::zones` over the columns of ranges that the loader wrote.

use crate::maps::{ZONES_V4, ZONES_V6};
use core::hint::black_box;
use icmp_common::{
    abi::{PolicyTable, ZONE_RANGES, ZoneColumn, family, policy_flag, zone_column},
    opaque::opaque,
    wire::ipv6::Address,
    zones::begun,
};

/// The set of zones that the longest prefix of an address belongs to, which is that of whom a packet is
/// from, or of whom it is sent to, in two words as they lie in the packet. 0 where there is none. A
/// global function, which the verifier looks at once.
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
    let address = Address([high, low]);
    let set = if family == u32::from(family::ICMPV6) {
        if policy.flags & policy_flag::ZONES_V6 == 0 { None } else { set_v6(policy, address) }
    } else {
        if policy.flags & policy_flag::ZONES_V4 == 0 { None } else { set_v4(policy, address) }
    };
    set.unwrap_or(0)
}

#[inline(always)]
fn set_v4(policy: &PolicyTable, address: Address) -> Option<u32> {
    let ranges = ZONES_V4.get_value(policy.zone_slot, &black_box(0))?;
    // Every range that begins there has a smaller word.
    let address = u64::from(address.v4()) << 32 | u64::from(u32::MAX);
    let ([count, _], [step, _]) = (policy.zone_ranges, policy.zone_steps);
    let zero = unknown_zero(&policy.zone_steps[0]);
    let found = begun(count, step, zero, |range| {
        word(ranges, range) <= address.wrapping_add(u64::from(zero))
    });
    if found == 0 { None } else { Some(word(ranges, found.wrapping_sub(1)) as u32) }
}

#[inline(always)]
fn set_v6(policy: &PolicyTable, address: Address) -> Option<u32> {
    let column = |number: u32| ZONES_V6.get_value(policy.zone_slot, &black_box(number));
    let (highs, lows) = (column(zone_column::HIGH)?, column(zone_column::LOW)?);
    let [high, low] = address.words();
    let ([_, count], [_, step]) = (policy.zone_ranges, policy.zone_steps);
    let zero = unknown_zero(&policy.zone_steps[1]);
    let found = begun(count, step, zero, |range| {
        let begin = word(highs, range);
        let high = high.wrapping_add(u64::from(zero));
        begin < high || begin == high && word(lows, range) <= low.wrapping_add(u64::from(zero))
    });
    if found == 0 {
        return None;
    }
    Some(word(column(zone_column::SET)?, found.wrapping_sub(1)) as u32)
}

/// A 0 of which the verifier doesn't know that it is one: see [`begun`]. What two reads of a word differ by.
#[inline(always)]
fn unknown_zero(word: &u32) -> u32 {
    // SAFETY: a reference is valid for reads.
    let read = || unsafe { core::ptr::from_ref(word).read_volatile() };
    read().wrapping_sub(read())
}

/// A word of a column. Masked, and opaque: the verifier doesn't see that a range is one of those that
/// there are.
#[inline(always)]
fn word(column: &ZoneColumn, range: u32) -> u64 {
    column[opaque(range as usize) & (ZONE_RANGES - 1)]
}
