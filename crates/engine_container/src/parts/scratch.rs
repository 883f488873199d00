//! The directory that takes what a container writes.

use std::{
    ffi::CStr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    thread::sleep,
    time::{Duration, Instant},
};

use hcs_wire::trust::{Reason, Trusted};
use rustix::{
    fs::{
        AtFlags, CWD, Dir, FileType, FlockOperation, Mode, OFlags, chmodat, fchmod, flock, fstat,
        mkdirat, open, openat, renameat, unlinkat,
    },
    io::Errno,
    process::geteuid,
};

use crate::failure::{Attempt, StepError};

/// JSON pointer of the property that names a scratch to keep.
pub(crate) const POINTER: &str = "/Container/Storage/Path";

/// Makes the scratch directory `<root>/<runtime id>`, and `root` where it does not exist; only root may look inside.
pub(crate) fn make(root: &Path, directory: &Path) -> Result<(), StepError> {
    let name = |path: &Path| path.display().to_string();
    let own = "finding the scratch root to be the service's own, and writable by no other user,";
    let found = Trusted::of_process().directory(root, Some(0o700));
    let found = found.map_err(|untrusted| match untrusted.reason {
        Reason::Io(errno) => StepError::new("making the scratch root", errno).at(name(root)),
        _ => StepError::new(own, Errno::PERM).at(untrusted.to_string()),
    })?;
    let found = fstat(&found).step_at("looking at the scratch root", name(root))?;
    if found.st_uid != geteuid().as_raw() || found.st_mode & 0o022 != 0 {
        return Err(StepError::new(own, Errno::PERM).at(name(root)));
    }
    if found.st_mode & 0o077 != 0 {
        // An earlier version made it so that all may look into it.
        let step = "keeping others out of the scratch root";
        chmodat(CWD, root, Mode::RWXU, AtFlags::empty()).step_at(step, name(root))?;
    }
    mkdirat(CWD, directory, Mode::RWXU).step_at("making the scratch", name(directory))
}

/// Takes a scratch that is kept for one container, as long as the answer is held: two that write to the same one would
/// ruin it. `EBUSY` when another container has it.
pub(crate) fn lock(directory: &Path) -> Result<OwnedFd, StepError> {
    let name = || directory.display().to_string();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = open(directory, flags, Mode::empty()).step_at("opening", name())?;
    match flock(&opened, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => Err(Errno::BUSY),
        answer => answer,
    }
    .step_at("taking, while no other container has it,", name())
    .map_err(|error| error.asked_by(POINTER))?;
    Ok(opened)
}

/// Makes sure that no other user gets into a scratch that is kept: the root of a container is in it with everything that
/// root can make, set-user-ID programs too, and with the mode of the layers, which all may enter. Where there is nothing
/// but a scratch in it, the directory is closed; a directory with other things in it is left as it is and not used.
pub(crate) fn keep_others_out(opened: &OwnedFd, directory: &Path) -> Result<(), StepError> {
    let name = || directory.display().to_string();
    let step = "examining";
    let found = fstat(opened).step_at(step, name())?;
    if found.st_mode & 0o011 == 0 {
        return Ok(());
    }
    let owned = found.st_uid == geteuid().as_raw() && found.st_mode & 0o1000 == 0;
    if owned && has_only_a_scratch(opened).step_at(step, name())? {
        let step = "keeping others out of the scratch";
        let mode = Mode::from_raw_mode(found.st_mode & 0o7700);
        return fchmod(opened, mode).step_at(step, name());
    }
    let step = "keeping others out, which takes a directory of the scratch's own or one that only its owner may enter \
                (chmod go-rwx), of";
    Err(StepError::new(step, Errno::PERM)
        .at(name())
        .asked_by(POINTER))
}

/// Whether there is nothing in a directory but what containers make there.
fn has_only_a_scratch(directory: &OwnedFd) -> Result<bool, Errno> {
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let ours = match entry.file_name().to_bytes() {
            b"." | b".." | b"upper" | b"work" | b"lost+found" => true,
            name => name.starts_with(b"-"),
        };
        if !ours {
            return Ok(false);
        }
    }
    Ok(true)
}

