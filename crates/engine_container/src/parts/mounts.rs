//! The file systems every container has: `/proc`, `/sys`, `/dev` with what belongs below it, `/sys/fs/cgroup`.
//!
//! They are made, furnished with what is mounted in them, and put into the root with all of that. All but the last can
//! be done before it is known what the container is to be: where they are mounted for then, in a mount namespace that
//! has nothing else ([`FileSystems::place`]), or, from Linux 6.15 on, while they are mounted nowhere
//! ([`FileSystems::furnish_unmounted`]).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::{
    fs::{CWD, FileType, Mode, OFlags, fstat, fstatfs, openat},
    io::Errno,
    mount::MountAttrFlags,
};

use super::{
    control_groups, devices,
    empty::EmptyDirectory,
    masks::Masks,
    mount,
    mount_table::MountTable,
    names, network, place,
    rootfs::{POINTER, Root},
};
use crate::{
    failure::{Attempt, StepError},
    spec::{GroupSpec, LaunchSpec, UserSpec},
    sys::mount::{MountChange, change},
};

/// Cuts the calling process's view of the mounts off from the host's: nothing it mounts appears there, and nothing
/// that is mounted there later appears here.
pub(crate) fn leave_host_propagation() -> Result<(), StepError> {
    let root = place::open(CWD, "/").step_at("opening", "/")?;
    let private = MountChange {
        set: 0,
        propagation: libc::MS_PRIVATE,
        recursive: true,
    };
    change(root.as_fd(), private).step_at("making the mounts private below", "/")
}

/// Those that others go on working on.
#[derive(Debug)]
pub(crate) struct Mounts {
    pub(crate) proc: OwnedFd,
    pub(crate) sys: OwnedFd,
    pub(crate) dev: OwnedFd,
    /// Of `/dev/pts`.
    pub(crate) terminals: OwnedFd,
    /// Its `/etc/hosts`, if names of networks go there.
    pub(crate) hosts: Option<OwnedFd>,
    /// What is hidden so far.
    pub(crate) masks: Masks,
    /// Whether that was hidden before the document came: places may have come since.
    pub(crate) made_before: bool,
}

/// The file systems, made but mounted nowhere yet. They belong to the pid, network and IPC namespaces of the process
/// that makes them, and to no root.
#[derive(Debug)]
pub(crate) struct FileSystems {
    proc: OwnedFd,
    /// `None` where the kernel lets a user namespace have none.
    sys: Option<OwnedFd>,
    dev: OwnedFd,
    below_dev: Vec<OwnedFd>,
    /// What hides places in them, once they are furnished.
    masks: Option<Masks>,
}

impl FileSystems {
    /// Makes them, for a container with the user namespace `user`, if that is some.
    pub(crate) fn make(user: Option<&UserSpec>) -> Result<Self, StepError> {
        let step = "making the file system for";
        let read_only = mount::PLAIN | MountAttrFlags::MOUNT_ATTR_RDONLY;
        let sys = match mount::create("sysfs", &[], read_only) {
            Err(Errno::PERM) if user.is_some() => None,
            sys => Some(sys.step_at(step, "/sys")?),
        };
        let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_STRICTATIME;
        let options = [("mode", "0755"), ("size", "64k")];
        let dev = mount::create("tmpfs", &options, attributes).step_at(step, "/dev")?;
        devices::fill(dev.as_fd(), user)?;
        Ok(Self {
            proc: mount::create("proc", &[], mount::PLAIN).step_at(step, "/proc")?,
            sys,
            dev,
            below_dev: devices::make_below(user)?,
            masks: None,
        })
    }

    /// What there is to set in the container's own network namespace.
    pub(crate) fn open_network(self) -> Self {
        network::open_to_all_users(self.proc.as_fd());
        self
    }

    /// Furnishes them while they are mounted nowhere. A kernel that cannot do that refuses the first mount, and leaves
    /// all to [`FileSystems::apply`].
    pub(crate) fn furnish_unmounted(&mut self, groups: &[GroupSpec]) -> Result<(), StepError> {
        match devices::mount_below(self.dev.as_fd(), &self.below_dev, None) {
            Err(error) if error.errno == Errno::INVAL => Ok(()),
            Err(error) => Err(error),
            Ok(()) => self.hide(None, groups),
        }
    }

    /// Mounts them into `place`, which is to be no root, and furnishes them there.
    pub(crate) fn place(
        &mut self,
        place: &Root,
        user: &UserSpec,
        groups: &[GroupSpec],
    ) -> Result<(), StepError> {
        self.mount(place)?;
        self.furnish(Some(user), groups)
    }

    /// Mounts them into `root`, wherever they were mounted before, with all that is mounted in them.
    fn mount(&mut self, root: &Root) -> Result<(), StepError> {
        add(root, "proc", &self.proc)?;
        match &self.sys {
            Some(sys) => add(root, "sys", sys)?,
            None => self.sys = Some(borrow_sys(root)?),
        }
        add(root, "dev", &self.dev)
    }

