//! `completions`: what a shell needs to complete this program's words.

use super::{Cli, DONE, output::Out};
use clap::{Command, CommandFactory as _};
use clap_complete::Shell;
use std::{io::Write as _, process::ExitCode};

/// For which shell.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the script.
pub fn run(args: &Args, out: &mut Out) -> anyhow::Result<ExitCode> {
    // To memory first: the generator panics where it can't write.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut shown(), "icmpgate", &mut script);
    out.write_all(&script)?;
    Ok(ExitCode::from(DONE))
}

/// The command line without what `--help` doesn't show either: the generators take it in.
fn shown() -> Command {
    let all = Cli::command();
    Command::new("icmpgate")
        .version(env!("CARGO_PKG_VERSION"))
        .args(all.get_arguments().cloned())
        .subcommands(all.get_subcommands().filter(|c| !c.is_hide_set()).cloned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum as _;

    #[test]
    fn every_shell_gets_what_the_help_shows_and_no_more() {
        for shell in Shell::value_variants() {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut shown(), "icmpgate", &mut script);
            let script = String::from_utf8(script).unwrap();
            assert!(script.contains("keep-attached"), "{shell}");
            assert!(!script.contains("events"), "{shell}");
        }
    }
}
