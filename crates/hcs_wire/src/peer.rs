//! The process at the other end of a unix socket.

use std::os::fd::AsFd;

use rustix::io::Errno;

/// A peer as the kernel knows it (`unix(7)`, `SO_PEERCRED`): for one that listens, its state when it called
/// `listen(2)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Its effective user.
    pub user: u32,
    /// Its process; `None` for one of a pid namespace that cannot be seen from here. It may be gone.
    pub process: Option<i32>,
}

impl Peer {
    /// The peer of a connected socket.
    ///
    /// # Errors
    /// The errno of `getsockopt(2)`: the socket is none that has a peer.
    pub fn of(socket: impl AsFd) -> Result<Self, Errno> {
        let (process, user) = crate::sys::peer_credentials(socket.as_fd())?;
        Ok(Self {
            user,
            process: seen(process),
        })
    }
}

/// The number of a process that can be seen from here; the kernel says 0 for others.
fn seen(process: i32) -> Option<i32> {
    (process > 0).then_some(process)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_process_that_cannot_be_seen_has_no_number() {
        assert_eq!([-1, 0, 1].map(seen), [None, None, Some(1)]);
    }

    #[test]
    fn the_other_end_of_a_pair_is_this_process() {
        let (one, _other) = UnixStream::pair().unwrap();
        let own = Peer {
            user: rustix::process::geteuid().as_raw(),
            process: i32::try_from(std::process::id()).ok(),
        };
        assert_eq!(Peer::of(&one), Ok(own));
        let file = tempfile::tempfile().unwrap();
        assert_eq!(Peer::of(file), Err(Errno::NOTSOCK));
    }
}
