//! The system calls a container may make (`seccomp(2)`).
//!
//! [`policy`] says which, [`set_id`] what some containers may not besides; [`mod@program`] turns that into the
//! instructions that the kernel runs.

#[cfg(test)]
mod machine;
#[cfg(test)]
mod peers;
mod policy;
mod program;
mod set_id;

use hcs_schema::privileges::Capabilities;

use crate::{
    failure::{Attempt, INSTALLING_FILTER, INSTALLING_MODES, StepError},
    sys,
};

pub(crate) use program::program;

/// Filters the calling process's system calls from now on, and those of all it starts: `usual` is the filter of
/// containers with the usual capabilities. Installed once and inherited, as installing one takes the kernel as long as
/// a tenth of an `hcs exec`; what one process has fewer of than another, capabilities decide. The process must have
/// `CAP_SYS_ADMIN`: it does not give up new privileges here, since what it starts may be allowed some.
pub(crate) fn apply(possible: Capabilities, usual: &[libc::sock_filter]) -> Result<(), StepError> {
    let installed = if possible == Capabilities::USUAL {
        sys::seccomp::install(usual)
    } else {
        sys::seccomp::install(&program(possible))
    };
    installed.step(INSTALLING_FILTER)
}

/// Filters them besides, for a container that may set no set-user-ID bits ([`crate::parts::sharing`]).
pub(crate) fn apply_no_set_id() -> Result<(), StepError> {
    sys::seccomp::install(&program::no_set_id()).step(INSTALLING_MODES)
}
