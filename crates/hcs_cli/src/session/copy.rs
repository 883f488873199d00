//! Copying one stream on a thread of its own, by splice(2) where the kernel can, else through a buffer.

use std::{
    io,
    os::fd::{BorrowedFd, OwnedFd},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{FileType, fstat},
    io::{Errno, read, retry_on_intr, write},
    pipe::{SpliceFlags, splice},
};

/// The most moved at once: the size of the service's pipes.
pub(super) const AT_ONCE: usize = 1 << 20;
/// Size of the buffer where splice does not work.
pub(super) const BUFFER: usize = 1 << 16;

/// How a copy ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The input ended and all of it was written.
    Complete,
    /// The reader of the output has gone.
    ReaderGone,
    /// The writer has ended, as `Ending` said, but another process keeps the input open and writes nothing.
    LeftOpen,
}

/// When a copy may stop before end-of-file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ending<'a> {
    /// Hangs up when the process that writes has ended.
    pub ended: BorrowedFd<'a>,
    /// How long the input may then be silent before it is given up.
    pub grace: Duration,
}

/// Copies all of `from` to `to`. Without `ending` it ends with the input.
///
/// # Errors
/// Reading or writing failed.
pub(crate) fn copy(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    ending: Option<Ending<'_>>,
) -> io::Result<End> {
    let mut way = Way::between(from, to)?;
    let mut limit = None;
    loop {
        match way.transfer(from, to) {
            Ok(0) => return Ok(End::Complete),
            Ok(_) => {}
            Err(Errno::PIPE) => return Ok(End::ReaderGone),
            Err(Errno::AGAIN) => {
                if !wait(from, ending, &mut limit)? {
                    return Ok(End::LeftOpen);
                }
                // There is input, so what would block is the output, or nothing any more.
                writable(to)?;
            }
            // A file opened for appending.
            Err(Errno::INVAL) if matches!(way, Way::Splice) => way = Way::buffer(),
            // The far end of a terminal has gone.
            Err(Errno::IO) if rustix::termios::isatty(from) => return Ok(End::Complete),
            Err(error) => return Err(error.into()),
        }
    }
}

/// How bytes are moved.
enum Way {
    /// Inside the kernel.
    Splice,
    /// Through our memory.
    Buffer(Vec<u8>),
}

impl Way {
    /// Splices between pipes and files. Not to or from terminals and sockets: the kernel would hold the lock of the
    /// pipe while it waits for them, and the process at the pipe's other end could then not even be killed.
    fn between(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<Self, Errno> {
        let kind = |stream| fstat(stream).map(|stat| FileType::from_raw_mode(stat.st_mode));
        Ok(match (kind(from)?, kind(to)?) {
            (FileType::Fifo, FileType::Fifo | FileType::RegularFile)
            | (FileType::RegularFile, FileType::Fifo) => Self::Splice,
            _ => Self::buffer(),
        })
    }

    fn buffer() -> Self {
        Self::Buffer(vec![0; BUFFER])
    }

    /// Moves some bytes, all that were taken; 0 at end-of-file.
    fn transfer(&mut self, from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<usize, Errno> {
        match self {
            Self::Splice => retry_on_intr(|| {
                let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
                splice(from, None, to, None, AT_ONCE, flags)
            }),
            Self::Buffer(buffer) => {
                if !ready(from, PollFlags::IN, Some(Duration::ZERO))? {
                    return Err(Errno::AGAIN);
                }
                let count = retry_on_intr(|| read(from, &mut *buffer))?;
                write_all(to, &buffer[..count])?;
                Ok(count)
            }
        }
    }
}

fn write_all(to: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match retry_on_intr(|| write(to, bytes)) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::AGAIN) => writable(to)?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn writable(to: BorrowedFd<'_>) -> Result<(), Errno> {
    ready(to, PollFlags::OUT, None).map(|_| ())
}

/// Whether `stream` becomes ready before `limit` is over. An error or hang-up is ready: the next call tells it.
fn ready(
    stream: BorrowedFd<'_>,
    wanted: PollFlags,
    limit: Option<Duration>,
) -> Result<bool, Errno> {
    let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
    let mut polled = [PollFd::from_borrowed_fd(stream, wanted)];
    retry_on_intr(|| poll(&mut polled, limit.as_ref())).map(|count| count > 0)
}

/// Waits for input; false when it has been silent for the grace after the end. `limit` is set from the end on.
fn wait(
    from: BorrowedFd<'_>,
    ending: Option<Ending<'_>>,
    limit: &mut Option<Duration>,
) -> Result<bool, Errno> {
    let Some(ending) = ending else {
        return ready(from, PollFlags::IN, None);
    };
    if limit.is_none() {
        let mut polled = [
            PollFd::from_borrowed_fd(from, PollFlags::IN),
            PollFd::from_borrowed_fd(ending.ended, PollFlags::IN),
        ];
        retry_on_intr(|| poll(&mut polled, None))?;
        if !polled[0].revents().is_empty() {
            return Ok(true);
        }
        *limit = Some(ending.grace);
    }
    ready(from, PollFlags::IN, *limit)
}

/// A descriptor that hangs up, for all who poll its first half, when its second half is dropped.
///
/// # Errors
/// No descriptors are left.
pub(crate) fn hang_up() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?)
}

