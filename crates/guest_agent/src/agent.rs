//! The event loop and what it owns.
//!
//! One thread waits in one `epoll_wait`. A stream that becomes ready is served without blocking: the host's stream
//! ([`crate::stream`]), ended children, consoles ([`crate::console`]), waits whose time is up. Then the loop settles:
//! consoles that have more to move get another turn, some requests are served, answers are sent. So neither a host that
//! does not read nor one that asks for much at once delays the reaping of processes or a terminal.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant, SystemTime},
};

use hcs_schema::{Failure, Stdio, privileges::Privileges};
use hcs_wire::{errno, guest::LeftRecord, output::OutputQuery};
use rustix::{
    event::{
        Timespec,
        epoll::{self, CreateFlags, Event, EventData, EventFlags},
    },
    io::Errno,
};

use crate::{
    calls::Calls,
    console::{Console, Pumped},
    detached::{self, Ends, Output, Outputs},
    exits::Exits,
    facts::GuestFacts,
    kept::{Keeper, Kept},
    link::Link,
    own::Own,
    relays::{self, Relays},
    stream::{Stream, StreamEnd},
    sys::{Spawner, signals},
    waits::Waits,
};

/// The most processes of ours at a time, consoles still being drained included.
pub(crate) const MAX_PROCESSES: usize = 8192;
/// Bytes received from the host, or moved by a console, at once.
const SCRATCH_BYTES: usize = 32 << 10;
/// Size of one `signalfd_siginfo`.
const SIGNAL_NEWS_BYTES: usize = 128;
/// The signal that kills.
const SIGKILL: i32 = 9;
/// Events taken from the kernel at once.
const EVENTS: usize = 32;

/// The longest time to wait at once: more does not fit into what `epoll_wait` takes.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

const LINK: u64 = 0;
const SIGNALS: u64 = 1;
const STREAM: u64 = 2;
/// Consoles are numbered from here.
const FIRST_CONSOLE: u64 = 16;

/// What the agent is to its system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Its first process: all others are its to end, and the system ends with it.
    Init,
    /// A process beside others of a virtual machine that has an init of its own.
    Service,
}

/// A process this agent started and has not reaped.
#[derive(Debug)]
pub(crate) struct Process {
    /// File name of the program.
    pub(crate) image: String,
    /// When it was started.
    pub(crate) started: SystemTime,
    /// Its console's number, if it has one.
    pub(crate) console: Option<u64>,
    /// The pipes that were given for it.
    pub(crate) kept: Kept,
    /// The name of the call that made it, empty for none.
    pub(crate) call: String,
    /// Whether the system ends with it.
    pub(crate) ends_system: bool,
}

/// Everything the agent knows.
#[derive(Debug)]
pub(crate) struct Agent<L> {
    pub(crate) link: L,
    pub(crate) role: Role,
    epoll: OwnedFd,
    child_ended: OwnedFd,
    scratch: Vec<u8>,
    pub(crate) stream: Option<Stream>,
    pub(crate) spawner: Spawner,
    pub(crate) facts: GuestFacts,
    /// What processes get that do not say.
    pub(crate) privileges: Privileges,
    pub(crate) processes: BTreeMap<u32, Process>,
    pub(crate) keeper: Keeper,
    pub(crate) exits: Exits,
    pub(crate) waits: Waits,
    /// What was done for which call.
    pub(crate) calls: Calls,
    pub(crate) consoles: BTreeMap<u64, Console>,
    next_console: u64,
    /// Pipes of processes, and the streams behind them that are none.
    pub(crate) relays: Relays,
    /// The output of detached processes.
    pub(crate) outputs: Outputs,
    /// Consoles that can move something without waiting for an event.
    runnable: BTreeSet<u64>,
    /// Set by a shutdown request: nothing is started any more.
    pub(crate) shutting_down: bool,
    /// Whether the present stream asked for the shutdown, so that the agent may leave once everything has ended.
    pub(crate) may_leave: bool,
    /// A process has ended that the system ends with: the agent leaves once the host knows of all exits.
    pub(crate) ends: bool,
    /// What was written down last for a host that comes after the end.
    pub(crate) left: Option<LeftRecord>,
    /// Whether the last look found no child at all, ours or adopted.
    childless: bool,
    pub(crate) began: Instant,
    /// How often the loop went round: an agent with nothing to do stands still.
    pub(crate) turns: u64,
}

