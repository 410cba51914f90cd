//! `cargo xtask bench`: ns a packet of the kernel program, by the kernel's own test run. What is
//! measured and how is `xtask/rig/src/bin/bench`.

use std::{ffi::OsString, path::PathBuf};

use anyhow::Result;

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
    /// How often each case is measured: 15 or more
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = clap::value_parser!(u32).range(15..))]
    rounds: u32,
    /// Only these cases
    #[arg(long = "case", value_name = "NAME", num_args = 1..)]
    cases: Vec<String>,
    /// In place of them, what it costs in user space: times and memory
    #[arg(long, conflicts_with_all = ["cases", "json"])]
    user_space: bool,
}

/// Builds all that is measured and becomes the bench.
pub(crate) fn run(args: Args) -> Result<()> {
    rig::needs_root("bench")?;
    let mut words: Vec<OsString> = vec!["--rounds".into(), args.rounds.to_string().into()];
    if let Some(file) = args.json {
        words.extend(["--json".into(), file.into()]);
    }
    for case in args.cases {
        words.extend(["--case".into(), case.into()]);
    }
    // The program and its stage need the BPF filesystem; the cases need neither.
    build::object(setup::ensure(Want { bpffs: args.user_space, ..Want::default() })?)?;
    if args.user_space {
        words.extend(["--user-space".into(), build::program(true)?.into()]);
    }
    rig::become_program("bench", words)
}
