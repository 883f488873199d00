//! What a test run may leave on the machine: nothing.
//!
//! A service that was started on demand leaves by itself a few seconds after its last client, so the check looks again
//! until nothing is left or [`PATIENCE`] is over.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use super::sandbox::Sandbox;
use crate::Result;

/// How long services may take to leave.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(200);

/// Everything on the machine that is ours by its name, each as the sentence that reports it.
#[derive(Debug)]
pub(super) struct Snapshot(BTreeSet<String>);

impl Snapshot {
    /// Looks now.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub(super) fn take() -> Result<Self> {
        let mut things = BTreeSet::new();
        processes(&mut things)?;
        mounts(&fs::read_to_string("/proc/self/mountinfo")?, &mut things);
        sockets(&fs::read_to_string("/proc/net/unix")?, &mut things);
        cgroups(Path::new("/sys/fs/cgroup"), 2, &mut things);
        for folder in [
            "/run/netns",
            "/dev/shm",
            "/run/hcs/systems",
            "/var/lib/hcs/scratch",
        ] {
            entries(Path::new(folder), &mut things);
        }
        Ok(Self(things))
    }
}

/// What is there now, was not there `before` and does not go away; what is left in the sandbox too.
///
/// # Errors
/// `/proc` cannot be read.
pub(super) fn after(before: &Snapshot, sandbox: &Sandbox) -> Result<Vec<String>> {
    let end = Instant::now() + PATIENCE;
    loop {
        let mut left: Vec<String> = Snapshot::take()?.0.difference(&before.0).cloned().collect();
        left.extend(in_sandbox(sandbox));
        if left.is_empty() || Instant::now() > end {
            return Ok(left);
        }
        thread::sleep(PAUSE);
    }
}

/// Our programs and their helpers, by executable, and whatever was started with our temporary directory.
fn processes(things: &mut BTreeSet<String>) -> Result<()> {
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|n| n.parse::<u32>().ok())
        else {
            continue;
        };
        // A process that is gone meanwhile, or a kernel thread, has no executable.
        let Ok(executable) = fs::read_link(entry.path().join("exe")) else {
            continue;
        };
        if is_our_program(&executable) {
            things.insert(format!("process {pid} ({})", executable.display()));
        }
    }
    Ok(())
}

/// `hcsd`, `hcs`, and what runs from a memory file of ours (the launcher and the agents it made).
fn is_our_program(executable: &Path) -> bool {
    let name = executable
        .file_name()
        .and_then(|n| n.to_str())
        .unwrap_or_default();
    let name = name.trim_end_matches(" (deleted)");
    ["hcs", "hcsd"].contains(&name) || name.starts_with("memfd:hcs")
}

fn mounts(mountinfo: &str, things: &mut BTreeSet<String>) {
    for line in mountinfo.lines() {
        if let Some(point) = line.split(' ').nth(4)
            && point.split('/').any(is_our_name)
        {
            things.insert(format!("mount {point}"));
        }
    }
}

fn sockets(table: &str, things: &mut BTreeSet<String>) {
    for line in table.lines() {
        if let Some(at) = line.find(['/', '@'])
            && line[at..].split('/').any(is_our_name)
        {
            things.insert(format!("socket {}", &line[at..]));
        }
    }
}

fn cgroups(folder: &Path, depth: u32, things: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        if entry.file_name().to_str().is_some_and(is_our_name) {
            children(&path, things);
        } else if depth > 1 {
            cgroups(&path, depth - 1, things);
        }
    }
}

/// A cgroup of ours, by its leaves: the parent alone may be shared and stay.
fn children(folder: &Path, things: &mut BTreeSet<String>) {
    let below: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect();
    if below.is_empty() {
        things.insert(format!("cgroup {}", folder.display()));
    }
    for path in below {
        children(&path, things);
    }
}

fn entries(folder: &Path, things: &mut BTreeSet<String>) {
    let systems = folder.components().any(|part| part.as_os_str() == "hcs");
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        // A service keeps its lock.
        if entry.file_name() == "hcsd.lock" {
            continue;
        }
        if systems || entry.file_name().to_str().is_some_and(is_our_name) {
            things.insert(entry.path().display().to_string());
        }
    }
}

/// Test files go below a temporary directory that must be empty again; a service keeps only its log and lock.
fn in_sandbox(sandbox: &Sandbox) -> Vec<String> {
    let list = |folder: PathBuf| -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    };
    let mut left = list(sandbox.temporary());
    left.extend(list(sandbox.state().join("systems")));
    left.extend(list(sandbox.state().join("scratch")));
    left.extend(
        list(sandbox.root().to_owned()).into_iter().filter(|path| {
            ![sandbox.temporary(), sandbox.state(), sandbox.config()].contains(path)
        }),
    );
    left.iter()
        .map(|path| {
            let inside: Vec<String> = list(path.clone())
                .iter()
                .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
                .collect();
            format!("{} {inside:?}", path.display())
        })
        .collect()
}

/// Names that only we give: `hcs`, `hcs-...`, `hcs....`, `hcsd`.
fn is_our_name(name: &str) -> bool {
    name == "hcs" || name == "hcsd" || name.starts_with("hcs-") || name.starts_with("hcs.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_things_are_told_from_others() {
        let mut things = BTreeSet::new();
        let info =
            "1 2 0:3 / /run/hcs/systems/x rw - tmpfs tmpfs rw\n2 2 0:3 / /proc rw - proc proc rw\n";
        mounts(info, &mut things);
        let table = "Num RefCount Protocol Flags Type St Inode Path\n0: 2 0 0 0001 03 9 /tmp/hcs-a/hcs.sock\n0: 2 0 0 0001 03 9\n0: 2 0 0 0001 03 9 @other\n";
        sockets(table, &mut things);
        let found: Vec<_> = things.into_iter().collect();
        assert_eq!(
            found,
            ["mount /run/hcs/systems/x", "socket /tmp/hcs-a/hcs.sock"]
        );
    }

    #[test]
    fn our_programs_are_known_by_name_and_memory_file() {
        assert!(is_our_program(Path::new("/x/target/debug/hcsd (deleted)")));
        assert!(is_our_program(Path::new("/memfd:hcsd-launcher (deleted)")));
        assert!(!is_our_program(Path::new("/usr/bin/hcsomething")));
    }
}
