//! `check`: what a policy file comes to, or every mistake in it. It needs no privilege and no
//! kernel.

use super::{
    DONE, WRONG,
    output::{Out, Sink, columns, paragraph, say},
};
use crate::policy::{
    self, CheckMode, CheckedPolicy, CompileContext, Compiled, Gate, Groups, PolicyErrors,
    TableLine, Warning, load, rows, warnings,
};
use serde::Serialize;
use std::{collections::BTreeMap, io::Write, net::IpAddr, path::PathBuf, process::ExitCode};

/// What to check.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The policy file
    file: PathBuf,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// A policy that holds, or what keeps it from it.
#[derive(Serialize)]
struct Report {
    file: String,
    holds: bool,
    mistakes: Vec<Mistake>,
    /// What holds and yet hardly does what was meant.
    warnings: Vec<Warning>,
    #[serde(flatten)]
    policy: Option<Summary>,
}

#[derive(Serialize)]
struct Mistake {
    line: Option<usize>,
    column: Option<usize>,
    message: String,
    expected: Option<String>,
}

/// What a policy is, as a program reads it.
#[derive(Serialize)]
pub struct Summary {
    profile: &'static str,
    mode: &'static str,
    rules: Vec<TableLine>,
    checks: BTreeMap<&'static str, &'static str>,
    zones: BTreeMap<String, usize>,
    /// The speeds that it gives interfaces, in Mbit/s.
    speeds_mbit: BTreeMap<String, u32>,
    /// The routers whose advertisements are taken; where none is listed, any.
    routers: Vec<IpAddr>,
    /// What it says of groups.
    groups: GroupSummary,
}

/// What a policy says of groups.
#[derive(Serialize)]
struct GroupSummary {
    learn: bool,
    /// The interfaces that are gated; null where that is every one.
    gate: Option<Vec<String>>,
    mode: &'static str,
    unregistered: &'static str,
    other_routers: &'static str,
    max_per_interface: u32,
    max_per_host: u32,
    joins_per_second: u32,
    #[serde(rename = "static")]
    fixed: Vec<StaticGroup>,
}

#[derive(Serialize)]
struct StaticGroup {
    interface: String,
    vlan: Option<u16>,
    group: IpAddr,
    source: Option<IpAddr>,
}

impl GroupSummary {
    fn of(groups: &Groups) -> Self {
        let fixed = groups.fixed.iter().map(|one| StaticGroup {
            interface: one.interface.clone(),
            vlan: (one.vlan != 0).then_some(one.vlan),
            group: one.group,
            source: one.source,
        });
        Self {
            learn: groups.learn,
            gate: match &groups.gate {
                Gate::Off => Some(Vec::new()),
                Gate::All => None,
                Gate::Interfaces(names) => Some(names.iter().cloned().collect()),
            },
            mode: groups.mode.label(),
            unregistered: if groups.unregistered_go { "pass" } else { "drop" },
            other_routers: if groups.heeds_routers { "all" } else { "members" },
            max_per_interface: groups.per_interface,
            max_per_host: groups.per_host,
            joins_per_second: groups.joins,
            fixed: fixed.collect(),
        }
    }
}

/// What a policy says of groups, in a line or more, where there is something to say.
pub fn group_lines(groups: &Groups) -> Vec<String> {
    let mut lines: Vec<String> = gate_line(groups).into_iter().collect();
    let fixed = GroupSummary::of(groups).fixed;
    lines.extend(fixed.iter().map(|StaticGroup { interface, vlan, group, source }| {
        let vlan = vlan.map_or_else(String::new, |vlan| format!(" vlan {vlan}"));
        let source = source.map_or_else(String::new, |source| format!(" from {source}"));
        format!("group {group}{source} on {interface}{vlan}: static")
    }));
    lines
}

