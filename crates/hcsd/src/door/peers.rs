//! The process at the other end of a connection, and whether it may be there.

use std::{io, os::fd::AsFd as _, sync::Arc};

use hcs_engine::engine::{Engine, Origin};
use hcs_schema::{Failure, HResult};
use rustix::process::geteuid;
use tokio::net::UnixStream;

use crate::thread::closing::PeerSocket;

/// The users who may use the service, besides root and its own.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Entitled {
    /// The configured owner of the socket.
    pub(crate) owner: Option<u32>,
    /// Every user who can connect: the socket's mode keeps all but a group out.
    pub(crate) guarded: bool,
    /// Processes in containers as well, of the users that are entitled.
    pub(crate) containers: bool,
}

/// A client, as the kernel knows it (`unix(7)`, `SO_PEERCRED`: its state when it connected).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) uid: u32,
    /// `None` for a process of a pid namespace that cannot be seen from here. For the log only: it may be gone.
    pub(crate) pid: Option<i32>,
    /// Where it lives.
    pub(crate) origin: Origin,
}

impl Peer {
    /// Asks the kernel, and `engines` where the process lives.
    ///
    /// # Errors
    /// The socket is none that has a peer.
    pub(crate) fn of(socket: &PeerSocket, engines: &[Arc<dyn Engine>]) -> io::Result<Self> {
        // Never the last of the socket.
        let own = socket.as_fd().try_clone_to_owned()?;
        let credentials = UnixStream::from_std(own.into())?.peer_cred()?;
        let origins = engines.iter().map(|engine| engine.origin(socket.as_fd()));
        Ok(Self {
            uid: credentials.uid(),
            pid: credentials.pid(),
            origin: origins
                .into_iter()
                .find(|origin| *origin != Origin::Host)
                .unwrap_or(Origin::Host),
        })
    }

    /// # Errors
    /// `HCS_E_ACCESS_DENIED`, with a sentence that says what to do.
    pub(crate) fn authorise(self, entitled: Entitled) -> Result<(), Failure> {
        self.is_outside(entitled)?;
        if may_use(self.uid, geteuid().as_raw(), entitled) {
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

    /// A process in a container could leave it by making another one that has the host mapped.
    fn is_outside(self, entitled: Entitled) -> Result<(), Failure> {
        let message = match self.origin {
            Origin::Host => return Ok(()),
            _ if entitled.containers => return Ok(()),
            Origin::Container => {
                "a process in a container may not use the host compute service of the host: run the program outside of \
                 containers, or a service of its own inside; clients_in_containers = true in hcsd.toml admits clients in \
                 every container, which makes them as powerful as the service"
            }
            Origin::Elsewhere => {
                "the process that connected has no number in the pid namespace of the host compute service, like one in a \
                 container beside it: run the program where the service runs, or name another service by HCS_ENDPOINT; \
                 clients_in_containers = true in hcsd.toml admits clients in every container, which makes them as \
                 powerful as the service"
            }
            Origin::Unknown => {
                "the host compute service cannot tell whether the process that connected was in a container: it has \
                 ended, or the service has no descriptors left; keep the process that connects alive until its calls \
                 are answered"
            }
        };
        Err(Failure::new(HResult::HCS_E_ACCESS_DENIED, message))
    }
}

impl Entitled {
    /// Whether that user may not use the service, wherever the process lives.
    pub(crate) fn excludes(self, uid: u32) -> bool {
        !may_use(uid, geteuid().as_raw(), self)
    }
}

/// Where the socket's mode is guarded by a group, all other users were kept from connecting.
fn may_use(peer: u32, own: u32, entitled: Entitled) -> bool {
    peer == 0 || peer == own || entitled.owner == Some(peer) || entitled.guarded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_and_the_services_own_user_may() {
        let closed = Entitled::default();
        assert!(may_use(0, 1000, closed));
        assert!(may_use(1000, 1000, closed));
        assert!(!may_use(1001, 1000, closed));
        assert!(!may_use(1001, 0, closed));
    }

    #[test]
    fn so_may_users_who_are_configured() {
        let owner = Entitled {
            owner: Some(1001),
            ..Entitled::default()
        };
        assert!(may_use(1001, 0, owner));
        assert!(!may_use(1002, 0, owner));
        let guarded = Entitled {
            guarded: true,
            ..Entitled::default()
        };
        assert!(may_use(1002, 0, guarded));
    }

    #[test]
    fn a_process_in_a_container_may_not_as_any_user() {
        let peer = |origin| Peer {
            uid: 0,
            pid: Some(12),
            origin,
        };
        let closed = Entitled {
            owner: Some(0),
            guarded: true,
            containers: false,
        };
        assert!(peer(Origin::Host).is_outside(closed).is_ok());
        for origin in [Origin::Container, Origin::Elsewhere, Origin::Unknown] {
            let failure = peer(origin).is_outside(closed).unwrap_err();
            assert_eq!(failure.hresult, HResult::HCS_E_ACCESS_DENIED);
            let names_setting = failure.message.contains("clients_in_containers = true");
            assert_eq!(names_setting, origin != Origin::Unknown, "{failure}");
            // A process that has ended is not the only cause: that would be told of one that has not.
            let names_both = ["it has ended", "the service has no descriptors left"]
                .iter()
                .all(|cause| failure.message.contains(cause));
            assert_eq!(names_both, origin == Origin::Unknown, "{failure}");
            let open = Entitled {
                containers: true,
                ..closed
            };
            assert!(peer(origin).is_outside(open).is_ok());
        }
    }
}
