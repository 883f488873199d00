//! Groups of processors that machines share: one control group each below our root, in the version 1 hierarchy of the
//! controller `cpuset`, else in the unified one.
//!
//! In version 1 a container of a group has its processes there, beside its own groups in the other hierarchies, and the
//! kernel knows whether a group is in use. In the unified hierarchy a process has one group only, which is its
//! container's: that one is given the processors of the group, which itself stays empty.

use std::{
    fs,
    path::{Path, PathBuf},
    thread::sleep,
    time::{Duration, Instant},
};

use super::{ControlGroups, apply, detect::Hierarchies, files, make_directory, remove_directory};
use crate::failure::{Attempt, StepError};
use hcs_schema::{Failure, HResult, win32};

/// The controller, and the file of it that names processors.
const CONTROLLER: &str = "cpuset";
const PROCESSORS: &str = "cpuset.cpus";
/// How long the last processes of a machine that has ended may take, and how often they are looked for.
const LAST_MOMENTS: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(5);

/// The place of groups on this host.
#[derive(Debug)]
pub(crate) struct CpuGroups {
    mount: PathBuf,
    root: PathBuf,
    /// Whether that is in the unified hierarchy.
    unified: bool,
}

impl CpuGroups {
    /// Finds it, below the control group `root`.
    ///
    /// # Errors
    /// This host has none.
    pub(crate) fn of_host(root: &str) -> Result<Self, Failure> {
        let path = "/proc/self/mountinfo";
        let text = fs::read_to_string(path).map_err(|e| {
            Failure::new(HResult::E_FAIL, format!("{path} cannot be read")).because(&e)
        })?;
        Self::find(&text, root)
    }

    /// Finds it in the text of `/proc/self/mountinfo`.
    ///
    /// # Errors
    /// This host has none.
    pub(crate) fn find(mountinfo: &str, root: &str) -> Result<Self, Failure> {
        let alone = mountinfo.lines().find_map(|line| {
            let (place, kind) = line.split_once(" - cgroup ")?;
            let options = kind.split(' ').nth(1)?;
            let cpuset_only = options.split(',').any(|option| option == CONTROLLER)
                && !options.split(',').any(|option| option == "cpu");
            cpuset_only.then(|| place.split(' ').nth(4)).flatten()
        });
        let (mount, unified) = match alone {
            Some(mount) => (PathBuf::from(mount), false),
            None => match unified_with_cpuset(mountinfo) {
                Some(mount) => (mount, true),
                None => {
                    return Err(Failure::new(
                        HResult::NOT_SUPPORTED,
                        "there are no groups of processors on this host: they need the control group controller \
                         cpuset, of version 2 or in a hierarchy of its own of version 1",
                    ));
                }
            },
        };
        Ok(Self {
            root: mount.join(root.trim_matches('/')),
            mount,
            unified,
        })
    }

    fn group(&self, id: &str) -> PathBuf {
        // Ids are GUIDs; what is none is never a path.
        let plain: String = id
            .chars()
            .filter(|c| c.is_ascii_hexdigit() || *c == '-')
            .collect();
        self.root.join(format!("cpu-group-{plain}"))
    }

    /// Makes a group of these processors, or gives a group these.
    pub(crate) fn make(&self, id: &str, processors: &[u32]) -> Result<(), StepError> {
        let group = self.group(id);
        if self.unified {
            apply::delegate(&self.mount, &group, &[CONTROLLER])?;
        }
        make_directory(&group)?;
        if !self.unified {
            inherit_from_above(&self.mount, &group)?;
        }
        let list: Vec<String> = processors.iter().map(u32::to_string).collect();
        files::write(&group, PROCESSORS, &list.join(","))
    }

