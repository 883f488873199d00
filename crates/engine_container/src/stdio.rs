//! Pipes for a process's stdio.

use std::{os::fd::OwnedFd, time::Duration};

use hcs_engine::engine::StdioOffer;
use hcs_schema::{Failure, HResult, Stdio};
use rustix::{
    fs::{Gid, Mode, OFlags, Stat, Uid, fchown, fcntl_getfl, fstat},
    pipe::{PipeFlags, fcntl_setpipe_size, pipe_with},
};

use crate::failure::{Attempt, StepError};

/// Capacity asked for on output pipes: with the usual 64 KiB, two processes mostly wait for each other.
const OUTPUT_CAPACITY: usize = 1 << 20;

/// Both ends of the pipes of one process.
#[derive(Debug, Default)]
pub(crate) struct Pipes {
    guest: Vec<OwnedFd>,
    host: Stdio<Option<OwnedFd>>,
}

impl Pipes {
    /// Makes the pipes that are `wanted`. They belong to `owner`, so that a process whose root is not the host's can
    /// open `/dev/stdout` again.
    ///
    /// # Errors
    /// No descriptors are left.
    pub(crate) fn open(wanted: Stdio<bool>, owner: Option<(Uid, Gid)>) -> Result<Self, Failure> {
        let mut pipes = Self::default();
        let mut make = || -> Result<(), StepError> {
            if wanted.stdin {
                let (read, write) = pipe()?;
                pipes.guest.push(read);
                pipes.host.stdin = Some(write);
            }
            if wanted.stdout {
                pipes.host.stdout = Some(output(&mut pipes.guest)?);
            }
            if wanted.stderr {
                pipes.host.stderr = Some(output(&mut pipes.guest)?);
            }
            let Some((user, group)) = owner else {
                return Ok(());
            };
            pipes.guest.iter().try_for_each(|end| {
                fchown(end, Some(user), Some(group)).step("giving a pipe to the container")
            })
        };
        match make() {
            Ok(()) => Ok(pipes),
            Err(error) => Err(error.into_failure("the pipes for a process could not be made")),
        }
    }
}

/// Permissions of a pipe that the agent gave to the user of a process (`guest_agent/src/link.rs`); a new one has 0600.
const GIVEN_MODE: Mode = Mode::from_raw_mode(0o660);

/// Takes pipes of which the client `user` made both ends and gives the guest's. Returns false where they are not to be
/// used: they belong to another user, so that the container would get what is not the client's to give, or this service
/// could not open them again.
///
/// # Errors
/// One is no pipe, or cannot be given to `owner`.
pub(crate) fn take(
    ends: &[OwnedFd],
    owner: Option<(Uid, Gid)>,
    user: Uid,
) -> Result<bool, Failure> {
    for end in ends {
        let of = Uid::from_raw(examine(end)?.st_uid);
        let service = rustix::process::geteuid();
        // Given before, by a service that is gone.
        let is_given = owner.is_some_and(|(owner, _)| owner == of);
        let can_open = service.is_root() || of == service;
        if !can_open || (of != user && !is_given) {
            return Ok(false);
        }
    }
    for end in ends {
        if let Some((user, group)) = owner {
            let given = fchown(end, Some(user), Some(group)).step("giving a pipe to the container");
            given.map_err(|error| {
                error.into_failure("the pipes for a process could not be prepared")
            })?;
        }
        let is_output =
            fcntl_getfl(end).is_ok_and(|flags| flags & OFlags::ACCMODE == OFlags::WRONLY);
        if is_output {
            let _smaller = fcntl_setpipe_size(end, OUTPUT_CAPACITY);
        }
    }
    Ok(true)
}

