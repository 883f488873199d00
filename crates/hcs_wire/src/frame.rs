//! The framing that both protocols share: a header of 16 bytes and a body of JSON.
//!
//! A header has three fields, little endian: the size of the whole message (u32), four bytes that are the protocol's
//! own (the kind), and an id (u64). The two protocols differ in the order of the first two: the guest bridge of HCS has
//! its type first, which is not ours to change.

use serde::Serialize;

use crate::WireError;

/// Size of a header.
pub(crate) const HEADER_BYTES: usize = 16;
/// The most memory that a [`Stream`] keeps allocated while nothing waits in it.
const KEPT_BYTES: usize = 64 << 10;

/// The order of the first two fields of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Size, then kind.
    SizeFirst,
    /// Kind, then size.
    KindFirst,
}

/// A header, its kind not yet understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Size of the message, header included.
    pub(crate) size: u32,
    /// The protocol's own field.
    pub(crate) kind: [u8; 4],
    /// Links an answer to its request.
    pub(crate) id: u64,
}

impl Layout {
    fn read(self, bytes: [u8; HEADER_BYTES]) -> Header {
        let [a0, a1, a2, a3, b0, b1, b2, b3, id @ ..] = bytes;
        let (size, kind) = match self {
            Self::SizeFirst => ([a0, a1, a2, a3], [b0, b1, b2, b3]),
            Self::KindFirst => ([b0, b1, b2, b3], [a0, a1, a2, a3]),
        };
        Header {
            size: u32::from_le_bytes(size),
            kind,
            id: u64::from_le_bytes(id),
        }
    }

    fn write(self, header: Header) -> [u8; HEADER_BYTES] {
        let size = header.size.to_le_bytes();
        let (first, second) = match self {
            Self::SizeFirst => (size, header.kind),
            Self::KindFirst => (header.kind, size),
        };
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..4].copy_from_slice(&first);
        bytes[4..8].copy_from_slice(&second);
        bytes[8..16].copy_from_slice(&header.id.to_le_bytes());
        bytes
    }
}

/// The bytes of a message of at most `maximum` bytes.
///
/// # Errors
/// [`WireError::Size`] when it is larger, [`WireError::Body`] when `body` cannot be JSON.
pub(crate) fn encode<T: Serialize>(
    layout: Layout,
    kind: [u8; 4],
    id: u64,
    body: &T,
    maximum: u32,
) -> Result<Vec<u8>, WireError> {
    let mut bytes = vec![0; HEADER_BYTES];
    serde_json::to_writer(&mut bytes, body).map_err(|e| WireError::Body {
        kind: "outgoing",
        reason: e.to_string(),
    })?;
    let size = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    check_size(size, maximum)?;
    bytes[..HEADER_BYTES].copy_from_slice(&layout.write(Header { size, kind, id }));
    Ok(bytes)
}

fn check_size(size: u32, maximum: u32) -> Result<(), WireError> {
    let minimum = 16;
    if size < minimum || size > maximum {
        return Err(WireError::Size {
            size,
            minimum,
            maximum,
        });
    }
    Ok(())
}

/// Received bytes that wait to be cut into messages. Pure; holds no more than it was fed.
#[derive(Debug)]
pub(crate) struct Stream {
    layout: Layout,
    bytes: Vec<u8>,
    /// How many of `bytes` are parts of messages that were given out.
    taken: usize,
    position: u64,
}

impl Stream {
    pub(crate) const fn new(layout: Layout) -> Self {
        Self {
            layout,
            bytes: Vec::new(),
            taken: 0,
            position: 0,
        }
    }

    /// Appends received bytes.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Where the next message begins: the number of bytes of all messages given out so far.
    pub(crate) const fn position(&self) -> u64 {
        self.position
    }

    /// How many bytes were fed that no message given out has taken.
    pub(crate) const fn waiting(&self) -> usize {
        self.bytes.len() - self.taken
    }

    /// The size that the next message announces, not checked, as soon as its header is there.
    pub(crate) fn announced(&self) -> Option<usize> {
        let header = self.bytes[self.taken..].first_chunk()?;
        Some(self.layout.read(*header).size as usize)
    }

    /// The header of the next message, as soon as it is there: a message that is too large, or of an unknown kind, is
    /// refused before its body is received.
    ///
    /// # Errors
    /// [`WireError::Size`] when the message is larger than `maximum` or smaller than a header.
    pub(crate) fn header(&self, maximum: u32) -> Result<Option<Header>, WireError> {
        let Some(header) = self.bytes[self.taken..].first_chunk() else {
            return Ok(None);
        };
        let header = self.layout.read(*header);
        check_size(header.size, maximum)?;
        Ok(Some(header))
    }

    /// Whether the whole message of `header`, the next one, is there.
    pub(crate) const fn holds(&self, header: Header) -> bool {
        self.waiting() >= header.size as usize
    }

    /// The body of the message of `header`, the next one, once all of it is there. The next message is next then.
    pub(crate) fn take(&mut self, header: Header) -> Option<Vec<u8>> {
        let end = self.taken + header.size as usize;
        let body = self.bytes.get(self.taken + HEADER_BYTES..end)?.to_vec();
        self.taken = end;
        self.position += u64::from(header.size);
        self.tidy();
        Some(body)
    }

