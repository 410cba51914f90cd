//! Token buckets by key: a set-associative array of cells, in place of a hash map.
//!
//! A cell is a tag, which stands for one key of one limit, and a bucket's time (see
//! [`crate::bucket`]). A key has one set, found by its hash; a set is one cache line. So a packet
//! touches one line, whether its key is known or not, and a flood of a million keys grows nothing.
//!
//! Three properties of GCRA make it work without a clock hand, a list or an insertion that has to
//! wait:
//! - A bucket whose time is past is full, and a full bucket is what an unknown key has. To forget
//!   it loses nothing, so such a cell is free for the next key. At 100 a second a key that sent one
//!   packet keeps its cell for 10 ms.
//! - A cell whose bucket isn't full is never taken away: no flood gives back to anyone what they
//!   have spent. Where a set has no other, the key goes without ([`Place::Full`]).
//! - The time also says how long a cell has been idle. A cell that is *established* (it was used
//!   when its limit had plenty) is kept for [`KEEP`] longer, so that a flood which came later
//!   doesn't make strangers of the well-behaved. Of the free, what was used within that time is taken last: a key is
//!   established by its second packet.
//!
//! The hash is keyed, and the key never leaves the machine: who floods can't choose a set. It isn't
//! a pseudo-random function; SipHash-1-3 would take three times as long, for an attacker who sees
//! no hash and to whom a million sources fill every set alike.

use crate::{
    branchless::top_bit,
    bucket::{MAX_DEPTH, SKEW, UNITS_PER_S, admit},
};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Cells of a set: 64 octets, a cache line.
pub const WAYS: usize = 4;
/// How many of them may be established: the others stay for strangers.
pub const ESTABLISHED_WAYS: usize = 2;
/// How long an established cell outlives its bucket's being full again: a minute, in the unit of
/// [`crate::bucket`].
pub const KEEP: u64 = 60 * UNITS_PER_S;
/// The lowest bit of [`Cell::tat`]: the cell is established. (A two-hundred-and-fifty-sixth of a
/// nanosecond is none that a limit misses.)
pub const ESTABLISHED: u64 = 1;

/// A bucket of one key.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Cell {
    /// [`tag`] of its key; 0 where the cell was never used.
    pub tag: u64,
    /// Its theoretical arrival time and, as the lowest bit, [`ESTABLISHED`].
    pub tat: u64,
}

/// The cells that a key may have.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct CellSet {
    /// In no order.
    pub cells: [Cell; WAYS],
}

const _: () = assert!(size_of::<CellSet>() == 64);

impl Cell {
    /// Whether it was used when its limit had plenty.
    #[must_use]
    #[inline(always)]
    pub const fn is_established(self) -> bool {
        self.tat & ESTABLISHED != 0
    }

    /// Whether another key may take it: it was never used, or its bucket is full and it isn't kept.
    #[must_use]
    #[inline(always)]
    pub const fn is_free(self, now: u64) -> bool {
        let is_full = self.tat.wrapping_sub(now) > MAX_DEPTH + SKEW;
        let is_kept = self.is_established() && now.wrapping_sub(self.tat) <= KEEP;
        self.tag == 0 || is_full && !is_kept
    }

    /// 1 where it wasn't used for a minute, or never: since the machine's start, which is as long but for its first
    /// minute. Without a branch: of a set, each would be one by chance.
    #[must_use]
    #[inline(always)]
    pub fn is_stale(self, now: u64) -> u64 {
        top_bit((KEEP - 1).wrapping_sub(now.wrapping_sub(self.tat)))
    }

    /// What its time becomes when a packet is charged to it, as [`crate::bucket::admit`] says; `None`
    /// where the packet is beyond the limit. The bit is no part of the time, or an established key
    /// would have one packet less at once.
    #[must_use]
    #[inline(always)]
    pub const fn charge(self, now: u64, cost: u64, depth: u64, establish: bool) -> Option<u64> {
        let keep = if establish { ESTABLISHED } else { self.tat & ESTABLISHED };
        match admit(self.tat & !ESTABLISHED, now, cost, depth) {
            Some(next) => Some(next & !ESTABLISHED | keep),
            None => None,
        }
    }
}

