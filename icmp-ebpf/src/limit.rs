//! The token bucket of a rule: `icmp_common::bucket` over one word that all CPUs share.

use crate::{
    atomic,
    frame::XdpFrame,
    maps::{BUCKETS, TICK},
};
use aya_ebpf::helpers::{bpf_jiffies64, bpf_ktime_get_ns};
use icmp_common::{
    abi::{Rule, rule_flag},
    bucket::{UNITS_PER_NS, admit, octets_cost},
};

/// How often the compare-and-swap is tried before the packet counts as beyond the limit. Each loss
/// means that another CPU's packet was admitted.
const TRIES: u32 = 8;

/// Whether the rule's limit admits this packet; if so, it is charged.
#[inline(always)]
pub fn admits(frame: &XdpFrame<'_>, rule: &Rule) -> bool {
    let Some(bucket) = BUCKETS.get_ptr_mut(rule.bucket) else { return true };
    let now = if rule.flags & rule_flag::TICKS != 0 {
        // SAFETY: a helper without arguments.
        unsafe { bpf_jiffies64() }.wrapping_mul(TICK.load())
    } else {
        // SAFETY: a helper without arguments.
        unsafe { bpf_ktime_get_ns() }.wrapping_mul(UNITS_PER_NS)
    };
    let cost = if rule.flags & rule_flag::OCTETS != 0 {
        octets_cost(rule.cost, frame.octets() as u32)
    } else {
        rule.cost
    };
    // SAFETY: a field of an element of the map.
    let tat = unsafe { &raw mut (*bucket).tat };
    // SAFETY: as above.
    let mut was = unsafe { atomic::load(tat) };
    for _ in 0..TRIES {
        let Some(next) = admit(was, now, cost, rule.depth) else { return false };
        // SAFETY: as above.
        match unsafe { atomic::compare_exchange(tat, was, next) } {
            Ok(_) => return true,
            Err(other) => was = other,
        }
    }
    // SAFETY: as above.
    unsafe { atomic::fetch_add_u64(&raw mut (*bucket).contended, 1) };
    false
}
