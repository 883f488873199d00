//! The socket of a front end: whole messages with their descriptors. It is never waited for.

use std::{
    collections::VecDeque,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
};

use rustix::{
    io::{Errno, retry_on_intr},
    net::SendFlags,
};

use super::message::{FrontEndRequest, HEADER, Header, MAX_BODY};
use crate::error::{DeviceError, MessageError};

/// The socket of a front end, and what has come of the next message.
#[derive(Debug)]
pub(crate) struct Channel {
    socket: UnixStream,
    /// Header and body, as far as they have come.
    bytes: [u8; HEADER + MAX_BODY],
    filled: usize,
    descriptors: VecDeque<OwnedFd>,
}

/// A message.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) header: Header,
    pub(crate) request: FrontEndRequest,
    /// As many as the request has.
    pub(crate) descriptors: Vec<OwnedFd>,
}

/// What came from the front end.
#[derive(Debug)]
pub(crate) enum Received {
    Message(Message),
    /// Nothing more for now.
    Nothing,
    /// The front end has closed the socket.
    End,
}

impl Channel {
    /// Takes the socket, which does not block from then on.
    pub(crate) fn new(socket: UnixStream) -> Result<Self, DeviceError> {
        socket
            .set_nonblocking(true)
            .map_err(DeviceError::system("preparing the front end's socket"))?;
        Ok(Self {
            socket,
            bytes: [0; HEADER + MAX_BODY],
            filled: 0,
            descriptors: VecDeque::new(),
        })
    }

    /// The next message, if all of it has come. A message is read by itself, so its descriptors are its own.
    pub(crate) fn receive(&mut self) -> Result<Received, DeviceError> {
        loop {
            let header = match self.bytes.first_chunk() {
                Some(bytes) if self.filled >= HEADER => {
                    Some(Header::decode(bytes).map_err(DeviceError::Protocol)?)
                }
                _ => None,
            };
            let end = header.map_or(HEADER, |header| HEADER + header.size);
            if let Some(header) = header
                && self.filled == end
            {
                self.filled = 0;
                return self.message(header, end).map_err(DeviceError::Protocol);
            }
            let room = &mut self.bytes[self.filled..end];
            match hcs_wire::socket::receive(&self.socket, room, &mut self.descriptors) {
                Ok(0) if self.filled == 0 => return Ok(Received::End),
                Ok(0) => return Err(DeviceError::Protocol(MessageError::Cut)),
                Ok(count) => self.filled += count,
                Err(Errno::AGAIN) => return Ok(Received::Nothing),
                // A front end that was killed with unread replies.
                Err(Errno::CONNRESET) => return Ok(Received::End),
                Err(errno) => {
                    return Err(DeviceError::system("reading from the front end")(errno));
                }
            }
            if self.descriptors.len() > hcs_wire::socket::MAX_DESCRIPTORS {
                return Err(DeviceError::Protocol(MessageError::Descriptors {
                    request: 0,
                    found: self.descriptors.len(),
                    expected: hcs_wire::socket::MAX_DESCRIPTORS,
                }));
            }
        }
    }

    fn message(&mut self, header: Header, end: usize) -> Result<Received, MessageError> {
        let request = FrontEndRequest::decode(header.request, &self.bytes[HEADER..end])?;
        let descriptors: Vec<OwnedFd> = self.descriptors.drain(..).collect();
        let (found, expected) = (descriptors.len(), request.descriptors());
        // What came with an unknown request is closed.
        if found != expected && !matches!(request, FrontEndRequest::Unknown(_)) {
            return Err(MessageError::Descriptors {
                request: header.request,
                found,
                expected,
            });
        }
        Ok(Received::Message(Message {
            header,
            request,
            descriptors,
        }))
    }

    /// Sends a reply. Replies are short, so a socket without room for one has a front end that does not read them.
    pub(crate) fn send(&self, message: &[u8]) -> Result<(), DeviceError> {
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        match retry_on_intr(|| rustix::net::send(&self.socket, message, flags)) {
            Ok(count) if count == message.len() => Ok(()),
            Ok(_) | Err(Errno::AGAIN) => Err(DeviceError::Protocol(MessageError::Unread)),
            // The next read tells that the front end has gone.
            Err(Errno::PIPE | Errno::CONNRESET) => Ok(()),
            Err(errno) => Err(DeviceError::system("answering the front end")(errno)),
        }
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
