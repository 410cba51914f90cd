//! The kernel's clock that limits go by, which stands still between its ticks.
//!
//! What is sent within one tick isn't disturbed by a refill. An attacker elsewhere has to learn the
//! phase of it from when errors come; this one is spared that.

use std::{thread, time::Duration};

/// How long after a tick all that goes by the clock has seen it.
const SETTLED: Duration = Duration::from_micros(300);

/// When it last ticked.
pub fn last_tick() -> Duration {
    read(libc::clock_gettime, libc::CLOCK_MONOTONIC_COARSE)
}

/// Waits until it has ticked.
pub fn wait_for_tick() {
    let length = read(libc::clock_getres, libc::CLOCK_MONOTONIC_COARSE);
    let now = read(libc::clock_gettime, libc::CLOCK_MONOTONIC);
    thread::sleep((last_tick() + length).saturating_sub(now) + SETTLED);
}

fn read(
    what: unsafe extern "C" fn(libc::clockid_t, *mut libc::timespec) -> libc::c_int,
    clock: libc::clockid_t,
) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: both calls write to a value that lives through them.
    let result = unsafe { what(clock, &raw mut time) };
    assert_eq!(result, 0, "the kernel has this clock");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
