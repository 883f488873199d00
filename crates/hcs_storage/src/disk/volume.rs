//! Where disks are mounted: a directory for each, by the file's device and number.
//!
//! The kernel has all that there is to know of a mounted disk: nothing is recorded. A loop device shows the stretch of
//! the file that is the disk; it goes with the last mount of it. It keeps the open file, and with that the lock of the
//! file, so no virtual machine gets the same disk meanwhile. A process that is killed leaves at most an empty
//! directory, which the next mount of the disk uses. No call removes the directories of other disks: a directory may
//! be a mount point in another mount namespace alone, and removing it would detach the mount there.

use std::{
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    time::Duration,
};

use hcs_wire::{
    environment::is_root,
    holds::{self, Hold, Kind},
    trust::Trusted,
};
use rustix::{
    fs::{
        AtFlags, Mode, OFlags, Stat, StatxAttributes, StatxFlags, mkdirat, openat, statx, unlinkat,
    },
    io::Errno,
    mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, UnmountFlags, fsconfig_create,
        fsconfig_set_string, fsmount, fsopen, move_mount, unmount,
    },
};

use super::step::{Failed, Stretch};
use crate::{Refusal, lock, sys::loop_device};

/// The directory of all of them, which only root may enter.
pub(super) const PLACES: &str = "/run/hcs-volumes";
/// How a place is looked at.
const PLACE: OFlags = OFlags::PATH
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Has one caller at a time work in the directory of the places.
pub(super) struct Places {
    directory: OwnedFd,
    _turn: Hold,
}

impl Places {
    /// Waits for the turn of the caller, but not for ever: another one may have been stopped.
    pub(super) fn take() -> Result<Self, Failed> {
        if !is_root() {
            return Err(Errno::PERM.into());
        }
        Self::take_in(Path::new(PLACES), lock::PATIENCE)
    }

    fn take_in(places: &Path, patience: Duration) -> Result<Self, Failed> {
        let directory = Trusted::of_process().directory(places, Some(0o700));
        let directory = directory.map_err(|untrusted| match untrusted.reason {
            hcs_wire::trust::Reason::Io(errno) => Failed::from(errno),
            _ => Errno::PERM.into(),
        })?;
        match holds::take_within(directory.as_fd(), Kind::Alone, patience) {
            Ok(turn) => Ok(Self {
                directory,
                _turn: turn,
            }),
            Err(Errno::WOULDBLOCK) => Err(lock::refusal(&holds::path(directory.as_fd())?).into()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Where the disk in the file `stat` is mounted, whether it is or not.
    pub(super) fn path(stat: &Stat) -> PathBuf {
        Path::new(PLACES).join(name(stat))
    }

    /// Whether it is mounted there.
    pub(super) fn has(&self, stat: &Stat) -> Result<bool, Failed> {
        let place = match openat(&self.directory, name(stat), PLACE, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(false),
            place => place?,
        };
        let flags = AtFlags::EMPTY_PATH | AtFlags::NO_AUTOMOUNT;
        let found = statx(&place, c"", flags, StatxFlags::MNT_ID)?;
        Ok(found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
    }

    /// Mounts it there.
    pub(super) fn add(&self, stat: &Stat, mounted: &OwnedFd) -> Result<(), Failed> {
        match mkdirat(&self.directory, name(stat), Mode::RWXU) {
            // That of an earlier mount, which was killed or ended by umount(8).
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        let place = openat(&self.directory, name(stat), PLACE, Mode::empty())?;
        let flags =
            MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        move_mount(mounted.as_fd(), "", place.as_fd(), "", flags)?;
        Ok(())
    }

    /// Unmounts it there.
    pub(super) fn remove(&self, stat: &Stat) -> Result<(), Failed> {
        unmount(Self::path(stat), UnmountFlags::NOFOLLOW)?;
        // A directory that stays is that of the next mount.
        let _kept = unlinkat(&self.directory, name(stat), AtFlags::REMOVEDIR);
        Ok(())
    }
}

/// Mounts the file system of a disk; the mount is attached nowhere. Set-user-ID programs and device nodes have no
/// effect in it, and a fault in it makes it read-only, whatever it asks for itself.
pub(super) fn mounted(image: BorrowedFd<'_>, disk: Stretch) -> Result<OwnedFd, Failed> {
    let device = loop_device::attach(image, disk.offset, disk.length);
    let (_open_until_mounted, device) = device.map_err(|errno| match errno {
        Errno::NOENT | Errno::NXIO | Errno::NODEV => Failed::from(Refusal::NoLoopDevices),
        errno => errno.into(),
    })?;
    let context = fsopen("ext4", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(context.as_fd(), "source", &*device)?;
    fsconfig_set_string(context.as_fd(), "errors", "remount-ro")?;
    fsconfig_create(context.as_fd())?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    Ok(fsmount(
        context.as_fd(),
        FsMountFlags::FSMOUNT_CLOEXEC,
        attributes,
    )?)
}

/// What the place of the disk in the file `stat` is called.
pub(super) fn name(stat: &Stat) -> String {
    format!("{:x}-{}", stat.st_dev, stat.st_ino)
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use rustix::fs::{FlockOperation, flock};

    use super::*;

    /// A container may have `/run` mapped read-only.
    #[test]
    fn what_may_only_read_the_places_holds_no_caller_up() {
        let place = tempfile::tempdir().unwrap();
        let places = place.path().join("places");
        let first = Places::take_in(&places, lock::PATIENCE).unwrap();
        match Places::take_in(&places, Duration::ZERO) {
            Err(Failed::Refused(Refusal::InUse { holders })) => {
                let this = format!("process {} (", std::process::id());
                assert!(!is_root() || holders.starts_with(&this), "{holders}");
            }
            other => panic!("another answer: {:?}", other.err()),
        }
        drop(first);
        let mapped = File::open(&places).unwrap();
        flock(&mapped, FlockOperation::LockExclusive).unwrap();
        let next = Places::take_in(&places, Duration::ZERO);
        assert_eq!(next.is_ok(), is_root());
        assert_eq!(std::fs::read_dir(&places).unwrap().count(), 0);
    }
}
