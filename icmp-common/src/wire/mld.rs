//! MLD, versions 1 (RFC 2710) and 2 (RFC 9777), and the walk over group records that it shares
//! with IGMP version 3.

use crate::cursor::Cursor;
use crate::walk::{AT_ONCE, Walk};

/// A listener query, of any version.
pub const QUERY: u8 = 130;
/// A version 1 report.
pub const REPORT_V1: u8 = 131;
/// A version 1 done.
pub const DONE: u8 = 132;
/// A version 2 report.
pub const REPORT_V2: u8 = 143;
/// A version 1 query has this length, to the octet (RFC 9777 8.1).
pub const QUERY_V1_LENGTH: u32 = 24;
/// A version 2 query has at least this length.
pub const QUERY_V2_LENGTH: u32 = 28;
/// Where a version 2 query's number of sources stands, and where they begin.
pub const QUERY_SOURCES: (u32, u32) = (26, 28);
/// Where the records of a report begin, here and in IGMP version 3.
pub const REPORT_RECORDS: u32 = 8;
/// The octets of an address.
pub const ADDRESS: u32 = 16;

/// How many records of one report are walked: what a report of least records can hold in an
/// Ethernet frame of 1,500 octets, and some more.
pub const MAX_RECORDS: u32 = 192;
const _: () = assert!(MAX_RECORDS.is_multiple_of(AT_ONCE));

/// How far into a message records are walked. The verifier takes packet offsets below 2^16 only, of
/// which the headers before the message have their part.
pub const MAX_WALK: u32 = 0x7fff;

/// The time that a maximum response code stands for, in milliseconds (RFC 9777 5.1.3): from 32,768 up it is a
/// floating-point number.
#[must_use]
#[inline(always)]
pub const fn time_ms(code: u16) -> u32 {
    if code < 0x8000 {
        code as u32
    } else {
        ((code & 0xfff) as u32 | 0x1000) << ((code >> 12 & 7) + 3)
    }
}

/// What a walk over the records of a report found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Records {
    /// They lie within the message. What is behind them is tolerated (RFC 9776 4.2.11).
    Within = 0,
    /// They run past its end.
    Overrun = 1,
    /// There are more than [`MAX_RECORDS`], or they lie beyond [`MAX_WALK`] or the readable part of
    /// the frame.
    BeyondBound = 2,
    /// They lie within it, and one is about what is no group.
    NoGroup = 3,
}

impl Records {
    /// The finding of this number; any unknown one is [`Records::BeyondBound`].
    #[must_use]
    #[inline(always)]
    pub const fn from_raw(raw: u32) -> Self {
        match raw {
            0 => Self::Within,
            1 => Self::Overrun,
            3 => Self::NoGroup,
            _ => Self::BeyondBound,
        }
    }
}

/// Walks the records of the report at `message`, which has at least 8 octets. `some` is [`some_records`] of them.
///
/// Reports of both protocols have their number of records in the last two octets of their first 8,
/// and the records behind. A record is type, auxiliary length in words, number of sources, group,
/// sources, auxiliary data (RFC 9776 4.2.4, RFC 9777 5.2.4).
#[must_use]
#[inline(always)]
pub fn records(message: Cursor<'_>, some: impl Fn(Walk) -> Walk) -> Records {
    let Some([_, _, _, _, _, _, count_high, count_low]) = { message }.take::<[u8; 8]>() else {
        return Records::BeyondBound;
    };
    let mut walk = Walk::on(REPORT_RECORDS, u16::from_be_bytes([count_high, count_low]), 0);
    for _ in 0..MAX_RECORDS / AT_ONCE {
        walk = some(walk);
        if let Some(finding) = walk.finding() {
            return Records::from_raw(finding);
        }
    }
    if walk.left() == 0 { within(walk.seen()) } else { Records::BeyondBound }
}

/// Goes on with a walk over the records of a report of `length` octets; `address` is the length of group and source.
#[must_use]
#[inline(always)]
pub fn some_records(message: Cursor<'_>, length: u32, address: u32, walk: Walk) -> Walk {
    let ended = |finding: Records| Walk::ended(finding as u32);
    let (mut at, mut differs) = (walk.at(), walk.seen());
    // What differs from the first bits of a group's address, ff00::/8 or 224.0.0.0/4. Without a branch, which would
    // be another state for all records behind.
    let is_v6 = (address / ADDRESS) as u8;
    let (mask, group) = (0xf0 | (0x0f * is_v6), 0xe0 | (0x1f * is_v6));
    // The bound is the constant, and the count is looked at inside: with a bound that it doesn't
    // know, the verifier walks on until the offset is spent (`8193 jumps is too complex`, on 6.1).
    for i in 0..AT_ONCE as u16 {
        if i >= walk.left() {
            return ended(within(differs));
        }
        // Less by what is read at once.
        if at > MAX_WALK - 8 {
            return ended(Records::BeyondBound);
        }
        // A record's own header must lie within the message before it is read.
        if at + 4 + address > length {
            return ended(Records::Overrun);
        }
        let Some([_, aux, sources_high, sources_low, first, ..]) =
            message.skip(at).take::<[u8; 8]>()
        else {
            return ended(Records::BeyondBound);
        };
        differs |= (first & mask) ^ group;
        let sources = u32::from(u16::from_be_bytes([sources_high, sources_low]));
        at += 4 + address + sources * address + u32::from(aux) * 4;
        if at > length {
            return ended(Records::Overrun);
        }
    }
    Walk::on(at, walk.left() - AT_ONCE as u16, differs)
}

