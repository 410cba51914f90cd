//! Atomic operations that this target has only as intrinsics.

use core::intrinsics::{AtomicOrdering, atomic_cxchg, atomic_xadd};

/// Puts `new` in place of `old`; `Err` is what was there instead.
///
/// # Safety
/// `at` must be valid for reads and writes and aligned.
#[inline(always)]
pub unsafe fn compare_exchange<T: Copy>(at: *mut T, old: T, new: T) -> Result<T, T> {
    // SAFETY: the caller's.
    let (was, done) = unsafe {
        atomic_cxchg::<T, { AtomicOrdering::SeqCst }, { AtomicOrdering::SeqCst }>(at, old, new)
    };
    if done { Ok(was) } else { Err(was) }
}

/// Adds, and gives back what was there before.
///
/// # Safety
/// As [`compare_exchange`].
#[inline(always)]
pub unsafe fn fetch_add_u32(at: *mut u32, n: u32) -> u32 {
    // SAFETY: the caller's.
    unsafe { atomic_xadd::<u32, u32, { AtomicOrdering::SeqCst }>(at, n) }
}

/// Likewise.
///
/// # Safety
/// As [`compare_exchange`].
#[inline(always)]
pub unsafe fn fetch_add_u64(at: *mut u64, n: u64) -> u64 {
    // SAFETY: the caller's.
    unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::SeqCst }>(at, n) }
}

/// Reads what other CPUs may write at the same time; one load of an aligned word is never torn.
///
/// # Safety
/// `at` must be valid for reads and aligned.
#[inline(always)]
pub unsafe fn load<T: Copy>(at: *const T) -> T {
    // SAFETY: the caller's. An atomic load does not compile for this target.
    unsafe { at.read_volatile() }
}
