//! What passed and what failed, over every test runner that one command calls.
//!
//! The counts are those of the runners' own `test result:` lines, read while they stream by. A step
//! that fails without such a line (formatting, clippy, a crash, a compile error) counts as one
//! failure, so that the closing line never hides one.

use std::process::Command;

use anyhow::{Result, bail};

use crate::cmd;

/// Counts and the names of what failed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Tests that passed.
    pub(crate) passed: u64,
    /// Tests that failed, and steps that failed otherwise.
    pub(crate) failed: u64,
    /// What failed, a line each.
    pub(crate) failures: Vec<String>,
}

impl Tally {
    /// Runs a step that has no tests to count, only success.
    pub(crate) fn check(&mut self, name: &str, cmd: &mut Command) {
        println!("==> {name}: {}", cmd::shown(cmd));
        match cmd.status() {
            Ok(status) if status.success() => {}
            Ok(status) => self.fail(format!("{name}: {status}")),
            Err(error) => self.fail(format!("{name}: can't start it: {error}")),
        }
    }

    /// Runs tests, passing their output on and counting as it goes by.
    pub(crate) fn tests(&mut self, name: &str, cmd: &mut Command) {
        println!("==> {name}: {}", cmd::shown(cmd));
        let mut own = Self::default();
        let status = cmd::lines(cmd, |line| {
            println!("{line}");
            own.line(line);
        });
        match status {
            Err(error) => own.fail(format!("{name}: {error:#}")),
            Ok(status) => own.ended(name, status.success(), &status.to_string()),
        }
        self.add(own);
    }

    /// Counts a `test result:` line; any other says nothing.
    pub(crate) fn line(&mut self, line: &str) {
        if let Some((passed, failed)) = result_line(line) {
            self.passed += passed;
            self.failed += failed;
        }
    }

    /// Judges the end of the test runner whose lines were counted here, and nothing else's.
    pub(crate) fn ended(&mut self, name: &str, success: bool, status: &str) {
        match (success, self.failed) {
            (true, 0) if self.passed == 0 => self.fail(format!("{name}: ran no test")),
            (true, 0) => {}
            // It ended badly and no test says why: a crash, or it didn't compile.
            (false, 0) => self.fail(format!("{name}: {status}")),
            (_, failed) => self.failures.push(format!("{name}: {failed} failed")),
        }
    }

    /// Counts one failure that no test runner counted.
    pub(crate) fn fail(&mut self, what: String) {
        eprintln!("FAILED {what}");
        self.failed += 1;
        self.failures.push(what);
    }

    /// Takes over the counts of another.
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.failures.extend(other.failures);
    }

    /// Prints what failed and the closing line.
    ///
    /// # Errors
    /// Something failed.
    pub(crate) fn close(&self, command: &str) -> Result<()> {
        println!();
        for failure in &self.failures {
            println!("failed: {failure}");
        }
        println!("{}", self.closing());
        if self.failed > 0 {
            bail!("{command} failed");
        }
        Ok(())
    }

    fn closing(&self) -> String {
        format!("{} passed, {} failed", self.passed, self.failed)
    }
}

/// Passed and failed of a libtest result line.
fn result_line(line: &str) -> Option<(u64, u64)> {
    let (_, counts) = line.split_once("test result: ")?;
    Some((before(counts, " passed")?, before(counts, " failed")?))
}

/// Passed and failed of a closing line of ours.
pub(crate) fn closing_line(line: &str) -> Option<(u64, u64)> {
    let (passed, failed) = line.strip_suffix(" failed")?.split_once(" passed, ")?;
    Some((passed.parse().ok()?, failed.parse().ok()?))
}

/// The number that stands before a word.
fn before(text: &str, word: &str) -> Option<u64> {
    text.split_once(word)?.0.rsplit(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines_are_read() {
        let ok = "test result: ok. 14 passed; 2 failed; 1 ignored; 0 measured; 9 filtered out";
        assert_eq!(result_line(ok), Some((14, 2)));
        assert_eq!(result_line("test result: FAILED. 0 passed; 7 failed; 0 ignored"), Some((0, 7)));
        assert_eq!(result_line("test result_lines_are_read ... ok"), None);
        assert_eq!(result_line("test result: soon"), None);
    }

    #[test]
    fn closing_lines_are_read_back() {
        let tally = Tally { passed: 12, failed: 3, failures: vec![] };
        assert_eq!(closing_line(&tally.closing()), Some((12, 3)));
        assert_eq!(closing_line("x: 12 passed, 3 failed"), None);
        assert_eq!(closing_line("test result: ok. 14 passed; 2 failed"), None);
    }

    #[test]
    fn a_failure_without_a_count_counts_once() {
        let mut crashed = Tally { passed: 3, ..Tally::default() };
        crashed.ended("units", false, "signal: 11");
        assert_eq!((crashed.passed, crashed.failed), (3, 1));

        let mut counted = Tally { passed: 3, failed: 2, ..Tally::default() };
        counted.ended("units", false, "exit status: 101");
        assert_eq!((counted.failed, counted.failures.len()), (2, 1));

        let mut empty = Tally::default();
        empty.ended("units", true, "exit status: 0");
        assert_eq!(empty.failures, ["units: ran no test"]);
    }

    #[test]
    fn a_runner_is_counted_as_it_streams() {
        let mut tally = Tally::default();
        let script = "echo 'test result: ok. 2 passed; 0 failed;'; \
                      echo 'test result: ok. 3 passed; 0 failed;'";
        tally.tests("two", Command::new("sh").args(["-c", script]));
        assert_eq!(tally, Tally { passed: 5, ..Tally::default() });
        tally.check("no", &mut Command::new("false"));
        assert_eq!((tally.passed, tally.failed), (5, 1));
        assert!(tally.close("cargo xtask test").is_err());
    }
}
