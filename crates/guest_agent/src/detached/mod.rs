//! Detached processes: the agent keeps their output, and hands it to readers.
//!
//! ```text
//!   process ──pipes──▶ Output ──▶ Log: a few files, in turn ──▶ Reader ──pipe──▶ a client
//!                        │                                       Reader ──pipe──▶ another
//!           ◀──pipe──    └───────────── Input ◀──pipe── a client that is attached
//! ```
//!
//! 1. `rotation`: which record is in which file. Pure. `log`: the files.
//! 2. `reader`: one that reads, and how far it is. `input`: one that writes to the process.
//! 3. [`Output`]: the output of one process. [`Outputs`]: all of them.
//!
//! The output stays when the process has ended, with its exit code, until the agent ends or [`MAX_OUTPUTS`] younger
//! processes want the place. Its standard input does not end with a client. A process never waits for a reader, nor for
//! the disk beyond what the kernel has it wait.

mod input;
mod log;
mod reader;
mod rotation;

use std::{
    collections::{BTreeMap, BTreeSet},
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    time::{SystemTime, UNIX_EPOCH},
};

use hcs_schema::{Failure, HResult, Stdio, win32};
use hcs_wire::{
    errno,
    output::{About, Kind, OutputQuery},
};
use rustix::{
    fs::OFlags,
    io::Errno,
    pipe::{PipeFlags, fcntl_setpipe_size, pipe_with},
};

use self::{
    input::Input,
    log::Log,
    reader::{Reader, State},
};
use crate::relay::Flow;

/// The most processes whose output is kept.
const MAX_OUTPUTS: usize = 16;
/// The most readers of all of them.
const MAX_READERS: usize = 64;
/// The most bytes one output moves in a row before others get their turn.
const TURN_BYTES: usize = 64 << 10;
/// The most turns in a row that what was written before a reader came may take.
const MOST_TURNS: usize = 16;
/// Capacity asked for on the pipes of a process: with the usual 64 KiB, the two mostly wait for each other.
const PIPE_BYTES: usize = 256 << 10;
/// Outputs are numbered from here.
pub(crate) const FIRST: u64 = 1 << 32;

/// The read end of a pipe that a process writes to.
#[derive(Debug)]
struct Source {
    /// Non-blocking.
    pipe: OwnedFd,
    kind: Kind,
}

/// The output of one process.
#[derive(Debug)]
pub(crate) struct Output {
    pid: u32,
    log: Log,
    sources: Vec<Source>,
    /// The write end of its standard input, non-blocking, until it has exited.
    stdin: Option<OwnedFd>,
    inputs: Vec<Input>,
    terminal: bool,
    /// Once it has exited.
    exit: Option<u32>,
    readers: Vec<Reader>,
}

impl Output {
    /// Keeps the output of a process that is about to be started in `files`; answers with the ends for the process.
    ///
    /// # Errors
    /// The files are of no use, or no pipes can be made.
    pub(crate) fn prepare(
        streams: Stdio<bool>,
        files: Vec<OwnedFd>,
    ) -> Result<(Self, Stdio<Option<OwnedFd>>), Failure> {
        let mut output = Self {
            pid: 0,
            log: Log::new(files)?,
            sources: Vec::new(),
            stdin: None,
            inputs: Vec::new(),
            terminal: false,
            exit: None,
            readers: Vec::new(),
        };
        let stdio = output.connect(streams);
        let stdio = stdio.map_err(|errno| errno::failed("no pipes can be made", errno))?;
        Ok((output, stdio))
    }

    fn connect(&mut self, streams: Stdio<bool>) -> Result<Stdio<Option<OwnedFd>>, Errno> {
        let mut stdio = Stdio::default();
        if streams.stdin {
            let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
            stdio.stdin = Some(above_standard(&read)?);
            rustix::fs::fcntl_setfl(&write, OFlags::NONBLOCK)?;
            self.stdin = Some(write);
        }
        let outputs = [
            (streams.stdout, Kind::Stdout, &mut stdio.stdout),
            (streams.stderr, Kind::Stderr, &mut stdio.stderr),
        ];
        for (wanted, kind, end) in outputs {
            if !wanted {
                continue;
            }
            let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
            rustix::fs::fcntl_setfl(&read, OFlags::NONBLOCK)?;
            // Refused when the user's pipes together are too large (pipe(7)); a small pipe works as well.
            let _smaller = fcntl_setpipe_size(&read, PIPE_BYTES);
            *end = Some(above_standard(&write)?);
            self.sources.push(Source { pipe: read, kind });
        }
        Ok(stdio)
    }

