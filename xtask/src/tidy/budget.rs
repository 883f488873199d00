//! Rule: the budget of files and functions.

use serde::Deserialize;

use super::{
    Fault, Rule,
    folders::without_tests,
    source::{Function, code_lines, functions, tokens},
};
use crate::{Repository, Result};

pub(super) const RULE: Rule = Rule {
    name: "budget",
    reason: "what does not fit on a screen is not read, and long files and functions only ever grow",
    check,
    fix: None,
};

/// No file is longer.
const FILE_LINES: usize = 800;
/// Half of the product's files have no more lines of code.
const FILE_MEDIAN: usize = 150;
/// No function of the product is longer, but those of [`EXCEPTIONS`].
const FUNCTION_LINES: usize = 60;
/// No test is longer: it tells a story from its beginning to its end, and its steps have no other reader.
const TEST_LINES: usize = 100;
/// The data file of longer functions, each with its reason.
const EXCEPTIONS: &str = "xtask/long_functions.toml";

/// What the data file says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exceptions {
    function: Vec<Exception>,
}

/// A function of the product that may be longer.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exception {
    /// `FILE::NAME`.
    name: String,
    /// Why it is not cut.
    reason: String,
}

fn check(repository: &Repository) -> Result<Vec<Fault>> {
    let mut faults = Vec::new();
    let mut sizes = Vec::new();
    let mut product: Vec<(String, Function)> = Vec::new();
    let mut all: Vec<(String, Function)> = Vec::new();
    for file in repository.ending(&[".rs", ".c", ".cpp", ".h"]) {
        let text = repository.read(file)?;
        let lines = text.lines().count();
        if lines > FILE_LINES {
            faults.push(Fault::new(
                file,
                format!("has {lines} lines, more than {FILE_LINES}"),
                "split it: one file per noun",
            ));
        }
        if file.ends_with(".rs") {
            let tokens = tokens(file, &text)?;
            let named = |found: Function| (file.to_owned(), found);
            if file.contains("/src/") && !file.ends_with("/tests.rs") {
                sizes.push(code_lines(&text));
                let shipped = functions(without_tests(tokens.clone()));
                product.extend(shipped.into_iter().map(named));
            }
            all.extend(functions(tokens).into_iter().map(named));
        }
    }
    faults.extend(median_fault(sizes));
    let text = repository.read(EXCEPTIONS)?;
    let exceptions: Exceptions =
        toml::from_str(&text).map_err(|error| format!("{EXCEPTIONS}: {error}"))?;
    faults.extend(function_faults(&all, TEST_LINES, &[]));
    faults.extend(function_faults(
        &product,
        FUNCTION_LINES,
        &exceptions.function,
    ));
    Ok(faults)
}

fn median_fault(mut sizes: Vec<usize>) -> Option<Fault> {
    sizes.sort_unstable();
    let median = sizes.get(sizes.len() / 2).copied().unwrap_or_default();
    (median > FILE_MEDIAN).then(|| {
        Fault::new(
            "the product's files",
            format!("have a median of {median} lines of code, more than {FILE_MEDIAN}"),
            "split the larger ones: one file per noun",
        )
    })
}

/// The functions that are longer than `limit` and no exception, and the exceptions that are none any more or say no
/// reason.
fn function_faults(
    all: &[(String, Function)],
    limit: usize,
    exceptions: &[Exception],
) -> Vec<Fault> {
    let name = |file: &str, function: &Function| format!("{file}::{}", function.name);
    let is_of = |exception: &Exception, (file, function): &(String, Function)| {
        exception.name == name(file, function)
    };
    let long: Vec<_> = all.iter().filter(|(_, f)| f.lines > limit).collect();
    let unexplained = long
        .iter()
        .filter(|long| !exceptions.iter().any(|exception| is_of(exception, long)));
    let mut faults: Vec<Fault> = unexplained
        .map(|(file, function)| {
            let place = format!("{file}:{}", function.line);
            let what = format!(
                "function {} has {} lines, more than {limit}",
                function.name, function.lines
            );
            let mend = "cut it into steps that have names, or make the assembler a list of parts";
            Fault::new(place, what, mend)
        })
        .collect();
    let idle = exceptions.iter().filter(|exception| {
        exception.reason.trim().is_empty() || !long.iter().any(|long| is_of(exception, long))
    });
    faults.extend(idle.map(|exception| {
        let what = format!(
            "lists {}, which is not longer than {limit} lines, or no reason",
            exception.name
        );
        Fault::new(EXCEPTIONS, what, "remove it, or say why it is not cut")
    }));
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &[usize]) -> Vec<(String, Function)> {
        let function = |&lines| Function {
            name: "f".to_owned(),
            line: 1,
            lines,
        };
        lines
            .iter()
            .map(|l| ("f.rs".to_owned(), function(l)))
            .collect()
    }

    #[test]
    fn a_function_over_the_limit_is_a_fault_unless_it_is_listed_with_a_reason() {
        let exception = |name: &str, reason: &str| Exception {
            name: name.to_owned(),
            reason: reason.to_owned(),
        };
        assert!(function_faults(&of(&[10, 60]), 60, &[]).is_empty());
        assert_eq!(function_faults(&of(&[10, 61]), 60, &[]).len(), 1);
        let listed = [exception("f.rs::f", "a table")];
        assert!(function_faults(&of(&[61]), 60, &listed).is_empty());
        let unfounded = [exception("f.rs::f", " ")];
        assert_eq!(function_faults(&of(&[61]), 60, &unfounded).len(), 1);
        // A function that was cut has to leave the list.
        assert_eq!(function_faults(&of(&[60]), 60, &listed).len(), 1);
        let other = [exception("g.rs::f", "a table")];
        assert_eq!(function_faults(&of(&[61]), 60, &other).len(), 2);
    }

    #[test]
    fn the_median_is_the_middle_one() {
        assert!(median_fault(vec![700, 1, 150]).is_none());
        assert!(median_fault(vec![1, 151, 700]).is_some());
        assert!(median_fault(Vec::new()).is_none());
    }
}
