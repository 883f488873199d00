//! The control groups of one container, on hosts with version 1, version 2 or both.
//!
//! A container has one group of its name in the unified hierarchy, where there is one, and one in each version 1
//! hierarchy that has a controller of use. In the unified one it is born (`CLONE_INTO_CGROUP`), frozen and killed,
//! controllers or not; limits and accounting are where the host has the controller.
//!
//! | file | |
//! |---|---|
//! | [`detect`] | which hierarchies there are (pure) |
//! | [`limits`] | document to kernel values (pure) |
//! | [`apply`] | writing limits |
//! | [`cpu_groups`] | processors that several containers share |
//! | [`devices`] | which devices may be used |
//! | [`own`] | the service's own group |
//! | [`owner`] | which service a group is of |
//! | [`statistics`] | reading accounts |
//! | [`processes`] | freezing, killing, removing |

mod apply;
pub(crate) mod cpu_groups;
pub(crate) mod detect;
mod devices;
mod files;
pub(crate) mod limits;
pub(crate) mod own;
pub(crate) mod owner;
mod processes;
pub(crate) mod statistics;

use std::{
    ffi::OsStr,
    fs, io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use rustix::{
    fs::{CWD, Mode, OFlags, ResolveFlags, fstatfs, open, openat2},
    io::Errno,
    process::Pid,
};
use serde::{Deserialize, Serialize};

use crate::{
    failure::{Attempt, MAKING_GROUP, StepError},
    spec::GroupSpec,
};
use detect::{Controller, Hierarchies};

pub(crate) use apply::Limits;
pub(crate) use devices::{DeviceControl, DeviceRule, NODES};

/// One group of a version 1 hierarchy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct V1Group {
    directory: PathBuf,
    controllers: Vec<Controller>,
}

/// The groups of one container. Knows their names only; dropping it removes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ControlGroups {
    v1: Vec<V1Group>,
    unified: Option<PathBuf>,
}

/// What the launcher needs to put a child into the groups.
#[derive(Debug)]
pub(crate) struct Entrances {
    /// The directory of the unified group, for `clone3(2)`.
    pub(crate) unified: Option<OwnedFd>,
    /// The `tasks` file of each version 1 group.
    pub(crate) tasks: Vec<OwnedFd>,
}

