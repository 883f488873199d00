//! What an image is made of: where its parts are, numbers and sums.

use std::{fs::File, io, os::unix::fs::FileExt as _};

pub(super) const KIB: u64 = 1 << 10;
pub(super) const MIB: u64 = 1 << 20;

/// The first bytes of a file.
pub(in crate::disk) const MAGIC: &[u8] = b"vhdxfile";
/// Where the headers are, and how long one is.
pub(super) const HEADERS: [u64; 2] = [64 * KIB, 128 * KIB];
pub(super) const HEADER: usize = 4096;
/// Where the tables of regions are, and how long one is.
pub(super) const REGIONS: [u64; 2] = [192 * KIB, 256 * KIB];
pub(super) const REGION_TABLE: usize = 64 << 10;
/// So much of the region with values is looked at: more than any program writes.
pub(super) const VALUES: usize = 1 << 20;
/// Bytes of the BAT that are read or written at once.
pub(super) const PIECE: usize = 64 << 10;
/// Bits of the entry of a block that is in the file.
pub(super) const PRESENT: u64 = 6;
/// The largest disk of the format.
pub(super) const LARGEST: u64 = 64 << 40;

/// Fields of a header, by their offsets.
pub(super) mod header {
    pub(in crate::disk::vhdx) const CHECKSUM: usize = 4;
    pub(in crate::disk::vhdx) const SEQUENCE: usize = 8;
    pub(in crate::disk::vhdx) const FILE_WRITE: usize = 16;
    pub(in crate::disk::vhdx) const DATA_WRITE: usize = 32;
    pub(in crate::disk::vhdx) const LOG: usize = 48;
    pub(in crate::disk::vhdx) const LOG_VERSION: usize = 64;
    pub(in crate::disk::vhdx) const VERSION: usize = 66;
    pub(in crate::disk::vhdx) const LOG_LENGTH: usize = 68;
    pub(in crate::disk::vhdx) const LOG_OFFSET: usize = 72;
}

pub(super) type Guid = [u8; 16];

/// A GUID as it is on disk: the first three numbers with their lowest byte first.
pub(super) const fn guid(number: u128) -> Guid {
    let [a, b, c, d, e, f, g, h, rest @ ..] = number.to_be_bytes();
    let [i, j, k, l, m, n, o, p] = rest;
    [d, c, b, a, f, e, h, g, i, j, k, l, m, n, o, p]
}

pub(super) const BAT: Guid = guid(0x2DC2_7766_F623_4200_9D64_115E_9BFD_4A08);
pub(super) const METADATA: Guid = guid(0x8B7C_A206_4790_4B9A_B8FE_575F_050F_886E);
pub(super) const FILE_PARAMETERS: Guid = guid(0xCAA1_6737_FA36_4D43_B3B6_33F0_AA44_E76B);
pub(super) const DISK_SIZE: Guid = guid(0x2FA5_4224_CD1B_4876_B211_5DBE_D83B_F4B8);
pub(super) const DISK_ID: Guid = guid(0xBECA_12AB_B2E6_4523_93EF_C309_E000_C746);
pub(super) const LOGICAL_SECTOR: Guid = guid(0x8141_BF1D_A96F_4709_BA47_F233_A8FA_AB5F);
pub(super) const PHYSICAL_SECTOR: Guid = guid(0xCDA3_48C7_445D_4471_9CC9_E988_5251_C556);
pub(super) const PARENT: Guid = guid(0xA8D3_5F2D_B30B_454D_ABF7_D3D8_4834_AB0C);

/// The disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Blocks {
    /// Bytes of the disk.
    pub(super) size: u64,
    /// Bytes of a block.
    pub(super) block: u64,
    /// So many blocks of data are followed by an entry of another kind in the BAT, which is empty here.
    pub(super) ratio: u64,
}

impl Blocks {
    pub(super) const fn count(self) -> u64 {
        self.size.div_ceil(self.block)
    }

    /// Entries of the BAT.
    pub(super) const fn entries(self) -> u64 {
        let count = self.count();
        count + count.saturating_sub(1) / self.ratio
    }

    /// The block of entry `index`; none for an entry of the other kind.
    pub(super) const fn of_entry(self, index: u64) -> Option<u64> {
        let (group, within) = (index / (self.ratio + 1), index % (self.ratio + 1));
        if within == self.ratio {
            None
        } else {
            Some(group * self.ratio + within)
        }
    }

    /// Entry `index` where all blocks lie one after the other from `start` on.
    pub(super) const fn entry(self, index: u64, start: u64) -> u64 {
        match self.of_entry(index) {
            Some(block) => (start + block * self.block) | PRESENT,
            None => 0,
        }
    }
}

pub(super) fn bytes(file: &File, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}

pub(super) fn random() -> io::Result<Guid> {
    let mut bytes = [0; 16];
    let read = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    match read {
        16 => Ok(bytes),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

pub(super) fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

pub(super) fn short(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

pub(super) fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from(short(bytes, at)) | u32::from(short(bytes, at + 2)) << 16
}

pub(super) fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from(word(bytes, at)) | u64::from(word(bytes, at + 4)) << 32
}

/// Writes the sum of a header or of a table of regions.
pub(super) fn seal(bytes: &mut [u8]) {
    put(bytes, header::CHECKSUM, &[0; 4]);
    let sum = crc32c(bytes);
    put(bytes, header::CHECKSUM, &sum.to_le_bytes());
}

pub(super) fn is_sealed(bytes: &[u8]) -> bool {
    let mut copy = bytes.to_vec();
    seal(&mut copy);
    copy == bytes
}

/// CRC-32C, for a few pieces of 64 KiB: no table, and no crate.
pub(super) fn crc32c(bytes: &[u8]) -> u32 {
    let step = |sum: u32, _| (sum >> 1) ^ (0x82F6_3B78 & (sum & 1).wrapping_neg());
    !bytes
        .iter()
        .fold(!0, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), step))
}
