//! [`Stream`]: one stream that is passed on by the session's own loop, a bit whenever `poll(2)` says so.
//!
//! Only where no step can block: between pipes and regular files and to `/dev/null` by `splice(2)`, to files that are
//! appended to and from `/dev/null` through a buffer. For terminals, sockets and devices [`super::copy`] needs a
//! thread, as writing to them can take for ever.

use std::{
    io,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags},
    fs::{FileType, fstat, major, minor},
    io::{Errno, read, retry_on_intr, write},
    pipe::{SpliceFlags, splice},
};

use super::copy::{AT_ONCE, BUFFER};

/// Size of the buffer until it was filled once: most streams bring little or nothing, and each page costs a fault.
const FIRST_BUFFER: usize = 4096;

/// A stream between a pipe of the process, which is closed with it, and one of our descriptors.
#[derive(Debug)]
pub(super) struct Stream<'a> {
    pipe: OwnedFd,
    ours: BorrowedFd<'a>,
    pub direction: Direction,
    way: Way,
    blocked: Blocked,
    /// When it last moved something, or was told to end.
    moved: Instant,
    /// Our reader is not waited for much longer than the process.
    hurried: bool,
}

/// Which way it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// From us to the process.
    In,
    /// From the process to us.
    Out,
}

/// What it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blocked {
    Input,
    Output,
}

#[derive(Debug)]
enum Way {
    Splice,
    Buffer(Vec<u8>),
}

/// What can be told from the kind of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Pipe,
    File,
    Null,
    /// It may block when it is written to or read.
    Other,
}

fn kind(stream: BorrowedFd<'_>) -> Result<Kind, Errno> {
    let stat = fstat(stream)?;
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::Fifo => Kind::Pipe,
        FileType::RegularFile => Kind::File,
        FileType::CharacterDevice if (major(stat.st_rdev), minor(stat.st_rdev)) == (1, 3) => {
            Kind::Null
        }
        _ => Kind::Other,
    })
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moved {
    /// There may be more.
    On,
    /// The input ended and all of it was written.
    Complete,
    /// The reader of the output has gone.
    ReaderGone,
    /// It needs a thread after all.
    Unfit,
}

impl<'a> Stream<'a> {
    /// Gives the pipe back where passing it on could block.
    ///
    /// # Errors
    /// One of them is not open.
    pub(super) fn new(
        pipe: OwnedFd,
        ours: BorrowedFd<'a>,
        direction: Direction,
    ) -> Result<Result<Self, OwnedFd>, Errno> {
        let way = match (direction, kind(pipe.as_fd())?, kind(ours)?) {
            (_, Kind::Pipe, Kind::Pipe | Kind::File) | (Direction::Out, Kind::Pipe, Kind::Null) => {
                Way::Splice
            }
            (Direction::In, Kind::Pipe, Kind::Null) => Way::Buffer(vec![0; FIRST_BUFFER]),
            _ => return Ok(Err(pipe)),
        };
        Ok(Ok(Self {
            pipe,
            ours,
            direction,
            way,
            blocked: Blocked::Input,
            moved: Instant::now(),
            hurried: false,
        }))
    }

    /// For a thread.
    pub(super) fn into_parts(self) -> (OwnedFd, BorrowedFd<'a>) {
        (self.pipe, self.ours)
    }

