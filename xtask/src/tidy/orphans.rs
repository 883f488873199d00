//! Rule: every Rust file under `src/` is a module of its crate.
//!
//! rustc and clippy see only files that a `mod` names, and cargo-modules looks at one crate with one set of features at
//! a time; files of other platforms and of `cfg(fuzzing)` are no orphans.

use std::path::Path;

use super::{
    Fault, Rule,
    source::{lines_with_word, tokens},
};
use crate::{Repository, Result};

pub(super) const RULE: Rule = Rule {
    name: "orphans",
    reason: "a file that no `mod` names is never compiled and rots unseen",
    check,
    fix: None,
};

fn check(repository: &Repository) -> Result<Vec<Fault>> {
    let mut faults = Vec::new();
    for file in repository.ending(&[".rs"]).filter(|f| f.contains("/src/")) {
        if let Some((module, parents)) = module_and_parents(file)
            && !declared(repository, &module, &parents)?
            && !named_by_path(repository, file)?
        {
            let parents: Vec<&str> = parents
                .iter()
                .map(String::as_str)
                .filter(|parent| repository.has(parent))
                .collect();
            faults.push(Fault::new(
                file,
                format!("is no module of {}", parents.join(" or ")),
                "declare the module there, or delete the file",
            ));
        }
    }
    Ok(faults)
}

/// The module's name and the files that may declare it; `None` for the root of a target.
fn module_and_parents(file: &str) -> Option<(String, Vec<String>)> {
    let path = Path::new(file);
    let mut folder = path.parent()?;
    let mut name = path.file_stem()?.to_str()?;
    if folder.ends_with("src") && ["lib", "main"].contains(&name) || folder.ends_with("src/bin") {
        return None;
    }
    if name == "mod" {
        name = folder.file_name()?.to_str()?;
        folder = folder.parent()?;
    }
    let folder = folder.to_str()?;
    let mut parents: Vec<String> = ["lib.rs", "main.rs", "mod.rs"]
        .iter()
        .map(|root| format!("{folder}/{root}"))
        .collect();
    parents.push(format!("{folder}.rs"));
    Some((name.to_owned(), parents))
}

/// Whether a parent names the module: by `mod`, or as a word given to a macro that declares modules.
fn declared(repository: &Repository, module: &str, parents: &[String]) -> Result<bool> {
    for parent in parents.iter().filter(|parent| repository.has(parent)) {
        let tokens = tokens(parent, &repository.read(parent)?)?;
        if !lines_with_word(tokens, module).is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a file beside it says `#[path = "..."]`.
fn named_by_path(repository: &Repository, file: &str) -> Result<bool> {
    let Some((folder, name)) = file.rsplit_once('/') else {
        return Ok(false);
    };
    let wanted = format!("#[path = \"{name}\"]");
    for other in repository.ending(&[".rs"]) {
        let beside = other.rsplit_once('/').is_some_and(|(f, _)| f == folder);
        if beside && repository.read(other)?.contains(&wanted) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_are_where_rust_looks() {
        assert!(module_and_parents("crates/a/src/lib.rs").is_none());
        assert!(module_and_parents("crates/a/src/bin/x.rs").is_none());
        let (name, parents) = module_and_parents("crates/a/src/b/mod.rs").unwrap();
        assert_eq!(
            (name.as_str(), parents[0].as_str()),
            ("b", "crates/a/src/lib.rs")
        );
        let (name, parents) = module_and_parents("crates/a/src/b/c.rs").unwrap();
        assert_eq!(name, "c");
        assert!(parents.contains(&"crates/a/src/b.rs".to_owned()));
    }
}
