//! `cargo xtask run` without an interface: the product at work, for whoever wants to see it. In two
//! network namespaces of its own the real program guards one end of a veth pair; real tools, real
//! sockets and forged frames come from the other; and what the program counted is shown.
//!
//! Nothing is sent outside of these namespaces, and nothing is left of them, however this ends.

mod acts;
mod flood;
mod forged;
mod report;
mod tell;
mod wire;

use anyhow::Result;
use clap::Parser;
use gate::{Gate, METRICS};
use icmpgate_rig::{
    gate, netns, signal, stage,
    text::{Look, Paint, thousands},
};
use signal::Stopped;
use stage::{GATE, GATE_V4, GATE_V6, PEER, PEER_V4, PEER_V6, Stage};
use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

/// What icmpgate is told to do.
const POLICY: &str = include_str!("policy.toml");

/// Send a story through icmpgate, in two network namespaces of its own.
#[derive(Parser)]
#[command(name = "story")]
struct Args {
    /// The icmpgate to run
    #[arg(long, value_name = "FILE", default_value = "target/release/icmpgate")]
    program: PathBuf,
    /// Leave everything up when the story is told
    #[arg(long)]
    keep: bool,
}

fn main() -> ExitCode {
    match signal::catch().map_err(Into::into).and_then(|()| run(&Args::parse())) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => match signal::check() {
            // Whatever failed then, failed because of it.
            Err(Stopped(signal)) => {
                eprintln!("story: {}", Stopped(signal));
                ExitCode::from(128 + signal as u8)
            }
            Ok(()) => {
                eprintln!("story: {error:#}");
                ExitCode::FAILURE
            }
        },
    }
}

/// Whether everything went as it was meant to.
fn run(args: &Args) -> Result<bool> {
    icmpgate::datapath::check_system()?;
    let mut out = io::stdout();
    let paint = Paint::of_stdout();
    match stage::clear_leftovers() {
        0 => {}
        1 => eprintln!("story: took away what a killed one had left"),
        stories => eprintln!("story: took away what {stories} killed ones had left"),
    }
    let began = Instant::now();
    // Dropped in the opposite order: the gate ends before its stage goes.
    let mut stage = Stage::new(args.keep)?;
    let mut gate = Gate::start(&args.program, &stage, POLICY, args.keep)?;
    let ready = began.elapsed();
    writeln!(
        out,
        "{PEER} ({PEER_V4}, {PEER_V6}) sends to {GATE} ({GATE_V4}, {GATE_V6}), where icmpgate is \
         attached natively,\nwith the profile host and one rule more: echo from 203.0.113.0/24 \
         (crowd) is limited to 1,000/s, burst 1,000\n",
    )?;
    let story = tell::tell(&stage, &mut gate)?;
    report::print(&mut out, paint, &story)?;
    writeln!(out)?;

    let odd = story.acts.iter().filter(|told| !told.as_meant()).count();
    let closing = format!(
        "{} packets, each with one verdict and one reason: {} passed, {} dropped. Filtering after \
         {:.1} s.",
        thousands(story.all.total()),
        thousands(story.all.with_verdict("pass")),
        thousands(story.all.with_verdict("drop")),
        ready.as_secs_f64(),
    );
    writeln!(out, "{}", paint.paint(Look::Bold, &closing))?;
    if odd > 0 {
        let line = format!("{odd} of the acts above didn't go as they should");
        writeln!(out, "{}", paint.paint(Look::Bad, &line))?;
    }
    if args.keep {
        keep(&mut out, &args.program, &mut stage, &mut gate)?;
    }
    Ok(odd == 0)
}

fn keep(out: &mut impl Write, program: &Path, stage: &mut Stage, gate: &mut Gate) -> Result<()> {
    let (number, log) = gate.keep();
    stage.keep();
    let enter = |path: PathBuf| format!("nsenter --net={}", path.display());
    let (inside, outside) = (enter(stage.gate.path()), enter(stage.peer.path()));
    writeln!(out, "\nKept as it is (its log is {}):", log.display())?;
    writeln!(
        out,
        "  metrics   http://{METRICS}/metrics, inside: {inside} curl -s {METRICS}/metrics"
    )?;
    writeln!(out, "  inside    {inside} bash")?;
    writeln!(out, "  outside   {outside} bash")?;
    writeln!(
        out,
        "  counters  {} stats --pin-dir {}",
        program.display(),
        stage.pins.path().display()
    )?;
    writeln!(
        out,
        "  remove    kill {number}; ip netns del {}; ip netns del {}; rm -r {}",
        stage.gate.name(),
        stage.peer.name(),
        stage.folder.display()
    )?;
    Ok(())
}
