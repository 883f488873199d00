//! Rule: the lock file of the fuzz targets, which are no part of the workspace, has what the crates depend on.

use std::path::Path;

use super::{Fault, Rule};
use crate::{Repository, Result, process::cargo};

pub(super) const RULE: Rule = Rule {
    name: "fuzz-lock",
    reason: "the targets are built with their lock file as it is, which no build of the workspace refreshes",
    check,
    fix: Some(fix),
};

/// The manifest of the fuzz targets.
const MANIFEST: &str = "fuzz/Cargo.toml";

fn check(repository: &Repository) -> Result<Vec<Fault>> {
    match state(&repository.root.join(MANIFEST))? {
        State::Current => {}
        State::Stale => {
            return Ok(vec![Fault::new(
                "fuzz/Cargo.lock",
                "has not what the crates depend on",
                "cd fuzz && cargo metadata --offline --format-version 1 >/dev/null",
            )]);
        }
        State::Unknown(said) => {
            println!(
                "rule fuzz-lock: not checked, crates are missing that cargo has to fetch: {said}"
            );
        }
    }
    Ok(Vec::new())
}

fn fix(repository: &Repository) -> Result<()> {
    let mut command = cargo();
    command.args(["metadata", "--offline", "--format-version", "1"]);
    command
        .arg("--manifest-path")
        .arg(repository.root.join(MANIFEST));
    // Where it fails, the check that follows says why.
    let _seen_by_the_check = command.output()?;
    Ok(())
}

/// What a lock file is like.
#[derive(Debug, PartialEq, Eq)]
enum State {
    Current,
    Stale,
    /// Not to be told offline; what cargo says.
    Unknown(String),
}

/// Asks cargo, which reads manifests and resolves, and builds nothing.
fn state(manifest: &Path) -> Result<State> {
    let mut command = cargo();
    command.args(["metadata", "--locked", "--offline", "--format-version", "1"]);
    let output = command.arg("--manifest-path").arg(manifest).output()?;
    if output.status.success() {
        return Ok(State::Current);
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // Cargo names the option that keeps it from writing the file; crates that it lacks it calls by their names.
    Ok(match said.contains("because --locked was passed") {
        true => State::Stale,
        false => State::Unknown(said.lines().next().unwrap_or_default().to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use std::{env, fs, process};

    use super::*;

    fn package(folder: &Path, name: &str, rest: &str) {
        fs::create_dir_all(folder.join("src")).unwrap();
        let manifest =
            format!("[package]\nname = \"{name}\"\nedition = \"2024\"\n{rest}\n[workspace]\n");
        fs::write(folder.join("Cargo.toml"), manifest).unwrap();
        fs::write(folder.join("src/lib.rs"), "").unwrap();
    }

    #[test]
    fn a_lock_file_that_lacks_a_dependency_is_stale_and_stays_as_it_is() {
        let folder = env::temp_dir().join(format!("hcs-tidy-fuzz-lock-{}", process::id()));
        let fuzz = folder.join("fuzz");
        let manifest = fuzz.join("Cargo.toml");
        package(&folder.join("room"), "room", "");
        package(&folder.join("added"), "added", "");
        package(
            &fuzz,
            "targets",
            "[dependencies]\nroom = { path = \"../room\" }",
        );
        let mut made = cargo();
        made.args(["generate-lockfile", "--offline", "--manifest-path"]);
        assert!(made.arg(&manifest).output().unwrap().status.success());
        assert_eq!(state(&manifest).unwrap(), State::Current);

        // A crate that the targets depend on gets a dependency.
        let lock = fs::read_to_string(fuzz.join("Cargo.lock")).unwrap();
        package(
            &folder.join("room"),
            "room",
            "[dependencies]\nadded = { path = \"../added\" }",
        );
        assert_eq!(state(&manifest).unwrap(), State::Stale);
        assert_eq!(fs::read_to_string(fuzz.join("Cargo.lock")).unwrap(), lock);

        package(
            &folder.join("room"),
            "room",
            "[dependencies]\nnot-at-hand-0 = \"1\"",
        );
        assert!(matches!(
            state(&manifest).unwrap(),
            State::Stale | State::Unknown(_)
        ));
        fs::remove_dir_all(&folder).unwrap();
    }
}