/// Whether [`take`] took these pipes for a process that was made then. Changes nothing. Meanwhile the agent has given
/// them to the user of the process: the service does not know that user, but only such pipes have these permissions.
///
/// # Errors
/// One is no pipe.
pub(crate) fn were_taken(
    ends: &[OwnedFd],
    owner: Option<(Uid, Gid)>,
    user: Uid,
) -> Result<bool, Failure> {
    for end in ends {
        let file = examine(end)?;
        let of = Uid::from_raw(file.st_uid);
        let is_given = owner.is_some_and(|(owner, _)| owner == of)
            || Mode::from_raw_mode(file.st_mode) == GIVEN_MODE;
        if of != user && !is_given {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A pipe's attributes.
fn examine(end: &OwnedFd) -> Result<Stat, Failure> {
    let found = hcs_wire::socket::is_pipe(end)
        .then(|| fstat(end).ok())
        .flatten();
    found.ok_or_else(|| {
        Failure::new(
            HResult::E_INVALIDARG,
            "what came along for the standard streams of the process is no pipe",
        )
    })
}

fn pipe() -> Result<(OwnedFd, OwnedFd), StepError> {
    pipe_with(PipeFlags::CLOEXEC).step("making a pipe")
}

/// Makes an output pipe, puts its write end to the guest's and answers the read end.
fn output(guest: &mut Vec<OwnedFd>) -> Result<OwnedFd, StepError> {
    let (read, write) = pipe()?;
    // Refused when the user's pipes together are too large (pipe(7)); a small pipe works as well, only slower.
    let _smaller = fcntl_setpipe_size(&write, OUTPUT_CAPACITY);
    guest.push(write);
    Ok(read)
}

impl StdioOffer for Pipes {
    fn take_guest_ends(&mut self) -> Vec<OwnedFd> {
        std::mem::take(&mut self.guest)
    }

    fn ports(&self) -> Option<Stdio<Option<u32>>> {
        None
    }

    fn into_host_ends(
        self: Box<Self>,
        _limit: Duration,
    ) -> Result<Stdio<Option<OwnedFd>>, Failure> {
        Ok(self.host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_wanted_pipes_exist_and_they_are_connected() {
        let wanted = Stdio {
            stdin: true,
            stdout: false,
            stderr: true,
        };
        let mut pipes = Box::new(Pipes::open(wanted, None).unwrap());
        let guest = pipes.take_guest_ends();
        let host = pipes.into_host_ends(Duration::ZERO).unwrap();
        let [stdin, stderr] = guest.as_slice() else {
            panic!("{guest:?}")
        };
        assert!(host.stdout.is_none());
        let mut byte = [0];
        rustix::io::write(host.stdin.unwrap(), b"i").unwrap();
        assert_eq!(rustix::io::read(stdin, &mut byte), Ok(1));
        rustix::io::write(stderr, b"e").unwrap();
        assert_eq!(rustix::io::read(host.stderr.unwrap(), &mut byte), Ok(1));
        assert_eq!(&byte, b"e");
    }

    #[test]
    fn only_pipes_that_belong_to_the_client_are_taken_from_it() {
        let own = rustix::process::geteuid();
        let (_read, write) = pipe().unwrap();
        let ends = [write];
        assert!(take(&ends, None, own).unwrap());
        let other = Uid::from_raw(own.as_raw() + 1);
        assert!(!take(&ends, None, other).unwrap());
        let file = std::fs::File::open("/dev/null").unwrap();
        let refused = take(&[file.into()], None, own).unwrap_err();
        assert_eq!(refused.hresult, HResult::E_INVALIDARG);
    }

    /// A file of a file system whose server never answers: what asks it for anything waits for good.
    #[test]
    fn a_file_that_never_answers_is_refused_without_a_question() {
        use rustix::mount::{
            FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_string,
            fsmount, fsopen,
        };
        use std::os::fd::{AsFd as _, AsRawFd as _};
        // Only root can mount it, and not every host has it.
        let server = std::fs::File::options()
            .read(true)
            .write(true)
            .open("/dev/fuse");
        let (true, Ok(server)) = (rustix::process::geteuid().is_root(), server) else {
            return;
        };
        let system = fsopen("fuse", FsOpenFlags::FSOPEN_CLOEXEC).unwrap();
        let descriptor = server.as_raw_fd().to_string();
        for (option, value) in [
            ("fd", descriptor.as_str()),
            ("rootmode", "40000"),
            ("user_id", "0"),
            ("group_id", "0"),
        ] {
            fsconfig_set_string(system.as_fd(), option, value).unwrap();
        }
        fsconfig_create(system.as_fd()).unwrap();
        let root = fsmount(
            system.as_fd(),
            FsMountFlags::FSMOUNT_CLOEXEC,
            MountAttrFlags::empty(),
        );
        let ends = [root.unwrap()];
        let own = rustix::process::geteuid();
        for refused in [take(&ends, None, own), were_taken(&ends, None, own)] {
            assert_eq!(refused.unwrap_err().hresult, HResult::E_INVALIDARG);
        }
    }
}
