//! A limit that is a share of an interface's speed, as a token bucket: RFC 1812 4.3.2.8 and RFC 4443
//! 2.4(f) have errors limited "to some fraction of the attached network's bandwidth".
//!
//! One policy serves interfaces of different speeds, so what an octet costs is the product of two
//! numbers: what it takes at the whole speed, which the loader notes for each interface
//! ([`Speed::octet_cost`]), and how many times longer it takes under the share, which the policy has
//! ([`Share::factor`]). The burst is a time, and so is a bucket's depth: it is the same at every speed.
//!
//! All is exact to 0.2 % from 1 Mbit/s to 800 Gbit/s and from 0.001 % to 100 %; nothing overflows
//! there, and the kernel program divides nothing.

use crate::bucket::{self, OCTET_SHIFT, UNITS_PER_NS, UNITS_PER_S, octets_cost};
use core::fmt;

/// What an octet takes at 1 Mbit/s, 8,000 ns, in the unit of [`octets_cost`].
const OCTET_AT_1_MBIT: u64 = (8_000 * UNITS_PER_NS) << OCTET_SHIFT;
/// Bits of a factor behind the point.
const FACTOR_SHIFT: u32 = 16;

/// The speed of an interface, in Mbit/s: 10^6 bits a second. 0: it isn't known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Speed(pub u32);

impl Speed {
    /// None that is known.
    pub const UNKNOWN: Self = Self(0);
    /// The lowest that can be written.
    pub const LEAST: Self = Self(1);
    /// The highest.
    pub const MOST: Self = Self(800_000);

    /// Whether it is known.
    #[must_use]
    pub const fn is_known(self) -> bool {
        self.0 != 0
    }

    /// This one where it is known, else the other.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        if self.is_known() { self } else { other }
    }

    /// What an octet costs at the whole speed, in the unit of [`octets_cost`], below 2^29; 0 where the
    /// speed isn't known.
    #[must_use]
    pub const fn octet_cost(self) -> u32 {
        if !self.is_known() {
            return 0;
        }
        let speed = self.0 as u64;
        let cost = (OCTET_AT_1_MBIT + speed / 2) / speed;
        if cost == 0 { 1 } else { cost as u32 }
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("unknown"),
            mbit if mbit % 1000 == 0 => write!(f, "{} Gbit/s", mbit / 1000),
            mbit => write!(f, "{mbit} Mbit/s"),
        }
    }
}

/// A share, in thousandths of a percent: 1 to [`Share::WHOLE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Share(pub u32);

impl Share {
    /// All of it.
    pub const WHOLE: Self = Self(100_000);

    /// How many times longer an octet takes than at the whole speed, in 2^-16: below 2^33. A share of
    /// nothing is taken as the least that there is.
    #[must_use]
    pub const fn factor(self) -> u64 {
        let share = if self.0 == 0 { 1 } else { self.0 as u64 };
        (((Self::WHOLE.0 as u64) << FACTOR_SHIFT) + share / 2) / share
    }

    /// As a part of 1.
    #[must_use]
    pub fn ratio(self) -> f64 {
        f64::from(self.0) / f64::from(Self::WHOLE.0)
    }
}

/// As `tc` has it: `1%`, `0.25%`.
impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, mut rest, mut digits) = (self.0 / 1000, self.0 % 1000, 3);
        while rest != 0 && rest % 10 == 0 {
            (rest, digits) = (rest / 10, digits - 1);
        }
        match rest {
            0 => write!(f, "{whole}%"),
            _ => write!(f, "{whole}.{rest:0digits$}%"),
        }
    }
}

/// What a packet of `octets`, below 2^16, costs under a share, in the unit of bucket time.
///
/// An octet costs below 2^29 times 2^33 over 2^16, so below 2^46, as [`octets_cost`] asks for.
#[must_use]
#[inline(always)]
pub const fn cost(octet_cost: u32, factor: u64, octets: u32) -> u64 {
    octets_cost((octet_cost as u64).wrapping_mul(factor) >> FACTOR_SHIFT, octets)
}

/// The depth of a bucket whose burst is so many milliseconds.
#[must_use]
pub const fn depth(burst_ms: u32) -> u64 {
    burst_ms as u64 * (UNITS_PER_S / 1000)
}

/// The depth that counts for a packet of this cost: whatever its burst, a bucket that is full lets one
/// packet pass. How many octets a burst is depends on the interface, and where that is less than a
/// packet, none would ever pass.
#[must_use]
#[inline(always)]
pub const fn depth_for(depth: u64, cost: u64) -> u64 {
    if cost > depth { cost } else { depth }
}

