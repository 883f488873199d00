//! Rule: licences, sources and advisories of dependencies, by cargo-deny where it is installed.

use super::{Fault, Rule};
use crate::{
    Repository, Result,
    process::{cargo, installed, succeeds},
};

pub(super) const RULE: Rule = Rule {
    name: "deny",
    reason: "what we depend on must be licensed, maintained and from crates.io (deny.toml)",
    check,
    fix: None,
};

fn check(repository: &Repository) -> Result<Vec<Fault>> {
    if !installed("cargo-deny") {
        println!(
            "rule deny: not checked, cargo-deny is not installed (cargo install --locked cargo-deny)"
        );
        return Ok(Vec::new());
    }
    let kept = succeeds(
        cargo()
            .current_dir(&repository.root)
            .args(["deny", "check"]),
    )?;
    let fault = || {
        Fault::new(
            "Cargo.lock",
            "has a dependency that deny.toml forbids",
            "replace it, or write the exception with its argument into deny.toml",
        )
    };
    Ok((!kept).then(fault).into_iter().collect())
}
