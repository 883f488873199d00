//! Mounts of the host that a service which runs as root makes for a container with a user namespace.
//!
//! The container's root is no user of the host: it could not walk to most layers, and files there belong to others. So
//! the service takes a second view of each: files that belong to id 0 on the disk belong to the container's
//! root there (an idmapped mount). It hands that over as a descriptor. What the container writes has the ids on the
//! disk that it has inside.
//!
//! A file system that cannot shift owners is handed over as it is: all files belong to `nobody` then, and may be read
//! where all users may. What is mapped has its owners shifted only when the document asks for it.
//!
//! `handing.rs` makes them all; here are their shifted owners, and what the child takes.

use std::{
    collections::VecDeque,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::io::Errno;

use super::mount;
use crate::{
    failure::{Attempt, StepError},
    sys::mount::shift_owners,
};

/// What a file system that cannot shift owners fails at, where it has to.
pub(crate) const UNSHIFTABLE: &str =
    "shifting owners (ShiftOwners), which a file system there cannot do, of";

/// A second view of a directory, mounted nowhere, and whether its owners are shifted.
pub(super) fn view(
    directory: &OwnedFd,
    namespace: BorrowedFd<'_>,
) -> Result<(OwnedFd, bool), Errno> {
    let view = mount::clone_tree(directory.as_fd(), "", false)?;
    let shifted = if_possible(shift_owners(view.as_fd(), namespace, false))?;
    Ok((view, shifted))
}

/// Has the owners of something mapped shifted, where its file systems can.
pub(crate) fn shift(tree: BorrowedFd<'_>, namespace: BorrowedFd<'_>) -> Result<bool, StepError> {
    if_possible(shift_owners(tree, namespace, true)).step("shifting owners")
}

/// `false` where the file system cannot.
fn if_possible(shifted: Result<(), Errno>) -> Result<bool, Errno> {
    match shifted {
        Ok(()) => Ok(true),
        Err(Errno::INVAL | Errno::PERM | Errno::OPNOTSUPP) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// The child's side: what was handed over, taken in order.
#[derive(Debug, Default)]
pub(crate) struct Handed(pub(crate) VecDeque<OwnedFd>);

impl Handed {
    /// The next one.
    pub(crate) fn take(&mut self) -> Result<OwnedFd, StepError> {
        let step = "taking a mount of the host that should have been handed over";
        self.0
            .pop_front()
            .ok_or_else(|| StepError::new(step, Errno::BADF))
    }
}
