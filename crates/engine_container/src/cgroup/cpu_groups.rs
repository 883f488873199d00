//! Groups of processors that containers share: one group each in the version 1 hierarchy of the controller `cpuset`,
//! below our root. A container of a group has its processes there, beside its own groups in the other hierarchies. The
//! kernel knows whether a group is in use.
//!
//! With the unified hierarchy alone a process has one group only, which is its container's; so there are none there.

use std::{
    fs,
    path::{Path, PathBuf},
};

use hcs_schema::{Failure, HResult, win32};
use rustix::io::Errno;

use super::{files, make_directory, remove_directory};
use crate::failure::{Attempt, StepError};

/// JSON pointer of the property that names a group.
const POINTER: &str = "/Container/Processor/CpuGroup/Id";

/// The place of groups on this host.
#[derive(Debug)]
pub(crate) struct CpuGroups {
    mount: PathBuf,
    root: PathBuf,
}

impl CpuGroups {
    /// Finds it in the text of `/proc/self/mountinfo`.
    ///
    /// # Errors
    /// This host has none.
    pub(crate) fn find(mountinfo: &str, root: &str) -> Result<Self, Failure> {
        let alone = mountinfo.lines().find_map(|line| {
            let (place, kind) = line.split_once(" - cgroup ")?;
            let options = kind.split(' ').nth(1)?;
            let cpuset_only = options.split(',').any(|option| option == "cpuset")
                && !options.split(',').any(|option| option == "cpu");
            cpuset_only.then(|| place.split(' ').nth(4)).flatten()
        });
        let Some(mount) = alone else {
            return Err(Failure::new(
                HResult::NOT_SUPPORTED,
                "there are no groups of processors on this host: they need the control group controller cpuset of \
                 version 1, in a hierarchy of its own",
            ));
        };
        let mount = PathBuf::from(mount);
        Ok(Self {
            root: mount.join(root.trim_matches('/')),
            mount,
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
        make_directory(&group)?;
        let mut above: Vec<&Path> = group
            .ancestors()
            .skip(1)
            .take_while(|directory| *directory != self.mount)
            .collect();
        above.reverse();
        // A new group has neither processors nor memory, and can then hold no process.
        let mut parent = self.mount.as_path();
        for directory in above {
            for file in ["cpuset.cpus", "cpuset.mems"] {
                inherit(parent, directory, file)?;
            }
            parent = directory;
        }
        inherit(parent, &group, "cpuset.mems")?;
        let list: Vec<String> = processors.iter().map(u32::to_string).collect();
        files::write(&group, "cpuset.cpus", &list.join(","))
    }

    /// Removes a group, and what is above it and empty.
    pub(crate) fn remove(&self, id: &str) -> Result<(), Failure> {
        let group = self.group(id);
        let summary = || format!("the group of processors {id} cannot be removed");
        let gone = remove_directory(&group)
            .step_at("removing the control group", group.display().to_string());
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

    /// Takes a process with one thread into a group.
    pub(crate) fn join(&self, id: &str, process: i32) -> Result<(), Failure> {
        let group = self.group(id);
        match files::write(&group, "tasks", &process.to_string()) {
            Ok(()) => Ok(()),
            Err(error) if error.errno == Errno::NOENT => {
                let message = format!("there is no group of processors {id}");
                Err(Failure::new(HResult::NOT_FOUND, message.clone()).cause_at(POINTER, message))
            }
            Err(error) => Err(error
                .asked_by(POINTER)
                .into_failure(format!("the group of processors {id} cannot be used"))),
        }
    }
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
}
