//! Which zones an address is in: ranges of addresses in their order, found by halving.
//!
//! The loader makes ranges of the prefixes that a policy names, each with the zones of the longest prefix
//! that its addresses are in; so there is one search, and no prefix is looked at twice. A hundred thousand
//! prefixes take 18 steps, of which a known source's are predicted and so go on at once.

use crate::abi::ZONE_RANGES;

/// How many of `count` ranges, of which each begins after the one before, begin at an address or before it:
/// `begins` says it of the range of an index. The address is in the last of them.
///
/// `step` is the largest power of two that isn't above `count`, 0 where that is 0, and `count` at most
/// [`ZONE_RANGES`]. `zero` is a 0 of which the verifier doesn't know that it is one: what it learns of a number
/// by comparing it would make a state of its own of each way through the steps, and of a number to which an
/// unknown one is added it learns nothing.
#[must_use]
#[inline(always)]
pub fn begun(count: u32, mut step: u32, zero: u32, begins: impl Fn(u32) -> bool) -> u32 {
    let mut found = zero;
    for _ in 0..ZONE_RANGES.ilog2() + 1 {
        if step == 0 {
            break;
        }
        let next = found.wrapping_add(step);
        if next <= count.wrapping_add(zero) && begins(next.wrapping_sub(1)) {
            found = next;
        }
        step >>= 1;
    }
    found
}

/// The first step of [`begun`].
#[must_use]
pub const fn first_step(count: u32) -> u32 {
    if count == 0 { 0 } else { 1 << count.ilog2() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_a_walk_over_all_would_find() {
        for count in (0..70).chain([127, 128, 129, 262_143, 262_144]) {
            let begin = |i: u32| 3 * i + 5;
            let last = 3 * count + 10;
            let wanted: Vec<u32> =
                if last < 1000 { (0..last).collect() } else { (0..last).step_by(997).collect() };
            for address in wanted {
                let found = begun(count, first_step(count), 0, |i| {
                    assert!(i < count, "{i} of {count}");
                    begin(i) <= address
                });
                let expected = if address < 5 { 0 } else { ((address - 5) / 3 + 1).min(count) };
                assert_eq!(found, expected, "{address} of {count}");
            }
        }
    }
}
