//! Writable layers: what is written above other layers, and how that is seen as one tree.
//!
//! A writable layer is a directory with `upper`, which takes what is written, and `work`, which overlayfs has for
//! itself: the scratch of a container that keeps it. Attached, all of it shows the tree of its layers and of itself, as
//! an overlay that is mounted over it; detached, it is what it was.

use std::{
    ffi::CString,
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use hcs_wire::{
    environment::is_root,
    holds::{self, Hold, Kind},
};
use rustix::{
    fs::{
        AtFlags, CWD, Dir, FsWord, Gid, Mode, OFlags, ResolveFlags, StatVfsMountFlags, Uid,
        chmodat, chownat, fchmod, fstat, fstatfs, fstatvfs, fsync, mkdirat, openat, renameat,
        unlinkat,
    },
    io::Errno,
    mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, UnmountFlags,
        fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, mount,
        move_mount, unmount,
    },
    process::geteuid,
};

use super::{mounts, staging};
use crate::{Refusal, StorageError, beneath};

/// In a writable layer, and in each scratch of a container: what is written.
pub const UPPER: &str = "upper";
/// Beside [`UPPER`]: what overlayfs needs for itself.
pub const WORK: &str = "work";
/// The upper directory until all of it is there.
const UNFINISHED: &str = ".upper";
/// By this name of what is mounted, an overlay is known to be ours.
const SOURCE: &str = "hcs-layer";
/// How a layer is opened.
const LAYER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
/// Bytes of a mount's options that the kernel reads.
const MOST_OPTIONS: usize = 4095;
/// Lower layers of an overlay, at most.
const MOST_PARENTS: usize = 500;

/// Makes the writable layer `path`, for use above `parents`, topmost first. The directory may be there, and has to be
/// empty then; its parent exists.
///
/// # Errors
/// It is a writable layer already, or has something else in it; or a parent is no directory; or it cannot be made.
pub fn initialize(path: &Path, parents: &[PathBuf]) -> Result<(), StorageError> {
    let parents = opened(parents)?;
    let failed = |action, errno| failed(action, path, errno);
    match mkdirat(CWD, path, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(failed("making", errno)),
    }
    let own = open(path)?;
    let _lock = lock(&own, path)?;
    check_free(&own, path)?;
    make(&own, parents.first()).map_err(|errno| failed("making a writable layer in", errno))
}

/// Shows the writable layer `path` over `parents`, topmost first, as one tree at `path`. Set-user-ID programs and
/// device nodes have no effect there.
///
/// # Errors
/// It is no writable layer, attached, or in use by a container; there are no parents, or too many; or it cannot be
/// mounted, which takes root.
pub fn attach(path: &Path, parents: &[PathBuf]) -> Result<(), StorageError> {
    let own = open(path)?;
    let refused = |refusal| Err(refused(path, refusal));
    if is_attached(own.as_fd(), path)? {
        return refused(Refusal::Attached);
    }
    let inside = Inside::of(&own, path)?;
    let _lock = lock(&own, path)?;
    // Another caller may have attached it meanwhile: then this is what it covers.
    if is_attached(open(path)?.as_fd(), path)? {
        return refused(Refusal::Attached);
    }
    if parents.is_empty() {
        return refused(Refusal::NoParents);
    }
    let parents = opened(parents)?;
    if parents.len() > MOST_PARENTS {
        let found = parents.len();
        return refused(Refusal::TooManyParents { found });
    }
    let mounted = match options(&inside, &parents) {
        Some(options) => {
            // It may have been made by a container: on the host nothing in it gives rights.
            let flags = MountFlags::NOSUID | MountFlags::NODEV;
            mount(SOURCE, path_of(&own), "overlay", flags, options.as_c_str())
        }
        None => match mount_by_layer(&own, &inside, &parents) {
            Err(Errno::INVAL) if !takes_single_layers() => {
                let found = parents.len();
                return refused(Refusal::TooManyParents { found });
            }
            answer => answer,
        },
    };
    mounted.map_err(|errno| match unfit(&own) {
        Some(why) if matches!(errno, Errno::INVAL | Errno::ROFS) => {
            StorageError::refused(path.as_os_str().as_encoded_bytes(), Refusal::Unfit(why))
        }
        _ => failed("mounting an overlay over", path, errno),
    })
}

