//! The memory of the guest.
//!
//! 1. [`GuestMemory`]: reading and writing at addresses of the guest, as rings and packets need it.
//! 2. [`Map`], [`Region`]: which addresses there are, and where the front end has them.
//! 3. [`Mapped`]: a map with the descriptors behind it, which is the memory of a real guest.

mod map;
mod mapped;

pub(crate) use map::{MAX_REGIONS, Map, MapError, Region};
pub(crate) use mapped::{Mapped, RegionError};

use rustix::io::Errno;

/// Memory at addresses of the guest (guest-physical addresses).
///
/// The guest changes its memory at any time. What was read is a copy, so it stays what it was when it was checked.
pub(crate) trait GuestMemory {
    /// Copies the guest's bytes from `address` on into `bytes`. They may be torn, except that eight bytes at a multiple
    /// of eight are read at once.
    ///
    /// # Errors
    /// The range is not memory of the guest, or reading failed. `bytes` may have been changed in part.
    fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), AccessError>;

    /// Copies `bytes` to the guest's memory from `address` on. Eight bytes at a multiple of eight are written at once.
    ///
    /// # Errors
    /// The range is not memory of the guest, or writing failed. A part may have been written.
    fn write(&self, address: u64, bytes: &[u8]) -> Result<(), AccessError>;

    /// The `N` bytes at `address`.
    ///
    /// # Errors
    /// As [`Self::read`].
    fn read_array<const N: usize>(&self, address: u64) -> Result<[u8; N], AccessError> {
        let mut bytes = [0; N];
        self.read(address, &mut bytes)?;
        Ok(bytes)
    }
}

/// Guest memory cannot be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AccessError {
    /// The range is not in one region.
    #[error("{length} bytes at {address:#x} are not memory of the guest")]
    Outside { address: u64, length: usize },
    /// The front end gave no memory.
    #[error("the front end has given no memory")]
    NoMemory,
    /// The file behind the memory ends too early: it was made smaller.
    #[error("the memory of the guest ends at {address:#x}, where its regions do not")]
    Short { address: u64 },
    /// The system call failed.
    #[error("the memory of the guest at {address:#x} cannot be reached: {errno}")]
    Failed { address: u64, errno: Errno },
}
