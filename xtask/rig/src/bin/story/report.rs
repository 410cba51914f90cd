//! What happened, for a person to read.

use crate::{
    flood::Flood,
    tell::{Story, Told},
};
use icmp_common::{
    abi::family,
    classify::{code_name, type_name},
};
use icmpgate_rig::{
    metrics::{Counts, Key},
    text::{Align, Cell, Look, Paint, Table, thousands},
};
use std::{
    collections::BTreeSet,
    io::{self, Write},
};

/// How far what passes of a limit may be from what it allows, in percent.
const CLOSE: f64 = 2.0;

/// Prints the story.
pub(crate) fn print(out: &mut impl Write, paint: Paint, story: &Story) -> io::Result<()> {
    for line in acts(story).lines(paint) {
        writeln!(out, "{line}")?;
    }
    writeln!(out)?;
    floods(out, paint, &story.floods)?;
    writeln!(out)?;
    for line in messages(&story.all).lines(paint) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

fn acts(story: &Story) -> Table {
    use Align::{Left, Right};
    let mut table = Table::new(&[
        ("what was sent", Left),
        ("frames", Right),
        ("passed", Right),
        ("dropped", Right),
        ("why", Left),
        ("as its sender saw it", Left),
    ]);
    for told in &story.acts {
        let Told { act, counts, seen } = told;
        let mut why = reasons(counts);
        if !told.as_meant() {
            why = format!("{why} (should be {})", act.reasons.join(", "));
        }
        let mut row: Vec<Cell> = vec![act.title.as_str().into()];
        row.push(thousands(act.frames.unwrap_or_else(|| counts.total())).into());
        row.extend(verdicts(counts));
        row.push(Cell::new(why, if told.as_meant() { Look::Plain } else { Look::Bad }));
        row.push(Cell::new(seen.as_str(), Look::Dim));
        table.row(row);
    }
    for flood in &story.floods {
        let mut row: Vec<Cell> = vec![flood.plan.title.into()];
        row.push(thousands(flood.plan.count as u64).into());
        row.extend(verdicts(&flood.counts));
        row.push(reasons(&flood.counts).into());
        let rate = flood.plan.count as f64 / flood.took.as_secs_f64();
        row.push(Cell::new(format!("{} a second", thousands(rate as u64)), Look::Dim));
        table.row(row);
    }
    table
}

fn verdicts(counts: &Counts) -> [Cell; 2] {
    let cell = |verdict, look| match counts.with_verdict(verdict) {
        0 => Cell::new("-", Look::Dim),
        packets => Cell::new(thousands(packets), look),
    };
    [cell("pass", Look::Good), cell("drop", Look::Bad)]
}

/// The reasons, those that pass first. How many had which is in the table of all messages.
fn reasons(counts: &Counts) -> String {
    let dropped = |key: &Key| key.verdict == "drop";
    let reasons: BTreeSet<(bool, &str)> =
        counts.iter().map(|(key, _)| (dropped(key), key.reason.as_str())).collect();
    match reasons.len() {
        0 => "nothing was counted".to_owned(),
        _ => reasons.into_iter().map(|(_, reason)| reason).collect::<Vec<_>>().join(", "),
    }
}

fn floods(out: &mut impl Write, paint: Paint, floods: &[Flood]) -> io::Result<()> {
    for (flood, what) in floods.iter().zip(["flood", "flood of errors"]) {
        let (took, plan) = (flood.took.as_secs_f64(), &flood.plan);
        let passed = flood.counts.with_verdict("pass");
        let off = (passed as f64 - flood.allowed()) / flood.allowed() * 100.0;
        // To a tenth, and never "-0.0".
        let off = (off * 10.0).round() / 10.0 + 0.0;
        let look = if off.abs() <= CLOSE { Look::Good } else { Look::Bad };
        writeln!(
            out,
            "the {what} took {took:.3} s; its limit of {}/s with a burst of {} allows {} in that \
             time, and {} passed: {}",
            plan.limit,
            plan.burst,
            thousands(flood.allowed().round() as u64),
            thousands(passed),
            paint.paint(look, &format!("{off:+.1} %")),
        )?;
        let counted = flood.counts.total();
        if counted < plan.count as u64 {
            let lost = thousands(plan.count as u64 - counted);
            writeln!(out, "{lost} frames of it were lost on the way, before the program")?;
        }
    }
    match floods.first().and_then(|flood| flood.program_ns) {
        Some(ns) => writeln!(
            out,
            "{ns:.0} ns a packet in the program, of which the kernel's own stopwatch takes a part; \
             `cargo xtask bench` measures without it"
        ),
        None => writeln!(out, "this kernel doesn't say how long programs run"),
    }
}

/// All that the gate counted, by message.
fn messages(all: &Counts) -> Table {
    use Align::{Left, Right};
    let mut table = Table::new(&[
        ("all that the gate saw", Left),
        ("hook", Left),
        ("type", Right),
        ("code", Right),
        ("verdict", Left),
        ("reason", Left),
        ("packets", Right),
    ]);
    let mut sorted: Vec<(&Key, u64)> = all.iter().collect();
    // Numbers by their value; behind them what has none, and at the end what isn't ours.
    let number = |text: &str| text.parse().unwrap_or(u32::MAX);
    let place = |key| match family_of(key) {
        family::NONE => u8::MAX,
        family => family,
    };
    sorted.sort_by_key(|(key, _)| {
        (key.hook == "egress", place(key), number(&key.ty), number(&key.code))
    });
    for (key, packets) in sorted {
        let look = if key.verdict == "drop" { Look::Bad } else { Look::Good };
        table.row([
            Cell::from(name(key)),
            Cell::new(key.hook.as_str(), Look::Dim),
            key.ty.as_str().into(),
            key.code.as_str().into(),
            Cell::new(key.verdict.as_str(), look),
            key.reason.as_str().into(),
            thousands(packets).into(),
        ]);
    }
    table
}

fn name(key: &Key) -> String {
    let number = family_of(key);
    if number == family::NONE {
        return "other traffic".to_owned();
    }
    let what = match (key.ty.parse(), key.code.parse()) {
        (Ok(ty), Ok(code)) => match code_name(number, ty, code) {
            Some(code) => format!("{}, {code}", type_name(number, ty)),
            None => type_name(number, ty).to_owned(),
        },
        // Mostly later fragments, and what is cut before its header.
        _ if key.ty == "none" => "without a header (fragments)".to_owned(),
        _ => "other types".to_owned(),
    };
    format!("{} {what}", key.family)
}

fn family_of(key: &Key) -> u8 {
    let same = |number: &u8| family::label(*number) == key.family;
    family::ALL.into_iter().find(same).unwrap_or(family::NONE)
}
