//! Who is at the other end of a connection, and whether it may be.

use std::io;

use hcs_schema::{Failure, HResult};
use rustix::process::geteuid;
use tokio::net::UnixStream;

use crate::service::Service;

/// A client, as the kernel knows it (`unix(7)`, `SO_PEERCRED`: its state when it connected).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) uid: u32,
    /// `None` for a process of a pid namespace that cannot be seen from here. For the log only: it may be gone.
    pub(crate) pid: Option<i32>,
}

impl Peer {
    /// Asks the kernel.
    ///
    /// # Errors
    /// The socket is none that has a peer.
    pub(crate) fn of(socket: &UnixStream) -> io::Result<Self> {
        let credentials = socket.peer_cred()?;
        Ok(Self {
            uid: credentials.uid(),
            pid: credentials.pid(),
        })
    }

    /// # Errors
    /// `HCS_E_ACCESS_DENIED`, with a sentence that says what to do.
    pub(crate) fn authorise(self, service: &Service) -> Result<(), Failure> {
        if may_use(self.uid, geteuid().as_raw(), service.guarded) {
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

/// Where the socket's mode is guarded by a group, everybody else was kept from connecting.
const fn may_use(peer: u32, own: u32, guarded: bool) -> bool {
    peer == 0 || peer == own || guarded
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
