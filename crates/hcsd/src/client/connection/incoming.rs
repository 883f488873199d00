//! What comes from a client's socket.
//!
//! The kernel closes descriptors that there is no room for within `recvmsg`, and such a close may wait without end. So
//! a client has room for as many as the kernel sends with one message. One who may not use the service has room for
//! none: its socket is looked at first, and what holds descriptors is left unread, to be closed with the socket.

use hcs_wire::{
    service::Decoder,
    socket::{self, MAX_DESCRIPTORS},
};
use rustix::io::Errno;
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};

use crate::thread::closing::{Closing, PeerSocket};

/// Bytes that are received at one time of who may not use the service.
const LOOK: usize = 4096;

/// What was received and not taken yet.
pub(super) struct Incoming {
    pub(super) decoder: Decoder,
    buffer: socket::Buffer,
    closing: Closing,
    /// It may send descriptors.
    may_send: bool,
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.closing.close(self.decoder.descriptors.drain(..));
    }
}

impl Incoming {
    /// From a peer that uses the service, or may not and may send no descriptors then. What it sends is closed by
    /// `closing`.
    pub(super) fn new(closing: &Closing, may_send: bool) -> Self {
        Self {
            decoder: Decoder::default(),
            buffer: socket::Buffer::default(),
            closing: closing.clone(),
            may_send,
        }
    }

    /// Receives what has come. Returns whether there was anything.
    ///
    /// # Errors
    /// Why nothing more comes.
    pub(super) fn receive(
        &mut self,
        socket: &AsyncFd<PeerSocket>,
        ready: &mut AsyncFdReadyGuard<'_, PeerSocket>,
    ) -> Result<bool, String> {
        let received = match self.may_send {
            true => self.receive_all(socket),
            false => self.receive_bytes(socket),
        };
        match received {
            Ok(may_have_more) => {
                if !may_have_more {
                    ready.clear_ready();
                }
                Ok(true)
            }
            Err(End::Nothing) => {
                ready.clear_ready();
                Ok(false)
            }
            Err(End::Because(why)) => Err(why),
        }
    }

    /// Receives bytes and descriptors; answers whether there may be more.
    fn receive_all(&mut self, socket: &AsyncFd<PeerSocket>) -> Result<bool, End> {
        let decoder = &mut self.decoder;
        let carried = decoder.descriptors.len();
        let received = self.buffer.receive(socket, &mut decoder.descriptors)?;
        if received.bytes.is_empty() {
            return Err(End::closed());
        }
        // A call would get those of the next one.
        if received.cut {
            let why = "the service has no descriptors left for those that it sent";
            return Err(End::Because(why.to_owned()));
        }
        if received.too_many {
            return Err(End::Because(format!(
                "it sent more than {MAX_DESCRIPTORS} descriptors with one message"
            )));
        }
        decoder.feed(received.bytes);
        Ok(!received.short || decoder.descriptors.len() != carried)
    }

    /// Receives bytes that no descriptors come with.
    fn receive_bytes(&mut self, socket: &AsyncFd<PeerSocket>) -> Result<bool, End> {
        let mut bytes = [0; LOOK];
        let bytes = match socket::peek(socket, &mut bytes)? {
            (0, _) => return Err(End::closed()),
            (_, true) => {
                let why = "it sent descriptors and may not use the service";
                return Err(End::Because(why.to_owned()));
            }
            // No more than was seen: descriptors may have come behind it.
            (seen, false) => &mut bytes[..seen],
        };
        let count = socket::receive(socket, bytes, &mut self.decoder.descriptors)?;
        self.decoder.feed(&bytes[..count]);
        Ok(true)
    }
}

/// Why nothing was received.
enum End {
    /// Nothing has come.
    Nothing,
    /// Nothing more comes.
    Because(String),
}

impl End {
    fn closed() -> Self {
        Self::Because("it closed the connection".to_owned())
    }
}

impl From<Errno> for End {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::AGAIN => Self::Nothing,
            errno => Self::Because(format!("its socket failed: {errno}")),
        }
    }
}
