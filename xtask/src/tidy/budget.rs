//! Rule: the budget of files and functions.

use super::{
    Fault, Rule,
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
/// No function is longer.
const FUNCTION_LINES: usize = 100;
/// At most [`LONG_PERCENT`] of all functions are longer.
const LONG_FUNCTION_LINES: usize = 60;
/// See [`LONG_FUNCTION_LINES`].
const LONG_PERCENT: usize = 3;

fn check(repository: &Repository) -> Result<Vec<Fault>> {
    let mut faults = Vec::new();
    let mut sizes = Vec::new();
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
            if file.contains("/src/") {
                sizes.push(code_lines(&text));
            }
            let found = functions(tokens(file, &text)?);
            all.extend(found.into_iter().map(|f| (file.to_owned(), f)));
        }
    }
    faults.extend(median_fault(sizes));
    faults.extend(function_faults(&all));
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

fn function_faults(all: &[(String, Function)]) -> Vec<Fault> {
    let mend = "cut it into steps that have names, or make the assembler a list of parts";
    let fault = |(file, function): &(String, Function)| {
        let place = format!("{file}:{}", function.line);
        let what = format!("function {} has {} lines", function.name, function.lines);
        Fault::new(place, what, mend)
    };
    let long: Vec<_> = all
        .iter()
        .filter(|(_, f)| f.lines > LONG_FUNCTION_LINES)
        .collect();
    if long.len() * 100 > all.len() * LONG_PERCENT {
        return long.into_iter().map(fault).collect();
    }
    long.into_iter()
        .filter(|(_, f)| f.lines > FUNCTION_LINES)
        .map(fault)
        .collect()
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
    fn a_function_over_the_limit_is_a_fault_and_a_few_long_ones_are_not() {
        let mut lines = vec![10; 97];
        lines.extend([61, 100, 60]);
        assert!(function_faults(&of(&lines)).is_empty());
        lines.push(101);
        lines.extend([10; 99]);
        assert_eq!(function_faults(&of(&lines)).len(), 1);
    }

    #[test]
    fn many_long_functions_are_all_named() {
        let mut lines = vec![10; 96];
        lines.extend([61; 4]);
        assert_eq!(function_faults(&of(&lines)).len(), 4);
    }

    #[test]
    fn the_median_is_the_middle_one() {
        assert!(median_fault(vec![700, 1, 150]).is_none());
        assert!(median_fault(vec![1, 151, 700]).is_some());
        assert!(median_fault(Vec::new()).is_none());
    }
}
