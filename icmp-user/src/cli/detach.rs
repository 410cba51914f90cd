//! `detach`: takes the program off interfaces, and what is pinned for them with it.

use super::{DONE, FAILED, Global, failure::Failure, output::say, status::changes_of_name};
use crate::datapath::{self, Renamed, check_system};
use std::{collections::HashSet, process::ExitCode};

/// What to detach.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// An interface to detach from; can be given several times. Without one: all of the instance
    #[arg(long, value_name = "IF")]
    iface: Vec<String>,
}

/// Detaches.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    let mut seen = HashSet::new();
    if let Some(twice) = args.iface.iter().find(|name| !seen.insert(name.as_str())) {
        return Err(Failure::Usage(format!("--iface {twice} is given twice")).into());
    }
    check_system()?;
    let pins = global.pins();
    if args.iface.is_empty() {
        let detached = datapath::detach_all(&pins)?;
        detached.iter().for_each(|name| say(format_args!("{name}: detached")));
        say(format_args!("nothing is pinned in {} any more", pins.path().display()));
        return Ok(ExitCode::from(DONE));
    }
    let mut code = DONE;
    let (names, changes) = (pins.interfaces(), changes_of_name(&pins));
    for name in &args.iface {
        // What is pinned under this name comes before what only is called so by now.
        let change = changes.iter().find(|r| r.new == *name && !names.contains(name));
        match datapath::detach(&pins, change.map_or(name, |r| &r.old)) {
            Ok(()) => match change {
                Some(Renamed { old, .. }) => say(format_args!("{name}, formerly {old}: detached")),
                None => say(format_args!("{name}: detached")),
            },
            Err(error) => {
                say(format_args!("{error}"));
                code = FAILED;
            }
        }
    }
    Ok(ExitCode::from(code))
}
