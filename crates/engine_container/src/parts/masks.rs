//! Places that speak of the host, or by which it could be changed: hidden, or kept from being written.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::{
    fs::{Dir, Mode, OFlags, openat},
    io::Errno,
};

use super::{
    empty::{EmptyDirectory, is_there},
    mount,
    mounts::Mounts,
    place,
    rootfs::Root,
};
use crate::{
    failure::{Attempt, StepError},
    sys::mount::{MountChange, change},
};

/// Not to be seen: below `/proc`, files that read as empty.
const HIDDEN_PROC_FILES: [&str; 13] = [
    "interrupts",
    "kcore",
    "keys",
    "kpagecgroup",
    "kpagecount",
    "kpageflags",
    "latency_stats",
    "pagetypeinfo",
    "sched_debug",
    "slabinfo",
    "timer_list",
    "timer_stats",
    "vmallocinfo",
];
/// Below `/proc`, directories that are empty.
const HIDDEN_PROC_DIRECTORIES: [&str; 3] = ["acpi", "asound", "scsi"];
/// Below `/sys`, directories that are empty.
const HIDDEN_SYS_DIRECTORIES: [&str; 4] = [
    "dev/block",
    "devices/virtual/powercap",
    "firmware",
    "fs/selinux",
];

/// Not to be written, below `/proc`. `1` is the agent: root may set the OOM score, the timer slack and more of whatever
/// process it finds there.
/// Each trigger that is written to `pressure` is work of the host's, time and again.
const READ_ONLY_PROC: [&str; 7] = ["1", "bus", "fs", "irq", "pressure", "sys", "sysrq-trigger"];

/// Hides and protects them, and what of the host is to be hidden in the root itself. What does not exist is left out.
pub(crate) fn apply(root: &Root, mounts: &Mounts, hidden: &[String]) -> Result<(), StepError> {
    let (proc, sys, dev) = (mounts.proc.as_fd(), mounts.sys.as_fd(), mounts.dev.as_fd());
    for file in HIDDEN_PROC_FILES {
        hide_file(dev, proc, file).step_at("hiding, below /proc,", file)?;
    }
    let mut empty = EmptyDirectory::new().step("making an empty file system")?;
    for path in HIDDEN_PROC_DIRECTORIES {
        empty
            .cover(proc, path)
            .step_at("hiding, below /proc,", path)?;
    }
    for path in HIDDEN_SYS_DIRECTORIES {
        empty
            .cover(sys, path)
            .step_at("hiding, below /sys,", path)?;
    }
    for path in throttles(sys).step_at("looking for what to hide, below /sys,", PROCESSORS)? {
        empty
            .cover(sys, &path)
            .step_at("hiding, below /sys,", &*path)?;
    }
    for path in READ_ONLY_PROC {
        protect(proc, path).step_at("making read-only, below /proc,", path)?;
    }
    for path in hidden {
        hide_in_root(root, &mut empty, path).step_at("hiding", path)?;
    }
    Ok(())
}

/// Where processors are, below `/sys`.
const PROCESSORS: &str = "devices/system/cpu";

/// What says how hot each processor is, by which others' secrets can be guessed; virtual machines have none.
fn throttles(sys: BorrowedFd<'_>) -> Result<Vec<String>, Errno> {
    let of = |processor: &str| format!("{PROCESSORS}/{processor}/thermal_throttle");
    if !is_there(sys, &of("cpu0"))? {
        return Ok(Vec::new());
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = openat(sys, PROCESSORS, flags, Mode::empty())?;
    let mut all = Vec::new();
    for entry in Dir::new(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy();
        let number = name.strip_prefix("cpu").unwrap_or_default();
        if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) {
            all.push(of(&name));
        }
    }
    Ok(all)
}

/// Mounts the container's `/dev/null` on a file.
fn hide_file(dev: BorrowedFd<'_>, directory: BorrowedFd<'_>, file: &str) -> Result<(), Errno> {
    if !is_there(directory, file)? {
        return Ok(());
    }
    let null = mount::clone_tree(dev, "null", false)?;
    mount::attach_below(null.as_fd(), directory, file)
}

/// Mounts a read-only view of what is at `path` on itself.
fn protect(directory: BorrowedFd<'_>, path: &str) -> Result<(), Errno> {
    let view = match mount::clone_tree(directory, path, false) {
        Err(Errno::NOENT) => return Ok(()),
        answer => answer?,
    };
    let read_only = MountChange {
        set: libc::MOUNT_ATTR_RDONLY,
        ..MountChange::default()
    };
    change(view.as_fd(), read_only)?;
    mount::attach_below(view.as_fd(), directory, path)
}

/// Covers a directory of the root, if it is there.
fn hide_in_root(root: &Root, empty: &mut EmptyDirectory, path: &str) -> Result<(), Errno> {
    match place::open(root.directory.as_fd(), path) {
        // Not there, or refused by the overlay itself.
        Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR) => Ok(()),
        Err(errno) => Err(errno),
        Ok(place) => empty.cover(place.as_fd(), ""),
    }
}
