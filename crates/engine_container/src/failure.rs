//! What failed at which step, and how a caller of HCS is told.

use std::{borrow::Cow, io};

use hcs_schema::{Cause, Failure, HResult, Record};
use hcs_wire::errno::{IN_FLIGHT, NO_ROOM_FOR_FILTERS, UNCOMPILED};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::steps;

/// The step that makes a control group.
pub(crate) const MAKING_GROUP: &str = "making the control group";

/// The step that mounts the overlay of a root file system.
pub(crate) const MOUNTING_LAYERS: &str = "mounting the layers over";

/// The step that opens the directory of a volume, and takes a view of it.
pub(crate) const TAKING_VOLUME: &str = "taking the directory of the volume";

/// The step that makes the first process of a container.
pub(crate) const CLONING: &str = "cloning a process into new namespaces";

/// The steps that install filters of system calls.
pub(crate) const INSTALLING_FILTER: &str = "installing the system call filter";
pub(crate) const INSTALLING_MODES: &str = "installing the filter of file modes";

/// One step that the host refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{step}{}: {errno}", self.on_path())]
pub(crate) struct StepError {
    /// What was being done, to read on with a path: "mounting the overlay on".
    pub(crate) step: Cow<'static, str>,
    /// What it was done to.
    pub(crate) path: Option<String>,
    /// What the kernel answered.
    #[serde(with = "errno_number")]
    pub(crate) errno: Errno,
    /// JSON pointer to the property of the document that asked for it.
    pub(crate) pointer: Option<String>,
}

impl StepError {
    pub(crate) const fn new(step: &'static str, errno: Errno) -> Self {
        Self {
            step: Cow::Borrowed(step),
            path: None,
            errno,
            pointer: None,
        }
    }

    /// Says on what it failed.
    pub(crate) fn at(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Says which property of the document asked for it, where no earlier caller has.
    pub(crate) fn asked_by(mut self, pointer: &str) -> Self {
        self.pointer.get_or_insert_with(|| pointer.to_owned());
        self
    }

    fn on_path(&self) -> String {
        self.path
            .as_ref()
            .map_or_else(String::new, |path| format!(" {path}"))
    }

    /// This without what it was done to, which a client may have named.
    pub(crate) fn recorded(&self) -> String {
        format!("{}: {}", self.step, self.errno)
    }

    /// The failure of the call, which `summary` names.
    pub(crate) fn into_failure(self, summary: impl Into<Cow<'static, str>>) -> Failure {
        steps::failed(&self);
        let mut failure = Failure::new(hresult_of(self.errno), summary);
        let way_out = self.way_out();
        failure.causes.push(self.into_cause());
        match way_out {
            Some(way_out) => failure.cause(way_out),
            None => failure,
        }
    }

    /// What to do about a failure whose system call does not tell.
    fn way_out(&self) -> Option<&'static str> {
        match (&*self.step, self.errno) {
            (MAKING_GROUP, Errno::ROFS | Errno::ACCESS | Errno::PERM) => Some(
                "the service may make no control groups where it runs, as inside of a container whose /sys/fs/cgroup can \
                 only be read: run hcs on the host, or where /sys/fs/cgroup can be written",
            ),
            (CLONING, Errno::NOSYS | Errno::PERM) => Some(
                "namespaces are refused where the service runs: by a filter of system calls, as in a container or in a unit \
                 with RestrictNamespaces=, or by settings of the host (kernel.unprivileged_userns_clone, \
                 kernel.apparmor_restrict_unprivileged_userns): run hcs on the host, or where they are allowed",
            ),
            (CLONING, Errno::NOSPC | Errno::USERS) => Some(
                "the host allows no more namespaces: the limits are the settings user.max_user_namespaces and those beside \
                 it (sysctl), and how deep namespaces are nested",
            ),
            (MOUNTING_LAYERS, Errno::INVAL | Errno::OPNOTSUPP) => Some(
                "the file system there cannot hold what a container writes, as an overlay, NFS and FAT cannot: name a \
                 directory on ext4, XFS, Btrfs or tmpfs (Storage.Path, --scratch), or leave it out",
            ),
            (MOUNTING_LAYERS, Errno::TOOBIG) => Some(
                "as many layers as these take Linux 6.8 or newer: join some of them to one, or run hcs on a newer kernel",
            ),
            (TAKING_VOLUME, Errno::BUSY) => Some(
                "its path leads to the root directory itself, by a symbolic link in a layer, and a volume has to be a \
                 directory below that: name another directory, or leave the volume out",
            ),
            (INSTALLING_FILTER | INSTALLING_MODES, UNCOMPILED) => Some(NO_ROOM_FOR_FILTERS),
            (_, Errno::TOOMANYREFS) => Some(IN_FLIGHT),
            _ => None,
        }
    }

    /// This as one cause of a failure.
    pub(crate) fn into_cause(self) -> Cause {
        Cause {
            record: Record::of(self.recorded()),
            message: self.to_string(),
            data: self.path.into_iter().collect(),
            pointer: self.pointer,
        }
    }
}

