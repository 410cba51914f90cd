//! `cargo xtask bench`: ns a packet of the kernel program, beside a program that only returns.
//!
//! All cases run in one process, on one CPU, interleaved: each round takes every case once, its
//! empty program right beside it. So what the machine does meanwhile meets all of them alike, and
//! the difference within a round is what stays when the machine is noisy.

mod cases;
mod instructions;
mod live;
mod machine;
mod measure;
mod plot;
mod report;
mod results;
mod scale;
mod section;
mod user;

use anyhow::{Context as _, Result, bail, ensure};
use cases::{Case, Policy};
use clap::Parser;
use icmp_common::{
    abi::{RULE_NONE, Rule, limit_flag, tc_action},
    flow::state,
    verdict::{Outcome, Reason, Verdict},
};
use icmpgate::{
    datapath::{Instance, Program},
    policy::{self, Compiled, Hook},
};
use icmpgate_rig::{apart, text::thousands};
use measure::{LONG, RUNS, Spread, runs_of, sample};
use section::Section;
use std::{collections::BTreeMap, path::PathBuf, process::ExitCode};

/// How often each case is measured, where nothing else is said, and at least.
const ROUNDS: u32 = 15;
/// What a classifier returns that lets a packet go on.
const GOES_ON: u32 = tc_action::UNSPEC as u32;
/// XDP actions (linux/bpf.h).
const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;

/// Measure the ns a packet of the kernel program.
#[derive(Parser)]
#[command(name = "bench")]
struct Args {
    /// Also write the figures here, as JSON
    #[arg(long, value_name = "FILE", conflicts_with = "part")]
    json: Option<PathBuf>,
    /// How often each case is measured
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(3..))]
    rounds: Option<u32>,
    /// Only these cases
    #[arg(long = "case", value_name = "NAME", num_args = 1.., conflicts_with = "part")]
    cases: Vec<String>,
    /// In place of them, how the cost grows with sources, prefixes, records, octets and processors
    #[arg(long, group = "part")]
    scale: bool,
    /// In place of them, what it costs in user space
    #[arg(long, group = "part", requires = "program")]
    user_space: bool,
    /// In place of them, what it and other filters bear under a flood
    #[arg(long, group = "part", requires = "program")]
    live: bool,
    /// In place of them, the instructions that a machine counted: what it said is in this file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["scale", "user_space", "live", "cases"])]
    instructions: Option<PathBuf>,
    /// Count instructions, in a machine whose clock does, and say them in a line
    #[arg(long, conflicts_with = "part")]
    count: bool,
    /// With --live: another filter, which this command loads at the interface gate0
    #[arg(long, value_name = "COMMAND", requires = "live")]
    beside: Option<String>,
    /// All of it, written into this folder as JSON, Markdown and plots
    #[arg(long, value_name = "FOLDER", group = "part", requires_all = ["program", "instructions"])]
    results: Option<PathBuf>,
    /// The icmpgate that is measured in user space and under a flood
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

/// The figures of one case.
struct Figures {
    name: String,
    octets: usize,
    empty_program: &'static str,
    ours: Spread,
    empty: Spread,
    /// Ours less the empty program of the same round.
    above: Spread,
}

/// A loaded copy of the programs and the policy that it has.
struct Loaded {
    policy: Policy,
    instance: Instance,
    compiled: Compiled,
}

impl Loaded {
    /// A copy for each policy that these cases run under.
    fn for_cases(cases: &[Case], tracing: bool) -> Result<Vec<Self>> {
        let mut policies: Vec<Policy> = Vec::new();
        for case in cases {
            if !policies.contains(&case.policy) {
                policies.push(case.policy);
            }
        }
        let load = |policy: Policy| {
            let checked = policy::from_str(&format!("{policy:?}"), &policy.text());
            let checked = checked.map_err(|errors| anyhow::anyhow!("{errors}"))?;
            let (mut instance, compiled) = Instance::private(&checked, tracing)?;
            instance.maps().set_local(&[cases::local()])?;
            instance.maps().set_endpoint(0, &cases::endpoint())?;
            let groups = match policy {
                Policy::Members(groups) => Some(groups),
                Policy::Observed => Some(2),
                _ => None,
            };
            if let Some(groups) = groups {
                let mut frames = cases::joined(groups);
                // The stream's own has none there, but reports are heard.
                if policy == Policy::Observed {
                    frames.remove(1);
                }
                for frame in frames {
                    instance.run(Program::Ingress, &frame, 1)?;
                }
                std::thread::sleep(cases::ANSWERED);
            }
            Ok(Self { policy, instance, compiled })
        };
        policies.into_iter().map(load).collect()
    }
}

fn of(loaded: &mut [Loaded], policy: Policy) -> Result<&mut Loaded> {
    loaded.iter_mut().find(|l| l.policy == policy).context("every policy is loaded")
}

