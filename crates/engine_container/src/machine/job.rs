//! Sending a child of the launcher into a running container.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    time::Duration,
};

use rustix::{
    io::Errno,
    process::{Signal, pidfd_send_signal},
};

use crate::{
    channel,
    child::job::ChildJob,
    failure::StepError,
    launcher::{
        Launcher,
        protocol::{Child, LauncherAnswer},
    },
    parts::scratch,
    privilege::Privilege,
    user_namespace::{self, Mapping},
};

/// A job is a handful of system calls; the limit only ends a hang (a mapped directory on a dead server).
const LIMIT: Duration = Duration::from_secs(30);

/// Removes a scratch. What an ordinary user's container wrote as another user than its root, only such a user can
/// remove: a helper with the same ids, launched for `user`.
///
/// # Errors
/// The step that failed.
pub(crate) fn remove_scratch(
    (launcher, user): (&Launcher, u32),
    directory: &Path,
) -> Result<(), StepError> {
    match scratch::undo(directory) {
        Err(error)
            if matches!(error.errno, Errno::PERM | Errno::ACCESS)
                && Privilege::own() == Privilege::User =>
        {
            let (ours, child) = launcher.launch(&Child::Job { new_user: true }, user)?;
            let found = user_namespace::Child::find(child.pid, child.pidfd.as_fd())?;
            found.map(&Mapping::of_user())?;
            let job = ChildJob::Remove(directory.to_owned());
            wait(&ours, &child, &job, &[])
        }
        answer => answer,
    }
}

/// Has `job` done for a user in the container whose pid 1 is `container`, and waits for it. `namespace` is its user
/// namespace, if it has one.
///
/// # Errors
/// The step that failed.
pub(super) fn run(
    (launcher, user): (&Launcher, u32),
    container: BorrowedFd<'_>,
    namespace: Option<BorrowedFd<'_>>,
    job: &ChildJob,
) -> Result<(), StepError> {
    let (ours, child) = launcher.launch(&Child::Job { new_user: false }, user)?;
    let mut descriptors = vec![container];
    descriptors.extend(namespace);
    wait(&ours, &child, job, &descriptors)
}

/// Tells a helper what to do and waits for it.
fn wait(
    ours: &OwnedFd,
    child: &LauncherAnswer,
    job: &ChildJob,
    descriptors: &[BorrowedFd<'_>],
) -> Result<(), StepError> {
    let report = channel::instruct(ours.as_fd(), job, descriptors)
        .and_then(|()| channel::read_report(ours, LIMIT));
    match report {
        Ok(Some(report)) => report.heard(),
        Ok(None) => Err(StepError::new("running a helper", Errno::CONNRESET)),
        Err(error) => {
            let _gone = pidfd_send_signal(&child.pidfd, Signal::KILL);
            Err(error)
        }
    }
}