/// Why an overlay cannot write in this directory. The kernel tells it to its own log only.
fn unfit(own: &OwnedFd) -> Option<&'static str> {
    const OVERLAY: FsWord = 0x794c_7630;
    let is_read_only =
        fstatvfs(own).is_ok_and(|found| found.f_flag.contains(StatVfsMountFlags::RDONLY));
    let is_overlay = fstatfs(own).is_ok_and(|found| found.f_type == OVERLAY);
    match (is_read_only, is_overlay) {
        (true, _) => Some("it is read-only"),
        (_, true) => Some("it is an overlay itself, as the root of a container is"),
        _ => None,
    }
}

/// Whether the kernel takes the layers of an overlay one by one (`lowerdir+`), as Linux 6.8 and newer do. To be asked
/// when such a mount has failed by `EINVAL`, which may have other reasons: the kernel writes the question to its log.
#[must_use]
pub fn takes_single_layers() -> bool {
    let asked = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).and_then(|context| {
        // There is no such layer, as a kernel finds out that knows the option. Before Linux 6.5 any option is taken.
        fsconfig_set_string(context.as_fd(), "lowerdir+", "/proc/self/fd/none")
    });
    !matches!(asked, Ok(()) | Err(Errno::INVAL))
}

/// Ends what [`attach`] did; the layer keeps what was written.
///
/// # Errors
/// It is not attached, or files in it are open (`EBUSY`), or it cannot be unmounted.
pub fn detach(path: &Path) -> Result<(), StorageError> {
    let Some(name) = path.file_name() else {
        return Err(refused(path, Refusal::NotAttached));
    };
    let parent = staging::open_parent(path);
    let parent = parent.map_err(|errno| failed("opening the parent of", path, errno))?;
    let own = open_in(&parent, path)?;
    if !is_attached(own.as_fd(), path)? {
        return Err(refused(path, Refusal::NotAttached));
    }
    // An open file would keep it busy. The directory that it is in stays the same, whatever comes to its path.
    drop(own);
    let place = Path::new(&path_of(&parent)).join(name);
    let unmounted = unmount(place, UnmountFlags::NOFOLLOW);
    unmounted.map_err(|errno| failed("unmounting the overlay over", path, errno))
}

/// What a writable layer has beyond its parents, while no container and no other caller of ours writes to it.
#[derive(Debug)]
pub struct Upper {
    inside: Inside,
    _lock: Option<Hold>,
}

impl Upper {
    /// Takes that of the writable layer `path`.
    ///
    /// # Errors
    /// It is no writable layer, attached, or in use by a container.
    pub fn of(path: &Path) -> Result<Self, StorageError> {
        let own = open(path)?;
        if is_attached(own.as_fd(), path)? {
            return Err(refused(path, Refusal::Attached));
        }
        let inside = Inside::of(&own, path)?;
        let lock = lock(&own, path)?;
        Ok(Self {
            inside,
            _lock: Some(lock),
        })
    }

    /// That of the writable layer `path` that a container has, which may go on writing. Another user who owns a
    /// directory on the way could put something else in its place: so it has to be closed to others, as a container
    /// closes it.
    ///
    /// # Errors
    /// It is no writable layer, or other users could change it.
    pub fn in_use(path: &Path) -> Result<Self, StorageError> {
        let own = openat(CWD, path, LAYER - OFlags::NOFOLLOW, Mode::empty());
        let own = own.map_err(|errno| failed("opening the layer", path, errno))?;
        let found = fstat(&own).map_err(|errno| failed("looking at the layer", path, errno))?;
        if found.st_uid != geteuid().as_raw() || found.st_mode & 0o022 != 0 {
            return Err(refused(path, Refusal::OthersPlace));
        }
        Ok(Self {
            inside: Inside::of(&own, path)?,
            _lock: None,
        })
    }

