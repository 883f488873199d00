//! Seals of memory files (`memfd_create(2)`).

use std::{os::fd::AsFd, thread, time::Duration};

use rustix::{
    fs::{SealFlags, fcntl_add_seals},
    io::Errno,
};

/// How often a seal is tried, and the pause in between.
const TRIES: u32 = 30;
const PAUSE: Duration = Duration::from_millis(10);

/// Seals a memory file that no process has mapped for writing. May block for a few seconds.
///
/// The kernel refuses a seal against writing (`EBUSY`) while it holds a page of the file itself: to move or compact it,
/// or to see whether it is used. That is over in a moment, so the seal is tried again.
///
/// # Errors
/// As `fcntl(2)`.
pub fn seal(file: impl AsFd, seals: SealFlags) -> Result<(), Errno> {
    for _ in 1..TRIES {
        match fcntl_add_seals(&file, seals) {
            Err(Errno::BUSY) => thread::sleep(PAUSE),
            answer => return answer,
        }
    }
    fcntl_add_seals(&file, seals)
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        io::Write as _,
        sync::atomic::{AtomicBool, Ordering},
    };

    use rustix::{
        fs::{MemfdFlags, memfd_create},
        pipe::{PipeFlags, SpliceFlags, pipe_with, splice},
    };

    use super::*;

    #[test]
    fn a_file_whose_page_is_held_for_a_moment_is_sealed_then() {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let mut file = File::from(memfd_create("held", flags).unwrap());
        file.write_all(&[1; 4096]).unwrap();
        // A pipe that a page was spliced into holds it.
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let mut start = 0;
        let moved = splice(
            &file,
            Some(&mut start),
            &writer,
            None,
            4096,
            SpliceFlags::empty(),
        );
        assert_eq!(moved.unwrap(), 4096);
        assert_eq!(
            fcntl_add_seals(&file, SealFlags::WRITE),
            Err(Errno::BUSY),
            "the page is held"
        );
        let released = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(PAUSE);
                released.store(true, Ordering::SeqCst);
                drop((reader, writer));
            });
            seal(&file, SealFlags::WRITE).unwrap();
            assert!(released.load(Ordering::SeqCst));
        });
        assert!(file.write_all(b"x").is_err());
    }
}
