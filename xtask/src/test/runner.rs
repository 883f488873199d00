//! Running tests and counting them by what the runner says.

use std::{
    env,
    io::{BufRead, BufReader, Write},
    ops::AddAssign,
    process::{Command, Stdio},
};

use super::sandbox::Sandbox;
use crate::{
    Repository, Result,
    process::{cargo, installed},
};

/// Passed and failed tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    /// Ran and passed.
    pub passed: u64,
    /// Ran and did not pass.
    pub failed: u64,
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

/// Runs unit and integration tests.
///
/// # Errors
/// The runner cannot be run.
pub(super) fn tests(
    repository: &Repository,
    sandbox: &Sandbox,
    filter: Option<&str>,
) -> Result<Count> {
    let mut command = cargo();
    let mut summary: Summary = summary_of_cargo;
    if installed("cargo-nextest") {
        summary = summary_of_nextest;
        let profile = if env::var_os("CI").is_some() {
            "ci"
        } else {
            "default"
        };
        command.args(["nextest", "run", "--no-tests", "pass", "--profile", profile]);
    } else {
        command.args(["test", "--no-fail-fast", "--all-targets"]);
    }
    command.args(["--workspace", "--locked"]).args(filter);
    // A failed test says where and why in one line; a trace of the test harness would only push that out of sight.
    command.env("RUST_BACKTRACE", "0");
    counted(command, summary, repository, sandbox)
}

/// Runs the examples of the documentation.
///
/// # Errors
/// The runner cannot be run.
pub(super) fn documentation(
    repository: &Repository,
    sandbox: &Sandbox,
    filter: Option<&str>,
) -> Result<Count> {
    let mut command = cargo();
    command
        .args(["test", "--doc", "--no-fail-fast", "--workspace", "--locked"])
        .args(filter);
    counted(command, summary_of_cargo, repository, sandbox)
}

/// Reads a line of a runner's output, and what it says if it is one of its summaries.
type Summary = fn(&str) -> Option<Count>;

/// Runs a runner, shows what it writes, and adds up its summaries. A runner that fails without a failed test (a build
/// that broke, say) counts as one failure.
fn counted(
    mut command: Command,
    summary: Summary,
    repository: &Repository,
    sandbox: &Sandbox,
) -> Result<Count> {
    sandbox.apply(&mut command);
    let (reader, writer) = std::io::pipe()?;
    command
        .current_dir(&repository.root)
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer);
    let mut child = command.spawn()?;
    // The command holds the write end, which would keep the pipe open for ever.
    drop(command);
    let mut count = Count::default();
    for line in BufReader::new(reader).split(b'\n') {
        let mut line = line?;
        count += summary(&String::from_utf8_lossy(&line)).unwrap_or_default();
        line.push(b'\n');
        std::io::stdout().write_all(&line)?;
    }
    if !child.wait()?.success() && count.failed == 0 {
        count.failed = 1;
    }
    Ok(count)
}

/// `Summary [ 1.2s] 5 tests run: 4 passed, 1 failed, 2 skipped`. What tests themselves write, summaries of cargo's
/// runner included, is not one.
fn summary_of_nextest(line: &str) -> Option<Count> {
    let line = line.trim_start().strip_prefix("Summary [")?;
    Some(figures(line.split_once(" run: ")?.1))
}

/// `test result: ok. 3 passed; 0 failed; ...`.
fn summary_of_cargo(line: &str) -> Option<Count> {
    let line = line.strip_prefix("test result: ")?;
    Some(figures(line.split_once(". ")?.1))
}

fn figures(text: &str) -> Count {
    let mut count = Count::default();
    for figure in text.split([',', ';']) {
        let mut words = figure.split_whitespace();
        let (Some(number), Some(what)) = (words.next(), words.next()) else {
            continue;
        };
        let Ok(number) = number.parse::<u64>() else {
            continue;
        };
        match what {
            "passed" => count.passed += number,
            // "3 failed", "1 exec failed", "1 timed out"
            "failed" | "exec" | "timed" => count.failed += number,
            _ => {}
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(passed: u64, failed: u64) -> Option<Count> {
        Some(Count { passed, failed })
    }

    #[test]
    fn summaries_of_both_runners_are_read() {
        let nextest = "     Summary [   0.012s] 9 tests run: 5 passed (1 slow, 1 leaky), 2 failed, 1 exec failed, 1 timed out, 4 skipped";
        assert_eq!(summary_of_nextest(nextest), count(5, 4));
        let cargo = "test result: FAILED. 3 passed; 1 failed; 2 ignored; 0 measured; 7 filtered out; finished in 0.00s";
        assert_eq!(summary_of_cargo(cargo), count(3, 1));
        assert_eq!(summary_of_nextest(cargo), None);
        assert_eq!(summary_of_nextest("5 passed, 1 failed"), None);
    }
}