    /// A path of it, for as long as this lives.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        path_of(&self.inside.upper).into()
    }
}

/// What is in a writable layer, opened once: another party may put a link in the place of either at any time.
#[derive(Debug)]
struct Inside {
    upper: OwnedFd,
    work: OwnedFd,
}

impl Inside {
    /// Opens both, which are directories of the layer itself: no link, and nothing that is mounted there.
    fn of(own: &OwnedFd, path: &Path) -> Result<Self, StorageError> {
        let opened = |name| match open_inside(own.as_fd(), name) {
            Err(Errno::LOOP | Errno::NOTDIR | Errno::NOENT | Errno::XDEV) => {
                Err(refused(path, Refusal::NotWritable))
            }
            answer => answer.map_err(|errno| failed("looking into the layer", path, errno)),
        };
        Ok(Self {
            upper: opened(UPPER)?,
            work: opened(WORK)?,
        })
    }
}

/// Opens (`O_PATH`) the directory `name` of a writable layer or a scratch, whose contents are not trusted: no link, and
/// nothing that is mounted there.
///
/// # Errors
/// The errno of `openat2(2)`: `ELOOP` for a link, `EXDEV` for what is mounted, `ENOTDIR` for what is no directory.
pub fn open_inside(own: BorrowedFd<'_>, name: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
    beneath::open(own, name, flags, resolve)
}

/// Opens a layer, which is a directory and no link.
pub(super) fn open(path: &Path) -> Result<OwnedFd, StorageError> {
    openat(CWD, path, LAYER, Mode::empty())
        .map_err(|errno| failed("opening the layer", path, errno))
}

/// The same, by the last name of `path` in the directory that it is in.
pub(super) fn open_in(parent: &OwnedFd, path: &Path) -> Result<OwnedFd, StorageError> {
    openat(
        parent,
        path.file_name().unwrap_or_default(),
        LAYER,
        Mode::empty(),
    )
    .map_err(|errno| failed("opening the layer", path, errno))
}

/// Whether this is the root of an overlay that [`attach`] has mounted.
pub(super) fn is_attached(directory: BorrowedFd<'_>, path: &Path) -> Result<bool, StorageError> {
    let mount = mounts::rooted_at(directory);
    let mount = mount.map_err(|errno| failed("finding what is mounted at", path, errno))?;
    Ok(mount.is_some_and(|it| it.kind == b"overlay" && it.source == SOURCE.as_bytes()))
}

/// Takes a layer as long as the answer is held. A container that keeps its scratch has it for as long as it lives.
pub(super) fn lock(own: &OwnedFd, path: &Path) -> Result<Hold, StorageError> {
    match holds::take(own.as_fd(), Kind::Alone) {
        Err(Errno::WOULDBLOCK) => Err(refused(path, Refusal::LayerInUse)),
        answer => answer.map_err(|errno| failed("locking the layer", path, errno)),
    }
}

/// A directory may be the root of a file system, and an earlier call may have been killed in it.
fn check_free(own: &OwnedFd, path: &Path) -> Result<(), StorageError> {
    if is_attached(own.as_fd(), path)? {
        return Err(refused(path, Refusal::Attached));
    }
    let step = |errno| failed("reading", path, errno);
    let mut occupied = false;
    for entry in Dir::read_from(own).map_err(step)? {
        let entry = entry.map_err(step)?;
        match entry.file_name().to_bytes() {
            name if name == UPPER.as_bytes() => {
                return Err(refused(path, Refusal::AlreadyWritable));
            }
            b"." | b".." | b"lost+found" => {}
            name if name == WORK.as_bytes() || name == UNFINISHED.as_bytes() => {}
            _ => occupied = true,
        }
    }
    match occupied {
        true => Err(refused(path, Refusal::NotEmpty)),
        false => Ok(()),
    }
}

