//! What a packet costs in instructions of the processor: a figure that no noise moves.
//!
//! They are counted where the clock counts instructions and nothing else, one a nanosecond: in the machine that
//! `cargo xtask bench --instructions` boots (`qemu -icount shift=0`). There the time of a test run is the number
//! of instructions that it took, the kernel's helpers included. That machine runs [`count`], and says one line
//! of JSON; what is made of it here, where it is shown, is [`section`].

use crate::{
    Loaded, action_of,
    cases::{self, Case},
    front, machine, of, programs,
    section::Section,
    verify,
};
use anyhow::{Context as _, Result, ensure};
use icmpgate::datapath::{Instance, Program};
use icmpgate_rig::text::{
    Align::{Left, Right},
    Table,
};
use serde::{Deserialize, Serialize};
use std::{fs, path::Path, time::Instant};

/// Runs in one sample: so few that the kernel's own interrupts come between in few of them.
const RUNS: u32 = 10_000;
/// Samples of each program. The least counts: what comes between only adds.
const SAMPLES: u32 = 7;

/// What was counted, and where.
#[derive(Deserialize, Serialize)]
struct Counts {
    machine: String,
    cases: Vec<Count>,
}

/// The instructions of one run of a case.
#[derive(Deserialize, Serialize)]
struct Count {
    case: String,
    /// Of our program.
    instructions: u64,
    /// Of the one that only returns.
    empty: u64,
}

/// Counts the instructions of each case, as a line of JSON.
pub(crate) fn count() -> Result<String> {
    is_counting()?;
    let cases = cases::all();
    let _live = cases::live_flow()?;
    verify(&cases)?;
    let mut loaded = Loaded::for_cases(&cases, false)?;
    let count = |case: &Case| {
        let instance = &mut of(&mut loaded, case.policy)?.instance;
        let (ours, empty) = programs(case);
        Ok(Count {
            case: case.name.clone(),
            instructions: least(instance, case, ours)?,
            empty: least(instance, case, empty)?,
        })
    };
    let cases = cases.iter().map(count).collect::<Result<_>>()?;
    Ok(serde_json::to_string(&Counts { machine: machine::name(), cases })?)
}

/// The instructions of one run.
fn least(instance: &mut Instance, case: &Case, program: Program) -> Result<u64> {
    let first = front(instance, case, program)?;
    // One more than are kept: the first brings what is taken for the first time.
    let samples = (0..=SAMPLES).map(|_| {
        let run = instance.run(first, &case.frame, RUNS)?;
        ensure!(run.action == action_of(case), "{} ended with action {}", case.name, run.action);
        Ok(run.duration.as_nanos() as u64)
    });
    samples.collect::<Result<Vec<_>>>()?.into_iter().skip(1).min().context("a sample")
}

/// How often [`turn`] does.
const TURNS: u32 = 100_000;

/// Two instructions, so many times.
#[cfg(target_arch = "x86_64")]
fn turn() {
    // SAFETY: they have a register of their own.
    unsafe {
        std::arch::asm!("2:", "dec {0:e}", "jnz 2b", inout(reg) TURNS => _, options(nomem, nostack));
    }
}

/// There are machines for x86-64 only.
#[cfg(not(target_arch = "x86_64"))]
fn turn() {}

/// That this machine's clock counts instructions.
fn is_counting() -> Result<()> {
    let spent = |_| {
        let start = Instant::now();
        turn();
        start.elapsed().as_nanos() as f64 / f64::from(TURNS)
    };
    // As above: an interrupt may come between.
    let spent = (0..SAMPLES).map(spent).fold(f64::INFINITY, f64::min);
    ensure!(
        (1.99..2.1).contains(&spent),
        "this machine's clock doesn't count instructions: two take {spent:.2} ns"
    );
    Ok(())
}

/// What that machine said, which is in this file.
pub(crate) fn section(file: &Path) -> Result<Section> {
    let said =
        fs::read_to_string(file).with_context(|| format!("can't read {}", file.display()))?;
    let counts: Counts = serde_json::from_str(&said)
        .with_context(|| format!("{} says no counts", file.display()))?;
    let mut table =
        Table::new(&[("case", Left), ("instructions", Right), ("empty", Right), ("above", Right)]);
    for Count { case, instructions, empty } in &counts.cases {
        let above = instructions.saturating_sub(*empty);
        let mut row = vec![case.clone()];
        row.extend([*instructions, *empty, above].map(|count| count.to_string()));
        table.row(row);
    }
    Ok(Section {
        name: "instructions",
        title: "Instructions a packet".to_owned(),
        text: format!(
            "Instructions of x86-64 that the same cases take, the kernel's helpers and its loop around a test run \
             included, without what guards against speculation: {}, in a machine whose clock counts them.",
            counts.machine
        ),
        table,
        bars: Vec::new(),
        plot: None,
        figures: serde_json::to_value(&counts.cases)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_shown() {
        let file = std::env::temp_dir().join(format!("icmpgate-counts-{}", std::process::id()));
        let said = r#"{"machine":"M","cases":[{"case":"tcp-syn","instructions":170,"empty":89}]}"#;
        fs::write(&file, said).unwrap();
        let section = section(&file).unwrap();
        fs::remove_file(&file).unwrap();
        assert!(section.text.contains(": M, in a machine"), "{}", section.text);
        assert!(
            section.markdown().contains("| tcp-syn | 170 | 89 | 81 |"),
            "{}",
            section.markdown()
        );
        assert_eq!(section.figures[0]["instructions"], 170);
    }
}
