//! A picture of the machine's screen.
//!
//! QEMU writes it to a file of this process, which it is given once and keeps: a QEMU before 9.1 closes no file while
//! the processors stand still. What is handed on is a copy, so that the next picture does not change it.

use std::{
    fs::File,
    io::{self, Seek as _},
    os::{
        fd::{AsFd as _, AsRawFd as _, OwnedFd},
        unix::fs::FileExt as _,
    },
    time::Duration,
};

use rustix::fs::{MemfdFlags, Mode, OFlags, memfd_create, open};

use crate::{
    protocol::LARGEST_PICTURE,
    qmp::{
        Client, QmpError,
        command::{AddFd, FdSet, QueryFdsets, QueryStatus, ScreenDump},
    },
};

/// How long QEMU may take for a picture.
const LIMIT: Duration = Duration::from_secs(4);

/// What a file of the format PNG begins with.
const SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1a\n";

/// The number of QEMU's file; those of disks are lower.
pub(crate) const SET: u32 = 1 << 17;

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub(super) enum PictureError {
    /// It cannot be kept.
    #[error("the picture cannot be kept: {0}")]
    Io(#[from] io::Error),
    /// It is too long.
    #[error("QEMU made a picture of {0} bytes, and at most {LARGEST_PICTURE} are passed on")]
    TooLarge(u64),
    /// It is none.
    #[error("QEMU made no picture in the format PNG")]
    NoPicture,
    /// QEMU did not make it.
    #[error(transparent)]
    Qmp(#[from] QmpError),
}

/// The file that QEMU writes to.
#[derive(Debug, Default)]
pub(super) struct Pictures {
    file: Option<File>,
    /// Whether QEMU has it. An answer that was late leaves that open.
    is_given: bool,
}

impl Pictures {
    /// Has QEMU write a picture of the screen as it is now, in the format PNG.
    pub(super) fn take(&mut self, monitor: &mut Client) -> Result<OwnedFd, PictureError> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(only_written()?),
        };
        // QEMU executes one command after the other: once it answers, what was late is done.
        if self.is_given {
            monitor.execute(&QueryStatus, LIMIT)?;
        } else {
            give(monitor, file)?;
            self.is_given = true;
        }
        // QEMU writes where the last picture ended: the file's position is shared.
        file.set_len(0)?;
        file.rewind()?;
        monitor.execute(&ScreenDump { set: SET }, LIMIT)?;
        let length = file.metadata()?.len();
        if length > LARGEST_PICTURE {
            // It is memory of the machine's group.
            file.set_len(0)?;
            return Err(PictureError::TooLarge(length));
        }
        let reader = File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
        if !is_picture(&reader) {
            return Err(PictureError::NoPicture);
        }
        let mut copy = File::from(memory()?);
        io::copy(&mut io::Read::take(reader, LARGEST_PICTURE), &mut copy)?;
        Ok(copy.into())
    }
}

/// Whether the file begins as a picture does.
fn is_picture(file: &File) -> bool {
    let mut first = [0; SIGNATURE.len()];
    // A file that is too short has no picture.
    file.read_exact_at(&mut first, 0).is_ok() && first == SIGNATURE
}

/// Gives QEMU the file, unless it has it by now. Of two files in one set it would write to the first.
fn give(monitor: &mut Client, file: &File) -> Result<(), QmpError> {
    let sets = monitor.execute(&QueryFdsets, LIMIT)?;
    let has_it = |set: &FdSet| set.fdset_id == SET && !set.fds.is_empty();
    if !sets.iter().any(has_it) {
        let file = file.as_fd();
        monitor.execute(&AddFd { set: SET, file }, LIMIT)?;
    }
    Ok(())
}

/// A file that may only be written, as QEMU opens it.
fn only_written() -> Result<File, io::Error> {
    let memory = memory()?;
    let path = format!("/proc/self/fd/{}", memory.as_raw_fd());
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let file = open(path, flags, Mode::empty())?;
    Ok(file.into())
}

fn memory() -> Result<OwnedFd, io::Error> {
    Ok(memfd_create("picture", MemfdFlags::CLOEXEC)?)
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead as _, BufReader, Write as _},
        os::unix::net::UnixStream,
        thread,
    };

    use super::*;

    /// The commands that a picture takes of a QEMU which has these files; it makes none.
    fn commands(sets: &'static str, pictures: &mut Pictures) -> Vec<String> {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let heard = thread::spawn(move || {
            let mut writer = theirs.try_clone().unwrap();
            let greeting = r#"{"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 7}}, "capabilities": []}}"#;
            writeln!(writer, "{greeting}").unwrap();
            let mut heard = Vec::new();
            for command in BufReader::new(theirs).lines() {
                let command: serde_json::Value = serde_json::from_str(&command.unwrap()).unwrap();
                let name = command["execute"].as_str().unwrap().to_owned();
                let answer = match &*name {
                    "query-fdsets" => sets,
                    "add-fd" => r#"{"fdset-id": 1, "fd": 9}"#,
                    _ => "{}",
                };
                heard.push(name);
                writeln!(
                    writer,
                    "{{\"return\": {answer}, \"id\": {}}}",
                    command["id"]
                )
                .unwrap();
            }
            heard
        });
        let mut monitor = Client::greet(ours, LIMIT).unwrap().0;
        let none = pictures.take(&mut monitor);
        assert!(matches!(none, Err(PictureError::NoPicture)), "{none:?}");
        drop(monitor);
        heard.join().unwrap().split_off(1)
    }

    #[test]
    fn a_file_whose_answer_was_late_is_not_given_twice() {
        let has_it = r#"[{"fdset-id": 131072, "fds": [{"fd": 9}]}]"#;
        let mut late = Pictures {
            file: Some(only_written().unwrap()),
            is_given: false,
        };
        assert_eq!(commands(has_it, &mut late), ["query-fdsets", "screendump"]);
        let mut first = Pictures::default();
        let expected = ["query-fdsets", "add-fd", "screendump"];
        assert_eq!(commands("[]", &mut first), expected);
        assert!(first.is_given);
    }

    #[test]
    fn a_picture_begins_with_the_signature_of_its_format() {
        let cases: [(&[u8], bool); 4] = [
            (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", true),
            (b"\x89PNG\r\n\x1a", false),
            (b"\0\0\0\0\0\0\0\0\0\0\0\0IDAT", false),
            (b"", false),
        ];
        for (content, expected) in cases {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(content).unwrap();
            assert_eq!(is_picture(&file), expected, "{content:?}");
        }
    }
}
