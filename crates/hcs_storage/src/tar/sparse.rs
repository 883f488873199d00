//! Files with holes, as GNU tar writes them: in its own dialect, and in POSIX archives as version 1.0.
//!
//! Versions 0.0 and 0.1 for POSIX archives are refused: GNU tar has not written them since 2006.

use super::{
    BLOCK,
    header::{Header, SPARSE, SPARSE_MORE, SPARSE_SIZE, number},
    pax::decimal,
};
use crate::Refusal;

const BAD: Refusal = Refusal::BadArchive("the map of a sparse file cannot be read");

/// One part of a sparse file that is in the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// Records of an extended header that make its entry a sparse file.
#[derive(Debug, Default)]
pub(super) struct SparseRecords {
    major: Option<u64>,
    minor: Option<u64>,
    pub(super) name: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    any: bool,
}

impl SparseRecords {
    pub(super) fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), Refusal> {
        self.any = true;
        match key {
            b"major" => self.major = Some(decimal(value)?),
            b"minor" => self.minor = Some(decimal(value)?),
            b"name" => self.name = Some(value.to_vec()),
            b"realsize" => self.size = Some(decimal(value)?),
            _ => {}
        }
        Ok(())
    }

    /// The size of the file, where it is a sparse one.
    ///
    /// # Errors
    /// It is of another version.
    pub(super) fn file_size(&self) -> Result<Option<u64>, Refusal> {
        match (self.any, self.major, self.minor, self.size) {
            (false, ..) => Ok(None),
            (true, Some(1), Some(0), Some(size)) => Ok(Some(size)),
            _ => Err(Refusal::BadArchive(
                "a sparse file is of a version other than 1.0",
            )),
        }
    }
}

/// The parts that a GNU header has itself, whether a block of more follows, and the size of the file.
///
/// # Errors
/// They cannot be read.
pub(super) fn in_header(header: &Header) -> Result<(Vec<Part>, bool, u64), Refusal> {
    let block = header.bytes(super::header::Field(0, BLOCK));
    let parts = in_fields(&block[SPARSE..SPARSE_MORE])?;
    let size = u64::try_from(header.number(SPARSE_SIZE)?).map_err(|_| BAD)?;
    Ok((parts, block[SPARSE_MORE] != 0, size))
}

/// The parts in a further block, and whether another one follows.
///
/// # Errors
/// They cannot be read.
pub(super) fn in_block(block: &[u8; BLOCK]) -> Result<(Vec<Part>, bool), Refusal> {
    Ok((in_fields(&block[..504])?, block[504] != 0))
}

fn in_fields(fields: &[u8]) -> Result<Vec<Part>, Refusal> {
    let used = fields.chunks_exact(24).take_while(|field| field[0] != 0);
    used.map(|field| {
        let value = |text| u64::try_from(number(text)?).map_err(|_| BAD);
        Ok(Part {
            offset: value(&field[..12])?,
            length: value(&field[12..])?,
        })
    })
    .collect()
}

/// Reads the map before a file's content in version 1.0: lines of numbers, in whole blocks.
#[derive(Debug, Default)]
pub(super) struct MapReader {
    digits: Vec<u8>,
    count: Option<u64>,
    offset: Option<u64>,
    parts: Vec<Part>,
}

impl MapReader {
    /// Takes one block; answers the parts once the map is whole.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn block(&mut self, block: &[u8; BLOCK]) -> Result<Option<Vec<Part>>, Refusal> {
        for byte in block {
            if *byte != b'\n' {
                if self.digits.len() > 19 {
                    return Err(BAD);
                }
                self.digits.push(*byte);
                continue;
            }
            let number = decimal(&std::mem::take(&mut self.digits)).map_err(|_| BAD)?;
            match (self.count, self.offset.take()) {
                (None, _) => self.count = Some(number),
                (Some(_), None) => self.offset = Some(number),
                (Some(_), Some(offset)) => self.parts.push(Part {
                    offset,
                    length: number,
                }),
            }
            if self.count == Some(self.parts.len() as u64) {
                return Ok(Some(std::mem::take(&mut self.parts)));
            }
        }
        Ok(None)
    }
}

/// Checks that `parts` are in order, inside of a file of `size` bytes, and have `stored` bytes together.
///
/// # Errors
/// They are not.
pub(super) fn check(parts: &[Part], size: u64, stored: u64) -> Result<(), Refusal> {
    let (mut end, mut sum) = (0_u64, 0_u64);
    for part in parts {
        let next = part.offset.checked_add(part.length).ok_or(BAD)?;
        if part.offset < end || next > size {
            return Err(Refusal::BadArchive(
                "parts of a sparse file overlap, or end beyond it",
            ));
        }
        (end, sum) = (next, sum + part.length);
    }
    if sum == stored {
        Ok(())
    } else {
        Err(Refusal::BadArchive(
            "parts of a sparse file have not the size of its content",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_is_read_across_blocks() {
        let mut text = ("200\n".to_owned() + &"1\n".repeat(400)).into_bytes();
        text.resize(2 * BLOCK, 0);
        let (blocks, rest) = text.as_chunks::<BLOCK>();
        assert!(blocks.len() == 2 && rest.is_empty());
        let mut reader = MapReader::default();
        assert_eq!(reader.block(&blocks[0]), Ok(None));
        let part = Part {
            offset: 1,
            length: 1,
        };
        assert_eq!(reader.block(&blocks[1]), Ok(Some(vec![part; 200])));
    }

    #[test]
    fn a_map_that_is_none_is_refused() {
        for text in ["x\n", "1\n-1\n", "\n"] {
            let mut block = [0; BLOCK];
            block[..text.len()].copy_from_slice(text.as_bytes());
            assert_eq!(MapReader::default().block(&block), Err(BAD), "{text}");
        }
        assert_eq!(MapReader::default().block(&[b'1'; BLOCK]), Err(BAD));
    }

    #[test]
    fn parts_have_to_be_in_order_and_inside() {
        let part = |offset, length| Part { offset, length };
        assert!(check(&[part(0, 1), part(4, 2)], 6, 3).is_ok());
        assert!(check(&[part(4, 2), part(0, 1)], 6, 3).is_err());
        assert!(check(&[part(0, 7)], 6, 7).is_err());
        assert!(check(&[part(u64::MAX, 1)], 6, 1).is_err());
        assert!(check(&[part(0, 1)], 6, 2).is_err());
        assert!(check(&[], 6, 0).is_ok());
    }
}
