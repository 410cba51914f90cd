//! The machine that the figures come from, and staying on one of its processors.

use crate::{Loaded, measure::RUNS};
use anyhow::{Context as _, Result};
use icmp_common::bucket::UNITS_PER_S;
use icmpgate::datapath::{Program, tick_units};
use icmpgate_rig::text::thousands;
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};
use std::fs;

/// Keeps this thread on the last of the processors that it may use, and returns its number.
/// Interrupts and everybody's first thread are rather on the first.
pub(crate) fn stay_on_one_cpu() -> Result<usize> {
    let this = Pid::from_raw(0);
    let may = sched_getaffinity(this)?;
    let last = (0..CpuSet::count()).rev().find(|cpu| may.is_set(*cpu).unwrap_or(false));
    let last = last.context("no processor may be used")?;
    let mut set = CpuSet::new();
    set.set(last)?;
    sched_setaffinity(this, &set)?;
    Ok(last)
}

/// Prints what the figures depend on.
pub(crate) fn describe(cpu: usize, rounds: u32, loaded: &[Loaded]) -> Result<()> {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("an unknown processor", |(_, model)| model);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    println!("{model}, CPU {cpu}; Linux {}; HZ {}", kernel.trim(), UNITS_PER_S / tick_units());

    let first = &loaded.first().context("a policy is loaded")?.instance;
    for program in Program::ALL {
        let info = first.info(program)?;
        let verified = info.verified_instructions.map_or("?".into(), |n| thousands(n.into()));
        let jited = match info.jited {
            0 => "not translated to machine code: the JIT is off".to_owned(),
            octets => format!("{} octets of machine code", thousands(octets.into())),
        };
        println!("{:<17} {verified} instructions verified, {jited}", program.name());
    }
    println!(
        "{rounds} rounds of {} runs; limits are one bucket by rule, or one by source, read in ticks; \
         what passes is verified, charged and counted",
        thousands(RUNS.into())
    );
    println!();
    Ok(())
}
