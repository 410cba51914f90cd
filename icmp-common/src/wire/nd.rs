//! Options of neighbour discovery (RFC 4861 4.6).

use crate::cursor::Cursor;
use core::hint::black_box;

/// The packet that a redirect is about (RFC 4861 4.6.3).
pub const REDIRECTED_HEADER: u8 = 4;
/// How many options are walked. Linux's redirects have at most two.
const MAX_OPTIONS: u32 = 4;
/// The unit of their lengths, in octets, and so the least of them.
pub const UNIT: u32 = 8;
/// The furthest that an option of these begins lies below this power of two, less one.
const MAX_WALKED: u32 = 0x1fff;
const _: () = assert!((MAX_OPTIONS - 1) * UNIT * 255 <= MAX_WALKED);

/// Where the first option of this type begins among so many octets of them, and its length; `None` where
/// there is none, and behind one that has no length or runs past the end.
#[must_use]
#[inline(always)]
pub fn option(options: Cursor<'_>, length: u32, ty: u8) -> Option<(u32, u32)> {
    let mut at = 0;
    for _ in 0..MAX_OPTIONS {
        let [kind, units, ..] = options.skip(at).take::<[u8; UNIT as usize]>()?;
        let octets = u32::from(units) * UNIT;
        if octets == 0 || at + octets > length {
            return None;
        }
        if kind == ty {
            return Some((at, octets));
        }
        // The mask changes nothing: see `ipv4::source_routed`.
        at = black_box(at + octets) & MAX_WALKED;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn option_of(kind: u8, units: u8) -> Vec<u8> {
        let mut octets = vec![kind, units];
        octets.resize(usize::from(units.max(1)) * 8, 0x55);
        octets
    }

    fn find(octets: &[u8], length: usize) -> Option<(u32, u32)> {
        option(Cursor::new(octets), length as u32, REDIRECTED_HEADER)
    }

    #[test]
    fn an_option_is_found_behind_others() {
        for before in 0..6usize {
            for units in [1, 3, 255] {
                let mut octets: Vec<u8> = (0..before).flat_map(|_| option_of(2, units)).collect();
                let at = octets.len();
                octets.extend(option_of(REDIRECTED_HEADER, 7));
                octets.extend(option_of(REDIRECTED_HEADER, 1));
                let expected = (before < 4).then_some((at as u32, 56));
                assert_eq!(find(&octets, octets.len()), expected, "{before} {units}");
            }
        }
        assert_eq!(find(&option_of(2, 1), 8), None);
        assert_eq!(find(&[], 0), None);
    }

    #[test]
    fn what_has_no_length_or_too_much_of_it_ends_the_walk() {
        let mut octets = option_of(2, 0);
        octets.extend(option_of(REDIRECTED_HEADER, 1));
        assert_eq!(find(&octets, octets.len()), None);
        let mut octets = option_of(2, 1);
        octets.extend(option_of(REDIRECTED_HEADER, 4));
        for length in 0..=octets.len() {
            assert_eq!(find(&octets, length).is_some(), length == octets.len(), "{length}");
            assert_eq!(find(&octets[..length], octets.len()).is_some(), length >= 16, "{length}");
        }
    }
}