/// Makes what is in a writable layer; `upper` comes last, and whole.
fn make(own: &OwnedFd, top: Option<&OwnedFd>) -> Result<(), Errno> {
    // Others must not get at set-user-ID programs that a container makes in it.
    let mode = fstat(own)?.st_mode & 0o7700;
    fchmod(own, Mode::from_raw_mode(mode | 0o700))?;
    for left in [WORK, UNFINISHED] {
        // A call that was killed left nothing in them; what has something in it is not ours.
        match unlinkat(own, left, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    mkdirat(own, WORK, Mode::RWXU)?;
    mkdirat(own, UNFINISHED, Mode::RWXU)?;
    if let Some(top) = top {
        // The root of the merged tree has the attributes of `upper`; they shall be those of the layer below.
        let below = fstat(top)?;
        // By a descriptor: a container that has the tree may put a link in its place.
        let made = open_inside(own.as_fd(), UNFINISHED)?;
        if is_root() {
            let (owner, group) = (Uid::from_raw(below.st_uid), Gid::from_raw(below.st_gid));
            chownat(&made, "", Some(owner), Some(group), AtFlags::EMPTY_PATH)?;
        }
        let mode = Mode::from_raw_mode(enterable(below.st_mode & 0o7777));
        chmodat(CWD, path_of(&made), mode, AtFlags::empty())?;
    }
    renameat(own, UNFINISHED, own, UPPER)?;
    fsync(own)
}

/// As a container makes it of a layer whose root only the owner may enter.
const fn enterable(mode: u32) -> u32 {
    match mode & 0o001 {
        0 => mode | 0o055,
        _ => mode,
    }
}

fn opened(parents: &[PathBuf]) -> Result<Vec<OwnedFd>, StorageError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = |path: &PathBuf| {
        let opened = openat(CWD, path, flags, Mode::empty());
        opened.map_err(|errno| failed("opening the parent layer", path, errno))
    };
    parents.iter().map(open).collect()
}

/// Options of the mount, in which layers are named by descriptors: no character of a path can be taken for an option.
/// `None` where they are longer than the kernel reads at once.
fn options(inside: &Inside, parents: &[OwnedFd]) -> Option<CString> {
    let lower: Vec<String> = parents.iter().map(path_of).collect();
    let user = if is_root() { "" } else { ",userxattr" };
    // A directory of a layer may say that it is another one of the layers below, of which parts are hidden by their
    // paths.
    let text = format!(
        "lowerdir={},redirect_dir=nofollow,upperdir={},workdir={}{user}",
        lower.join(":"),
        path_of(&inside.upper),
        path_of(&inside.work)
    );
    let fits = text.len() <= MOST_OPTIONS;
    CString::new(text).ok().filter(|_| fits)
}

/// The same mount, with each layer in a call of its own, which takes Linux 6.8.
fn mount_by_layer(own: &OwnedFd, inside: &Inside, parents: &[OwnedFd]) -> Result<(), Errno> {
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    let set = |key, value: &str| fsconfig_set_string(context.as_fd(), key, value);
    set("source", SOURCE)?;
    for parent in parents {
        set("lowerdir+", &path_of(parent))?;
    }
    set("redirect_dir", "nofollow")?;
    set("upperdir", &path_of(&inside.upper))?;
    set("workdir", &path_of(&inside.work))?;
    if !is_root() {
        fsconfig_set_flag(context.as_fd(), "userxattr")?;
    }
    fsconfig_create(context.as_fd())?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    let flags = FsMountFlags::FSMOUNT_CLOEXEC;
    let made = fsmount(context.as_fd(), flags, attributes)?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(made.as_fd(), "", own.as_fd(), "", flags)
}

fn path_of(directory: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", directory.as_raw_fd())
}

fn refused(path: &Path, refusal: Refusal) -> StorageError {
    StorageError::refused(path.as_os_str().as_encoded_bytes(), refusal)
}

fn failed(action: &'static str, path: &Path, errno: Errno) -> StorageError {
    StorageError::step(action, path.as_os_str().as_encoded_bytes(), errno)
}
