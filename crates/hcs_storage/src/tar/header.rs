//! The block of 512 bytes before each entry, in the dialects of V7, POSIX and GNU.

use super::BLOCK;
use crate::Refusal;

/// One block, of which the checksum is right.
#[derive(Clone, Copy)]
pub(super) struct Header([u8; BLOCK]);

/// A field: where it begins, and its bytes.
#[derive(Clone, Copy)]
pub(super) struct Field(pub(super) usize, pub(super) usize);

pub(super) const NAME: Field = Field(0, 100);
pub(super) const MODE: Field = Field(100, 8);
pub(super) const UID: Field = Field(108, 8);
pub(super) const GID: Field = Field(116, 8);
pub(super) const SIZE: Field = Field(124, 12);
pub(super) const MTIME: Field = Field(136, 12);
const CHECKSUM: Field = Field(148, 8);
const TYPE: usize = 156;
pub(super) const LINK: Field = Field(157, 100);
const MAGIC: Field = Field(257, 8);
pub(super) const MAJOR: Field = Field(329, 8);
pub(super) const MINOR: Field = Field(337, 8);
const PREFIX: Field = Field(345, 155);
/// GNU: the first four parts of a sparse file, whether more follow, and the size of the file.
pub(super) const SPARSE: usize = 386;
pub(super) const SPARSE_MORE: usize = 482;
pub(super) const SPARSE_SIZE: Field = Field(483, 12);

impl Header {
    /// An empty one of type `kind`, in the dialect of POSIX.
    pub(super) fn new(kind: u8) -> Self {
        let mut block = [0; BLOCK];
        block[TYPE] = kind;
        block[MAGIC.0..MAGIC.0 + MAGIC.1].copy_from_slice(b"ustar\x0000");
        Self(block)
    }

    /// The header in `block`; none where it is all zero.
    ///
    /// # Errors
    /// Its checksum is wrong.
    pub(super) fn parse(block: [u8; BLOCK]) -> Result<Option<Self>, Refusal> {
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let header = Self(block);
        if header.number(CHECKSUM)? != i128::from(header.checksum()) {
            return Err(Refusal::BadArchive("a header has a wrong checksum"));
        }
        Ok(Some(header))
    }

    /// The type flag.
    pub(super) const fn kind(&self) -> u8 {
        self.0[TYPE]
    }

    /// All bytes of `field`.
    pub(super) fn bytes(&self, field: Field) -> &[u8] {
        &self.0[field.0..field.0 + field.1]
    }

    /// The text in `field`, up to its NUL.
    pub(super) fn text(&self, field: Field) -> &[u8] {
        let bytes = self.bytes(field);
        let end = bytes.iter().position(|byte| *byte == 0);
        &bytes[..end.unwrap_or(bytes.len())]
    }

    /// Name and prefix of it.
    pub(super) fn name(&self) -> Vec<u8> {
        let prefix = match self.bytes(MAGIC) {
            [b'u', b's', b't', b'a', b'r', 0, ..] => self.text(PREFIX),
            _ => b"",
        };
        let mut name = prefix.to_vec();
        if !name.is_empty() {
            name.push(b'/');
        }
        name.extend_from_slice(self.text(NAME));
        name
    }

    /// The number in `field`.
    ///
    /// # Errors
    /// There is no number.
    pub(super) fn number(&self, field: Field) -> Result<i128, Refusal> {
        number(self.bytes(field))
    }

    /// Puts `text` into `field`; `false` where there is no room.
    pub(super) fn set_text(&mut self, field: Field, text: &[u8]) -> bool {
        let fits = text.len() <= field.1;
        if fits {
            self.0[field.0..field.0 + text.len()].copy_from_slice(text);
        }
        fits
    }

    /// Puts `value` into `field` as octal digits; `false` where there is no room, and zero is there then.
    pub(super) fn set_number(&mut self, field: Field, value: u64) -> bool {
        let width = field.1 - 1;
        let digits = format!("{value:0width$o}");
        let fits = digits.len() == width;
        let digits = if fits { digits } else { "0".repeat(width) };
        self.set_text(field, digits.as_bytes());
        fits
    }

    /// The block, with its checksum.
    pub(super) fn finish(mut self) -> [u8; BLOCK] {
        let checksum = format!("{:06o}\0 ", self.checksum());
        self.set_text(CHECKSUM, checksum.as_bytes());
        self.0
    }

    /// The sum of all bytes, where the checksum's own count as spaces.
    fn checksum(&self) -> u32 {
        let own = CHECKSUM.0..CHECKSUM.0 + CHECKSUM.1;
        let bytes = self.0.iter().enumerate();
        bytes
            .map(|(at, byte)| u32::from(if own.contains(&at) { b' ' } else { *byte }))
            .sum()
    }
}

/// A number in octal digits, or in binary with the highest bit set (GNU); an empty field is zero.
///
/// # Errors
/// There is no number.
pub(super) fn number(field: &[u8]) -> Result<i128, Refusal> {
    const BAD: Refusal = Refusal::BadArchive("a number in a header cannot be read");
    match field {
        [first, rest @ ..] if first & 0x80 != 0 && rest.len() < 15 => {
            // 0x80: positive, 0xff: negative in two's complement.
            let start = match first {
                0x80 => 0,
                0xff => -1,
                _ => return Err(BAD),
            };
            Ok(rest
                .iter()
                .fold(start, |sum: i128, byte| sum << 8 | i128::from(*byte)))
        }
        _ => {
            let text = field.trim_ascii_start();
            let end = text.iter().position(|byte| matches!(byte, 0 | b' '));
            let (digits, rest) = text.split_at(end.unwrap_or(text.len()));
            if !rest.iter().all(|byte| matches!(byte, 0 | b' ')) {
                return Err(BAD);
            }
            digits.iter().try_fold(0_i128, |sum, digit| match digit {
                b'0'..=b'7' => Ok(sum * 8 + i128::from(digit - b'0')),
                _ => Err(BAD),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_in_each_dialect() {
        assert_eq!(number(b"0000644\0"), Ok(0o644));
        assert_eq!(number(b"   644 \0"), Ok(0o644));
        assert_eq!(number(b"77777777"), Ok(0o77_777_777));
        assert_eq!(number(b"\0\0\0\0"), Ok(0));
        assert_eq!(number(b"\x80\0\0\x01\x00"), Ok(256));
        assert_eq!(number(b"\xff\xff\xff\xfe"), Ok(-2));
        assert!(number(b"12x\0").is_err());
        assert!(number(b"-1\0").is_err());
        assert!(number(b"1\x001").is_err());
        assert!(number(b"\x81\0\0\0").is_err());
    }

    #[test]
    fn a_header_is_read_as_it_is_written() {
        let mut header = Header::new(b'0');
        assert!(header.set_text(NAME, b"x"));
        assert!(header.set_number(SIZE, 0o7_777_777));
        assert!(!header.set_number(UID, 1 << 21));
        let mut block = header.finish();
        let read = Header::parse(block).unwrap().unwrap();
        assert_eq!(read.name(), b"x");
        assert_eq!(read.number(SIZE), Ok(0o7_777_777));
        assert_eq!(read.kind(), b'0');
        block[0] = b'y';
        assert!(Header::parse(block).is_err());
        assert!(Header::parse([0; BLOCK]).unwrap().is_none());
    }
}
