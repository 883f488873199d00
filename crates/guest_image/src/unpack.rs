//! Compressed bytes, by their first ones: gzip, xz, zstd, LZ4 in the form that kernels have.

use std::io::{self, Read};

/// The most memory for the dictionary of xz or the window of zstd: kernels use up to 128 MiB.
const MAX_WINDOW: u64 = 192 << 20;

/// A format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// RFC 1952.
    Gzip,
    /// The .xz format, with the filter for x86 code or without.
    Xz,
    /// RFC 8878.
    Zstd,
    /// The legacy frame of LZ4.
    Lz4,
}

/// Why bytes cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// They are larger than allowed.
    #[error("more than {limit} bytes come out of it")]
    Size {
        /// The most.
        limit: u64,
    },
    /// They are damaged, or use something that is not supported.
    #[error("the {format:?} data cannot be read")]
    Damaged {
        /// What it was taken for.
        format: Format,
        /// The reason of the decoder.
        #[source]
        source: io::Error,
    },
}

impl Format {
    /// The format that begins like `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let magic: [(&[u8], Self); 4] = [
            (b"\x1f\x8b", Self::Gzip),
            (b"\xfd7zXZ\0", Self::Xz),
            (b"\x28\xb5\x2f\xfd", Self::Zstd),
            (b"\x02\x21\x4c\x18", Self::Lz4),
        ];
        let found = magic.iter().find(|(start, _)| bytes.starts_with(start));
        found.map(|(_, format)| *format)
    }

    /// Unpacks all of `bytes`: at most `limit` bytes come out.
    ///
    /// # Errors
    /// The data is damaged or too large.
    pub fn unpack(self, bytes: &[u8], limit: u64) -> Result<Vec<u8>, UnpackError> {
        let damaged = |source| UnpackError::Damaged {
            format: self,
            source,
        };
        let mut unpacked = Vec::new();
        let reader = self.reader(bytes).map_err(damaged)?;
        let mut reader = reader.take(limit.saturating_add(1));
        reader.read_to_end(&mut unpacked).map_err(damaged)?;
        if unpacked.len() as u64 > limit {
            return Err(UnpackError::Size { limit });
        }
        Ok(unpacked)
    }

    fn reader<'a>(self, bytes: &'a [u8]) -> io::Result<Box<dyn Read + 'a>> {
        let most_kib = u32::try_from(MAX_WINDOW >> 10).unwrap_or(u32::MAX);
        Ok(match self {
            Self::Gzip => Box::new(flate2::read::GzDecoder::new(bytes)),
            Self::Xz => Box::new(lzma_rust2::XzReader::new_mem_limit(bytes, false, most_kib)),
            Self::Zstd => {
                let decoder =
                    ruzstd::decoding::StreamingDecoder::new_with_max_window_size(bytes, MAX_WINDOW);
                Box::new(decoder.map_err(io::Error::other)?)
            }
            Self::Lz4 => Box::new(lz4_flex::frame::FrameDecoder::new(bytes)),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn what_comes_out_is_bounded() {
        let packed = gzip(&[0; 100_000]);
        assert_eq!(Format::of(&packed), Some(Format::Gzip));
        let unpacked = Format::Gzip.unpack(&packed, 100_000).unwrap();
        assert_eq!(unpacked.len(), 100_000);
        let refused = Format::Gzip.unpack(&packed, 99_999).unwrap_err();
        assert!(matches!(refused, UnpackError::Size { limit: 99_999 }));
    }

    #[test]
    fn damage_is_an_error_in_each_format() {
        for start in ["\x1f", "\x28", "\x02"] {
            assert_eq!(Format::of(start.as_bytes()), None);
        }
        let formats = [Format::Gzip, Format::Xz, Format::Zstd, Format::Lz4];
        let starts: [&[u8]; 4] = [
            b"\x1f\x8b\x08",
            b"\xfd7zXZ\0",
            b"\x28\xb5\x2f\xfd",
            b"\x02\x21\x4c\x18",
        ];
        for (format, start) in formats.into_iter().zip(starts) {
            let mut bytes = start.to_vec();
            bytes.extend((0..=255).cycle().take(5000));
            assert_eq!(Format::of(&bytes), Some(format));
            let refused = format.unpack(&bytes, 1 << 20).unwrap_err();
            assert!(matches!(refused, UnpackError::Damaged { .. }), "{format:?}");
        }
    }
}
