//! A source that is read ahead by a thread of its own: one processor decompresses and hashes while another one writes
//! files.

use std::{
    io::{self, Read},
    panic,
    sync::mpsc::{Receiver, Sender, SyncSender, TrySendError, channel, sync_channel},
    thread,
};

/// Bytes that are handed over at once: few enough that they are still in the cache of a processor.
const PIECE: usize = 128 << 10;
/// Pieces that are filled and not read yet, at most.
const PIECES: usize = 4;

/// Some bytes of a source: the first ones of a buffer.
#[derive(Default)]
struct Piece {
    bytes: Vec<u8>,
    length: usize,
}

/// What a thread has read of a source.
pub(crate) struct Ahead {
    filled: Receiver<io::Result<Piece>>,
    empty: Sender<Vec<u8>>,
    piece: Piece,
    position: usize,
    ended: bool,
}

/// Does `work` with what `source` has, which is read by another thread meanwhile, with the rights of this one. Returns
/// the source, and what the work has come to. A source that fails does so for `work` where it is read to that place.
/// Once the work is done, at most one more read of the source is waited for: the one that goes on then.
///
/// # Errors
/// There can be no such thread.
pub(crate) fn read_ahead<R: Read + Send, T>(
    source: R,
    work: impl FnOnce(Ahead) -> T,
) -> io::Result<(R, T)> {
    let (fills, filled) = sync_channel(PIECES);
    let (empty, empties) = channel();
    thread::scope(|scope| {
        let reader = thread::Builder::new().spawn_scoped(scope, move || {
            // The channels end with it.
            fill(source, &fills, &empties)
        })?;
        let done = work(Ahead {
            filled,
            empty,
            piece: Piece::default(),
            position: 0,
            ended: false,
        });
        match reader.join() {
            Ok(source) => Ok((source, done)),
            Err(panicked) => panic::resume_unwind(panicked),
        }
    })
}

/// Reads `source` to its end, or until no reader is left. What a read has brought is handed over before the next one,
/// which may have to wait for another program; pieces are filled where the reader has enough to do.
fn fill<R: Read>(
    mut source: R,
    fills: &SyncSender<io::Result<Piece>>,
    empties: &Receiver<Vec<u8>>,
) -> R {
    // At first there is none: each is made when it is needed.
    let empty = || {
        let mut bytes = empties.try_recv().unwrap_or_default();
        bytes.resize(PIECE, 0);
        bytes
    };
    loop {
        let mut bytes = empty();
        let mut length = 0;
        let end = loop {
            match source.read(&mut bytes[length..]) {
                Ok(0) => break Some(Ok(())),
                Ok(read) => length += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => break Some(Err(error)),
            }
            if length == PIECE {
                break None;
            }
            match fills.try_send(Ok(Piece { bytes, length })) {
                Ok(()) => {
                    bytes = empty();
                    length = 0;
                }
                Err(TrySendError::Full(Ok(piece))) => bytes = piece.bytes,
                Err(_) => return source,
            }
        };
        // What was read before a failure counts as well. A reader that is gone wants neither.
        let handed = fills.send(Ok(Piece { bytes, length }));
        if let Some(Err(error)) = end {
            let _unwanted = fills.send(Err(error));
            return source;
        }
        if end.is_some() || handed.is_err() {
            return source;
        }
    }
}

impl Read for Ahead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.position == self.piece.length && !self.ended {
            let spent = std::mem::take(&mut self.piece);
            if spent.length > 0 {
                // The thread may have ended, and needs none then.
                let _ended = self.empty.send(spent.bytes);
            }
            self.position = 0;
            match self.filled.recv() {
                Ok(piece) => self.piece = piece?,
                Err(_) => self.ended = true,
            }
        }
        let left = &self.piece.bytes[self.position..self.piece.length];
        let read = left.len().min(buffer.len());
        buffer[..read].copy_from_slice(&left[..read]);
        self.position += read;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// So many bytes, a few at a time, and then a failure.
    struct Failing(usize);

    impl Read for Failing {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0 == 0 {
                return Err(io::Error::other("broken"));
            }
            let read = self.0.min(buffer.len()).min(1000);
            buffer[..read].fill(7);
            self.0 -= read;
            Ok(read)
        }
    }

    #[test]
    fn all_of_a_source_is_read_in_order() {
        for size in [0, 1, PIECE - 1, PIECE, PIECE + 1, 10 * PIECE + 3] {
            let source: Vec<u8> = (0..=250).cycle().take(size).collect();
            let mut read = Vec::new();
            let done = read_ahead(&*source, |mut ahead| ahead.read_to_end(&mut read));
            let (left, count) = done.unwrap();
            assert_eq!((left.len(), count.unwrap()), (0, size));
            assert!(read == source, "{size}");
        }
    }

    #[test]
    fn a_failure_comes_where_it_is() {
        let mut read = Vec::new();
        let size = 2 * PIECE + 5;
        let (_, done) =
            read_ahead(Failing(size), |mut ahead| ahead.read_to_end(&mut read)).unwrap();
        assert_eq!(done.unwrap_err().to_string(), "broken");
        assert_eq!(read.len(), size);
    }

    /// Some bytes, and its end once they were read.
    struct Waiting(Option<u8>, Receiver<()>);

    impl Read for Waiting {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if let Some(byte) = self.0.take() {
                buffer[..3].fill(byte);
                return Ok(3);
            }
            let told = self.1.recv_timeout(Duration::from_secs(60));
            told.map(|()| 0).map_err(io::Error::other)
        }
    }

    #[test]
    fn what_was_read_is_handed_over_before_there_is_more() {
        let (tell, told) = channel();
        let (_, done) = read_ahead(Waiting(Some(7), told), |mut ahead| {
            let mut start = [0; 3];
            ahead.read_exact(&mut start)?;
            tell.send(()).unwrap();
            assert_eq!(ahead.read(&mut [0; 3])?, 0);
            Ok::<_, io::Error>(start)
        })
        .unwrap();
        assert_eq!(done.unwrap(), [7; 3]);
    }

    #[test]
    fn a_source_that_is_not_wanted_any_more_is_left() {
        let (_, first) = read_ahead(io::repeat(1), |mut ahead| {
            let mut byte = [0];
            ahead.read_exact(&mut byte).map(|()| byte[0])
        })
        .unwrap();
        assert_eq!(first.unwrap(), 1);
    }
}
