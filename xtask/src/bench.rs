//! `cargo xtask bench`: ns a packet of the kernel program, by the kernel's own test run. What is
//! measured and how is `xtask/rig/src/bin/bench`, other measures than that included.

use std::{ffi::OsString, fs, path::PathBuf};

use anyhow::{Result, bail};

use crate::{
    build, cmd, rig,
    setup::{self, Want},
    vm,
};

/// Measure what a packet costs, beside a program that only returns
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Also write the figures here, as JSON
    #[arg(long, value_name = "FILE", conflicts_with = "part")]
    json: Option<PathBuf>,
    /// How often each case is measured: 15 or more; with --live 3 or more, and 5 unless said
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(3..))]
    rounds: Option<u32>,
    /// Only these cases
    #[arg(long = "case", value_name = "NAME", num_args = 1.., conflicts_with = "part")]
    cases: Vec<String>,
    /// In place of them, how the cost grows with sources, prefixes, records, octets and processors
    #[arg(long, group = "part")]
    scale: bool,
    /// In place of them, what it costs in user space: times and memory
    #[arg(long, group = "part")]
    user_space: bool,
    /// In place of them, what it and other filters bear under a flood through a veth pair
    #[arg(long, group = "part")]
    live: bool,
    /// In place of them, their instructions, counted inside Debian's 6.12 kernel under qemu; needs no root
    #[arg(long, group = "part")]
    instructions: bool,
    /// With --live: another filter, which this command loads at the interface gate0 in a namespace, and may stay
    #[arg(long, value_name = "COMMAND", requires = "live")]
    beside: Option<String>,
    /// All of it, written into this folder: JSON, Markdown and plots
    #[arg(long, value_name = "FOLDER", group = "part")]
    results: Option<PathBuf>,
}

/// Builds all that is measured and becomes the bench.
pub(crate) fn run(args: Args) -> Result<()> {
    if args.instructions {
        setup::ensure(Want { vm: true, ..Want::default() }).and_then(build::object)?;
        return rig::become_program("bench", [OsString::from("--instructions"), counts()?.into()]);
    }
    rig::needs_root("bench")?;
    if !args.live && args.rounds.is_some_and(|rounds| rounds < 15) {
        bail!("--rounds is 15 or more, but with --live");
    }
    let mut words: Vec<OsString> = Vec::new();
    if let Some(rounds) = args.rounds {
        words.extend(["--rounds".into(), rounds.to_string().into()]);
    }
    if let Some(file) = args.json {
        words.extend(["--json".into(), file.into()]);
    }
    for case in args.cases {
        words.extend(["--case".into(), case.into()]);
    }
    for (flag, is_set) in
        [("--scale", args.scale), ("--user-space", args.user_space), ("--live", args.live)]
    {
        if is_set {
            words.push(flag.into());
        }
    }
    if let Some(command) = args.beside {
        words.extend(["--beside".into(), command.into()]);
    }
    let live = args.live || args.results.is_some();
    // The program and its stages need the BPF filesystem; the cases need neither.
    let staged = live || args.user_space;
    let all = args.results.is_some();
    build::object(setup::ensure(Want { bpffs: staged, live, vm: all, ..Want::default() })?)?;
    if let Some(folder) = args.results {
        words.extend([
            "--results".into(),
            folder.into(),
            "--instructions".into(),
            counts()?.into(),
        ]);
    }
    if staged {
        words.extend(["--program".into(), build::program(true)?.into()]);
    }
    rig::become_program("bench", words)
}

/// The file with what a machine counted.
fn counts() -> Result<PathBuf> {
    let said = vm::counted(rig::program("bench")?, "--count")?;
    let file = cmd::root().join("target/vm/instructions.json");
    fs::write(&file, said)?;
    Ok(file)
}
