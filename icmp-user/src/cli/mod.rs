//! What the operator typed, a file a command.
//!
//! A command writes what was asked for to standard output and what it has to say beside it to
//! standard error, and comes back with an exit code: 0 done, 1 failed, 2 wrong usage or a policy
//! that doesn't hold. Nothing here panics where a reader goes away.

mod apply;
mod attach;
mod boxed;
mod check;
mod completions;
mod detach;
mod explain;
mod failure;
mod groups;
mod kernel;
mod neighbourhood;
mod output;
mod profiles;
mod reasons;
mod run;
mod start;
mod stats;
mod status;
mod watch;

use crate::datapath::{DEFAULT_PIN_DIR, PinDir};
use clap::{Parser, Subcommand};
use output::{Out, say};
use std::{ffi::OsString, future::Future, io::Write as _, path::PathBuf, process::ExitCode};

/// Done.
const DONE: u8 = 0;
/// Failed.
const FAILED: u8 = 1;
/// Wrong usage, or a policy that doesn't hold.
const WRONG: u8 = 2;

/// An XDP filter and rate limiter for ICMPv4, ICMPv6, IGMP and MLD
#[derive(Debug, Parser)]
#[command(name = "icmpgate", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Debug, clap::Args)]
struct Global {
    /// Where the instance is pinned, on a BPF filesystem
    #[arg(long, value_name = "DIR", global = true, display_order = 900, default_value = DEFAULT_PIN_DIR)]
    pin_dir: PathBuf,
}

impl Global {
    fn pins(&self) -> PinDir {
        PinDir::new(&self.pin_dir)
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Attach to interfaces, serve metrics, and detach at the end
    Run(run::Args),
    /// Attach to interfaces and return; nothing stays running
    Attach(attach::Args),
    /// Detach from interfaces and remove what is pinned for them
    Detach(detach::Args),
    /// Check a policy file: print what it comes to, or every mistake
    Check(check::Args),
    /// Put another policy in force, in one atomic swap
    Apply(apply::Args),
    /// Show the profiles, and how the present policy differs from its own
    Profiles(profiles::Args),
    /// List every reason that a packet can have for its verdict
    Reasons(reasons::Args),
    /// Show the instance: interfaces, policy, room
    Status(status::Args),
    /// Show the counters, and Linux's own of this network namespace
    Stats(stats::Args),
    /// Run captured packets through the program, apart from live traffic, and say what it does
    Explain(explain::Args),
    /// Show who is a member of which multicast group, as learnt from their reports
    Groups(groups::Args),
    /// Print a shell's completion script
    Completions(completions::Args),
    #[command(hide = true, disable_help_flag = true)]
    Top(Later),
    #[command(hide = true, disable_help_flag = true)]
    Events(Later),
}

/// The arguments of a command that a later version brings.
#[derive(Debug, clap::Args)]
struct Later {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    _rest: Vec<OsString>,
}

/// Parses the command line and does what it says.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => error.exit(),
        // Help and version were asked for, and what was asked for may fail to be written.
        Err(text) => return shown(text.print().and_then(|()| std::io::stdout().flush())),
    };
    let changes = cli.command.changes();
    let mut out = Out::new();
    let result = cli.run(&mut out).and_then(|code| Ok(out.flush().map(|()| code)?));
    // Whatever a failed command had to show comes before why it failed.
    let _ = out.flush();
    result.unwrap_or_else(|error| failure::report(&error, changes))
}

fn shown(written: std::io::Result<()>) -> ExitCode {
    match written {
        Ok(()) => ExitCode::from(DONE),
        Err(error) => failure::report(&output::named(error).into(), false),
    }
}

impl Command {
    /// Whether it is meant to change what is in force.
    fn changes(&self) -> bool {
        matches!(self, Self::Run(_) | Self::Attach(_) | Self::Apply(_))
    }
}

impl Cli {
    fn run(self, out: &mut Out) -> anyhow::Result<ExitCode> {
        let global = &self.global;
        match &self.command {
            Command::Run(args) => run::run(args, global),
            Command::Attach(args) => attach::run(args, global),
            Command::Detach(args) => detach::run(args, global),
            Command::Check(args) => check::run(args, out),
            Command::Apply(args) => apply::run(args, global, out),
            Command::Profiles(args) => profiles::run(args, global, out),
            Command::Reasons(args) => reasons::run(args, out),
            Command::Status(args) => status::run(args, global, out),
            Command::Stats(args) => stats::run(args, global, out),
            Command::Explain(args) => explain::run(args, out),
            Command::Groups(args) => groups::run(args, global, out),
            Command::Completions(args) => completions::run(args, out),
            Command::Top(_) => later("top"),
            Command::Events(_) => later("events"),
        }
    }
}

fn later(command: &str) -> anyhow::Result<ExitCode> {
    say(format_args!("this version has no `{command}` yet; a later one brings it"));
    Ok(ExitCode::from(WRONG))
}

/// Runs what waits for the kernel or for others, on this thread.
fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(future);
    // A reader that is still being answered doesn't hold up the end.
    runtime.shutdown_background();
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_fixed_commands_are_all_taken() {
        for line in [
            "run --iface a --iface b --policy p --mode auto --metrics off --keep-attached --pin-dir /x",
            "--pin-dir /x run --iface a --mode native --metrics [::1]:9917",
            "attach --iface a --policy p --mode generic",
            "detach",
            "detach --iface a --iface b",
            "check --json p",
            "apply p",
            "profiles",
            "profiles strict --policy p --json",
            "reasons --json",
            "status --json",
            "status --boxed --json",
            "status --release 2001:db8::7",
            "status --release all --json",
            "stats --json",
            "stats --prometheus",
            "completions zsh",
            "top --json whatever",
            "events",
            "groups --json",
            "groups --watch --json",
            "groups --queriers",
        ] {
            let words = std::iter::once("icmpgate").chain(line.split(' '));
            assert!(Cli::try_parse_from(words).is_ok(), "{line}");
        }
    }

    #[test]
    fn what_is_not_meant_so_is_wrong_usage() {
        for line in [
            "run",
            "run --iface a --mode fast",
            "stats --json --prometheus",
            "apply",
            "x",
            "status --release x",
            "status --boxed --release all",
            "groups --watch --queriers",
        ] {
            let words = std::iter::once("icmpgate").chain(line.split(' '));
            let error = Cli::try_parse_from(words).unwrap_err();
            assert_eq!(error.exit_code(), i32::from(WRONG), "{line}");
        }
    }

    #[test]
    fn what_is_not_there_yet_is_not_in_the_help() {
        let help = Cli::command().render_long_help().to_string();
        for command in ["top", "events"] {
            assert!(!help.contains(&format!("\n  {command} ")), "{help}");
        }
    }
}
