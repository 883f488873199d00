//! Whole messages: writing one, and cutting a stream into them.

use serde::Serialize;

use super::{MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES, MessageType};
use crate::{
    WireError,
    frame::{self, Layout, Stream},
};

/// A whole message, its body not yet parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The kind of message.
    pub kind: MessageType,
    /// Links a response to its request; 0 for notifications.
    pub id: u64,
    /// JSON.
    pub body: Vec<u8>,
}

/// The bytes of a message.
///
/// # Errors
/// [`WireError::Size`] when a request is larger than [`MAX_REQUEST_BYTES`] or anything else than
/// [`MAX_RESPONSE_BYTES`].
pub fn encode<T: Serialize>(kind: MessageType, id: u64, body: &T) -> Result<Vec<u8>, WireError> {
    let maximum = match kind {
        MessageType::Request(_) => MAX_REQUEST_BYTES,
        _ => MAX_RESPONSE_BYTES,
    };
    frame::encode(
        Layout::KindFirst,
        kind.to_bits().to_le_bytes(),
        id,
        body,
        maximum,
    )
}

/// [`encode`] with the type field as bits: for the answer to a request of unknown number.
///
/// # Errors
/// [`WireError::Size`] when the message is larger than [`MAX_RESPONSE_BYTES`].
pub fn encode_bits<T: Serialize>(bits: u32, id: u64, body: &T) -> Result<Vec<u8>, WireError> {
    frame::encode(
        Layout::KindFirst,
        bits.to_le_bytes(),
        id,
        body,
        MAX_RESPONSE_BYTES,
    )
}

/// Cuts a stream into frames. Pure; holds at most one message more than it was fed.
#[derive(Debug)]
pub struct Decoder {
    stream: Stream,
    maximum: u32,
}

impl Default for Decoder {
    /// The host's side: takes messages of the size that an agent may send, [`MAX_RESPONSE_BYTES`].
    fn default() -> Self {
        Self::with_limit(MAX_RESPONSE_BYTES)
    }
}

impl Decoder {
    /// A decoder that takes messages of up to `maximum` bytes, header included.
    #[must_use]
    pub const fn with_limit(maximum: u32) -> Self {
        Self {
            stream: Stream::new(Layout::KindFirst),
            maximum,
        }
    }

    /// Appends received bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.stream.feed(bytes);
    }

    /// Where in the stream the next frame begins: the number of bytes of all frames given out so far.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.stream.position()
    }

    /// How many bytes were fed that no frame given out has taken.
    #[must_use]
    pub const fn waiting(&self) -> usize {
        self.stream.waiting()
    }

    /// The next whole frame, if there is one.
    ///
    /// # Errors
    /// After an error the stream is out of step and must be closed.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, WireError> {
        let Some(header) = self.stream.header(self.maximum)? else {
            return Ok(None);
        };
        let kind = MessageType::from_bits(u32::from_le_bytes(header.kind))?;
        let id = header.id;
        Ok(self
            .stream
            .take(header)
            .map(|body| Frame { kind, id, body }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::guest::{HEADER_BYTES, NO_TIMEOUT, Rpc, WaitForProcess};

    #[test]
    fn frames_survive_any_cut() {
        let body = WaitForProcess {
            process_id: 5,
            timeout_in_ms: NO_TIMEOUT,
            ..WaitForProcess::default()
        };
        let stream = encode(MessageType::Request(Rpc::WaitForProcess), 3, &body).unwrap();
        for cut in 0..stream.len() {
            let mut decoder = Decoder::default();
            decoder.feed(&stream[..cut]);
            assert_eq!(decoder.next_frame().unwrap(), None);
            assert_eq!((decoder.position(), decoder.waiting()), (0, cut));
            decoder.feed(&stream[cut..]);
            let frame = decoder.next_frame().unwrap().unwrap();
            assert_eq!(
                serde_json::from_slice::<WaitForProcess>(&frame.body).unwrap(),
                body
            );
            assert_eq!(decoder.position(), stream.len() as u64);
        }
    }

    proptest! {
        /// Whatever comes in whatever pieces: frames or an error, and never more kept than was fed.
        #[test]
        fn any_bytes_are_survived(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20),
            small in any::<bool>(),
        ) {
            let mut decoder = Decoder::with_limit(1000);
            if small {
                // A header that announces little, so that nonsense gets as far as a frame.
                decoder.feed(&0x1010_0201_u32.to_le_bytes());
                decoder.feed(&20_u32.to_le_bytes());
            }
            let mut fed = decoder.waiting();
            'pieces: for piece in &pieces {
                decoder.feed(piece);
                fed += piece.len();
                loop {
                    let before = decoder.position();
                    match decoder.next_frame() {
                        Ok(Some(frame)) => {
                            let size = frame.body.len() + HEADER_BYTES;
                            prop_assert_eq!(decoder.position(), before + size as u64);
                        }
                        Ok(None) => break,
                        Err(_) => break 'pieces,
                    }
                }
                prop_assert_eq!(decoder.position() + decoder.waiting() as u64, fed as u64);
            }
        }
    }

    #[test]
    fn an_answer_of_any_number_is_a_frame() {
        let bits = MessageType::Response(Rpc::Renew).to_bits();
        let mut decoder = Decoder::default();
        decoder.feed(&encode_bits(bits, 7, &"body").unwrap());
        let expected = Frame {
            kind: MessageType::Response(Rpc::Renew),
            id: 7,
            body: br#""body""#.to_vec(),
        };
        assert_eq!(decoder.next_frame(), Ok(Some(expected)));
    }

    #[test]
    fn sizes_are_bounded() {
        for size in [0_u32, 15, 1001, u32::MAX] {
            let mut header = [0; 16];
            header[0..4].copy_from_slice(&0x1010_0b01_u32.to_le_bytes());
            header[4..8].copy_from_slice(&size.to_le_bytes());
            let mut decoder = Decoder::with_limit(1000);
            decoder.feed(&header);
            assert!(
                matches!(decoder.next_frame(), Err(WireError::Size { .. })),
                "size {size}"
            );
        }
        let long = "x".repeat(MAX_RESPONSE_BYTES as usize);
        let response = MessageType::Response(Rpc::GetProperties);
        assert!(matches!(
            encode(response, 1, &long),
            Err(WireError::Size { .. })
        ));
        assert!(encode(MessageType::Request(Rpc::ExecuteProcess), 1, &long).is_ok());
    }
}
