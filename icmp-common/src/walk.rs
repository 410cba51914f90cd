//! A walk over things that lie one behind the other, each of which says where the next one is.
//!
//! The verifier follows every step of a loop, with all that may be behind it. A walk of many steps is so walked in
//! parts: one function takes [`AT_ONCE`] of them from wherever it is told to, which is looked at once, and another
//! calls that as often as is needed.

/// How many steps a part takes.
pub const AT_ONCE: u32 = 16;

/// How far a walk is, or what it ended with: one number, as the functions of the kernel program hand it on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Walk(pub u64);

// From the lowest bit up: 16 of `at`, 16 of `left`, 8 of `seen`, one whether it ended, and 2 of the finding.
const LEFT: u32 = 16;
const SEEN: u32 = 32;
const ENDED: u32 = 40;
const FINDING: u32 = 41;

impl Walk {
    /// One that goes on `at` octets from where it began, 65,535 at most, with so many things `left` to be walked over
    /// and with these bits `seen` on the way.
    #[must_use]
    #[inline(always)]
    pub const fn on(at: u32, left: u16, seen: u8) -> Self {
        Self((at & 0xffff) as u64 | (left as u64) << LEFT | (seen as u64) << SEEN)
    }

    /// One that ended with this finding, below 4.
    #[must_use]
    #[inline(always)]
    pub const fn ended(finding: u32) -> Self {
        Self(1 << ENDED | ((finding & 3) as u64) << FINDING)
    }

    /// How far it is.
    #[must_use]
    #[inline(always)]
    pub const fn at(self) -> u32 {
        self.0 as u32 & 0xffff
    }

    /// How many things are left.
    #[must_use]
    #[inline(always)]
    pub const fn left(self) -> u16 {
        (self.0 >> LEFT) as u16
    }

    /// What was seen.
    #[must_use]
    #[inline(always)]
    pub const fn seen(self) -> u8 {
        (self.0 >> SEEN) as u8
    }

    /// Its finding, where it ended.
    #[must_use]
    #[inline(always)]
    pub const fn finding(self) -> Option<u32> {
        if self.0 >> ENDED & 1 == 0 { None } else { Some((self.0 >> FINDING) as u32 & 3) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_comes_out() {
        let walk = Walk::on(0xffff, 0x1234, 0xa5);
        assert_eq!((walk.at(), walk.left(), walk.seen()), (0xffff, 0x1234, 0xa5));
        assert_eq!(walk.finding(), None);
        assert!((0..4).all(|finding| Walk::ended(finding).finding() == Some(finding)));
    }
}