    fn from(&self) -> BorrowedFd<'_> {
        match self.direction {
            Direction::In => self.ours,
            Direction::Out => self.pipe.as_fd(),
        }
    }

    fn to(&self) -> BorrowedFd<'_> {
        match self.direction {
            Direction::In => self.pipe.as_fd(),
            Direction::Out => self.ours,
        }
    }

    /// What is to be polled before the next [`Stream::step`].
    pub(super) fn awaits(&self) -> PollFd<'_> {
        match self.blocked {
            Blocked::Input => PollFd::from_borrowed_fd(self.from(), PollFlags::IN),
            Blocked::Output => PollFd::from_borrowed_fd(self.to(), PollFlags::OUT),
        }
    }

    /// Moves what can be moved at once. Called when what it awaits is ready.
    ///
    /// # Errors
    /// Reading or writing failed.
    pub(super) fn step(&mut self) -> io::Result<Moved> {
        match self.transfer() {
            Ok(0) => Ok(Moved::Complete),
            Ok(_) => {
                self.moved = Instant::now();
                self.blocked = Blocked::Input;
                Ok(Moved::On)
            }
            Err(Errno::PIPE) => Ok(Moved::ReaderGone),
            Err(Errno::AGAIN) => {
                // One of them was ready, so it is the other that is not.
                self.blocked = match self.blocked {
                    Blocked::Input => Blocked::Output,
                    Blocked::Output => Blocked::Input,
                };
                Ok(Moved::On)
            }
            Err(Errno::INVAL) if matches!(self.way, Way::Splice) => self.unspliced(),
            Err(error) => Err(error.into()),
        }
    }

    /// The kernel does not splice these: a file that is appended to, or one that is made up.
    fn unspliced(&mut self) -> io::Result<Moved> {
        if self.direction == Direction::In || kind(self.ours)? == Kind::Pipe {
            return Ok(Moved::Unfit);
        }
        self.way = Way::Buffer(vec![0; FIRST_BUFFER]);
        Ok(Moved::On)
    }

    fn transfer(&mut self) -> Result<usize, Errno> {
        let mut way = std::mem::replace(&mut self.way, Way::Splice);
        let moved = match &mut way {
            Way::Splice => retry_on_intr(|| {
                let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
                splice(self.from(), None, self.to(), None, AT_ONCE, flags)
            }),
            Way::Buffer(buffer) => {
                let moved = self.carry(buffer);
                if moved == Ok(FIRST_BUFFER) {
                    *buffer = vec![0; BUFFER];
                }
                moved
            }
        };
        self.way = way;
        moved
    }

    fn carry(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        let count = retry_on_intr(|| read(self.from(), &mut *buffer))?;
        let mut rest = &buffer[..count];
        while !rest.is_empty() {
            let written = retry_on_intr(|| write(self.to(), rest))?;
            rest = &rest[written..];
        }
        Ok(count)
    }

    /// The process has ended: the time of silence begins; in a hurry also that in which our reader may be busy.
    pub(super) fn ended(&mut self, hurried: bool) {
        self.moved = Instant::now();
        self.hurried = hurried;
    }

    /// How long it may still not move, if it is not to wait for ever.
    pub(super) fn patience(&self, grace: Duration) -> Option<Duration> {
        let limited = self.hurried || self.blocked == Blocked::Input;
        limited.then(|| grace.saturating_sub(self.moved.elapsed()))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::OpenOptions,
        io::{PipeReader, PipeWriter, Read as _, Write as _, pipe},
    };

    use rustix::event::poll;

    use super::*;

    /// Steps until it ends.
    fn run(stream: &mut Stream<'_>) -> Moved {
        loop {
            let mut polled = [stream.awaits()];
            poll(&mut polled, None).unwrap();
            match stream.step().unwrap() {
                Moved::On => {}
                moved => return moved,
            }
        }
    }

    fn output<'a>(from: PipeReader, to: &'a impl std::os::fd::AsFd) -> Stream<'a> {
        Stream::new(from.into(), to.as_fd(), Direction::Out)
            .unwrap()
            .unwrap()
    }

    fn writer_of(bytes: &'static [u8]) -> PipeReader {
        let (reader, mut writer): (PipeReader, PipeWriter) = pipe().unwrap();
        std::thread::spawn(move || writer.write_all(bytes).unwrap());
        reader
    }

    #[test]
    fn everything_gets_through_a_pipe_that_is_full_most_of_the_time() {
        static SENT: [u8; 3 << 20] = [7; 3 << 20];
        let (mut reader, to) = pipe().unwrap();
        let received = std::thread::spawn(move || {
            let mut received = Vec::new();
            reader.read_to_end(&mut received).unwrap();
            received
        });
        let mut stream = output(writer_of(&SENT), &to);
        assert_eq!(run(&mut stream), Moved::Complete);
        drop(stream);
        drop(to);
        assert!(received.join().unwrap() == SENT);
    }

    #[test]
    fn files_that_are_appended_to_and_dev_null_take_it_through_a_buffer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("to");
        std::fs::write(&path, "before ").unwrap();
        let to = OpenOptions::new().append(true).open(&path).unwrap();
        assert_eq!(run(&mut output(writer_of(b"after"), &to)), Moved::Complete);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "before after");
        let null = OpenOptions::new().write(true).open("/dev/null").unwrap();
        assert_eq!(
            run(&mut output(writer_of(b"nothing"), &null)),
            Moved::Complete
        );
    }

    #[test]
    fn the_input_of_the_process_comes_from_a_file_or_ends_at_once() {
        for (file, expected) in [("/dev/null", String::new()), ("text", "words".to_owned())] {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("text"), "words").unwrap();
            let ours = std::fs::File::open(folder.path().join(file)).unwrap();
            let (mut reader, writer) = pipe().unwrap();
            let mut stream = Stream::new(writer.into(), ours.as_fd(), Direction::In)
                .unwrap()
                .unwrap();
            assert_eq!(run(&mut stream), Moved::Complete);
            drop(stream);
            let mut received = String::new();
            reader.read_to_string(&mut received).unwrap();
            assert_eq!(received, expected);
        }
    }

    #[test]
    fn a_reader_that_went_away_ends_it() {
        let (reader, to) = pipe().unwrap();
        drop(reader);
        assert_eq!(run(&mut output(writer_of(b"x"), &to)), Moved::ReaderGone);
    }

    #[test]
    fn what_may_block_is_left_to_a_thread() {
        let (socket, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        let (reader, _writer) = pipe().unwrap();
        let stream = Stream::new(reader.into(), socket.as_fd(), Direction::Out);
        assert!(stream.unwrap().is_err());
    }
}
