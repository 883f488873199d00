//! Rule: every promise of the C API has a check, every check a promise, and every function makes some.

use super::{CORE, Fault, Library, NETWORK, Rule, is_twin, listed_exports};
use crate::{
    Repository, Result,
    conformance::{self, Conformance, Promises, Source},
};

pub(super) const RULE: Rule = Rule {
    name: "conformance",
    reason: "what is documented of a function and checked nowhere is a hope",
    check,
    fix: None,
};

fn check(repository: &Repository) -> Result<Vec<Fault>> {
    let mut faults = check_library(repository, &CORE, conformance::CORE)?;
    faults.extend(check_library(repository, &NETWORK, conformance::NETWORK)?);
    Ok(faults)
}

fn check_library(
    repository: &Repository,
    library: &Library,
    promises: Promises,
) -> Result<Vec<Fault>> {
    let conformance = Conformance::read(repository, promises)?;
    let file = promises.file;
    let mut faults = Vec::new();
    for row in &conformance.rows {
        match &row.source {
            Source::Elsewhere { file: place, test } => {
                let there = repository
                    .read(place)
                    .is_ok_and(|text| text.contains(&format!("fn {test}(")));
                if !there {
                    let what = format!("{} names {place}::{test}, which is not there", row.id());
                    faults.push(Fault::new(file, what, "name the test that checks it"));
                }
            }
            _ if conformance.checks.contains_key(&row.id()) => {}
            _ => faults.push(Fault::new(
                file,
                format!("{} is checked by no program", row.id()),
                "check it by CONFORMS in a program of that folder",
            )),
        }
    }
    for (id, checks) in &conformance.checks {
        let known = |row: &conformance::Row| {
            row.id() == *id && !matches!(row.source, Source::Elsewhere { .. })
        };
        if !conformance.rows.iter().any(known) {
            let place = checks.first().map_or(file, |check| &check.file);
            let what = format!("{id} is no row of {file}");
            faults.push(Fault::new(place, what, "add the row, or mend the id"));
        }
    }
    let exports = listed_exports(repository, library)?;
    // The second form of a function with strings promises what the first does, and is checked by the same programs.
    for name in exports.iter().filter(|name| !is_twin(name, &exports)) {
        if !conformance.rows.iter().any(|row| row.function == *name) {
            let what = format!("{name} is exported and promises nothing");
            let mend = "say what its page, or its declaration, promises";
            faults.push(Fault::new(file, what, mend));
        }
    }
    Ok(faults)
}
