//! Token buckets by the generic cell rate algorithm (GCRA, ITU-T I.371 annex A), as one 64-bit
//! time.
//!
//! The state of a bucket is its *theoretical arrival time* (TAT): the time until which it is
//! spent. A packet of cost `c` is admitted where `max(TAT, now) + c - now <= depth`, and then moves
//! TAT to `max(TAT, now) + c`. `depth` is the burst times the cost of one.
//!
//! Time is unsigned, in units of 2^-8 ns, and wraps after 2.28 years of uptime; all comparisons are
//! of differences, so the wrap itself is harmless. A bucket that was last used more than half that
//! long ago looks as if it were ahead of the present; [`admit`] takes whatever is further ahead
//! than any admission can have put it as a bucket that is full again.
//!
//! The functions are pure and total: time is passed in, no operand overflows (see the bounds of
//! [`Limit::new`]), and nothing is divided at packet rate.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Units of bucket time in a nanosecond.
pub const UNITS_PER_NS: u64 = 1 << 8;
/// Units of bucket time in a second: what rates are divided into.
pub const UNITS_PER_S: u64 = 1_000_000_000 * UNITS_PER_NS;
/// The cost of one octet has this many bits more, so that 100 Gbit/s is still exact to 0.02 %.
pub const OCTET_SHIFT: u32 = 8;
/// How far beyond its depth a bucket may seem to be ahead, because another CPU read the clock
/// later than this one: 2^30 ns. Beyond that, the clock jumped, and the bucket is taken as full.
pub const SKEW: u64 = (1 << 30) * UNITS_PER_NS;
/// The longest time that a burst may take to come back: 2^61 units, 104 days. It leaves room for
/// [`SKEW`] and for the cost of one packet below the half range of a wrapping comparison.
pub const MAX_DEPTH: u64 = 1 << 61;

/// What a packet of `octets` costs under a limit in octets, given the cost of one.
///
/// `octets` is below 2^16 for any frame, and [`Limit::new`] keeps `cost` below 2^46, so the product
/// fits.
#[must_use]
#[inline(always)]
pub const fn octets_cost(cost: u64, octets: u32) -> u64 {
    cost.wrapping_mul(octets as u64) >> OCTET_SHIFT
}

/// How far ahead admissions put a bucket of this depth at most, where charges are randomised: a packet of
/// the whole depth may be charged twice.
#[must_use]
#[inline(always)]
pub const fn reach(depth: u64) -> u64 {
    depth.wrapping_mul(2)
}

/// What is spent of a bucket that stands at `tat`, at time `now`: 0 where it is full.
///
/// Behind the present (the difference is negative), or further ahead than any admission puts it, `reach`:
/// the bucket is full.
#[must_use]
#[inline(always)]
pub const fn spent(tat: u64, now: u64, reach: u64) -> u64 {
    let ahead = tat.wrapping_sub(now);
    if ahead > reach.wrapping_add(SKEW) { 0 } else { ahead }
}

/// Whether a bucket of which `spent` is spent still has `cost`.
#[must_use]
#[inline(always)]
pub const fn has(spent: u64, cost: u64, depth: u64) -> bool {
    spent.wrapping_add(cost) <= depth
}

/// Whether a packet of `cost` may pass a bucket that stands at `tat`, at time `now`: the bucket's
/// new state, or `None` where the packet is beyond the limit (the state then stays).
#[must_use]
#[inline(always)]
pub const fn admit(tat: u64, now: u64, cost: u64, depth: u64) -> Option<u64> {
    let spent = spent(tat, now, depth);
    if has(spent, cost, depth) { Some(now.wrapping_add(spent).wrapping_add(cost)) } else { None }
}

/// Random draws of one word: nothing, once or twice the cost of a packet, each as likely. It is what
/// packets are charged where strangers share a bucket.
///
/// A bucket that charges each packet exactly is an oracle: whoever empties it by packets of their
/// own learns from the last ones how many others it let pass meanwhile (CVE-2020-25705). The mean
/// is the cost, so over time the rate is kept; after `n` packets the level is uncertain by 0.8 times
/// the square root of `n`. As Linux does it since commit b38e7819cae9.
///
/// A word has several draws, the digits to base 3 of the fraction that it is: to ask for one costs as
/// much as the rest of a limit.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Draws {
    /// What is left of the word.
    word: u32,
    /// How many draws are left of it.
    left: u32,
}

/// How many draws a word has: of the 32 bits they take 12.7, so that the last is even to one part in
/// 500,000.
pub const DRAWS: u32 = 8;

impl Draws {
    /// The next draw, 0, 1 or 2; `fresh` is a random word, asked for where there is none left.
    #[must_use]
    #[inline(always)]
    pub fn next(&mut self, fresh: impl FnOnce() -> u32) -> u64 {
        if self.left == 0 {
            *self = Self { word: fresh(), left: DRAWS };
        }
        let product = u64::from(self.word) * 3;
        *self = Self { word: product as u32, left: self.left - 1 };
        product >> 32
    }
}

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Packets.
    Packets,
    /// Octets of the frame.
    Octets,
}

