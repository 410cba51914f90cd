//! Options of neighbour discovery (RFC 4861 4.6).

use crate::cursor::Cursor;
use crate::opaque::opaque;
use crate::walk::{AT_ONCE, Walk};
use core::hint::black_box;

/// The packet that a redirect is about (RFC 4861 4.6.3).
pub const REDIRECTED_HEADER: u8 = 4;
/// Router solicitation (RFC 4861 4.1).
pub const ROUTER_SOLICITATION: u8 = 133;
/// Router advertisement (RFC 4861 4.2).
pub const ROUTER_ADVERTISEMENT: u8 = 134;
/// Neighbour solicitation (RFC 4861 4.3).
pub const NEIGHBOUR_SOLICITATION: u8 = 135;
/// Neighbour advertisement (RFC 4861 4.4).
pub const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
/// Of the octet behind an advertisement's checksum: it answers a solicitation.
pub const SOLICITED: u8 = 0x40;
/// The link-layer address of the sender (RFC 4861 4.6.1).
pub const SOURCE_LINK_ADDRESS: u8 = 1;
/// How many options are walked in search of one. Linux's redirects have at most two.
const MAX_OPTIONS: u32 = 4;
/// The unit of their lengths, in octets, and so the least of them.
pub const UNIT: u32 = 8;
/// The furthest that an option of these begins lies below this power of two, less one.
const MAX_WALKED: u32 = 0x1fff;
/// How far into the options they are seen: what the verifier takes of a packet is below 2^16 octets, of which the
/// headers before the message have their part.
const MAX_SEEN_AT: u32 = 0x3fff;
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
        // The mask changes nothing: see `ipv4::has_option`.
        at = black_box(at + octets) & MAX_WALKED;
    }
    None
}

/// How many options are walked to see whether they are sound: what a packet of 1,500 octets can hold, and some more.
pub const MAX_SEEN: u32 = 192;
const _: () = assert!(MAX_SEEN.is_multiple_of(AT_ONCE));

/// What a walk over all options found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Options {
    /// Each has a length, and lies within the message.
    Sound = 0,
    /// Likewise, and one says the link-layer address of the sender.
    SourceLink = 1,
    /// One has no length, or runs past the end.
    Overrun = 2,
    /// There are more than [`MAX_SEEN`], or they lie beyond the readable part of the frame.
    BeyondBound = 3,
}

impl Options {
    /// The finding of this number; any unknown one is [`Options::BeyondBound`].
    #[must_use]
    #[inline(always)]
    pub const fn from_raw(raw: u32) -> Self {
        match raw {
            0 => Self::Sound,
            1 => Self::SourceLink,
            2 => Self::Overrun,
            _ => Self::BeyondBound,
        }
    }
}

/// Walks `length` octets of options, each of which must have a length (RFC 4861 6.1, 7.1, 8.1). `some` is
/// [`some_options`] of them.
#[must_use]
#[inline(always)]
pub fn options(length: u32, some: impl Fn(Walk) -> Walk) -> Options {
    let mut walk = Walk::default();
    for _ in 0..MAX_SEEN / AT_ONCE {
        walk = some(walk);
        if let Some(finding) = walk.finding() {
            return Options::from_raw(finding);
        }
    }
    if walk.at() >= length { sound(walk.seen()) } else { Options::BeyondBound }
}

/// Goes on with a walk over `length` octets of options.
#[must_use]
#[inline(always)]
pub fn some_options(options: Cursor<'_>, length: u32, walk: Walk) -> Walk {
    let ended = |finding: Options| Walk::ended(finding as u32);
    let (mut at, mut is_source) = (walk.at(), walk.seen());
    for _ in 0..AT_ONCE {
        if at >= length {
            return ended(sound(is_source));
        }
        if at + UNIT > length {
            return ended(Options::Overrun);
        }
        if at > MAX_SEEN_AT {
            return ended(Options::BeyondBound);
        }
        let Some([kind, units, ..]) = options.skip(at).take::<[u8; UNIT as usize]>() else {
            return ended(Options::BeyondBound);
        };
        let octets = u32::from(units) * UNIT;
        if octets == 0 || octets > length - at {
            return ended(Options::Overrun);
        }
        is_source |= is_zero(kind ^ SOURCE_LINK_ADDRESS);
        // Opaque: see `ipv4::has_option`.
        at = black_box(at + octets);
    }
    Walk::on(at, 0, is_source)
}

/// 1 for 0, and 0 for any other number: without a branch, behind which the verifier would walk over all options
/// that follow once more.
#[inline(always)]
fn is_zero(number: u8) -> u8 {
    ((opaque(usize::from(number)) as u32).wrapping_sub(1) >> 31) as u8
}

/// What the walk says whose options all are sound.
#[inline(always)]
const fn sound(is_source: u8) -> Options {
    if is_source == 0 { Options::Sound } else { Options::SourceLink }
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

    fn walk(octets: &[u8]) -> Options {
        let (from, length) = (Cursor::new(octets), octets.len() as u32);
        options(length, |walk| some_options(from, length, walk))
    }

    #[test]
    fn every_place_is_walked_and_none_beyond_the_bound() {
        for n in 0..=MAX_SEEN as usize {
            let others: Vec<u8> = (0..n).flat_map(|_| option_of(2, 1)).collect();
            assert_eq!(walk(&others), Options::Sound, "{n}");
            let with = |last: Vec<u8>| walk(&[others.clone(), last].concat());
            let (whose, none, long) = if n < MAX_SEEN as usize {
                (Options::SourceLink, Options::Overrun, Options::Overrun)
            } else {
                (Options::BeyondBound, Options::BeyondBound, Options::BeyondBound)
            };
            assert_eq!(with(option_of(SOURCE_LINK_ADDRESS, 1)), whose, "{n}");
            assert_eq!(with(option_of(2, 0)), none, "{n}");
            assert_eq!(with(vec![2, 2, 0, 0, 0, 0, 0, 0]), long, "{n}");
        }
        // What was seen in one part is known in the last.
        let mut first = option_of(SOURCE_LINK_ADDRESS, 1);
        first.extend((0..40).flat_map(|_| option_of(2, 1)));
        assert_eq!(walk(&first), Options::SourceLink);
    }
}
