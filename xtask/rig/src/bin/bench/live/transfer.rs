//! What it takes to bring a line of memory from one processor's cache into another's. A frame that one has
//! written is read by the other, so no figure of a flood says much without it; on a virtual machine it may
//! be another one from one minute to the next, as the host moves its processors.

use crate::{machine, measure::Spread};
use anyhow::Result;
use std::{
    hint,
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Instant,
};

/// A line of its own, and the one beside it, which processors fetch along.
#[repr(align(128))]
struct Line(AtomicU32);

/// How often it goes there and back in one sample.
const TIMES: u32 = 200;
/// How many samples: where a processor is taken away meanwhile, that is one of them.
const SAMPLES: u32 = 101;

/// The time of one way between these processors, in ns.
pub(crate) fn measure(here: usize, there: usize) -> Result<f64> {
    let line = Line(AtomicU32::new(0));
    let until = |value: u32| {
        while line.0.load(Ordering::Acquire) != value {
            hint::spin_loop();
        }
    };
    let samples = thread::scope(|scope| {
        let other = scope.spawn(|| {
            let stays = machine::stay_on(there);
            // Whoever can't stay answers all the same, or the other would wait for ever.
            for n in 0..TIMES * SAMPLES {
                until(2 * n + 1);
                line.0.store(2 * n + 2, Ordering::Release);
            }
            stays
        });
        let stays = machine::stay_on(here);
        let mut samples = Vec::new();
        for sample in 0..SAMPLES {
            let start = Instant::now();
            for n in sample * TIMES..(sample + 1) * TIMES {
                line.0.store(2 * n + 1, Ordering::Release);
                until(2 * n + 2);
            }
            samples.push(start.elapsed().as_nanos() as f64 / f64::from(2 * TIMES));
        }
        let other = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        stays.and(other).map(|()| samples)
    })?;
    Ok(Spread::of(samples).median)
}
