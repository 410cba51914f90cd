//! The penalty box (row L3): sources that keep exceeding a rule's limit are dropped for a time.
//!
//! An *offence* is a packet that the rule's limit by source refuses. So many of them within a window,
//! which begins with the first, put the source into the box. Whoever stays below that number in
//! every window of that length is never boxed; whoever reaches it in one that begins a moment later
//! may be boxed one window later.
//!
//! What is boxed is a source *as it was seen*: its address or prefix, its hardware address and the
//! interface, all three. A frame that says the same source from other hardware, or arrives elsewhere,
//! isn't in the box and can't bring anybody into it.
//!
//! Times are nanoseconds of the kernel's monotonic clock, passed in.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// How many sources are held, those that are only suspected included.
pub const SOURCES: usize = 4096;
/// The longest time in the box, and the longest window, in seconds.
pub const MOST_SECONDS: u8 = 60;
/// The most offences that a penalty can wait for.
pub const MOST_OFFENCES: u32 = 1_000_000;
/// Nanoseconds in a second.
pub const NS_PER_S: u64 = 1_000_000_000;

/// When a rule boxes a source. All zero: never.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Penalty {
    /// At which offence: 1 to [`MOST_OFFENCES`]; 0 where the rule has no penalty.
    pub after: u32,
    /// How long the window is, in seconds: 1 to [`MOST_SECONDS`].
    pub within_s: u8,
    /// How long the source stays, in seconds: 1 to [`MOST_SECONDS`].
    pub time_s: u8,
    /// Of [`flag`].
    pub flags: u8,
    /// Which of the rule's limits by key is the one by source.
    pub keyed: u8,
}

/// Flags of a penalty.
pub mod flag {
    /// Sources behind a gateway are boxed, too.
    pub const OFF_LINK: u8 = 1;
}

/// A source in the box, or on its way there.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct SourceKey {
    /// Its address, cut to its prefix, as two words in host order; IPv4 in mapped form.
    pub address: [u64; 2],
    /// The hardware address that its frames come from, as a number of 48 bits.
    pub hardware: u64,
    /// The limit that it exceeds, and so the rule.
    pub limit: u32,
    /// The stable index of the interface.
    pub interface: u16,
    /// The version of IP: 4 or 6.
    pub version: u8,
    /// How many bits of the address are looked at.
    pub bits: u8,
}

const _: () = assert!(size_of::<SourceKey>() == 32);

/// What is known of it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Source {
    /// Until when it is boxed; 0 where it is only suspected.
    pub until: u64,
    /// When its window began; where it is boxed, when that began.
    pub since: u64,
    /// Its offences in the window.
    pub offences: u64,
    /// How many of its packets the box dropped.
    pub dropped: u64,
}

/// What an offence comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing: the source is in the box.
    Boxed,
    /// It is the first of a new window.
    Restart,
    /// It is one more of the present window.
    Count,
}

impl Source {
    /// One that has just committed its first offence.
    #[must_use]
    #[inline(always)]
    pub const fn first(now: u64, penalty: &Penalty) -> Self {
        let until = if penalty.after <= 1 { end(now, penalty) } else { 0 };
        Self { until, since: now, offences: 1, dropped: 0 }
    }

    /// Whether it is in the box.
    #[must_use]
    #[inline(always)]
    pub const fn is_boxed(&self, now: u64) -> bool {
        self.until > now
    }

    /// What one more offence comes to.
    #[must_use]
    #[inline(always)]
    pub const fn step(&self, now: u64, penalty: &Penalty) -> Step {
        if self.is_boxed(now) {
            Step::Boxed
        } else if self.until != 0
            || now.saturating_sub(self.since) >= penalty.within_s as u64 * NS_PER_S
        {
            Step::Restart
        } else {
            Step::Count
        }
    }

    /// Whether nothing is lost by forgetting it, whatever its rule's window is.
    #[must_use]
    pub const fn is_over(&self, now: u64) -> bool {
        if self.until != 0 {
            return !self.is_boxed(now);
        }
        now.saturating_sub(self.since) >= MOST_SECONDS as u64 * NS_PER_S
    }
}

/// When a source that is boxed now leaves.
#[must_use]
#[inline(always)]
pub const fn end(now: u64, penalty: &Penalty) -> u64 {
    now + penalty.time_s as u64 * NS_PER_S
}

/// Why an offence isn't held against its source: an index of [`Stats::refused`] and of [`REFUSALS`].
pub mod refusal {
    /// It is held against it.
    pub const NONE: u32 = 0;
    /// The source is `::` or 0.0.0.0.
    pub const NO_ADDRESS: u32 = 1;
    /// The source is an address of this machine, or a broadcast.
    pub const OWN_ADDRESS: u32 = 2;
    /// The source is a gateway.
    pub const GATEWAY: u32 = 3;
    /// Nobody keeps the mirror up to date.
    pub const STALE: u32 = 4;
    /// The source is behind a gateway, and the rule boxes neighbours only.
    pub const OFF_LINK: u32 = 5;
    /// This machine reaches the source by another interface, or not at all.
    pub const REVERSE_PATH: u32 = 6;
    /// The hardware address of the source, or of the gateway to it, isn't known.
    pub const NEIGHBOUR_UNKNOWN: u32 = 7;
    /// The frame is from other hardware.
    pub const HARDWARE_ADDRESS: u32 = 8;
    /// The frame has a VLAN tag: its source is no neighbour of the interface itself.
    pub const VLAN: u32 = 9;
    /// How many there is room for: a power of two.
    pub const COUNT: usize = 16;
}

