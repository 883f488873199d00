//! One overlayfs mount.
//!
//! Layers and scratch are named by descriptors, so that no character of a path can be taken for an option. It is one
//! classic `mount(2)`: with the newer calls a list of layers could not be longer than 255 characters before Linux 6.8.
//! Options longer than the page that `mount(2)` reads go by the newer calls, layer by layer, which takes Linux 6.8.

use std::{
    ffi::CString,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    path::Path,
};

use hcs_schema::fnv;
use hcs_storage::layer::writable::{UPPER, WORK, open_inside, takes_single_layers};
use rustix::{
    fs::{AtFlags, CWD, Gid, Mode, OFlags, Stat, Uid, chmodat, chownat, fstat, mkdirat, openat},
    io::Errno,
    mount::{MountAttrFlags, MountFlags, mount as mount_at_once},
};

use crate::{
    failure::{Attempt, StepError},
    parts::mount,
};

/// Bytes of options that `mount(2)` reads.
const MOST_OPTIONS: usize = 4095;

/// Makes these in the new scratch at `path`, a directory of the service's own: it may have the time before a container
/// that is kept ready has its document.
pub(crate) fn prepare(path: &Path) -> Result<(), StepError> {
    let step = "making directories in the scratch";
    for name in [UPPER, WORK] {
        mkdirat(CWD, path.join(name), Mode::RWXU).step_at(step, path.display().to_string())?;
    }
    Ok(())
}

