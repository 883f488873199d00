//! Who is at the other end of a connection, and whether it may be.

use std::io;

use hcs_schema::{Failure, HResult};
use rustix::process::geteuid;
use tokio::net::UnixStream;

use crate::service::Service;

/// Who may use the service, besides root and its own user.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Entitled {
    /// The configured owner of the socket.
    pub(crate) owner: Option<u32>,
    /// Everybody who can connect: the socket's mode keeps all but a group out.
    pub(crate) guarded: bool,
}

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
        if may_use(self.uid, geteuid().as_raw(), service.entitled) {
            return Ok(());
        }
        let owner = match geteuid().as_raw() {
            0 => String::new(),
            owner => format!(" or as user {owner}"),
        };
        let uid = self.uid;
        Err(Failure::new(
            HResult::HCS_E_ACCESS_DENIED,
            format!(
                "user {uid} may not use this host compute service: unset HCS_ENDPOINT for a service of user {uid}, run \
                 the program as root{owner}, or set socket_group in this service's hcsd.toml to a group of user {uid}",
            ),
        ))
    }
}

/// Where the socket's mode is guarded by a group, everybody else was kept from connecting.
fn may_use(peer: u32, own: u32, entitled: Entitled) -> bool {
    peer == 0 || peer == own || entitled.owner == Some(peer) || entitled.guarded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_and_the_services_own_user_may() {
        let nobody = Entitled::default();
        assert!(may_use(0, 1000, nobody));
        assert!(may_use(1000, 1000, nobody));
        assert!(!may_use(1001, 1000, nobody));
        assert!(!may_use(1001, 0, nobody));
    }

    #[test]
    fn so_may_whoever_is_configured() {
        let owner = Entitled {
            owner: Some(1001),
            guarded: false,
        };
        assert!(may_use(1001, 0, owner));
        assert!(!may_use(1002, 0, owner));
        let guarded = Entitled {
            owner: None,
            guarded: true,
        };
        assert!(may_use(1002, 0, guarded));
    }
}
