//! Rule: no warning of the compiler or of clippy, in any target.

use super::{Fault, Rule};
use crate::{
    Repository, Result,
    process::{cargo, succeeds},
};

pub(super) const RULE: Rule = Rule {
    name: "clippy",
    reason: "a warning that stays hides the next one; the lints are in the root Cargo.toml",
    check,
    fix: Some(fix),
};

const WHAT: [&str; 4] = ["clippy", "--workspace", "--all-targets", "--locked"];

fn check(repository: &Repository) -> Result<Vec<Fault>> {
    let kept = succeeds(
        cargo()
            .current_dir(&repository.root)
            .args(WHAT)
            .args(["--quiet", "--", "-D", "warnings"]),
    )?;
    let fault = || {
        Fault::new(
            "the places above",
            "have warnings",
            "change the code; `cargo xtask tidy --fix clippy` applies what clippy can; an exception is `#[expect(lint, \
             reason = \"...\")]`",
        )
    };
    Ok((!kept).then(fault).into_iter().collect())
}

fn fix(repository: &Repository) -> Result<()> {
    succeeds(cargo().current_dir(&repository.root).args(WHAT).args([
        "--quiet",
        "--fix",
        "--allow-dirty",
        "--allow-staged",
    ]))?;
    Ok(())
}
