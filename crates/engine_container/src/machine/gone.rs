//! What can still be learnt of the guest of a container that is gone.

use std::{
    os::fd::{AsFd as _, OwnedFd},
    path::Path,
};

use hcs_engine::engine;
use hcs_schema::Failure;
use rustix::fs::{Gid, Uid};

use super::{agent_socket, left_record};
use crate::{failure::StepError, record::Record, stdio};

/// See the module.
#[derive(Debug)]
pub(crate) struct GoneGuest {
    /// The machine's directory.
    directory: Result<OwnedFd, StepError>,
    pipe_owner: Option<(Uid, Gid)>,
}

impl GoneGuest {
    /// Of the machine of that directory and record.
    pub(crate) fn new(directory: &Path, record: &Record) -> Self {
        Self {
            directory: agent_socket::open_directory(directory),
            pipe_owner: record.pipe_owner(),
        }
    }
}

impl engine::GoneGuest for GoneGuest {
    fn had_pipes(&self, ends: &[OwnedFd], user: u32) -> Result<bool, Failure> {
        stdio::were_taken(ends, self.pipe_owner, Uid::from_raw(user))
    }

    fn left(&self) -> Result<Vec<u8>, Failure> {
        let read = match &self.directory {
            Ok(directory) => left_record::read_in(directory.as_fd()),
            Err(error) => Err(error.clone()),
        };
        read.map_err(|error| error.into_failure("what the agent has left cannot be read"))
    }
}
