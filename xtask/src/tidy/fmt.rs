//! Rule: rustfmt decides how code is laid out.

use super::{Fault, Rule};
use crate::{
    Repository, Result,
    process::{cargo, succeeds},
};

pub(super) const RULE: Rule = Rule {
    name: "fmt",
    reason: "layout is not a matter of taste, so no review is spent on it",
    check,
    fix: Some(fix),
};

fn check(repository: &Repository) -> Result<Vec<Fault>> {
    let kept = succeeds(
        cargo()
            .current_dir(&repository.root)
            .args(["fmt", "--all", "--check", "--", "-l"]),
    )?;
    let fault = || {
        Fault::new(
            "the files above",
            "are not as rustfmt writes them",
            "cargo xtask tidy --fix fmt",
        )
    };
    Ok((!kept).then(fault).into_iter().collect())
}

fn fix(repository: &Repository) -> Result<()> {
    succeeds(cargo().current_dir(&repository.root).args(["fmt", "--all"]))?;
    Ok(())
}
