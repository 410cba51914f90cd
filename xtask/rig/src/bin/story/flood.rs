//! The floods: echo requests from a zone that has a limit, and datagrams that this machine would
//! answer with errors; what of them the limits let pass, and what each cost.

use crate::{
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
use icmpgate_rig::metrics::{Counts, Key};
use std::time::Duration;

/// A flood: what is sent, how fast, and the limit that it meets.
pub(crate) struct Plan {
    /// What it is, as the table has it.
    pub(crate) title: &'static str,
    /// What of the counters is about it.
    about: fn(&Key) -> bool,
    /// Its frames, one after the other and from the start again.
    frames: Vec<Vec<u8>>,
    /// How many there are.
    pub(crate) count: usize,
    /// How many a second. Over two seconds the burst is a small part of what passes.
    rate: f64,
    /// The limit of the policy.
    pub(crate) limit: u32,
    /// How many at once.
    pub(crate) burst: u32,
}

/// Echo requests, which are limited where they arrive. A second's worth of burst: a sender that is
/// held up for less than that loses nothing of its allowance.
pub(crate) fn echo() -> Plan {
    Plan {
        title: "a flood of echo from the zone crowd",
        about: |key| key.hook == "ingress" && key.family == "icmpv4" && key.ty == "8",
        frames: forged::crowd(1024),
        count: 200_000,
        rate: 100_000.0,
        limit: 1000,
        burst: 1000,
    }
}

/// Datagrams to closed ports: the protected machine answers each with an error, and the profile lets
/// 10 a second leave for one destination, 20 at once.
pub(crate) fn errors() -> Plan {
    Plan {
        title: "port unreachable, for a flood of datagrams",
        about: |key| key.hook == "egress" && key.family == "icmpv4" && key.ty == "3",
        frames: forged::probes(1024),
        count: 20_000,
        rate: 10_000.0,
        limit: 10,
        burst: 20,
    }
}

/// What became of it.
pub(crate) struct Flood {
    /// What it was.
    pub(crate) plan: Plan,
    /// How long it took.
    pub(crate) took: Duration,
    /// What was counted of it.
    pub(crate) counts: Counts,
    /// ns a packet inside the program for what arrives, where the kernel says.
    pub(crate) program_ns: Option<f64>,
}

impl Flood {
    /// What the limit allows in that time: all that it refills, and its burst.
    pub(crate) fn allowed(&self) -> f64 {
        f64::from(self.plan.limit) * self.took.as_secs_f64() + f64::from(self.plan.burst)
    }
}

/// Sends it.
pub(crate) fn flood(stage: &Stage, gate: &mut Gate, wire: &Wire, plan: Plan) -> Result<Flood> {
    let before = gate.scrape(stage)?;
    // The kernel measures as long as this is open, whatever becomes of us; it needs no sysctl.
    let measuring = enable_stats(Stats::RunTime).ok();
    let runs_before = runs(stage);
    let took = wire.flood(&plan.frames, plan.count, plan.rate)?;
    let mut counts = Counts::default();
    signal::wait(Duration::from_secs(1), || {
        counts = gate.scrape(stage)?.since(&before).only(plan.about);
        anyhow::Ok(counts.total() >= plan.count as u64)
    })?;
    let runs_after = runs(stage);
    let program_ns = match (measuring, runs_before, runs_after) {
        (Some(_), Some((t0, n0)), Some((t1, n1))) if n1 > n0 => {
            Some((t1 - t0).as_nanos() as f64 / (n1 - n0) as f64)
        }
        _ => None,
    };
    Ok(Flood { plan, took, counts, program_ns })
}

/// The time that the attached program has run, and how often.
fn runs(stage: &Stage) -> Option<(Duration, u64)> {
    let info = ProgramInfo::from_pin(stage.pins.program(GATE)).ok()?;
    Some((info.run_time(), info.run_count()))
}
