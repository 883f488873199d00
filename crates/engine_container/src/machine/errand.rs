//! Sending a child of the launcher into a running container.

use std::{
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

use rustix::{
    io::Errno,
    process::{Signal, pidfd_send_signal},
};

use crate::{
    channel::{self, Report},
    child::errand::Errand,
    failure::StepError,
    launcher::{
        Launcher,
        protocol::{Child, Request},
    },
};

/// An errand is a handful of system calls; the limit only ends a hang (a mapped directory on a dead server).
const LIMIT: Duration = Duration::from_secs(30);

/// Has `errand` done in the container whose pid 1 is `container`, and waits for it. `namespace` is its user namespace,
/// if it has one.
///
/// # Errors
/// The step that failed.
pub(super) fn run(
    launcher: &Launcher,
    container: BorrowedFd<'_>,
    namespace: Option<BorrowedFd<'_>>,
    errand: &Errand,
) -> Result<(), StepError> {
    let (ours, theirs) = channel::open()?;
    let child = launcher.launch(&Request {
        channel: theirs.as_fd(),
        child: Child::Errand,
    })?;
    drop(theirs);
    let mut descriptors = vec![container];
    descriptors.extend(namespace);
    let report = channel::instruct(ours.as_fd(), errand, &descriptors)
        .and_then(|()| channel::read_report(&ours, LIMIT));
    match report {
        Ok(Some(Report::Ready)) => Ok(()),
        Ok(Some(Report::Failed(error))) => Err(error),
        Ok(None) => Err(StepError::new("running a helper", Errno::CONNRESET)),
        Err(error) => {
            let _gone = pidfd_send_signal(&child.pidfd, Signal::KILL);
            Err(error)
        }
    }
}
