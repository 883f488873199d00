//! The root file system of a container with a user namespace: overlays that the namespace's root mounts.
//!
//! All of it is put together in a file system in memory that covers a directory of the host, since none of them may be
//! writable, or even reached. It goes away with the host's root.

use std::os::fd::{AsFd, OwnedFd};

use rustix::{
    fs::{
        AtFlags, CWD, Dir, FileType, Mode, OFlags, mkdirat, openat, readlinkat, statat, symlinkat,
    },
    io::Errno,
    mount::MountAttrFlags,
};

use super::{
    Root, host_view, is_host, mount_layers,
    overlay::{Overlays, make_directory, path_of},
};
use crate::{
    child::spec::{RootSpec, UserSpec},
    failure::{Attempt, StepError},
    parts::{handed::Handed, mount, place},
    sys::mount::{MountChange, change},
};

/// Where it is put together.
struct Staging {
    directory: OwnedFd,
    count: u32,
}

/// Directories that a host has, and that it does not need for what follows.
const COVERED: [&str; 3] = ["/mnt", "/tmp", "/run"];

impl Staging {
    fn new() -> Result<Self, StepError> {
        let step = "making a place to put the root together, at /mnt, /tmp or /run";
        let directory = mount::create("tmpfs", &[("mode", "0755")], MountAttrFlags::empty());
        let directory = directory.step(step)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let covered = COVERED
            .into_iter()
            .find_map(|path| openat(CWD, path, flags, Mode::empty()).ok());
        let covered = covered.ok_or_else(|| StepError::new(step, Errno::NOENT))?;
        mount::attach(directory.as_fd(), covered.as_fd()).step(step)?;
        Ok(Self {
            directory,
            count: 0,
        })
    }

    /// A new empty directory; its name.
    fn directory(&mut self) -> Result<String, StepError> {
        self.count += 1;
        let name = self.count.to_string();
        make_directory(self.directory.as_fd(), &name).step("making a mount point")?;
        Ok(name)
    }

    /// Mounts what was handed over: only then may it be a layer.
    fn attach(&mut self, handed: &OwnedFd) -> Result<OwnedFd, StepError> {
        let step = "mounting what the service handed over";
        let name = self.directory()?;
        let place = place::open(self.directory.as_fd(), &name).step(step)?;
        mount::attach(handed.as_fd(), place.as_fd()).step(step)?;
        place::open(self.directory.as_fd(), &name).step(step)
    }
}

/// Mounts the root file system.
pub(super) fn apply(
    spec: &RootSpec,
    user: &UserSpec,
    handed: &mut Handed,
) -> Result<Root, StepError> {
    // Paths first: they may lead through what is covered then.
    let sources = spec.layers.iter().chain([&spec.scratch]);
    let mut opened: Vec<OwnedFd> = sources
        .map(|source| match user.handed {
            true => handed.take(),
            false => super::open_directory(source),
        })
        .collect::<Result<_, _>>()?;
    let mut staging = Staging::new()?;
    if user.handed {
        for mount in &mut opened {
            *mount = staging.attach(mount)?;
        }
    }
    let missing = || StepError::new("opening the scratch", Errno::BADF);
    let scratch = opened.pop().ok_or_else(missing)?;
    let mut layers = opened;
    let mut parts = Vec::with_capacity(user.parts.len());
    for path in &user.parts {
        parts.push((path.clone(), staging.attach(&handed.take()?)?));
    }
    let name = staging.directory()?;
    let open = |step| place::open(staging.directory.as_fd(), &name).step(step);
    let mut overlays = Overlays {
        trusts_nodes: false,
        sync: spec.keep,
        user: true,
        scratch,
    };
    let target = open("opening a mount point")?;
    let host = spec.layers.iter().position(|layer| is_host(&layer.path));
    if let (Some(_), false) = (host, user.handed) {
        return assembled(&overlays, spec, &target, || open("opening the root"));
    }
    if let Some(host) = host.filter(|_| layers.len() > 1) {
        layers[host] = host_view::as_file_system_of_its_own(&layers[host], &overlays.scratch)?;
    }
    mount_layers(&mut overlays, &layers, spec, Some(&target))?;
    let root = Root {
        directory: open("opening the root")?,
    };
    if let Some(host) = host {
        host_view::add_parts(&overlays, &root, &layers, host, &parts)?;
    }
    Ok(root)
}

