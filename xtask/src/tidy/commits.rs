//! Rule: a commit has a short subject that names a part of the project, and a body where that is not enough.
//!
//! The latest commits are looked at, as far as the clone has them; merges are not.

use std::process::Command;

use super::{Fault, Rule};
use crate::{Repository, Result, process::output};

pub(super) const RULE: Rule = Rule {
    name: "commits",
    reason: "a history that is read in a terminal has one line of 72 columns per commit",
    check,
    fix: None,
};

/// The most columns of a subject.
const COLUMNS: usize = 72;
/// How many commits back are looked at. Older ones were looked at when they were new.
const COMMITS: &str = "--max-count=100";

fn check(repository: &Repository) -> Result<Vec<Fault>> {
    let listed = output(Command::new("git").current_dir(&repository.root).args([
        "log",
        "--no-merges",
        "--format=%H %s",
        COMMITS,
    ]))?;
    let faults = listed.lines().filter_map(|line| {
        let (commit, subject) = line.split_once(' ')?;
        let what = mistake(subject)?;
        let mend = "git commit --amend, before it is pushed: crate: what changed";
        let short: String = commit.chars().take(8).collect();
        Some(Fault::new(format!("commit {short}"), what, mend))
    });
    Ok(faults.collect())
}

/// What is wrong with a subject.
fn mistake(subject: &str) -> Option<String> {
    let columns = subject.chars().count();
    if columns > COLUMNS {
        return Some(format!(
            "its subject has {columns} columns; {COLUMNS} are allowed"
        ));
    }
    let part = subject.split_once(": ").map(|(part, _)| part);
    let named =
        part.is_some_and(|part| !part.is_empty() && !part.contains(' ') || part.contains(", "));
    (!named).then(|| format!("its subject names no part of the project: {subject:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_short_and_names_its_part() {
        assert_eq!(mistake("hcs_wire: one base for errors"), None);
        assert_eq!(mistake("hcs, hcsd: what both need"), None);
        assert!(mistake("fixes").unwrap().contains("no part"));
        assert!(mistake("this is: odd").unwrap().contains("no part"));
        let long = format!("hcs: {}", "x".repeat(68));
        assert!(mistake(&long).unwrap().contains("73 columns"));
    }
}
