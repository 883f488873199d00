//! How many files this process may have open.
//!
//! The kernel holds descriptors in messages that are not read yet (`SCM_RIGHTS`) against this limit of the process that
//! sends more, and counts those of all processes of its user. So a program with the usual limit of 1024 can send no
//! pipes while another program of that user has as many under way.

use std::sync::{Mutex, PoisonError};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The limit before it was raised.
static FORMER: Mutex<Option<Rlimit>> = Mutex::new(None);

/// Raises the soft limit of open files to the hard one, for a whole program that sends pipes. It must not use
/// `select(2)`. A service that this library starts gets the limit of before, as its containers have that; other
/// children of the program get the raised one. Again is fine, from any thread.
pub fn raise_limit() {
    let mut former = FORMER.lock().unwrap_or_else(PoisonError::into_inner);
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    if former.is_none() && limit != raised {
        // Where that is refused, it stays as it was.
        *former = setrlimit(Resource::Nofile, raised).ok().map(|()| limit);
    }
}

/// Does what starts a child, which gets the limit on open files of before [`raise_limit`]. Other threads have that for
/// so long, too. `start` makes no call of this library, and does not wait for the child.
pub(crate) fn with_former_limit<T>(start: impl FnOnce() -> T) -> T {
    let former = FORMER.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(limit) = *former else {
        drop(former);
        return start();
    };
    let raised = getrlimit(Resource::Nofile);
    let _lowered = setrlimit(Resource::Nofile, limit);
    let started = start();
    let _raised_again = setrlimit(Resource::Nofile, raised);
    started
}
