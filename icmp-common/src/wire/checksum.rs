//! The Internet checksum (RFC 1071), as a sum that both sides can continue.
//!
//! Sums are kept in the machine's byte order: the one's complement sum doesn't care, as long as
//! every part is loaded alike (RFC 1071 section 2(B)). A message with its checksum in place
//! verifies where the folded sum is 0xffff.

/// Folds a sum of 16- or 32-bit words to 16 bits.
#[must_use]
#[inline(always)]
pub const fn fold(sum: u64) -> u16 {
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    sum as u16
}

/// Whether a sum over a message, its checksum field included, is that of a good one: whether it folds to
/// 0xffff.
///
/// Folding keeps what a sum is modulo 0xffff, so these are its multiples but for 0. A number is a multiple of
/// an odd one where its product with the inverse modulo 2^64 is at most 2^64 by it (Granlund and Montgomery,
/// Division by Invariant Integers using Multiplication, PLDI 1994, section 9): one step in place of four, of
/// which each waits for the one before.
#[must_use]
#[inline(always)]
pub const fn verifies(sum: u64) -> bool {
    const INVERSE: u64 = 0xfffe_fffe_fffe_ffff;
    const _: () = assert!(INVERSE.wrapping_mul(0xffff) == 1);
    sum != 0 && sum.wrapping_mul(INVERSE) <= u64::MAX / 0xffff
}

/// What the IPv6 pseudo-header adds to the two addresses: the upper-layer length and
/// next header (RFC 8200 section 8.1).
#[must_use]
#[inline(always)]
pub const fn pseudo_header(length: u32, next_header: u8) -> u64 {
    length.to_be() as u64 + (next_header as u32).to_be() as u64
}

/// Sums octets, as 32-bit words in the machine's order; an odd end is padded with zeros.
#[must_use]
pub fn sum(octets: &[u8]) -> u64 {
    let mut words = octets.chunks_exact(4);
    let mut sum = 0u64;
    for w in &mut words {
        sum += u64::from(u32::from_ne_bytes([w[0], w[1], w[2], w[3]]));
    }
    let mut last = [0u8; 4];
    let rest = words.remainder();
    last[..rest.len()].copy_from_slice(rest);
    sum + u64::from(u32::from_ne_bytes(last))
}

/// The checksum field that makes a message verify, given its sum with the field zero: in the
/// machine's order, to be stored as it is.
#[must_use]
#[inline(always)]
pub const fn finish(sum: u64) -> u16 {
    !fold(sum)
}

/// The checksum field of a message in which one word becomes another, all in the machine's order
/// (RFC 1624 equation 3).
///
/// It is the one that a sum over the whole would give, but where nothing of the new message isn't
/// zero: that has the field 0xffff, and equation 3 gives 0. A message with a pseudo-header is never
/// so.
#[must_use]
#[inline(always)]
pub const fn update(field: u16, from: u16, to: u16) -> u16 {
    finish(!field as u64 + !from as u64 + to as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_verifies_where_it_folds_to_all_ones() {
        let near = |n: u64| n.saturating_sub(300_000)..n.saturating_add(300_000);
        let multiples = (0..200_000u64).map(|n| n * 0xffff);
        let others = near(0).chain(near(1 << 32)).chain(near(1 << 40));
        let scattered = (0..300_000u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20);
        for sum in multiples.chain(others).chain(scattered) {
            assert_eq!(verifies(sum), fold(sum) == 0xffff, "{sum:#x}");
        }
    }

    /// The example of RFC 1071 section 3.
    #[test]
    fn the_rfc_example() {
        let sum = sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
        assert_eq!(u16::from_be(fold(sum)), 0xddf2);
    }

    #[test]
    fn what_finish_makes_verifies_at_every_length() {
        let octets: [u8; 64] = core::array::from_fn(|i| (i * 37 + 11) as u8);
        for n in 2..=64 {
            let mut m = octets[..n].to_vec();
            m[0] = 0;
            m[1] = 0;
            let field = finish(sum(&m));
            m[..2].copy_from_slice(&field.to_ne_bytes());
            assert!(verifies(sum(&m)), "{n}");
            for bit in 0..n * 8 {
                m[bit / 8] ^= 1 << (bit % 8);
                assert!(!verifies(sum(&m)), "{n} octets, bit {bit}");
                m[bit / 8] ^= 1 << (bit % 8);
            }
        }
    }

    /// Each request of 8 octets whose last word is 0, by identifier, and the other way round: the
    /// field is the one that a sum over the whole reply gives.
    #[test]
    fn an_updated_field_is_that_of_the_whole_but_for_all_zeros() {
        let check = |m: &[u8; 8]| finish(sum(m));
        for n in 0..=u16::MAX {
            let [a, b] = n.to_be_bytes();
            for rest in [[a, b, 0, 0], [0, 0, a, b], [a, b, !a, !b], [a, b, 0x08, 0]] {
                for code in [0, 1, 255] {
                    let message = |ty| [ty, code, 0, 0, rest[0], rest[1], rest[2], rest[3]];
                    let (request, reply) = (message(8), message(0));
                    let word = |m: &[u8; 8]| u16::from_ne_bytes([m[0], m[1]]);
                    let field = update(check(&request), word(&request), word(&reply));
                    if reply == [0; 8] {
                        assert_eq!((field, check(&reply)), (0, 0xffff));
                    } else {
                        assert_eq!(field, check(&reply), "{reply:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn folding_loses_no_carry() {
        assert_eq!(fold(0xffff_ffff_ffff_ffff), 0xffff);
        assert_eq!(fold(0x1_0000_0000), 1);
        assert_eq!(fold(0xffff_0001), 1);
        assert_eq!(fold(0), 0);
    }
}
