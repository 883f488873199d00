//! Directories in memory that the document asks for, and the order of all that is mounted in a root: what is in
//! something else comes after it.

use std::os::fd::AsFd as _;

use hcs_schema::{Failure, documents::TemporaryDirectory};
use rustix::mount::MountAttrFlags;

use super::{
    mapped::{self, Taken},
    mount,
    place::{self, Kind},
    rootfs::Root,
};
use crate::{
    failure::{Attempt, StepError},
    spec::{LaunchSpec, TemporarySpec},
    sys::mount::{MountChange, change},
};

/// Permissions of a directory that all users may write to.
const MODE: u32 = 0o1777;

/// What to make, in the order to be mounted.
///
/// # Errors
/// A place is none.
pub(crate) fn check(directories: &[TemporaryDirectory]) -> Result<Vec<TemporarySpec>, Failure> {
    let mut specs = Vec::with_capacity(directories.len());
    for (index, directory) in directories.iter().enumerate() {
        let pointer = format!("/Container/TemporaryDirectories/{index}");
        let target = directory.container_path.as_deref().unwrap_or_default();
        specs.push(TemporarySpec {
            target: mapped::check_target(target, &format!("{pointer}/ContainerPath"))?,
            size: directory.size_in_mb,
            mode: directory.mode.unwrap_or(MODE) & 0o7777,
            pointer,
        });
    }
    specs.sort_by_key(|spec| mapped::depth(&spec.target));
    Ok(specs)
}

/// Makes a root that can only be read so, before anything is mounted in it: the places are made first, as far as they
/// are in the root itself.
pub(crate) fn close(
    root: &Root,
    spec: &LaunchSpec,
    sources: &[Taken<'_>],
) -> Result<(), StepError> {
    if !spec.root.read_only {
        return Ok(());
    }
    for name in ["proc", "sys", "dev"] {
        place::plain_directory(root.directory.as_fd(), name)
            .step_at("making the mount point /", name)?;
    }
    if spec.names.is_some() {
        for name in ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf"] {
            let _is_left_as_it_is = place::open_or_make(root.directory.as_fd(), name, Kind::File);
        }
    }
    let mapped = sources.iter().map(|taken| (taken.target(), taken.kind()));
    let temporary = spec.temporary.iter();
    let temporary = temporary.map(|spec| (spec.target.as_str(), Kind::Directory));
    for (target, kind) in mapped.chain(temporary) {
        place::open_or_make(root.directory.as_fd(), target, kind)
            .step_at("making the mount point", target)?;
    }
    let read_only = MountChange {
        set: libc::MOUNT_ATTR_RDONLY,
        propagation: 0,
        recursive: true,
    };
    change(root.directory.as_fd(), read_only).step("making the root read-only")
}

/// Mounts what is mapped and what is in memory.
pub(crate) fn apply(
    root: &Root,
    specs: &[TemporarySpec],
    sources: &[Taken<'_>],
) -> Result<(), StepError> {
    let mut specs = specs.iter().peekable();
    for source in sources {
        let depth = mapped::depth(source.target());
        while let Some(spec) = specs.next_if(|spec| mapped::depth(&spec.target) <= depth) {
            make(root, spec)?;
        }
        mapped::apply(root, std::slice::from_ref(source))?;
    }
    specs.try_for_each(|spec| make(root, spec))
}

fn make(root: &Root, spec: &TemporarySpec) -> Result<(), StepError> {
    let target = spec.target.as_str();
    let mode = format!("{:o}", spec.mode);
    let size = spec.size.map(|megabytes| format!("{megabytes}m"));
    let mut options = vec![("mode", mode.as_str())];
    options.extend(size.as_deref().map(|size| ("size", size)));
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    let made = mount::create("tmpfs", &options, attributes);
    made.step_at("making a directory in memory for", target)
        .and_then(|made| {
            let place = place::open_or_make(root.directory.as_fd(), target, Kind::Directory)
                .step_at("making the mount point", target)?;
            mount::attach(made.as_fd(), place.as_fd()).step_at("mounting memory at", target)
        })
        .map_err(|error| error.asked_by(&spec.pointer))
}
