//! A scratch of limited size: a file system in a file, or in memory where a service is an ordinary user's.
//!
//! Quotas of directories need a file system that was made and mounted for them, which few hosts have. A file of the
//! wanted size with an ext4 file system in it needs a loop device and `mkfs.ext4` only. The file has no name, so it
//! vanishes with the last mount of it: whatever ends the container, nothing is left to be removed. It takes the space
//! that is really used.

use std::{
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::Path,
    process::{Command, Stdio},
};

use hcs_schema::{Failure, HResult, documents::Storage};
use hcs_storage::sys::loop_device;
use rustix::{
    fs::{Mode, OFlags, ftruncate, open},
    io::Errno,
    mount::MountAttrFlags,
};

use super::mount;
use crate::{
    failure::{Attempt, StepError, errno_of},
    spec::ScratchLimit,
};

/// JSON pointers of the properties.
const SIZE: &str = "/Container/Storage/ScratchSizeInMB";
const INODES: &str = "/Container/Storage/ScratchInodes";

/// What the document asks for, else what is configured.
///
/// # Errors
/// The size or number is too small or too large, files are limited without a size, or the scratch is one that is kept.
pub(crate) fn check(
    storage: Option<&Storage>,
    configured: Option<ScratchLimit>,
) -> Result<Option<ScratchLimit>, Failure> {
    let size = storage.and_then(|storage| storage.scratch_size_in_mb);
    let inodes = storage.and_then(|storage| storage.scratch_inodes);
    let keeps = storage.is_some_and(|storage| storage.path.is_some());
    let inodes = inodes.filter(|inodes| *inodes != 0);
    let limit = match size {
        None if inodes.is_some() => {
            let message =
                "files are limited together with the size only: give a ScratchSizeInMB, too";
            return Err(refuse(HResult::E_INVALIDARG, INODES, message.to_owned()));
        }
        None if keeps => return Ok(None),
        None => return Ok(configured),
        Some(0) => return Ok(None),
        Some(megabytes) => ScratchLimit {
            bytes: megabytes.saturating_mul(1 << 20),
            inodes,
        },
    };
    if keeps {
        let message = "a scratch that is kept has the size of the file system it is on; leave one of Path and \
                       ScratchSizeInMB out";
        return Err(refuse(HResult::NOT_SUPPORTED, SIZE, message.to_owned()));
    }
    if !ScratchLimit::BYTES.contains(&limit.bytes) {
        let message = format!(
            "a scratch of {} MB is not possible; expected 4 to {} MB",
            size.unwrap_or_default(),
            ScratchLimit::BYTES.end() >> 20
        );
        return Err(refuse(HResult::E_INVALIDARG, SIZE, message));
    }
    match inodes.filter(|inodes| !ScratchLimit::INODES.contains(inodes)) {
        Some(inodes) => {
            let (least, most) = (ScratchLimit::INODES.start(), ScratchLimit::INODES.end());
            let message =
                format!("a scratch of {inodes} files is not possible; expected {least} to {most}");
            Err(refuse(HResult::E_INVALIDARG, INODES, message))
        }
        None => Ok(Some(limit)),
    }
}

fn refuse(hresult: HResult, pointer: &str, message: String) -> Failure {
    Failure::new(hresult, message.clone()).cause_at(pointer, message)
}

/// One in memory, for a child that can make no other: mounted on `place`.
///
/// # Errors
/// The errno of the call that failed.
pub(crate) fn in_memory(place: &OwnedFd, limit: ScratchLimit) -> Result<OwnedFd, Errno> {
    let size = limit.bytes.to_string();
    // This file system takes 0 for no limit.
    let inodes = limit.inodes.unwrap_or_default().to_string();
    let options = [("mode", "0700"), ("size", &*size), ("nr_inodes", &*inodes)];
    let memory = mount::create("tmpfs", &options, MountAttrFlags::empty())?;
    mount::attach(memory.as_fd(), place.as_fd())?;
    Ok(memory)
}

/// Where the program is, whatever `PATH` says.
const PROGRAMS: [&str; 3] = [
    "/usr/sbin/mkfs.ext4",
    "/sbin/mkfs.ext4",
    "/usr/bin/mkfs.ext4",
];

/// Makes one in the file system of `directory`, and returns its mount, which is attached nowhere.
///
/// # Errors
/// The step that failed: there is no `mkfs.ext4`, there are no loop devices, or the disk is full.
pub(crate) fn make(directory: &Path, limit: ScratchLimit) -> Result<OwnedFd, StepError> {
    let name = || directory.display().to_string();
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let file = open(directory, flags, Mode::RUSR | Mode::WUSR)
        .step_at("making a file without a name in", name())?;
    ftruncate(&file, limit.bytes).step_at("making a file of the scratch's size in", name())?;
    format(&file, limit)?;
    let step = "making a loop device (does the host have /dev/loop-control?) of a file in";
    let (_open_until_mounted, device) =
        loop_device::attach(file.as_fd(), 0, 0).step_at(step, name())?;
    mount::create("ext4", &[("source", &device)], MountAttrFlags::empty())
        .step_at("mounting the scratch of limited size from", device)
}

fn format(file: &OwnedFd, limit: ScratchLimit) -> Result<(), StepError> {
    let step = "making a file system for a scratch of limited size with mkfs.ext4, of the package e2fsprogs,";
    let program = PROGRAMS.iter().find(|program| Path::new(program).exists());
    let program = program.ok_or_else(|| StepError::new(step, Errno::NOENT).at(PROGRAMS[0]))?;
    let mut command = Command::new(program);
    // No journal, since nothing of it is to survive a crash; what is not written stays a hole of the file.
    command.args(["-q", "-F", "-m", "0", "-O", "^has_journal,^resize_inode"]);
    command.args(["-E", "nodiscard,lazy_itable_init=1,root_owner=0:0"]);
    if let Some(inodes) = limit.inodes {
        // The first eleven are the file system's own.
        command.args(["-N", &inodes.saturating_add(11).to_string()]);
    }
    command.arg(format!(
        "/proc/{}/fd/{}",
        std::process::id(),
        file.as_raw_fd()
    ));
    let output = command
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| StepError::new(step, errno_of(&error)).at(*program))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().last().unwrap_or_default().trim();
    Err(StepError::new(step, Errno::IO).at(format!("{program} ({said})")))
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, File},
        io::Write as _,
        os::fd::AsRawFd as _,
    };

    use super::*;

    /// Opens a file in what is mounted nowhere.
    fn file(mount: &OwnedFd, name: &str) -> std::io::Result<File> {
        File::create(format!("/proc/self/fd/{}/{name}", mount.as_raw_fd()))
    }

    #[test]
    fn it_holds_no_more_than_its_size_and_leaves_nothing() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let place = tempfile::tempdir().unwrap();
        let limit = ScratchLimit {
            bytes: 8 << 20,
            inodes: Some(64),
        };
        let mount = make(place.path(), limit).unwrap();
        let mut full = file(&mount, "full").unwrap();
        let written = (0..16).try_for_each(|_| full.write_all(&[1; 1 << 20]));
        let error = written.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOSPC));
        drop(full);
        let made = (0..200).map_while(|n| file(&mount, &n.to_string()).ok());
        let made = made.count();
        assert!((32..=64).contains(&made), "{made}");
        drop(mount);
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_size_that_holds_nothing_is_told() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let place = tempfile::tempdir().unwrap();
        let limit = ScratchLimit {
            bytes: 1024,
            inodes: None,
        };
        let error = make(place.path(), limit).unwrap_err();
        assert!(format!("{error:?}").contains("mkfs.ext4"), "{error:?}");
    }
}
