//! A lane: a stage, the filter at its end, and the processor that receives. What a flood through it came to is
//! held against what the interface itself counted.

use super::{
    filters::{Counted, Filter, Loaded, With},
    generator::{Generator, Sent},
};
use crate::machine::{self, Pair};
use anyhow::{Context as _, Result, ensure};
use icmpgate_rig::{
    mounts::Mounts,
    signal,
    stage::{GATE, PEER, Stage},
};
use std::{collections::BTreeSet, fs, time::Duration};

/// How long a flood lasts.
pub(crate) const TIME: Duration = Duration::from_secs(1);
/// Frames of a lane's first flood, and the most and the least of the others.
const FRAMES: u32 = 2_000_000;
const BOUNDS: [u32; 2] = [500_000, 20_000_000];
/// In which time the ring must be empty. The receiver may be held up: of a processor in real time the kernel
/// leaves others a twentieth.
const SETTLES: Duration = Duration::from_secs(2);
/// How many packets may have been somebody else's: the two stacks greet each other.
const FEW: u64 = 100;

/// What a filter bore in one flood, in millions of packets a second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// What it judged.
    pub(crate) judged: f64,
    /// What was sent to it.
    pub(crate) sent: f64,
}

/// A filter on a stage of its own.
pub(crate) struct Lane {
    sources: u32,
    /// How many frames the next flood has.
    frames: u32,
    cpus: Pair,
    // It goes before the interface that it is attached to.
    loaded: Loaded,
    stage: Stage,
}

impl Lane {
    /// Sets up a stage, puts the filter at its gate, and the gate's receiver on its processor.
    pub(crate) fn new(
        number: usize,
        filter: Filter,
        sources: u32,
        with: With<'_>,
        cpus: Pair,
    ) -> Result<Self> {
        let stage = Stage::beside_others(number)?;
        // What a limit lets pass isn't answered: the stack behind the filter isn't what is measured.
        stage.gate.sysctl("ipv4/icmp_echo_ignore_all", "1")?;
        let mounts = Mounts::beside(&stage.gate)?;
        let loaded = Loaded::load(filter, sources, with, &stage, &mounts)?;
        receive_on(cpus.receiver, &mounts)?;
        Ok(Self { sources, frames: FRAMES, cpus, loaded, stage })
    }

    /// Sends a flood through it.
    pub(crate) fn flood(&mut self, generator: &mut Generator) -> Result<Sample> {
        let received_before = received_by(&self.stage)?;
        let before = self.loaded.counted(&self.stage)?;
        let (from, cpu) = (&self.stage.peer, self.cpus.generator);
        let sent = generator.flood(from, PEER, self.sources, self.frames, cpu)?;
        let (mut received, mut counted) = (0, Counted::default());
        signal::wait(SETTLES, || {
            received = received_by(&self.stage)? - received_before;
            counted = self.loaded.counted(&self.stage)?.since(before);
            anyhow::Ok(counted.judged().abs_diff(received) <= FEW)
        })?;
        self.check(sent, received, counted)?;
        let a_second = |packets: f64| packets / sent.took.as_secs_f64();
        let sent = a_second(f64::from(sent.frames));
        self.frames = ((sent * TIME.as_secs_f64()) as u32).clamp(BOUNDS[0], BOUNDS[1]);
        Ok(Sample { judged: a_second(counted.judged() as f64) / 1e6, sent: sent / 1e6 })
    }

    /// That the figure is one: the interface received what the filter judged, and that is no more than was
    /// sent; and the filter did what it was set to.
    fn check(&self, sent: Sent, received: u64, counted: Counted) -> Result<()> {
        let judged = counted.judged();
        ensure!(
            judged.abs_diff(received) <= FEW,
            "the filter counted {judged} packets, and its interface {received}"
        );
        ensure!(
            judged <= u64::from(sent.frames) + FEW,
            "{judged} were counted of {} sent",
            sent.frames
        );
        let passes = self.loaded.passes(self.sources, sent.took);
        ensure!(
            (*passes.start()..=passes.end() + FEW).contains(&counted.passed),
            "{} of {judged} packets passed, where {} to {} should",
            counted.passed,
            passes.start(),
            passes.end()
        );
        Ok(())
    }
}

/// How many packets a stage's gate has received, by its own count.
pub(super) fn received_by(stage: &Stage) -> Result<u64> {
    // Of the thread's network: the process's is another.
    let text = stage.gate.run(|| Ok(fs::read_to_string("/proc/thread-self/net/dev")?))?;
    let prefix = format!("{GATE}:");
    let line = text.lines().find_map(|line| line.trim().strip_prefix(&prefix));
    let packets = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(packets.context("the interface isn't there any more")?.parse()?)
}

/// Has the gate's receiver be a thread of its own (threaded NAPI), on this processor. Else it would run where
/// the generator does.
fn receive_on(cpu: usize, mounts: &Mounts) -> Result<()> {
    let before = receivers();
    let file = format!("/sys/class/net/{GATE}/threaded");
    mounts.run(|| fs::write(&file, "1").with_context(|| format!("can't write {file}")))?;
    let mut own = receivers();
    own.retain(|thread| !before.contains(thread));
    ensure!(!own.is_empty(), "the kernel started no thread that receives for {GATE}");
    own.into_iter().try_for_each(|thread| {
        machine::keep_on(thread, cpu)?;
        machine::prefer(thread)
    })
}

/// The threads that receive for an interface called as the gate is, in whatever network.
fn receivers() -> BTreeSet<i32> {
    let prefix = format!("napi/{GATE}-");
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let number = |entry: fs::DirEntry| entry.file_name().to_str()?.parse().ok();
    let named = |process: &i32| {
        let comm = fs::read_to_string(format!("/proc/{process}/comm"));
        comm.is_ok_and(|comm| comm.starts_with(&prefix))
    };
    processes.filter_map(number).filter(named).collect()
}
