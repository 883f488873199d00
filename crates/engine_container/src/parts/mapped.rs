//! What the document maps from the host into the container: directories, files, sockets and FIFOs.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use hcs_schema::{
    Failure, HResult,
    documents::{MappedDirectory, MappedPipe},
};
use rustix::{
    fs::{AtFlags, FileType, StatxAttributes, StatxFlags, fstat, statx},
    io::Errno,
    mount::{UnmountFlags, unmount},
    process::fchdir,
};

use super::{
    handed::{self, Handed},
    mount, own_places,
    place::{self, Kind},
    rootfs::Root,
};
use crate::{
    failure::{Attempt, StepError},
    source::Source,
    spec::{MappedSpec, Owners},
    sys::mount::{MountChange, change},
};

/// Where a pipe goes that is named without a directory.
const PIPES: &str = "/run";

/// What to map, in the order to be mounted: a directory comes before what is mapped inside it. `owners`: whose files
/// are where the document does not say.
///
/// # Errors
/// A path is missing, not absolute, does not exist or is not of the right kind.
pub(crate) fn check(
    directories: &[MappedDirectory],
    pipes: &[MappedPipe],
    owners: Owners,
) -> Result<Vec<MappedSpec>, Failure> {
    let mut mapped = Vec::with_capacity(directories.len() + pipes.len());
    for (index, directory) in directories.iter().enumerate() {
        let at = format!("/Container/MappedDirectories/{index}");
        mapped.push(check_directory(directory, &at, owners)?);
    }
    for (index, pipe) in pipes.iter().enumerate() {
        let at = format!("/Container/MappedPipes/{index}");
        mapped.push(check_pipe(pipe, &at)?);
    }
    mapped.sort_by_key(|mapped| depth(&mapped.target));
    Ok(mapped)
}

/// How many directories a place is in: what is in another comes after it.
pub(crate) fn depth(target: &str) -> usize {
    target.split('/').filter(|part| !part.is_empty()).count()
}

/// Like [`check`] for one directory; `at` is the JSON pointer of its document.
pub(crate) fn check_directory(
    directory: &MappedDirectory,
    at: &str,
    owners: Owners,
) -> Result<MappedSpec, Failure> {
    let source = check_source(directory.host_path.as_deref(), at, |found| {
        found.is_dir() || found.is_file()
    })?;
    let target = required(directory.container_path.as_deref(), at, "ContainerPath")?;
    Ok(MappedSpec {
        source,
        target: check_target(target, &format!("{at}/ContainerPath"))?,
        read_only: directory.read_only.unwrap_or_default(),
        covered: Vec::new(),
        owners: match directory.shift_owners {
            Some(true) => Owners::Shifted,
            Some(false) => Owners::AsOnTheHost,
            None => owners,
        },
        allow_set_id: directory.allow_set_id.unwrap_or_default(),
        device: false,
    })
}

/// Like [`check`] for one pipe.
pub(crate) fn check_pipe(pipe: &MappedPipe, at: &str) -> Result<MappedSpec, Failure> {
    let source = check_source(pipe.host_path.as_deref(), at, |found| {
        found.is_socket() || found.is_fifo()
    })?;
    let name = required(pipe.container_pipe_name.as_deref(), at, "ContainerPipeName")?;
    let target = if name.starts_with('/') {
        name.to_owned()
    } else {
        format!("{PIPES}/{name}")
    };
    Ok(MappedSpec {
        source,
        target: check_target(&target, &format!("{at}/ContainerPipeName"))?,
        covered: Vec::new(),
        // Data goes through it all the same; but its mode and owner are the host's affair.
        read_only: true,
        owners: Owners::ShiftedIfPossible,
        allow_set_id: false,
        device: false,
    })
}

