//! Freezing, killing and removing what is in a container's groups.

use std::{
    collections::BTreeSet,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};

use super::{ControlGroups, Home, detect::Controller, files, remove_directory};
use crate::failure::{Attempt, StepError};

/// How long the kernel may take to freeze, or to let go of a dead process.
const PATIENCE: Duration = Duration::from_secs(2);

impl ControlGroups {
    /// Whether there is a group to freeze by: a service of an ordinary user has none.
    pub(crate) fn can_freeze(&self) -> bool {
        self.unified.is_some() || self.home(Controller::Freezer).is_some()
    }

    /// Freezes every process, or lets them go on, and waits until that is so.
    ///
    /// # Errors
    /// The kernel refused, or did not do it within two seconds (a process waits for a device).
    pub(crate) fn freeze(&self, frozen: bool) -> Result<(), StepError> {
        if let Some(unified) = &self.unified {
            let value = if frozen { "1" } else { "0" };
            files::write(unified, "cgroup.freeze", value)?;
            return wait_until(unified, "freezing the control group", || {
                let events = files::read(unified, "cgroup.events")?;
                Ok(files::value_of(&events, "frozen") == Some(u64::from(frozen)))
            });
        }
        let Some(Home::V1(directory)) = self.home(Controller::Freezer) else {
            return Err(StepError::new(
                "looking for a control group that can freeze",
                Errno::OPNOTSUPP,
            ));
        };
        let state = if frozen { "FROZEN" } else { "THAWED" };
        files::write(directory, "freezer.state", state)?;
        wait_until(directory, "freezing the control group", || {
            Ok(files::read(directory, "freezer.state")?.trim() == state)
        })
    }

    /// Whether processes are frozen or being frozen; `None` where nothing freezes, or the groups are gone.
    pub(crate) fn is_frozen(&self) -> Option<bool> {
        if let Some(unified) = &self.unified {
            return Some(files::read(unified, "cgroup.freeze").ok()?.trim() == "1");
        }
        let Some(Home::V1(directory)) = self.home(Controller::Freezer) else {
            return None;
        };
        Some(files::read(directory, "freezer.state").ok()?.trim() != "THAWED")
    }

    /// Lets frozen processes go on, without waiting for it: one that was killed while it was frozen has to, to die.
    pub(crate) fn thaw(&self) {
        if let Some(unified) = &self.unified {
            let _gone = files::write(unified, "cgroup.freeze", "0");
        } else if let Some(Home::V1(directory)) = self.home(Controller::Freezer) {
            let _gone = files::write(directory, "freezer.state", "THAWED");
        }
    }

    /// Kills every process in the groups, without waiting for their end.
    ///
    /// # Errors
    /// The kernel refused.
    pub(crate) fn kill(&self) -> Result<(), StepError> {
        for directory in self.directories() {
            kill_members(directory)?;
        }
        Ok(())
    }

    /// Whether any process is in any of the groups.
    fn is_populated(&self) -> bool {
        self.directories()
            .any(|directory| !members(directory).is_empty())
    }

    /// Removes the groups of a container that is gone, waiting a little for dead processes to be gone. Again is fine.
    ///
    /// # Errors
    /// As for [`ControlGroups::clear`].
    pub(crate) fn remove(&self) -> Result<(), StepError> {
        match self.remove_empty() {
            // It is not known what that may be.
            Err(error) if error.errno == Errno::BUSY => self.clear(),
            answer => answer,
        }
    }

    fn remove_empty(&self) -> Result<(), StepError> {
        self.remove_by(Instant::now() + PATIENCE)
    }

    /// Removes the groups, which are empty by then.
    ///
    /// # Errors
    /// `EBUSY`: one of them is not. Else the refusal of the kernel.
    pub(crate) fn remove_by(&self, end: Instant) -> Result<(), StepError> {
        let step = "removing the control group";
        for directory in self.directories() {
            wait_by(end, directory, step, || {
                remove_directory(directory).step_at(step, directory.display().to_string())
            })?;
        }
        Ok(())
    }

    /// Kills what lives in the groups, then removes them.
    ///
    /// # Errors
    /// A group is still in use after two seconds, or the kernel refused.
    pub(crate) fn clear(&self) -> Result<(), StepError> {
        self.end()?;
        self.remove_empty()
    }

    /// Kills what lives in the groups, without waiting for its end.
    ///
    /// # Errors
    /// The kernel refused.
    pub(crate) fn end(&self) -> Result<(), StepError> {
        if self.is_populated() {
            self.kill()?;
            self.thaw();
        }
        Ok(())
    }
}

/// Pids of one group, as far as the caller's pid namespace sees them.
pub(super) fn members(directory: &Path) -> BTreeSet<i32> {
    let text = files::read(directory, "cgroup.procs").unwrap_or_default();
    text.lines()
        .filter_map(|line| line.parse().ok())
        .filter(|pid| *pid > 0)
        .collect()
}

/// Kills the members of one group: all at once where the kernel can (Linux 5.14), else one by one until none is new.
fn kill_members(directory: &Path) -> Result<(), StepError> {
    if directory.join("cgroup.kill").exists() {
        return files::write(directory, "cgroup.kill", "1");
    }
    let mut killed = BTreeSet::new();
    loop {
        let new: Vec<i32> = members(directory).difference(&killed).copied().collect();
        if new.is_empty() {
            return Ok(());
        }
        for pid in new {
            kill_member(directory, pid).step_at("killing process", pid.to_string())?;
            killed.insert(pid);
        }
    }
}

/// Kills `pid` if it is a member: it is held by a descriptor before membership is looked at again, so that a process
/// that took over the number meanwhile is not hit.
fn kill_member(directory: &Path, pid: i32) -> Result<(), Errno> {
    let Some(number) = Pid::from_raw(pid) else {
        return Ok(());
    };
    let process = match pidfd_open(number, PidfdFlags::empty()) {
        Err(Errno::SRCH) => return Ok(()),
        answer => answer?,
    };
    if !members(directory).contains(&pid) {
        return Ok(());
    }
    match pidfd_send_signal(&process, Signal::KILL) {
        Err(Errno::SRCH) => Ok(()),
        answer => answer,
    }
}

/// Waits for the kernel: it tells of none of these changes in a way that works on both versions, so this looks again
/// after pauses that grow from a fraction of a millisecond.
fn wait_until(
    directory: &Path,
    step: &'static str,
    done: impl FnMut() -> Result<bool, StepError>,
) -> Result<(), StepError> {
    wait_by(Instant::now() + PATIENCE, directory, step, done)
}

/// The same, until `end`.
fn wait_by(
    end: Instant,
    directory: &Path,
    step: &'static str,
    mut done: impl FnMut() -> Result<bool, StepError>,
) -> Result<(), StepError> {
    let mut pause = Duration::from_micros(100);
    while !done()? {
        if Instant::now() > end {
            return Err(StepError::new(step, Errno::BUSY).at(directory.display().to_string()));
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
    Ok(())
}
