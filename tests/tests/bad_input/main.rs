//! What is wrong with the machine, the command line or a file, each as a case of its own: the code
//! that the program ends with, the one line that it says, and that nothing is left behind.

mod capture;
mod command;
mod machine;
mod output;
mod policy;

use icmpgate_tests::{
    Site,
    netns::{PATIENCE, finish},
};
use std::process::{Command, Output};

/// A failure of the machine.
const FAILED: i32 = 1;
/// Wrong usage, or a policy that doesn't hold.
const WRONG: i32 = 2;

/// Everything that a command said on standard error.
fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A command must end with this code and say this one line, and nothing may be left of it.
#[track_caller]
fn refused(site: &Site, command: &mut Command, code: i32, line: &str) {
    let output = finish(command, PATIENCE);
    assert_eq!(said(&output), format!("icmpgate: {line}\n"));
    assert_eq!(output.status.code(), Some(code), "{line}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{line}");
    site.assert_nothing_left();
}