    /// The process was started, on a terminal or not.
    pub(crate) const fn started(&mut self, pid: u32, terminal: bool) {
        self.pid = pid;
        self.terminal = terminal;
    }

    /// What the event loop watches for reading or for writing, edge-triggered.
    pub(crate) fn ends(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let sources = self.sources.iter().map(|source| source.pipe.as_fd());
        sources.chain(self.stdin.iter().map(|stdin| stdin.as_fd()))
    }

    /// Nothing more will be written.
    const fn is_complete(&self) -> bool {
        self.exit.is_some() && self.sources.is_empty()
    }

    /// Moves what can be moved. `scratch` is any buffer. Readers that have ended go to `closed`.
    fn pump(&mut self, scratch: &mut [u8], closed: &mut Vec<OwnedFd>) -> Flow {
        let fed = self.feed(scratch);
        let drawn = self.draw(scratch);
        let state = State {
            // Before that it would overtake what the process has written.
            exit: self.exit.filter(|_| drawn == Flow::Blocked),
            complete: self.is_complete(),
            time: now(),
        };
        let mut flow = match fed {
            Flow::Spent => Flow::Spent,
            _ => drawn,
        };
        let mut index = 0;
        while let Some(reader) = self.readers.get_mut(index) {
            match reader.pump(&self.log, state, TURN_BYTES) {
                Flow::Ended => {
                    closed.push(self.readers.swap_remove(index).into_pipe());
                    continue;
                }
                Flow::Spent => flow = Flow::Spent,
                Flow::Blocked => {}
            }
            index += 1;
        }
        flow
    }

    /// Gives the process what its clients have sent.
    fn feed(&mut self, scratch: &mut [u8]) -> Flow {
        let mut flow = Flow::Blocked;
        let Some(stdin) = &self.stdin else {
            return flow;
        };
        self.inputs
            .retain_mut(|input| match input.pump(stdin, scratch, TURN_BYTES) {
                Flow::Ended => false,
                Flow::Spent => {
                    flow = Flow::Spent;
                    true
                }
                Flow::Blocked => true,
            });
        flow
    }

    /// Takes what the process has written.
    fn draw(&mut self, scratch: &mut [u8]) -> Flow {
        let mut flow = Flow::Blocked;
        let mut index = 0;
        while let Some(source) = self.sources.get(index) {
            match draw(source, &mut self.log, scratch) {
                Flow::Ended => {
                    self.sources.remove(index);
                    continue;
                }
                Flow::Spent => flow = Flow::Spent,
                Flow::Blocked => {}
            }
            index += 1;
        }
        flow
    }
}

/// Takes what there is in one pipe.
fn draw(source: &Source, log: &mut Log, scratch: &mut [u8]) -> Flow {
    let mut moved = 0;
    while moved < TURN_BYTES {
        match rustix::io::read(&source.pipe, &mut *scratch) {
            Ok(0) => return Flow::Ended,
            Ok(count) => {
                moved += count;
                log.append(source.kind, now(), &scratch[..count]);
            }
            Err(Errno::AGAIN) => return Flow::Blocked,
            Err(Errno::INTR) => {}
            Err(_) => return Flow::Ended,
        }
    }
    Flow::Spent
}

/// All outputs that are kept.
#[derive(Debug)]
pub(crate) struct Outputs {
    all: BTreeMap<u64, Output>,
    next: u64,
    /// Those that can move something without waiting for an event.
    runnable: BTreeSet<u64>,
}

