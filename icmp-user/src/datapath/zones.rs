//! Zones as the kernel program looks them up: see `icmp_common::zones`.

use super::{
    Error,
    maps::{Value, new_array},
};
use aya::maps::{Array, ArrayOfMaps, MapData};
use icmp_common::{
    abi::{ZONE_RANGES, ZoneColumn, name, zone_column},
    zones::first_step,
};
use ipnet::{Ipv4Net, Ipv6Net};
use std::alloc::{Layout, handle_alloc_error};
use zerocopy::FromZeros as _;

/// The two slots of the zones of a family.
pub(super) type Slots = ArrayOfMaps<MapData, Array<MapData, Value<ZoneColumn>>>;

/// How many ranges a family has, and the first step of their search.
pub(super) type Extent = (u32, u32);

/// Puts prefixes with their sets of zones into a slot of the family's. Where there are none, what was in the
/// slot stays: nobody looks there.
///
/// # Errors
/// A map operation that failed.
pub(super) fn set_v4(
    slots: &mut Slots,
    slot: u32,
    prefixes: &[(Ipv4Net, u32)],
) -> Result<Extent, Error> {
    let spans = prefixes.iter().map(|(net, set)| Span {
        first: net.network().to_bits().into(),
        last: net.broadcast().to_bits().into(),
        set: *set,
    });
    let ranges = ranges(spans.collect(), u32::MAX.into());
    let words = ranges.iter().map(|(begin, set)| (*begin as u64) << 32 | u64::from(*set));
    put(slots, slot, name::ZONES_V4, ranges.len(), [words.collect()])
}

/// As [`set_v4`].
///
/// # Errors
/// As [`set_v4`].
pub(super) fn set_v6(
    slots: &mut Slots,
    slot: u32,
    prefixes: &[(Ipv6Net, u32)],
) -> Result<Extent, Error> {
    let spans = prefixes.iter().map(|(net, set)| Span {
        first: net.network().to_bits(),
        last: net.broadcast().to_bits(),
        set: *set,
    });
    let ranges = ranges(spans.collect(), u128::MAX);
    let mut columns = [const { Vec::new() }; zone_column::COUNT];
    for (begin, set) in &ranges {
        columns[zone_column::HIGH as usize].push((begin >> 64) as u64);
        columns[zone_column::LOW as usize].push(*begin as u64);
        columns[zone_column::SET as usize].push(u64::from(*set));
    }
    put(slots, slot, name::ZONES_V6, ranges.len(), columns)
}

fn put<const COLUMNS: usize>(
    slots: &mut Slots,
    slot: u32,
    name: &'static str,
    count: usize,
    columns: [Vec<u64>; COLUMNS],
) -> Result<Extent, Error> {
    if count == 0 {
        return Ok((0, 0));
    }
    let mut map = new_array::<ZoneColumn>(name, COLUMNS as u32)?;
    // On the heap from the start: it is larger than a thread's stack has to be.
    let mut whole = ZoneColumn::new_box_zeroed()
        .unwrap_or_else(|_| handle_alloc_error(Layout::new::<ZoneColumn>()));
    for (number, column) in (0..).zip(columns) {
        whole[..count].copy_from_slice(&column);
        map.set(number, super::maps::value(&*whole), 0)?;
    }
    slots.set(slot, &map, 0)?;
    let count = count as u32;
    Ok((count, first_step(count)))
}

/// The addresses of a prefix, and its set of zones.
#[derive(Clone, Copy, Debug)]
struct Span {
    first: u128,
    last: u128,
    set: u32,
}

/// Where each range begins and what its set is, in order. Prefixes lie in one another or apart; an address
/// has the set of the shortest span that it is in, and before the first range, 0. `end` is the last address
/// there is.
fn ranges(mut spans: Vec<Span>, end: u128) -> Vec<(u128, u32)> {
    // Whoever begins first, and of those the one that holds the others.
    spans.sort_unstable_by_key(|span| (span.first, u128::MAX - span.last));
    let mut ranges: Vec<(u128, u32)> = Vec::with_capacity(2 * spans.len());
    let mut begin = |at: u128, set: u32| {
        // A span that begins, or goes on, where another does takes its place.
        if ranges.last().is_some_and(|(before, _)| *before == at) {
            ranges.pop();
        }
        if ranges.last().map_or(0, |(_, before)| *before) != set {
            ranges.push((at, set));
        }
    };
    let mut open: Vec<Span> = Vec::new();
    let close = |open: &mut Vec<Span>, before: Option<u128>, begin: &mut dyn FnMut(u128, u32)| {
        while let Some(span) = open.pop_if(|span| before.is_none_or(|first| span.last < first)) {
            if span.last < end {
                begin(span.last + 1, open.last().map_or(0, |outer| outer.set));
            }
        }
    };
    for span in spans {
        close(&mut open, Some(span.first), &mut begin);
        begin(span.first, span.set);
        open.push(span);
    }
    close(&mut open, None, &mut begin);
    debug_assert!(ranges.len() <= ZONE_RANGES);
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Splitmix64: the same prefixes in every run.
    struct Random(u64);

    impl Random {
        fn below(&mut self, n: u64) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (z ^ (z >> 31)) % n
        }
    }

    fn set_of(ranges: &[(u128, u32)], address: u128) -> u32 {
        let found = ranges.partition_point(|(begin, _)| *begin <= address);
        if found == 0 { 0 } else { ranges[found - 1].1 }
    }

    /// Every address of eight bits, under prefixes that lie in one another as deep as it goes.
    #[test]
    fn every_address_has_the_set_of_its_longest_prefix() {
        let mut random = Random(1);
        for _ in 0..2000 {
            let mut spans: Vec<Span> = Vec::new();
            for _ in 0..random.below(24) {
                let length = random.below(9) as u32;
                let free = 8 - length;
                let first = u128::from(random.below(256)) >> free << free;
                let last = first | ((1 << free) - 1);
                if spans.iter().all(|s| (s.first, s.last) != (first, last)) {
                    spans.push(Span { first, last, set: random.below(4) as u32 });
                }
            }
            let ranges = ranges(spans.clone(), 255);
            assert!(ranges.is_sorted_by(|a, b| a.0 < b.0 && a.1 != b.1), "{spans:?}: {ranges:?}");
            assert!(ranges.len() <= 2 * spans.len() && ranges.iter().all(|(at, _)| *at <= 255));
            for address in 0..256 {
                let within = |s: &&Span| s.first <= address && address <= s.last;
                let longest = spans.iter().filter(within).min_by_key(|s| s.last - s.first);
                let expected = longest.map_or(0, |s| s.set);
                assert_eq!(
                    set_of(&ranges, address),
                    expected,
                    "{address} in {spans:?}: {ranges:?}"
                );
            }
        }
    }

    #[test]
    fn the_last_address_ends_no_range() {
        let whole = Span { first: 0, last: u128::MAX, set: 7 };
        let half = Span { first: 1 << 127, last: u128::MAX, set: 8 };
        assert_eq!(ranges(vec![half, whole], u128::MAX), [(0, 7), (1 << 127, 8)]);
    }
}