/// [`lock`] for a container that has it already: the service before may have died a moment ago, and its descriptors are
/// not all closed at once.
pub(crate) fn lock_again(directory: &Path) -> Result<OwnedFd, StepError> {
    let end = Instant::now() + LAST_MOMENTS;
    loop {
        match lock(directory) {
            Err(error) if error.errno == Errno::BUSY && Instant::now() < end => sleep(LOOK),
            answer => return answer,
        }
    }
}

/// How long a dying process may keep its locks, and how often they are tried.
const LAST_MOMENTS: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(5);

/// Removes a scratch directory and all below it. Again is fine.
///
/// The container's processes made what is in it, so nothing is assumed: symbolic links are not followed, and a tree of
/// any depth takes no more than [`DEPTH`] descriptors, because directories deeper than that are first moved to the top.
pub(crate) fn undo(directory: &Path) -> Result<(), StepError> {
    match remove_tree(directory) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => {
            let path = directory.display().to_string();
            Err(StepError::new("removing the scratch", errno).at(path))
        }
    }
}

/// How deep removal goes down in one sweep.
const DEPTH: usize = 32;

fn remove_tree(path: &Path) -> Result<(), Errno> {
    let top = open_directory(CWD, path)?;
    let mut removal = Removal {
        top: top.as_fd(),
        moved: 0,
    };
    // What was moved to the top in one round is removed in the next.
    while removal.empty(top.as_fd(), 0)? {}
    unlinkat(CWD, path, AtFlags::REMOVEDIR)
}

/// One removal under way.
struct Removal<'a> {
    top: BorrowedFd<'a>,
    /// How many directories were moved, for their names.
    moved: u64,
}

impl Removal<'_> {
    /// Removes all entries of `directory`; `true` when it had some.
    fn empty(&mut self, directory: BorrowedFd<'_>, depth: usize) -> Result<bool, Errno> {
        let mut found = false;
        for entry in Dir::read_from(directory)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            found = true;
            while !remove_writable(directory, name, entry.file_type())? {
                if depth == DEPTH {
                    self.move_to_top(directory, name)?;
                    break;
                }
                let inner = open_closed(directory, name)?;
                self.empty(inner.as_fd(), depth + 1)?;
            }
        }
        Ok(found)
    }

    fn move_to_top(&mut self, directory: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
        loop {
            let free = format!(".hcs-removed-{}", self.moved);
            self.moved += 1;
            match renameat(directory, name, self.top, free.as_str()) {
                // The container may have guessed the name: take the next.
                Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => {}
                answer => return answer,
            }
        }
    }
}

/// Like [`remove_entry`], for the owner of `directory` also where the container has left that without the right to write.
fn remove_writable(directory: BorrowedFd<'_>, name: &CStr, kind: FileType) -> Result<bool, Errno> {
    match remove_entry(directory, name, kind) {
        Err(Errno::ACCESS) if fchmod(directory, Mode::RWXU).is_ok() => {
            remove_entry(directory, name, kind)
        }
        answer => answer,
    }
}

/// Opens a directory, for its owner also where it has no rights to it; an overlay's work directory is like that.
fn open_closed(directory: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    match open_directory(directory, name) {
        // No process is left that could put a link in its place.
        Err(Errno::ACCESS) => chmodat(directory, name, Mode::RWXU, AtFlags::empty())
            .and_then(|()| open_directory(directory, name)),
        answer => answer,
    }
}

/// Removes one entry; `false` when it is a directory that is not empty.
fn remove_entry(directory: BorrowedFd<'_>, name: &CStr, kind: FileType) -> Result<bool, Errno> {
    let flags = if kind.is_dir() {
        AtFlags::REMOVEDIR
    } else {
        AtFlags::empty()
    };
    match unlinkat(directory, name, flags) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
        // Some file systems do not tell the kind of an entry.
        Err(Errno::ISDIR) => remove_entry(directory, name, FileType::Directory),
        Err(errno) => Err(errno),
    }
}

fn open_directory(
    directory: BorrowedFd<'_>,
    name: impl rustix::path::Arg,
) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(directory, name, flags, Mode::empty())
}
