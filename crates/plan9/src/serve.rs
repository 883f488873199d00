//! [`serve`]: one connection.

use std::io::{self, Read, Write};

use crate::{
    message::HEADER,
    session::{FIRST_SIZE, Session},
    share::Shares,
};

/// Why a connection ended that its guest did not end.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The stream failed.
    #[error("the stream of a guest that has a share failed")]
    Io(#[from] io::Error),
    /// The guest broke the protocol.
    #[error("a message of {0} bytes came; 7 to {1} are allowed")]
    Size(u32, u32),
}

/// Answers the requests of a guest that come on `stream`, until it ends. Blocks; what the guest may do with the files
/// is what the calling thread may do.
///
/// # Errors
/// The stream failed, or the guest broke the protocol. The connection is then of no more use.
pub fn serve(mut stream: impl Read + Write, shares: impl Shares) -> Result<(), ServeError> {
    let mut session = Session::new(shares);
    let mut body = Vec::new();
    loop {
        let mut header = [0; 7];
        match stream.read_exact(&mut header) {
            Err(end) if end.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            other => other?,
        }
        let [a, b, c, d, kind, tag @ ..] = header;
        let size = u32::from_le_bytes([a, b, c, d]);
        let most = session.size().max(FIRST_SIZE);
        if !(HEADER..=most).contains(&size) {
            return Err(ServeError::Size(size, most));
        }
        body.resize(usize::try_from(size - HEADER).unwrap_or_default(), 0);
        stream.read_exact(&mut body)?;
        let answer = session.answer(kind, u16::from_le_bytes(tag), &body);
        stream.write_all(&answer)?;
        stream.flush()?;
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        net::Shutdown,
        os::{fd::OwnedFd, unix::net::UnixStream},
        sync::Arc,
        thread,
    };

    use super::*;
    use crate::{
        fuzzing::{One, encode},
        message::Plan9Request,
        share::Share,
    };

    /// What a guest that sends these bytes hears, and how its connection ends.
    fn talk(bytes: &[u8]) -> (Vec<u8>, Result<(), ServeError>) {
        let place = tempfile::tempdir().unwrap();
        let root: OwnedFd = File::open(place.path()).unwrap().into();
        let share = Arc::new(Share::new(root, false).unwrap());
        let (mut guest, stream) = UnixStream::pair().unwrap();
        let server = thread::spawn(move || serve(stream, One(share)));
        // A connection that has ended takes nothing.
        let _cut = guest.write_all(bytes);
        let _cut = guest.shutdown(Shutdown::Write);
        let mut heard = Vec::new();
        let _reset = guest.read_to_end(&mut heard);
        (heard, server.join().unwrap())
    }

    fn message(request: &Plan9Request<'_>) -> Vec<u8> {
        let (kind, body) = encode(request);
        let size = u32::try_from(body.len() + 7).unwrap();
        [&size.to_le_bytes(), [kind, 1, 2].as_slice(), &body].concat()
    }

    #[test]
    fn each_message_has_an_answer_until_the_stream_ends() {
        let version = message(&Plan9Request::Version {
            size: 8192,
            version: b"9P2000.L",
        });
        let (heard, end) = talk(&[version.clone(), message(&Plan9Request::Flush)].concat());
        end.unwrap();
        let expected = [21, 0, 0, 0, 101, 1, 2, 0, 32, 0, 0, 8, 0];
        assert_eq!(heard[..13], expected);
        assert_eq!(heard[13..21], *b"9P2000.L");
        assert_eq!(heard[21..], [7, 0, 0, 0, 109, 1, 2]);
        let (_, cut) = talk(&version[..9]);
        assert!(matches!(cut, Err(ServeError::Io(_))));
    }

    #[test]
    fn a_message_without_measure_ends_the_connection() {
        for size in [0, 6, FIRST_SIZE + 1, u32::MAX] {
            let header = [&size.to_le_bytes(), [100, 0, 0].as_slice()].concat();
            let (heard, end) = talk(&header);
            assert!(heard.is_empty());
            assert!(matches!(end, Err(ServeError::Size(..))), "{size}");
        }
    }
}