fn required<'a>(value: Option<&'a str>, at: &str, name: &str) -> Result<&'a str, Failure> {
    value.filter(|value| !value.is_empty()).ok_or_else(|| {
        let message = format!("{name} is missing or empty");
        Failure::new(HResult::HCS_E_INVALID_JSON, format!("{at}: {message}"))
            .cause_at(format!("{at}/{name}"), message)
    })
}

fn check_source(
    path: Option<&str>,
    at: &str,
    fits: impl Fn(FileType) -> bool,
) -> Result<Source, Failure> {
    let path = required(path, at, "HostPath")?;
    let pointer = format!("{at}/HostPath");
    if !path.starts_with('/') {
        return Err(invalid(
            &pointer,
            format!("{path:?} is not an absolute path"),
        ));
    }
    let (source, kind) = Source::look(path, &pointer)
        .map_err(|error| error.into_failure(format!("{path:?} cannot be mapped")))?;
    if !fits(kind) {
        let expected = if at.contains("Pipes") {
            "a unix socket or a FIFO"
        } else {
            "a directory or a file"
        };
        return Err(invalid(&pointer, format!("{path:?} is not {expected}")));
    }
    Ok(source)
}

/// A place in the container, as it was named.
///
/// # Errors
/// It is no absolute path below the root.
pub(crate) fn check_target(path: &str, pointer: &str) -> Result<String, Failure> {
    let mut parts = path
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .peekable();
    if !path.starts_with('/') || parts.peek().is_none() || parts.any(|part| part == "..") {
        let message = format!("{path:?} is not an absolute path below / without \"..\"");
        return Err(invalid(pointer, message));
    }
    Ok(path.to_owned())
}

fn invalid(pointer: &str, message: String) -> Failure {
    Failure::new(HResult::E_INVALIDARG, message.clone()).cause_at(pointer, message)
}

/// One thing to map, taken out of the host's view while that is still in sight.
#[derive(Debug)]
pub(crate) struct Taken<'a> {
    spec: &'a MappedSpec,
    tree: OwnedFd,
    kind: Kind,
}

impl Taken<'_> {
    /// Where it goes.
    pub(crate) fn target(&self) -> &str {
        &self.spec.target
    }

    /// What its place has to be.
    pub(crate) const fn kind(&self) -> Kind {
        self.kind
    }

    /// The view itself, mounted nowhere.
    pub(crate) fn into_tree(self) -> OwnedFd {
        self.tree
    }

    /// Has its owners shifted into `namespace`, if that is asked for.
    pub(crate) fn shift_into(&self, namespace: BorrowedFd<'_>) -> Result<(), StepError> {
        let owners = self.spec.owners;
        if owners == Owners::AsOnTheHost {
            return Ok(());
        }
        let shifted = handed::shift(self.tree.as_fd(), namespace)?;
        if shifted || owners == Owners::ShiftedIfPossible {
            return Ok(());
        }
        let error = StepError::new(handed::UNSHIFTABLE, Errno::OPNOTSUPP);
        let error = error.at(&*self.spec.source.path);
        Err(error.asked_by(&self.spec.source.pointer))
    }
}

/// What the service took and handed over.
pub(crate) fn taken_by_service<'a>(
    specs: &'a [MappedSpec],
    mounts: &mut Handed,
) -> Result<Vec<Taken<'a>>, StepError> {
    specs
        .iter()
        .map(|spec| {
            let tree = mounts.take()?;
            let kind = kind_of(&tree).step_at("mapping", &*spec.source.path)?;
            Ok(Taken { spec, tree, kind })
        })
        .collect()
}

fn kind_of(tree: &OwnedFd) -> Result<Kind, Errno> {
    let found = fstat(tree)?;
    Ok(if FileType::from_raw_mode(found.st_mode).is_dir() {
        Kind::Directory
    } else {
        Kind::File
    })
}

/// Takes second views of everything to map.
pub(crate) fn open(specs: &[MappedSpec]) -> Result<Vec<Taken<'_>>, StepError> {
    specs.iter().map(take).collect()
}