/// Why a limit can't be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitError {
    /// The rate is zero.
    ZeroRate,
    /// The burst is zero.
    ZeroBurst,
    /// The rate is above [`MAX_RATE`].
    RateTooHigh,
    /// The burst takes longer to come back than [`MAX_DEPTH`].
    BurstTooLong,
}

/// The highest rate: 10^9 packets, or 10^12 octets, a second.
#[must_use]
pub const fn max_rate(unit: Unit) -> u64 {
    match unit {
        Unit::Packets => 1_000_000_000,
        Unit::Octets => 1_000_000_000_000,
    }
}

/// A limit in the units of the bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The cost of one packet in units of time, or of one octet in units of time times
    /// 2^[`OCTET_SHIFT`].
    pub cost: u64,
    /// The burst, in units of time.
    pub depth: u64,
}

impl Limit {
    /// The limit of `rate` in each `period_s` seconds, with `burst` at once.
    ///
    /// # Errors
    /// [`LimitError`] where it can't be kept: zero, beyond [`max_rate`], or a burst that takes
    /// longer than [`MAX_DEPTH`] to come back.
    pub fn new(rate: u64, period_s: u64, burst: u64, unit: Unit) -> Result<Self, LimitError> {
        if rate == 0 || period_s == 0 {
            return Err(LimitError::ZeroRate);
        }
        if burst == 0 {
            return Err(LimitError::ZeroBurst);
        }
        let period = u128::from(UNITS_PER_S) * u128::from(period_s);
        let shift = match unit {
            Unit::Packets => 0,
            Unit::Octets => OCTET_SHIFT,
        };
        if u128::from(rate) > u128::from(max_rate(unit)) * u128::from(period_s) {
            return Err(LimitError::RateTooHigh);
        }
        // Round to nearest, so that the error of the rate is at most half a unit of the cost.
        let rate = u128::from(rate);
        let cost = ((period << shift) + rate / 2) / rate;
        let depth = (cost * u128::from(burst)) >> shift;
        if depth > u128::from(MAX_DEPTH) || cost >> shift > u128::from(MAX_DEPTH) {
            return Err(LimitError::BurstTooLong);
        }
        // octets_cost: the product of the cost and a frame's length stays below 2^64.
        if matches!(unit, Unit::Octets) && cost >= 1 << 46 {
            return Err(LimitError::BurstTooLong);
        }
        Ok(Self { cost: cost as u64, depth: depth as u64 })
    }