/// Where a key's cell is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It has this one.
    Has(usize),
    /// It can take this one.
    Take(usize),
    /// It has none and there is none to take.
    Full,
}

/// Looks for the cell of a key among those of its set, which `load` reads one by one: other CPUs
/// may write them meanwhile.
#[must_use]
#[inline(always)]
pub fn find(tag: u64, now: u64, load: impl Fn(usize) -> Cell) -> Place {
    if let Some(way) = ways(tag).find(|way| load(*way).tag == tag) {
        return Place::Has(way);
    }
    // What was used within a minute may be about to become established; a flood leaves nothing else, and takes what is
    // free, with which nothing else is lost.
    let stale = ways(tag).find(|way| load(*way).is_free(now) && load(*way).is_stale(now) != 0);
    match stale.or_else(|| ways(tag).find(|way| load(*way).is_free(now))) {
        Some(way) => Place::Take(way),
        None => Place::Full,
    }
}

/// Whether a key that has no cell takes its first one by right, as [`find`] would have it: it is stale, or none is.
#[must_use]
#[inline(always)]
pub fn takes_first(tag: u64, now: u64, load: impl Fn(usize) -> Cell) -> bool {
    let any = (0..WAYS).fold(0, |any, way| any | load(way).is_stale(now));
    load(first(tag)).is_stale(now) | any ^ 1 != 0
}

/// The cells of a set in the order in which a key looks at them: from one that its tag says, so that most keys have
/// the first, and no branch is by chance, whether a key is known or takes one; and all cells are taken as often.
#[inline(always)]
pub fn ways(tag: u64) -> impl Iterator<Item = usize> {
    let first = first(tag);
    (0..WAYS).map(move |i| (first + i) & (WAYS - 1))
}

/// The first of them.
#[must_use]
#[inline(always)]
pub const fn first(tag: u64) -> usize {
    // None of the bits that tell the set.
    (tag >> 62) as usize & (WAYS - 1)
}

/// Whether a set has room for one more established cell.
#[must_use]
#[inline(always)]
pub fn may_establish(now: u64, load: impl Fn(usize) -> Cell) -> bool {
    let mut established = 0;
    for way in 0..WAYS {
        let cell = load(way);
        established += usize::from(cell.is_established() && !cell.is_free(now));
    }
    established < ESTABLISHED_WAYS
}

/// What stands for a key in the table: its lower bits are the set's, its highest say which cell of it is looked at first.
///
/// `secrets` are the instance's and the limit's; `key` is two words.
#[must_use]
#[inline(always)]
pub const fn tag(secrets: [u64; 2], key: [u64; 2]) -> u64 {
    // Multipliers and shifts of MurmurHash3's 64-bit finaliser (Austin Appleby, public domain).
    let mut h = (key[0] ^ secrets[0]).wrapping_mul(0xff51_afd7_ed55_8ccd);
    h ^= h >> 32;
    h = (h ^ key[1] ^ secrets[1]).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    h ^= h >> 33;
    h = h.wrapping_mul(0xff51_afd7_ed55_8ccd);
    h ^= h >> 33;
    // Zero is a cell that was never used.
    if h == 0 { 1 } else { h }
}

/// Prefixes of addresses as masks. Without branches: each would be a way more that the verifier walks.
pub mod prefix {
    /// The mask of so many bits of an IPv4 address, at most 32, in host order.
    #[must_use]
    #[inline(always)]
    pub const fn mask_v4(bits: u8) -> u32 {
        // In 64 bits, where a shift by 32 is one.
        (u64::MAX << 32 >> (bits & 63)) as u32
    }

