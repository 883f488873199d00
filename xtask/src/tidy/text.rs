//! Rule: clean text files, which name no path of the machine they were written on.

use std::{env, path::Path};

use super::{Fault, Rule};
use crate::{Repository, Result};

pub(super) const RULE: Rule = Rule {
    name: "text",
    reason: "a fresh clone anywhere must read and work the same, and diffs show only what was meant",
    check,
    fix: Some(fix),
};

const ENDINGS: &[&str] = &[
    ".rs",
    ".toml",
    ".md",
    ".c",
    ".cpp",
    ".h",
    ".in",
    ".txt",
    ".json",
    ".editorconfig",
    ".gitignore",
    ".ci/run",
];

/// Folders that every machine has; a checkout directly in one of them gives no tell-tale prefix.
const COMMON: &[&str] = &[
    "/", "/tmp", "/root", "/home", "/srv", "/opt", "/mnt", "/src", "/build", "/var/tmp",
];

fn check(repository: &Repository) -> Result<Vec<Fault>> {
    let home = env::var_os("HOME").map(std::path::PathBuf::from);
    let mut local = vec![repository.root.as_path(), repository.target.as_path()];
    local.extend(repository.root.parent());
    local.extend(home.as_deref());
    let local: Vec<String> = local
        .into_iter()
        .filter(|path| !COMMON.iter().any(|common| *path == Path::new(common)))
        .map(|path| format!("{}/", path.display()))
        .collect();
    let mut faults = Vec::new();
    for file in repository.ending(ENDINGS) {
        let text = repository.read(file)?;
        for (index, line) in text.lines().enumerate() {
            let place = || format!("{file}:{}", index + 1);
            if let Some(path) = local.iter().find(|path| names(line, path)) {
                let what = format!("names {path}, a folder of this machine");
                faults.push(Fault::new(
                    place(),
                    what,
                    "write a path that exists everywhere",
                ));
            }
            if let Some(what) = untidy(line) {
                faults.push(Fault::new(place(), what, "cargo xtask tidy --fix text"));
            }
        }
        if !text.is_empty() && (!text.ends_with('\n') || text.ends_with("\n\n")) {
            let what = "does not end with exactly one newline";
            faults.push(Fault::new(file, what, "cargo xtask tidy --fix text"));
        }
    }
    Ok(faults)
}

/// Whether `line` names the absolute path `path`; the same words inside a longer path do not count.
fn names(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "./_-})".contains(c))
    })
}

fn untidy(line: &str) -> Option<&'static str> {
    if line.ends_with('\r') {
        return Some("ends with a carriage return");
    }
    if line.ends_with([' ', '\t']) {
        return Some("ends with white space");
    }
    let conflict = ["<<<<<<< ", ">>>>>>> "];
    conflict
        .iter()
        .any(|mark| line.starts_with(mark))
        .then_some("is the mark of a merge conflict")
}

fn fix(repository: &Repository) -> Result<()> {
    for file in repository.ending(ENDINGS) {
        let text = repository.read(file)?;
        let mut clean: String = text
            .lines()
            .map(|line| format!("{}\n", line.trim_end()))
            .collect();
        while clean.ends_with("\n\n") {
            clean.pop();
        }
        if clean != text {
            repository.write(file, &clean)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_beginning_of_a_path_counts() {
        assert!(names("see /build7/x/file", "/build7/x/"));
        assert!(names("\"/build7/x/\"", "/build7/x/"));
        assert!(!names("{root}/build7/x/file", "/build7/x/"));
        assert!(!names("a/build7/x/file", "/build7/x/"));
    }

    #[test]
    fn untidy_lines_are_told() {
        assert!(untidy("x ").is_some());
        assert!(untidy("x\r").is_some());
        assert!(untidy(&format!("{} HEAD", "<".repeat(7))).is_some());
        assert!(untidy("    x").is_none());
    }
}