/// Directories of the host's root that a container has of its own, or that are empty at first.
const FRESH: [(&str, u32); 7] = [
    ("dev", 0o755),
    ("mnt", 0o755),
    ("proc", 0o755),
    ("run", 0o755),
    ("srv", 0o755),
    ("sys", 0o755),
    ("tmp", 0o1777),
];

/// The host's own files as an ordinary user may have them: an overlay of the host's root would show what is hidden below
/// its mounts, so the kernel refuses it. Instead each directory of the root becomes an overlay of its own, below a root
/// in memory; one with mounts below it that cannot be taken apart is shown read-only.
fn assembled(
    overlays: &Overlays,
    spec: &RootSpec,
    target: &OwnedFd,
    open: impl Fn() -> Result<OwnedFd, StepError>,
) -> Result<Root, StepError> {
    let step = "assembling a view of the host's";
    if spec.layers.len() > 1 {
        let step = "putting the host's root together with other layers, which only a service of root can do:";
        return Err(StepError::new(step, Errno::OPNOTSUPP)
            .at("/")
            .asked_by(super::POINTER));
    }
    let memory = mount::create(
        "tmpfs",
        &[("mode", "0755")],
        MountAttrFlags::MOUNT_ATTR_NODEV,
    );
    let memory = memory.step(step)?;
    mount::attach(memory.as_fd(), target.as_fd()).step(step)?;
    let root = open()?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let host = openat(CWD, "/", flags, Mode::empty()).step_at(step, "/")?;
    for (name, mode) in FRESH {
        mkdirat(&root, name, Mode::from_raw_mode(mode)).step_at(step, name)?;
        rustix::fs::chmodat(&root, name, Mode::from_raw_mode(mode), AtFlags::empty())
            .step_at(step, name)?;
    }
    for entry in Dir::read_from(&host).step_at(step, "/")? {
        let entry = entry.step_at(step, "/")?;
        let Ok(name) = entry.file_name().to_str() else {
            continue;
        };
        if [".", "..", "lost+found"].contains(&name) || FRESH.iter().any(|(own, _)| *own == name) {
            continue;
        }
        let found = statat(&host, name, AtFlags::SYMLINK_NOFOLLOW).step_at(step, name)?;
        match FileType::from_raw_mode(found.st_mode) {
            FileType::Symlink => {
                let target = readlinkat(&host, name, Vec::new()).step_at(step, name)?;
                symlinkat(target.as_c_str(), &root, name).step_at(step, name)?;
            }
            FileType::Directory => show(overlays, &host, &root, name).step_at(step, name)?,
            // Files in the root are none that a program needs.
            _ => {}
        }
    }
    Ok(Root { directory: root })
}

/// Shows one directory of the host's root.
fn show(overlays: &Overlays, host: &OwnedFd, root: &OwnedFd, name: &str) -> Result<(), Errno> {
    mkdirat(root, name, Mode::from_raw_mode(0o755))?;
    let place = place::open(root.as_fd(), name)?;
    let shown = place::open(host.as_fd(), name)?;
    let part = format!("-{name}");
    match overlays.mount_part(&part, std::slice::from_ref(&shown), &path_of(&place)) {
        Err(Errno::INVAL | Errno::OPNOTSUPP) => {
            let view = mount::clone_tree(shown.as_fd(), "", true)?;
            let read_only = MountChange {
                set: libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV,
                propagation: libc::MS_PRIVATE,
                recursive: true,
            };
            change(view.as_fd(), read_only)?;
            mount::attach(view.as_fd(), place.as_fd())
        }
        // A directory that may not be looked into stays empty.
        Err(Errno::ACCESS | Errno::PERM) => Ok(()),
        answer => answer,
    }
}