/// The program to start with, so that a case's packets come to `program` from all its sources.
fn front(instance: &mut Instance, case: &Case, program: Program) -> Result<Program> {
    if case.sources == 0 {
        return Ok(program);
    }
    instance.sweep(case.sources, program)?;
    Ok(Program::Sweep)
}

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> Result<()> {
    let Args { rounds, results, program, instructions, beside, .. } = args;
    if let (Some(file), None) = (&instructions, &results) {
        instructions::section(file)?.print();
        return Ok(());
    }
    icmpgate::datapath::check_system()?;
    if args.count {
        println!("{}", instructions::count()?);
        return Ok(());
    }
    let floods = rounds.unwrap_or(live::ROUNDS);
    let rounds = rounds.unwrap_or(ROUNDS);
    ensure!(args.live || rounds >= ROUNDS, "--rounds is {ROUNDS} or more, but with --live");
    // None of these is asked for without it.
    let [program, instructions] = [program, instructions].map(Option::unwrap_or_default);
    if let Some(folder) = results {
        return results::write(&folder, &program, &instructions, rounds);
    }
    println!("{}\n", machine::name());
    if args.live {
        let with = live::With { program: &program, other: beside.as_deref() };
        live::run(with, floods)?.print();
        return Ok(());
    }
    if args.user_space {
        user::run(&program, rounds)?.print();
        return Ok(());
    }
    if args.scale {
        scale::run(rounds)?.iter().for_each(Section::print);
        return Ok(());
    }
    let (figures, text) = measured(&chosen(&args.cases)?, rounds)?;
    let section = report::section(&figures, text);
    section.print();
    if let Some(file) = &args.json {
        let json = serde_json::to_string_pretty(&section.figures)? + "\n";
        std::fs::write(file, json).with_context(|| format!("can't write {}", file.display()))?;
    }
    Ok(())
}

/// Measures cases, on one processor: the figures, and what they are of.
fn measured(cases: &[Case], rounds: u32) -> Result<(Vec<Figures>, String)> {
    // Others aren't to stay on that processor.
    apart::run(|| {
        let cpu = machine::stay_on_one_cpu()?;
        let _live = cases::live_flow()?;
        verify(cases)?;
        let mut loaded = Loaded::for_cases(cases, false)?;
        let mut text = machine::programs(&loaded.first().context("a case")?.instance)?;
        text.push(format!(
            "CPU {cpu}; {rounds} rounds of {} runs, fewer where one takes more than {LONG} ns; limits are one bucket by rule, or one by source, read in \
             ticks; what passes is verified, charged and counted",
            thousands(RUNS.into())
        ));
        let (figures, runs) = measure_rounds(cases, &mut loaded, rounds)?;
        counted(cases, &loaded, &runs)?;
        Ok((figures, text.join("\n")))
    })
}

fn chosen(names: &[String]) -> Result<Vec<Case>> {
    let all = cases::all();
    if let Some(unknown) = names.iter().find(|name| all.iter().all(|c| c.name != **name)) {
        let known: Vec<&str> = all.iter().map(|c| c.name.as_str()).collect();
        bail!("there is no case {unknown:?}; the cases are {}", known.join(", "));
    }
    Ok(all.into_iter().filter(|c| names.is_empty() || names.contains(&c.name)).collect())
}

fn action_of(case: &Case) -> u32 {
    match case.hook {
        Hook::Egress => GOES_ON,
        Hook::Ingress if drops(case) => XDP_DROP,
        Hook::Ingress => XDP_PASS,
    }
}

/// Our program at the case's hook, and the one that only returns the same.
fn programs(case: &Case) -> (Program, Program) {
    let (ours, empty) = match case.hook {
        Hook::Egress => (Program::Egress, Program::EmptyEgress),
        Hook::Ingress if drops(case) => (Program::Ingress, Program::EmptyDrop),
        Hook::Ingress => (Program::Ingress, Program::EmptyPass),
    };
    (case.floor.unwrap_or(ours), empty)
}

fn drops(case: &Case) -> bool {
    case.reason.entry().is_some_and(|e| e.verdict == Verdict::Drop)
}