    /// Whether the burst covers two ticks of this length (in units): then the coarse clock is
    /// accurate enough.
    #[must_use]
    pub const fn fits_ticks(self, tick: u64) -> bool {
        self.depth >= 2 * tick
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = UNITS_PER_S;

    fn run(limit: Limit, times: impl Iterator<Item = u64>) -> u64 {
        let (mut tat, mut passed) = (None, 0);
        for now in times {
            // A bucket that has been left alone until now.
            if let Some(next) = admit(tat.unwrap_or(now), now, limit.cost, limit.depth) {
                tat = Some(next);
                passed += 1;
            }
        }
        passed
    }

    #[test]
    fn a_burst_passes_at_once_and_no_more() {
        let limit = Limit::new(10, 1, 7, Unit::Packets).unwrap();
        assert_eq!(run(limit, std::iter::repeat_n(5 * S, 100)), 7);
    }

    #[test]
    fn over_time_the_rate_passes_and_the_burst_once() {
        for (rate, burst) in [(1, 1), (100, 200), (5000, 500), (1_000_000, 10), (1_000_000_000, 1)]
        {
            let limit = Limit::new(rate, 1, burst, Unit::Packets).unwrap();
            // Offer 256 times the rate: a bucket of burst 1 loses at most an offer's distance.
            let step = (limit.cost / 256).max(1);
            let offers = 2_000_000;
            let passed = run(limit, (0..offers).map(|i| 9 * S + i * step));
            let expected = burst + offers * step / limit.cost;
            assert!(
                passed.abs_diff(expected) <= 1 + expected / 200,
                "{rate}/{burst}: {passed} of {expected}"
            );
        }
    }

    #[test]
    fn never_more_than_rate_and_burst_in_any_window() {
        // A deterministic, uneven arrival process; every window is checked.
        let limit = Limit::new(1000, 1, 20, Unit::Packets).unwrap();
        let (mut tat, mut now, mut x) = (0, 3 * S, 0x9e37_79b9_u64);
        let mut passed = Vec::new();
        for _ in 0..20_000 {
            x = x.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            now += (x >> 40) * UNITS_PER_NS / 16;
            if let Some(next) = admit(tat, now, limit.cost, limit.depth) {
                tat = next;
                passed.push(now);
            }
        }
        for (i, start) in passed.iter().enumerate() {
            for (j, end) in passed.iter().enumerate().skip(i).take(200) {
                let allowed = 20 + (end - start) / limit.cost;
                assert!((j - i + 1) as u64 <= allowed + 1);
            }
        }
        assert!(passed.len() > 1000);
    }

    #[test]
    fn a_clock_that_steps_back_a_little_gives_nothing_away() {
        let limit = Limit::new(1000, 1, 5, Unit::Packets).unwrap();
        let now = 100 * S;
        let mut tat = 0;
        for _ in 0..5 {
            tat = admit(tat, now, limit.cost, limit.depth).unwrap();
        }
        // Another CPU read the clock a microsecond earlier.
        assert_eq!(admit(tat, now - 1000 * UNITS_PER_NS, limit.cost, limit.depth), None);
    }

    #[test]
    fn a_clock_that_jumps_back_does_not_lock_the_bucket() {
        let limit = Limit::new(1000, 1, 5, Unit::Packets).unwrap();
        let tat = admit(0, 1000 * S, limit.cost, limit.depth).unwrap();
        assert_eq!(admit(tat, 10 * S, limit.cost, limit.depth), Some(10 * S + limit.cost));
    }

    #[test]
    fn the_wrap_of_time_is_not_seen() {
        let limit = Limit::new(1000, 1, 100, Unit::Packets).unwrap();
        let start = u64::MAX - S / 2;
        let passed = run(limit, (0..20_000).map(|i| start.wrapping_add(i * (S / 10_000))));
        assert!((2099..=2101).contains(&passed), "{passed}");
    }

    #[test]
    fn a_bucket_idle_for_half_the_range_is_full() {
        let limit = Limit::new(1, 1, 1, Unit::Packets).unwrap();
        let tat = admit(0, 10, limit.cost, limit.depth).unwrap();
        let later = 10u64.wrapping_add(1 << 63).wrapping_add(12345);
        assert!(admit(tat, later, limit.cost, limit.depth).is_some());
    }

    /// Of words spread evenly over all there are, each sequence of draws comes as often as any other,
    /// whatever came before.
    #[test]
    fn every_sequence_of_draws_is_as_likely() {
        let sequences = 3usize.pow(DRAWS);
        let mut counts = vec![0u32; sequences];
        let words = 1u32 << 24;
        for n in 0..words {
            let mut draws = Draws::default();
            let mut fresh = 0;
            let mut sequence = 0;
            for _ in 0..DRAWS {
                let draw = draws.next(|| {
                    fresh += 1;
                    n << 8 | 0x80
                });
                sequence = sequence * 3 + draw as usize;
            }
            assert_eq!(fresh, 1);
            counts[sequence] += 1;
        }
        let each = words / sequences as u32;
        let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
        assert!(*least >= each && *most <= each + 1, "{least} to {most} of {each}");
    }

    #[test]
    fn a_word_is_asked_for_when_the_last_has_no_draws_left() {
        let mut draws = Draws::default();
        let mut asked = 0;
        for n in 0..3 * DRAWS {
            let draw = draws.next(|| {
                asked += 1;
                u32::MAX
            });
            assert_eq!(draw, 2);
            assert_eq!(asked, n / DRAWS + 1);
        }
    }

    #[test]
    fn octets_are_counted_as_octets() {
        let limit = Limit::new(12_500_000_000, 1, 1_000_000, Unit::Octets).unwrap();
        let (mut tat, mut octets) = (0u64, 0u64);
        for i in 0..1_000_000u64 {
            let now = 7 * S + i * (S / 1_000_000_000);
            if let Some(next) = admit(tat, now, octets_cost(limit.cost, 1514), limit.depth) {
                tat = next;
                octets += 1514;
            }
        }
        // One millisecond of 12.5 GB/s and the burst.
        let expected = 12_500_000 + 1_000_000;
        assert!(octets.abs_diff(expected) < expected / 500, "{octets} of {expected}");
    }

    #[test]
    fn what_cannot_be_kept_is_refused() {
        use LimitError::*;
        for (rate, period, burst, unit, error) in [
            (0, 1, 1, Unit::Packets, ZeroRate),
            (1, 1, 0, Unit::Packets, ZeroBurst),
            (1_000_000_001, 1, 1, Unit::Packets, RateTooHigh),
            (1, 3600, 5000, Unit::Packets, BurstTooLong),
            (u64::MAX, 1, 1, Unit::Octets, RateTooHigh),
            (1, 1, u64::MAX, Unit::Packets, BurstTooLong),
        ] {
            assert_eq!(
                Limit::new(rate, period, burst, unit),
                Err(error),
                "{rate}/{period}/{burst}"
            );
        }
        assert!(Limit::new(1, 3600, 1, Unit::Packets).is_ok());
        assert!(Limit::new(1_000_000_000, 1, 1, Unit::Packets).is_ok());
    }

    #[test]
    fn no_cost_of_a_frame_overflows() {
        for rate in [1000, 1_000_000_000_000] {
            let limit = Limit::new(rate, 1, 65_536, Unit::Octets).unwrap();
            assert_eq!(
                u128::from(octets_cost(limit.cost, 65_535)),
                (u128::from(limit.cost) * 65_535) >> OCTET_SHIFT
            );
        }
    }
}