impl<L: Link> Agent<L> {
    /// Prepares the process: signals, epoll, a stack for children.
    pub(crate) fn new(
        link: L,
        own: Own,
        privileges: Privileges,
        role: Role,
    ) -> Result<Self, Errno> {
        let child_ended = signals::prepare()?;
        let facts = GuestFacts::gather(own)?;
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let watch = |descriptor, number| {
            epoll::add(
                &epoll,
                descriptor,
                EventData::new_u64(number),
                EventFlags::IN,
            )
        };
        watch(link.descriptor(), LINK)?;
        watch(child_ended.as_fd(), SIGNALS)?;
        Ok(Self {
            link,
            role,
            epoll,
            child_ended,
            scratch: vec![0; SCRATCH_BYTES],
            stream: None,
            spawner: Spawner::new()?,
            facts,
            privileges,
            processes: BTreeMap::new(),
            keeper: Keeper::new(),
            exits: Exits::default(),
            waits: Waits::default(),
            calls: Calls::default(),
            consoles: BTreeMap::new(),
            next_console: FIRST_CONSOLE,
            relays: Relays::new(),
            outputs: Outputs::new(),
            runnable: BTreeSet::new(),
            shutting_down: false,
            may_leave: false,
            ends: false,
            left: None,
            childless: true,
            began: Instant::now(),
            turns: 0,
        })
    }

