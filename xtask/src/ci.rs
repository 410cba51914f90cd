//! `cargo xtask ci`: what `.ci/run` runs, which are the commands that the README gives, as a person
//! would type them. They are started as programs of their own, and the last line sums up theirs.

use std::{env, process::Command};

use anyhow::Result;

use crate::{
    cmd,
    tally::{self, Tally},
};

/// Run all that a change has to pass: `cargo xtask test`, then `cargo xtask vm`; and print what
/// `cargo xtask bench` finds and counts, which on a machine that does other things, too, is no judge
#[derive(clap::Args)]
pub(crate) struct Args {}

/// Runs the commands and prints the closing line of the whole.
pub(crate) fn run(_: Args) -> Result<()> {
    let mut all = Tally::default();
    for task in ["test", "vm"] {
        all.add(one(task)?);
    }
    for words in [&["bench"][..], &["bench", "--instructions"]] {
        let mut bench = Command::new(env::current_exe()?);
        let name = format!("cargo xtask {}", words.join(" "));
        all.check(&name, bench.args(words).current_dir(cmd::root()));
    }
    all.close("cargo xtask ci")
}

fn one(task: &str) -> Result<Tally> {
    let name = format!("cargo xtask {task}");
    println!("=== {name}");
    let mut tally = Tally::default();
    let mut closing = None;
    let mut cmd = Command::new(env::current_exe()?);
    let status = cmd::lines(cmd.arg(task).current_dir(cmd::root()), |line| {
        println!("{line}");
        closing = tally::closing_line(line).or(closing);
    })?;
    if let Some((passed, failed)) = closing {
        tally.passed = passed;
        tally.failed = failed;
    }
    tally.ended(&name, status.success(), &status.to_string());
    Ok(tally)
}
