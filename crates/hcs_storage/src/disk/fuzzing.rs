//! What the fuzz target `virtual_disks` reaches: files that are to be disks.
//!
//! Compiled with `--cfg fuzzing` only.

#![expect(clippy::expect_used, reason = "a fuzz target reports by panicking")]

use std::{fs::File, io::Write as _};

use rustix::fs::{MemfdFlags, memfd_create};

use super::{ext4, vhd, vhdx};

/// As of [`vhdx::fuzzing::image`].
pub(crate) fn changed(changes: &[u8]) {
    vhdx::fuzzing::image(changes);
}

/// A file of these bytes: as a VHD, as a VHDX and as the superblock of a file system.
pub(crate) fn file(bytes: &[u8]) {
    let file = memfd_create("fuzz", MemfdFlags::CLOEXEC).expect("memory is there");
    let mut file = File::from(file);
    file.write_all(bytes).expect("there is room");
    if let Ok(Some(found)) = vhd::stretch(&file) {
        assert!(found.length > 0 && found.offset + found.length <= bytes.len() as u64);
    }
    let _refused = vhdx::Image::read(&file).map(|image| image.stretch(&file));
    if let Some(superblock) = bytes.first_chunk() {
        let _refused = ext4::check(superblock);
    }
}
