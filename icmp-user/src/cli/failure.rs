//! How a command that failed says so, and the code it ends with.

use super::{DONE, FAILED, WRONG, output};
use crate::{
    datapath,
    policy::{CompileError, PolicyErrors},
};
use std::process::ExitCode;

/// A failure that isn't one of another module.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The command line can't be meant so.
    #[error("{0}")]
    Usage(String),
    /// Several things are wrong at once.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Several(Vec<datapath::Error>),
}

/// Says why a command failed, and returns its exit code. Of one that `changes` something, it is worth
/// saying that it didn't.
pub fn report(error: &anyhow::Error, changes: bool) -> ExitCode {
    // A reader that has seen enough is no failure.
    if output::is_broken_pipe(error) {
        return ExitCode::from(DONE);
    }
    if let Some(errors) = error.downcast_ref::<PolicyErrors>() {
        mistakes(errors, changes);
        return ExitCode::from(WRONG);
    }
    match error.downcast_ref::<Failure>() {
        Some(Failure::Several(errors)) => {
            errors.iter().for_each(|error| output::say(format_args!("{error}")));
        }
        _ => output::say(format_args!("{}", sentence(error))),
    }
    ExitCode::from(code(error))
}

fn code(error: &anyhow::Error) -> u8 {
    if matches!(error.downcast_ref(), Some(Failure::Usage(_))) {
        return WRONG;
    }
    let compile = match error.downcast_ref() {
        Some(datapath::Error::Compile(compile)) => Some(compile),
        _ => error.downcast_ref::<CompileError>(),
    };
    match compile {
        // The maps are at fault, not the policy.
        Some(CompileError::Registry | CompileError::Keys { .. }) | None => FAILED,
        Some(_) => WRONG,
    }
}

/// Every mistake of a policy, as compilers show them, and a line that sums them up.
fn mistakes(errors: &PolicyErrors, changes: bool) {
    let mut all = errors.iter();
    match (all.next(), all.next()) {
        // The file can't be read at all: that is one line.
        (Some(only), None) if only.place.is_none() => output::say(format_args!("{only}")),
        _ => {
            output::plain(format_args!("{errors}"));
            let file = errors.iter().next().map_or("the policy", |e| e.file.as_str());
            let mistakes = if errors.len() == 1 { "mistake" } else { "mistakes" };
            let unchanged = if changes { "; nothing was changed" } else { "" };
            output::say(format_args!("{file} has {} {mistakes}{unchanged}", errors.len()));
        }
    }
}

/// An error and its causes, each once: some errors name their cause themselves, some leave that to
/// whoever shows them.
fn sentence(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy;
    use std::io;

    #[test]
    fn causes_stand_once() {
        let refused = || io::Error::from_raw_os_error(libc::EACCES);
        let said = datapath::Error::io("opening /x")(refused());
        let twice = anyhow::Error::from(said);
        assert_eq!(sentence(&twice), format!("opening /x: {}", refused()));
        let left = anyhow::Error::from(refused()).context("opening /x");
        assert_eq!(sentence(&left), format!("opening /x: {}", refused()));
    }

    #[test]
    fn a_policy_that_does_not_hold_is_2_and_the_machine_is_1() {
        let usage = Failure::Usage("twice".to_owned());
        assert_eq!(code(&usage.into()), WRONG);
        let rules = CompileError::Rules { found: 5000 };
        assert_eq!(code(&datapath::Error::Compile(rules.clone()).into()), WRONG);
        assert_eq!(code(&rules.into()), WRONG);
        assert_eq!(code(&datapath::Error::Compile(CompileError::Limits).into()), WRONG);
        let keys = CompileError::Keys { wanted: 1024, found: 4096 };
        assert_eq!(code(&datapath::Error::Compile(keys).into()), FAILED);
        assert_eq!(code(&datapath::Error::NotBuilt.into()), FAILED);
        let errors = policy::from_str("f", "=").unwrap_err();
        assert_eq!(report(&errors.into(), true), ExitCode::from(WRONG));
    }

    #[test]
    fn a_closed_pipe_is_no_failure() {
        let closed = io::Error::from(io::ErrorKind::BrokenPipe);
        assert_eq!(report(&closed.into(), true), ExitCode::from(DONE));
    }
}
