//! The file systems every container has: `/proc`, `/sys`, `/dev` with what belongs below it, `/sys/fs/cgroup`.

use std::os::fd::{AsFd, OwnedFd};

use rustix::{fs::CWD, io::Errno, mount::MountAttrFlags};

use super::{
    devices, mount,
    place::{self, Kind},
    rootfs::Root,
};
use crate::{
    child::spec::UserSpec,
    failure::{Attempt, StepError},
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
}

/// Mounts them into `root`.
pub(crate) fn apply(root: &Root, user: Option<&UserSpec>) -> Result<Mounts, StepError> {
    let proc = add(root, "/proc", "proc", &[], mount::PLAIN)?;
    let read_only = mount::PLAIN | MountAttrFlags::MOUNT_ATTR_RDONLY;
    let sys = match add(root, "/sys", "sysfs", &[], read_only) {
        Err(error) if user.is_some() && error.errno == Errno::PERM => borrow_sys(root)?,
        sys => sys?,
    };
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_STRICTATIME;
    let options = [("mode", "0755"), ("size", "64k")];
    let dev = add(root, "/dev", "tmpfs", &options, attributes)?;
    devices::apply(dev.as_fd(), user)?;
    let mounts = Mounts { proc, sys, dev };
    control_groups(&mounts, user)?;
    Ok(mounts)
}

/// Mounts a new file system on the directory at `path`, which is made where the root has none.
fn add(
    root: &Root,
    path: &str,
    kind: &str,
    options: &[(&str, &str)],
    attributes: MountAttrFlags,
) -> Result<OwnedFd, StepError> {
    let target = place::open_or_make(root.directory.as_fd(), path, Kind::Directory)
        .step_at("making the mount point", path)?;
    let file_system = mount::create(kind, options, attributes).step_at("mounting", path)?;
    mount::attach(file_system.as_fd(), target.as_fd()).step_at("mounting", path)?;
    Ok(file_system)
}

/// Shows the host's `/sys`, read-only and without control groups: on a host that hides parts of its own, the kernel
/// lets no user namespace have a new one.
fn borrow_sys(root: &Root) -> Result<OwnedFd, StepError> {
    let step = "showing the host's";
    let path = "/sys";
    let host = place::open(CWD, path).step_at(step, path)?;
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
    let target = place::open_or_make(root.directory.as_fd(), path, Kind::Directory)
        .step_at("making the mount point", path)?;
    mount::attach(view.as_fd(), target.as_fd()).step_at(step, path)?;
    let attributes = mount::PLAIN | MountAttrFlags::MOUNT_ATTR_RDONLY;
    let empty = mount::create("tmpfs", &[("size", "4k")], attributes).step_at(step, path)?;
    match mount::attach_below(empty.as_fd(), view.as_fd(), "fs/cgroup") {
        Ok(()) | Err(Errno::NOENT) => Ok(view),
        Err(errno) => Err(StepError::new("hiding, below /sys,", errno).at("fs/cgroup")),
    }
}

/// Shows the container its own cgroup, read-only, where the host has the unified hierarchy only: programs read their
/// limits there. Seven v1 hierarchies would cost as much as the whole of `/dev`.
fn control_groups(mounts: &Mounts, user: Option<&UserSpec>) -> Result<(), StepError> {
    let path = "/sys/fs/cgroup";
    let host = rustix::fs::statfs(path).step_at("examining", path)?;
    if host.f_type != libc::CGROUP2_SUPER_MAGIC {
        return Ok(());
    }
    let attributes = mount::PLAIN | MountAttrFlags::MOUNT_ATTR_RDONLY;
    let target = match place::open(mounts.sys.as_fd(), "fs/cgroup") {
        Err(Errno::NOENT) => return Ok(()),
        answer => answer.step_at("opening", path)?,
    };
    let groups = match mount::create("cgroup2", &[], attributes) {
        Err(Errno::PERM) if user.is_some() => return Ok(()),
        groups => groups.step_at("mounting", path)?,
    };
    mount::attach(groups.as_fd(), target.as_fd()).step_at("mounting", path)
}
