//! Places that speak of the host, or by which it could be changed: hidden, or kept from being written.
//!
//! That is done as soon as the file systems are there, which may be long before the container is told what it is to be.
//! Then each place is looked at again ([`complete`]): the kernel adds and removes some with its modules.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::{
    fs::{AtFlags, Dir, Mode, OFlags, StatxAttributes, StatxFlags, openat, statx},
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

/// Not to be written, below `/proc`.
/// Each trigger that is written to `pressure` is work of the host's, time and again.
const READ_ONLY_PROC: [&str; 6] = ["bus", "fs", "irq", "pressure", "sys", "sysrq-trigger"];
/// The agent: root may set the OOM score, the timer slack and more of whatever process it finds there. Last of all, as
/// the agent itself has to write there before.
const AGENT: &str = "1";

/// Something to do with a place, if that exists.
#[derive(Clone, Copy, Debug)]
enum Mask {
    /// Has a file read as empty.
    File,
    /// Covers a directory by an empty one.
    Directory,
    /// Keeps it from being written.
    ReadOnly,
}

/// What hides places in a container's `/proc` and `/sys`.
#[derive(Debug)]
pub(crate) struct Masks {
    empty: EmptyDirectory,
}

/// The file systems of a container that it works in.
#[derive(Clone, Copy)]
struct FileSystems<'a> {
    proc: BorrowedFd<'a>,
    sys: BorrowedFd<'a>,
    dev: BorrowedFd<'a>,
}

impl Masks {
    /// Hides and protects what exists of all places.
    pub(crate) fn make(
        proc: BorrowedFd<'_>,
        sys: BorrowedFd<'_>,
        dev: BorrowedFd<'_>,
    ) -> Result<Self, StepError> {
        let mut masks = Self {
            empty: EmptyDirectory::new().step("making an empty file system")?,
        };
        masks.hide(FileSystems { proc, sys, dev }, is_there)?;
        Ok(masks)
    }

