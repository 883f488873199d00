//! Rule: the documentation builds without a warning.

use super::{Fault, Rule};
use crate::{
    Repository, Result,
    process::{cargo, succeeds},
};

pub(super) const RULE: Rule = Rule {
    name: "rustdoc",
    reason: "a link in the documentation that leads nowhere is worse than none",
    check,
    fix: None,
};

fn check(repository: &Repository) -> Result<Vec<Fault>> {
    let kept = succeeds(
        cargo()
            .current_dir(&repository.root)
            // Readers of the sources build them with private items, and those links work then.
            .env(
                "RUSTDOCFLAGS",
                "-D warnings -A rustdoc::private-intra-doc-links",
            )
            .args([
                "doc",
                "--workspace",
                "--no-deps",
                "--document-private-items",
                "--locked",
                "--quiet",
            ]),
    )?;
    let fault = || {
        Fault::new(
            "the places above",
            "have broken documentation",
            "write the path as rustdoc finds it, or plain `code`",
        )
    };
    Ok((!kept).then(fault).into_iter().collect())
}