    /// Removes a group, and what is above it and empty. The last processes of a machine whose end was told may still be
    /// ending: they are waited for.
    pub(crate) fn remove(&self, id: &str) -> Result<(), Failure> {
        let group = self.group(id);
        let summary = || format!("the group of processors {id} cannot be removed");
        let end = Instant::now() + LAST_MOMENTS;
        let gone = loop {
            match remove_directory(&group) {
                Ok(false) if Instant::now() < end => sleep(LOOK),
                gone => break gone,
            }
        };
        let gone = gone.step_at("removing the control group", group.display().to_string());
        match gone {
            Ok(true) => {}
            Ok(false) => {
                return Err(Failure::new(
                    HResult::from_win32(win32::ERROR_BUSY),
                    format!("the group of processors {id} is in use"),
                ));
            }
            Err(error) => return Err(error.into_failure(summary())),
        }
        let above = group.ancestors().skip(1);
        for directory in above.take_while(|directory| *directory != self.mount) {
            // Others may be in there.
            if fs::remove_dir(directory).is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Takes a machine into a group: so far it is the process `first`, which has one thread, in `groups`. `pointer` is
    /// that of the property that names the group.
    pub(crate) fn join(
        &self,
        (id, pointer): (&str, &str),
        groups: &ControlGroups,
        first: i32,
    ) -> Result<(), Failure> {
        let group = self.group(id);
        let joined = match &groups.unified {
            Some(own) if self.unified => files::read(&group, PROCESSORS)
                .and_then(|processors| files::write(own, PROCESSORS, processors.trim())),
            _ => files::write(&group, "tasks", &first.to_string()),
        };
        match joined {
            Ok(()) => Ok(()),
            Err(_) if !group.exists() => {
                let message = format!("there is no group of processors {id}");
                Err(Failure::new(HResult::NOT_FOUND, message.clone()).cause_at(pointer, message))
            }
            Err(error) => Err(error
                .asked_by(pointer)
                .into_failure(format!("the group of processors {id} cannot be used"))),
        }
    }
}

/// Where the unified hierarchy is mounted, if it has the controller.
fn unified_with_cpuset(mountinfo: &str) -> Option<PathBuf> {
    let mount = Hierarchies::from_mountinfo(mountinfo).unified?;
    let controllers = files::read(&mount, "cgroup.controllers").ok()?;
    let mut controllers = controllers.split_whitespace();
    controllers.any(|name| name == CONTROLLER).then_some(mount)
}

/// A new group of version 1 has neither processors nor memory, and can then hold no process: `group`, below `mount`,
/// and those above it get what the one above them has.
pub(super) fn inherit_from_above(mount: &Path, group: &Path) -> Result<(), StepError> {
    let mut path: Vec<&Path> = group
        .ancestors()
        .take_while(|directory| *directory != mount)
        .collect();
    path.reverse();
    let mut parent = mount;
    for directory in path {
        for file in [PROCESSORS, "cpuset.mems"] {
            inherit(parent, directory, file)?;
        }
        parent = directory;
    }
    Ok(())
}

/// Gives a new group what the one above has.
fn inherit(parent: &Path, directory: &Path, file: &str) -> Result<(), StepError> {
    if files::read(directory, file)?.trim().is_empty() {
        let above = files::read(parent, file)?;
        files::write(directory, file, above.trim())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_need_a_cpuset_hierarchy_of_their_own() {
        let line = |options: &str| {
            format!("31 25 0:27 / /sys/fs/cgroup/x rw,nosuid - cgroup cgroup rw,{options}\n")
        };
        let found = CpuGroups::find(&line("cpuset"), "hcs/one").unwrap();
        let expected = Path::new("/sys/fs/cgroup/x/hcs/one/cpu-group-0a-1");
        assert_eq!(found.group("0a-1"), expected);
        assert_eq!(found.group("../0a-1/"), expected);
        for text in [line("cpu,cpuset"), line("memory"), String::new()] {
            assert!(CpuGroups::find(&text, "hcs").is_err(), "{text}");
        }
    }

    #[test]
    fn the_unified_hierarchy_will_do_if_it_has_the_controller() {
        let directory = tempfile::tempdir().unwrap();
        let mount = directory.path();
        let unified = format!("30 23 0:26 / {} rw - cgroup2 cgroup2 rw\n", mount.display());
        for (controllers, found) in [("cpu cpuset io", true), ("cpu io", false)] {
            fs::write(mount.join("cgroup.controllers"), controllers).unwrap();
            assert_eq!(CpuGroups::find(&unified, "hcs").is_ok(), found);
        }
        // A hierarchy of its own is better: the kernel then knows who is in a group.
        let both = format!("{unified}31 25 0:27 / /v1 rw - cgroup cgroup rw,cpuset\n");
        assert_eq!(
            CpuGroups::find(&both, "hcs").unwrap().mount,
            Path::new("/v1")
        );
    }

    #[test]
    fn in_the_unified_hierarchy_a_container_is_given_the_processors_of_its_group() {
        let directory = tempfile::tempdir().unwrap();
        let mount = directory.path().to_owned();
        let groups = CpuGroups {
            root: mount.join("hcs"),
            mount,
            unified: true,
        };
        let own = groups.root.join("box");
        for (directory, processors) in [(&groups.group("0a"), "1,3\n"), (&own, "")] {
            fs::create_dir_all(directory).unwrap();
            fs::write(directory.join(PROCESSORS), processors).unwrap();
        }
        let container = ControlGroups {
            unified: Some(own.clone()),
            ..ControlGroups::default()
        };
        groups.join(("0a", "/Id"), &container, 7).unwrap();
        assert_eq!(fs::read_to_string(own.join(PROCESSORS)).unwrap(), "1,3");
        let missing = groups.join(("0b", "/Id"), &container, 7).unwrap_err();
        assert_eq!(missing.hresult, HResult::NOT_FOUND);
    }
}
