//! [`ProcessName`].

use std::os::fd::{BorrowedFd, OwnedFd};

use hcs_schema::Failure;
use serde::{Deserialize, Serialize};

use crate::{
    failure::{Attempt, StepError},
    record,
};

/// A process of this host, told from a later one with the same pid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ProcessName {
    /// Its pid.
    pub pid: i32,
    /// When it was started, in clock ticks since boot.
    pub start_time: u64,
    /// Which boot of the host that was.
    pub boot_id: String,
}

impl ProcessName {
    /// The name of a living process that the caller holds.
    ///
    /// # Errors
    /// There is no such process, or `/proc` cannot be read.
    pub fn of(pid: i32) -> Result<Self, Failure> {
        let look = || -> Result<Self, StepError> {
            let time = record::start_time(pid).ok_or(rustix::io::Errno::SRCH);
            Ok(Self {
                pid,
                start_time: time.step_at("looking at the process", pid.to_string())?,
                boot_id: record::boot_id()?,
            })
        };
        look().map_err(|error| error.into_failure("a process cannot be told from others"))
    }

    /// A pidfd of it; `None` when it is gone.
    ///
    /// # Errors
    /// Whether it lives is unknown for now.
    pub fn find(&self) -> Result<Option<OwnedFd>, Failure> {
        let found = record::find(self.pid, self.start_time, &self.boot_id);
        found.map_err(|error| error.into_failure("a process cannot be found"))
    }

    /// Whether it has ended, or is about to by itself, which is waited for, for two seconds at most. `process` is its
    /// pidfd. The kernel tells other things of such a process than of one that lives.
    #[must_use]
    pub fn is_ending(&self, process: BorrowedFd<'_>) -> bool {
        record::is_ending(process, self.pid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_found_and_another_of_its_number_is_not() {
        let own = ProcessName::of(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert!(own.find().unwrap().is_some());
        let earlier = ProcessName {
            start_time: own.start_time - 1,
            ..own.clone()
        };
        assert!(earlier.find().unwrap().is_none());
        let boot_before = ProcessName {
            boot_id: String::new(),
            ..own
        };
        assert!(boot_before.find().unwrap().is_none());
    }
}
