//! The system calls a container may make (`seccomp(2)`).
//!
//! [`policy`] says which, [`mod@program`] turns that into the instructions that the kernel runs.

mod policy;
mod program;

use crate::{
    failure::{Attempt, StepError},
    sys,
};

pub(crate) use program::program;

/// Filters the calling process's system calls from now on.
pub(crate) fn apply(filter: &[libc::sock_filter]) -> Result<(), StepError> {
    sys::seccomp::install(filter).step("installing the system call filter")
}
