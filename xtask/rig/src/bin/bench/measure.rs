//! One sample: a program, run on a frame up to a million times by BPF_PROG_TEST_RUN.
//!
//! The kernel's own figure is a whole number of nanoseconds, rounded down, which is a tenth of what
//! is measured here. So the processor time of this thread around the call is taken instead, and what
//! the scheduler gives to others meanwhile isn't counted, as it would be on a wall clock. A call costs
//! some microseconds beside the runs, on some machines hundreds: below 1 ns of a run of a million,
//! which the difference of two programs hasn't, and below a hundredth of one that is run less often
//! since it takes long. The kernel's figure is still read, and must agree.

use anyhow::{Result, bail};
use icmpgate::datapath::{Instance, Program};
use nix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// Runs in one sample, at most.
pub(crate) const RUNS: u32 = 1_000_000;
/// How long one takes, at most, in ns: where a run takes more than [`LONG`], it has fewer.
const LONGEST: f64 = LONG as f64 * RUNS as f64;
/// ns of a run of which a sample has fewer.
pub(crate) const LONG: u32 = 200;
/// How often a sample is taken again.
const TRIES: u32 = 10;

/// A sample and what the program returned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// ns a run.
    pub(crate) ns: f64,
    /// What the kernel's own figure says.
    pub(crate) kernel_ns: f64,
    /// The XDP action.
    pub(crate) action: u32,
}

/// Takes a sample; where something came between, once more.
///
/// What the host takes of a virtual processor is in the kernel's figure and not in the thread's;
/// within some milliseconds that can be most of them. Where the two stay apart, one of them isn't a
/// clock to measure by.
pub(crate) fn sample(
    instance: &Instance,
    program: Program,
    frame: &[u8],
    runs: u32,
) -> Result<Sample> {
    let mut sample = once(instance, program, frame, runs)?;
    for _ in 0..TRIES {
        if sample.holds() {
            return Ok(sample);
        }
        sample = once(instance, program, frame, runs)?;
    }
    bail!(
        "the thread's clock says {:.2} ns a run, and the kernel {} ns, again and again: this \
         machine's clocks can't be measured by",
        sample.ns,
        sample.kernel_ns
    )
}

impl Sample {
    fn holds(&self) -> bool {
        (0.75 * self.kernel_ns..1.25 * self.kernel_ns + 2.0).contains(&self.ns)
    }
}

/// Takes a sample, whatever came between.
pub(crate) fn once(
    instance: &Instance,
    program: Program,
    frame: &[u8],
    runs: u32,
) -> Result<Sample> {
    let before = thread_time()?;
    let run = instance.run(program, frame, runs)?;
    let spent = thread_time()?.saturating_sub(before);
    let ns = spent.as_nanos() as f64 / f64::from(runs);
    Ok(Sample { ns, kernel_ns: run.duration.as_nanos() as f64, action: run.action })
}

/// How many runs a sample has where one takes so many ns.
pub(crate) fn runs_of(ns: f64) -> u32 {
    (LONGEST / ns).min(RUNS.into()) as u32
}

/// The processor time that this thread has had.
pub(crate) fn thread_time() -> Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?.into())
}

/// The middle of some figures, the lowest and the highest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// Of these figures, which must not be none.
    pub(crate) fn of(figures: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = figures.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let n = sorted.len();
        let median = f64::midpoint(sorted[(n - 1) / 2], sorted[n / 2]);
        Self { median, min: sorted[0], max: sorted[n - 1] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_long_is_run_less_often() {
        assert_eq!([1.0, 200.0].map(runs_of), [RUNS; 2]);
        assert_eq!(runs_of(10_000.0), 20_000);
    }

    #[test]
    fn the_median_is_the_middle_one_or_between_the_two() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Spread { median: 2.0, min: 1.0, max: 3.0 });
        assert_eq!(Spread::of([4.0, 1.0, 3.0, 2.0]).median, 2.5);
        assert_eq!(Spread::of([7.0]), Spread { median: 7.0, min: 7.0, max: 7.0 });
    }
}
