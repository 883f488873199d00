//! The directory that takes what a container writes.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    sync::Arc,
};

use hcs_storage::layer::{
    remove_tree,
    writable::{UPPER, WORK},
};
use hcs_wire::{
    holds::{self, Hold, Kind},
    trust::{Reason, Trusted},
};
use rustix::{
    fs::{AtFlags, CWD, Dir, Mode, OFlags, chmodat, fchmod, fstat, mkdirat, open},
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

/// A scratch that is kept for one container, and locked while the container lives: two that write to the same one would
/// ruin it.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) directory: Arc<OwnedFd>,
    held: Option<Hold>,
}

impl AsFd for Kept {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

impl Kept {
    /// Opens it.
    pub(crate) fn open(directory: &Path) -> Result<Self, StepError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = open(directory, flags, Mode::empty());
        Ok(Self {
            directory: Arc::new(opened.step_at("opening", directory.display().to_string())?),
            held: None,
        })
    }

    /// The same, open and not locked.
    pub(crate) fn clone_open(&self) -> Self {
        Self {
            directory: Arc::clone(&self.directory),
            held: None,
        }
    }

    /// Locks it, as long as this is held. `EBUSY` when another container has it.
    pub(crate) fn lock(&mut self, directory: &Path) -> Result<(), StepError> {
        let held = holds::take(self.directory.as_fd(), Kind::Alone);
        let held = held.map_err(|errno| match errno {
            Errno::WOULDBLOCK => Errno::BUSY,
            errno => errno,
        });
        let step = "taking, while no other container has it,";
        let held = held.step_at(step, directory.display().to_string());
        self.held = Some(held.map_err(|error| error.asked_by(POINTER))?);
        Ok(())
    }
}

/// Makes sure that no other user gets into a scratch that is kept: the root of a container is in it with everything
/// that root can make, set-user-ID programs too, and with the mode of the layers, which all may enter. Where there is
/// nothing but a scratch in it, the directory is closed; a directory with other things in it is left as it is and not
/// used.
pub(crate) fn keep_others_out(opened: BorrowedFd<'_>, directory: &Path) -> Result<(), StepError> {
    let name = || directory.display().to_string();
    let step = "examining";
    let found = fstat(opened).step_at(step, name())?;
    if found.st_uid != geteuid().as_raw() {
        // Its owner may enter it whatever its mode is.
        let step = "keeping others out, which takes a directory that belongs to the user of the service, of";
        return Err(StepError::new(step, Errno::PERM)
            .at(name())
            .asked_by(POINTER));
    }
    if found.st_mode & 0o011 == 0 {
        return Ok(());
    }
    let is_shared = found.st_mode & 0o1000 != 0;
    if !is_shared && has_only_a_scratch(opened).step_at(step, name())? {
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
fn has_only_a_scratch(directory: BorrowedFd<'_>) -> Result<bool, Errno> {
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let ours = match entry.file_name().to_bytes() {
            b"." | b".." | b"lost+found" => true,
            name => name == UPPER.as_bytes() || name == WORK.as_bytes() || name.starts_with(b"-"),
        };
        if !ours {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Removes a scratch directory and all below it. Again is fine.
///
/// The container's processes made what is in it, of any depth and with any links, and [`remove_tree`] assumes nothing.
pub(crate) fn undo(directory: &Path) -> Result<(), StepError> {
    remove_tree(directory).map_err(|errno| {
        let path = directory.display().to_string();
        StepError::new("removing the scratch", errno).at(path)
    })
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, Permissions},
        os::unix::fs::{PermissionsExt as _, chown},
    };

    use super::*;

    #[test]
    fn a_scratch_that_is_kept_is_closed_to_all_but_the_service() {
        let place = tempfile::tempdir().unwrap();
        let closed = |mode| {
            fs::set_permissions(place.path(), Permissions::from_mode(mode)).unwrap();
            let opened = fs::File::open(place.path()).unwrap();
            keep_others_out(opened.as_fd(), place.path()).map_err(|error| error.errno)?;
            Ok(fs::metadata(place.path()).unwrap().permissions().mode() & 0o7777)
        };
        assert_eq!((closed(0o700), closed(0o755)), (Ok(0o700), Ok(0o700)));
        assert_eq!(closed(0o1777), Err(Errno::PERM));
        if !geteuid().is_root() {
            return;
        }
        // A set-user-ID program in it would be one of root, for its owner to run.
        chown(place.path(), Some(4242), Some(4242)).unwrap();
        assert_eq!(closed(0o700), Err(Errno::PERM));
    }
}
