//! `cargo xtask bench`: ns a packet of the kernel program, by the kernel's own test run. What is
//! measured and how is `xtask/rig/src/bin/bench`, other measures than that included.

use std::{ffi::OsString, path::PathBuf};

use anyhow::{Result, bail};

use crate::{
    build, rig,
    setup::{self, Want},
};

/// Measure what a packet costs, beside a program that only returns
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Also write the figures here, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// How often each case is measured: 15 or more; with --live 3 or more, and 5 unless said
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(3..))]
    rounds: Option<u32>,
    /// Only these cases
    #[arg(long = "case", value_name = "NAME", num_args = 1..)]
    cases: Vec<String>,
    /// In place of them, what it costs in user space: times and memory
    #[arg(long, conflicts_with_all = ["cases", "json"])]
    user_space: bool,
    /// In place of them, what it and other filters bear under a flood through a veth pair
    #[arg(long, conflicts_with_all = ["cases", "json", "user_space"])]
    live: bool,
}

/// Builds all that is measured and becomes the bench.
pub(crate) fn run(args: Args) -> Result<()> {
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
    // The program and its stage need the BPF filesystem; the cases need neither.
    let staged = args.user_space || args.live;
    build::object(setup::ensure(Want { bpffs: staged, live: args.live, ..Want::default() })?)?;
    if staged {
        let flag = if args.live { "--live" } else { "--user-space" };
        words.extend([flag.into(), build::program(true)?.into()]);
    }
    rig::become_program("bench", words)
}
