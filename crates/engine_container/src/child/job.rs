//! Work inside a running container's mounts, done by a short-lived child of the launcher: it may enter a mount
//! namespace because it has one thread only, which the service has not.

use std::{
    collections::VecDeque,
    os::fd::{AsFd, OwnedFd},
    path::PathBuf,
};

use hcs_engine::steps;
use rustix::{
    fs::{Mode, OFlags, open},
    io::Errno,
    thread::{ThreadNameSpaceType, move_into_thread_name_spaces},
};
use serde::{Deserialize, Serialize};

use super::FAILED;
use crate::{
    channel::{self, Report},
    failure::{Attempt, StepError},
    parts::{identity, mapped, scratch},
    spec::MappedSpec,
    steps::done,
};

/// What to do. The pidfd of the container's pid 1 comes with it, and its user namespace if it has one.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ChildJob {
    /// Show something of the host in the container.
    Map(MappedSpec),
    /// Take it away again.
    Unmap(MappedSpec),
    /// Remove a scratch, as root of the user namespace this runs in.
    Remove(PathBuf),
}

/// Does what the channel says and reports; answers the exit code.
pub(crate) fn run(channel: &OwnedFd) -> i32 {
    let (result, steps) = steps::watch(|| work(channel));
    let report = Report::of(result, &steps);
    channel::report(channel.as_fd(), &report);
    if report.failed.is_none() { 0 } else { FAILED }
}

fn work(channel: &OwnedFd) -> Result<(), StepError> {
    super::leave_launcher()?;
    rustix::thread::set_no_new_privs(true).step("setting no_new_privs")?;
    let (job, descriptors) = channel::receive(channel.as_fd())?;
    match job {
        ChildJob::Map(spec) => {
            let inside = Inside::of(descriptors)?;
            let taken = mapped::take(&spec)?;
            if let Some(namespace) = &inside.namespace {
                taken.shift_into(namespace.as_fd())?;
            }
            mapped::cover_unmounted(&taken)?;
            done("took what is to be mapped");
            mapped::put(&taken, inside.enter()?.as_fd())
        }
        ChildJob::Unmap(spec) => {
            let inside = Inside::of(descriptors)?;
            let own_descriptors = directory("/proc/self/fd")?;
            mapped::undo(&spec, inside.enter()?.as_fd(), own_descriptors.as_fd())
        }
        ChildJob::Remove(directory) => {
            identity::become_root(false)?;
            scratch::undo(&directory)
        }
    }
}

const ENTERING: &str = "entering the container's mounts";

/// The way into a container.
struct Inside {
    container: OwnedFd,
    namespace: Option<OwnedFd>,
}

impl Inside {
    fn of(mut descriptors: VecDeque<OwnedFd>) -> Result<Self, StepError> {
        let missing = || StepError::new(ENTERING, Errno::BADF);
        Ok(Self {
            container: descriptors.pop_front().ok_or_else(missing)?,
            namespace: descriptors.pop_front(),
        })
    }

    /// Enters; answers the container's root.
    fn enter(&self) -> Result<OwnedFd, StepError> {
        let mut kinds = ThreadNameSpaceType::MOUNT;
        if self.namespace.is_some() {
            kinds |= ThreadNameSpaceType::USER;
        }
        move_into_thread_name_spaces(self.container.as_fd(), kinds).step(ENTERING)?;
        if self.namespace.is_some() {
            // Directories made on the way have to belong to a user inside.
            identity::become_root(true)?;
        }
        directory("/")
    }
}

fn directory(path: &str) -> Result<OwnedFd, StepError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    open(path, flags, Mode::empty()).step_at("opening", path)
}
