//! Answers.

use rustix::io::Errno;

use crate::{message::kind, wire::Writer};

/// Where the body of an answer begins.
const BODY: usize = 7;

/// How a file is told from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Qid {
    /// A directory is 0x80, a symbolic link 2.
    pub(crate) kind: u8,
    pub(crate) version: u32,
    pub(crate) path: u64,
}

/// An answer while it is written.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) body: Writer,
    tag: u16,
}

impl Reply {
    /// One to a request with this tag.
    pub(crate) fn new(tag: u16) -> Self {
        let body = Writer(vec![0; BODY]);
        Self { body, tag }
    }

    pub(crate) fn qid(&mut self, qid: Qid) -> &mut Self {
        self.body.u8(qid.kind).u32(qid.version).u64(qid.path);
        self
    }

    /// Room for `length` bytes at the end.
    pub(crate) fn room(&mut self, length: usize) -> &mut [u8] {
        let begin = self.body.0.len();
        self.body.0.resize(begin + length, 0);
        &mut self.body.0[begin..]
    }

    /// Cuts all behind the body's first `length` bytes off.
    pub(crate) fn truncate(&mut self, length: usize) {
        self.body.0.truncate(BODY + length);
    }

    /// How long the body is.
    pub(crate) fn length(&self) -> usize {
        self.body.0.len() - BODY
    }

    /// Writes a number into the body, over what is there.
    pub(crate) fn set_u32(&mut self, at: usize, number: u32) {
        let place = BODY + at;
        self.body.0[place..place + 4].copy_from_slice(&number.to_le_bytes());
    }

    /// The bytes of the answer to a request of this kind, or those of the failure.
    pub(crate) fn finish(mut self, kind: u8, done: Result<(), Errno>) -> Vec<u8> {
        let kind = match done {
            Ok(()) => kind,
            Err(errno) => {
                self.truncate(0);
                self.body.u32(errno.raw_os_error().unsigned_abs());
                kind::ERROR
            }
        };
        let mut bytes = self.body.0;
        let size = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        bytes[..4].copy_from_slice(&size.to_le_bytes());
        bytes[4] = kind.wrapping_add(1);
        bytes[5..BODY].copy_from_slice(&self.tag.to_le_bytes());
        bytes
    }
}
