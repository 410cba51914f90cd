//! What the program costs in user space: the time until it filters, until a policy is in force, of a scrape
//! and of explaining; the memory of the daemon and of its maps. By the real program on a stage of its own.

use crate::cases;
use anyhow::{Context as _, Result, ensure};
use aya::maps::loaded_maps;
use icmpgate_rig::{
    gate::{self, Gate, METRICS},
    netns, signal,
    stage::{self, GATE, Stage},
    text::thousands,
};
use std::{
    collections::BTreeMap,
    fs,
    os::fd::{AsFd as _, AsRawFd as _},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// The policy that the daemon has, and that a start puts in force.
const HOST: &str = "profile = \"host\"\n";
/// Prefixes of the policy that is applied.
const PREFIXES: u32 = 100_000;
/// Frames that are explained.
const FRAMES: u32 = 100_000;
/// How often the daemon is asked for its metrics.
const SCRAPES: usize = 100;

/// What a figure is held against.
enum Goal {
    AtMost(f64),
    AtLeast(f64),
}

/// Measures all of it and prints it, each figure with its goal.
pub(crate) fn run(program: &Path, rounds: u32) -> Result<()> {
    signal::catch()?;
    stage::clear_leftovers();
    let stage = Stage::new(false)?;
    let icmpgate = |words: &str| finish(program, &stage, words);
    let file = |name: &str| stage.folder.join(name).display().to_string();
    let (host, large, frames) = (file("host.toml"), file("large.toml"), file("frames.pcap"));
    fs::write(&host, HOST)?;
    fs::write(&large, cases::zones(PREFIXES))?;
    fs::write(&frames, capture(&cases::echo(98), FRAMES))?;

    let (mut attach, mut apply, mut explain) = (Vec::new(), Vec::new(), Vec::new());
    // The round before the first warms the caches and isn't kept.
    for round in 0..=rounds {
        signal::check()?;
        let took = [
            icmpgate(&format!("attach --iface {GATE} --mode native --policy {host}"))?,
            icmpgate(&format!("apply {large}"))?,
            icmpgate(&format!("explain --policy {host} --pcap {frames} --json"))?,
        ];
        icmpgate("detach")?;
        if round > 0 {
            let times = [&mut attach, &mut apply, &mut explain];
            times.into_iter().zip(took).for_each(|(all, one)| all.push(one.as_secs_f64()));
        }
    }
    let before = maps()?;
    let gate = Gate::start(program, &stage, HOST, false)?;
    let mut scrape = Vec::new();
    for _ in 0..SCRAPES {
        signal::check()?;
        scrape.push(stage.gate.run(|| {
            let start = Instant::now();
            gate::get(METRICS)?;
            Ok(start.elapsed().as_secs_f64())
        })?);
    }
    let resident = resident(gate.id())?;
    let made = maps()?.into_iter().filter(|(id, _)| !before.contains_key(id));
    let maps = made.map(|(_, octets)| octets).sum::<u64>() as f64 / f64::from(1 << 20);

    let all = format!("{rounds} rounds");
    let per_second = |took: f64| f64::from(FRAMES) / took;
    let prefixes = thousands(PREFIXES.into());
    print("from start to attached", "ms", attach, 1e3, Goal::AtMost(150.0), &all);
    let what = format!("apply of {prefixes} prefixes");
    print(&what, "ms", apply, 1e3, Goal::AtMost(300.0), &all);
    let explain = explain.into_iter().map(per_second).collect();
    print("explain --json", "frames a second", explain, 1.0, Goal::AtLeast(1667.0), &all);
    let requests = format!("{SCRAPES} requests");
    print("scrape", "ms", scrape, 1e3, Goal::AtMost(3.0), &requests);
    print("resident memory of the daemon", "MiB", vec![resident], 1.0, Goal::AtMost(12.0), "once");
    print("memory of the maps", "MiB", vec![maps], 1.0, Goal::AtMost(16.0), "once");
    Ok(())
}

/// Runs a command of the program to its end, in the protected namespace.
fn finish(program: &Path, stage: &Stage, words: &str) -> Result<Duration> {
    let mut command = Command::new(program);
    command.args(words.split(' ')).arg("--pin-dir").arg(stage.pins.path());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    netns::dies_with_us(&mut command, libc::SIGKILL);
    stage.gate.inside(&mut command)?;
    let start = Instant::now();
    let out = command.output().with_context(|| format!("can't start {}", program.display()))?;
    let took = start.elapsed();
    ensure!(out.status.success(), "`{words}`: {}", String::from_utf8_lossy(&out.stderr).trim());
    Ok(took)
}

fn print(what: &str, unit: &str, mut figures: Vec<f64>, scale: f64, goal: Goal, of: &str) {
    figures.sort_by(f64::total_cmp);
    let at = |i: usize| figures[i] * scale;
    let median = at(figures.len() / 2);
    let (word, goal, met) = match goal {
        Goal::AtMost(goal) => ("at most", goal, median <= goal),
        Goal::AtLeast(goal) => ("at least", goal, median >= goal),
    };
    let met = if met { "met" } else { "NOT met" };
    let digits = if median < 1000.0 { 1 } else { 0 };
    println!(
        "{met}: {what} {word} {goal} {unit} ({median:.digits$}; {:.digits$} to {:.digits$}, {of})",
        at(0),
        at(figures.len() - 1),
    );
}

/// What a process holds in memory, in MiB.
fn resident(process: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).context("no VmRSS")?;
    Ok(kib.parse::<f64>()? / 1024.0)
}

/// Every map that there is, by its number, with the octets that the kernel holds for it.
fn maps() -> Result<BTreeMap<u32, u64>> {
    let mut all = BTreeMap::new();
    for map in loaded_maps() {
        // One may go away meanwhile.
        let Some((id, fd)) = map.ok().and_then(|map| Some((map.id(), map.fd().ok()?))) else {
            continue;
        };
        let text = fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_fd().as_raw_fd()))?;
        let octets = text.lines().find_map(|line| line.strip_prefix("memlock:"));
        all.insert(id, octets.context("no memlock")?.trim().parse()?);
    }
    Ok(all)
}

/// A capture of one frame, so many times.
fn capture(frame: &[u8], times: u32) -> Vec<u8> {
    const MAGIC: u32 = 0xa1b2_c3d4;
    const ETHERNET: u32 = 1;
    let word = |n: u32| n.to_ne_bytes();
    let mut file =
        [word(MAGIC), word(4 << 16 | 2), word(0), word(0), word(65_535), word(ETHERNET)].concat();
    let length = word(frame.len() as u32);
    for n in 0..times {
        file.extend([word(n / 1_000_000), word(n % 1_000_000), length, length].concat());
        file.extend_from_slice(frame);
    }
    file
}
