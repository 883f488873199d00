//! The memory of a real guest: a map with the descriptors behind it.
//!
//! A file that is made smaller gives an error here, where a mapping would give a signal. Nothing is written beyond the
//! end that a file had when it was announced, so a front end cannot have the host's memory filled at our cost.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::{
    fs::FileType,
    io::{Errno, retry_on_intr},
};

use super::{AccessError, GuestMemory, Map, MapError, Region, map::end_in_file};
use crate::config::Memory;

/// The file system whose files are memory, those of `memfd_create(2)` too: an access never waits for a disk, a network
/// or another process. Files of hugetlbfs are memory as well, but have no `write(2)`.
const TMPFS: u64 = 0x0102_1994;

/// Memory of the guest, through the descriptors that reach it.
#[derive(Debug)]
pub(crate) struct Mapped {
    way: Memory,
    map: Map,
    /// With [`Memory::Shared`]: the files, each with the first address in the guest of its region.
    files: Vec<(u64, OwnedFd)>,
}

/// Memory that the front end announces is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegionError {
    /// The numbers are wrong.
    #[error(transparent)]
    Map(#[from] MapError),
    /// Regions and descriptors do not match.
    #[error("{regions} regions of memory came with {descriptors} descriptors")]
    Count { regions: usize, descriptors: usize },
    /// The file is not one of a tmpfs.
    #[error(
        "the memory of the guest has to be a file of a tmpfs, such as a memfd; this one is of type {magic:#x}"
    )]
    NotMemory { magic: u64 },
    /// The file has fewer bytes than its region needs.
    #[error("a region of memory ends at {end:#x} of its file, which has {size:#x} bytes")]
    Beyond { end: u64, size: u64 },
    /// The file cannot be examined.
    #[error("a file of guest memory cannot be examined: {0}")]
    Examine(Errno),
}

impl Mapped {
    /// No memory yet: the front end announces it.
    pub(crate) fn new(way: Memory) -> Self {
        Self {
            way,
            map: Map::default(),
            files: Vec::new(),
        }
    }

    /// The front end announces the memory, with a descriptor for each region.
    pub(crate) fn announce(
        &mut self,
        regions: Vec<Region>,
        descriptors: Vec<OwnedFd>,
        limit: u64,
    ) -> Result<(), RegionError> {
        if regions.len() != descriptors.len() {
            return Err(RegionError::Count {
                regions: regions.len(),
                descriptors: descriptors.len(),
            });
        }
        let mut files = Vec::new();
        if matches!(self.way, Memory::Shared) {
            for (region, file) in regions.iter().zip(descriptors) {
                examine(region, file.as_fd())?;
                files.push((region.guest, file));
            }
        }
        self.map = Map::new(regions, limit)?;
        self.files = files;
        Ok(())
    }

    /// Which addresses there are.
    pub(crate) const fn map(&self) -> &Map {
        &self.map
    }

    /// The descriptor that has the bytes, and where.
    fn place(&self, address: u64, length: usize) -> Result<(BorrowedFd<'_>, u64), AccessError> {
        if self.map.regions().is_empty() {
            return Err(AccessError::NoMemory);
        }
        let outside = AccessError::Outside { address, length };
        let (region, offset) = self.map.locate(address, length).ok_or(outside)?;
        match &self.way {
            Memory::OfProcess(memory) => Ok((memory.as_fd(), region.front_end + offset)),
            Memory::Shared => {
                let file = self.files.iter().find(|(guest, _)| *guest == region.guest);
                let (_, file) = file.ok_or(outside)?;
                Ok((file.as_fd(), region.file + offset))
            }
        }
    }
}

/// The file is memory, and has all of the region.
fn examine(region: &Region, file: BorrowedFd<'_>) -> Result<(), RegionError> {
    let system = rustix::fs::fstatfs(file).map_err(RegionError::Examine)?;
    #[expect(clippy::cast_sign_loss, reason = "a magic number is a pattern of bits")]
    let magic = system.f_type as u64;
    let status = rustix::fs::fstat(file).map_err(RegionError::Examine)?;
    let is_file = FileType::from_raw_mode(status.st_mode) == FileType::RegularFile;
    if !is_file || magic != TMPFS {
        return Err(RegionError::NotMemory { magic });
    }
    let size = u64::try_from(status.st_size).unwrap_or(0);
    match end_in_file(region) {
        Some(end) if end <= size => Ok(()),
        end => Err(RegionError::Beyond {
            end: end.unwrap_or(u64::MAX),
            size,
        }),
    }
}

impl GuestMemory for Mapped {
    fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), AccessError> {
        let (file, offset) = self.place(address, bytes.len())?;
        let mut done = 0;
        while done < bytes.len() {
            let (at, from) = (address + done as u64, offset + done as u64);
            match retry_on_intr(|| rustix::io::pread(file, &mut bytes[done..], from)) {
                Ok(0) => return Err(AccessError::Short { address: at }),
                Ok(count) => done += count,
                Err(errno) => return Err(AccessError::Failed { address: at, errno }),
            }
        }
        Ok(())
    }

    fn write(&self, address: u64, bytes: &[u8]) -> Result<(), AccessError> {
        let (file, offset) = self.place(address, bytes.len())?;
        let mut done = 0;
        while done < bytes.len() {
            let (at, to) = (address + done as u64, offset + done as u64);
            match retry_on_intr(|| rustix::io::pwrite(file, &bytes[done..], to)) {
                Ok(0) => return Err(AccessError::Short { address: at }),
                Ok(count) => done += count,
                Err(errno) => return Err(AccessError::Failed { address: at, errno }),
            }
        }
        Ok(())
    }
}
