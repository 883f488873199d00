//! Directories of the host that containers may write to, or could: the root of a container makes symbolic links there
//! that belong to root on the host, or to the user of the service. So the owner of a link below such a directory does
//! not say that the link can be trusted, and no path that a document names is followed through one.
//!
//! The directory has a mark: an extended attribute, which stays when the container is gone, as its links do. The mark
//! goes where the directory goes. All services of the host see it.
//!
//! - A service of root sets [`TRUSTED`], which no container can remove without `CAP_SYS_ADMIN` on the host. Only a
//!   process with that right can see it. So it sets [`OWN`] as well, where it can, for services of ordinary users.
//! - That of an ordinary user sets [`OWN`]. A filter keeps containers from removing it, as long as their document does
//!   not ask for less (`AllowSetId`).
//!
//! A service of root takes no directory in such a tree for its own ([`suspect`]): its records would be what a container
//! has made up. A directory that it had before the tree was mapped is covered in each container since. So it has a mark
//! of its own ([`keep`]), which no container can make. The same goes for a tree that a container has to read ([`see`]),
//! until the host starts again and its containers are gone: they would read its records.
//!
//! A file that is mapped by itself has [`TRUSTED`] as well, where root's containers may write to it: the kernel mounts
//! no disk in it ([`is_marked_file`]).
//!
//! `setfattr -x` takes a mark away. `/` itself is never marked: a container that writes to all files of the host is
//! root there anyway. File systems without such attributes keep no mark.

use std::{
    ffi::{OsStr, OsString},
    fs, io,
    os::{
        fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd},
        unix::ffi::{OsStrExt as _, OsStringExt as _},
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{
        AtFlags, CWD, FileType, Mode, OFlags, PROC_SUPER_MAGIC, StatxFlags, XattrFlags, fstat,
        fstatfs, getxattr, openat, readlink, readlinkat, setxattr, statx,
    },
    io::Errno,
};

/// The attribute of directories that containers of root may write to.
pub const TRUSTED: &str = "trusted.hcs.written";
/// That of directories that containers of an ordinary user may write to.
pub const OWN: &str = "user.hcs.written";

/// That of directories that a service of root has taken for its own. It says in which boot.
const KEPT: &str = "trusted.hcs.own";

/// That of directories that containers of root may read. It says in which boot.
pub const SEEN: &str = "trusted.hcs.seen";

/// More directories than any path leads through: a container may move them about meanwhile.
const DEEPEST: usize = 1 << 16;

/// Links that are followed on one path, as in the kernel.
const MOST_LINKS: u32 = 40;

const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Whether an attribute is a mark, which is of this host and no part of a copy.
#[must_use]
pub fn is_mark(attribute: &[u8]) -> bool {
    [TRUSTED, OWN, KEPT, SEEN]
        .iter()
        .any(|mark| mark.as_bytes() == attribute)
}

/// Marks an open directory as one that containers of root may write to, or those of an ordinary user. Returns whether
/// it is marked then: `/` is not, nor is a directory that keeps no marks, as on some file systems, or an immutable one
/// (`chattr +i`). A directory that no process can write to needs none.
///
/// # Errors
/// Of `setxattr(2)`.
pub fn mark(directory: BorrowedFd<'_>, is_root: bool) -> Result<bool, Errno> {
    let (attribute, other) = match is_root {
        true => (TRUSTED, Some(OWN)),
        false => (OWN, None),
    };
    if has(directory, attribute)? && (other.is_none() || has(directory, OWN)?) {
        return Ok(true);
    }
    if is_root_of_host(directory)? {
        return Ok(false);
    }
    if let Some(other) = other {
        // A file system may keep one of them only.
        let _seen_by_root_alone = set(directory, other);
    }
    set(directory, attribute)
}

fn is_root_of_host(directory: BorrowedFd<'_>) -> Result<bool, Errno> {
    let root = openat(CWD, "/", DIRECTORY, Mode::empty())?;
    let (own, root) = (Place::of(directory)?, Place::of(root.as_fd())?);
    Ok((own.device, own.inode) == (root.device, root.inode))
}

/// Marks an open regular file as one that containers of root may write to. Returns whether it is marked then, as of
/// [`mark`].
///
/// # Errors
/// Of `setxattr(2)`.
pub fn mark_file(file: BorrowedFd<'_>) -> Result<bool, Errno> {
    match has(file, TRUSTED)? {
        true => Ok(true),
        false => match set(file, TRUSTED) {
            // A file that has a mapping because there is no room left for more, as a log has.
            Err(Errno::NOSPC | Errno::DQUOT | Errno::INVAL) => Ok(false),
            marked => marked,
        },
    }
}

