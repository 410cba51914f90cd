//! `status`: what the instance is, from its pinned maps; the daemon need not live.

use super::{
    DONE, Global,
    boxed::{self, PenaltyBox, Release},
    output::{Out, columns},
    start::without_shares,
};
use crate::{
    datapath::{Error, Maps, PinDir, Renamed, check_system, interfaces, renamed},
    observe::{PolicyState, Snapshot},
};
use icmp_common::{abi::hook, share::Speed};
use serde::Serialize;
use std::{
    io::Write as _,
    process::ExitCode,
    time::{Duration, UNIX_EPOCH},
};

/// How to show it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// As JSON
    #[arg(long)]
    json: bool,
    /// Only the penalty box: each source in it, and how long it stays
    #[arg(long)]
    boxed: bool,
    /// Let a source out of the penalty box, or all
    #[arg(long, value_name = "ADDRESS|all", conflicts_with = "boxed")]
    release: Option<Release>,
}

#[derive(Serialize)]
struct Status {
    pin_dir: String,
    version: String,
    interfaces: Vec<Interface>,
    policy: Option<Policy>,
    penalty_box: PenaltyBox,
    /// The interfaces where limits that are a share of their speed aren't in force, since it isn't
    /// known.
    without_shares: Vec<String>,
    errors: Vec<String>,
}

#[derive(Serialize)]
struct Interface {
    interface: String,
    /// The name that it has by now, where that is another.
    called: Option<String>,
    mode: &'static str,
    /// How the program for what is sent is attached.
    egress: &'static str,
    /// Whether an `icmpgate run` looks after it.
    daemon: bool,
    /// The speed by which shares of it go, in Mbit/s; null where it isn't known.
    speed_mbit: Option<u32>,
    /// Who says it: `driver` or `policy`; null where nobody does.
    speed_by: Option<&'static str>,
    /// What is made of groups and their members: `off`, `learnt`, and what has no member `observed` or `gated`.
    groups: &'static str,
    counters_used: u32,
    counters_capacity: u32,
    /// What arrived.
    packets: u64,
    octets: u64,
    /// What was sent.
    packets_sent: u64,
    octets_sent: u64,
}

#[derive(Serialize)]
struct Policy {
    profile: String,
    file: Option<String>,
    mode: &'static str,
    generation: u64,
    applied: String,
    rules: u32,
    prefixes: u32,
}

/// The pinned maps; where there are none because they may not be seen, that is what is said.
pub fn open(pins: &PinDir) -> Result<Maps, Error> {
    Maps::open(pins).map_err(or_privilege)
}

/// A snapshot, likewise.
pub fn read(pins: &PinDir) -> Result<Snapshot, Error> {
    Snapshot::read(pins).map_err(or_privilege)
}

/// The interfaces that have another name by now than they are pinned under. Where the machine's can't
/// be asked for, the names that are pinned are all that is known.
pub fn changes_of_name(pins: &PinDir) -> Vec<Renamed> {
    let present = super::block_on(async { Ok(interfaces().await?) }).unwrap_or_default();
    renamed(pins, &present)
}

fn or_privilege(error: Error) -> Error {
    match check_system() {
        Err(lacks) => lacks,
        Ok(_) => error,
    }
}

/// Shows it.
pub fn run(args: &Args, global: &Global, out: &mut Out) -> anyhow::Result<ExitCode> {
    let pins = global.pins();
    if let Some(which) = args.release {
        return boxed::release(which, &pins, args.json, out);
    }
    let snapshot = read(&pins)?;
    if args.boxed {
        let penalty_box = PenaltyBox::of(&snapshot.penalty);
        if args.json {
            out.json(&penalty_box)?;
        } else {
            penalty_box.write(out)?;
        }
        return Ok(ExitCode::from(DONE));
    }
    let status = Status::of(&pins, snapshot, &changes_of_name(&pins));
    if args.json {
        out.json(&status)?;
    } else {
        status.write(out)?;
    }
    Ok(ExitCode::from(DONE))
}