/// The HRESULT of a step of the engine. `EINVAL` means that the kernel cannot do it here, not that a client is wrong:
/// no argument of a client reaches a step unchecked. `EISDIR` is about what covers what, not about rights as at
/// `execve(2)`. A step that times out waited for the launcher or the agent.
fn hresult_of(errno: Errno) -> HResult {
    match errno {
        Errno::INVAL | Errno::ISDIR => HResult::E_FAIL,
        Errno::TIMEDOUT => HResult::HCS_E_CONNECTION_TIMEOUT,
        other => hcs_wire::errno::hresult(other),
    }
}

/// Names the step whose result this is.
pub(crate) trait Attempt<T> {
    fn step(self, step: &'static str) -> Result<T, StepError>;
    fn step_at(self, step: &'static str, path: impl Into<String>) -> Result<T, StepError>;
}

impl<T> Attempt<T> for Result<T, Errno> {
    fn step(self, step: &'static str) -> Result<T, StepError> {
        self.map_err(|errno| StepError::new(step, errno))
    }

    fn step_at(self, step: &'static str, path: impl Into<String>) -> Result<T, StepError> {
        self.map_err(|errno| StepError::new(step, errno).at(path))
    }
}

impl<T> Attempt<T> for io::Result<T> {
    fn step(self, step: &'static str) -> Result<T, StepError> {
        self.map_err(|error| errno_of(&error)).step(step)
    }

    fn step_at(self, step: &'static str, path: impl Into<String>) -> Result<T, StepError> {
        self.map_err(|error| errno_of(&error)).step_at(step, path)
    }
}

/// The errno of an I/O error; `EIO` for the few that std makes itself.
pub(crate) fn errno_of(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

/// The errno that another process reports as `number`; `EBADMSG` when that is none.
pub(crate) fn errno(number: i32) -> Errno {
    if (1..=MAX_ERRNO).contains(&number) {
        return Errno::from_raw_os_error(number);
    }
    Errno::BADMSG
}

/// The kernel's own limit (`MAX_ERRNO` in `include/linux/err.h`).
const MAX_ERRNO: i32 = 4095;

/// An errno as its number.
mod errno_number {
    use rustix::io::Errno;
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(errno: &Errno, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_i32(errno.raw_os_error())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Errno, D::Error> {
        i32::deserialize(from).map(super::errno)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_is_no_errno_is_a_bad_message() {
        assert_eq!(errno(2), Errno::NOENT);
        for number in [i32::MIN, -1, 0, 4096, i32::MAX] {
            assert_eq!(errno(number), Errno::BADMSG);
        }
    }

    #[test]
    fn a_step_says_what_where_why_and_who_asked() {
        let failed: Result<(), Errno> = Err(Errno::NOENT);
        let error = failed.step_at("opening the layer", "/nowhere").unwrap_err();
        let failure = error
            .asked_by("/Container/Storage/Layers/0/Path")
            .into_failure("no container");
        assert_eq!(failure.hresult, HResult::FILE_NOT_FOUND);
        let cause = &failure.causes[0];
        assert_eq!(
            cause.message,
            "opening the layer /nowhere: No such file or directory (os error 2)"
        );
        assert_eq!(
            cause.pointer.as_deref(),
            Some("/Container/Storage/Layers/0/Path")
        );
    }

    #[test]
    fn what_a_system_call_does_not_tell_is_told_with_a_way_out() {
        let causes = |step, errno| {
            let error = StepError::new(step, errno).at("/place");
            error.into_failure("no container").causes.len()
        };
        assert_eq!(causes(MAKING_GROUP, Errno::ROFS), 2);
        assert_eq!(causes(MAKING_GROUP, Errno::NOSPC), 1);
        assert_eq!(causes(CLONING, Errno::NOSYS), 2);
        assert_eq!(causes(CLONING, Errno::NOSPC), 2);
        assert_eq!(causes(CLONING, Errno::NOMEM), 1);
        assert_eq!(causes(MOUNTING_LAYERS, Errno::INVAL), 2);
        assert_eq!(causes(MOUNTING_LAYERS, Errno::TOOBIG), 2);
        assert_eq!(causes(TAKING_VOLUME, Errno::BUSY), 2);
        assert_eq!(causes("asking the launcher", Errno::TOOMANYREFS), 2);
        assert_eq!(causes(INSTALLING_FILTER, UNCOMPILED), 2);
        assert_eq!(causes("mounting proc on", UNCOMPILED), 1);
        assert_eq!(causes("mounting proc on", Errno::INVAL), 1);
    }

    #[test]
    fn a_step_survives_the_channel() {
        let error = StepError::new("mounting proc on", Errno::PERM)
            .at("/proc")
            .asked_by("/A");
        let text = serde_json::to_string(&error).unwrap();
        assert_eq!(serde_json::from_str::<StepError>(&text).unwrap(), error);
    }
}
