//! How many keys hold a cell.

use super::elements::Elements;
use icmp_common::cells::CellSet;

/// Sets that are read at most, so that a scrape takes some milliseconds whatever the table's size.
/// A key's set follows from its hash, so the first ones are as full as the rest.
const READ: u32 = 65_536;

/// How many cells are in use at this time; of a table larger than [`READ`] sets, an estimate by the first
/// of them. `None` where the kernel doesn't read it.
pub(super) fn in_use(sets: &Elements<CellSet>, now: u64) -> Option<u64> {
    let mut used = 0;
    let count = |set: CellSet| {
        used += set.cells.iter().filter(|cell| !cell.is_free(now)).count() as u64;
    };
    sets.first(READ, count).ok()?;
    let read = sets.count().min(READ);
    Some(used * u64::from(sets.count()) / u64::from(read.max(1)))
}
