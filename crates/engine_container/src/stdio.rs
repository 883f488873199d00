//! Pipes for a process's stdio.

use std::{os::fd::OwnedFd, time::Duration};

use hcs_lifecycle::engine::{HostStdio, StdioOffer, StdioPorts, Streams};
use hcs_schema::Failure;
use rustix::{
    fs::{Gid, Uid, fchown},
    pipe::{PipeFlags, fcntl_setpipe_size, pipe_with},
};

use crate::failure::{Attempt, StepError};

/// Capacity asked for on output pipes: with the usual 64 KiB, two processes mostly wait for each other.
const OUTPUT_CAPACITY: usize = 1 << 20;

/// Both ends of the pipes of one process.
#[derive(Debug, Default)]
pub(crate) struct Pipes {
    guest: Vec<OwnedFd>,
    host: HostStdio,
}

impl Pipes {
    /// Makes the pipes that are `wanted`. They belong to `owner`, so that a process whose root is not the host's can
    /// open `/dev/stdout` again.
    ///
    /// # Errors
    /// No descriptors are left.
    pub(crate) fn open(wanted: Streams, owner: Option<(Uid, Gid)>) -> Result<Self, Failure> {
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

    fn ports(&self) -> Option<StdioPorts> {
        None
    }

    fn into_host_ends(self: Box<Self>, _limit: Duration) -> Result<HostStdio, Failure> {
        Ok(self.host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_wanted_pipes_exist_and_they_are_connected() {
        let wanted = Streams {
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
}
