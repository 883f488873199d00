//! Files for kept output, which no host makes for a virtual machine.

use std::os::fd::OwnedFd;

use hcs_wire::guest::KEPT_FILES;
use rustix::{
    fs::{MemfdFlags, Mode, OFlags, memfd_create, open},
    io::Errno,
};

/// Where files without a name are made, the first that has room for them: a disk before memory.
const FOLDERS: [&str; 3] = ["/var/tmp", "/tmp", "/run"];

/// Empty files without a name, for reading and writing.
///
/// # Errors
/// The errno of `memfd_create(2)`.
pub(super) fn files() -> Result<Vec<OwnedFd>, Errno> {
    (0..KEPT_FILES).map(|_| file()).collect()
}

fn file() -> Result<OwnedFd, Errno> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let mut made = FOLDERS
        .iter()
        .map(|folder| open(*folder, flags, Mode::RUSR));
    if let Some(file) = made.find_map(Result::ok) {
        return Ok(file);
    }
    memfd_create("kept output", MemfdFlags::CLOEXEC)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd as _;

    use super::*;
    use hcs_schema::Stdio;

    use crate::detached::Output;

    #[test]
    fn they_are_files_that_output_can_be_kept_in() {
        let files = files().unwrap();
        assert!(files.iter().all(|file| file.as_raw_fd() > 2));
        Output::prepare(Stdio::default(), files).unwrap();
    }
}
