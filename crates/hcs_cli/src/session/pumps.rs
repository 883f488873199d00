//! [`Pumps`]: the streams of a process, passed on in the session's loop, or by threads where that could block it.

use std::{
    io,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use hcs::{Failure, HResult, Stdio};
use rustix::{
    event::{PollFd, Timespec, poll},
    io::Errno,
    stdio,
};

use super::{
    copy::{self, End, Ending},
    stream::{Direction, Moved, Stream},
};
use crate::output::cannot_write;

/// How long streams may be silent after the process that we started has ended.
const GRACE: Duration = Duration::from_secs(1);

/// What passes them on.
#[derive(Debug)]
pub(super) struct Pumps {
    streams: Vec<Stream<'static>>,
    threads: Option<Threads>,
    outcome: Result<(), Failure>,
}

/// The threads that copy.
#[derive(Debug)]
struct Threads {
    outputs: Vec<JoinHandle<io::Result<End>>>,
    ended: Arc<OwnedFd>,
    /// Dropped when the process has ended.
    running: OwnedFd,
    /// Hangs up when all of them are done.
    done: OwnedFd,
    /// Each of them holds it.
    busy: Arc<OwnedFd>,
}

impl Pumps {
    /// Begins to pass on.
    ///
    /// # Errors
    /// A thread or descriptors are lacking, or one of our streams is closed.
    pub(super) fn start(pipes: Stdio<Option<OwnedFd>>) -> Result<Self, Failure> {
        let mut pumps = Self {
            streams: Vec::new(),
            threads: None,
            outcome: Ok(()),
        };
        let streams = [
            (pipes.stdin, stdio::stdin(), Direction::In),
            (pipes.stdout, stdio::stdout(), Direction::Out),
            (pipes.stderr, stdio::stderr(), Direction::Out),
        ];
        for (pipe, ours, direction) in streams {
            if let Some(pipe) = pipe {
                pumps.add(pipe, ours, direction).map_err(|e| failed(&e))?;
            }
        }
        Ok(pumps)
    }

    fn add(
        &mut self,
        pipe: OwnedFd,
        ours: BorrowedFd<'static>,
        direction: Direction,
    ) -> io::Result<()> {
        match Stream::new(pipe, ours, direction)? {
            Ok(stream) => {
                self.streams.push(stream);
                Ok(())
            }
            Err(pipe) => self.spawn(pipe, ours, direction),
        }
    }

    fn spawn(
        &mut self,
        pipe: OwnedFd,
        ours: BorrowedFd<'static>,
        direction: Direction,
    ) -> io::Result<()> {
        if direction == Direction::In {
            // Not waited for: it may be waiting for a key. When our input ends, so does that of the process.
            return thread::Builder::new()
                .name("stdin".to_owned())
                .spawn(move || copy::copy(ours, pipe.as_fd(), None))
                .map(drop);
        }
        let threads = match &mut self.threads {
            Some(threads) => threads,
            none => none.insert(Threads::new()?),
        };
        let (ended, busy) = (Arc::clone(&threads.ended), Arc::clone(&threads.busy));
        let output = thread::Builder::new()
            .name("output".to_owned())
            .spawn(move || {
                let ending = Ending {
                    ended: ended.as_fd(),
                    grace: GRACE,
                };
                let copied = copy::copy(pipe.as_fd(), ours, Some(ending));
                drop(busy);
                copied
            })?;
        threads.outputs.push(output);
        Ok(())
    }

    /// What is to be polled before [`Pumps::step`].
    pub(super) fn awaits(&self) -> impl Iterator<Item = PollFd<'_>> {
        self.streams.iter().map(Stream::awaits)
    }

    /// Moves what can be moved at once. `ready` are those of [`Pumps::awaits`] that are ready, in its order.
    ///
    /// When our reader goes away the pipe is closed, and the process learns it the way it would without us.
    pub(super) fn step(&mut self, ready: &[bool]) {
        let mut ready = ready.iter().copied();
        for mut stream in std::mem::take(&mut self.streams) {
            if !ready.next().unwrap_or(false) {
                self.streams.push(stream);
                continue;
            }
            match stream.step() {
                Ok(Moved::On) => self.streams.push(stream),
                Ok(Moved::Complete | Moved::ReaderGone) => {}
                Ok(Moved::Unfit) => {
                    let direction = stream.direction;
                    let (pipe, ours) = stream.into_parts();
                    if let Err(error) = self.spawn(pipe, ours, direction) {
                        self.outcome = Err(failed(&error));
                    }
                }
                // As with the input's end, that of the process ends.
                Err(_) if stream.direction == Direction::In => {}
                Err(error) => self.outcome = Err(cannot_write(&error)),
            }
        }
    }

    /// The process has ended: waits until all its output has been written; in a hurry, only while our readers go on
    /// reading.
    ///
    /// # Errors
    /// Some of it could not be.
    pub(super) fn drain(mut self, hurried: bool) -> Result<(), Failure> {
        let threads = self.threads.take().map(|threads| threads.end(hurried));
        self.streams
            .retain(|stream| stream.direction == Direction::Out);
        for stream in &mut self.streams {
            stream.ended(hurried);
        }
        while !self.streams.is_empty() {
            if let Err(error) = self.drain_some() {
                self.outcome = Err(failed(&error.into()));
                break;
            }
        }
        for thread in threads.into_iter().flatten() {
            let copied = thread
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("the thread that copied it panicked")));
            if let Err(error) = copied {
                self.outcome = Err(cannot_write(&error));
            }
        }
        self.outcome
    }

    /// Moves what comes, and gives streams up that have been silent for too long.
    fn drain_some(&mut self) -> Result<(), Errno> {
        let patience = |stream: &Stream<'_>| stream.patience(GRACE);
        let limit = self.streams.iter().filter_map(patience).min();
        let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
        let mut polled: Vec<_> = self.awaits().collect();
        match poll(&mut polled, limit.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
        let ready: Vec<_> = polled.iter().map(|p| !p.revents().is_empty()).collect();
        drop(polled);
        if ready.contains(&true) {
            self.step(&ready);
        } else {
            self.streams
                .retain(|stream| stream.patience(GRACE).is_none_or(|left| !left.is_zero()));
        }
        Ok(())
    }
}

impl Threads {
    fn new() -> io::Result<Self> {
        let (ended, running) = copy::hang_up()?;
        let (done, busy) = copy::hang_up()?;
        Ok(Self {
            outputs: Vec::new(),
            ended: Arc::new(ended),
            running,
            done,
            busy: Arc::new(busy),
        })
    }

    /// Those to be waited for. In a hurry only such as do not wait for a terminal, say, that no program reads.
    fn end(mut self, hurried: bool) -> Vec<JoinHandle<io::Result<End>>> {
        drop((self.running, self.busy));
        if hurried {
            copy::hung_up(self.done.as_fd(), 2 * GRACE);
            self.outputs.retain(JoinHandle::is_finished);
        }
        self.outputs
    }
}

fn failed(error: &io::Error) -> Failure {
    let message = "the streams of the process cannot be passed on";
    Failure::new(HResult::E_FAIL, message).because(error)
}
