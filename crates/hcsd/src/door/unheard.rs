//! Connections that are turned away without a word, and left descriptors in their sockets.
//!
//! Closing such a socket closes what is in it, which may wait for as long as its sender wants (`SO_LINGER`). A thread
//! that closes would wait with it, and any user can connect and send as many as the user's limits allow. The kernel
//! lets no process linger that exits. So these sockets are handed to a process that does nothing but exit: many at a
//! time, one process after the other.
//!
//! An exit can take without end all the same, where the server of a file system is told of it (FUSE). So each user has
//! processes of its own, two at most. What comes meanwhile waits in a socket, which takes two descriptors for some
//! thousands of connections. None of this is waited for where connections are accepted.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::{ffi::OsStrExt as _, process::CommandExt as _},
    },
    process::{Child, Command, Stdio, exit},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use hcs_wire::{peer::Peer, socket, subordinate::holder};
use rustix::{
    event::{PollFd, PollFlags, poll},
    net::{AddressFamily, SocketFlags, SocketType, socketpair, sockopt},
};
use tracing::warn;

use crate::thread::{
    closing::{Closing, is_bare},
    limits::is_trusted,
};

/// What the process calls itself in `argv[0]`.
const NAME: &str = "hcsd-close";
/// Connections that one process takes, unless more have come while all processes of the user were at work.
const BATCH: usize = 64;
/// Processes of one user at one time.
const MOST_OF_USER: usize = 2;
/// What lies between two of these, at least: one costs a user far less to ask for than the host to make. What comes
/// meanwhile is for the next.
const PAUSE: Duration = Duration::from_millis(20);
/// Processes of all users but root and the service's own.
const MOST_PROCESSES: usize = 256;
/// Sockets full of connections of one user that wait for a process. Each has room for some 2,000 connections.
const MOST_PARKED: usize = 128;
/// Bytes of the stack of the thread that waits for one.
const STACK: usize = 64 << 10;

/// In the process that closes, waits until it alone has what was handed to it, and exits; returns at once in others.
/// Must come before there are threads.
pub(crate) fn main_if_closer() {
    let name = std::env::args_os().next().unwrap_or_default();
    let stdin = rustix::stdio::stdin();
    if name.as_bytes() != NAME.as_bytes()
        || sockopt::socket_domain(stdin) != Ok(AddressFamily::UNIX)
    {
        return;
    }
    // Nothing is received: what is in a socket is closed by the exit, and what a process has taken out is, too, but
    // only after the server of its file system was asked.
    let mut events = [PollFd::new(&stdin, PollFlags::empty())];
    let _hung_up = rustix::io::retry_on_intr(|| poll(&mut events, None));
    exit(0);
}

/// Where such connections are closed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unheard(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    of_users: HashMap<u32, OfUser>,
    /// Of all users but those that are trusted.
    processes: usize,
}

/// What is there of one user, whose subordinate ids are that user.
#[derive(Debug, Default)]
struct OfUser {
    waiting: Vec<OwnedFd>,
    parked: VecDeque<Parcel>,
    processes: usize,
    /// For what cannot be handed to a process.
    aside: Closing,
}

impl OfUser {
    fn has_work(&self) -> bool {
        !self.waiting.is_empty() || !self.parked.is_empty()
    }

    /// Puts those that wait into a socket, where they take no descriptors.
    fn park(&mut self) {
        if let Some(last) = self.parked.back() {
            last.put(&mut self.waiting);
        }
        if !self.waiting.is_empty() && self.parked.len() < MOST_PARKED {
            match Parcel::new() {
                Ok(parcel) => {
                    parcel.put(&mut self.waiting);
                    self.parked.push_back(parcel);
                }
                Err(e) => warn!("connections that are turned away keep their descriptors: {e}"),
            }
        }
        // Too deep in each other, or too many.
        self.aside.close(self.waiting.drain(..));
    }

    /// What the next process is to close.
    fn next(&mut self) -> Option<io::Result<Parcel>> {
        if let Some(parcel) = self.parked.pop_front() {
            return Some(Ok(parcel));
        }
        if self.waiting.is_empty() {
            return None;
        }
        let parcel = Parcel::new();
        if let Ok(parcel) = &parcel {
            parcel.put(&mut self.waiting);
        }
        // The kernel sends no socket that holds others too deep in each other.
        self.aside.close(self.waiting.drain(..));
        Some(parcel)
    }
}

