//! Files of the host that documents name.
//!
//! What is only to be read is opened in a view of its own ([`open_in_view`]): the program that gets the descriptor may
//! be taken over by a guest, and its user may have been granted more than this machine is to have.

use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};

use hcs_schema::{Failure, HResult, win32};
use rustix::{
    fs::{FileType, Mode, OFlags, fcntl_getfl, fcntl_setfl, open},
    io::Errno,
};

use crate::{
    failure::{Attempt, StepError},
    parts::mount::clone_tree,
    source::{Identity, Source, look_for},
    sys::mount::{self, MountChange},
};

/// Opens the regular file at `path` for reading: by the descriptor nothing can be opened for writing. Symbolic links on
/// the way are followed only where they belong to root or to the service's own user. `pointer` is the JSON pointer of
/// the property that names it.
///
/// # Errors
/// The path cannot be opened, leads through a link of another user, or to something else than a regular file.
pub fn open_file(path: &str, pointer: &str) -> Result<OwnedFd, Failure> {
    open_regular(path, pointer, OFlags::RDONLY)
}

/// Opens the regular file at `path` for reading and writing, with the same care as [`open_file`].
///
/// # Errors
/// As for [`open_file`].
pub fn open_file_to_write(path: &str, pointer: &str) -> Result<OwnedFd, Failure> {
    open_regular(path, pointer, OFlags::RDWR)
}

fn open_regular(path: &str, pointer: &str, access: OFlags) -> Result<OwnedFd, Failure> {
    let found = find(path, pointer, FileType::RegularFile, "regular file")?;
    // A lease of the file (`F_SETLEASE`) would keep this thread for as long as its owner likes to.
    let flags = access | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    let opening = match access == OFlags::RDONLY {
        true => open_in_view(found.as_fd(), flags),
        false => open_again(found.as_fd(), flags),
    };
    let opened = match opening {
        Err(Errno::WOULDBLOCK) => return Err(leased(path, pointer)),
        opened => opened,
    };
    // What reads the file later is to wait for its bytes, as always.
    let waits = opened.and_then(|file| {
        let flags = fcntl_getfl(&file)?;
        fcntl_setfl(&file, flags - OFlags::NONBLOCK)?;
        Ok(file)
    });
    waits
        .step_at("opening", path)
        .map_err(|error| unopened(error, path, pointer))
}

/// Opens by the descriptor, so that it is the file that was looked at.
fn open_again(found: BorrowedFd<'_>, flags: OFlags) -> Result<OwnedFd, Errno> {
    let again = format!("/proc/self/fd/{}", found.as_raw_fd());
    open(again, flags, Mode::empty())
}

/// Opens what `found` is, to be read only, whatever the access list of the file or device says: who gets the descriptor
/// can open it anew in `/proc/self/fd`, and does so in a mount of its own that is read-only and has no devices. A
/// service without the right to mount, or a kernel that makes no such view of this mount, opens it as it is.
///
/// # Errors
/// The errno of `open_tree(2)`, `open(2)` or `mount_setattr(2)`.
pub fn open_in_view(found: BorrowedFd<'_>, flags: OFlags) -> Result<OwnedFd, Errno> {
    let view = match clone_tree(found, "", false) {
        // The last: the mount is unbindable, or in another namespace (/proc/PID/root).
        Err(Errno::PERM | Errno::NOSYS | Errno::INVAL) => return open_again(found, flags),
        view => view?,
    };
    let opened = open_again(view.as_fd(), flags)?;
    let kinds = libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NODEV | libc::MOUNT_ATTR_NOSUID;
    let change = MountChange {
        set: kinds | libc::MOUNT_ATTR_NOEXEC,
        ..MountChange::default()
    };
    // Not before: a device could not be opened.
    mount::change(view.as_fd(), change)?;
    Ok(opened)
}

fn leased(path: &str, pointer: &str) -> Failure {
    let message = format!(
        "{path} cannot be opened: a program has a lease of it (fcntl F_SETLEASE; /proc/locks shows which one): end that \
         program, or have it give the lease up, and try again"
    );
    Failure::new(HResult::from_win32(win32::ERROR_BUSY), message.clone()).cause_at(pointer, message)
}

/// Opens the block device at `path` as a mere path (`O_PATH`), with the same care as [`open_file`]: the device itself
/// does not notice that.
///
/// # Errors
/// As for [`open_file`], or it is no block device.
pub fn find_device(path: &str, pointer: &str) -> Result<OwnedFd, Failure> {
    find(path, pointer, FileType::BlockDevice, "block device")
}

/// Looks at what `path` leads to, as root, for a process of `user` that is to open it and may not see which directories
/// containers write to. `None`: only that user gets there.
///
/// # Errors
/// As for [`open_file`]; links of `user` are followed, too.
pub fn look_at(path: &str, pointer: &str, user: u32) -> Result<Option<Identity>, Failure> {
    look_for(user, path, pointer).map_err(|error| unopened(error, path, pointer))
}

/// Opens the directory at `path` as a mere path (`O_PATH`), with the same care as [`open_file`].
///
/// # Errors
/// As for [`open_file`], or it is no directory.
pub fn open_directory(path: &str, pointer: &str) -> Result<OwnedFd, Failure> {
    find(path, pointer, FileType::Directory, "directory")
}

