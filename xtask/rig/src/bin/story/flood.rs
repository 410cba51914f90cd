//! The flood: echo requests from a zone that has a limit, what of them the limit lets pass, and
//! what each cost.

use crate::{
    acts::About,
    forged,
    gate::Gate,
    signal,
    stage::{GATE, Stage},
    wire::Wire,
};
use anyhow::Result;
use aya::{
    programs::ProgramInfo,
    sys::{Stats, enable_stats},
};
use icmpgate_rig::metrics::Counts;
use std::time::Duration;

/// How many there are.
pub(crate) const FRAMES: usize = 200_000;
/// How many a second. Over two seconds the burst is a small part of what passes.
const RATE: f64 = 100_000.0;
/// The limit of the policy.
pub(crate) const LIMIT: f64 = 1000.0;
/// A second's worth: a sender that is held up for less than that loses nothing of its allowance.
pub(crate) const BURST: f64 = 1000.0;

/// What became of it.
pub(crate) struct Flood {
    /// How long it took.
    pub(crate) took: Duration,
    /// What was counted of it.
    pub(crate) counts: Counts,
    /// ns a packet inside the program, where the kernel says.
    pub(crate) program_ns: Option<f64>,
}

impl Flood {
    /// What the limit allows in that time: all that it refills, and its burst.
    pub(crate) fn allowed(&self) -> f64 {
        LIMIT * self.took.as_secs_f64() + BURST
    }
}

/// Sends it.
pub(crate) fn flood(stage: &Stage, gate: &mut Gate, wire: &Wire) -> Result<Flood> {
    let about = About("icmpv4", &["8"]);
    let frames = forged::crowd(1024);
    let before = gate.scrape(stage)?;
    // The kernel measures as long as this is open, whatever becomes of us; it needs no sysctl.
    let measuring = enable_stats(Stats::RunTime).ok();
    let runs_before = runs(stage);
    let took = wire.flood(&frames, FRAMES, RATE)?;
    let mut counts = Counts::default();
    signal::wait(Duration::from_secs(1), || {
        counts = gate.scrape(stage)?.since(&before).only(|key| about.covers(key));
        anyhow::Ok(counts.total() >= FRAMES as u64)
    })?;
    let runs_after = runs(stage);
    let program_ns = match (measuring, runs_before, runs_after) {
        (Some(_), Some((t0, n0)), Some((t1, n1))) if n1 > n0 => {
            Some((t1 - t0).as_nanos() as f64 / (n1 - n0) as f64)
        }
        _ => None,
    };
    Ok(Flood { took, counts, program_ns })
}

/// The time that the attached program has run, and how often.
fn runs(stage: &Stage) -> Option<(Duration, u64)> {
    let info = ProgramInfo::from_pin(stage.pins.program(GATE)).ok()?;
    Some((info.run_time(), info.run_count()))
}
