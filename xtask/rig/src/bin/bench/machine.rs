//! The machine that the figures come from, and staying on one of its processors.

use anyhow::{Context as _, Result, bail};
use icmp_common::bucket::UNITS_PER_S;
use icmpgate::datapath::{Instance, Program, tick_units};
use icmpgate_rig::text::thousands;
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};
use std::{fs, io::Error};

/// Two processors: of a flood, the one that sends and the one that receives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair {
    pub(crate) generator: usize,
    pub(crate) receiver: usize,
}

impl Pair {
    /// The first and the last of those that this thread may use. Interrupts and everybody's first thread are
    /// rather on the first, and it is the receiver that is measured.
    pub(crate) fn choose() -> Result<Self> {
        match processors()?[..] {
            [generator, .., receiver] => Ok(Self { generator, receiver }),
            _ => bail!("a flood needs two processors: one that sends and one that receives"),
        }
    }
}

/// The processors that this thread may use.
pub(crate) fn processors() -> Result<Vec<usize>> {
    let may = sched_getaffinity(Pid::from_raw(0))?;
    Ok((0..CpuSet::count()).filter(|cpu| may.is_set(*cpu).unwrap_or(false)).collect())
}

/// Keeps this thread on the last of the processors that it may use, and returns its number.
/// Interrupts and everybody's first thread are rather on the first.
pub(crate) fn stay_on_one_cpu() -> Result<usize> {
    let last = processors()?.pop().context("no processor may be used")?;
    stay_on(last)?;
    Ok(last)
}

/// Keeps this thread, and those that it starts, on one processor.
pub(crate) fn stay_on(cpu: usize) -> Result<()> {
    keep_on(0, cpu)
}

/// Keeps a thread on one processor.
pub(crate) fn keep_on(thread: i32, cpu: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    Ok(sched_setaffinity(Pid::from_raw(thread), &set)?)
}

/// Has a thread, 0 for this one, go before whatever else wants its processor: a busy machine would be
/// measured otherwise. In real time, of which the kernel leaves the others a twentieth; a nice value weighs
/// only against what was started from the same terminal.
pub(crate) fn prefer(thread: i32) -> Result<()> {
    let least = libc::sched_param { sched_priority: 1 };
    // SAFETY: a system call that reads the structure that it is given.
    match unsafe { libc::sched_setscheduler(thread, libc::SCHED_FIFO, &least) } {
        0 => Ok(()),
        _ => Err(Error::last_os_error()).context("can't schedule a thread in real time"),
    }
}

/// What figures depend on: processor, kernel, and the length of a tick.
pub(crate) fn name() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("an unknown processor", |(_, model)| model);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cpus = processors().map_or(1, |cpus| cpus.len());
    let hz = UNITS_PER_S / tick_units();
    format!("{model}, {cpus} processors; Linux {}; HZ {hz}", kernel.trim())
}

/// What the programs come to, a line each.
pub(crate) fn programs(instance: &Instance) -> Result<Vec<String>> {
    let line = |program: Program| {
        let info = instance.info(program)?;
        let verified = info.verified_instructions.map_or("?".into(), |n| thousands(n.into()));
        let jited = match info.jited {
            0 => "not translated to machine code: the JIT is off".to_owned(),
            octets => format!("{} octets of machine code", thousands(octets.into())),
        };
        Ok(format!("{:<27} {verified} instructions verified, {jited}", program.name()))
    };
    // Those that only floods need are timed by none of the cases.
    let floods = [Program::Flood, Program::CountedDrop, Program::ReadDrop];
    Program::ALL.into_iter().filter(|program| !floods.contains(program)).map(line).collect()
}