/// The labels of refusals, by [`refusal`].
pub const REFUSALS: &[(u32, &str)] = &[
    (refusal::NO_ADDRESS, "no-address"),
    (refusal::OWN_ADDRESS, "own-address"),
    (refusal::GATEWAY, "gateway"),
    (refusal::STALE, "mirror-stale"),
    (refusal::OFF_LINK, "off-link"),
    (refusal::REVERSE_PATH, "reverse-path"),
    (refusal::NEIGHBOUR_UNKNOWN, "neighbour-unknown"),
    (refusal::HARDWARE_ADDRESS, "hardware-address"),
    (refusal::VLAN, "vlan"),
];

/// What became of offences, on one CPU.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Stats {
    /// How often a source was boxed.
    pub boxed: u64,
    /// Offences of sources for which there was no room.
    pub full: u64,
    /// Offences that were held against nobody, by [`refusal`].
    pub refused: [u64; refusal::COUNT],
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = NS_PER_S;
    const PENALTY: Penalty = Penalty { after: 3, within_s: 10, time_s: 20, flags: 0, keyed: 0 };

    /// A source as the kernel program keeps it, on one CPU.
    fn offend(source: &mut Source, now: u64, penalty: &Penalty) {
        match source.step(now, penalty) {
            Step::Boxed => {}
            Step::Restart => *source = Source::first(now, penalty),
            Step::Count => {
                source.offences += 1;
                if source.offences >= u64::from(penalty.after) {
                    source.until = end(now, penalty);
                }
            }
        }
    }

    /// At which of these moments a source is boxed for the first time.
    fn boxed_at(moments: &[u64], penalty: &Penalty) -> Option<u64> {
        let mut source = Source::first(moments[0], penalty);
        for now in &moments[1..] {
            if source.is_boxed(*now) {
                break;
            }
            offend(&mut source, *now, penalty);
        }
        (source.until != 0).then(|| source.until - u64::from(penalty.time_s) * S)
    }

    #[test]
    fn so_many_offences_within_the_window_box_and_no_fewer() {
        assert_eq!(boxed_at(&[S, S, S], &PENALTY), Some(S));
        assert_eq!(boxed_at(&[S, 2 * S], &PENALTY), None);
        assert_eq!(boxed_at(&[S, 2 * S, 11 * S - 1], &PENALTY), Some(11 * S - 1));
        // The window is over: these are the first and the second of the next.
        assert_eq!(boxed_at(&[S, 2 * S, 11 * S, 12 * S], &PENALTY), None);
        assert_eq!(boxed_at(&[S, 2 * S, 11 * S, 12 * S, 13 * S], &PENALTY), Some(13 * S));
        assert_eq!(boxed_at(&[S], &Penalty { after: 1, ..PENALTY }), Some(S));
    }

    #[test]
    fn a_source_leaves_at_its_time_and_begins_anew() {
        let mut source = Source::first(S, &PENALTY);
        (0..2).for_each(|_| offend(&mut source, S, &PENALTY));
        assert!(source.is_boxed(S) && source.is_boxed(21 * S - 1) && !source.is_boxed(21 * S));
        // What is sent meanwhile doesn't prolong it.
        (2..21).for_each(|s| offend(&mut source, s * S, &PENALTY));
        assert!(!source.is_boxed(21 * S) && source.is_over(21 * S));
        (0..2).for_each(|_| offend(&mut source, 21 * S, &PENALTY));
        assert!(!source.is_boxed(21 * S) && !source.is_over(21 * S));
        offend(&mut source, 22 * S, &PENALTY);
        assert!(source.is_boxed(22 * S));
    }

    #[test]
    fn a_suspect_is_kept_for_the_longest_window() {
        let source = Source::first(S, &PENALTY);
        assert!(!source.is_over(61 * S - 1) && source.is_over(61 * S));
        // A clock that seems to go back, from another CPU, is no end of anything.
        assert!(!source.is_over(0));
        assert_eq!(source.step(0, &PENALTY), Step::Count);
    }

    #[test]
    fn refusals_are_labelled_once_and_fit() {
        for (i, (why, label)) in REFUSALS.iter().enumerate() {
            assert_eq!(*why as usize, i + 1, "{label}");
            assert!((*why as usize) < refusal::COUNT);
            assert!(REFUSALS[..i].iter().all(|(_, other)| other != label), "{label}");
        }
    }
}
