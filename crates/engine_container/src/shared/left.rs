//! The file for what the agent of a machine leaves.

use std::{
    os::fd::{AsFd as _, OwnedFd},
    path::Path,
};

use hcs_schema::Failure;

use crate::machine::{agent_socket, left_record};

/// Makes the file in the machine's `directory`, for writing only. It can be made once.
///
/// # Errors
/// The host refused.
pub fn make_left(directory: &Path) -> Result<OwnedFd, Failure> {
    let made = agent_socket::open_directory(directory)
        .and_then(|directory| left_record::make_in(directory.as_fd()));
    made.map_err(|error| error.into_failure("the machine's directory cannot be used"))
}

/// What is in that file; empty where none was made.
///
/// # Errors
/// The host refused.
pub fn read_left(directory: &Path) -> Result<Vec<u8>, Failure> {
    let read = agent_socket::open_directory(directory)
        .and_then(|directory| left_record::read_in(directory.as_fd()));
    read.map_err(|error| error.into_failure("what the agent has left cannot be read"))
}
