//! Bytes together with file descriptors over a unix stream socket (`sendmsg(2)`, `unix(7)` `SCM_RIGHTS`).
//!
//! A stream socket keeps descriptors in order with the bytes they were sent with: one `recvmsg` never reads past the
//! first chunk that carries some. So a receiver may queue descriptors as they come, and take as many for a message as
//! its header announces.

use std::{
    collections::VecDeque,
    io::{IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd},
};

use rustix::{
    fs::readlink,
    io::Errno,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags,
    },
};

/// Whether a descriptor is one of a pipe without a name. Ask this of a descriptor that a peer sent, before any other
/// call: its file may be one of a file system that never answers, and `fstat(2)` would wait for that. The name of a
/// descriptor comes from the kernel alone, and no path begins so.
#[must_use]
pub fn is_pipe(descriptor: &OwnedFd) -> bool {
    let link = format!("/proc/self/fd/{}", descriptor.as_raw_fd());
    readlink(link, Vec::new()).is_ok_and(|name| name.as_bytes().starts_with(b"pipe:["))
}

/// The most descriptors one message may carry.
pub const MAX_DESCRIPTORS: usize = 8;

/// Sends `bytes` with `descriptors`, as far as the socket takes them. Returns how many bytes it took.
///
/// The descriptors go with the first byte. When fewer bytes are taken, the rest is sent with no descriptors.
///
/// # Errors
/// The errno of `sendmsg(2)`; `EINVAL` for more than [`MAX_DESCRIPTORS`].
pub fn send(
    socket: impl AsFd,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> Result<usize, Errno> {
    if descriptors.len() > MAX_DESCRIPTORS {
        return Err(Errno::INVAL);
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    rustix::io::retry_on_intr(|| {
        rustix::net::sendmsg(
            &socket,
            &[IoSlice::new(bytes)],
            &mut control,
            SendFlags::NOSIGNAL,
        )
    })
}

/// Sends all of `bytes` with `descriptors` over a blocking socket.
///
/// # Errors
/// The errno of `sendmsg(2)`.
pub fn send_all(
    socket: impl AsFd,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> Result<(), Errno> {
    let mut rest = &bytes[send(&socket, bytes, descriptors)?..];
    while let [_, ..] = rest {
        rest = &rest[send(&socket, rest, &[])?..];
    }
    Ok(())
}

/// Receives some bytes into `buffer` and appends the descriptors that came with them to `descriptors`, close-on-exec
/// set. Returns 0 at the end of the stream.
///
/// # Errors
/// The errno of `recvmsg(2)`.
pub fn receive(
    socket: impl AsFd,
    buffer: &mut [u8],
    descriptors: &mut VecDeque<OwnedFd>,
) -> Result<usize, Errno> {
    receive_noting(socket, buffer, descriptors).map(|(bytes, _)| bytes)
}

/// [`receive`], and whether descriptors were lost that came: this process may have no more.
fn receive_noting(
    socket: impl AsFd,
    buffer: &mut [u8],
    descriptors: &mut VecDeque<OwnedFd>,
) -> Result<(usize, bool), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::io::retry_on_intr(|| {
        rustix::net::recvmsg(
            &socket,
            &mut [IoSliceMut::new(buffer)],
            &mut control,
            RecvFlags::CMSG_CLOEXEC,
        )
    })?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    Ok((received.bytes, received.flags.contains(ReturnFlags::CTRUNC)))
}

/// Where a stream is received: small at first, as a page that is never touched costs nothing, and larger for a peer
/// that fills it.
#[derive(Debug)]
pub struct Buffer {
    bytes: Vec<u8>,
    filled: bool,
}

/// The result of [`Buffer::receive`].
#[derive(Debug)]
pub struct Received<'a> {
    /// The bytes; none at the end of the stream.
    pub bytes: &'a [u8],
    /// There was room for more: the socket had no more, unless it stopped behind descriptors.
    pub short: bool,
    /// Descriptors came with the last of the bytes, and this process may not have as many: some of them are lost.
    pub cut: bool,
}

impl Default for Buffer {
    fn default() -> Self {
        Self {
            bytes: vec![0; Self::SMALLEST],
            filled: false,
        }
    }
}

impl Buffer {
    const SMALLEST: usize = 4 << 10;
    const LARGEST: usize = 64 << 10;

    /// [`receive`] into the buffer, which has been made larger where it was filled the last time.
    ///
    /// # Errors
    /// The errno of `recvmsg(2)`.
    pub fn receive(
        &mut self,
        socket: impl AsFd,
        descriptors: &mut VecDeque<OwnedFd>,
    ) -> Result<Received<'_>, Errno> {
        if self.filled && self.bytes.len() < Self::LARGEST {
            self.bytes = vec![0; self.bytes.len() * 4];
        }
        let (count, cut) = receive_noting(socket, &mut self.bytes, descriptors)?;
        self.filled = count == self.bytes.len();
        Ok(Received {
            bytes: &self.bytes[..count],
            short: !self.filled,
            cut,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write as _, os::unix::net::UnixStream};

    use super::*;

    #[test]
    fn a_buffer_grows_for_who_fills_it_and_loses_nothing() {
        let (mut peer, socket) = UnixStream::pair().unwrap();
        let sent: Vec<u8> = (0..=u8::MAX).cycle().take(100_000).collect();
        let (mut buffer, mut received) = (Buffer::default(), Vec::new());
        let writer = std::thread::spawn({
            let sent = sent.clone();
            move || peer.write_all(&sent).unwrap()
        });
        loop {
            let part = buffer.receive(&socket, &mut VecDeque::new()).unwrap();
            if part.bytes.is_empty() {
                break;
            }
            received.extend_from_slice(part.bytes);
            assert!(received.len() <= sent.len());
            assert!(buffer.bytes.len() <= Buffer::LARGEST);
        }
        writer.join().unwrap();
        assert!(received == sent);
    }

    #[test]
    fn a_buffer_is_larger_behind_one_that_was_filled() {
        let (mut peer, socket) = UnixStream::pair().unwrap();
        rustix::net::sockopt::set_socket_send_buffer_size(&peer, 1 << 20).unwrap();
        peer.set_nonblocking(true).unwrap();
        peer.write_all(&[1; 200_000]).unwrap();
        socket.set_nonblocking(true).unwrap();
        let mut buffer = Buffer::default();
        let mut next = || {
            let part = buffer.receive(&socket, &mut VecDeque::new()).unwrap();
            (part.bytes.len(), part.short)
        };
        let found = [(); 5].map(|()| next());
        let expected = [
            (4096, false),
            (16_384, false),
            (65_536, false),
            (65_536, false),
            (48_448, true),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn as_many_descriptors_come_along_as_are_allowed() {
        let (one, other) = UnixStream::pair().unwrap();
        other.set_nonblocking(true).unwrap();
        let file = tempfile::tempfile().unwrap();
        let many = [file.as_fd(); MAX_DESCRIPTORS + 1];
        assert_eq!(send(&one, b"x", &many), Err(Errno::INVAL));
        send_all(&one, b"message", &many[1..]).unwrap();
        let (mut buffer, mut descriptors) = ([0; 100], VecDeque::new());
        assert_eq!(receive(&other, &mut buffer, &mut descriptors), Ok(7));
        assert_eq!((&buffer[..7], descriptors.len()), (&b"message"[..], 8));
        for descriptor in descriptors {
            let flags = rustix::io::fcntl_getfd(&descriptor).unwrap();
            assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
        }
    }

    #[test]
    fn a_pipe_is_told_from_what_has_its_name() {
        let (read, write) = rustix::pipe::pipe().unwrap();
        assert!(is_pipe(&read) && is_pipe(&write));
        let folder = tempfile::tempdir().unwrap();
        let file = std::fs::File::create(folder.path().join("pipe:[1]")).unwrap();
        assert!(!is_pipe(&file.into()));
        assert!(!is_pipe(&UnixStream::pair().unwrap().0.into()));
    }
}
