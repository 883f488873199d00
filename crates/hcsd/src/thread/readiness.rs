//! The one place where descriptors are given to the runtime to be watched.

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
};

use tokio::io::{Interest, unix::AsyncFd};

use crate::thread::closing::PeerSocket;

/// Watches a non-blocking descriptor for `interest`.
///
/// # Errors
/// The kernel does not watch this kind of descriptor, or none are left.
pub(crate) fn watch(descriptor: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    watch_any(descriptor, interest)
}

#[expect(
    deprecated,
    reason = "the constructor is called unsound for types that may close or change their descriptor; what is \
              watched here never does, and the constructor that replaces it is unsafe, which this room is not"
)]
fn watch_any<T: AsRawFd>(descriptor: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    AsyncFd::with_interest(descriptor, interest)
}

/// Watches a non-blocking stream socket for input. Not for output: the peer would wake us whenever it reads.
///
/// # Errors
/// As [`watch`].
pub(crate) fn watch_stream(socket: PeerSocket) -> io::Result<AsyncFd<PeerSocket>> {
    watch_any(socket, Interest::READABLE)
}
