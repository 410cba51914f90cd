//! `cargo xtask`: every chore of the project, a file a command. This file says which there are.
//!
//! A new command is a file with `Args` and `run`, a `mod` line and a variant of [`Xtask`] here.

mod attacks;
mod bench;
mod build;
mod ci;
mod cmd;
mod qemu;
mod rig;
mod run;
mod setup;
mod tally;
mod test;
mod toolchain;
mod vm;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

/// The chores of icmpgate.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
enum Xtask {
    Setup(setup::Args),
    Build(build::Args),
    Run(run::Args),
    Test(test::Args),
    Attacks(attacks::Args),
    Bench(bench::Args),
    Vm(vm::Args),
    Ci(ci::Args),
}

fn run(task: Xtask) -> Result<()> {
    match task {
        Xtask::Setup(args) => setup::run(args),
        Xtask::Build(args) => build::run(args),
        Xtask::Run(args) => run::run(args),
        Xtask::Test(args) => test::run(args),
        Xtask::Attacks(args) => attacks::run(args),
        Xtask::Bench(args) => bench::run(args),
        Xtask::Vm(args) => vm::run(args),
        Xtask::Ci(args) => ci::run(args),
    }
}

fn main() -> ExitCode {
    match run(Xtask::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
