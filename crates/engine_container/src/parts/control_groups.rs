//! `/sys/fs/cgroup`: the container's own control groups, read-only. Programs size themselves by the limits there.
//!
//! In version 2 that is the one hierarchy. In version 1 it is a directory for each hierarchy that limits or counts what
//! programs want to know, named after its controllers, with a link for each of several. A view of the host's mount
//! takes one call where a mount of its own takes four, and shows nothing but the group, as no way leads up from it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::{
    fs::{CWD, Mode, OFlags, fstatfs, mkdirat, symlinkat},
    io::Errno,
    mount::MountAttrFlags,
};

use super::{mount, place};
use crate::{
    cgroup::CGROUP_MAGIC,
    failure::{Attempt, StepError},
    spec::{GroupSpec, UserSpec},
    sys::mount::{MountChange, change},
};

/// Where they are seen, on the host as inside.
const PATH: &str = "/sys/fs/cgroup";

/// Shows them below `sys`, the container's `/sys`; `groups` are those of version 1.
pub(crate) fn apply(
    sys: BorrowedFd<'_>,
    user: Option<&UserSpec>,
    groups: &[GroupSpec],
) -> Result<(), StepError> {
    let host = rustix::fs::statfs(PATH).step_at("examining", PATH)?;
    let unified = host.f_type == libc::CGROUP2_SUPER_MAGIC;
    if !unified && groups.is_empty() {
        return Ok(());
    }
    let target = match place::open(sys, "fs/cgroup") {
        Err(Errno::NOENT) => return Ok(()),
        answer => answer.step_at("opening", PATH)?,
    };
    if !unified {
        return version_1(&target, groups);
    }
    let attributes = mount::PLAIN | MountAttrFlags::MOUNT_ATTR_RDONLY;
    let own = match mount::create("cgroup2", &[], attributes) {
        Err(Errno::PERM) if user.is_some() => return Ok(()),
        own => own.step_at("mounting", PATH)?,
    };
    mount::attach(own.as_fd(), target.as_fd()).step_at("mounting", PATH)
}

fn version_1(target: &OwnedFd, groups: &[GroupSpec]) -> Result<(), StepError> {
    let step = "showing the control group";
    let options = [("mode", "0755"), ("size", "4k")];
    let own = mount::create("tmpfs", &options, mount::PLAIN).step_at("mounting", PATH)?;
    let mut views = Vec::with_capacity(groups.len());
    for group in groups {
        let name = group.controllers.join(",");
        let view = view(&group.path).step_at(step, &*group.path)?;
        mkdirat(&own, &*name, Mode::from_raw_mode(0o755)).step_at(step, &*group.path)?;
        if group.controllers.len() > 1 {
            for controller in &group.controllers {
                symlinkat(&*name, &own, &**controller).step_at(step, &*group.path)?;
            }
        }
        views.push((view, name));
    }
    // While it is mounted nowhere: of what is mounted in something of that kind the kernel changes nothing.
    change(own.as_fd(), read_only()).step_at("making read-only", PATH)?;
    mount::attach(own.as_fd(), target.as_fd()).step_at("mounting", PATH)?;
    views.iter().try_for_each(|(view, name)| {
        mount::attach_below(view.as_fd(), own.as_fd(), name).step_at(step, &**name)
    })
}

/// A view of the group at `path` of the host, mounted nowhere.
fn view(path: &str) -> Result<OwnedFd, Errno> {
    let group = place::open_own(
        place::open(CWD, "/")?.as_fd(),
        path.trim_start_matches('/'),
        OFlags::PATH | OFlags::DIRECTORY,
    )?;
    if fstatfs(&group)?.f_type != CGROUP_MAGIC {
        return Err(Errno::NODEV);
    }
    let view = mount::clone_tree(group.as_fd(), "", false)?;
    change(view.as_fd(), read_only())?;
    Ok(view)
}

fn read_only() -> MountChange {
    MountChange {
        set: libc::MOUNT_ATTR_RDONLY
            | libc::MOUNT_ATTR_NOSUID
            | libc::MOUNT_ATTR_NODEV
            | libc::MOUNT_ATTR_NOEXEC,
        propagation: libc::MS_PRIVATE,
        recursive: false,
    }
}
