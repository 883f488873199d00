//! VHDX images (MS-VHDX, version 1), as far as this crate uses them: where the bytes of the disk are in the file.
//!
//! A VHDX file has two headers, two tables of regions and a log. A region has values like the size of the disk, and
//! another one a table that says where each block of the disk is (BAT). Where all blocks lie one after the other, the
//! disk is one stretch of the file, which a loop device shows without a program that translates. [`Image::lay_out`]
//! makes an image so, and [`Image::stretch`] says whether it is. Nothing of an image is trusted: no length of it
//! decides how much is read into memory, and no file that it names is opened.
//!
//! 1. [`Image::read`]: structures are checked. 2. [`fields`]: what they are made of. 3. [`make`]: those of a new image.

mod fields;
#[cfg(fuzzing)]
pub(super) mod fuzzing;
mod make;
#[cfg(test)]
mod tests;

use std::{fs::File, ops::Range, os::unix::fs::FileExt as _};

pub(super) use fields::MAGIC;
use fields::{
    BAT, Blocks, DISK_ID, DISK_SIZE, FILE_PARAMETERS, HEADER, HEADERS, LARGEST, LOGICAL_SECTOR,
    METADATA, MIB, PARENT, PHYSICAL_SECTOR, PIECE, REGION_TABLE, REGIONS, VALUES, bytes, header,
    is_sealed, long, put, random, seal, short, word,
};
pub(super) use make::new;

use super::step::{Failed, Stretch};
use crate::Refusal;

/// An image with sound structures.
#[derive(Debug)]
pub(super) struct Image {
    /// The current header, and which of the two it is.
    current: (usize, Vec<u8>),
    /// What of the file is no disk: headers, log, regions.
    structures: Vec<Range<u64>>,
    /// Where the BAT is.
    bat: u64,
    blocks: Blocks,
}

impl Image {
    /// Reads the structures of `file`.
    ///
    /// # Errors
    /// It cannot be read; or it is no image, or a kind of image that is not used.
    pub(super) fn read(file: &File) -> Result<Self, Failed> {
        let found = |at| Ok::<_, Failed>(header(&bytes(file, at, HEADER)?));
        let sequence = |header: &[u8]| long(header, header::SEQUENCE);
        let (which, current) = match (found(HEADERS[0])?, found(HEADERS[1])?) {
            (Some(one), Some(other)) if sequence(&other) > sequence(&one) => (1, other),
            (Some(one), _) => (0, one),
            (None, Some(other)) => (1, other),
            (None, None) => return Err(Refusal::NoDisk("it has no valid header").into()),
        };
        if current[header::LOG..header::LOG_VERSION]
            .iter()
            .any(|byte| *byte != 0)
        {
            return Err(Refusal::OtherDisk(
                "its log has changes that were not written to their places: `qemu-img check -r all` writes them",
            )
            .into());
        }
        if short(&current, header::VERSION) != 1 {
            return Err(Refusal::NoDisk("it has another version than 1").into());
        }
        let log = region(
            long(&current, header::LOG_OFFSET),
            word(&current, header::LOG_LENGTH),
        )?;
        let found = Regions::read(file)?;
        let length = usize::try_from(found.metadata.end - found.metadata.start);
        let length = length.unwrap_or(VALUES).min(VALUES);
        let blocks = blocks(&bytes(file, found.metadata.start, length)?)?;
        if blocks.entries() * 8 > found.bat.end - found.bat.start {
            return Err(Refusal::NoDisk("its table of blocks is shorter than its disk").into());
        }
        Ok(Self {
            current: (which, current),
            bat: found.bat.start,
            structures: vec![0..MIB, log, found.bat, found.metadata],
            blocks,
        })
    }