/// Takes a second view of one.
pub(crate) fn take(spec: &MappedSpec) -> Result<Taken<'_>, StepError> {
    take_tree(spec).map_err(|error| error.asked_by(&spec.source.pointer))
}

fn take_tree(spec: &MappedSpec) -> Result<Taken<'_>, StepError> {
    let path = spec.source.path.as_str();
    let step = "mapping";
    let tree = mount::clone_tree(spec.source.open()?.as_fd(), "", true).step_at(step, path)?;
    let kind = kind_of(&tree).step_at(step, path)?;
    let mut set = libc::MOUNT_ATTR_NOSUID;
    if !spec.device {
        set |= libc::MOUNT_ATTR_NODEV;
    }
    if spec.read_only {
        set |= libc::MOUNT_ATTR_RDONLY;
    }
    let attributes = MountChange {
        set,
        propagation: libc::MS_PRIVATE,
        recursive: true,
    };
    change(tree.as_fd(), attributes).step_at(step, path)?;
    Ok(Taken { spec, tree, kind })
}

/// Mounts them in `root`, making the places where it has none, before anything runs in it.
pub(crate) fn apply(root: &Root, taken: &[Taken<'_>]) -> Result<(), StepError> {
    taken.iter().try_for_each(|one| {
        put(one, root.directory.as_fd())?;
        own_places::cover(&one.tree, &one.spec.covered)
            .map_err(|error| error.asked_by(&one.spec.source.pointer))
    })
}

/// Covers the service's own directories in one that is mounted nowhere yet: the processes of a container that runs
/// would see them for a moment if that were done afterwards.
///
/// # Errors
/// The step that failed; `EOPNOTSUPP` before Linux 6.15, where that is not possible.
pub(crate) fn cover_unmounted(one: &Taken<'_>) -> Result<(), StepError> {
    let covered = own_places::cover(&one.tree, &one.spec.covered);
    covered.map_err(|error| {
        let error = match error.errno {
            Errno::INVAL => {
                let step = "hiding the service's own directories before a container that runs can see them, which takes \
                            Linux 6.15 (map it in the document of the container instead), in";
                StepError::new(step, Errno::OPNOTSUPP).at(&*one.spec.source.path)
            }
            _ => error,
        };
        error.asked_by(&one.spec.source.pointer)
    })
}

/// Mounts one in `root`, making the place where it has none.
pub(crate) fn put(one: &Taken<'_>, root: BorrowedFd<'_>) -> Result<(), StepError> {
    let target = one.spec.target.as_str();
    place::open_or_make(root, target, one.kind)
        .step_at("making the mount point", target)
        .and_then(|place| {
            mount::attach(one.tree.as_fd(), place.as_fd()).step_at("mapping to", target)
        })
        .map_err(|error| error.asked_by(&one.spec.source.pointer))
}

/// Unmounts what is mapped, which must be what `spec` was found to name and nothing else. The calling process is in the
/// container's mount namespace; `own_descriptors` is its `/proc/self/fd`, by which the mount is named whatever the
/// container does to the directories above it meanwhile.
pub(crate) fn undo(
    spec: &MappedSpec,
    root: BorrowedFd<'_>,
    own_descriptors: BorrowedFd<'_>,
) -> Result<(), StepError> {
    let target = spec.target.as_str();
    let step = "unmapping";
    let place = place::open(root, target).step_at(step, target)?;
    let flags = AtFlags::EMPTY_PATH;
    let found = statx(&place, "", flags, StatxFlags::empty()).step_at(step, target)?;
    let is_mount = found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT);
    if !is_mount || spec.source.is(&place).is_err() {
        let error = StepError::new("finding the mapped file or directory at", Errno::NOENT);
        return Err(error.at(target));
    }
    fchdir(own_descriptors).step_at(step, target)?;
    unmount(place.as_raw_fd().to_string(), UnmountFlags::DETACH).step_at(step, target)
}
