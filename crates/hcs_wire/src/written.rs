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
//! `setfattr -x` takes a mark away. `/` itself is never marked: a container that writes to all files of the host is
//! root there anyway. File systems without such attributes keep no mark.

use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};

use rustix::{
    fs::{AtFlags, CWD, Mode, OFlags, StatxFlags, XattrFlags, getxattr, openat, setxattr, statx},
    io::Errno,
};

/// The attribute of directories that containers of root may write to.
pub const TRUSTED: &str = "trusted.hcs.written";
/// That of directories that containers of an ordinary user may write to.
pub const OWN: &str = "user.hcs.written";

/// More directories than any path leads through: a container may move them about meanwhile.
const DEEPEST: usize = 1 << 16;

const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Whether an attribute is a mark, which is of this host and no part of a copy.
#[must_use]
pub fn is_mark(attribute: &[u8]) -> bool {
    [TRUSTED, OWN]
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
    let root = openat(CWD, "/", DIRECTORY, Mode::empty())?;
    let (own, root) = (Place::of(directory)?, Place::of(root.as_fd())?);
    if (own.device, own.inode) == (root.device, root.inode) {
        return Ok(false);
    }
    if let Some(other) = other {
        // A file system may keep one of them only.
        let _seen_by_root_alone = set(directory, other);
    }
    set(directory, attribute)
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
    let mut at = openat(directory, ".", DIRECTORY, Mode::empty())?;
    for _ in 0..DEEPEST {
        if has(at.as_fd(), TRUSTED)? || has(at.as_fd(), OWN)? {
            return Ok(true);
        }
        let above: OwnedFd = openat(&at, "..", DIRECTORY, Mode::empty())?;
        if Place::of(at.as_fd())? == Place::of(above.as_fd())? {
            return Ok(false);
        }
        at = above;
    }
    Err(Errno::LOOP)
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
    use std::fs;

    use super::*;

    fn open(path: &std::path::Path) -> OwnedFd {
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

    #[test]
    fn the_root_of_the_host_is_never_marked() {
        let root = open("/".as_ref());
        assert_eq!(mark(root.as_fd(), true), Ok(false));
        assert_eq!(is_within(root.as_fd()), Ok(false));
    }
}
