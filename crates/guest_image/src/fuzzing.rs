//! The readers of files of packages, for the fuzz targets.

use crate::{kernel, modules, program};

/// Reads `bytes` as a kernel, as a module and as a program.
pub fn files(bytes: &[u8]) {
    if let Ok(elf) = kernel::elf(bytes) {
        assert!(elf.len() as u64 <= kernel::MAX_ELF.max(bytes.len() as u64));
    }
    modules::read_only(bytes);
    program::read_only(bytes);
}
