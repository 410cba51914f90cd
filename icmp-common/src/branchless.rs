//! Choices without a branch.
//!
//! A search that branches for each of its places in turn has, to the verifier, as many ways as there are sets of
//! places.

use crate::opaque::opaque;

/// 1 where a number isn't 0.
#[must_use]
#[inline(always)]
pub fn is_some(number: u64) -> u64 {
    top_bit(number | number.wrapping_neg())
}

/// The first where a bit is 1, else the second. By a product: of a mask that is all ones or none, a verifier
/// since Linux 6.18 follows both, as of a branch.
#[must_use]
#[inline(always)]
pub fn select(bit: u64, yes: u64, no: u64) -> u64 {
    no.wrapping_add(yes.wrapping_sub(no).wrapping_mul(bit))
}

/// The highest bit. Opaque on both sides, or the compiler makes a comparison of it, and a branch.
#[must_use]
#[inline(always)]
pub fn top_bit(number: u64) -> u64 {
    opaque(opaque(number as usize) >> 63) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_choose() {
        for number in [0, 1, 2, u64::MAX, 1 << 63, u64::MAX >> 1] {
            assert_eq!(is_some(number), u64::from(number != 0));
            assert_eq!(top_bit(number), u64::from(number > u64::MAX / 2));
            assert_eq!((select(1, number, 7), select(0, number, 7)), (number, 7));
        }
    }
}
