//! Buckets by key, in the kernel: `icmp_common::cells` over words that all CPUs share.
//!
//! Another CPU may take a cell between this one's finding it and charging it. Tag and time are then
//! swapped one after the other, so at worst one packet is charged to the wrong key; nothing is lost
//! or locked.

use crate::{
    atomic,
    limit::TRIES,
    maps::{CELL_STATS, CELLS},
};
use icmp_common::{
    abi::{KeyedLimit, PolicyTable},
    cells::{
        Cell, CellSet, ESTABLISHED, Place, WAYS, find, first, may_establish, tag, takes_first, ways,
    },
};

/// What became of a packet at its key's bucket.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Charged {
    /// It was within the limit.
    Yes,
    /// Likewise, and its key was established before.
    YesEstablished,
    /// It was beyond it.
    No,
    /// Its key has no cell, and there is none to take.
    NoCell,
}

impl Charged {
    /// Of a key that has a cell.
    #[inline(always)]
    const fn known(admitted: bool, is_established: bool) -> Self {
        match (admitted, is_established) {
            (false, _) => Self::No,
            (true, false) => Self::Yes,
            (true, true) => Self::YesEstablished,
        }
    }
}

/// [`icmpgate_charge_cell`]'s `how`, above the mask of sets: totals have room for strangers.
const STRANGERS: u64 = 1 << 32;
/// Likewise: totals have plenty.
const PLENTY: u64 = 1 << 33;

/// Charges the bucket of a key. Where a total has no room for strangers, only an established key is
/// admitted; where it has plenty, the key becomes established.
#[inline(always)]
pub fn charge(
    policy: &PolicyTable,
    limit: &KeyedLimit,
    key: [u64; 2],
    now: u64,
    cost: u64,
    strangers: bool,
    plenty: bool,
) -> Charged {
    let tag = tag([policy.secret, limit.secret], key);
    charge_tag(policy.cell_mask, tag, now, cost, limit.depth, strangers, plenty)
}

/// The same by its tag, in a table of so many sets, less one.
#[inline(always)]
pub fn charge_tag(
    mask: u32,
    tag: u64,
    now: u64,
    cost: u64,
    depth: u64,
    strangers: bool,
    plenty: bool,
) -> Charged {
    if let Some(charged) = charge_known(mask, tag, now, cost, depth, strangers, plenty) {
        return charged;
    }
    let mut how = u64::from(mask);
    if strangers {
        how |= STRANGERS;
    }
    if plenty {
        how |= PLENTY;
    }
    match icmpgate_charge_cell(tag, how, now, cost, depth) {
        0 => Charged::Yes,
        1 => Charged::YesEstablished,
        2 => Charged::No,
        _ => Charged::NoCell,
    }
}

/// Charges the bucket of a key that has a cell, where that stays what it is and no other CPU comes first, or gives a
/// key that has none the one that it looks at first: what nearly all packets find, spared a call that costs as much.
#[inline(always)]
fn charge_known(
    mask: u32,
    tag: u64,
    now: u64,
    cost: u64,
    depth: u64,
    strangers: bool,
    plenty: bool,
) -> Option<Charged> {
    let set = CELLS.get_ptr_mut(tag as u32 & mask)?;
    let Some(way) = ways(tag).find(|way| load(cell(set, *way)).tag == tag) else {
        let at = cell(set, first(tag));
        let may = strangers && cost <= depth && takes_first(tag, now, |way| load(cell(set, way)));
        return (may && take(at, tag, now, cost)).then_some(Charged::Yes);
    };
    let at = cell(set, way);
    let is_established = load(at).is_established();
    if !is_established && (plenty || !strangers) {
        return None;
    }
    Some(Charged::known(charge_once(at, now, cost, depth, false)?, is_established))
}