    /// The mask of so many bits of an IPv6 address, at most 128, as two words in host order.
    #[must_use]
    #[inline(always)]
    pub const fn mask_v6(bits: u8) -> [u64; 2] {
        // Of the word that isn't whole, and whether the first is whole, and the second.
        let part = !(u64::MAX >> (bits & 63));
        let words = (bits >> 6) as u64;
        let first = ((words | words >> 1) & 1).wrapping_neg();
        let second = (words >> 1 & 1).wrapping_neg();
        [part | first, part & first | second]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bucket::{Limit, Unit};

    const S: u64 = UNITS_PER_S;

    /// A table as the kernel program uses it, on one CPU.
    struct Table {
        sets: Vec<CellSet>,
        limit: Limit,
    }

    /// What became of a packet.
    #[derive(Debug, PartialEq, Eq)]
    enum Seen {
        Passed,
        Refused,
        NoCell,
    }

    impl Table {
        fn new(sets: usize, rate: u64, burst: u64) -> Self {
            let limit = Limit::new(rate, 1, burst, Unit::Packets).unwrap();
            Self { sets: vec![CellSet::default(); sets], limit }
        }

        fn packet(&mut self, key: u64, now: u64, plenty: bool) -> Seen {
            let tag = tag([0x1234_5678_9abc_def0, 0x0fed_cba9_8765_4321], [key, 0]);
            let sets = self.sets.len() as u64;
            let cells = &mut self.sets[(tag % sets) as usize].cells;
            let way = match find(tag, now, |way| cells[way]) {
                Place::Has(way) => way,
                Place::Take(way) => {
                    cells[way] = Cell { tag, tat: now & !ESTABLISHED };
                    way
                }
                Place::Full => return Seen::NoCell,
            };
            let establish = plenty && may_establish(now, |way| cells[way]);
            let cell = &mut cells[way];
            match cell.charge(now, self.limit.cost, self.limit.depth, establish) {
                Some(next) => {
                    cell.tat = next;
                    Seen::Passed
                }
                None => Seen::Refused,
            }
        }
    }

    #[test]
    fn each_key_has_a_bucket_of_its_own_established_or_not() {
        for plenty in [false, true] {
            let mut table = Table::new(1024, 10, 5);
            for key in 0..500 {
                let passed = (0..20).filter(|_| table.packet(key, 7 * S, plenty) == Seen::Passed);
                assert_eq!(passed.count(), 5, "{key}");
            }
        }
    }

    /// One packet in a while is enough to be known by the next, as long as there is a cell that nobody uses.
    #[test]
    fn who_looks_at_the_same_cell_first_takes_another() {
        let mut cells = [Cell::default(); WAYS];
        let mut now = 100 * S;
        let mut look = |tag: u64| {
            now += S / 2;
            let place = find(tag, now, |way| cells[way]);
            let by_right = takes_first(tag, now, |way| cells[way]);
            if let Place::Take(way) = place {
                assert_eq!(by_right, way == first(tag), "{place:?}");
                cells[way] = Cell { tag, tat: now };
            }
            place
        };
        let tags: Vec<u64> = (1..=5).map(|i| 2 << 62 | i).collect();
        let ways = [2, 3, 0, 1].map(Place::Take);
        assert_eq!([0, 1, 2, 3].map(|i| look(tags[i])), ways);
        for i in [0, 1, 2, 3, 3, 1] {
            assert!(matches!(look(tags[i]), Place::Has(_)), "{i}");
        }
        // In a flood nobody is known for a minute, and the first is as good as any.
        assert_eq!(look(tags[4]), Place::Take(2));
    }

    #[test]
    fn what_a_key_spent_is_not_given_back_by_a_flood() {
        let mut table = Table::new(64, 10, 5);
        for key in 0..32 {
            (0..5).for_each(|_| assert_eq!(table.packet(key, 7 * S, false), Seen::Passed));
        }
        // A flood of a million others, within the time in which nothing comes back.
        for key in 1000..1_001_000 {
            table.packet(key, 7 * S, false);
        }
        for key in 0..32 {
            assert_eq!(table.packet(key, 7 * S, false), Seen::Refused, "{key}");
        }
    }

    #[test]
    fn a_full_bucket_is_forgotten_and_a_key_takes_its_cell() {
        let mut table = Table::new(1, 10, 5);
        for key in 0..WAYS as u64 {
            assert_eq!(table.packet(key, 7 * S, false), Seen::Passed);
        }
        assert_eq!(table.packet(99, 7 * S, false), Seen::NoCell);
        // A tenth of a second brings back the one packet that each spent.
        assert_eq!(table.packet(99, 7 * S + S / 10 + 1, false), Seen::Passed);
    }

    #[test]
    fn the_established_outlive_a_flood_for_a_minute() {
        let mut table = Table::new(256, 100, 200);
        let well_behaved: Vec<u64> = (1_000_000..1_000_010).collect();
        for key in &well_behaved {
            assert_eq!(table.packet(*key, 7 * S, true), Seen::Passed);
        }
        let is_known = |table: &Table, key: u64, now: u64| {
            let tag = tag([0x1234_5678_9abc_def0, 0x0fed_cba9_8765_4321], [key, 0]);
            let cells = table.sets[(tag % 256) as usize].cells;
            matches!(find(tag, now, |way| cells[way]), Place::Has(_))
        };
        for i in 0..500_000 {
            table.packet(i, 7 * S + i * (50 * S / 500_000), false);
        }
        assert!(well_behaved.iter().all(|key| is_known(&table, *key, 57 * S)));
        // Idle for longer than that, they are strangers again.
        for i in 500_000..600_000 {
            table.packet(i, 70 * S, false);
        }
        assert!(!well_behaved.iter().any(|key| is_known(&table, *key, 70 * S)));
    }

    #[test]
    fn the_established_leave_room_for_strangers() {
        let mut table = Table::new(1, 100, 200);
        for key in 0..100 {
            table.packet(key, 7 * S + key * S / 10, true);
        }
        let kept = table.sets[0].cells.iter().filter(|c| c.is_established()).count();
        assert_eq!(kept, ESTABLISHED_WAYS);
        assert_eq!(table.packet(1000, 18 * S, false), Seen::Passed);
    }

    #[test]
    fn a_clock_that_jumps_frees_what_it_left_behind() {
        let mut table = Table::new(1, 10, 5);
        for key in 0..WAYS as u64 {
            table.packet(key, 1 << 62, true);
        }
        assert_eq!(table.packet(99, 5 * S, false), Seen::Passed);
    }

    #[test]
    fn keys_spread_over_the_sets() {
        // Consecutive addresses, prefixes and words that differ in one bit, each in 4096 sets.
        let kinds: [fn(u64) -> [u64; 2]; 4] = [
            |i| [0, 0xffff_0a00_0000 + i],
            |i| [i << 48, 0],
            |i| [0x2001_0db8 << 32 | i, 0],
            |i| [i.reverse_bits(), i << 20],
        ];
        for (n, kind) in kinds.iter().enumerate() {
            let mut counts = vec![0u32; 4096];
            for i in 0..65_536 {
                let tag = tag([0xdead_beef_0123_4567, 0x89ab_cdef_8765_4321], kind(i));
                counts[(tag & 4095) as usize] += 1;
            }
            // 16 in the mean; of 4,096 Poisson variables the largest is below 40.
            let most = counts.iter().max().unwrap();
            let empty = counts.iter().filter(|c| **c == 0).count();
            assert!(*most < 45 && empty < 5, "kind {n}: most {most}, empty {empty}");
        }
    }

    #[test]
    fn masks_of_every_prefix_length() {
        for bits in 0..=32u8 {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            assert_eq!(prefix::mask_v4(bits), mask, "{bits}");
        }
        for bits in 0..=128u8 {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            let [high, low] = prefix::mask_v6(bits);
            assert_eq!(u128::from(high) << 64 | u128::from(low), mask, "{bits}");
        }
    }

    #[test]
    fn tags_of_different_limits_and_instances_differ() {
        let key = [0, 0xffff_0a00_0001];
        let tags = [tag([1, 2], key), tag([1, 3], key), tag([2, 2], key)];
        assert!(tags[0] != tags[1] && tags[0] != tags[2] && tags[1] != tags[2]);
    }
}