/// Where a controller's files of a container are.
enum Home<'a> {
    V1(&'a Path),
    V2(&'a Path),
}

impl ControlGroups {
    /// The groups of the container `name` below `root` in each of `hierarchies`. Makes nothing.
    pub(crate) fn named(hierarchies: &Hierarchies, root: &str, name: &str) -> Self {
        let below = |mount: &Path| mount.join(root.trim_matches('/')).join(name);
        let v1 = hierarchies.v1.iter().map(|hierarchy| V1Group {
            directory: below(&hierarchy.mount),
            controllers: hierarchy.controllers.clone(),
        });
        Self {
            v1: v1.collect(),
            unified: hierarchies.unified.as_deref().map(below),
        }
    }

    /// Whether all of them are named `name`, as [`ControlGroups::named`] names them.
    pub(crate) fn are_named(&self, name: &str) -> bool {
        let v1 = self.v1.iter().map(|group| &group.directory);
        let mut all = v1.chain(&self.unified);
        all.all(|group| group.file_name().is_some_and(|own| own == name))
    }

    /// Whether one of them is that of another service of this boot.
    pub(crate) fn are_of_another(&self) -> bool {
        self.directories().any(owner::is_of_another)
    }

    /// Whether all of them that are there are control groups, and no other directories.
    pub(crate) fn are_groups(&self) -> bool {
        self.directories().all(is_group_or_gone)
    }

    /// Whether a process is in each of them, or below, by its `/proc/PID/cgroup`.
    pub(crate) fn hold(&self, process: &str) -> bool {
        let paths = || {
            process
                .lines()
                .filter_map(|line| line.splitn(3, ':').nth(2))
        };
        self.directories()
            .all(|group| paths().any(|path| leads_to(path, group)))
    }

    /// Whether there are none.
    pub(crate) const fn is_empty(&self) -> bool {
        self.v1.is_empty() && self.unified.is_none()
    }

    /// Makes the groups, and those above them. `delegated` remembers that those above pass their controllers on.
    pub(crate) fn make(
        &self,
        hierarchies: &Hierarchies,
        delegated: &AtomicBool,
    ) -> Result<(), StepError> {
        // A service that leaves removes empty groups above ours ([`remove_root`]), perhaps between two steps here.
        let mut tries = 8;
        loop {
            match self.try_make(hierarchies, delegated) {
                Err(error) if error.errno == Errno::NOENT && tries > 0 => tries -= 1,
                made => return made,
            }
        }
    }

    fn try_make(&self, hierarchies: &Hierarchies, delegated: &AtomicBool) -> Result<(), StepError> {
        for group in &self.v1 {
            make_directory(&group.directory)?;
            owner::mark(&group.directory);
        }
        if let (Some(group), Some(mount)) = (&self.unified, &hierarchies.unified) {
            // While the group above is there, it is the one that has been looked at.
            if delegated.load(Ordering::Relaxed) && fs::create_dir(group).is_ok() {
                owner::mark(group);
                return Ok(());
            }
            apply::delegate(mount, group, &apply::DELEGATED)?;
            make_directory(group)?;
            owner::mark(group);
            delegated.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Opens the ways in.
    pub(crate) fn entrances(&self) -> Result<Entrances, StepError> {
        let open = |path: PathBuf, flags| {
            open(&path, flags | OFlags::CLOEXEC, Mode::empty())
                .step_at("opening the control group", path.display().to_string())
        };
        let tasks = self
            .v1
            .iter()
            .map(|group| open(group.directory.join("tasks"), OFlags::WRONLY));
        let directory = |path: &PathBuf| open(path.clone(), OFlags::RDONLY | OFlags::DIRECTORY);
        Ok(Entrances {
            tasks: tasks.collect::<Result<_, _>>()?,
            unified: self.unified.as_ref().map(directory).transpose()?,
        })
    }

    /// Moves a process of one thread into the groups.
    pub(crate) fn join(&self, process: Pid) -> Result<(), StepError> {
        let pid = process.as_raw_nonzero().get().to_string();
        for group in &self.v1 {
            files::write(&group.directory, "tasks", &pid)?;
        }
        match &self.unified {
            Some(group) => files::write(group, "cgroup.procs", &pid),
            None => Ok(()),
        }
    }

    /// Groups of version 1 that the container's programs are to see: those that limit or count what they use. Which
    /// devices there are and what is frozen is nothing to go by.
    pub(crate) fn shown(&self) -> Vec<GroupSpec> {
        let shown = self.v1.iter().filter_map(|group| {
            let mut controllers = group.controllers.iter();
            if controllers.all(|controller| controller.is_of_the_engine()) {
                return None;
            }
            let controllers = group
                .controllers
                .iter()
                .map(|controller| controller.v1_name());
            Some(GroupSpec {
                path: group.directory.to_str()?.to_owned(),
                controllers: controllers.map(str::to_owned).collect(),
            })
        });
        shown.collect()
    }

    /// All directories, the unified one last.
    fn directories(&self) -> impl Iterator<Item = &Path> {
        let v1 = self.v1.iter().map(|group| group.directory.as_path());
        v1.chain(self.unified.as_deref())
    }

    /// Where the files of `controller` are; `None` when the host has it nowhere.
    fn home(&self, controller: Controller) -> Option<Home<'_>> {
        let mut v1 = self.v1.iter();
        if let Some(group) = v1.find(|group| group.controllers.contains(&controller)) {
            return Some(Home::V1(&group.directory));
        }
        let name = match controller {
            Controller::Memory => "memory",
            Controller::Cpu => "cpu",
            Controller::Pids => "pids",
            Controller::Io => "io",
            Controller::Cpuacct | Controller::Devices | Controller::Freezer => return None,
        };
        let unified = self.unified.as_deref()?;
        let controllers = files::read(unified, "cgroup.controllers").ok()?;
        controllers
            .split_whitespace()
            .any(|known| known == name)
            .then_some(Home::V2(unified))
    }
}

/// Whether a path, as the kernel tells it, goes through the group: by its name and that of the one above, as another
/// service may have one of the same name. A control group namespace may end in between.
fn leads_to(path: &str, group: &Path) -> bool {
    let above = group.parent().and_then(Path::file_name);
    let names: Vec<&OsStr> = Path::new(path).iter().collect();
    names.windows(2).any(|found| match found {
        [before, name] => {
            let is_below = [above, Some(OsStr::new("/")), Some(OsStr::new(".."))];
            Some(*name) == group.file_name() && is_below.contains(&Some(*before))
        }
        _ => false,
    })
}

/// Where a record names it: another program may have written that, and may have put something else there.
fn is_group_or_gone(path: &Path) -> bool {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS) {
        Ok(found) => fstatfs(&found).is_ok_and(|found| {
            found.f_type == CGROUP_MAGIC || found.f_type == libc::CGROUP2_SUPER_MAGIC
        }),
        Err(errno) => errno == Errno::NOENT,
    }
}

/// `CGROUP_SUPER_MAGIC` (`linux/magic.h`): version 1.
pub(crate) const CGROUP_MAGIC: i64 = 0x0027_e0eb;

fn make_directory(path: &Path) -> Result<(), StepError> {
    fs::create_dir_all(path).step_at(MAKING_GROUP, path.display().to_string())
}

/// Removes the groups of `root` in all hierarchies, each with those above it, as far as nothing is in them.
pub(crate) fn remove_root(hierarchies: &Hierarchies, root: &str) -> Result<(), StepError> {
    for mount in hierarchies.mounts() {
        let path = mount.join(root);
        // One in use, or of which there is more to say, is met again one level up.
        let _stays = own::sweep(&path);
        for group in path.ancestors().take_while(|group| *group != mount) {
            match fs::remove_dir(group) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                // In use by another service.
                Err(error)
                    if [Some(libc::EBUSY), Some(libc::ENOTEMPTY)]
                        .contains(&error.raw_os_error()) =>
                {
                    break;
                }
                Err(error) => {
                    let failed: Result<(), _> = Err(error);
                    return failed
                        .step_at("removing the control group", group.display().to_string());
                }
            }
        }
    }
    Ok(())
}

