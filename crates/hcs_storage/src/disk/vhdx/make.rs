//! The structures of a new image.

use std::io;

use super::fields::{
    BAT, Blocks, DISK_ID, DISK_SIZE, FILE_PARAMETERS, HEADER, HEADERS, LOGICAL_SECTOR, MAGIC,
    METADATA, MIB, PHYSICAL_SECTOR, REGION_TABLE, REGIONS, header, put, random, seal,
};

/// The structures of a new image for a disk of `size` bytes, which [`super::Image::lay_out`] completes: pieces of the
/// file by their offsets.
///
/// # Errors
/// No random numbers.
pub(in crate::disk) fn new(size: u64) -> io::Result<Vec<(u64, Vec<u8>)>> {
    let blocks = Blocks {
        size,
        block: BLOCK,
        ratio: RATIO,
    };
    let bat_length = (blocks.entries() * 8).next_multiple_of(MIB);
    let mut pieces = vec![(0, MAGIC.to_vec())];
    for (sequence, at) in (0_u64..).zip(HEADERS) {
        pieces.push((at, new_header(sequence)?));
    }
    let table = region_table(bat_length);
    pieces.extend(REGIONS.map(|at| (at, table.clone())));
    pieces.push((VALUES, values(size)?));
    // The log and the table of blocks are zeros until then.
    pieces.push((TABLE + bat_length - 1, vec![0]));
    Ok(pieces)
}

/// Bytes of a block, and what follows from them for sectors of 512 bytes.
const BLOCK: u64 = 32 * MIB;
const RATIO: u64 = (1 << 23) * 512 / BLOCK;
/// Where the log, the region of values and the table of blocks are.
const LOG: u64 = MIB;
const VALUES: u64 = 2 * MIB;
const TABLE: u64 = 3 * MIB;

fn new_header(sequence: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; HEADER];
    put(&mut bytes, 0, b"head");
    put(&mut bytes, header::SEQUENCE, &sequence.to_le_bytes());
    put(&mut bytes, header::FILE_WRITE, &random()?);
    put(&mut bytes, header::DATA_WRITE, &random()?);
    put(&mut bytes, header::VERSION, &1_u16.to_le_bytes());
    put(&mut bytes, header::LOG_LENGTH, &(1_u32 << 20).to_le_bytes());
    put(&mut bytes, header::LOG_OFFSET, &LOG.to_le_bytes());
    seal(&mut bytes);
    Ok(bytes)
}

fn region_table(bat_length: u64) -> Vec<u8> {
    let mut table = vec![0; REGION_TABLE];
    put(&mut table, 0, b"regi");
    put(&mut table, 8, &2_u32.to_le_bytes());
    for (at, (id, offset, length)) in [
        (16, (BAT, TABLE, bat_length)),
        (48, (METADATA, VALUES, MIB)),
    ] {
        put(&mut table, at, &id);
        put(&mut table, at + 16, &offset.to_le_bytes());
        put(&mut table, at + 24, &small(length));
        put(&mut table, at + 28, &small(1));
    }
    seal(&mut table);
    table
}

fn values(size: u64) -> io::Result<Vec<u8>> {
    const DISKS: u64 = 2;
    const REQUIRED: u64 = 4;
    // All blocks stay in the file: programs call this a disk of fixed size.
    let parameters = [small(BLOCK), small(1)].concat();
    let values = [
        (FILE_PARAMETERS, REQUIRED, parameters),
        (DISK_SIZE, DISKS | REQUIRED, size.to_le_bytes().to_vec()),
        (DISK_ID, DISKS | REQUIRED, random()?.to_vec()),
        (LOGICAL_SECTOR, DISKS | REQUIRED, small(512).to_vec()),
        (PHYSICAL_SECTOR, DISKS | REQUIRED, small(4096).to_vec()),
    ];
    let mut region = vec![0; 128 << 10];
    put(&mut region, 0, b"metadata");
    put(&mut region, 10, &5_u16.to_le_bytes());
    for (number, (id, flags, value)) in (0_usize..).zip(&values) {
        let (entry, place) = (32 + 32 * number, (64 << 10) + 64 * number);
        put(&mut region, entry, id);
        put(&mut region, entry + 16, &small(place as u64));
        put(&mut region, entry + 20, &small(value.len() as u64));
        put(&mut region, entry + 24, &small(*flags));
        put(&mut region, place, value);
    }
    Ok(region)
}

/// A number as a field of four bytes, which those here fit in: a table of blocks has 16 MiB at most.
fn small(number: u64) -> [u8; 4] {
    u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes()
}
