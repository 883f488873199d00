//! The socket behind a connection. It is never waited for, whether it blocks or not.

use std::{
    collections::VecDeque,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{
    io::{Errno, retry_on_intr},
    net::{RecvFlags, SendFlags, Shutdown},
};

/// Bytes of memory that an empty backlog keeps at most.
const KEPT: usize = 16 << 10;

/// The socket behind a connection, and what it has not taken yet.
#[derive(Debug)]
pub(crate) struct Stream {
    socket: OwnedFd,
    /// Bytes of the guest; no more than it may send.
    backlog: VecDeque<u8>,
    /// There may be something to receive, or the end.
    pub(crate) readable: bool,
    /// The guest sends no more: the socket is to hear so behind the backlog.
    finishing: bool,
    finished: bool,
    /// It is watched for room.
    pub(crate) watched: bool,
}

/// What a socket gave.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    Bytes(usize),
    Nothing,
    End,
    /// It is broken, such as by a peer that closed it without reading all.
    Broken,
}

/// The socket takes nothing any more.
#[derive(Debug)]
pub(crate) struct Gone;

impl Stream {
    pub(crate) const fn new(socket: OwnedFd) -> Self {
        Self {
            socket,
            backlog: VecDeque::new(),
            readable: true,
            finishing: false,
            finished: false,
            watched: false,
        }
    }

    /// Receives some bytes.
    pub(crate) fn receive(&mut self, bytes: &mut [u8]) -> Received {
        let received = self.receive_with(bytes, RecvFlags::DONTWAIT);
        if received == Received::Nothing {
            self.readable = false;
        }
        received
    }

    /// What [`Self::receive`] would give, with 1 for any number of bytes.
    pub(crate) fn peek(&mut self) -> Received {
        let received = self.receive_with(&mut [0], RecvFlags::DONTWAIT | RecvFlags::PEEK);
        if received == Received::Nothing {
            self.readable = false;
        }
        received
    }

    fn receive_with(&self, bytes: &mut [u8], flags: RecvFlags) -> Received {
        match retry_on_intr(|| rustix::net::recv(&self.socket, &mut *bytes, flags)) {
            Ok((0, _)) => Received::End,
            Ok((count, _)) => Received::Bytes(count),
            Err(Errno::AGAIN) => Received::Nothing,
            Err(_) => Received::Broken,
        }
    }

    /// Sends bytes of the guest, and keeps what the socket does not take. Returns how many it took, of these and those
    /// kept before.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<usize, Gone> {
        let mut taken = self.flush()?;
        let mut rest = bytes;
        while self.backlog.is_empty() && !rest.is_empty() {
            let count = self.send_some(rest)?;
            if count == 0 {
                break;
            }
            taken += count;
            rest = &rest[count..];
        }
        self.backlog.extend(rest);
        Ok(taken)
    }

    /// Sends a few bytes that are not the guest's, before all others.
    pub(crate) fn greet(&self, line: &str) {
        let _peer_has_gone = self.send_some(line.as_bytes());
    }

    /// Sends what was kept. Returns how many bytes the socket took.
    pub(crate) fn flush(&mut self) -> Result<usize, Gone> {
        let mut taken = 0;
        while !self.backlog.is_empty() {
            let count = self.send_some(self.backlog.as_slices().0)?;
            if count == 0 {
                return Ok(taken);
            }
            self.backlog.drain(..count);
            taken += count;
        }
        // A burst is over: most of what it needed is given back.
        self.backlog.shrink_to(KEPT);
        if self.finishing && !self.finished {
            self.finished = true;
            let _peer_has_gone = rustix::net::shutdown(&self.socket, Shutdown::Write);
        }
        Ok(taken)
    }

    /// How many bytes the socket took; 0 when it takes none for now.
    fn send_some(&self, bytes: &[u8]) -> Result<usize, Gone> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        match retry_on_intr(|| rustix::net::send(&self.socket, bytes, flags)) {
            Ok(count) => Ok(count),
            Err(Errno::AGAIN) => Ok(0),
            Err(_) => Err(Gone),
        }
    }

    /// The guest sends no more: the peer reads the end behind what was kept.
    pub(crate) fn finish(&mut self) -> Result<usize, Gone> {
        self.finishing = true;
        self.flush()
    }

    /// The guest receives no more: the peer's writes fail from now on.
    pub(crate) fn refuse(&self) {
        let _peer_has_gone = rustix::net::shutdown(&self.socket, Shutdown::Read);
    }

    /// Nothing is kept.
    pub(crate) fn is_flushed(&self) -> bool {
        self.backlog.is_empty()
    }

    /// Throws away what was kept. Returns how much it was.
    pub(crate) fn discard(&mut self) -> usize {
        std::mem::take(&mut self.backlog).len()
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
