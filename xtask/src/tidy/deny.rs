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
    let deny = |words: &[&str]| {
        let mut command = cargo();
        command.current_dir(&repository.root).arg("deny");
        succeeds(command.args(words))
    };
    let kept = if deny(&["fetch", "db"])? {
        deny(&["check"])?
    } else {
        println!("rule deny: advisories are not checked, their database cannot be fetched");
        deny(&["check", "licenses", "bans", "sources"])?
    };
    let fault = || {
        Fault::new(
            "Cargo.lock",
            "has a dependency that deny.toml forbids",
            "replace it, or write the exception with its argument into deny.toml",
        )
    };
    Ok((!kept).then(fault).into_iter().collect())
}