    /// Serves until a shutdown is complete.
    ///
    /// # Errors
    /// The errno of `epoll_wait(2)`, when nothing can be waited for any more.
    pub(crate) fn run(&mut self) -> Result<(), Errno> {
        let mut events: Vec<Event> = Vec::with_capacity(EVENTS);
        while !self.is_finished() {
            let timeout = self.timeout();
            events.clear();
            let buffer = rustix::buffer::spare_capacity(&mut events);
            match epoll::wait(&self.epoll, buffer, timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
            let turn = AssertUnwindSafe(|| self.turn(&events));
            if catch_unwind(turn).is_err() {
                // Each request and each console has a guard of its own; what is left is the stream. Events that were
                // not looked at may have been news of any console.
                self.stream_ended(None);
                self.runnable.extend(self.consoles.keys());
                self.outputs.wake_all();
                self.relays.wake_all();
            }
        }
        Ok(())
    }

    fn turn(&mut self, events: &[Event]) {
        self.turns += 1;
        for event in events {
            match event.data.u64() {
                LINK => self.accept(),
                SIGNALS => self.children_ended(),
                STREAM => self.receive(event.flags),
                relay @ relays::FIRST.. => self.relays.woken(relay),
                output @ detached::FIRST.. => self.outputs.woken(output),
                console => {
                    self.runnable.insert(console);
                }
            }
        }
        self.answer_expired_waits();
        self.pump_consoles();
        self.serve_requests();
        self.pump_relays();
        self.pump_outputs();
        self.flush();
    }

    /// Everything has ended, the host knows it or finds it written down, and it asked for that, now or along with a
    /// process.
    fn is_finished(&mut self) -> bool {
        let relayed = self.consoles.is_empty() && self.relays.len() == 0;
        let all_moved = relayed && !self.outputs.is_runnable();
        let asked = self.may_leave || self.ends;
        if !(asked && self.childless && all_moved) {
            return false;
        }
        let delivered = self.stream.as_ref().map(|stream| stream.unsent() == 0);
        if !self.ends {
            if delivered != Some(true) {
                return false;
            }
            let _as_far_as_possible = self.leave_record();
            return true;
        }
        // What is written down needs no host that listens.
        let written = self.leave_record();
        let (unclaimed, _) = self.exits.counts();
        match delivered {
            Some(delivered) => delivered && (written || self.may_leave || unclaimed == 0),
            None => written,
        }
    }

    /// Ends the system, as a process has ended that it ends with. That is written down before the host can hear of it.
    pub(crate) fn end(&mut self) {
        self.shutting_down = true;
        if !std::mem::replace(&mut self.ends, true) {
            self.leave_record();
        }
        if let Err(errno) = signals::send_to_all(SIGKILL) {
            log(&format!(
                "the processes that are left cannot be killed: {errno}"
            ));
        }
    }

    fn timeout(&self) -> Option<Timespec> {
        let held_back = self.stream.as_ref().is_some_and(Stream::has_request);
        let to_move = self.outputs.is_runnable() || self.relays.is_runnable();
        if !self.runnable.is_empty() || to_move || held_back {
            return Some(Timespec::default());
        }
        let deadline = self.waits.next_deadline()?;
        let rest = deadline.saturating_duration_since(Instant::now());
        Timespec::try_from(rest.min(LONGEST_WAIT)).ok()
    }

    fn accept(&mut self) {
        let mut socket = self.link.next_stream();
        if matches!(socket, Err(Errno::MFILE | Errno::NFILE)) && self.stream.is_some() {
            // The one it takes the place of makes room for it.
            self.stream_ended(None);
            socket = self.link.next_stream();
        }
        let socket = match socket {
            Ok(Some(socket)) => socket,
            Ok(None) => return,
            Err(errno) => return log(&format!("no stream from the host: {errno}")),
        };
        self.stream_ended(None);
        let mut stream = Stream::new(socket);
        stream.watched = stream.wants();
        match epoll::add(
            &self.epoll,
            &stream,
            EventData::new_u64(STREAM),
            stream.watched,
        ) {
            Ok(()) => {
                self.stream = Some(stream);
                self.calls.stream_begins();
            }
            Err(errno) => {
                log(&format!("a stream cannot be watched: {errno}"));
                self.link.stream_lost();
            }
        }
    }

    /// Drops the stream, if there is one, and what was to be answered on it.
    pub(crate) fn stream_ended(&mut self, end: Option<&StreamEnd>) {
        if self.stream.take().is_none() {
            return;
        }
        match end {
            None | Some(StreamEnd::Closed) => {}
            Some(end) => log(&format!("stream closed: {}", chain(end))),
        }
        self.waits.clear();
        self.may_leave = false;
        self.link.stream_lost();
    }

    fn receive(&mut self, flags: EventFlags) {
        let Some(stream) = &mut self.stream else {
            return;
        };
        if stream.has_request() {
            // What came before is served first; the event comes again.
            return;
        }
        if stream.takes_requests() {
            if let Err(end) = stream.receive(&mut self.scratch) {
                self.stream_ended(Some(&end));
            }
        } else if flags.intersects(EventFlags::ERR | EventFlags::HUP) {
            self.stream_ended(Some(&StreamEnd::Closed));
        }
    }

    fn flush(&mut self) {
        let Some(stream) = &mut self.stream else {
            return;
        };
        if let Err(end) = stream.flush() {
            return self.stream_ended(Some(&end));
        }
        let wants = stream.wants();
        if wants == stream.watched {
            return;
        }
        stream.watched = wants;
        if let Err(errno) = epoll::modify(&self.epoll, &*stream, EventData::new_u64(STREAM), wants)
        {
            self.stream_ended(Some(&StreamEnd::Broken(errno)));
        }
    }

    /// Makes a console known to the loop; returns its number.
    pub(crate) fn add_console(&mut self, console: Console) -> Result<u64, Errno> {
        let number = self.next_console;
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::ET;
        for descriptor in console.descriptors() {
            match epoll::add(&self.epoll, descriptor, EventData::new_u64(number), flags) {
                // A file that is always ready cannot be watched and need not be.
                Ok(()) | Err(Errno::PERM) => {}
                Err(errno) => return Err(errno),
            }
        }
        self.next_console += 1;
        self.consoles.insert(number, console);
        self.runnable.insert(number);
        Ok(number)
    }

    /// The process of console `number` has ended.
    pub(crate) fn console_process_ended(&mut self, number: u64) {
        if let Some(console) = self.consoles.get_mut(&number) {
            console.process_ended();
            self.runnable.insert(number);
        }
    }

    fn pump_consoles(&mut self) {
        for number in std::mem::take(&mut self.runnable) {
            let Some(console) = self.consoles.get_mut(&number) else {
                continue;
            };
            let scratch = &mut self.scratch;
            match catch_unwind(AssertUnwindSafe(|| console.pump(scratch))) {
                Ok(Pumped::Waiting) => {}
                Ok(Pumped::More) => {
                    self.runnable.insert(number);
                }
                Ok(Pumped::Finished) | Err(_) => {
                    self.consoles.remove(&number);
                }
            }
        }
    }

    /// Has the event loop watch the pipes of a process whose output is to be kept.
    pub(crate) fn watch_output(&self, output: &Output) -> Result<(), Errno> {
        let number = EventData::new_u64(self.outputs.next_number());
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::ET;
        let mut ends = output.ends();
        ends.try_for_each(|end| epoll::add(&self.epoll, end, number, flags))
    }

    /// Has `ends` get what `query` asks for of kept output; answers the pid of its process.
    pub(crate) fn read_kept(&mut self, query: &OutputQuery, ends: Ends) -> Result<u32, Failure> {
        let epoll = &self.epoll;
        let watch = |number, pipe: BorrowedFd<'_>| {
            let flags = EventFlags::IN | EventFlags::OUT | EventFlags::ET;
            epoll::add(epoll, pipe, EventData::new_u64(number), flags)
                .map_err(|errno| errno::failed("the pipe for kept output cannot be watched", errno))
        };
        self.outputs.read(query, ends, &mut self.scratch, watch)
    }

