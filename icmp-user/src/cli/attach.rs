//! `attach`: what `run` does at its start, and then it returns.

use super::{DONE, Global, output::say, start};
use crate::datapath::make_ready;
use std::process::ExitCode;

/// What to attach.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    start: start::Args,
}

/// Attaches and returns.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    // As in `run`.
    make_ready();
    let start = super::block_on(start::Start::prepare(&args.start))?;
    start.attach(&global.pins(), false)?;
    say(format_args!(
        "note: nothing stays running, so the addresses of this machine are kept as they are now, \
         and an interface that goes away is not attached again; `icmpgate run` sees to both"
    ));
    Ok(ExitCode::from(DONE))
}