    /// Where the disk is in `file`.
    ///
    /// # Errors
    /// `file` cannot be read, or the disk is not one stretch of it.
    pub(super) fn stretch(&self, file: &File) -> Result<Stretch, Failed> {
        const SCATTERED: Refusal = Refusal::OtherDisk(
            "its blocks are not all in the file, one after the other: `qemu-img convert -O vhdx -o \
             subformat=fixed,block_state_zero=off` makes an image of it that is so",
        );
        let mut start = None;
        let (mut index, entries) = (0, self.blocks.entries());
        while index < entries {
            let piece = (entries - index).min(PIECE as u64 / 8);
            let table = bytes(
                file,
                self.bat + index * 8,
                usize::try_from(piece * 8).unwrap_or(PIECE),
            )?;
            for entry in table.chunks_exact(8).map(|entry| long(entry, 0)) {
                let start = *start.get_or_insert(entry & !(MIB - 1));
                // What is behind the last block on the disk's largest size is far from the end of a number.
                let expected = (start <= i64::MAX.unsigned_abs() - LARGEST)
                    .then(|| self.blocks.entry(index, start));
                if expected != Some(entry) && self.blocks.of_entry(index).is_some() {
                    return Err(SCATTERED.into());
                }
                index += 1;
            }
        }
        let offset = start.unwrap_or_default();
        let disk = offset..offset + self.blocks.size;
        let covers = |one: &Range<u64>| one.start < disk.end && disk.start < one.end;
        if self.structures.iter().any(covers) {
            return Err(Refusal::NoDisk("its blocks lie where its own tables are").into());
        }
        if file.metadata()?.len() < disk.end {
            return Err(Refusal::NoDisk("its blocks lie behind its end").into());
        }
        Ok(Stretch {
            offset,
            length: self.blocks.size,
        })
    }

    /// Drops all that is on the disk and makes it one stretch of `file`, of zeros, with a MiB behind it: the end of a
    /// file says whether it is a VHD, and what is written to the disk must not decide that. The file gets longer than
    /// the disk, and takes no space for that. A call that is killed leaves an image that can be laid out again.
    ///
    /// # Errors
    /// `file` cannot be written.
    pub(super) fn lay_out(&self, file: &File) -> Result<Stretch, Failed> {
        self.note_write(file)?;
        let end = self.structures.iter().map(|range| range.end).max();
        let start = end.unwrap_or(MIB).next_multiple_of(MIB);
        file.set_len(start)?;
        file.set_len(start + self.blocks.count() * self.blocks.block + MIB)?;
        let (mut index, entries) = (0, self.blocks.entries());
        while index < entries {
            let piece = index..entries.min(index + PIECE as u64 / 8);
            let table: Vec<u8> = piece
                .clone()
                .flat_map(|at| self.blocks.entry(at, start).to_le_bytes())
                .collect();
            file.write_all_at(&table, self.bat + index * 8)?;
            index = piece.end;
        }
        file.sync_all()?;
        self.stretch(file)
    }

    /// Tells programs that know the image that it is written to: by the numbers of the header, in place of the older
    /// one.
    ///
    /// # Errors
    /// `file` cannot be written.
    pub(super) fn note_write(&self, file: &File) -> Result<(), Failed> {
        let (which, current) = &self.current;
        let mut next = current.clone();
        put(
            &mut next,
            header::SEQUENCE,
            &(long(current, header::SEQUENCE).wrapping_add(1)).to_le_bytes(),
        );
        put(&mut next, header::FILE_WRITE, &random()?);
        put(&mut next, header::DATA_WRITE, &random()?);
        seal(&mut next);
        let other = HEADERS[1 - which];
        file.write_all_at(&next, other)?;
        file.sync_all()?;
        Ok(())
    }
}

/// A header, where these bytes are one.
fn header(bytes: &[u8]) -> Option<Vec<u8>> {
    (bytes.starts_with(b"head") && is_sealed(bytes)).then(|| bytes.to_vec())
}

struct Regions {
    bat: Range<u64>,
    metadata: Range<u64>,
}

impl Regions {
    fn read(file: &File) -> Result<Self, Failed> {
        for at in REGIONS {
            let table = bytes(file, at, REGION_TABLE)?;
            if table.starts_with(b"regi") && is_sealed(&table) {
                return Ok(Self::of(&table)?);
            }
        }
        Err(Refusal::NoDisk("it has no valid table of regions").into())
    }