/// Whether an open file is marked itself.
///
/// # Errors
/// Of the kernel.
pub fn is_marked_file(file: BorrowedFd<'_>) -> Result<bool, Errno> {
    has(file, TRUSTED)
}

fn set(directory: BorrowedFd<'_>, attribute: &str) -> Result<bool, Errno> {
    match setxattr(path(directory), attribute, b"y", XattrFlags::empty()) {
        // On a file system that no process can write to, no link comes.
        Ok(()) | Err(Errno::ROFS) => Ok(true),
        // A directory that the user's containers cannot write to, one like `/tmp`, or an immutable one; FUSE may refuse
        // root, too.
        Err(Errno::OPNOTSUPP | Errno::PERM | Errno::ACCESS) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Whether an open directory, or one that it lies in, is marked.
///
/// # Errors
/// Of the kernel. `ELOOP`: there is no end to the directories above.
pub fn is_within(directory: BorrowedFd<'_>) -> Result<bool, Errno> {
    let end = |at: BorrowedFd<'_>| Ok(is_marked(at)?.then_some(()));
    upwards(directory, end).map(|found| found.is_some())
}

fn is_marked(directory: BorrowedFd<'_>) -> Result<bool, Errno> {
    Ok(has(directory, TRUSTED)? || has(directory, OWN)?)
}

/// What `look` finds first at an open directory and those that it lies in.
fn upwards<T>(
    directory: BorrowedFd<'_>,
    look: impl Fn(BorrowedFd<'_>) -> Result<Option<T>, Errno>,
) -> Result<Option<T>, Errno> {
    let mut at = openat(directory, ".", DIRECTORY, Mode::empty())?;
    for _ in 0..DEEPEST {
        if let Some(found) = look(at.as_fd())? {
            return Ok(Some(found));
        }
        let above: OwnedFd = openat(&at, "..", DIRECTORY, Mode::empty())?;
        if Place::of(at.as_fd())? == Place::of(above.as_fd())? {
            return Ok(None);
        }
        at = above;
    }
    Err(Errno::LOOP)
}

/// Opens what `path` leads to as a mere path, by all links but those in marked directories, which containers make.
///
/// # Errors
/// Of the kernel. `ELOOP`: there is such a link on the way, or there are too many.
pub fn reach(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let parts = |path: &Path| -> Vec<OsString> {
        let parts = path.components().rev().map(|part| part.as_os_str());
        parts.map(OsStr::to_owned).collect()
    };
    let mut left = parts(path);
    if left.is_empty() {
        return Err(Errno::NOENT);
    }
    let mut at = openat(CWD, ".", DIRECTORY, Mode::empty())?;
    let mut links = 0;
    while let Some(part) = left.pop() {
        let found = openat(&at, &*part, flags | OFlags::NOFOLLOW, Mode::empty())?;
        if !FileType::from_raw_mode(fstat(&found)?.st_mode).is_symlink() {
            at = found;
            continue;
        }
        links += 1;
        if links > MOST_LINKS || is_within(at.as_fd())? {
            return Err(Errno::LOOP);
        }
        if fstatfs(&found)?.f_type == PROC_SUPER_MAGIC {
            // The text of a magic one is no path.
            at = openat(&at, &*part, flags, Mode::empty())?;
            continue;
        }
        let target = readlinkat(&found, "", Vec::new())?;
        left.extend(parts(Path::new(OsStr::from_bytes(target.as_bytes()))));
    }
    Ok(at)
}

/// For how long a directory of a service is known to be its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// As long as it is there: nothing in it is believed.
    Always,
    /// In the boot in which a service has last taken it: records are in it. Before a service starts again, containers
    /// of another one may see it.
    InThisBoot,
}

/// A directory with a mark of containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Suspect {
    /// They may write to it, or could.
    Written(PathBuf),
    /// They may read it, or could since the host started.
    Seen(PathBuf),
}

/// The directory with a mark of containers that `path`, a directory of a service of root, is in or would be made in.
/// `None` where there is no such one, or where the directory was the service's own before containers came there.
///
/// # Errors
/// What was refused.
pub fn suspect(path: &Path, kept: Kept) -> io::Result<Option<Suspect>> {
    for path in path.ancestors() {
        match openat(CWD, path, DIRECTORY, Mode::empty()) {
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno.into()),
            Ok(directory) => return suspect_at(directory.as_fd(), kept),
        }
    }
    Ok(None)
}

