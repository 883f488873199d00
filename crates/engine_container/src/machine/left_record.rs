//! The file for what the agent leaves (`hcs_wire::guest::LeftRecord`), in the machine's directory.
//!
//! The service makes it before there is a container and hands the agent a descriptor for writing. So it outlives both.
//! No process of the container can write to it: its path is one of the service's own, which no container sees. The
//! agent's descriptors close on exec, and are not to be had by `/proc`, as the agent has more capabilities than
//! processes have, and is not dumpable.

use std::{
    fs::File,
    io::Read as _,
    os::fd::{BorrowedFd, OwnedFd},
};

use hcs_wire::guest::MAX_LEFT_BYTES;
use rustix::{
    fs::{FallocateFlags, FileType, Mode, OFlags, fallocate, fstat, openat},
    io::Errno,
};

use crate::failure::{Attempt, StepError};

/// Its name.
pub(crate) const NAME: &str = "left.jsonl";

/// What it has room for from the beginning: more than one that ends with its command writes, as a rule.
const ROOM: u64 = 4096;

/// Makes the file, empty or full of zeros.
pub(crate) fn make_in(directory: BorrowedFd<'_>) -> Result<OwnedFd, StepError> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(directory, NAME, flags, Mode::RUSR | Mode::WUSR)
        .step("making the file for what the agent leaves")?;
    // The agent of a container that has used up its memory may get none for the file, or be ended for it. Where the
    // file system makes no room beforehand, it takes what there is then.
    let _as_it_is = fallocate(&file, FallocateFlags::empty(), 0, ROOM);
    Ok(file)
}

/// The contents of the file; empty where none was made, as by an earlier version, or what is there is no file. Of a
/// longer one the beginning.
pub(crate) fn read_in(directory: BorrowedFd<'_>) -> Result<Vec<u8>, StepError> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let step = "reading what the agent has left";
    let file = match openat(directory, NAME, flags, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::NOENT | Errno::LOOP) => return Ok(Vec::new()),
        Err(errno) => return Err(StepError::new(step, errno)),
    };
    let kind = fstat(&file).step(step)?.st_mode;
    let mut text = Vec::new();
    if FileType::from_raw_mode(kind).is_file() {
        let read = File::from(file)
            .take(MAX_LEFT_BYTES as u64)
            .read_to_end(&mut text);
        read.map_err(|error| {
            let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
            StepError::new(step, errno)
        })?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::fd::AsFd as _};

    use hcs_wire::guest::LeftRecord;

    use super::*;

    fn record() -> LeftRecord {
        LeftRecord {
            complete: true,
            exits: vec![(2, 7)],
            ..LeftRecord::default()
        }
    }

    #[test]
    fn what_is_written_by_the_descriptor_is_found_by_the_name() {
        let folder = tempfile::tempdir().unwrap();
        let directory = File::open(folder.path()).unwrap();
        assert_eq!(read_in(directory.as_fd()).unwrap(), b"");
        let file = make_in(directory.as_fd()).unwrap();
        let read = || LeftRecord::read(&read_in(directory.as_fd()).unwrap());
        assert_eq!(read(), LeftRecord::default());
        rustix::io::pwrite(&file, &record().line(), 0).unwrap();
        assert_eq!(read(), record());
        // It can be made once, and is only for writing.
        assert_eq!(make_in(directory.as_fd()).unwrap_err().errno, Errno::EXIST);
        let mut byte = [0];
        assert_eq!(rustix::io::pread(&file, &mut byte, 0), Err(Errno::BADF));
    }

    /// A container to which the directory was mapped before it was a service's may have put anything there.
    #[test]
    fn what_is_no_file_is_not_read_and_a_long_one_not_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let directory = File::open(folder.path()).unwrap();
        let path = folder.path().join(NAME);
        let read = || read_in(directory.as_fd()).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
        assert_eq!(read(), b"");
        fs::remove_file(&path).unwrap();
        rustix::fs::mkfifoat(&directory, NAME, Mode::RUSR | Mode::WUSR).unwrap();
        assert_eq!(read(), b"");
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert_eq!(read(), b"");
        fs::remove_dir(&path).unwrap();
        let file = File::create(&path).unwrap();
        file.set_len(1 << 40).unwrap();
        assert_eq!(read().len(), MAX_LEFT_BYTES);
    }
}
