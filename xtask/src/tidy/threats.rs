//! Rule: every test that `docs/THREATS.md` names is there, and every way out that was once found has a test.

use std::collections::BTreeSet;

use super::{Fault, Rule};
use crate::{Repository, Result};

pub(super) const RULE: Rule = Rule {
    name: "threats",
    reason: "an attack that no test tries may succeed, whatever the table says",
    check,
    fix: None,
};

const TABLE: &str = "docs/THREATS.md";

/// The rows of the issue about trust. The comment of a test of one begins with `Row S1`, or the like.
const ROWS: [&str; 16] = [
    "S1", "S2", "S3", "S3b", "S4", "S5", "S6", "S7", "S8", "S8b", "S9", "S10", "S11", "S12", "F4",
    "F13",
];

fn check(repository: &Repository) -> Result<Vec<Fault>> {
    let mut faults = Vec::new();
    let text = repository.read(TABLE)?;
    let mut found = 0;
    for (number, name) in named(&text) {
        found += 1;
        let (module, function) = name;
        let file = format!("/{module}.rs");
        let wanted = format!("fn {function}()");
        let mut there = false;
        for path in repository
            .ending(&[".rs"])
            .filter(|path| path.ends_with(&file))
        {
            there |= repository.read(path)?.contains(&wanted);
        }
        if !there {
            faults.push(Fault::new(
                format!("{TABLE}:{number}"),
                format!("there is no test {module}::{function}"),
                "name the test as it is called now, or write it",
            ));
        }
    }
    if found == 0 {
        faults.push(Fault::new(
            TABLE,
            "names no test",
            "bring the table of attacks back",
        ));
    }
    let mut tested = BTreeSet::new();
    for path in repository.ending(&[".rs"]) {
        tested.extend(rows_of(&repository.read(path)?).map(str::to_owned));
    }
    let missing = ROWS.iter().filter(|row| !tested.contains(**row));
    faults.extend(missing.map(|row| {
        Fault::new(
            "crates",
            format!("no test is one of row {row}"),
            format!("begin the comment of its test with `Row {row}.`, or write the test"),
        )
    }));
    Ok(faults)
}

/// The rows that comments of a file begin with.
fn rows_of(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().map(str::trim_start);
    let rows = lines.filter_map(|line| line.strip_prefix("/// Row "));
    rows.filter_map(|row| row.split(|letter: char| !letter.is_alphanumeric()).next())
}

/// The tests in the third column of the table of attacks, each with its line: module and function.
fn named(text: &str) -> impl Iterator<Item = (usize, (&str, &str))> {
    let rows = text
        .lines()
        .zip(1..)
        .filter(|(line, _)| line.starts_with('|'));
    rows.filter_map(|(line, number)| Some((line.split('|').nth(3)?, number)))
        .flat_map(|(cell, number)| {
            cell.split('`')
                .skip(1)
                .step_by(2)
                .filter_map(move |name| Some((number, name.split_once("::")?)))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_those_that_comments_begin_with() {
        let text = "/// Row S3b: a program.\n#[test]\n    /// Row F4.\n// Row S1.\n/// A Row S2.\n/// Row S\n";
        assert!(rows_of(text).eq(["S3b", "F4", "S"]));
    }

    #[test]
    fn tests_are_named_in_the_third_column() {
        let text = "# A\n| attack | wall | test | result |\n|---|---|---|---|\n| `a::b` | c | `d::e`, `f::g` | h |\n";
        let found: Vec<_> = named(text).collect();
        assert_eq!(found, [(4, ("d", "e")), (4, ("f", "g"))]);
    }
}
