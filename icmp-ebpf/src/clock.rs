//! The time of token buckets: the kernel's ticks, which cost nothing to read, or its nanoseconds,
//! which cost a call. Both count from the same moment, so that cells of limits by either clock can
//! tell which of them is idle.

use crate::maps::{FIRST_TICK, TICK};
use aya_ebpf::helpers::{bpf_jiffies64, bpf_ktime_get_ns};
use icmp_common::{abi::limit_flag, bucket::UNITS_PER_NS};

/// The clocks, each read once for a packet.
pub struct Clock {
    nanoseconds: u64,
}

impl Clock {
    /// Nothing is read yet.
    #[inline(always)]
    pub const fn new() -> Self {
        Self { nanoseconds: 0 }
    }

    /// The time by the clock that a limit's flags name, in the unit of buckets.
    #[inline(always)]
    pub fn now(&mut self, flags: u8) -> u64 {
        if flags & limit_flag::TICKS != 0 {
            // SAFETY: a helper without arguments.
            let ticks = unsafe { bpf_jiffies64() };
            return ticks.wrapping_sub(FIRST_TICK.load()).wrapping_mul(TICK.load());
        }
        if self.nanoseconds == 0 {
            // SAFETY: a helper without arguments.
            self.nanoseconds = unsafe { bpf_ktime_get_ns() }.wrapping_mul(UNITS_PER_NS);
        }
        self.nanoseconds
    }
}
