//! Rule: every test that `docs/THREATS.md` names is there.

use super::{Fault, Rule};
use crate::{Repository, Result};

pub(super) const RULE: Rule = Rule {
    name: "threats",
    reason: "an attack that no test tries may succeed, whatever the table says",
    check,
    fix: None,
};

const TABLE: &str = "docs/THREATS.md";

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
    Ok(faults)
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
    fn tests_are_named_in_the_third_column() {
        let text = "# A\n| attack | wall | test | result |\n|---|---|---|---|\n| `a::b` | c | `d::e`, `f::g` | h |\n";
        let found: Vec<_> = named(text).collect();
        assert_eq!(found, [(4, ("d", "e")), (4, ("f", "g"))]);
    }
}
