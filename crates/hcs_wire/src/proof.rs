//! Proof that the process at the other end of a unix socket is no process of any container.
//!
//! A socket that has a name can be reached by all that see the name, as in a tree that is mapped to a container of
//! another service; its peer's user number may be the same inside. So the one who connects sends, before anything else,
//! one byte with the number of the process that listens, as its own (`unix(7)`, `SCM_CREDENTIALS`). The kernel lets
//! that through only where the sender has a number for that process, and `CAP_SYS_ADMIN` over the pid namespace that
//! the sender is in. A process of a container has no number for one outside of it, or in another container.

use std::os::fd::AsFd;

use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
        SocketFlags, SocketType, UCred, sockopt::set_socket_passcred,
    },
    process::{Pid, getgid, getpid, getuid},
};

use crate::sys;

/// What comes before anything else.
const BYTE: u8 = 0;

/// Sends the proof for the process `pid`, of the caller's pid namespace, that listens at the other end.
///
/// # Errors
/// `EPERM` for a caller that may not claim to be that process; else the errno of `sendmsg(2)`.
pub fn send(socket: impl AsFd, pid: Pid) -> Result<(), Errno> {
    let claimed = UCred {
        pid,
        uid: getuid(),
        gid: getgid(),
    };
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmCredentials(claimed));
    let sent = rustix::io::retry_on_intr(|| {
        rustix::net::sendmsg(
            &socket,
            &[std::io::IoSlice::new(&[BYTE])],
            &mut control,
            SendFlags::NOSIGNAL,
        )
    })?;
    if sent == 1 { Ok(()) } else { Err(Errno::PIPE) }
}

/// Whether the caller may prove itself to the process `pid`, as [`send`] does.
#[must_use]
pub fn is_possible(pid: Pid) -> bool {
    let pair = rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    );
    pair.is_ok_and(|(one, _other)| send(one, pid).is_ok())
}

/// Has the kernel say who sends what on a socket that was accepted. Before [`receive`].
///
/// # Errors
/// The errno of `setsockopt(2)`.
pub fn expect(socket: impl AsFd) -> Result<(), Errno> {
    set_socket_passcred(socket, true)
}

/// Takes the proof that the peer has sent to the calling process, without waiting for it.
///
/// # Errors
/// `EAGAIN` while nothing has come; `EACCES` where it is no proof, or the peer has left; else the errno of
/// `recvmsg(2)`.
pub fn receive(socket: impl AsFd) -> Result<(), Errno> {
    let socket = socket.as_fd();
    let (byte, pid) = sys::receive_byte(socket, RecvFlags::DONTWAIT)?;
    if byte != Some(BYTE) || pid != Some(getpid().as_raw_pid()) {
        return Err(Errno::ACCESS);
    }
    set_socket_passcred(socket, false)
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;

    use super::*;

    fn pair() -> (OwnedFd, OwnedFd) {
        let flags = SocketFlags::CLOEXEC;
        let (one, other) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
        expect(&other).unwrap();
        (one, other)
    }

    #[test]
    fn a_proof_is_taken_once_and_nothing_else_is_one() {
        let (one, other) = pair();
        assert_eq!(receive(&other), Err(Errno::AGAIN));
        send(&one, getpid()).unwrap();
        rustix::io::write(&one, b"rest").unwrap();
        receive(&other).unwrap();
        let mut rest = [0; 8];
        assert_eq!(rustix::io::read(&other, &mut rest).unwrap(), 4);
        assert_eq!(&rest[..4], b"rest");
        // The right process, and another byte.
        let (one, other) = pair();
        rustix::io::write(&one, b"x").unwrap();
        assert_eq!(receive(&other), Err(Errno::ACCESS));
        let (one, other) = pair();
        drop(one);
        assert_eq!(receive(&other), Err(Errno::ACCESS));
    }

    #[test]
    fn the_number_of_another_process_is_no_proof() {
        let (one, other) = pair();
        let parent = rustix::process::getppid().unwrap();
        // An ordinary user may not even say it.
        if send(&one, parent).is_ok() {
            assert_eq!(receive(&other), Err(Errno::ACCESS));
        } else {
            assert!(!is_possible(parent));
        }
        assert!(is_possible(getpid()));
    }
}