    /// Does what is to be done with each place that `is_open`.
    fn hide(
        &mut self,
        file_systems: FileSystems<'_>,
        is_open: fn(BorrowedFd<'_>, &str) -> Result<bool, Errno>,
    ) -> Result<(), StepError> {
        let FileSystems { proc, sys, dev } = file_systems;
        let below_proc = [
            (Mask::File, &HIDDEN_PROC_FILES[..]),
            (Mask::Directory, &HIDDEN_PROC_DIRECTORIES[..]),
            (Mask::ReadOnly, &READ_ONLY_PROC[..]),
        ];
        for (mask, paths) in below_proc {
            for &path in paths {
                is_open(proc, path)
                    .and_then(|is_open| match is_open {
                        true => self.put(mask, (proc, path), dev),
                        false => Ok(()),
                    })
                    .step_at(mask.step_below_proc(), path)?;
            }
        }
        let throttles = throttles(sys);
        let throttles = throttles.step_at("looking for what to hide, below /sys,", PROCESSORS)?;
        let throttles = throttles.iter().map(String::as_str);
        for path in HIDDEN_SYS_DIRECTORIES.into_iter().chain(throttles) {
            is_open(sys, path)
                .and_then(|is_open| match is_open {
                    true => self.put(Mask::Directory, (sys, path), dev),
                    false => Ok(()),
                })
                .step_at("hiding, below /sys,", path)?;
        }
        Ok(())
    }

    fn put(
        &mut self,
        mask: Mask,
        (directory, path): (BorrowedFd<'_>, &str),
        dev: BorrowedFd<'_>,
    ) -> Result<(), Errno> {
        match mask {
            Mask::File => hide_file(dev, directory, path),
            Mask::Directory => self.empty.cover(directory, path),
            Mask::ReadOnly => protect(directory, path),
        }
    }
}

impl Mask {
    const fn step_below_proc(self) -> &'static str {
        match self {
            Self::File | Self::Directory => "hiding, below /proc,",
            Self::ReadOnly => "making read-only, below /proc,",
        }
    }
}

/// Whether there is something at `path` that no mask is on: what is mounted there is one.
fn is_unmasked(directory: BorrowedFd<'_>, path: &str) -> Result<bool, Errno> {
    match statx(directory, path, AtFlags::NO_AUTOMOUNT, StatxFlags::empty()) {
        Ok(found) => Ok(!found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Hides and protects what is left: places that have come since, the agent's files, and what of the host is to be
/// hidden in the root itself. What does not exist is left out.
pub(crate) fn complete(
    root: &Root,
    mounts: &mut Mounts,
    hidden: &[String],
) -> Result<(), StepError> {
    let (proc, sys, dev) = (mounts.proc.as_fd(), mounts.sys.as_fd(), mounts.dev.as_fd());
    let masks = &mut mounts.masks;
    if mounts.made_before {
        masks.hide(FileSystems { proc, sys, dev }, is_unmasked)?;
    }
    protect(proc, AGENT).step_at("making read-only, below /proc,", AGENT)?;
    for path in hidden {
        hide_in_root(root, &mut masks.empty, path).step_at("hiding", path)?;
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
    let null = mount::clone_tree(dev, "null", false)?;
    mount::attach_below(null.as_fd(), directory, file)
}

/// Mounts a read-only view of what is at `path` on itself.
fn protect(directory: BorrowedFd<'_>, path: &str) -> Result<(), Errno> {
    let view = match mount::clone_tree(directory, path, false) {
        Ok(view) => view,
        // It has gone since it was looked for.
        Err(Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(errno),
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

#[cfg(test)]
mod tests {
    use rustix::{
        fs::{FileType, makedev, mkdirat, mknodat, statat},
        mount::MountAttrFlags,
    };
    use std::os::fd::OwnedFd;

    use super::*;

    fn memory() -> OwnedFd {
        mount::create("tmpfs", &[], MountAttrFlags::empty()).unwrap()
    }

    fn add(directory: &OwnedFd, kind: FileType, name: &str) {
        match kind {
            FileType::Directory => mkdirat(directory, name, Mode::RWXU),
            kind => mknodat(directory, name, kind, Mode::RUSR, makedev(1, 3)),
        }
        .unwrap();
    }

    fn mount_of(directory: &OwnedFd, path: &str) -> u64 {
        let found = statx(directory, path, AtFlags::EMPTY_PATH, StatxFlags::MNT_ID).unwrap();
        found.stx_mnt_id
    }

    #[test]
    fn what_comes_after_the_first_look_is_hidden_by_the_second() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let (proc, sys, dev) = (memory(), memory(), memory());
        add(&dev, FileType::CharacterDevice, "null");
        add(&proc, FileType::RegularFile, "kcore");
        add(&proc, FileType::Directory, "acpi");
        add(&proc, FileType::Directory, "bus");
        let all = FileSystems {
            proc: proc.as_fd(),
            sys: sys.as_fd(),
            dev: dev.as_fd(),
        };
        let mut masks = match Masks::make(all.proc, all.sys, all.dev) {
            // Before Linux 6.15 nothing can be mounted in what is mounted nowhere.
            Err(error) if error.errno == Errno::INVAL => return,
            made => made.unwrap(),
        };
        let kept = ["kcore", "acpi", "bus"].map(|path| mount_of(&proc, path));
        assert!(!kept.contains(&mount_of(&proc, "")));

        add(&proc, FileType::RegularFile, "keys");
        add(&proc, FileType::Directory, "asound");
        add(&proc, FileType::Directory, "irq");
        add(&sys, FileType::Directory, "firmware");
        for directory in [(&proc, "asound"), (&sys, "firmware")] {
            let (parent, name) = directory;
            let inside = place::open(parent.as_fd(), name).unwrap();
            add(&inside, FileType::RegularFile, "secret");
        }
        masks.hide(all, is_unmasked).unwrap();

        let null = statat(&proc, "keys", AtFlags::empty()).unwrap();
        assert_eq!(null.st_rdev, makedev(1, 3));
        for (directory, secret) in [(&proc, "asound/secret"), (&sys, "firmware/secret")] {
            assert!(!is_there(directory.as_fd(), secret).unwrap(), "{secret}");
        }
        let written = mkdirat(&proc, "irq/new", Mode::RWXU);
        assert_eq!(written, Err(Errno::ROFS));
        // What was hidden before has no second mask.
        let now = ["kcore", "acpi", "bus"].map(|path| mount_of(&proc, path));
        assert_eq!(now, kept);
    }
}