/// How far ahead admissions put such a bucket at most: one packet passes whatever it costs, which is less than
/// 2^54 (see [`cost`]), and may be charged twice.
#[must_use]
#[inline(always)]
pub const fn reach(depth: u64) -> u64 {
    bucket::reach(depth).wrapping_add(1 << 55)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bucket::{MAX_DEPTH, admit};
    use std::string::ToString as _;

    /// The speeds that the accuracy is promised for, in Mbit/s.
    const SPEEDS: [u32; 9] = [1, 10, 100, 1_000, 2_500, 10_000, 100_000, 400_000, 800_000];
    /// Likewise shares.
    const SHARES: [u32; 8] = [1, 7, 10, 1_000, 3_333, 50_000, 66_667, 100_000];

    /// How many octets pass in `time`, where packets of `octets` come four times as fast as they may.
    fn passed(speed: u32, share: u32, burst_ms: u32, octets: u32, time: u64) -> u64 {
        let cost = cost(Speed(speed).octet_cost(), Share(share).factor(), octets);
        let depth = depth_for(depth(burst_ms), cost);
        let (mut tat, mut passed) = (0, 0);
        let start = 7 * UNITS_PER_S;
        let step = (cost / 4).max(1);
        let mut now = start;
        while now <= start + time {
            if let Some(next) = admit(tat, now, cost, depth) {
                tat = next;
                passed += u64::from(octets);
            }
            now += step;
        }
        passed
    }

    #[test]
    fn what_passes_is_the_share_of_the_speed_and_the_burst() {
        for (speed, time) in [
            (10, 10 * UNITS_PER_S),
            (1_000, UNITS_PER_S),
            (10_000, UNITS_PER_S / 10),
            (100_000, UNITS_PER_S / 200),
            (400_000, UNITS_PER_S / 200),
            (800_000, UNITS_PER_S / 200),
        ] {
            for share in [1_000, 10_000, 33_333, 100_000] {
                // Of fast ones, not millions of packets.
                let sizes = if speed > 10_000 { [1514, 9014] } else { [78, 590] };
                for octets in sizes {
                    let burst_ms = 2;
                    let rate = f64::from(speed) * 1e6 / 8.0 * Share(share).ratio();
                    let seconds = (time as f64) / (UNITS_PER_S as f64);
                    let expected = rate * (seconds + f64::from(burst_ms) / 1000.0);
                    let is = passed(speed, share, burst_ms, octets, time) as f64;
                    let most = 0.02 * expected + f64::from(octets);
                    assert!(
                        (is - expected).abs() <= most,
                        "{speed} Mbit/s {share} {octets}: {is} of {expected}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_an_octet_costs_is_exact_to_a_five_hundredth() {
        for speed in SPEEDS {
            for share in SHARES {
                let is = cost(Speed(speed).octet_cost(), Share(share).factor(), 65_535) as f64;
                let ns = 65_535.0 * 8_000.0 / f64::from(speed) / Share(share).ratio();
                let expected = ns * UNITS_PER_NS as f64;
                let off = is / expected - 1.0;
                assert!(off.abs() < 0.002, "{speed} Mbit/s, {share}: {off}");
            }
        }
    }

    #[test]
    fn nothing_overflows_within_the_ranges() {
        for speed in SPEEDS {
            for share in SHARES {
                let (octet, factor) = (Speed(speed).octet_cost(), Share(share).factor());
                let exact = (u128::from(octet) * u128::from(factor)) >> FACTOR_SHIFT;
                assert!(exact < 1 << 46, "{speed} {share}");
                let exact = (exact * 65_535) >> OCTET_SHIFT;
                assert_eq!(u128::from(cost(octet, factor, 65_535)), exact, "{speed} {share}");
                assert!(exact < u128::from(MAX_DEPTH));
            }
        }
        assert!(depth(60_000) < MAX_DEPTH);
    }

    #[test]
    fn a_speed_that_is_not_known_costs_nothing_and_any_other_something() {
        assert_eq!(Speed::UNKNOWN.octet_cost(), 0);
        assert_eq!(Speed(1).octet_cost(), 524_288_000);
        assert_eq!(Speed(10_000).octet_cost(), 52_429);
        assert!(Speed(u32::MAX).octet_cost() > 0);
        assert_eq!(Speed(5).or(Speed(7)), Speed(5));
        assert_eq!(Speed::UNKNOWN.or(Speed(7)), Speed(7));
    }

    #[test]
    fn a_full_bucket_lets_one_packet_pass_whatever_its_burst() {
        // 100 bit/s: 590 octets take 47 s, and the burst is 1 ms.
        let cost = cost(Speed(10).octet_cost(), Share(1).factor(), 590);
        let depth = depth_for(depth(1), cost);
        let now = 9 * UNITS_PER_S;
        let tat = admit(0, now, cost, depth).expect("the first");
        assert_eq!(admit(tat, now, cost, depth), None);
        assert_eq!(admit(tat, now + 47 * UNITS_PER_S, cost, depth), None);
        assert!(admit(tat, now + 48 * UNITS_PER_S, cost, depth).is_some());
        // Where the burst holds a packet it is what counts.
        assert_eq!(depth_for(1000, 999), 1000);
    }

    #[test]
    fn shares_and_speeds_are_written_as_they_are_read() {
        for (share, text) in [
            (1, "0.001%"),
            (10, "0.01%"),
            (250, "0.25%"),
            (1_000, "1%"),
            (1_500, "1.5%"),
            (10_001, "10.001%"),
            (100_000, "100%"),
        ] {
            assert_eq!(Share(share).to_string(), text);
        }
        for (speed, text) in
            [(0, "unknown"), (10, "10 Mbit/s"), (1000, "1 Gbit/s"), (2500, "2500 Mbit/s")]
        {
            assert_eq!(Speed(speed).to_string(), text);
        }
    }
}