    /// Those of a table.
    fn of(table: &[u8]) -> Result<Self, Refusal> {
        let (mut bat, mut metadata) = (None, None);
        let count = word(table, 8) as usize;
        for entry in table[16..].chunks_exact(32).take(count.min(2047)) {
            let place = match &entry[..16] {
                id if id == BAT => &mut bat,
                id if id == METADATA => &mut metadata,
                _ if word(entry, 28) & 1 == 0 => continue,
                _ => {
                    let why = "it has a region of an unknown kind that is required";
                    return Err(Refusal::OtherDisk(why));
                }
            };
            let found = region(long(entry, 16), word(entry, 24))?;
            if place.replace(found).is_some() {
                return Err(Refusal::NoDisk("it has two regions of a kind"));
            }
        }
        match (bat, metadata) {
            (Some(bat), Some(metadata)) => Ok(Self { bat, metadata }),
            _ => Err(Refusal::NoDisk("it lacks a region")),
        }
    }
}

/// A stretch of whole MiB behind the headers.
fn region(offset: u64, length: u32) -> Result<Range<u64>, Refusal> {
    let length = u64::from(length);
    let end = offset.checked_add(length).filter(|end| *end < LARGEST);
    match end {
        Some(end)
            if offset >= MIB
                && length > 0
                && offset.is_multiple_of(MIB)
                && length.is_multiple_of(MIB) =>
        {
            Ok(offset..end)
        }
        _ => Err(Refusal::NoDisk("a region of it is not where one can be")),
    }
}

/// What the region of values says about the disk.
fn blocks(values: &[u8]) -> Result<Blocks, Refusal> {
    if !values.starts_with(b"metadata") {
        return Err(Refusal::NoDisk("its values cannot be read"));
    }
    let (mut parameters, mut size, mut sector) = (None, None, None);
    let count = usize::from(short(values, 10)).min(2047);
    for entry in values[32..].chunks_exact(32).take(count) {
        let (at, length) = (word(entry, 16) as usize, word(entry, 20) as usize);
        let value = at.checked_add(length).and_then(|end| values.get(at..end));
        let known = match &entry[..16] {
            id if id == FILE_PARAMETERS => Some((&mut parameters, 8)),
            id if id == DISK_SIZE => Some((&mut size, 8)),
            id if id == LOGICAL_SECTOR => Some((&mut sector, 4)),
            id if id == PARENT => return Err(Refusal::OtherDisk(PARENTS)),
            id if id == DISK_ID || id == PHYSICAL_SECTOR => None,
            _ if word(entry, 24) & 4 == 0 => None,
            _ => {
                return Err(Refusal::OtherDisk(
                    "it has a value of an unknown kind that is required",
                ));
            }
        };
        if let Some((place, expected)) = known {
            let value = value.filter(|value| value.len() == expected && at >= 64 << 10);
            let value = value.ok_or(Refusal::NoDisk("a value of it is not where one can be"))?;
            *place = Some(value);
        }
    }
    let (Some(parameters), Some(size), Some(sector)) = (parameters, size, sector) else {
        return Err(Refusal::NoDisk("it does not say how large its disk is"));
    };
    if word(parameters, 4) & 2 != 0 {
        return Err(Refusal::OtherDisk(PARENTS));
    }
    let (block, size, sector) = (
        u64::from(word(parameters, 0)),
        long(size, 0),
        u64::from(word(sector, 0)),
    );
    let is_block = block.is_power_of_two() && (MIB..=256 * MIB).contains(&block);
    if !is_block
        || ![512, 4096].contains(&sector)
        || size == 0
        || size > LARGEST
        || !size.is_multiple_of(sector)
    {
        return Err(Refusal::NoDisk("its disk has a size that none can have"));
    }
    let ratio = (1 << 23) * sector / block;
    Ok(Blocks { size, block, ratio })
}

const PARENTS: &str = "it is a difference to a parent, another file of the host, which is never opened: `qemu-img \
                       convert` makes one image of both";
