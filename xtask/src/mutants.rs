//! `cargo xtask mutants ROOM`: what the tests of a pure room do not notice.
//!
//! cargo-mutants changes the room in one place after another, and runs its own tests on each change. A change that they
//! do not notice survives: either a test is missing, or the change is none that matters. `xtask/mutants.toml` lists the
//! latter, each with its reason. Any other survivor is a fault, and so is one of the list that does not survive.
//!
//! 1. [`tool`]: one version of cargo-mutants for all, below `target/`.
//! 2. [`repeat`]: the tests, for each mutant. A room takes minutes, so continuous integration leaves it out.
//! 3. [`judge`]: what survived, against the list.

use std::{
    collections::BTreeMap,
    env, fs, io,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use serde::Deserialize;

use crate::{
    Repository, Result,
    process::{cargo, output, succeeds},
};

/// The version whose names of mutants the list has.
const VERSION: &str = "25.3.1";
/// The list of survivors that are right.
const LIST: &str = "xtask/mutants.toml";
/// Rooms whose tests need nothing but themselves.
const ROOMS: [&str; 2] = ["hcs_lifecycle", "hcs_wire"];
/// How many seconds the tests of a mutant have at least: on a busy machine, most need no more than a few.
const PATIENCE: &str = "120";
/// Runs cargo-mutants where the only files that it can change are those in the places before `--`, besides what the
/// kernel shows in `/proc`, `/sys` and `/dev`: a mutant may be one that no longer keeps a test within its folder, and
/// root's tests could then write anywhere on the host.
const CONFINED: &str = r#"
findmnt -rno TARGET | while read -r mount; do
    case $mount in
        /proc | /proc/* | /sys | /sys/* | /dev | /dev/*) ;;
        *) mount -o remount,bind,ro "$(printf %b "$mount")" ;;
    esac
done
while [ "$1" != -- ]; do
    mount --bind "$1" "$1"
    mount -o remount,bind,rw "$1"
    shift
done
shift
exec "$@"
"#;
/// How cargo-mutants ends when it has tried all mutants: all were noticed, some were not, some went on for too long.
const DONE: [i32; 3] = [0, 2, 3];

/// Options of `cargo xtask mutants`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The room, a crate that needs no service
    #[arg(value_parser = ROOMS)]
    room: String,
    /// How many mutants are tried at one time
    #[arg(long, default_value_t = 1)]
    jobs: u32,
    /// Only this part of the mutants, as 0/8 is the first of eight
    #[arg(long)]
    shard: Option<String>,
}

/// The list.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    #[serde(default)]
    accepted: Vec<Accepted>,
}

/// A survivor that is right.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Accepted {
    /// Its name: file and change, without the line, which moves.
    mutant: String,
    /// How many of that name survive.
    #[serde(default = "one")]
    times: usize,
    /// Why no test has to notice it.
    reason: String,
}

const fn one() -> usize {
    1
}

/// Tries every mutant of a room.
///
/// # Errors
/// cargo-mutants cannot be installed or run, or the tests fail without any change.
pub(crate) fn run(repository: &Repository, arguments: &Arguments) -> Result<ExitCode> {
    let list: List = toml::from_str(&repository.read(LIST)?)
        .map_err(|error| format!("{LIST} cannot be read: {error}"))?;
    let tool = tool(repository)?;
    let outcome = repeat(repository, &tool, arguments)?;
    // Tests that go on for too long have noticed nothing yet.
    let mut missed = lines(&outcome.join("missed.txt"))?;
    missed.extend(lines(&outcome.join("timeout.txt"))?);
    let is_all = arguments.shard.is_none();
    let faults = judge(&arguments.room, &missed, &list.accepted, is_all);
    for fault in &faults {
        println!("{fault}");
    }
    println!(
        "{}: {} mutants were noticed and {} survived; faults: {}",
        arguments.room,
        lines(&outcome.join("caught.txt"))?.len(),
        missed.len(),
        faults.len()
    );
    Ok(if faults.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The program, which is installed if it is not there in this version.
fn tool(repository: &Repository) -> Result<PathBuf> {
    let root = repository.target.join("tools");
    let tool = root.join("bin/cargo-mutants");
    let said = tool
        .is_file()
        .then(|| output(Command::new(&tool).args(["mutants", "--version"])))
        .transpose()?;
    if said.is_some_and(|said| said.trim().ends_with(&format!(" {VERSION}"))) {
        return Ok(tool);
    }
    let package = format!("cargo-mutants@{VERSION}");
    let mut install = cargo();
    install.args(["install", "--locked", &package, "--root"]);
    if !succeeds(install.arg(&root))? {
        return Err(format!("{package} could not be installed below {}", root.display()).into());
    }
    Ok(tool)
}

/// Tries all mutants; the folder with the lists of their outcomes.
fn repeat(repository: &Repository, tool: &Path, arguments: &Arguments) -> Result<PathBuf> {
    let folder = repository.target.join("mutants");
    fs::create_dir_all(&folder)?;
    let jobs = arguments.jobs.to_string();
    let mut command = if rustix::process::geteuid().is_root() {
        confined(tool, &folder)?
    } else {
        Command::new(tool)
    };
    let status = command
        .current_dir(&repository.root)
        .args(["mutants", "--package", &arguments.room, "--jobs", &jobs])
        .args(["--no-shuffle", "--colors", "never"])
        .args(arguments.shard.iter().flat_map(|shard| ["--shard", shard]))
        .args(["--minimum-test-timeout", PATIENCE, "--output"])
        .arg(&folder)
        .status()
        .map_err(|error| format!("{} cannot be run: {error}", tool.display()))?;
    if !status.code().is_some_and(|code| DONE.contains(&code)) {
        return Err(format!("cargo-mutants did not try all mutants ({status})").into());
    }
    Ok(folder.join("mutants.out"))
}

/// `tool` in mount namespaces of its own ([`CONFINED`]), for root.
fn confined(tool: &Path, folder: &Path) -> Result<Command> {
    let cargo_home = match env::var_os("CARGO_HOME") {
        Some(home) => PathBuf::from(home),
        None => PathBuf::from(env::var_os("HOME").ok_or("neither CARGO_HOME nor HOME is set")?)
            .join(".cargo"),
    };
    let temporary = env::temp_dir();
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--propagation", "private"])
        .args(["sh", "-euc", CONFINED, "sh"])
        .args([folder, cargo_home.as_path(), temporary.as_path()])
        .arg("--")
        .arg(tool);
    Ok(command)
}

/// What is wrong with the survivors of a room, given the list. Where not all mutants were tried, some of the list may
/// not survive.
fn judge(room: &str, missed: &[String], accepted: &[Accepted], is_all: bool) -> Vec<String> {
    let mut survivors: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for mutant in missed {
        survivors.entry(name(mutant)).or_default().push(mutant);
    }
    let mut faults = Vec::new();
    let folder = format!("crates/{room}/");
    for entry in accepted
        .iter()
        .filter(|entry| entry.mutant.starts_with(&folder))
    {
        let Accepted {
            mutant,
            times,
            reason,
        } = entry;
        let found = survivors.remove(mutant).unwrap_or_default();
        if found.len() > *times || is_all && found.len() < *times {
            faults.push(format!(
                "{mutant}\n    survives {} times; {LIST} has {times} (\"{reason}\")",
                found.len()
            ));
        }
        if reason.trim().is_empty() {
            faults.push(format!("{mutant}\n    has no reason in {LIST}"));
        }
    }
    for mutant in survivors.values().flatten() {
        faults.push(format!(
            "{mutant}\n    survives, or its tests do not end: add a test, or a reason to {LIST}"
        ));
    }
    faults
}

/// A mutant without its line and column: `src/a.rs:12:5: replace ...` is `src/a.rs: replace ...`.
fn name(mutant: &str) -> String {
    let Some((place, change)) = mutant.split_once(": ") else {
        return mutant.to_owned();
    };
    let file = place.split(':').next().unwrap_or_default();
    format!("{file}: {change}")
}

/// The lines of a list of cargo-mutants; a list without lines may be missing.
fn lines(path: &Path) -> Result<Vec<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(format!("{} cannot be read: {error}", path.display()).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SURVIVOR: &str = "crates/hcs_wire/src/a.rs: replace a -> bool with true";

    fn accepted(mutant: &str, times: usize) -> Accepted {
        Accepted {
            mutant: mutant.to_owned(),
            times,
            reason: "it is the same".to_owned(),
        }
    }

    fn missed(places: &[&str]) -> Vec<String> {
        let full = |place: &&str| SURVIVOR.replace("a.rs", &format!("a.rs:{place}"));
        places.iter().map(full).collect()
    }

    #[test]
    fn a_survivor_is_known_wherever_it_moves() {
        for place in ["1:1", "20:5"] {
            assert_eq!(name(&missed(&[place])[0]), SURVIVOR);
            let faults = judge(
                "hcs_wire",
                &missed(&[place]),
                &[accepted(SURVIVOR, 1)],
                true,
            );
            assert!(faults.is_empty(), "{faults:?}");
        }
    }

    #[test]
    fn more_or_fewer_survivors_than_the_list_has_are_faults() {
        let list = [accepted(SURVIVOR, 1)];
        for (places, faults) in [(&["1:1", "2:1"][..], 1), (&[], 1), (&["1:1"], 0)] {
            assert_eq!(
                judge("hcs_wire", &missed(places), &list, true).len(),
                faults,
                "{places:?}"
            );
        }
        assert_eq!(
            judge("hcs_wire", &missed(&["1:1", "2:1"]), &[], true).len(),
            2
        );
        // Another room's are not looked for.
        assert!(judge("hcs_lifecycle", &[], &list, true).is_empty());
        // In a part of the mutants that of the list may be missing.
        assert!(judge("hcs_wire", &[], &list, false).is_empty());
        assert_eq!(
            judge("hcs_wire", &missed(&["1:1", "2:1"]), &list, false).len(),
            1
        );
    }

    #[test]
    fn the_list_names_rooms_and_reasons() {
        let list: List = toml::from_str(include_str!("../mutants.toml")).unwrap();
        for Accepted { mutant, reason, .. } in &list.accepted {
            let room = ROOMS
                .iter()
                .any(|room| mutant.starts_with(&format!("crates/{room}/")));
            assert!(room && !reason.trim().is_empty(), "{mutant}");
        }
    }
}
