//! How often something succeeds, and whether that is more than chance.

use std::fmt;

/// What an interval of 95 % confidence leaves out on either side.
const TAIL: f64 = 0.025;

/// How many of so many trials succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proportion {
    /// Those that did.
    pub hits: usize,
    /// All of them, at least one.
    pub of: usize,
}

impl Proportion {
    /// How many of these did.
    ///
    /// # Panics
    /// Where there are none at all.
    #[must_use]
    pub fn count(trials: impl IntoIterator<Item = bool>) -> Self {
        let (hits, of) =
            trials.into_iter().fold((0, 0), |(hits, of), hit| (hits + usize::from(hit), of + 1));
        assert!(of > 0, "no trial was made");
        Self { hits, of }
    }

    /// The share, 0 to 1.
    #[must_use]
    pub fn share(self) -> f64 {
        self.hits as f64 / self.of as f64
    }

    /// The interval that holds the true share with 95 % confidence at least, after Clopper and
    /// Pearson (1934): all shares that explain this one.
    #[must_use]
    pub fn interval(self) -> (f64, f64) {
        let low = first_not(|p| self.is_above(p));
        let high = first_not(|p| !self.is_below(p));
        (low, high)
    }

    /// Whether a true share of `p` explains it, with 95 % confidence.
    #[must_use]
    pub fn may_be(self, p: f64) -> bool {
        !self.is_above(p) && !self.is_below(p)
    }

    /// Whether all of the interval is above: by a true share of `p`, so many hits or more are rarer
    /// than 2.5 %.
    #[must_use]
    pub fn is_above(self, p: f64) -> bool {
        probability(self.of, p, |other| other.hits >= self.hits) < TAIL
    }

    /// Whether all of the interval is below.
    #[must_use]
    pub fn is_below(self, p: f64) -> bool {
        probability(self.of, p, |other| other.hits <= self.hits) < TAIL
    }

    /// How likely exactly this is where each trial succeeds with probability `p`.
    fn probability(self, p: f64) -> f64 {
        let Self { hits, of } = self;
        let ways: f64 = (0..hits).map(|hit| (of - hit) as f64 / (hit + 1) as f64).product();
        ways * p.powi(hits as i32) * (1.0 - p).powi((of - hits) as i32)
    }
}

impl fmt::Display for Proportion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (low, high) = self.interval();
        let [share, low, high] = [self.share(), low, high].map(|p| p * 100.0);
        let Self { hits, of } = self;
        write!(f, "{hits} of {of}: {share:.1} %, with 95 % confidence {low:.2} to {high:.2} %")
    }
}

/// How likely a claim is to be true of so many trials, at most 1,000, where each succeeds with
/// probability `p`.
#[must_use]
pub fn probability(of: usize, p: f64, claim: impl Fn(Proportion) -> bool) -> f64 {
    let all = (0..=of).map(|hits| Proportion { hits, of });
    all.filter(|proportion| claim(*proportion)).map(|proportion| proportion.probability(p)).sum()
}

/// The least of 0 to 1 of which this is not so, where it is so of all that are less.
fn first_not(is_so: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    // As many halvings as a number has bits.
    for _ in 0..f64::MANTISSA_DIGITS {
        let middle = (low + high) / 2.0;
        *if is_so(middle) { &mut low } else { &mut high } = middle;
    }
    low
}

/// The value in the middle of these: of an even number, the lower of the two.
///
/// # Panics
/// Where there are none.
#[must_use]
pub fn median<T: Ord + Copy>(values: &[T]) -> T {
    let mut values = values.to_vec();
    values.sort_unstable();
    values[(values.len() - 1) / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R. G. Newcombe, Statistics in Medicine 17 (1998), 857-872, table I, method 5.
    #[test]
    fn intervals_are_those_of_the_literature() {
        for (hits, of, low, high) in [
            (81, 263, 0.2527, 0.3676),
            (15, 148, 0.0578, 0.1617),
            (0, 20, 0.0000, 0.1684),
            (1, 29, 0.0009, 0.1776),
        ] {
            let interval = Proportion { hits, of }.interval();
            let off = (interval.0 - low).abs().max((interval.1 - high).abs());
            assert!(off < 0.000_06, "{hits} of {of}: {interval:?}");
        }
    }

    #[test]
    fn what_holds_for_hits_holds_for_misses() {
        for (hits, of) in [(0, 20), (3, 20), (200, 200), (1, 1)] {
            let (low, high) = Proportion { hits, of }.interval();
            let (most, least) = Proportion { hits: of - hits, of }.interval();
            assert!((low + least - 1.0).abs() < 1e-9 && (high + most - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn chance_is_told_from_skill() {
        assert!(Proportion { hits: 0, of: 200 }.may_be(0.001));
        assert!(Proportion { hits: 1, of: 200 }.may_be(0.001));
        assert!(!Proportion { hits: 2, of: 200 }.may_be(0.001));
        assert!(Proportion { hits: 114, of: 200 }.may_be(0.5));
        assert!(!Proportion { hits: 115, of: 200 }.may_be(0.5));
        assert!(!Proportion { hits: 80, of: 200 }.may_be(0.5));
    }

    #[test]
    fn dice_fall_as_they_should() {
        // One six of four dice: 4 * 5^3 / 6^4; any number of them: all.
        let one = probability(4, 1.0 / 6.0, |sixes| sixes.hits == 1);
        assert!((one - 500.0 / 1296.0).abs() < 1e-12);
        for (of, p) in [(4, 0.5), (1000, 0.001), (1000, 0.5), (200, 1.0), (200, 0.0)] {
            assert!((probability(of, p, |_| true) - 1.0).abs() < 1e-9, "{of} of {p}");
        }
    }

    #[test]
    fn trials_are_counted_and_shown() {
        let trials = [true, false, true, true];
        let proportion = Proportion::count(trials);
        assert_eq!(proportion, Proportion { hits: 3, of: 4 });
        assert_eq!(proportion.to_string(), "3 of 4: 75.0 %, with 95 % confidence 19.41 to 99.37 %");
    }

    #[test]
    #[should_panic(expected = "no trial was made")]
    fn no_trials_have_no_share() {
        let _ = Proportion::count([]);
    }

    #[test]
    fn a_sample_has_a_middle() {
        assert_eq!(median(&[3, 1, 2]), 2);
        assert_eq!(median(&[4, 1, 3, 2]), 2);
    }
}