/// Whether it keeps multicast back, or can't, where it says so.
pub fn gate_line(groups: &Groups) -> Option<String> {
    let GroupSummary { learn, gate, mode, unregistered, other_routers, .. } =
        GroupSummary::of(groups);
    if !learn {
        return Some("groups: nothing is learnt of them".to_owned());
    }
    let gated = match gate {
        None => "every interface".to_owned(),
        Some(names) if names.is_empty() => return None,
        Some(names) => names.join(", "),
    };
    Some(format!(
        "groups: multicast leaves by {gated} to members only ({mode}); unregistered: {unregistered}, other \
         routers: {other_routers}"
    ))
}

impl Summary {
    /// That of a policy.
    pub fn of(policy: &CheckedPolicy) -> Self {
        Self {
            profile: policy.profile.name(),
            mode: policy.mode.label(),
            rules: policy.table(),
            checks: policy.checks.faults().map(|(fault, c)| (fault.label(), c.label())).collect(),
            zones: policy.zones.iter().map(|z| (z.name.clone(), z.prefixes.len())).collect(),
            speeds_mbit: policy.speeds.iter().map(|(name, s)| (name.clone(), s.0)).collect(),
            routers: policy.routers.clone(),
            groups: GroupSummary::of(&policy.groups),
        }
    }
}

/// Checks.
pub fn run(args: &Args, out: &mut Out) -> anyhow::Result<ExitCode> {
    let file = args.file.display().to_string();
    let result = load(&args.file).map_err(anyhow::Error::from).and_then(|policy| {
        let compiled = policy.compile(&CompileContext::EMPTY)?;
        Ok((policy, compiled))
    });
    if args.json {
        let code = if result.is_ok() { DONE } else { WRONG };
        out.json(&report(file, &result))?;
        return Ok(ExitCode::from(code));
    }
    let (policy, compiled) = result?;
    write_policy(out, &policy, &compiled)?;
    // The verdict comes behind the table, also where both go to one terminal.
    out.flush()?;
    for Warning { line, message, .. } in warnings(&policy) {
        say(format_args!("warning: {file}:{line}: {message}"));
    }
    say(format_args!("{file} holds"));
    Ok(ExitCode::from(DONE))
}

fn report(file: String, result: &anyhow::Result<(CheckedPolicy, Compiled)>) -> Report {
    match result {
        Ok((policy, _)) => Report {
            file,
            holds: true,
            mistakes: Vec::new(),
            warnings: warnings(policy),
            policy: Some(Summary::of(policy)),
        },
        Err(error) => {
            let mistakes = match error.downcast_ref::<PolicyErrors>() {
                Some(errors) => errors.iter().map(mistake).collect(),
                // It is too large, which has no place.
                None => {
                    let message = error.to_string();
                    vec![Mistake { line: None, column: None, message, expected: None }]
                }
            };
            Report { file, holds: false, mistakes, warnings: Vec::new(), policy: None }
        }
    }
}

fn mistake(error: &policy::PolicyError) -> Mistake {
    Mistake {
        line: error.place.map(|p| p.line),
        column: error.place.map(|p| p.column),
        message: error.message.clone(),
        expected: error.expected.clone(),
    }
}

/// A policy for people: its table, and what else differs from the default.
pub fn write_policy(
    out: &mut dyn Sink,
    policy: &CheckedPolicy,
    compiled: &Compiled,
) -> std::io::Result<()> {
    let table = rows(&policy.table());
    columns(out, [false; _], &table)?;
    writeln!(out)?;
    writeln!(
        out,
        "profile {}, mode {}, rules {}, prefixes {}, zones {}",
        policy.profile.name(),
        policy.mode.label(),
        compiled.info.rules,
        compiled.info.prefixes,
        policy.zones.iter().filter(|z| !z.prefixes.is_empty()).count(),
    )?;
    for (name, speed) in &policy.speeds {
        writeln!(out, "interface {name}: speed {speed}")?;
    }
    for router in &policy.routers {
        writeln!(out, "router {router}")?;
    }
    for line in group_lines(&policy.groups) {
        paragraph(out, &line)?;
    }
    for (fault, mode) in policy.checks.faults() {
        if mode != CheckMode::Enforce {
            writeln!(out, "check {}: {}", fault.label(), mode.label())?;
        }
    }
    Ok(())
}