/// Waits for that at most for `limit`.
pub(crate) fn hung_up(half: BorrowedFd<'_>, limit: Duration) {
    // What cannot be waited for is not.
    let _in_time = ready(half, PollFlags::IN, Some(limit));
}

#[cfg(test)]
mod tests {
    use std::{
        fs::OpenOptions,
        io::{Read as _, Write as _},
        os::fd::AsFd as _,
        thread,
    };

    use super::*;

    fn pattern(length: usize) -> Vec<u8> {
        (0..length)
            .map(|i| u8::try_from(i % 251).unwrap())
            .collect()
    }

    #[test]
    fn everything_gets_through_pipes_of_any_size() {
        let (from, mut writer) = io::pipe().unwrap();
        let (mut reader, to) = io::pipe().unwrap();
        let sent = pattern(3 << 20);
        let expected = sent.clone();
        thread::scope(|scope| {
            scope.spawn(move || writer.write_all(&sent).unwrap());
            scope.spawn(move || {
                assert_eq!(copy(from.as_fd(), to.as_fd(), None).unwrap(), End::Complete);
            });
            let mut received = Vec::new();
            reader.read_to_end(&mut received).unwrap();
            assert!(received == expected);
        });
    }

    #[test]
    fn what_cannot_be_spliced_goes_through_a_buffer() {
        let folder = std::env::temp_dir().join(format!("hcs-copy-{}", std::process::id()));
        let to = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&folder)
            .unwrap();
        let (from, mut writer) = io::pipe().unwrap();
        let sent = pattern(200_000);
        let expected = sent.clone();
        thread::scope(|scope| {
            scope.spawn(move || writer.write_all(&sent).unwrap());
            assert_eq!(copy(from.as_fd(), to.as_fd(), None).unwrap(), End::Complete);
        });
        let received = std::fs::read(&folder).unwrap();
        std::fs::remove_file(&folder).unwrap();
        assert!(received == expected);
    }

    #[test]
    fn a_reader_that_went_away_ends_the_copy() {
        let (from, mut writer) = io::pipe().unwrap();
        let (reader, to) = io::pipe().unwrap();
        drop(reader);
        writer.write_all(b"x").unwrap();
        assert_eq!(
            copy(from.as_fd(), to.as_fd(), None).unwrap(),
            End::ReaderGone
        );
    }

    #[test]
    fn after_the_end_a_silent_pipe_is_given_up_and_nothing_is_lost() {
        let (from, mut writer) = io::pipe().unwrap();
        let (mut reader, to) = io::pipe().unwrap();
        let (ended, end) = hang_up().unwrap();
        writer.write_all(b"last words").unwrap();
        drop(end);
        let ending = Ending {
            ended: ended.as_fd(),
            grace: Duration::from_millis(20),
        };
        assert_eq!(
            copy(from.as_fd(), to.as_fd(), Some(ending)).unwrap(),
            End::LeftOpen
        );
        drop(to);
        let mut received = String::new();
        reader.read_to_string(&mut received).unwrap();
        assert_eq!(received, "last words");
        drop(writer);
    }
}