impl Outputs {
    /// None yet.
    pub(crate) const fn new() -> Self {
        Self {
            all: BTreeMap::new(),
            next: FIRST,
            runnable: BTreeSet::new(),
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// Fails unless there is room for one more; the oldest that is complete makes room.
    ///
    /// # Errors
    /// All of them belong to processes that run.
    pub(crate) fn check_room(&self) -> Result<(), Failure> {
        let gives_way = self.all.values().any(Output::is_complete);
        if self.all.len() < MAX_OUTPUTS || gives_way {
            return Ok(());
        }
        let message = format!(
            "{MAX_OUTPUTS} detached processes run in the system already; the output of more is not kept"
        );
        let hresult = HResult::from_win32(win32::ERROR_NO_SYSTEM_RESOURCES);
        Err(Failure::new(hresult, message))
    }

    /// The number that the next one will have.
    pub(crate) const fn next_number(&self) -> u64 {
        self.next
    }

    /// Takes one in, for which there is room.
    pub(crate) fn add(&mut self, output: Output) {
        if self.all.len() >= MAX_OUTPUTS {
            let complete = self.all.iter().find(|(_, output)| output.is_complete());
            if let Some(oldest) = complete.map(|(number, _)| *number) {
                self.all.remove(&oldest);
                self.runnable.remove(&oldest);
            }
        }
        self.runnable.insert(self.next);
        self.all.insert(self.next, output);
        self.next += 1;
    }

    /// The process `pid` has exited.
    pub(crate) fn process_ended(&mut self, pid: u32, code: u32) {
        let mut youngest_first = self.all.iter_mut().rev();
        let mine = youngest_first.find(|(_, output)| output.pid == pid && output.exit.is_none());
        if let Some((number, output)) = mine {
            output.exit = Some(code);
            output.inputs.clear();
            output.stdin = None;
            self.runnable.insert(*number);
        }
    }

    /// Something happened to a descriptor of one.
    pub(crate) fn woken(&mut self, number: u64) {
        self.runnable.insert(number);
    }

    /// Whether something can be moved at once.
    pub(crate) fn is_runnable(&self) -> bool {
        !self.runnable.is_empty()
    }

    /// Looks at all of them: events may have been missed.
    pub(crate) fn wake_all(&mut self) {
        self.runnable.extend(self.all.keys());
    }

    /// Moves what can be moved. Returns descriptors that are not to be watched any more.
    pub(crate) fn pump(&mut self, scratch: &mut [u8]) -> Vec<OwnedFd> {
        let mut closed = Vec::new();
        for number in std::mem::take(&mut self.runnable) {
            if let Some(output) = self.all.get_mut(&number)
                && output.pump(scratch, &mut closed) == Flow::Spent
            {
                self.runnable.insert(number);
            }
        }
        closed
    }

    /// Has the pipe of `ends`, which are non-blocking, get what `query` asks for, and attaches the other one, if there
    /// is one, to the standard input; answers the pid of the process. `watch` makes the event loop watch an end under a
    /// number.
    ///
    /// # Errors
    /// There is no such output, there are too many readers, or `watch` failed.
    pub(crate) fn read(
        &mut self,
        query: &OutputQuery,
        ends: Ends,
        scratch: &mut [u8],
        watch: impl Fn(u64, BorrowedFd<'_>) -> Result<(), Failure>,
    ) -> Result<u32, Failure> {
        self.check_readers()?;
        let wanted = |output: &Output| query.process_id == 0 || output.pid == query.process_id;
        let mut outputs = self.all.iter_mut().filter(|(_, output)| wanted(output));
        let found = match query.process_id {
            0 => outputs.next(),
            // Of those with the same pid the last one.
            _ => outputs.next_back(),
        };
        let Some((number, output)) = found else {
            return Err(unknown(query.process_id));
        };
        // What was written before is before the end that the reader may be given.
        for _ in 0..MOST_TURNS {
            if output.draw(scratch) != Flow::Spent {
                break;
            }
        }
        watch(*number, ends.output.as_fd())?;
        let mut reader = Reader::new(ends.output, query, &output.log);
        if query.attach {
            let about = About {
                terminal: output.terminal,
                stdin: output.stdin.is_some(),
            };
            reader.push(Kind::About, now(), &[about.to_byte()]);
        }
        if let Some(input) = ends.input.filter(|_| output.stdin.is_some()) {
            watch(*number, input.as_fd())?;
            output.inputs.push(Input::new(input));
        }
        output.readers.push(reader);
        self.runnable.insert(*number);
        Ok(output.pid)
    }

    /// Fails unless one more can read.
    fn check_readers(&self) -> Result<(), Failure> {
        let clients = |output: &Output| output.readers.len().max(output.inputs.len());
        if self.all.values().map(clients).sum::<usize>() < MAX_READERS {
            return Ok(());
        }
        let message = format!("{MAX_READERS} readers of kept output are served already");
        let hresult = HResult::from_win32(win32::ERROR_NO_SYSTEM_RESOURCES);
        Err(Failure::new(hresult, message))
    }
}

/// The agent's ends of the pipes of a reader, non-blocking.
#[derive(Debug)]
pub(crate) struct Ends {
    /// What it sends to the process, where it is attached.
    pub(crate) input: Option<OwnedFd>,
    /// What it gets.
    pub(crate) output: OwnedFd,
}

fn unknown(pid: u32) -> Failure {
    let message = match pid {
        0 => "no process of the system was detached, so no output is kept".to_owned(),
        pid => {
            format!("no output of a process {pid} is kept: none was detached, or it ended long ago")
        }
    };
    Failure::new(HResult::NOT_FOUND, message)
}

/// Microseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_micros()).unwrap_or(u64::MAX)
}

/// The same under a number of 3 or more, as a process is started with.
fn above_standard(descriptor: &OwnedFd) -> Result<OwnedFd, Errno> {
    rustix::io::fcntl_dupfd_cloexec(descriptor, 3)
}