impl Status {
    fn of(pins: &PinDir, snapshot: Snapshot, renamed: &[Renamed]) -> Self {
        let interfaces = snapshot.interfaces.iter().map(|i| {
            let of = |hook| i.counters.iter().filter(move |c| c.hook == hook).map(|c| c.count);
            // What overflowed isn't told apart.
            let arrived = || of(hook::INGRESS).chain([i.overflow]);
            let sent = || of(hook::EGRESS);
            Interface {
                interface: i.name.clone(),
                called: renamed.iter().find(|r| r.old == i.name).map(|r| r.new.clone()),
                mode: i.level.label(),
                egress: i.egress.label(),
                daemon: pins.is_claimed(&i.name),
                speed_mbit: i.speed.is_known().then_some(i.speed.0),
                speed_by: i.speed.is_known().then_some(match i.speed_by_policy {
                    true => "policy",
                    false => "driver",
                }),
                groups: i.groups.label(),
                counters_used: i.used,
                counters_capacity: i.room,
                packets: arrived().map(|c| c.packets).sum(),
                octets: arrived().map(|c| c.octets).sum(),
                packets_sent: sent().map(|c| c.packets).sum(),
                octets_sent: sent().map(|c| c.octets).sum(),
            }
        });
        Self {
            pin_dir: pins.path().display().to_string(),
            version: snapshot.version.clone(),
            interfaces: interfaces.collect(),
            penalty_box: PenaltyBox::of(&snapshot.penalty),
            without_shares: snapshot.without_shares,
            policy: snapshot.policy.map(Policy::of),
            errors: snapshot.errors,
        }
    }

    fn write(&self, out: &mut Out) -> std::io::Result<()> {
        writeln!(out, "instance  {}", self.pin_dir)?;
        match &self.policy {
            None => writeln!(out, "policy    none: a start was interrupted; run again, or detach")?,
            Some(policy) => {
                let from = policy.file.as_deref().map_or(String::new(), |f| format!(" from {f}"));
                let Policy { profile, generation, applied, rules, prefixes, mode, .. } = policy;
                writeln!(out, "policy    profile {profile}{from}, mode {mode}")?;
                writeln!(out, "          generation {generation}, in force since {applied}")?;
                writeln!(out, "          rules {rules}, prefixes in zones {prefixes}")?;
            }
        }
        writeln!(out)?;
        let head = [
            "INTERFACE",
            "MODE",
            "EGRESS",
            "GROUPS",
            "SPEED",
            "DAEMON",
            "COUNTERS",
            "PACKETS",
            "OCTETS",
            "SENT",
        ];
        let rows: Vec<[String; 10]> = std::iter::once(head.map(str::to_owned))
            .chain(self.interfaces.iter().map(|i| {
                [
                    i.interface.clone(),
                    i.mode.to_owned(),
                    i.egress.to_owned(),
                    i.groups.to_owned(),
                    Speed(i.speed_mbit.unwrap_or(0)).to_string(),
                    if i.daemon { "running" } else { "none" }.to_owned(),
                    format!("{} of {}", i.counters_used, i.counters_capacity),
                    i.packets.to_string(),
                    i.octets.to_string(),
                    i.packets_sent.to_string(),
                ]
            }))
            .collect();
        columns(out, [false, false, false, false, false, false, true, true, true, true], &rows)?;
        for Interface { interface: old, called, .. } in &self.interfaces {
            if let Some(new) = called {
                writeln!(
                    out,
                    "{old} is called {new} now, and is filtered; `icmpgate run --iface {new}` takes \
                     it up under that name, `icmpgate detach --iface {old}` frees it"
                )?;
            }
        }
        for name in &self.without_shares {
            writeln!(out, "{}", without_shares(name))?;
        }
        self.penalty_box.write_summary(out)?;
        for error in &self.errors {
            writeln!(out, "not readable: {error}")?;
        }
        Ok(())
    }
}

impl Policy {
    fn of(state: PolicyState) -> Self {
        let applied = UNIX_EPOCH + Duration::from_secs(state.applied_unix_s);
        Self {
            profile: state.profile,
            file: state.path,
            mode: state.mode.label(),
            generation: state.generation,
            applied: humantime::format_rfc3339_seconds(applied).to_string(),
            rules: state.rules,
            prefixes: state.prefixes,
        }
    }
}