    /// Puts pipes before streams of the host; answers the ends for a process.
    pub(crate) fn relay(
        &mut self,
        streams: Stdio<Option<OwnedFd>>,
    ) -> Result<Stdio<Option<OwnedFd>>, Errno> {
        let epoll = &self.epoll;
        let watch = |number, end: BorrowedFd<'_>| {
            let flags = EventFlags::IN | EventFlags::OUT | EventFlags::ET;
            epoll::add(epoll, end, EventData::new_u64(number), flags)
        };
        self.relays.connect(streams, watch)
    }

    fn pump_relays(&mut self) {
        let (relays, scratch) = (&mut self.relays, &mut self.scratch);
        if catch_unwind(AssertUnwindSafe(|| relays.pump(scratch))).is_err() {
            relays.wake_all();
        }
    }

    /// After the end: lets the host read the last answers.
    pub(crate) fn close_after_shutdown(&mut self) {
        if let Some(stream) = &self.stream {
            self.link.close_after_shutdown(stream.as_fd());
        }
    }

    fn pump_outputs(&mut self) {
        let outputs = &mut self.outputs;
        let scratch = &mut self.scratch;
        let closed = catch_unwind(AssertUnwindSafe(|| outputs.pump(scratch)));
        for pipe in closed.unwrap_or_default() {
            // Its client may still hold the same end, which would be watched on.
            let _was_watched = epoll::delete(&self.epoll, &pipe);
        }
    }

    fn children_ended(&mut self) {
        // What it says does not matter, `waitpid` tells; it only must not stay readable. SIGCHLD is pending at most
        // once, and one that comes after this read makes it readable again.
        let mut news = [0; SIGNAL_NEWS_BYTES];
        if let Err(errno) = rustix::io::read(&self.child_ended, &mut news)
            && errno != Errno::AGAIN
        {
            log(&format!("news of children cannot be read: {errno}"));
        }
        self.reap();
    }

    /// Whether no child at all was left when last looked.
    pub(crate) fn set_childless(&mut self, childless: bool) {
        self.childless = childless;
    }
}

/// Says something on the agent's stderr, which no program reads as a rule.
pub(crate) fn log(sentence: &str) {
    // A log that cannot be written has no other place to be told.
    drop(writeln!(std::io::stderr(), "hcs-agent: {sentence}"));
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text = format!("{text}: {error}");
        next = error.source();
    }
    text
}