/// Removes an empty group; `true` when it is gone.
fn remove_directory(path: &Path) -> io::Result<bool> {
    match fs::remove_dir(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::EBUSY) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_in_a_group_by_its_whole_name_and_that_of_the_one_above() {
        let groups = |v1: &[&str], unified: Option<&str>| ControlGroups {
            v1: (v1.iter())
                .map(|directory| V1Group {
                    directory: directory.into(),
                    controllers: Vec::new(),
                })
                .collect(),
            unified: unified.map(PathBuf::from),
        };
        let text = "3:pids:/hcs/5e0f\n0::/outer/hcs/a:b/5e0f/below\n";
        let held = |v1: &[&str], unified| groups(v1, unified).hold(text);
        assert!(held(&[], None));
        assert!(held(&["/c/pids/hcs/5e0f"], Some("/c/hcs/a:b/5e0f")));
        assert!(!held(&["/c/pids/hcs/5e0"], None));
        assert!(!held(&["/c/pids/hcs/5e0f"], Some("/c/hcs/other/5e0f")));
        for inside in ["0::/5e0f\n", "0::/../5e0f/below\n"] {
            assert!(groups(&[], Some("/c/hcs/5e0f")).hold(inside), "{inside}");
        }
    }

    #[test]
    fn what_is_no_control_group_is_told_from_one() {
        let place = tempfile::tempdir().unwrap();
        let is_one = |path: &Path| is_group_or_gone(path);
        assert!(!is_one(place.path()) && is_one(&place.path().join("none")));
        let link = place.path().join("link");
        std::os::unix::fs::symlink("/sys/fs/cgroup", &link).unwrap();
        assert!(!is_one(&link) && !is_one(&link.join("hcs")));
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        for mount in Hierarchies::from_mountinfo(&mounts).mounts() {
            assert!(is_one(mount), "{}", mount.display());
        }
    }
}
