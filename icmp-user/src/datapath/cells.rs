//! How many keys hold a cell: read many sets at a time, since a table has tens of thousands. The
//! library that loads the program has no calls for that.

use super::link::bpf;
use icmp_common::cells::CellSet;
use std::os::fd::{AsRawFd as _, OwnedFd};
use zerocopy::{FromZeros as _, IntoBytes as _};

/// A command of bpf(2), linux/bpf.h (Linux 5.6).
const BPF_MAP_LOOKUP_BATCH: libc::c_long = 24;
/// Sets that are read at once: 256 KiB.
const AT_ONCE: u32 = 4096;
/// Sets that are read at most, so that a scrape takes some milliseconds whatever the table's size.
/// A key's set follows from its hash, so the first ones are as full as the rest.
const READ: u32 = 65_536;

/// How many cells of these sets are in use at this time; of a table larger than [`READ`] sets, an
/// estimate by the first of them. `None` where the kernel doesn't read it.
pub(super) fn in_use(map: &OwnedFd, sets: u32, now: u64) -> Option<u64> {
    /// `struct { … } batch` of `union bpf_attr`.
    #[repr(C)]
    struct Batch {
        from: u64,
        to: u64,
        keys: u64,
        values: u64,
        count: u32,
        map: u32,
        elem_flags: u64,
        flags: u64,
    }
    let mut values = vec![CellSet::new_zeroed(); AT_ONCE as usize];
    let mut keys = vec![0u32; AT_ONCE as usize];
    // Where the last batch ended: the kernel reads the one and writes the other.
    let (mut from, mut to) = (0u32, 0u32);
    let (mut read, mut used) = (0, 0);
    let wanted = sets.min(READ);
    while read < wanted {
        let batch = Batch {
            from: if read == 0 { 0 } else { &raw const from as u64 },
            to: &raw mut to as u64,
            keys: keys.as_mut_bytes().as_mut_ptr() as u64,
            values: values.as_mut_bytes().as_mut_ptr() as u64,
            count: AT_ONCE.min(wanted - read),
            map: map.as_raw_fd() as u32,
            elem_flags: 0,
            flags: 0,
        };
        // SAFETY: the attributes are those of the command, and the buffers have room for `count`
        // keys and values of this map.
        unsafe { bpf(BPF_MAP_LOOKUP_BATCH, &batch) }?;
        let cells = values[..batch.count as usize].iter().flat_map(|set| set.cells);
        used += cells.filter(|cell| cell.is_in_use(now)).count() as u64;
        read += batch.count;
        from = to;
    }
    Some(used * u64::from(sets) / u64::from(read.max(1)))
}
