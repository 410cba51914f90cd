//! `cargo xtask attacks`: plays every attack that there is against a bare Linux, and against one behind icmpgate, and
//! prints what came of it. What an attack is and how it is played is `tests/src/attack`.

use std::process::Command;

use anyhow::Result;

use crate::{
    build, cmd, rig,
    setup::{self, Want},
};

/// Play known attacks against a bare Linux and against one behind icmpgate, and print what comes of them
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only these, by a part of the names that the table has
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

/// Builds both programs and becomes the one that plays.
pub(crate) fn run(args: Args) -> Result<()> {
    rig::needs_root("attacks")?;
    build::object(setup::ensure(Want { tests: true, bpffs: true, ..Want::default() })?)?;
    let program = build::program(true)?;
    let mut cargo = cmd::cargo();
    cmd::run(cargo.args(["build", "--quiet", "--package", "icmpgate-tests", "--bin", "attacks"]))?;
    let player = cmd::target_dir().join("debug/attacks");
    rig::exec(Command::new(player).args(args.names).env("ICMPGATE_BIN", program))
}