/// The same for an open directory, whatever its path leads to meanwhile.
///
/// # Errors
/// What was refused.
pub fn suspect_at(directory: BorrowedFd<'_>, kept: Kept) -> io::Result<Option<Suspect>> {
    let boot = boot()?;
    let end = |directory: BorrowedFd<'_>| {
        if is_kept(directory, kept, &boot)? {
            return Ok(Some(None));
        }
        let suspect: fn(PathBuf) -> Suspect = match is_marked(directory)? {
            true => Suspect::Written,
            false if is_of(directory, SEEN, &boot)? => Suspect::Seen,
            false => return Ok(None),
        };
        let there = readlink(path(directory), Vec::new())?;
        let there = PathBuf::from(OsString::from_vec(there.into_bytes()));
        Ok(Some(Some(suspect(there))))
    };
    Ok(upwards(directory, end)?.flatten())
}

/// Marks an open directory as one that a service of root has taken for its own, and that containers of all services are
/// kept from. One that has the mark is left as it is: its file system may take no writes for a while. Where there can
/// be no such mark, there are none of containers either.
///
/// # Errors
/// What was refused.
pub fn keep(directory: BorrowedFd<'_>, kept: Kept) -> io::Result<()> {
    let boot = boot()?;
    if is_kept(directory, kept, &boot)? {
        return Ok(());
    }
    match setxattr(path(directory), KEPT, boot.as_bytes(), XattrFlags::empty()) {
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::PERM | Errno::ROFS) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Marks an open directory as one that containers of root may read, in this boot, where it can be marked and is not
/// `/`.
///
/// # Errors
/// What was refused.
pub fn see(directory: BorrowedFd<'_>) -> io::Result<()> {
    let boot = boot()?;
    if is_of(directory, SEEN, &boot)? || is_root_of_host(directory)? {
        return Ok(());
    }
    match setxattr(path(directory), SEEN, boot.as_bytes(), XattrFlags::empty()) {
        // Reading takes no room.
        Ok(()) | Err(Errno::NOSPC | Errno::DQUOT) => Ok(()),
        Err(Errno::OPNOTSUPP | Errno::PERM | Errno::ACCESS | Errno::ROFS) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

fn is_kept(directory: BorrowedFd<'_>, kept: Kept, boot: &str) -> Result<bool, Errno> {
    match kept {
        Kept::Always => has(directory, KEPT),
        Kept::InThisBoot => is_of(directory, KEPT, boot),
    }
}

/// Whether the attribute is there, of this boot.
fn is_of(directory: BorrowedFd<'_>, attribute: &str, boot: &str) -> Result<bool, Errno> {
    let mut found = [0; 64];
    match getxattr(path(directory), attribute, &mut found) {
        Ok(length) => Ok(found.get(..length) == Some(boot.as_bytes())),
        // A longer one is no boot.
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::ACCESS | Errno::PERM | Errno::RANGE) => {
            Ok(false)
        }
        Err(errno) => Err(errno),
    }
}

/// The kernel's name for this boot.
fn boot() -> io::Result<String> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    Ok(text.trim().to_owned())
}

/// Where a directory is: the same one may be mounted at several places.
#[derive(PartialEq, Eq)]
struct Place {
    mount: u64,
    device: (u32, u32),
    inode: u64,
}

impl Place {
    fn of(directory: BorrowedFd<'_>) -> Result<Self, Errno> {
        let wanted = StatxFlags::INO | StatxFlags::MNT_ID;
        let found = statx(directory, "", AtFlags::EMPTY_PATH, wanted)?;
        Ok(Self {
            mount: found.stx_mnt_id,
            device: (found.stx_dev_major, found.stx_dev_minor),
            inode: found.stx_ino,
        })
    }
}

fn has(directory: BorrowedFd<'_>, attribute: &str) -> Result<bool, Errno> {
    match getxattr(path(directory), attribute, &mut [0_u8; 0][..]) {
        Ok(_) => Ok(true),
        // A directory that this user may not read is none of the user's, and its links are not followed by owner.
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::ACCESS | Errno::PERM) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// A path of an open directory, for calls that take no `O_PATH` descriptor.
fn path(directory: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", directory.as_raw_fd())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &Path) -> OwnedFd {
        openat(CWD, path, DIRECTORY, Mode::empty()).unwrap()
    }

    #[test]
    fn a_mark_holds_for_all_below_and_goes_with_its_directory() {
        let place = tempfile::tempdir_in("/var/tmp").unwrap();
        let at = |name: &str| place.path().join(name);
        fs::create_dir_all(at("tree/below/deep")).unwrap();
        fs::create_dir(at("beside")).unwrap();
        let is_root = rustix::process::geteuid().is_root();
        let within = |name: &str| is_within(open(&at(name)).as_fd()).unwrap();
        assert!(!within("tree/below/deep"));
        if !mark(open(&at("tree")).as_fd(), is_root).unwrap() {
            // A file system without such attributes, or no right to them.
            return;
        }
        assert_eq!(mark(open(&at("tree")).as_fd(), is_root), Ok(true));
        for name in ["tree", "tree/below", "tree/below/deep"] {
            assert!(within(name), "{name}");
        }
        assert!(!within("beside") && !within(""));
        fs::rename(at("tree"), at("beside/moved")).unwrap();
        assert!(within("beside/moved/below") && !within("beside"));
    }

    #[test]
    fn services_of_ordinary_users_see_the_mark_of_root() {
        let place = tempfile::tempdir_in("/var/tmp").unwrap();
        let tree = open(place.path());
        let keeps_own = set(tree.as_fd(), OWN).unwrap();
        if !mark(tree.as_fd(), true).unwrap() || !keeps_own {
            return;
        }
        // That of an earlier release had one mark only.
        rustix::fs::removexattr(path(tree.as_fd()), OWN).unwrap();
        assert_eq!(mark(tree.as_fd(), true), Ok(true));
        assert_eq!(has(tree.as_fd(), OWN), Ok(true));
    }

    /// As root, whose services alone have such a mark.
    #[test]
    fn a_directory_in_a_tree_of_containers_is_suspect_unless_it_was_kept_before() {
        let place = tempfile::tempdir_in("/var/tmp").unwrap();
        let at = |name: &str| place.path().join(name);
        fs::create_dir_all(at("tree/before")).unwrap();
        let tree = open(&at("tree"));
        if !rustix::process::geteuid().is_root() || !set(tree.as_fd(), TRUSTED).unwrap() {
            return;
        }
        rustix::fs::removexattr(path(tree.as_fd()), TRUSTED).unwrap();
        let suspect = |name: &str| suspect(&at(name), Kept::InThisBoot).unwrap();
        assert_eq!(suspect("tree/before"), None);
        keep(open(&at("tree/before")).as_fd(), Kept::InThisBoot).unwrap();
        mark(tree.as_fd(), true).unwrap();
        let marked = Suspect::Written(fs::canonicalize(at("tree")).unwrap());
        for name in ["tree", "tree/none/below", "tree/later"] {
            assert_eq!(suspect(name), Some(marked.clone()), "{name}");
        }
        for name in ["tree/before", "tree/before/scratch", "beside"] {
            assert_eq!(suspect(name), None, "{name}");
        }
        // Of another boot.
        let before = open(&at("tree/before"));
        setxattr(path(before.as_fd()), KEPT, b"x", XattrFlags::empty()).unwrap();
        assert_eq!(suspect("tree/before"), Some(marked));
        let always = super::suspect(&at("tree/before"), Kept::Always);
        assert_eq!(always.unwrap(), None);
    }

    /// Row K11. As root.
    #[test]
    fn a_directory_in_a_tree_that_containers_read_is_suspect_in_this_boot() {
        let place = tempfile::tempdir_in("/var/tmp").unwrap();
        let at = |name: &str| place.path().join(name);
        fs::create_dir_all(at("tree/before")).unwrap();
        let tree = open(&at("tree"));
        see(tree.as_fd()).unwrap();
        let boot = boot().unwrap();
        if !is_of(tree.as_fd(), SEEN, &boot).unwrap() {
            return;
        }
        let suspect = |name: &str| suspect(&at(name), Kept::InThisBoot).unwrap();
        let seen = Suspect::Seen(fs::canonicalize(at("tree")).unwrap());
        for name in ["tree", "tree/before", "tree/none/below"] {
            assert_eq!(suspect(name), Some(seen.clone()), "{name}");
        }
        // No link in it is a container's.
        assert_eq!(is_within(tree.as_fd()), Ok(false));
        keep(open(&at("tree/before")).as_fd(), Kept::InThisBoot).unwrap();
        assert_eq!(suspect("tree/before"), None);
        // Containers of another boot are gone.
        setxattr(path(tree.as_fd()), SEEN, b"x", XattrFlags::empty()).unwrap();
        assert_eq!(suspect("tree/none/below"), None);
    }

    #[test]
    fn the_root_of_the_host_is_never_marked() {
        let root = open("/".as_ref());
        see(root.as_fd()).unwrap();
        assert_eq!(has(root.as_fd(), SEEN), Ok(false));
        assert_eq!(mark(root.as_fd(), true), Ok(false));
        assert_eq!(is_within(root.as_fd()), Ok(false));
    }
}
