//! What the program costs in user space: the time until it filters, until a policy is in force, of a scrape
//! and of explaining; the memory of the daemon and of its maps. By the real program on a stage of its own.

use crate::{
    cases,
    measure::Spread,
    section::{Held, Section, json, spread},
};
use anyhow::{Context as _, Result, ensure};
use aya::maps::loaded_maps;
use icmpgate_rig::{
    gate::{self, Gate, METRICS},
    netns, signal,
    stage::{self, GATE, Stage},
    text::{Align, Table, thousands},
};
use serde_json::{Map, Value};
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

/// A figure, and what it is held against.
struct Figure {
    /// Its key in the JSON.
    name: &'static str,
    what: String,
    unit: &'static str,
    all: Vec<f64>,
    goal: Goal,
}

/// Measures all of it.
pub(crate) fn run(program: &Path, rounds: u32) -> Result<Section> {
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

    let in_ms = |all: Vec<f64>| all.into_iter().map(|took| took * 1e3).collect();
    let explain = explain.into_iter().map(|took: f64| f64::from(FRAMES) / took).collect();
    let prefixes = thousands(PREFIXES.into());
    let figure = |name, what: &str, unit, all, goal| {
        let what = what.to_owned();
        Figure { name, what, unit, all, goal }
    };
    Ok(section(
        rounds,
        &[
            figure("attach", "from start to attached", "ms", in_ms(attach), Goal::AtMost(150.0)),
            figure(
                "apply",
                &format!("apply of {prefixes} prefixes"),
                "ms",
                in_ms(apply),
                Goal::AtMost(300.0),
            ),
            figure("explain", "explain --json", "frames a second", explain, Goal::AtLeast(1667.0)),
            figure("scrape", "scrape", "ms", in_ms(scrape), Goal::AtMost(3.0)),
            figure(
                "resident",
                "resident memory of the daemon",
                "MiB",
                vec![resident],
                Goal::AtMost(12.0),
            ),
            figure("maps", "memory of the maps", "MiB", vec![maps], Goal::AtMost(16.0)),
        ],
    ))
}

fn section(rounds: u32, figures: &[Figure]) -> Section {
    use Align::{Left, Right};
    let columns = [("", Left), ("median", Right), ("min", Right), ("max", Right), ("of", Right)];
    let mut table = Table::new(&[&columns[..], &[("unit", Left)]].concat());
    let (mut bars, mut all) = (Vec::new(), Map::new());
    for figure in figures {
        let figures = Spread::of(figure.all.iter().copied());
        let [median, min, max] = spread(figures);
        let of = figure.all.len().to_string();
        table.row([&figure.what, &median, &min, &max, &of, figure.unit]);
        let (word, goal, met) = match figure.goal {
            Goal::AtMost(goal) => ("at most", goal, figures.median <= goal),
            Goal::AtLeast(goal) => ("at least", goal, figures.median >= goal),
        };
        let what = format!("{} {word} {goal} {}", figure.what, figure.unit);
        bars.push(Held { what, met: Some(met), figures: median });
        all.insert(figure.name.to_owned(), json(figures));
    }
    Section {
        name: "user-space",
        title: "User space".to_owned(),
        text: format!(
            "By the program itself in a namespace of its own: {rounds} times attached, given a policy of \
             {} prefixes and asked about {} frames; then as a daemon, scraped {SCRAPES} times, of which \
             the memory is after that.",
            thousands(PREFIXES.into()),
            thousands(FRAMES.into())
        ),
        table,
        bars,
        plot: None,
        figures: Value::Object(all),
    }
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

/// What a process holds in memory, in MiB.
fn resident(process: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).context("no VmRSS")?;
    Ok(kib.parse::<f64>()? / 1024.0)
}

/// Every map that there is, by its number, with the octets that the kernel holds for it.
pub(crate) fn maps() -> Result<BTreeMap<u32, u64>> {
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