    /// Mounts in them what belongs there, but for message queues, and what hides and protects places.
    fn furnish(&mut self, user: Option<&UserSpec>, groups: &[GroupSpec]) -> Result<(), StepError> {
        devices::mount_below(self.dev.as_fd(), &self.below_dev, user)?;
        self.hide(user, groups)
    }

    fn hide(&mut self, user: Option<&UserSpec>, groups: &[GroupSpec]) -> Result<(), StepError> {
        let sys = self.sys.as_ref().ok_or_else(no_sys)?.as_fd();
        control_groups::apply(sys, user, groups)?;
        self.masks = Some(Masks::make(self.proc.as_fd(), sys, self.dev.as_fd())?);
        Ok(())
    }

    /// Mounts them into `root`.
    pub(crate) fn apply(mut self, root: &Root, spec: &LaunchSpec) -> Result<Mounts, StepError> {
        self.mount(root)?;
        let made_before = self.masks.is_some();
        let names = spec.names.as_ref();
        let hosts = names.and_then(|names| names::apply(root, self.dev.as_fd(), names));
        if let Some(megabytes) = spec.shared_memory {
            devices::resize_shared_memory(&self.below_dev, megabytes)?;
        }
        if self.masks.is_none() {
            self.furnish(spec.user.as_ref(), &spec.groups)?;
        }
        // It covers where the files of names are kept.
        devices::mount_queues(self.dev.as_fd(), &self.below_dev)?;
        Ok(Mounts {
            proc: self.proc,
            sys: self.sys.ok_or_else(no_sys)?,
            dev: self.dev,
            terminals: devices::terminals(self.below_dev)?,
            hosts,
            masks: self.masks.ok_or_else(no_sys)?,
            made_before,
        })
    }
}

fn no_sys() -> StepError {
    StepError::new("finding the file system of /sys", Errno::NODEV)
}

/// Mounts a file system on the directory `name` of the root, which is made where there is none.
fn add(root: &Root, name: &str, file_system: &OwnedFd) -> Result<(), StepError> {
    let path = || format!("/{name}");
    let target = place::plain_directory(root.directory.as_fd(), name).map_err(|errno| {
        let step = match errno {
            Errno::LOOP => "finding a directory, and no symbolic link, in the layers at",
            _ => "making the mount point",
        };
        StepError::new(step, errno).at(path()).asked_by(POINTER)
    })?;
    mount::attach(file_system.as_fd(), target.as_fd()).step_at("mounting", path())
}

/// `SYSFS_MAGIC` of `include/uapi/linux/magic.h`.
const SYSFS_MAGIC: libc::c_long = 0x6265_6572;

/// Shows the host's `/sys`, read-only and without control groups: on a host that hides parts of its own, the kernel
/// lets no user namespace have a new one. What else the host has mounted below it is covered, since that may be any
/// file system, and a socket in it could be reached.
fn borrow_sys(root: &Root) -> Result<OwnedFd, StepError> {
    let step = "showing the host's";
    let path = "/sys";
    let host = place::open(CWD, path).step_at(step, path)?;
    if fstatfs(&host).step_at(step, path)?.f_type != SYSFS_MAGIC {
        return Err(
            StepError::new("finding the kernel's own file system at", Errno::OPNOTSUPP).at(path),
        );
    }
    let view = mount::clone_tree(host.as_fd(), "", true).step_at(step, path)?;
    let read_only = MountChange {
        set: libc::MOUNT_ATTR_RDONLY
            | libc::MOUNT_ATTR_NOSUID
            | libc::MOUNT_ATTR_NODEV
            | libc::MOUNT_ATTR_NOEXEC,
        propagation: libc::MS_PRIVATE,
        recursive: true,
    };
    change(view.as_fd(), read_only).step_at(step, path)?;
    add(root, "sys", &view)?;
    let mounts = MountTable::read().step_at(step, path)?;
    cover_below(view.as_fd(), mounts.points_below(path)).step_at(step, path)?;
    Ok(view)
}

/// Covers what is mounted on `points` in a view that has all mounts below it.
fn cover_below<'a>(
    view: BorrowedFd<'_>,
    points: impl Iterator<Item = &'a [u8]>,
) -> Result<(), Errno> {
    let mut empty = EmptyDirectory::new()?;
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    for point in points {
        let place = match openat(view, point, flags, Mode::empty()) {
            // Inside of what is covered by now.
            Err(Errno::NOENT) => continue,
            place => place?,
        };
        match FileType::from_raw_mode(fstat(&place)?.st_mode) {
            FileType::Directory => empty.cover(place.as_fd(), "")?,
            // A file that hides another.
            FileType::RegularFile | FileType::CharacterDevice => {}
            _ => return Err(Errno::OPNOTSUPP),
        }
    }
    Ok(())
}
