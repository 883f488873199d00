//! The file system of a disk: how it is made, and what of it the kernel is not asked to mount.

use std::{
    fs::File,
    os::fd::AsRawFd as _,
    path::Path,
    process::{Command, Stdio},
};

use super::step::{Failed, Stretch};
use crate::Refusal;

/// Where the program is, whatever `PATH` says.
const PROGRAMS: [&str; 3] = [
    "/usr/sbin/mkfs.ext4",
    "/sbin/mkfs.ext4",
    "/usr/bin/mkfs.ext4",
];
/// Where the superblock is on the disk, and how long it is.
pub(super) const SUPERBLOCK: (u64, usize) = (1024, 1024);
/// The smallest disk that is worth a journal.
pub(super) const SMALLEST: u64 = 4 << 20;

/// Makes an empty file system on the disk, which has no partitions.
///
/// # Errors
/// There is no program for it, or the program fails.
pub(super) fn make(file: &File, disk: Stretch) -> Result<(), Failed> {
    let program = PROGRAMS.iter().find(|program| Path::new(program).exists());
    let program = program.ok_or(Refusal::NoProgram {
        program: "mkfs.ext4",
        package: "e2fsprogs",
    })?;
    let own = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
    let output = Command::new(program)
        .args(["-q", "-F", "-m", "0", "-E"])
        .arg(format!("offset={},root_owner=0:0", disk.offset))
        .arg(own)
        .arg(format!("{}k", disk.length / 1024))
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().last().unwrap_or_default();
    let said = crate::error::shown(said.trim().as_bytes());
    Err(Refusal::NotFormatted { said }.into())
}

/// Whether the kernel may mount a file system with this superblock: one as [`make`] makes it, or newer programs do.
/// The kernel reads hostile ones at its own risk; what they may ask of it by their superblock is little.
///
/// # Errors
/// A reason.
pub(super) fn check(superblock: &[u8; SUPERBLOCK.1]) -> Result<(), &'static str> {
    /// Files with types, journal to be replayed, groups of metadata, extents, 64 bits, flexible groups, seed of sums.
    const KNOWN: u32 = 0x2 | 0x4 | 0x10 | 0x40 | 0x80 | 0x200 | 0x2000;
    const HAS_JOURNAL: u32 = 0x4;
    const JOURNAL: u32 = 8;
    let word = |at: usize| {
        superblock[at..]
            .first_chunk()
            .map_or(0, |word| u32::from_le_bytes(*word))
    };
    if superblock[0x38..0x3a] != [0x53, 0xef] {
        return Err("there is no ext4 file system on it");
    }
    if word(0x60) & !KNOWN != 0 {
        return Err("its file system has features that are not used here");
    }
    let (journal, device) = (word(0xe0), word(0xe4));
    let is_own = match word(0x5c) & HAS_JOURNAL {
        0 => journal == 0,
        _ => journal == JOURNAL,
    };
    if device != 0 || !is_own {
        return Err("its file system has a journal on another device of the host");
    }
    // The kernel takes a text here for options of the mount: a path of a journal, a panic at the first fault.
    if superblock[0x200..0x240].iter().any(|byte| *byte != 0) {
        return Err("its file system brings options for its mount");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_superblock_asks_for_nothing_of_the_host() {
        let with = |changes: &[(usize, &[u8])]| {
            let mut superblock = [0; SUPERBLOCK.1];
            let sound: [(usize, &[u8]); 4] = [
                (0x38, &[0x53, 0xef]),
                (0x5c, &[0x3c]),
                (0x60, &[0xc2, 2]),
                (0xe0, &[8]),
            ];
            for (at, value) in sound.iter().chain(changes) {
                superblock[*at..at + value.len()].copy_from_slice(value);
            }
            check(&superblock)
        };
        assert_eq!(with(&[]), Ok(()));
        // Without a journal, and with one that is to be replayed.
        assert_eq!(with(&[(0x5c, &[0x38]), (0xe0, &[0])]), Ok(()));
        assert_eq!(with(&[(0x60, &[0xc6])]), Ok(()));
        for (changes, why) in [
            (&[(0x38, &[0][..])][..], "no ext4"),
            (&[(0x60, &[0x4a])], "features"),
            (&[(0x62, &[1])], "features"),
            (&[(0xe4, &[1])], "journal"),
            (&[(0xe0, &[9])], "journal"),
            (&[(0x5c, &[0x38])], "journal"),
            (&[(0x200, b"errors=panic")], "options"),
        ] {
            assert!(with(changes).unwrap_err().contains(why), "{why}");
        }
    }
}