/// Gives these in `scratch`, where they were [prepared](prepare), to a user.
pub(crate) fn give(scratch: BorrowedFd<'_>, user: Uid, group: Gid) -> Result<(), Errno> {
    for name in [UPPER, WORK] {
        match chownat(
            scratch,
            name,
            Some(user),
            Some(group),
            AtFlags::SYMLINK_NOFOLLOW,
        ) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// How the overlays of one container are mounted.
pub(super) struct Overlays {
    /// Whether device nodes in them work.
    pub(super) trusts_nodes: bool,
    /// Whether what is written is to be on disk when a program syncs it. Otherwise a sync is free.
    pub(super) sync: bool,
    /// Whether it is mounted in a user namespace, where an overlay keeps its notes in attributes that users may set.
    pub(super) user: bool,
    /// Whether there are layers in memory besides those of disks.
    pub(super) mixed: bool,
    /// Where upper directories are made.
    pub(super) scratch: OwnedFd,
}

impl Overlays {
    /// Mounts `layers`, topmost first, on `target`, else over the scratch; what is written goes to the scratch.
    pub(super) fn mount(&self, layers: &[OwnedFd], target: Option<&OwnedFd>) -> Result<(), Errno> {
        let target = path_of(target.unwrap_or(&self.scratch));
        self.mount_with(&self.scratch, layers, &target, enterable)
    }

    /// The same, but what is written goes to the directory `name` of the scratch.
    pub(super) fn mount_part(
        &self,
        name: &str,
        layers: &[OwnedFd],
        target: &str,
    ) -> Result<(), Errno> {
        make_directory(self.scratch.as_fd(), name)?;
        let own = plain(self.scratch.as_fd(), name)?;
        self.mount_with(&own, layers, target, as_it_is)
    }

    fn mount_with(
        &self,
        own: &OwnedFd,
        layers: &[OwnedFd],
        target: &str,
        mode: fn(u32) -> u32,
    ) -> Result<(), Errno> {
        // A directory that is not kept was prepared.
        let fresh = make_directory(own.as_fd(), UPPER)? || !self.sync;
        make_directory(own.as_fd(), WORK)?;
        // A kept scratch may have been changed by a container, a guest or another user: a link in the place of either
        // would make a directory of the host the root of this container.
        let upper = plain(own.as_fd(), UPPER)?;
        let work = plain(own.as_fd(), WORK)?;
        if let (true, Some(top)) = (fresh, layers.first()) {
            // The merged root has the attributes of the upper directory; they shall be those of the layer.
            copy_attributes(&fstat(top)?, &upper, mode, self.user)?;
        }
        let (upper, work) = (path_of(&upper), path_of(&work));
        let sync = if self.sync { "" } else { ",volatile" };
        let user = if self.user { ",userxattr" } else { "" };
        // Files of several file systems shall look as if they were on one.
        let numbers = if self.mixed { ",xino=on" } else { "" };
        let writable = format!("upperdir={upper},workdir={work}{sync}{user}{numbers}");
        let flags = if self.trusts_nodes {
            MountFlags::empty()
        } else {
            MountFlags::NODEV
        };
        mount_overlay(layers, &writable, flags, target)
    }
}

/// Mounts `layers`, at least two, read-only on `target`.
pub(super) fn mount_read_only(layers: &[OwnedFd], target: &str) -> Result<(), Errno> {
    mount_overlay(layers, "", MountFlags::RDONLY, target)
}

fn mount_overlay(
    layers: &[OwnedFd],
    options: &str,
    flags: MountFlags,
    target: &str,
) -> Result<(), Errno> {
    let lower: Vec<String> = layers.iter().map(path_of).collect();
    // A directory of a layer may say that it is another one of the layers below, of which parts are hidden by their
    // paths.
    let mut options = format!(
        "lowerdir={},redirect_dir=nofollow,{options}",
        lower.join(":")
    );
    options.truncate(options.trim_end_matches(',').len());
    if options.len() > MOST_OPTIONS {
        return mount_by_layer(&options, flags, target);
    }
    let options = CString::new(options).map_err(|_| Errno::INVAL)?;
    mount_at_once("hcs", target, "overlay", flags, options.as_c_str())
}

/// Mounts an overlay whose options are too long for one call.
///
/// # Errors
/// `E2BIG` where the kernel does not take layers one by one; else the errno of the first call that failed.
fn mount_by_layer(options: &str, flags: MountFlags, target: &str) -> Result<(), Errno> {
    let mut each: Vec<(&str, &str)> = vec![("source", "hcs")];
    for option in options.split(',') {
        match option.split_once('=') {
            Some(("lowerdir", layers)) => {
                each.extend(layers.split(':').map(|layer| ("lowerdir+", layer)));
            }
            Some(pair) => each.push(pair),
            None => each.push((option, "")),
        }
    }
    let mut attributes = MountAttrFlags::empty();
    for (flag, attribute) in [
        (MountFlags::NODEV, MountAttrFlags::MOUNT_ATTR_NODEV),
        (MountFlags::RDONLY, MountAttrFlags::MOUNT_ATTR_RDONLY),
    ] {
        attributes.set(attribute, flags.contains(flag));
    }
    let made = mount::create("overlay", &each, attributes);
    let made = made.map_err(|errno| match errno {
        Errno::INVAL if !takes_single_layers() => Errno::TOOBIG,
        errno => errno,
    })?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let place = openat(CWD, target, flags, Mode::empty())?;
    mount::attach(made.as_fd(), place.as_fd())
}

/// Opens the directory `name` of a scratch.
///
/// # Errors
/// `EUCLEAN` where another party has put something else there.
fn plain(own: BorrowedFd<'_>, name: &str) -> Result<OwnedFd, Errno> {
    open_inside(own, name).map_err(|errno| match errno {
        Errno::LOOP | Errno::NOTDIR | Errno::XDEV => Errno::UCLEAN,
        errno => errno,
    })
}

/// A path without anything an option could choke on.
pub(super) fn path_of(directory: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", directory.as_raw_fd())
}

/// Makes a directory that only root may use; `false` when it is there already.
pub(super) fn make_directory(parent: BorrowedFd<'_>, name: &str) -> Result<bool, Errno> {
    match mkdirat(parent, name, Mode::RWXU) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Permissions of a root whose layer has these. A directory that its owner made for itself, by `mktemp -d` say, is a
/// root that only root could enter: others may enter and list it then. A root that others may enter stays as it is.
const fn enterable(mode: u32) -> u32 {
    match mode & 0o001 {
        0 => mode | 0o055,
        _ => mode,
    }
}

/// Permissions of anything but a root.
const fn as_it_is(mode: u32) -> u32 {
    mode
}

fn copy_attributes(
    from: &Stat,
    upper: &OwnedFd,
    mode: fn(u32) -> u32,
    user: bool,
) -> Result<(), Errno> {
    if from.st_uid != 0 || from.st_gid != 0 {
        let (owner, group) = (Uid::from_raw(from.st_uid), Gid::from_raw(from.st_gid));
        match chownat(upper, "", Some(owner), Some(group), AtFlags::EMPTY_PATH) {
            // In a user namespace that has not even `nobody`, it stays root's.
            Err(Errno::INVAL) if user => {}
            answer => answer?,
        }
    }
    let mode = Mode::from_raw_mode(mode(from.st_mode & 0o7777));
    chmodat(CWD, path_of(upper), mode, AtFlags::empty())
}

/// The name in the scratch for what is written below `path`.
pub(super) fn part_name(path: &str) -> String {
    let name = path.replace('/', "-");
    // Two paths must not share one, and a name has to fit.
    if path.contains('-') || name.len() > 200 {
        return format!("-{:016x}", fnv::hash(fnv::BASIS, path.as_bytes()));
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_can_be_entered() {
        for (layer, root) in [
            (0o700, 0o755),
            (0o750, 0o755),
            (0o1711, 0o1711),
            (0o555, 0o555),
        ] {
            assert_eq!(enterable(layer), root, "{layer:o}");
        }
    }
}