/// Looks a key up and charges its bucket; the result is a [`Charged`]. A global function, which the
/// verifier looks at once: as part of the pipeline, its ways through a set are multiplied by the
/// pipeline's (`BPF program is too large`).
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn icmpgate_charge_cell(tag: u64, how: u64, now: u64, cost: u64, depth: u64) -> u32 {
    charge_cell(tag, how, now, cost, depth) as u32
}

#[inline(always)]
fn charge_cell(tag: u64, how: u64, now: u64, cost: u64, depth: u64) -> Charged {
    let (strangers, plenty) = (how & STRANGERS != 0, how & PLENTY != 0);
    let Some(set) = CELLS.get_ptr_mut(tag as u32 & how as u32) else { return Charged::NoCell };
    let load = |way: usize| load(cell(set, way));
    // Once more where another CPU took the cell first.
    for _ in 0..2 {
        match find(tag, now, load) {
            Place::Has(way) => {
                let is = load(way).is_established();
                if !strangers && !is {
                    return Charged::No;
                }
                let become_one = plenty && !is && may_establish(now, load);
                let at = cell(set, way);
                let charge = |_| charge_once(at, now, cost, depth, become_one);
                let admitted = (0..TRIES).find_map(charge).unwrap_or(false);
                return Charged::known(admitted, is);
            }
            // A stranger for whom there is no room makes no cell. Nor does a packet that is beyond
            // the limit by itself, larger than a burst in octets.
            _ if !strangers || cost > depth => return Charged::No,
            Place::Take(way) => {
                if take(cell(set, way), tag, now, cost) {
                    return Charged::Yes;
                }
            }
            Place::Full => break,
        }
    }
    stat(0, 1);
    Charged::NoCell
}

/// Takes a cell for a key, where it is free, and charges it; whether no other CPU came first.
#[inline(always)]
fn take(at: *mut Cell, tag: u64, now: u64, cost: u64) -> bool {
    let was = load(at);
    // Another CPU may have taken it since, for another key or for this one.
    if was.tag == tag || !was.is_free(now) {
        return false;
    }
    // SAFETY: fields of an element of the map.
    let (tag_at, tat_at) = unsafe { (&raw mut (*at).tag, &raw mut (*at).tat) };
    // SAFETY: as above.
    if unsafe { atomic::compare_exchange(tag_at, was.tag, tag) }.is_err() {
        return false;
    }
    // SAFETY: as above.
    unsafe { tat_at.write_volatile(now.wrapping_add(cost) & !ESTABLISHED) };
    stat(1, 0);
    true
}

#[inline(always)]
fn cell(set: *mut CellSet, way: usize) -> *mut Cell {
    // SAFETY: masked to the cells of a set.
    unsafe { (&raw mut (*set).cells).cast::<Cell>().add(way & (WAYS - 1)) }
}

#[inline(always)]
fn load(cell: *mut Cell) -> Cell {
    // SAFETY: a cell of an element of the map, its words read one by one.
    unsafe {
        Cell {
            tag: atomic::load(&raw const (*cell).tag),
            tat: atomic::load(&raw const (*cell).tat),
        }
    }
}

/// Charges a cell; `None` where another CPU came first.
#[inline(always)]
fn charge_once(at: *mut Cell, now: u64, cost: u64, depth: u64, establish: bool) -> Option<bool> {
    let was = load(at);
    let Some(next) = was.charge(now, cost, depth, establish) else { return Some(false) };
    // SAFETY: a field of an element of the map.
    let done = unsafe { atomic::compare_exchange(&raw mut (*at).tat, was.tat, next) };
    done.is_ok().then_some(true)
}

#[inline(always)]
fn stat(taken: u64, full: u64) {
    let Some(stats) = CELL_STATS.get_ptr_mut(0) else { return };
    // SAFETY: this CPU's own element.
    unsafe {
        (*stats).taken += taken;
        (*stats).full += full;
    }
}

const _: () = assert!(size_of::<CellSet>() == WAYS * size_of::<Cell>());
