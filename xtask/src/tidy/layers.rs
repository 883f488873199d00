//! Rule: which room may use which, from the data file `xtask/layers.toml`.

use serde::Deserialize;

use super::{Fault, Rule};
use crate::{
    Repository, Result,
    repository::{Dependency, Package},
};

pub(super) const RULE: Rule = Rule {
    name: "layers",
    reason: "arrows point down only, so that each room can be read and tested without those above it",
    check,
    fix: None,
};

/// The data file.
pub(super) const FILE: &str = "xtask/layers.toml";

/// What the data file says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Data {
    room: Vec<Room>,
    restricted: Vec<Restricted>,
    r#unsafe: Unsafe,
    folders: Folders,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Room {
    name: String,
    uses: Vec<String>,
    only: Option<Vec<String>>,
    #[serde(default)]
    tests_use: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Restricted {
    #[serde(rename = "crate")]
    name: String,
    rooms: Vec<String>,
    reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Unsafe {
    homes: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Folders {
    acyclic: Vec<String>,
    #[serde(default)]
    aggregate: Vec<Aggregate>,
}

/// Places of a folder that import each other and stay so.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Aggregate {
    /// The crate.
    pub room: String,
    /// The folder, below the crate's `src`.
    pub folder: String,
    /// Files and folders in it; `mod` is the folder's own file.
    pub places: Vec<String>,
    /// Why they stay so.
    pub reason: String,
}

/// The law as the rules use it.
#[derive(Debug)]
pub(super) struct Law {
    rooms: Vec<Room>,
    restricted: Vec<Restricted>,
    /// Folders, each with a `/` at its end, where `unsafe` may be written.
    pub unsafe_homes: Vec<String>,
    /// Rooms of which no import cycle spans folders.
    pub acyclic: Vec<String>,
    /// Circles that may stay.
    pub aggregates: Vec<Aggregate>,
}

impl Law {
    /// Reads the data file.
    ///
    /// # Errors
    /// It is missing, not TOML, or has an unknown key.
    pub(super) fn read(repository: &Repository) -> Result<Self> {
        Self::parse(&repository.read(FILE)?)
    }

    fn parse(text: &str) -> Result<Self> {
        let data: Data = toml::from_str(text).map_err(|error| format!("{FILE}: {error}"))?;
        Ok(Self {
            rooms: data.room,
            restricted: data.restricted,
            unsafe_homes: data.r#unsafe.homes,
            acyclic: data.folders.acyclic,
            aggregates: data.folders.aggregate,
        })
    }

    /// What is wrong with the law itself.
    fn own_faults(&self, packages: &[Package]) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut above: Vec<&str> = Vec::new();
        for room in &self.rooms {
            for used in &room.uses {
                if !above.contains(&used.as_str()) {
                    let what = format!("{} uses {used}, which does not stand above it", room.name);
                    faults.push(Fault::new(
                        FILE,
                        what,
                        "arrows point down: reorder or remove",
                    ));
                }
            }
            if packages.iter().all(|package| package.name != room.name) {
                let what = format!("names the room {}, which does not exist", room.name);
                faults.push(Fault::new(FILE, what, "remove it"));
            }
            above.push(&room.name);
        }
        faults
    }

    /// What is wrong with one crate's dependencies.
    fn faults(&self, place: &str, package: &Package) -> Vec<Fault> {
        let Some(room) = self.rooms.iter().find(|room| room.name == package.name) else {
            let what = format!("the room {} is not in {FILE}", package.name);
            return vec![Fault::new(place, what, "add it there with what it may use")];
        };
        package
            .dependencies
            .iter()
            .filter_map(|dependency| self.refusal(room, dependency))
            .map(|(what, mend)| Fault::new(place, what, mend))
            .collect()
    }

    fn refusal(&self, room: &Room, dependency: &Dependency) -> Option<(String, String)> {
        let name = &dependency.name;
        let for_tests = dependency.kind.as_deref() == Some("dev");
        if dependency.path.is_some() {
            let allowed = room.uses.contains(name) || for_tests && room.tests_use.contains(name);
            return (!allowed).then(|| {
                (
                    format!("{} may not use {name}", room.name),
                    format!("move the code to a room that may; the law is {FILE}"),
                )
            });
        }
        if for_tests {
            return None;
        }
        if let Some(law) = self.restricted.iter().find(|law| law.name == *name)
            && !law.rooms.contains(&room.name)
        {
            let mend = format!("do without it: {}", law.reason);
            return Some((format!("{} may not use the crate {name}", room.name), mend));
        }
        let only = room.only.as_ref()?;
        (!only.contains(name)).then(|| {
            (
                format!("{} may only use the crates {}", room.name, only.join(", ")),
                format!("do without {name}"),
            )
        })
    }
}

fn check(repository: &Repository) -> Result<Vec<Fault>> {
    let law = Law::read(repository)?;
    let mut faults = law.own_faults(&repository.packages);
    for package in &repository.packages {
        let place = repository.relative(&package.manifest_path);
        faults.extend(law.faults(&place, package));
    }
    Ok(faults)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    const LAW: &str = r#"
        [[room]]
        name = "low"
        uses = []
        only = ["serde"]
        [[room]]
        name = "high"
        uses = ["low"]
        tests_use = ["side"]
        [[restricted]]
        crate = "tokio"
        rooms = ["other"]
        reason = "because"
        [unsafe]
        homes = []
        [folders]
        acyclic = []
    "#;

    fn package(name: &str, dependencies: &[(&str, Option<&str>, bool)]) -> Package {
        let dependency = |&(name, kind, ours): &(&str, Option<&str>, bool)| Dependency {
            name: name.to_owned(),
            kind: kind.map(str::to_owned),
            path: ours.then(PathBuf::new),
        };
        Package {
            name: name.to_owned(),
            manifest_path: PathBuf::new(),
            dependencies: dependencies.iter().map(dependency).collect(),
        }
    }

    fn faults(name: &str, dependency: (&str, Option<&str>, bool)) -> usize {
        let law = Law::parse(LAW).unwrap();
        law.faults("x", &package(name, &[dependency])).len()
    }

    #[test]
    fn arrows_follow_the_law() {
        assert_eq!(faults("high", ("low", None, true)), 0);
        assert_eq!(faults("low", ("high", None, true)), 1);
        assert_eq!(faults("high", ("side", Some("dev"), true)), 0);
        assert_eq!(faults("high", ("side", None, true)), 1);
        assert_eq!(faults("unknown", ("low", None, true)), 1);
    }

    #[test]
    fn crates_follow_the_law() {
        assert_eq!(faults("low", ("serde", None, false)), 0);
        assert_eq!(faults("low", ("libc", None, false)), 1);
        assert_eq!(faults("low", ("libc", Some("dev"), false)), 0);
        assert_eq!(faults("high", ("tokio", None, false)), 1);
    }

    #[test]
    fn a_law_that_points_up_or_at_nothing_is_at_fault() {
        let law = Law::parse(&LAW.replace("uses = []", "uses = [\"high\"]")).unwrap();
        let packages = [package("low", &[]), package("high", &[])];
        assert_eq!(law.own_faults(&packages).len(), 1);
        assert_eq!(law.own_faults(&packages[..1]).len(), 2);
    }
}