impl State {
    /// Counts a process in for that user, if there may be one more.
    fn begin(&mut self, user: u32) -> bool {
        let is_counted = !is_trusted(user);
        let Some(own) = self.of_users.get_mut(&user) else {
            return false;
        };
        if own.processes >= MOST_OF_USER || is_counted && self.processes >= MOST_PROCESSES {
            return false;
        }
        own.processes += 1;
        self.processes += usize::from(is_counted);
        true
    }

    fn end(&mut self, user: u32) {
        if let Entry::Occupied(mut own) = self.of_users.entry(user) {
            own.get_mut().processes -= 1;
            self.processes -= usize::from(!is_trusted(user));
            if own.get().processes == 0 && !own.get().has_work() {
                own.remove();
            }
        }
    }

    /// A user whose connections wait for a process that could not be had.
    fn forgotten(&self) -> Option<u32> {
        let mut of_users = self.of_users.iter();
        let found = of_users.find(|(_, own)| own.processes == 0 && own.has_work());
        found.map(|(user, _)| *user)
    }
}

impl Unheard {
    /// Closes a connection, at once where it holds no descriptors. Waits for nothing.
    pub(crate) fn close(&self, connection: OwnedFd) {
        if is_bare(&connection) {
            return;
        }
        // Every stream socket of this kind has a peer.
        let user = Peer::of(&connection).map_or(u32::MAX, |peer| holder(peer.user));
        let mut state = self.0.state();
        let own = state.of_users.entry(user).or_default();
        own.waiting.push(connection);
        let is_full = own.waiting.len() >= BATCH;
        if own.processes > 0 && !is_full {
            return;
        }
        if state.begin(user) {
            let shared = Arc::clone(&self.0);
            let named = thread::Builder::new().name("hcsd-unheard".to_owned());
            let started = named
                .stack_size(STACK)
                .spawn(move || shared.close_all(user));
            if started.is_ok() {
                return;
            }
            // Where the system has no thread to give, the next one that is turned away asks again.
            state.end(user);
        }
        if is_full && let Some(own) = state.of_users.get_mut(&user) {
            own.park();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The work of a thread: a process after the other, until nothing of that user waits, nor of one who has none.
    fn close_all(&self, mut user: u32) {
        loop {
            let mut state = self.state();
            let own = state.of_users.get_mut(&user);
            let next = own.and_then(|own| Some((own.next()?, own.aside.clone())));
            let Some((parcel, aside)) = next else {
                state.end(user);
                match state.forgotten() {
                    Some(other) if state.begin(other) => user = other,
                    _ => return,
                }
                continue;
            };
            drop(state);
            match parcel.and_then(|parcel| parcel.hand_over(&aside)) {
                // It may take long, or for ever, where the end of a lock is told to a server of files.
                Ok(mut process) => drop(process.wait()),
                Err(e) => {
                    warn!("connections that are turned away are closed one after the other: {e}");
                }
            }
            // Before a look at what there is: who comes when there is nothing would have a thread begin anew.
            thread::sleep(PAUSE);
        }
    }
}

/// Connections in a socket that no process has read, which are closed with it.
#[derive(Debug)]
struct Parcel {
    own: OwnedFd,
    end: OwnedFd,
}

impl Parcel {
    fn new() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (own, end) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        Ok(Self { own, end })
    }

    /// Takes `connections` out that it has room for and that the kernel sends.
    fn put(&self, connections: &mut Vec<OwnedFd>) {
        let put = |some: &[OwnedFd]| {
            let some: Vec<_> = some.iter().map(AsFd::as_fd).collect();
            socket::send_all(&self.own, b"x", &some).is_ok()
        };
        let mut left = Vec::new();
        while !connections.is_empty() {
            let from = connections.len().saturating_sub(socket::MAX_DESCRIPTORS);
            let some = connections.split_off(from);
            if !put(&some) {
                // One of them may be at fault.
                let one_by_one = some.into_iter();
                left.extend(one_by_one.filter(|one| !put(std::slice::from_ref(one))));
            }
        }
        *connections = left;
    }

    /// Has a process close all by its exit. What cannot be handed over is closed `aside`.
    fn hand_over(self, aside: &Closing) -> io::Result<Child> {
        let Self { own, end } = self;
        let kept = match end.try_clone() {
            Ok(kept) => kept,
            Err(e) => {
                aside.close([end]);
                return Err(e);
            }
        };
        let mut command = Command::new("/proc/self/exe");
        command
            .arg0(NAME)
            .env_clear()
            .current_dir("/")
            .stdin(end)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let started = command.spawn();
        // Not the last of that end, which would be closed here with all that is in it.
        drop(command);
        match &started {
            Ok(_) => drop(kept),
            Err(_) => aside.close([kept]),
        }
        // Tells the process that it has that end alone.
        drop(own);
        started
    }
}