/// What the walk says whose records all lie within the message, by what differs from a group's address.
#[inline(always)]
const fn within(differs: u8) -> Records {
    if differs == 0 { Records::Within } else { Records::NoGroup }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A report of records with these (sources, auxiliary words).
    fn report(records: &[(u16, u8)], address: usize) -> Vec<u8> {
        let mut m = vec![0x22, 0, 0, 0, 0, 0];
        m.extend((records.len() as u16).to_be_bytes());
        for (sources, aux) in records {
            m.extend([4, *aux]);
            m.extend(sources.to_be_bytes());
            let group = if address == 16 { 0xff } else { 0xe0 };
            m.extend(vec![group; address * (1 + usize::from(*sources)) + 4 * usize::from(*aux)]);
        }
        m
    }

    fn walk(m: &[u8], address: u32) -> Records {
        let message = Cursor::new(m);
        records(message, |walk| some_records(message, m.len() as u32, address, walk))
    }

    #[test]
    fn a_code_from_32768_up_is_a_floating_point_number() {
        assert_eq!([0, 0x7fff, 0x8000, 0xffff].map(time_ms), [0, 0x7fff, 0x8000, 8_387_584]);
        assert!((1..=u16::MAX).all(|code| time_ms(code - 1) < time_ms(code)));
    }

    #[test]
    fn records_of_every_shape_lie_within_to_the_octet() {
        for address in [4, 16] {
            for shape in [&[][..], &[(0, 0)], &[(3, 0), (0, 2), (1, 1)], &[(90, 255)]] {
                let m = report(shape, address);
                assert_eq!(walk(&m, address as u32), Records::Within, "{shape:?}");
                // What is behind the last record is tolerated.
                let mut longer = m.clone();
                longer.extend([1, 2, 3]);
                assert_eq!(walk(&longer, address as u32), Records::Within, "{shape:?}");
                for n in 8..m.len() {
                    assert_eq!(walk(&m[..n], address as u32), Records::Overrun, "{shape:?} at {n}");
                }
            }
        }
    }

    #[test]
    fn a_record_about_no_group_is_told_wherever_it_stands() {
        for (address, stranger) in [(4, 0xdf), (4, 0xf0), (16, 0xfe), (16, 0xe0)] {
            for n in 0..3 {
                let mut m = report(&[(0, 0), (0, 0), (0, 0)], address);
                assert_eq!(walk(&m, address as u32), Records::Within);
                m[8 + n * (4 + address) + 4] = stranger;
                assert_eq!(walk(&m, address as u32), Records::NoGroup, "{stranger:x} at {n}");
            }
        }
        // Sources, and what is behind the last record, are none of its business.
        let mut m = report(&[(2, 1)], 4);
        m[16..].fill(1);
        assert_eq!(walk(&m, 4), Records::Within);
    }

    #[test]
    fn the_bound_is_the_bound() {
        let most = vec![(0, 0); MAX_RECORDS as usize];
        assert_eq!(walk(&report(&most, 4), 4), Records::Within);
        let more = vec![(0, 0); MAX_RECORDS as usize + 1];
        assert_eq!(walk(&report(&more, 4), 4), Records::BeyondBound);
        // A frame of 1,500 octets never holds more than the bound.
        const { assert!((1500 - 24 - 8) / 8 < MAX_RECORDS) };
    }

    #[test]
    fn every_record_is_walked() {
        let n = MAX_RECORDS as usize;
        for address in [4, 16] {
            let all = report(&vec![(0, 0); n], address);
            for i in 0..n {
                let at = 8 + i * (4 + address);
                let mut m = all.clone();
                m[at + 4] = 0x20;
                assert_eq!(walk(&m, address as u32), Records::NoGroup, "{i}");
                let mut m = all.clone();
                m[at + 2..at + 4].copy_from_slice(&[0xff, 0xff]);
                assert_eq!(walk(&m, address as u32), Records::Overrun, "{i}");
                assert_eq!(walk(&all[..at + 3], address as u32), Records::Overrun, "{i}");
            }
        }
    }

    #[test]
    fn a_count_that_lies_is_an_overrun() {
        let mut m = report(&[(0, 0)], 4);
        m[6..8].copy_from_slice(&[0xff, 0xff]);
        assert_eq!(walk(&m, 4), Records::Overrun);
    }
}