/// The same of the directory that the service has `seen` there by [`look_at`].
///
/// # Errors
/// As for [`open_directory`], or it is another one by now.
pub fn open_seen(path: &str, seen: Option<Identity>) -> Result<OwnedFd, Failure> {
    let opened = open_directory(path, "")?;
    let source = Source {
        path: path.to_owned(),
        pointer: String::new(),
        identity: seen,
    };
    source
        .is(&opened)
        .map_err(|error| unopened(error, path, ""))?;
    Ok(opened)
}

/// Opens what is at `path` as a mere path, which has to be of the kind `wanted`.
fn find(path: &str, pointer: &str, wanted: FileType, name: &str) -> Result<OwnedFd, Failure> {
    if !path.starts_with('/') {
        return Err(not_absolute(path, pointer));
    }
    let failed = |error| unopened(error, path, pointer);
    let (source, kind) = Source::look(path, pointer).map_err(failed)?;
    if kind != wanted {
        let message = format!("{path} is no {name}");
        return Err(Failure::new(HResult::E_INVALIDARG, message.clone()).cause_at(pointer, message));
    }
    source.open().map_err(failed)
}

fn unopened(error: StepError, path: &str, pointer: &str) -> Failure {
    let error = error.asked_by(pointer);
    error.into_failure(format!("{path} cannot be opened"))
}

fn not_absolute(path: &str, pointer: &str) -> Failure {
    let message = format!("{path:?} is no absolute path of this host, as /boot/vmlinuz is");
    Failure::new(HResult::E_INVALIDARG, message.clone()).cause_at(pointer, message)
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        io::Read as _,
        os::unix::fs::lchown,
        process::{Command, Stdio},
    };

    use super::*;

    #[test]
    fn a_lease_of_a_file_keeps_no_thread() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("file");
        fs::write(&path, "text").unwrap();
        // Of a program that does not give it up when it is asked to.
        const HOLDER: &str = "
import fcntl, signal, sys
signal.signal(signal.SIGIO, signal.SIG_IGN)
held = open(sys.argv[1], 'r+')
fcntl.fcntl(held, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print('held', flush=True)
sys.stdin.read()
";
        let mut holder = Command::new("python3")
            .args(["-c", HOLDER, path.to_str().unwrap()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = [0; 5];
        holder.stdout.take().unwrap().read_exact(&mut said).unwrap();
        let path = path.to_str().unwrap();
        for open in [open_file, open_file_to_write] {
            let refused = open(path, "/A").unwrap_err();
            assert!(refused.message.contains("has a lease"), "{refused}");
            assert_eq!(refused.causes[0].pointer.as_deref(), Some("/A"));
        }
        drop(holder.stdin.take());
        holder.wait().unwrap();
        let opened = open_file_to_write(path, "/A").unwrap();
        let flags = fcntl_getfl(&opened).unwrap();
        assert!(!flags.contains(OFlags::NONBLOCK), "readers wait for it");
    }

    #[test]
    fn what_is_opened_to_be_read_cannot_be_written_by_its_descriptor() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("file");
        fs::write(&path, "text").unwrap();
        let path = path.to_str().unwrap();
        let to_write = |file: &OwnedFd| open_again(file.as_fd(), OFlags::RDWR | OFlags::CLOEXEC);
        let opened = open_file(path, "/A").unwrap();
        assert_eq!(to_write(&opened).unwrap_err(), Errno::ROFS);
        open_again(opened.as_fd(), OFlags::RDONLY | OFlags::CLOEXEC).unwrap();
        let opened = open_file_to_write(path, "/A").unwrap();
        to_write(&opened).unwrap();
        let device = open("/dev/null", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap();
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let opened = open_in_view(device.as_fd(), flags).unwrap();
        assert_eq!(rustix::io::read(&opened, &mut [0; 1]), Ok(0));
        assert_eq!(to_write(&opened).unwrap_err(), Errno::ACCESS);
    }

    #[test]
    fn a_file_is_opened_and_what_is_none_is_refused_by_pointer() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
        fs::write(path("file"), "text").unwrap();
        let mut text = String::new();
        let opened = open_file(&path("file"), "/A").unwrap();
        fs::File::from(opened).read_to_string(&mut text).unwrap();
        assert_eq!(text, "text");
        std::os::unix::fs::symlink("file", path("link")).unwrap();
        open_file(&path("link"), "/A").unwrap();
        let refused = |path: &str| {
            let failure = open_file(path, "/A").unwrap_err();
            assert_eq!(
                failure.causes[0].pointer.as_deref(),
                Some("/A"),
                "{failure}"
            );
            failure.hresult
        };
        assert_eq!(refused(&path("missing")), HResult::FILE_NOT_FOUND);
        assert_eq!(
            refused(place.path().to_str().unwrap()),
            HResult::E_INVALIDARG
        );
        assert_eq!(refused("file"), HResult::E_INVALIDARG);
        assert_eq!(refused("C:\\boot\\vmlinux"), HResult::E_INVALIDARG);
        if rustix::process::geteuid().is_root() {
            lchown(path("link"), Some(4242), Some(4242)).unwrap();
            assert_eq!(refused(&path("link")), HResult::E_ACCESSDENIED);
        }
    }
}
