//! `stats`: the counters, from the pinned maps; the same as the daemon serves, and it need not live.

use super::{
    DONE, Global, kernel,
    kernel::Kernel,
    output::{Out, columns, say, section},
    status::read,
};
use crate::observe::{CounterLine, Field, KeysState, LimitState, Pace, Snapshot, metrics};
use icmp_common::abi::{family, hook};
use serde::Serialize;
use std::{io::Write as _, process::ExitCode};

/// How to show them.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// As JSON
    #[arg(long, conflicts_with = "prometheus")]
    json: bool,
    /// As the text that the daemon serves
    #[arg(long)]
    prometheus: bool,
}

/// A counter, with the labels of its metric.
#[derive(Serialize)]
struct Line {
    iface: String,
    hook: &'static str,
    family: &'static str,
    #[serde(rename = "type")]
    ty: String,
    code: String,
    type_name: Option<&'static str>,
    code_name: Option<&'static str>,
    verdict: &'static str,
    reason: &'static str,
    mode: &'static str,
    packets: u64,
    octets: u64,
}

/// A limit of the policy in force.
#[derive(Serialize)]
struct Limit<'a> {
    hook: &'static str,
    rule: &'a str,
    key: &'static str,
    unit: &'static str,
    reserve: bool,
    /// Whether it is of what the rule matches and whose flow is unknown.
    unknown_flow: bool,
    /// Null for a share, as the next two.
    rate: Option<u64>,
    period_s: Option<u32>,
    burst: Option<u64>,
    /// The share of the interface's speed that it is, of 1; null for any other limit, as the next.
    share: Option<f64>,
    /// The time in which its burst comes back.
    burst_ms: Option<u64>,
    /// What is left of the burst; null for a limit by key.
    level: Option<u64>,
    passed: u64,
    refused: u64,
}

/// The table of limits by key.
#[derive(Serialize)]
struct Keys {
    capacity: u64,
    used: Option<u64>,
    taken: u64,
    full: u64,
}

/// All that `--json` has.
#[derive(Serialize)]
struct Stats<'a> {
    counters: Vec<Line>,
    limits: Vec<Limit<'a>>,
    keys: Keys,
    kernel: Kernel,
}

impl<'a> Stats<'a> {
    fn of(snapshot: &'a Snapshot) -> Self {
        let limit = |l: &'a LimitState| {
            let mut limit = Limit {
                hook: l.hook,
                rule: &l.rule,
                key: l.key,
                unit: l.unit,
                reserve: l.reserve,
                unknown_flow: l.unknown_flow,
                rate: None,
                period_s: None,
                burst: None,
                share: None,
                burst_ms: None,
                level: l.level,
                passed: l.passed,
                refused: l.refused,
            };
            match l.pace {
                Pace::Rate { rate, period_s, burst } => {
                    limit.rate = Some(rate);
                    limit.period_s = Some(period_s);
                    limit.burst = Some(burst);
                }
                Pace::Share { share, burst_ms } => {
                    limit.share = Some(share.ratio());
                    limit.burst_ms = Some(burst_ms);
                }
            }
            limit
        };
        let KeysState { capacity, used, taken, full } = snapshot.keys;
        Self {
            counters: lines(snapshot),
            limits: snapshot.limits.iter().map(limit).collect(),
            keys: Keys { capacity, used, taken, full },
            kernel: Kernel::of(&snapshot.kernel),
        }
    }
}

/// Shows them.
pub fn run(args: &Args, global: &Global, out: &mut Out) -> anyhow::Result<ExitCode> {
    let snapshot = read(&global.pins())?;
    if args.prometheus {
        out.write_all(metrics::render(&snapshot)?.as_bytes())?;
    } else if args.json {
        out.json(&Stats::of(&snapshot))?;
    } else {
        write(out, &snapshot)?;
    }
    out.flush()?;
    snapshot.errors.iter().for_each(|error| say(format_args!("not readable: {error}")));
    Ok(ExitCode::from(DONE))
}

fn lines(snapshot: &Snapshot) -> Vec<Line> {
    let all = snapshot.interfaces.iter().flat_map(|i| i.counters.iter().map(move |c| (i, c)));
    all.map(|(interface, line)| Line {
        iface: interface.name.clone(),
        hook: hook::label(line.hook),
        family: family::label(line.family),
        ty: line.ty.to_string(),
        code: line.code.to_string(),
        type_name: line.type_name(),
        code_name: line.code_name(),
        verdict: line.verdict.label(),
        reason: line.reason.label(),
        mode: line.mode.label(),
        packets: line.count.packets,
        octets: line.count.octets,
    })
    .collect()
}

/// What a counter counts, as number and name.
fn message(line: &CounterLine) -> [String; 2] {
    let named = |field: Field, name: Option<&str>| match (field, name) {
        (Field::Absent, _) => "-".to_owned(),
        (field, Some(name)) => format!("{field} {name}"),
        (field, None) => field.to_string(),
    };
    [named(line.ty, line.type_name()), named(line.code, line.code_name())]
}

