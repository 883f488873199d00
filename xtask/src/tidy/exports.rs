//! Rule: `libcomputecore.so` exports exactly the names in `crates/computecore/exports.txt`.

use std::process::Command;

use serde_json::Value;

use super::{Fault, Rule};
use crate::{
    Repository, Result,
    process::{cargo, output},
};

pub(super) const RULE: Rule = Rule {
    name: "exports",
    reason: "an exported name is a promise to every program that links us; none comes or goes by accident",
    check,
    fix: Some(fix),
};

/// The committed list: one name per line, sorted, `#` begins a comment.
pub(crate) const LIST: &str = "crates/computecore/exports.txt";

/// The names in [`LIST`].
///
/// # Errors
/// The list cannot be read.
pub(crate) fn listed(repository: &Repository) -> Result<Vec<String>> {
    let text = repository.read(LIST)?;
    Ok(text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect())
}

/// Whether `name` is the second form of a function with strings, for a `wchar_t` of 32 bits.
pub(crate) fn is_twin(name: &str, exports: &[String]) -> bool {
    let function = name.strip_suffix("Wide");
    function.is_some_and(|function| exports.iter().any(|other| other == function))
}

fn check(repository: &Repository) -> Result<Vec<Fault>> {
    let built = built(repository)?;
    if !repository.has(LIST) {
        return Ok(vec![Fault::new(
            LIST,
            "does not exist",
            "cargo xtask tidy --fix exports",
        )]);
    }
    let listed = listed(repository)?;
    let mut faults = Vec::new();
    for name in built.iter().filter(|name| !listed.contains(name)) {
        let mend = "make it private, or add it by `cargo xtask tidy --fix exports`";
        faults.push(Fault::new(
            LIST,
            format!("{name} is exported and not listed"),
            mend,
        ));
    }
    for name in listed.iter().filter(|name| !built.contains(name)) {
        let mend = "export it again; programs may be linked against it";
        faults.push(Fault::new(
            LIST,
            format!("{name} is listed and not exported"),
            mend,
        ));
    }
    Ok(faults)
}

/// Adds names; taking one away is an edit for a person.
fn fix(repository: &Repository) -> Result<()> {
    let mut names = built(repository)?;
    let mut head = String::from(
        "# Every symbol that libcomputecore.so exports. Checked by `cargo xtask tidy exports`.\n",
    );
    if repository.has(LIST) {
        names.extend(listed(repository)?);
        let text = repository.read(LIST)?;
        head = text
            .lines()
            .take_while(|line| line.starts_with('#'))
            .map(|line| format!("{line}\n"))
            .collect();
    }
    names.sort();
    names.dedup();
    repository.write(LIST, &(head + &names.join("\n") + "\n"))
}

/// Builds the library and asks `nm` what it exports.
fn built(repository: &Repository) -> Result<Vec<String>> {
    let messages = output(cargo().current_dir(&repository.root).args([
        "build",
        "--package",
        "computecore",
        "--lib",
        "--locked",
        "--quiet",
        "--message-format=json-render-diagnostics",
    ]))?;
    let library = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .flat_map(|message| message["filenames"].as_array().cloned().unwrap_or_default())
        .filter_map(|name| name.as_str().map(str::to_owned))
        .rfind(|name| name.ends_with("libcomputecore.so"))
        .ok_or("cargo built no libcomputecore.so")?;
    let table =
        output(Command::new("nm").args(["-D", "--defined-only", "--format=posix", &library]))?;
    let mut names: Vec<String> = table
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .map(|name| name.split('@').next().unwrap_or(name).to_owned())
        .collect();
    names.sort();
    names.dedup();
    Ok(names)
}
