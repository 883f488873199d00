//! Rule: each C library exports exactly the names in the `exports.txt` of its crate.

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

/// A C library.
#[derive(Debug)]
pub(crate) struct Library {
    /// Its crate.
    package: &'static str,
    /// Its file.
    file: &'static str,
    /// The committed list: one name per line, sorted, `#` begins a comment.
    pub list: &'static str,
}

/// That of `ComputeCore.h`.
pub(crate) const CORE: Library = Library {
    package: "computecore",
    file: "libcomputecore.so",
    list: "crates/computecore/exports.txt",
};

/// That of `ComputeNetwork.h`.
pub(crate) const NETWORK: Library = Library {
    package: "computenetwork",
    file: "libcomputenetwork.so",
    list: "crates/computenetwork/exports.txt",
};

const LIBRARIES: [Library; 2] = [CORE, NETWORK];

/// The names in the list of a library.
///
/// # Errors
/// The list cannot be read.
pub(crate) fn listed(repository: &Repository, library: &Library) -> Result<Vec<String>> {
    let text = repository.read(library.list)?;
    Ok(text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect())
}

/// The names that any library exports.
///
/// # Errors
/// A list cannot be read.
pub(crate) fn all(repository: &Repository) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for library in &LIBRARIES {
        names.extend(listed(repository, library)?);
    }
    names.sort();
    names.dedup();
    Ok(names)
}

/// Whether `name` is the second form of a function with strings, for a `wchar_t` of 32 bits.
pub(crate) fn is_twin(name: &str, exports: &[String]) -> bool {
    let function = name.strip_suffix("Wide");
    function.is_some_and(|function| exports.iter().any(|other| other == function))
}

fn check(repository: &Repository) -> Result<Vec<Fault>> {
    let mut faults = Vec::new();
    for library in &LIBRARIES {
        faults.extend(check_one(repository, library)?);
    }
    Ok(faults)
}

fn check_one(repository: &Repository, library: &Library) -> Result<Vec<Fault>> {
    let list = library.list;
    let built = built(repository, library)?;
    if !repository.has(list) {
        return Ok(vec![Fault::new(
            list,
            "does not exist",
            "cargo xtask tidy --fix exports",
        )]);
    }
    let listed = listed(repository, library)?;
    let mut faults = Vec::new();
    for name in built.iter().filter(|name| !listed.contains(name)) {
        let mend = "make it private, or add it by `cargo xtask tidy --fix exports`";
        faults.push(Fault::new(
            list,
            format!("{name} is exported and not listed"),
            mend,
        ));
    }
    for name in listed.iter().filter(|name| !built.contains(name)) {
        let mend = "export it again; programs may be linked against it";
        faults.push(Fault::new(
            list,
            format!("{name} is listed and not exported"),
            mend,
        ));
    }
    Ok(faults)
}

/// Adds names; taking one away is an edit for a person.
fn fix(repository: &Repository) -> Result<()> {
    for library in &LIBRARIES {
        let mut names = built(repository, library)?;
        let mut head = format!(
            "# Every symbol that {} exports. Checked by `cargo xtask tidy exports`.\n",
            library.file
        );
        if repository.has(library.list) {
            names.extend(listed(repository, library)?);
            let text = repository.read(library.list)?;
            head = text
                .lines()
                .take_while(|line| line.starts_with('#'))
                .map(|line| format!("{line}\n"))
                .collect();
        }
        names.sort();
        names.dedup();
        repository.write(library.list, &(head + &names.join("\n") + "\n"))?;
    }
    Ok(())
}

/// Builds a library and asks `nm` what it exports.
fn built(repository: &Repository, library: &Library) -> Result<Vec<String>> {
    let messages = output(cargo().current_dir(&repository.root).args([
        "build",
        "--package",
        library.package,
        "--lib",
        "--locked",
        "--quiet",
        "--message-format=json-render-diagnostics",
    ]))?;
    let file = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .flat_map(|message| message["filenames"].as_array().cloned().unwrap_or_default())
        .filter_map(|name| name.as_str().map(str::to_owned))
        .rfind(|name| name.ends_with(library.file))
        .ok_or_else(|| format!("cargo built no {}", library.file))?;
    let table = output(Command::new("nm").args(["-D", "--defined-only", "--format=posix", &file]))?;
    let mut names: Vec<String> = table
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .map(|name| name.split('@').next().unwrap_or(name).to_owned())
        .collect();
    names.sort();
    names.dedup();
    Ok(names)
}
