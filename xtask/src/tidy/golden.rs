//! Rule: generated documents are as they would be generated now.

use super::{Fault, Rule};
use crate::{Repository, Result, golden};

pub(super) const RULE: Rule = Rule {
    name: "golden",
    reason: "a generated document that is out of date tells lies with authority",
    check,
    fix: Some(golden::write),
};

fn check(repository: &Repository) -> Result<Vec<Fault>> {
    let mut faults = Vec::new();
    for document in golden::documents(repository)? {
        let committed = repository.read(document.file).unwrap_or_default();
        if committed != document.text {
            let what = "is not as it would be generated now";
            faults.push(Fault::new(document.file, what, "cargo xtask golden"));
        }
    }
    Ok(faults)
}
