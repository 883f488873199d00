//! The control group of the service itself, [`NAME`] below its root in every hierarchy: the program that started it may
//! be in one with little memory, few processors or an end of its own, which is that program's own business.
//!
//! Beside the containers' groups, never above them: in version 2 a group with processes passes no controllers on.

use std::{
    fs, io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rustix::{io::Errno, process::Pid};

use super::{
    apply, cpu_groups::inherit_from_above, detect, files, make_directory, owner, processes::members,
};
use crate::failure::StepError;

/// Its name. Containers' groups are named by GUIDs.
pub(super) const NAME: &str = "service";

/// Makes the group in each hierarchy and moves the calling process there. Returns what was refused.
pub(crate) fn join(root: &str) -> Vec<StepError> {
    let hierarchies = hierarchies().into_iter();
    let joined = hierarchies.map(|hierarchy| {
        // A service that leaves removes empty groups above, perhaps between two steps here.
        let mut tries = 8;
        loop {
            match hierarchy.join(root) {
                Err(error) if error.errno == Errno::NOENT && tries > 0 => tries -= 1,
                joined => return joined,
            }
        }
    });
    joined.filter_map(Result::err).collect()
}

/// Moves the calling process, which has one thread, to the root of each hierarchy where it is in the group.
pub(crate) fn step_out(root: &str) {
    for hierarchy in hierarchies() {
        if hierarchy.group(root).is_dir() {
            let _stays = files::write(&hierarchy.mount, hierarchy.entrance(), THIS_PROCESS);
        }
    }
}

/// Moves another process to the root of each hierarchy where it is in the group.
pub(crate) fn put_out(root: &str, process: Pid) {
    let pid = process.as_raw_nonzero().get();
    for hierarchy in hierarchies() {
        if members(&hierarchy.group(root)).contains(&pid) {
            let _stays = files::write(&hierarchy.mount, "cgroup.procs", &pid.to_string());
        }
    }
}

/// How long [`leave`] tries. Threads that exit are gone within milliseconds, unless the last descriptor of a file of a
/// server that does not answer goes with them.
const LEAVING: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(5);

/// Moves the calling process to the root of each hierarchy and removes the group, with those above that are empty.
///
/// A thread that has begun to exit is moved nowhere, and keeps the group in use until it is gone: so this is tried more
/// than once.
pub(crate) fn leave(root: &str) {
    let left: Vec<_> = hierarchies()
        .into_iter()
        .map(|hierarchy| (hierarchy.group(root), hierarchy.mount))
        .filter(|(group, _)| group.is_dir())
        .collect();
    for (_, mount) in &left {
        // All threads: calls that never return may still have some.
        let _stays = files::write(mount, "cgroup.procs", THIS_PROCESS);
    }
    remove_soon(left, LEAVING);
}

/// Removes groups below their mounts, and those above them as far as they are empty. One that is in use is tried for so
/// long.
fn remove_soon(mut groups: Vec<(PathBuf, PathBuf)>, limit: Duration) {
    let end = Instant::now() + limit;
    loop {
        groups.retain(|(group, mount)| !remove_with_those_above(group, mount));
        if groups.is_empty() || Instant::now() >= end {
            return;
        }
        thread::sleep(PAUSE);
    }
}

/// Returns whether nothing more is to be tried: the group is gone, or cannot be removed by waiting.
fn remove_with_those_above(group: &Path, mount: &Path) -> bool {
    match super::remove_directory(group) {
        Ok(true) => {}
        Ok(false) => return false,
        Err(_) => return true,
    }
    let above = group.ancestors().skip(1);
    let above = above.take_while(|above| *above != mount);
    // One that is in use keeps those above it.
    let _in_use = above.map(fs::remove_dir).find(Result::is_err);
    true
}

/// Removes a group that a service without an end left below `root` of one hierarchy, if nothing is in it.
pub(super) fn sweep(root: &Path) -> io::Result<bool> {
    super::remove_directory(&root.join(NAME))
}

const THIS_PROCESS: &str = "0";

struct Hierarchy {
    mount: PathBuf,
    unified: bool,
}

fn hierarchies() -> Vec<Hierarchy> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let all = detect::every_mount(&text).into_iter();
    all.map(|(mount, unified)| Hierarchy { mount, unified })
        .collect()
}

impl Hierarchy {
    fn group(&self, root: &str) -> PathBuf {
        self.mount.join(root.trim_matches('/')).join(NAME)
    }

    /// In version 1 by the thread: the process has one, and then the kernel skips a grace period.
    const fn entrance(&self) -> &'static str {
        if self.unified {
            "cgroup.procs"
        } else {
            "tasks"
        }
    }

    /// Among the containers beside it, however many are busy, the service gets its turn: they all wait for it. A host
    /// that does not share out processors needs nothing of the kind.
    fn prefer(&self, group: &Path) {
        if self.unified {
            let _not_passed_on = apply::delegate(&self.mount, group, &apply::DELEGATED);
        }
        for (file, most) in [("cpu.shares", "262144"), ("cpu.weight", "10000")] {
            if group.join(file).exists() {
                let _even = files::write(group, file, most);
            }
        }
    }

    fn join(&self, root: &str) -> Result<(), StepError> {
        let group = self.group(root);
        make_directory(&group)?;
        owner::mark(&group);
        self.prefer(&group);
        if !self.unified && group.join("cpuset.cpus").exists() {
            inherit_from_above(&self.mount, &group)?;
        }
        files::write(&group, self.entrance(), THIS_PROCESS)
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;
    use crate::privilege::Privilege;

    #[test]
    fn a_group_with_a_process_that_is_about_to_end_is_removed() {
        if Privilege::own() != Privilege::Root {
            return;
        }
        let root = format!("hcs-test-{}-leaves", std::process::id());
        let hierarchies = hierarchies();
        let pids = |hierarchy: &&Hierarchy| hierarchy.mount.ends_with("pids") || hierarchy.unified;
        let hierarchy = hierarchies.iter().find(pids).unwrap();
        let group = hierarchy.group(&root);
        make_directory(&group).unwrap();
        let mut ends = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        files::write(&group, "cgroup.procs", &ends.id().to_string()).unwrap();
        let groups = vec![(group.clone(), hierarchy.mount.clone())];
        remove_soon(groups.clone(), Duration::ZERO);
        assert!(group.is_dir(), "it is in use");
        let end = thread::spawn(move || {
            thread::sleep(10 * PAUSE);
            drop(ends.stdin.take());
            ends.wait().unwrap();
        });
        remove_soon(groups, Duration::from_secs(60));
        assert!(!group.parent().unwrap().exists());
        end.join().unwrap();
    }
}