/// That each case takes the path that it is named for, by the trace of its packet in copies that
/// write one.
fn verify(cases: &[Case]) -> Result<()> {
    let mut loaded = Loaded::for_cases(cases, true)?;
    for case in cases {
        let with = of(&mut loaded, case.policy)?;
        let (ours, _) = programs(case);
        let program = front(&mut with.instance, case, ours)?;
        // The first packet of a limit is within it.
        let mut run = with.instance.run(program, &case.frame, 1)?;
        if case.reason == Reason::OVER_LIMIT {
            run = with.instance.run(program, &case.frame, 1)?;
        }
        if case.floor.is_some() {
            let wanted = action_of(case);
            ensure!(run.action == wanted, "{}: action {}, not {wanted}", case.name, run.action);
            continue;
        }
        let trace = with.instance.trace()?;
        let reason = Outcome(trace.outcome).reason();
        let names = &with.compiled.hook(case.hook).rule_names;
        let rule = (trace.rule != RULE_NONE).then(|| names[usize::from(trace.rule)].as_str());
        ensure!(
            (run.action, reason, rule) == (action_of(case), case.reason, case.rule),
            "{} isn't what it says: action {} for {}, by {rule:?}; should be action {} for {}, by \
             {:?}",
            case.name,
            run.action,
            reason.label(),
            action_of(case),
            case.reason.label(),
            case.rule
        );
        ensure!(
            trace.flow == case.flow,
            "the flow of {} is {:?}, not {:?}",
            case.name,
            state::label(trace.flow),
            state::label(case.flow)
        );
        if let Some(rule) = with.compiled.hook(case.hook).table.rules.get(usize::from(trace.rule)) {
            let limited = matches!(case.reason, Reason::WITHIN_LIMIT | Reason::OVER_LIMIT);
            ensure!(
                !limited || reads_ticks(rule),
                "the limit of {} reads another clock than is said below",
                case.name
            );
        }
    }
    Ok(())
}

fn reads_ticks(rule: &Rule) -> bool {
    let totals = rule.totals.iter().filter(|limit| limit.cost != 0).map(|limit| limit.flags);
    let keyed = rule.keyed.iter().filter(|limit| limit.cost != 0).map(|limit| limit.flags);
    totals.chain(keyed).all(|flags| flags & limit_flag::TICKS != 0)
}

/// The figures, and how often at least each case was run.
fn measure_rounds(
    cases: &[Case],
    loaded: &mut [Loaded],
    rounds: u32,
) -> Result<(Vec<Figures>, Vec<u64>)> {
    let mut pairs = vec![Vec::new(); cases.len()];
    // The round before the first warms the caches, and tells how long a run takes; it isn't kept.
    let mut runs = vec![RUNS; cases.len()];
    for round in 0..=rounds {
        for ((case, pairs), runs) in cases.iter().zip(&mut pairs).zip(&mut runs) {
            let instance = &mut of(loaded, case.policy)?.instance;
            let (ours, empty) = programs(case);
            // Whoever goes second finds the processor as the first left it, so they take turns.
            let order = [empty, ours];
            let order = if round % 2 == 0 { order } else { [order[1], order[0]] };
            let mut pair = [0.0; 2];
            for program in order {
                let first = front(instance, case, program)?;
                let runs = if program == ours { *runs } else { RUNS };
                let sample = sample(instance, first, &case.frame, runs)?;
                ensure!(
                    sample.action == action_of(case),
                    "{} ended with action {} while it was measured",
                    case.name,
                    sample.action
                );
                pair[usize::from(program == ours)] = sample.ns;
            }
            if round > 0 {
                pairs.push(pair);
            } else {
                *runs = runs_of(pair[1]);
            }
        }
    }
    let figures = cases.iter().zip(pairs).map(|(case, pairs)| Figures {
        name: case.name.clone(),
        octets: case.frame.len(),
        empty_program: programs(case).1.name(),
        ours: Spread::of(pairs.iter().map(|[_, ours]| *ours)),
        empty: Spread::of(pairs.iter().map(|[empty, _]| *empty)),
        above: Spread::of(pairs.iter().map(|[empty, ours]| ours - empty)),
    });
    let runs = runs.into_iter().map(|runs| u64::from(rounds) * u64::from(runs));
    Ok((figures.collect(), runs.collect()))
}

/// That the counters of the copies that were timed moved as often as they ran, for the reasons
/// that were meant and no others: but for a few, since a limit lets one packet pass now and then.
fn counted(cases: &[Case], loaded: &[Loaded], runs: &[u64]) -> Result<()> {
    const FEW: u64 = 10;
    for with in loaded {
        let mut counted: BTreeMap<Reason, u64> = BTreeMap::new();
        for entry in with.instance.counters()?.entries {
            *counted.entry(entry.outcome.reason()).or_default() += entry.count.packets;
        }
        let mut meant: BTreeMap<Reason, u64> = BTreeMap::new();
        let its = |(case, _): &(&Case, _)| case.policy == with.policy && case.floor.is_none();
        for (case, runs) in cases.iter().zip(runs).filter(its) {
            *meant.entry(case.reason).or_default() += runs;
        }
        for (reason, meant) in &meant {
            let counted = counted.remove(reason).unwrap_or(0);
            ensure!(
                counted + FEW >= *meant,
                "{meant} packets were meant to be {}, and {counted} were counted so",
                reason.label()
            );
        }
        for (reason, packets) in counted {
            let reason = reason.label();
            ensure!(
                packets <= FEW,
                "{packets} packets were counted as {reason}, and none meant so"
            );
        }
    }
    Ok(())
}
