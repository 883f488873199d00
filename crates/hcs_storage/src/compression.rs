//! Plain streams out of compressed ones. The compression is known by its first bytes.
//!
//! A compressed stream ends where its source ends: members and frames may follow each other, anything else is refused.
//! Decoders are Rust code without `unsafe` of a C library, as archives are hostile; their memory is bounded.

use std::io::{self, BufRead, Read};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::{
    BlockDecodingStrategy, FrameDecoder,
    errors::{FrameDecoderError, ReadFrameHeaderError},
};

use crate::Refusal;

/// How a stream is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

/// Bytes that tell compressions apart.
const MAGIC: usize = 6;
/// The most memory that a zstd frame may ask for: the window of `zstd --long`, which some builders of images use.
const WINDOW: u64 = 128 << 20;

impl Compression {
    /// Known by the first bytes of a stream.
    ///
    /// # Errors
    /// It is a compression that is not supported.
    pub fn of(start: &[u8]) -> Result<Self, Refusal> {
        match start {
            [0x1f, 0x8b, ..] => Ok(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Ok(Self::Zstd),
            [0xfd, b'7', b'z', b'X', b'Z', 0] => Err(Refusal::Compression("xz")),
            [b'B', b'Z', b'h', ..] => Err(Refusal::Compression("bzip2")),
            _ => Ok(Self::None),
        }
    }
}

/// A plain stream.
pub(crate) enum Plain<R: Read> {
    None(Begun<R>),
    Gzip(Box<MultiGzDecoder<io::BufReader<Begun<R>>>>),
    Zstd(Box<Zstd<io::BufReader<Begun<R>>>>),
}

/// A stream whose first bytes were looked at.
pub(crate) type Begun<R> = io::Chain<io::Cursor<Vec<u8>>, R>;

/// The plain stream of `source`, and how it was compressed.
///
/// # Errors
/// The source cannot be read, or is compressed in a way that is not supported.
pub(crate) fn plain<R: Read>(mut source: R) -> io::Result<(Plain<R>, Compression)> {
    let mut start = Vec::new();
    source.by_ref().take(MAGIC as u64).read_to_end(&mut start)?;
    let compression = Compression::of(&start)?;
    let begun = io::Cursor::new(start).chain(source);
    let buffered = |begun| io::BufReader::with_capacity(64 << 10, begun);
    let plain = match compression {
        Compression::None => Plain::None(begun),
        Compression::Gzip => Plain::Gzip(Box::new(MultiGzDecoder::new(buffered(begun)))),
        Compression::Zstd => Plain::Zstd(Box::new(Zstd::new(buffered(begun)))),
    };
    Ok((plain, compression))
}

impl<R: Read> Plain<R> {
    /// The source, once the plain stream has ended.
    pub(crate) fn source(&self) -> &R {
        match self {
            Self::None(begun) => begun.get_ref().1,
            Self::Gzip(gzip) => gzip.get_ref().get_ref().get_ref().1,
            Self::Zstd(zstd) => zstd.source.get_ref().get_ref().1,
        }
    }
}

impl<R: Read> Read for Plain<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::None(source) => source.read(buffer),
            Self::Gzip(source) => source.read(buffer),
            Self::Zstd(source) => source.read(buffer),
        }
    }
}

/// Frames of zstd, one after the other.
pub(crate) struct Zstd<R> {
    source: R,
    decoder: FrameDecoder,
    /// Whether a frame has begun and not ended.
    inside: bool,
}

impl<R: BufRead> Zstd<R> {
    fn new(source: R) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(WINDOW);
        Self {
            source,
            decoder,
            inside: false,
        }
    }

    /// Begins the next frame; `false` at the end of the source.
    fn begin(&mut self) -> io::Result<bool> {
        while !self.source.fill_buf()?.is_empty() {
            match self.decoder.reset(&mut self.source) {
                Ok(()) => {
                    self.inside = true;
                    return Ok(true);
                }
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let length = u64::from(length);
                    let skipped =
                        io::copy(&mut self.source.by_ref().take(length), &mut io::sink())?;
                    if skipped < length {
                        return Err(Refusal::BadArchive("a skippable zstd frame is cut off").into());
                    }
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        Ok(false)
    }

    /// Ends a frame of which all bytes were read.
    fn end(&mut self) -> io::Result<()> {
        self.inside = false;
        let announced = self.decoder.get_checksum_from_data();
        if announced.is_some() && announced != self.decoder.get_calculated_checksum() {
            return Err(Refusal::BadArchive("a zstd frame has a wrong checksum").into());
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if !self.inside && !self.begin()? {
                return Ok(0);
            }
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                self.decoder
                    .decode_blocks(&mut self.source, BlockDecodingStrategy::UptoBlocks(1))
                    .map_err(io::Error::other)?;
            }
            let read = self.decoder.read(buffer)?;
            if read > 0 {
                return Ok(read);
            }
            self.end()?;
        }
    }
}