    /// Forgets what was given out, when that is all, or much.
    fn tidy(&mut self) {
        if self.taken == self.bytes.len() {
            self.taken = 0;
            self.bytes.clear();
            self.bytes.shrink_to(KEPT_BYTES);
        } else if self.taken > KEPT_BYTES {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAXIMUM: u32 = 1 << 20;

    fn next(stream: &mut Stream) -> Result<Option<(Header, Vec<u8>)>, WireError> {
        let Some(header) = stream.header(MAXIMUM)? else {
            return Ok(None);
        };
        Ok(stream.take(header).map(|body| (header, body)))
    }

    proptest! {
        #[test]
        fn messages_come_out_as_they_went_in(
            bodies in prop::collection::vec("[a-z\"\\\\\u{e4}]{0,60}", 1..8),
            cuts in prop::collection::vec(1..50_usize, 1..30),
            size_first in any::<bool>(),
            kind in any::<[u8; 4]>(),
        ) {
            let layout = if size_first { Layout::SizeFirst } else { Layout::KindFirst };
            let sent: Vec<u8> = (0..)
                .zip(&bodies)
                .flat_map(|(id, body)| encode(layout, kind, id, body, MAXIMUM).unwrap())
                .collect();
            let mut stream = Stream::new(layout);
            let (mut found, mut fed) = (Vec::new(), 0);
            let mut cuts = cuts.iter().cycle();
            while fed < sent.len() {
                let piece = (*cuts.next().unwrap()).min(sent.len() - fed);
                stream.feed(&sent[fed..fed + piece]);
                fed += piece;
                while let Some((header, body)) = next(&mut stream).unwrap() {
                    prop_assert_eq!((header.kind, header.id), (kind, found.len() as u64));
                    prop_assert_eq!(header.size as usize, body.len() + HEADER_BYTES);
                    found.push(serde_json::from_slice::<String>(&body).unwrap());
                }
                prop_assert_eq!(stream.position() + stream.waiting() as u64, fed as u64);
            }
            prop_assert_eq!(found, bodies);
        }
    }

    #[test]
    fn what_was_given_out_is_kept_up_to_a_limit() {
        assert_eq!(KEPT_BYTES, 65_536);
        // Two messages that have the limit together, and one that the stream has the half of.
        let message = encode(
            Layout::SizeFirst,
            [0; 4],
            1,
            &"x".repeat(KEPT_BYTES / 2 - HEADER_BYTES - 2),
            MAXIMUM,
        )
        .unwrap();
        assert_eq!(message.len(), KEPT_BYTES / 2);
        let mut stream = Stream::new(Layout::SizeFirst);
        for part in [&message[..], &message[..], &message[..100]] {
            stream.feed(part);
        }
        for _ in 0..2 {
            assert!(next(&mut stream).unwrap().is_some());
        }
        assert_eq!(
            (stream.waiting(), stream.bytes.len()),
            (100, KEPT_BYTES + 100)
        );
        stream.feed(&message[100..]);
        assert!(next(&mut stream).unwrap().is_some());
        assert_eq!((stream.waiting(), stream.bytes.len()), (0, 0));
    }

    #[test]
    fn memory_is_bounded_once_nothing_waits() {
        let mut stream = Stream::new(Layout::SizeFirst);
        let large = encode(Layout::SizeFirst, [0; 4], 1, &"x".repeat(500_000), MAXIMUM).unwrap();
        stream.feed(&large);
        assert!(next(&mut stream).unwrap().is_some());
        assert_eq!(stream.waiting(), 0);
        assert!(stream.bytes.capacity() <= KEPT_BYTES);
    }

    #[test]
    fn memory_of_what_was_given_out_is_used_again() {
        let mut stream = Stream::new(Layout::KindFirst);
        let message = encode(Layout::KindFirst, [0; 4], 1, &"x".repeat(1000), MAXIMUM).unwrap();
        // There is always half a message more, so that the stream is never empty.
        let (half, rest) = message.split_at(500);
        stream.feed(half);
        for _ in 0..1000 {
            stream.feed(rest);
            stream.feed(half);
            assert!(next(&mut stream).unwrap().is_some());
        }
        assert_eq!(stream.waiting(), half.len());
        assert!(stream.bytes.len() <= KEPT_BYTES + 2 * message.len());
    }

    #[test]
    fn a_size_is_refused_with_the_header_and_a_body_waited_for() {
        for (size, fine) in [
            (0, false),
            (15, false),
            (16, true),
            (MAXIMUM, true),
            (MAXIMUM + 1, false),
        ] {
            let mut stream = Stream::new(Layout::SizeFirst);
            stream.feed(&Layout::SizeFirst.write(Header {
                size,
                kind: [7; 4],
                id: 3,
            }));
            assert_eq!(stream.announced(), Some(size as usize));
            assert_eq!(stream.header(MAXIMUM).is_ok(), fine, "{size}");
            if let Ok(Some(header)) = stream.header(MAXIMUM) {
                assert_eq!(stream.holds(header), size == 16, "{size}");
            }
        }
    }
}
