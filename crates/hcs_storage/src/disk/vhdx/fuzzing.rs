//! What the fuzz target `virtual_disks` reaches: images that begin as sound ones.
//!
//! Compiled with `--cfg fuzzing` only.

#![expect(clippy::expect_used, reason = "a fuzz target reports by panicking")]

use std::{fs::File, os::unix::fs::FileExt as _};

use rustix::fs::{MemfdFlags, memfd_create};

use super::{
    Image,
    fields::{HEADER, HEADERS, MIB, REGION_TABLE, REGIONS, bytes, put, seal},
    new,
};

/// A disk that is laid out: more would be a table of blocks that takes long to write.
const LARGEST: u64 = 64 << 30;
const SIZE: u64 = 100 * MIB;

/// Changes a sound image as `changes` say, each of which is a place, an offset of two bytes, a length and so many
/// bytes. An image that is read then is one stretch of its file behind its structures, or is refused; and is one
/// once it is laid out.
pub(in crate::disk) fn image(mut changes: &[u8]) {
    let file = memfd_create("fuzz", MemfdFlags::CLOEXEC).expect("memory is there");
    let file = File::from(file);
    for (offset, piece) in new(SIZE).expect("there are random numbers") {
        file.write_all_at(&piece, offset).expect("there is room");
    }
    let sound = Image::read(&file).and_then(|image| image.lay_out(&file));
    sound.expect("an image of ours is sound");
    while let Some(([place, high, low, length], rest)) = changes.split_first_chunk() {
        let (value, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        change(
            &file,
            *place,
            u16::from_be_bytes([*high, *low]).into(),
            value,
        );
        changes = rest;
    }
    let Ok(image) = Image::read(&file) else {
        return;
    };
    if let Ok(found) = image.stretch(&file) {
        let length = file.metadata().expect("it is open").len();
        let end = found
            .offset
            .checked_add(found.length)
            .expect("it is in the file");
        assert!(found.length > 0 && end <= length, "{found:?} of {length}");
        let mut structures = image.structures.iter();
        assert!(
            structures.all(|one| one.end <= found.offset || end <= one.start),
            "{found:?}"
        );
    }
    if image.blocks.size > LARGEST || image.lay_out(&file).is_err() {
        return;
    }
    let again = Image::read(&file).and_then(|image| image.stretch(&file));
    again.expect("what was laid out is one stretch");
}

/// Writes `value` to one of the structures, whose sum is right then; or anywhere among the values and the blocks.
fn change(file: &File, place: u8, at: usize, value: &[u8]) {
    let sealed = match place % 8 {
        0 => Some((HEADERS[0], HEADER)),
        1 => Some((HEADERS[1], HEADER)),
        2 => Some((REGIONS[0], REGION_TABLE)),
        3 => Some((REGIONS[1], REGION_TABLE)),
        _ => None,
    };
    let written = match sealed {
        Some((offset, length)) => {
            let mut piece = bytes(file, offset, length).expect("it is in the file");
            let at = at.min(length - value.len().min(length));
            put(&mut piece, at, value);
            seal(&mut piece);
            file.write_all_at(&piece, offset)
        }
        // The log, the values, their places, the blocks.
        None => {
            let begin = [MIB, 2 * MIB, 2 * MIB + (64 << 10), 3 * MIB][usize::from(place % 4)];
            file.write_all_at(value, begin + at as u64)
        }
    };
    written.expect("there is room");
}
