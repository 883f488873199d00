//! Places of `/proc` and `/sys` that speak of the host: hidden, or kept from being written.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::{
    fs::{FileType, fstat},
    io::Errno,
    mount::MountAttrFlags,
};

use super::{mount, place, rootfs::Root};
use crate::{
    failure::{Attempt, StepError},
    sys::mount::{MountChange, change},
};

/// Not to be seen: files read as empty, directories are empty.
const HIDDEN: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

/// Not to be written.
const READ_ONLY: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// Hides and protects them in `root`. What the kernel does not have is left out.
pub(crate) fn apply(root: &Root) -> Result<(), StepError> {
    let root = root.directory.as_fd();
    let null = place::open(root, "/dev/null").step_at("opening", "/dev/null")?;
    let attributes = mount::PLAIN | MountAttrFlags::MOUNT_ATTR_RDONLY;
    let empty = mount::create("tmpfs", &[("mode", "0555"), ("size", "4k")], attributes)
        .step("making an empty file system")?;
    for path in HIDDEN {
        hide(root, path, &null, &empty).step_at("hiding", path)?;
    }
    for path in READ_ONLY {
        protect(root, path).step_at("making read-only", path)?;
    }
    Ok(())
}

fn hide(root: BorrowedFd<'_>, path: &str, null: &OwnedFd, empty: &OwnedFd) -> Result<(), Errno> {
    let Some(place) = existing(root, path)? else {
        return Ok(());
    };
    let directory = FileType::from_raw_mode(fstat(&place)?.st_mode).is_dir();
    let cover = if directory { empty } else { null };
    let cover = mount::clone_tree(cover.as_fd(), "", false)?;
    mount::attach(cover.as_fd(), place.as_fd())
}

fn protect(root: BorrowedFd<'_>, path: &str) -> Result<(), Errno> {
    let Some(place) = existing(root, path)? else {
        return Ok(());
    };
    let view = mount::clone_tree(place.as_fd(), "", false)?;
    let read_only = MountChange {
        set: libc::MOUNT_ATTR_RDONLY,
        ..MountChange::default()
    };
    change(view.as_fd(), read_only)?;
    mount::attach(view.as_fd(), place.as_fd())
}

fn existing(root: BorrowedFd<'_>, path: &str) -> Result<Option<OwnedFd>, Errno> {
    match place::open(root, path) {
        Err(Errno::NOENT) => Ok(None),
        answer => answer.map(Some),
    }
}
