//! Rule: every Rust file opens with `//!`.

use super::{Fault, Rule};
use crate::{Repository, Result};

pub(super) const RULE: Rule = Rule {
    name: "module-heads",
    reason: "a reader who opens a file learns first what it is for",
    check,
    fix: None,
};

fn check(repository: &Repository) -> Result<Vec<Fault>> {
    let mut faults = Vec::new();
    for file in repository.ending(&[".rs"]) {
        if !repository.read(file)?.starts_with("//! ") {
            faults.push(Fault::new(
                format!("{file}:1"),
                "does not open with a `//!` comment",
                "say in one sentence what the file is for",
            ));
        }
    }
    Ok(faults)
}
