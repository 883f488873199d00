//! Bytes together with file descriptors over a unix stream socket (`sendmsg(2)`, `unix(7)` `SCM_RIGHTS`).
//!
//! A stream socket keeps descriptors in order with the bytes they were sent with: one `recvmsg` never reads past the
//! first chunk that carries some. So a receiver may queue descriptors as they come, and take as many for a message as
//! its header announces.
//!
//! A byte out of band (`MSG_OOB`) breaks that order: a read that passes it drops it, with the descriptors that it
//! carries, which are then closed within `recvmsg`. That close waits for as long as the sender of a lingering socket
//! wants. So who reads what others than its own kind send calls [`keep_in_order`] before it looks at the socket.

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

use crate::sys;

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

/// The most descriptors that the kernel lets one message carry (`SCM_MAX_FD`).
const MOST_OF_KERNEL: usize = 253;

/// Has bytes out of band come in order with all others. To be called before the first look at a stream socket whose
/// peer is not trusted; a peek would pass over such a byte otherwise, too.
///
/// # Errors
/// The errno of `setsockopt(2)`.
pub fn keep_in_order(socket: impl AsFd) -> Result<(), Errno> {
    rustix::net::sockopt::set_socket_oobinline(socket, true)
}

/// Whether peers may send descriptors to `socket`. Each may at first. A connection begins as the socket that listened
/// was when it came. A peer that may not gets `EPERM`, whatever else the message is.
///
/// # Errors
/// `ENOPROTOOPT` before Linux 6.16, where each may always; else the errno of `setsockopt(2)`.
pub fn let_send_descriptors(socket: impl AsFd, may: bool) -> Result<(), Errno> {
    sys::set_pass_rights(socket.as_fd(), may)
}

/// Looks at what comes next, as far as it fits into `buffer`, and leaves it where it is. Returns how many bytes there
/// are, 0 at the end of the stream, and whether descriptors come with the last of them. Those stay in the socket, so
/// none is closed by this.
///
/// # Errors
/// The errno of `recvmsg(2)`.
pub fn peek(socket: impl AsFd, buffer: &mut [u8]) -> Result<(usize, bool), Errno> {
    // Without room for descriptors none is received, and the kernel tells that there are some.
    let mut control = RecvAncillaryBuffer::default();
    let mut parts = [IoSliceMut::new(buffer)];
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    let peeked = rustix::io::retry_on_intr(|| {
        rustix::net::recvmsg(&socket, &mut parts, &mut control, flags)
    })?;
    let has_descriptors = peeked.flags.contains(ReturnFlags::CTRUNC);
    Ok((peeked.bytes, has_descriptors))
}

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
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    receive_within(socket, buffer, descriptors, &mut space).map(|(bytes, _)| bytes)
}

/// [`receive`] with the room for descriptors that `space` is, and whether some were lost that came: there was no room,
/// or this process may have no more.
fn receive_within(
    socket: impl AsFd,
    buffer: &mut [u8],
    descriptors: &mut VecDeque<OwnedFd>,
    space: &mut [MaybeUninit<u8>],
) -> Result<(usize, bool), Errno> {
    let mut control = RecvAncillaryBuffer::new(space);
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
    /// More than [`MAX_DESCRIPTORS`] came with the last of the bytes. They are all there, to be closed where that may
    /// wait: no message has as many.
    pub too_many: bool,
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

    /// [`receive`] into the buffer, which has been made larger where it was filled the last time. All descriptors of a
    /// message are received, also where they are too many: the kernel would close the rest meanwhile, and that may
    /// wait.
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
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_OF_KERNEL))];
        let before = descriptors.len();
        let (count, cut) = receive_within(socket, &mut self.bytes, descriptors, &mut space)?;
        self.filled = count == self.bytes.len();
        Ok(Received {
            bytes: &self.bytes[..count],
            short: !self.filled,
            cut,
            too_many: descriptors.len() - before > MAX_DESCRIPTORS,
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

    /// A message with as many descriptors as the kernel takes, which [`send`] does not.
    fn send_very_many(socket: &UnixStream, descriptor: BorrowedFd<'_>) {
        let many = [descriptor; MOST_OF_KERNEL];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_OF_KERNEL))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(control.push(SendAncillaryMessage::ScmRights(&many)));
        let parts = [IoSlice::new(b"x")];
        rustix::net::sendmsg(socket, &parts, &mut control, SendFlags::empty()).unwrap();
    }

    #[test]
    fn more_descriptors_than_a_message_may_have_are_received_and_none_is_closed_meanwhile() {
        let (one, other) = UnixStream::pair().unwrap();
        let (read, write) = rustix::pipe::pipe().unwrap();
        send_very_many(&one, write.as_fd());
        drop(write);
        let (mut buffer, mut descriptors) = (Buffer::default(), VecDeque::new());
        let received = buffer.receive(&other, &mut descriptors).unwrap();
        assert!((received.bytes, received.cut, received.too_many) == (&b"x"[..], false, true));
        assert_eq!(descriptors.len(), MOST_OF_KERNEL);
        drop(descriptors);
        assert_eq!(rustix::io::read(read, &mut [0]), Ok(0));
    }

    #[test]
    fn a_byte_out_of_band_comes_in_order_with_its_descriptors() {
        let (mut one, other) = UnixStream::pair().unwrap();
        keep_in_order(&other).unwrap();
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::NONBLOCK).unwrap();
        one.write_all(b"ab").unwrap();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let own = [write.as_fd()];
        assert!(control.push(SendAncillaryMessage::ScmRights(&own)));
        rustix::net::sendmsg(&one, &[IoSlice::new(b"c")], &mut control, SendFlags::OOB).unwrap();
        one.write_all(b"de").unwrap();
        drop(write);
        let (mut all, mut peeked, mut descriptors) = (Vec::new(), [0; 64], VecDeque::new());
        let mut were_seen = false;
        while all.len() < 5 {
            let (count, has_descriptors) = peek(&other, &mut peeked).unwrap();
            assert!(!has_descriptors || !were_seen);
            were_seen |= has_descriptors;
            let mut taken = vec![0; count];
            let taken_count = receive(&other, &mut taken, &mut descriptors).unwrap();
            assert_eq!(taken[..taken_count], peeked[..count]);
            all.extend(taken);
        }
        assert_eq!((all.as_slice(), descriptors.len()), (&b"abcde"[..], 1));
        assert!(were_seen);
        assert_eq!(rustix::io::read(&read, &mut [0]), Err(Errno::AGAIN));
    }

    #[test]
    fn who_may_send_no_descriptors_sends_none() {
        let (one, other) = UnixStream::pair().unwrap();
        match let_send_descriptors(&other, false) {
            Err(Errno::NOPROTOOPT) => return,
            set => set.unwrap(),
        }
        assert_eq!(send(&one, b"x", &[one.as_fd()]), Err(Errno::PERM));
        assert_eq!(send(&one, b"x", &[]), Ok(1));
        let_send_descriptors(&other, true).unwrap();
        assert_eq!(send(&one, b"x", &[one.as_fd()]), Ok(1));
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
