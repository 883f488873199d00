//! Work inside a running container's mounts, done by a short-lived child of the launcher: it may enter a mount
//! namespace because it has one thread only, which the service has not.

use std::os::fd::{AsFd, OwnedFd};

use rustix::{
    fs::{Mode, OFlags, open},
    io::Errno,
    thread::{ThreadNameSpaceType, move_into_thread_name_spaces},
};
use serde::{Deserialize, Serialize};

use super::{FAILED, spec::MappedSpec};
use crate::{
    channel::{self, Report},
    failure::{Attempt, StepError},
    parts::{handed, identity, mapped},
};

/// What to do. The pidfd of the container's pid 1 comes with it, and its user namespace if it has one.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Errand {
    /// Show something of the host in the container.
    Map(MappedSpec),
    /// Take it away again.
    Unmap(MappedSpec),
}

/// Does what the channel says and reports; answers the exit code.
pub(crate) fn run(channel: &OwnedFd) -> i32 {
    let report = match work(channel) {
        Ok(()) => Report::Ready,
        Err(error) => Report::Failed(error),
    };
    channel::report(channel.as_fd(), &report);
    if report == Report::Ready { 0 } else { FAILED }
}

fn work(channel: &OwnedFd) -> Result<(), StepError> {
    super::leave_launcher()?;
    let (errand, mut descriptors) = channel::receive(channel.as_fd())?;
    let step = "entering the container's mounts";
    let container = descriptors
        .pop_front()
        .ok_or_else(|| StepError::new(step, Errno::BADF))?;
    let namespace = descriptors.pop_front();
    let own_descriptors = directory("/proc/self/fd")?;
    let enter = || {
        let mut kinds = ThreadNameSpaceType::MOUNT;
        if namespace.is_some() {
            kinds |= ThreadNameSpaceType::USER;
        }
        move_into_thread_name_spaces(container.as_fd(), kinds).step(step)?;
        if namespace.is_some() {
            // What is made on the way has to belong to somebody inside.
            identity::become_root(true)?;
        }
        directory("/")
    };
    match errand {
        Errand::Map(spec) => {
            let taken = mapped::take(&spec)?;
            if let Some(namespace) = &namespace {
                handed::shift(taken.tree(), namespace.as_fd())?;
            }
            mapped::put(&taken, enter()?.as_fd())
        }
        Errand::Unmap(spec) => mapped::undo(&spec, enter()?.as_fd(), own_descriptors.as_fd()),
    }
}

fn directory(path: &str) -> Result<OwnedFd, StepError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    open(path, flags, Mode::empty()).step_at("opening", path)
}
