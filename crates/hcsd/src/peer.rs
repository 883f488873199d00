//! Who is at the other end of a connection, and whether it may be.

use std::os::fd::AsFd;

use hcs_schema::{Failure, HResult};
use rustix::{io::Errno, net::sockopt::socket_peercred, process::geteuid};

use crate::service::Service;

/// A client, as the kernel knows it (`unix(7)`, `SO_PEERCRED`: its state when it connected).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) uid: u32,
    pub(crate) pid: i32,
}

impl Peer {
    /// Asks the kernel.
    pub(crate) fn of(socket: impl AsFd) -> Result<Self, Errno> {
        let credentials = socket_peercred(socket)?;
        Ok(Self {
            uid: credentials.uid.as_raw(),
            pid: credentials.pid.as_raw_nonzero().get(),
        })
    }

    /// # Errors
    /// `HCS_E_ACCESS_DENIED`, with a sentence that says what to do.
    pub(crate) fn authorise(self, service: &Service) -> Result<(), Failure> {
        let group = service.admitted_group.as_deref();
        if may_use(self.uid, geteuid().as_raw(), group.is_some()) {
            return Ok(());
        }
        Err(Failure::new(
            HResult::HCS_E_ACCESS_DENIED,
            format!(
                "user {} may not use this host compute service: run the program as root or as user {}, \
                 or set socket_group in hcsd.toml to a group of user {}",
                self.uid,
                geteuid().as_raw(),
                self.uid
            ),
        ))
    }
}

/// With a group, the socket's mode has already kept everybody else from connecting.
const fn may_use(peer: u32, own: u32, socket_guarded_by_group: bool) -> bool {
    peer == 0 || peer == own || socket_guarded_by_group
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_and_the_services_own_user_may() {
        assert!(may_use(0, 1000, false));
        assert!(may_use(1000, 1000, false));
        assert!(!may_use(1001, 1000, false));
        assert!(!may_use(1001, 0, false));
        assert!(may_use(1001, 0, true));
    }
}
