//! The stream to the host: requests in, answers out, never blocking.
//!
//! What the host does not read stays in `output`. While more than [`HIGH_WATER`] waits there, no further request is
//! taken ([`Stream::takes_requests`]), so what can pile up is one answer and the exits that were asked for.

use std::{
    collections::VecDeque,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use hcs_wire::{
    WireError,
    guest::{Decoder, Frame, MAX_REQUEST_BYTES},
    socket,
};
use rustix::{event::epoll::EventFlags, io::Errno};

use crate::descriptors::{DescriptorQueue, MAX_BATCHES};

/// Unsent bytes above which no request is taken.
const HIGH_WATER: usize = 256 << 10;
/// What an empty output keeps allocated at most.
const KEPT_BYTES: usize = 16 << 10;

/// Why a stream ends.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StreamEnd {
    /// The host closed it, or is gone.
    #[error("the host closed the stream")]
    Closed,
    /// The connection broke.
    #[error("the stream broke")]
    Broken(#[source] Errno),
    /// The host sent what is no message.
    #[error("the host sent what is no message")]
    Malformed(#[from] WireError),
    /// More descriptors than messages.
    #[error("descriptors came {MAX_BATCHES} times with no message of their own")]
    Descriptors,
}

/// Descriptors of the message that is `start..end` of the output. It is sent on its own.
#[derive(Debug)]
struct Cargo {
    start: usize,
    end: usize,
    descriptors: Vec<OwnedFd>,
    /// The message that goes in its place where descriptors cannot be sent.
    instead: Vec<u8>,
}

/// One connection to the host.
#[derive(Debug)]
pub(crate) struct Stream {
    socket: OwnedFd,
    decoder: Decoder,
    received: u64,
    batches: DescriptorQueue<OwnedFd>,
    /// Whether the decoder was found to have no whole request left.
    drained: bool,
    output: Vec<u8>,
    sent: usize,
    /// Descriptors that go along, in the order of their messages.
    cargo: VecDeque<Cargo>,
    /// Whether `NegotiateProtocol` has been answered with success.
    pub(crate) negotiated: bool,
    /// What the event loop presently watches it for.
    pub(crate) watched: EventFlags,
}

impl Stream {
    /// A fresh stream; `socket` is non-blocking.
    pub(crate) fn new(socket: OwnedFd) -> Self {
        Self {
            socket,
            decoder: Decoder::with_limit(MAX_REQUEST_BYTES),
            received: 0,
            batches: DescriptorQueue::new(),
            drained: true,
            output: Vec::new(),
            sent: 0,
            cargo: VecDeque::new(),
            negotiated: false,
            watched: EventFlags::empty(),
        }
    }

    /// Receives once, by way of `scratch`.
    pub(crate) fn receive(&mut self, scratch: &mut [u8]) -> Result<(), StreamEnd> {
        let mut descriptors = VecDeque::new();
        let count = match socket::receive(&self.socket, scratch, &mut descriptors) {
            Ok(0) => return Err(StreamEnd::Closed),
            Ok(count) => count,
            Err(Errno::AGAIN) => return Ok(()),
            Err(Errno::CONNRESET) => return Err(StreamEnd::Closed),
            Err(errno) => return Err(StreamEnd::Broken(errno)),
        };
        let start = self.received;
        self.received += count as u64;
        let carried: Vec<OwnedFd> = descriptors.into();
        if !carried.is_empty() && !self.batches.add(start, self.received, carried) {
            return Err(StreamEnd::Descriptors);
        }
        self.decoder.feed(&scratch[..count]);
        self.drained = false;
        Ok(())
    }

    /// The next whole request with the descriptors that came with it.
    pub(crate) fn next_request(&mut self) -> Result<Option<(Frame, Vec<OwnedFd>)>, StreamEnd> {
        let start = self.decoder.position();
        let Some(frame) = self.decoder.next_frame()? else {
            self.drained = true;
            return Ok(None);
        };
        let descriptors = self.batches.take(start, self.decoder.position());
        Ok(Some((frame, descriptors)))
    }

    /// Whether answers flow off well enough to take another request.
    pub(crate) fn takes_requests(&self) -> bool {
        self.unsent() <= HIGH_WATER
    }

    /// Whether something received has not been looked at and can be now.
    pub(crate) fn has_request(&self) -> bool {
        self.takes_requests() && !self.drained
    }

    /// Puts a message into the output.
    pub(crate) fn push(&mut self, message: &[u8]) {
        self.output.extend_from_slice(message);
    }

    /// Puts a message into the output that carries descriptors; `instead` is sent where too many are in flight.
    pub(crate) fn push_with(
        &mut self,
        message: &[u8],
        descriptors: Vec<OwnedFd>,
        instead: Vec<u8>,
    ) {
        let start = self.output.len();
        self.push(message);
        self.cargo.push_back(Cargo {
            start,
            end: self.output.len(),
            descriptors,
            instead,
        });
    }

    /// Sends some of the output: up to where descriptors go along, or the message they go along with.
    fn send(&mut self) -> Result<usize, Errno> {
        let Some(cargo) = self.cargo.front() else {
            return socket::send(&self.socket, &self.output[self.sent..], &[]);
        };
        if self.sent < cargo.start {
            return socket::send(&self.socket, &self.output[self.sent..cargo.start], &[]);
        }
        let rights: Vec<_> = cargo.descriptors.iter().map(OwnedFd::as_fd).collect();
        let sent = socket::send(&self.socket, &self.output[self.sent..cargo.end], &rights);
        if sent.is_ok() || sent == Err(Errno::TOOMANYREFS) {
            // They went with the first byte, or nothing went.
            let cargo = self.cargo.pop_front();
            if let (Err(_), Some(cargo)) = (sent, cargo) {
                self.replace(cargo);
                return Ok(0);
            }
        }
        sent
    }

    /// Puts the other message in the place of one whose descriptors cannot be sent.
    fn replace(&mut self, refused: Cargo) {
        let Cargo {
            start,
            end,
            instead,
            ..
        } = refused;
        let moved = |place: usize| place - (end - start) + instead.len();
        for later in &mut self.cargo {
            (later.start, later.end) = (moved(later.start), moved(later.end));
        }
        drop(self.output.splice(start..end, instead));
    }

    /// Sends what the host takes now.
    pub(crate) fn flush(&mut self) -> Result<(), StreamEnd> {
        while self.sent < self.output.len() {
            match self.send() {
                Ok(count) => self.sent += count,
                Err(Errno::AGAIN) => {
                    self.output.drain(..self.sent);
                    for cargo in &mut self.cargo {
                        cargo.start -= self.sent;
                        cargo.end -= self.sent;
                    }
                    self.sent = 0;
                    return Ok(());
                }
                Err(Errno::PIPE | Errno::CONNRESET) => return Err(StreamEnd::Closed),
                Err(errno) => return Err(StreamEnd::Broken(errno)),
            }
        }
        self.output.clear();
        self.output.shrink_to(KEPT_BYTES);
        self.sent = 0;
        Ok(())
    }

    /// How many bytes the host has not taken yet.
    pub(crate) fn unsent(&self) -> usize {
        self.output.len() - self.sent
    }

    /// What the event loop should watch it for.
    pub(crate) fn wants(&self) -> EventFlags {
        let mut wants = EventFlags::empty();
        if self.takes_requests() {
            wants |= EventFlags::IN;
        }
        if self.unsent() > 0 {
            wants |= EventFlags::OUT;
        }
        wants
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Read as _, os::unix::net::UnixStream};

    use super::*;

    #[test]
    fn a_message_whose_descriptors_cannot_be_sent_is_replaced_in_its_place() {
        let (own, mut host) = UnixStream::pair().unwrap();
        let mut stream = Stream::new(own.into());
        let pipe = || vec![rustix::pipe::pipe().unwrap().0];
        stream.push(b"one ");
        stream.push_with(b"with pipes ", pipe(), b"refused ".to_vec());
        stream.push(b"two ");
        stream.push_with(b"with more ", pipe(), b"also refused, at length ".to_vec());
        stream.push(b"three");
        let refused = stream.cargo.pop_front().unwrap();
        stream.replace(refused);
        let [later] = stream.cargo.make_contiguous() else {
            panic!("{stream:?}");
        };
        assert_eq!(&stream.output[later.start..later.end], b"with more ");
        let refused = stream.cargo.pop_front().unwrap();
        stream.replace(refused);
        stream.flush().unwrap();
        drop(stream);
        let mut heard = String::new();
        host.read_to_string(&mut heard).unwrap();
        assert_eq!(heard, "one refused two also refused, at length three");
    }
}
