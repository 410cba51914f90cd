//! Every mistake that a file can have, with the place and the words of its message.

mod answer;
mod file;
mod flow;
mod groups;
mod later;
mod limit;
mod message;
mod penalty;
mod rule;
mod share;
mod syntax;
mod zone;

use super::super::*;

const MINIMAL: &str = "profile = \"host\"\n";
const TYPE: &str = "expected a type: a number from 0 to 255, a range like \"13-14\", or a name";
const CODE: &str = "expected a code: a number from 0 to 255, a range like \"0-3\", or a name";

/// The first lines of the messages, the file's name left out.
fn mistakes(text: &str) -> Vec<String> {
    match from_str("f", text) {
        Ok(_) => Vec::new(),
        Err(errors) => {
            assert_eq!(errors.len(), errors.iter().count());
            errors
                .iter()
                .map(|e| e.to_string().lines().next().unwrap_or_default()[2..].to_owned())
                .collect()
        }
    }
}

/// Asserts that a file has these mistakes and no others.
#[track_caller]
fn assert_mistakes(text: &str, expected: &[&str]) {
    assert_eq!(mistakes(text), expected, "\n{text}");
}

/// Asserts that a rule of these lines, from line 3 on, has one mistake.
#[track_caller]
fn assert_rule(lines: &str, expected: &str) {
    assert_mistakes(&format!("{MINIMAL}[[rule]]\n{lines}\n"), &[expected]);
}

/// Asserts that a rule of these lines is right.
#[track_caller]
fn assert_right(lines: &str) {
    assert_mistakes(&format!("{MINIMAL}[[rule]]\nname = \"a\"\n{lines}\n"), &[]);
}
