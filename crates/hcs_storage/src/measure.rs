//! A reader that counts and hashes what passes, and ends at its limits.

use std::io::{self, Read};

use sha2::{Digest as _, Sha256};

use crate::{
    Digest, Refusal,
    limits::{Deadline, charge},
};

/// Bytes that pass, with their number and digest.
pub(crate) struct Measured<R> {
    source: R,
    hasher: Sha256,
    bytes: u64,
    /// The same, with what others have taken of the limit before.
    charged: u64,
    limit: u64,
    deadline: Deadline,
}

/// What has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    /// Its digest.
    pub digest: Digest,
    /// Its bytes.
    pub size: u64,
}

/// A stream that knows what has passed of it.
pub(crate) trait Metered: Read {
    /// What has passed.
    fn passed(&self) -> Content;
}

impl<R: Read> Metered for Measured<R> {
    fn passed(&self) -> Content {
        self.content()
    }
}

impl<R: Metered> Metered for &mut R {
    fn passed(&self) -> Content {
        (**self).passed()
    }
}

impl<R> Measured<R> {
    pub(crate) fn new(source: R, limit: u64, deadline: Deadline) -> Self {
        Self {
            source,
            hasher: Sha256::new(),
            bytes: 0,
            charged: 0,
            limit,
            deadline,
        }
    }

    /// The same, where `spent` bytes of the limit were taken before.
    pub(crate) fn beyond(self, spent: u64) -> Self {
        let charged = spent;
        Self { charged, ..self }
    }

    /// What has passed.
    pub(crate) fn content(&self) -> Content {
        Content {
            digest: Digest::finish(self.hasher.clone()),
            size: self.bytes,
        }
    }
}

impl<R: Read> Read for Measured<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.deadline.check()?;
        let read = self.source.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        let refusal = |limit| Refusal::TooManyBytes { limit };
        self.bytes += read as u64;
        charge(&mut self.charged, read as u64, self.limit, refusal)?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_passes_is_counted_and_hashed() {
        let mut measured = Measured::new(&b"abc"[..], 3, Deadline::after(Duration::MAX));
        io::copy(&mut measured, &mut io::sink()).unwrap();
        let expected = Content {
            digest: Digest::of(b"abc"),
            size: 3,
        };
        assert_eq!(measured.content(), expected);
    }

    #[test]
    fn more_than_the_limit_is_refused() {
        for (limit, spent, is_allowed) in [(2, 0, false), (5, 3, false), (5, 2, true)] {
            let measured = Measured::new(&b"abc"[..], limit, Deadline::after(Duration::MAX));
            let copied = io::copy(&mut measured.beyond(spent), &mut io::sink());
            assert_eq!(copied.is_ok(), is_allowed, "{limit} {spent}");
        }
    }
}