/// What was done, and where that was only because nothing is enforced, what would have been: "pass
/// denied" alone reads as a contradiction.
fn verdict(line: &CounterLine) -> String {
    let enforced = line.reason.entry().map_or(line.verdict, |entry| entry.verdict);
    match line.verdict.label() {
        label if enforced == line.verdict => label.to_owned(),
        label => format!("{label} (would {})", enforced.label()),
    }
}

fn write(out: &mut Out, snapshot: &Snapshot) -> std::io::Result<()> {
    let head = [
        "INTERFACE",
        "HOOK",
        "FAMILY",
        "TYPE",
        "CODE",
        "VERDICT",
        "REASON",
        "MODE",
        "PACKETS",
        "OCTETS",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    for interface in &snapshot.interfaces {
        for line in &interface.counters {
            let [ty, code] = message(line);
            rows.push([
                interface.name.clone(),
                hook::label(line.hook).to_owned(),
                family::label(line.family).to_owned(),
                ty,
                code,
                verdict(line),
                line.reason.label().to_owned(),
                line.mode.label().to_owned(),
                line.count.packets.to_string(),
                line.count.octets.to_string(),
            ]);
        }
    }
    let right = [false, false, false, false, false, false, false, false, true, true];
    columns(out, right, &rows)?;
    for interface in &snapshot.interfaces {
        if interface.overflow.packets > 0 {
            writeln!(
                out,
                "{}: {} packets ({} octets) found no free counter",
                interface.name, interface.overflow.packets, interface.overflow.octets
            )?;
        }
    }
    write_limits(out, snapshot)?;
    kernel::write(out, &snapshot.kernel)
}

/// How much a limit lets pass, over time and at once.
fn pace(limit: &LimitState) -> [String; 2] {
    match limit.pace {
        Pace::Rate { rate, period_s, burst } => {
            let period = match period_s {
                60 => "min",
                3600 => "h",
                _ => "s",
            };
            let unit = if limit.unit == "packets" { "" } else { " octets" };
            [format!("{rate}{unit}/{period}"), burst.to_string()]
        }
        Pace::Share { share, burst_ms } => [share.to_string(), format!("{burst_ms} ms")],
    }
}

/// What draws on it.
fn drawn_by(limit: &LimitState) -> String {
    let key = if limit.reserve { "reserve" } else { limit.key };
    if limit.unknown_flow { format!("{key}, unknown flows") } else { key.to_owned() }
}

/// The limits that packets have met, and the table of their keys.
fn write_limits(out: &mut Out, snapshot: &Snapshot) -> std::io::Result<()> {
    let head = ["HOOK", "LIMIT OF", "BY", "RATE", "BURST", "LEFT", "PASSED", "REFUSED"];
    let mut rows = vec![head.map(str::to_owned)];
    for limit in snapshot.limits.iter().filter(|l| l.passed + l.refused > 0) {
        let [rate, burst] = pace(limit);
        rows.push([
            limit.hook.to_owned(),
            limit.rule.clone(),
            drawn_by(limit),
            rate,
            burst,
            limit.level.map_or("-".to_owned(), |level| level.to_string()),
            limit.passed.to_string(),
            limit.refused.to_string(),
        ]);
    }
    let shown = section(out, [false, false, false, true, true, true, true, true], &rows)?;
    let KeysState { capacity, used, full, .. } = snapshot.keys;
    if shown && let Some(used) = used {
        writeln!(out, "{used} of {capacity} keys hold a bucket; {full} packets found none free")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use icmp_common::{
        abi::Counter,
        verdict::{Mode, Outcome, Reason, Verdict},
    };

    #[test]
    fn what_is_only_observed_says_what_it_would() {
        let line = |reason: Reason, mode| CounterLine {
            hook: 0,
            family: family::ICMPV4,
            ty: Field::Number(8),
            code: Field::Number(0),
            verdict: Outcome::new(reason, mode).verdict(),
            reason,
            mode,
            count: Counter::default(),
        };
        assert_eq!(verdict(&line(Reason::DENIED, Mode::Observe)), "pass (would drop)");
        assert_eq!(verdict(&line(Reason::DENIED, Mode::Enforce)), "drop");
        assert_eq!(verdict(&line(Reason::ACCEPTED, Mode::Observe)), "pass");
    }

    #[test]
    fn numbers_have_their_names_beside_them() {
        let line = |ty, code| CounterLine {
            hook: 0,
            family: family::ICMPV4,
            ty,
            code,
            verdict: Verdict::Pass,
            reason: Reason::ACCEPTED,
            mode: Mode::Enforce,
            count: Counter::default(),
        };
        let number = Field::Number;
        assert_eq!(
            message(&line(number(3), number(4))),
            ["3 destination-unreachable", "4 fragmentation-needed"]
        );
        assert_eq!(message(&line(number(8), number(0))), ["8 echo-request", "0"]);
        assert_eq!(message(&line(Field::Other, Field::Other)), ["other", "other"]);
        assert_eq!(message(&line(Field::Absent, Field::Absent)), ["-", "-"]);
    }
}
