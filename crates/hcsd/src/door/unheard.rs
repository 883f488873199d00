//! Connections that are turned away without a word, and left descriptors in their sockets.
//!
//! Closing such a socket closes what is in it, which may wait for as long as its sender wants (`SO_LINGER`). A thread
//! that closes would wait with it, and any user can connect and send as many as the user's limits allow. The kernel
//! lets no process linger that exits. So these sockets are handed to a process that does nothing but exit: many at a
//! time, one process after the other, and a few beside each other where the end of one takes long.

use std::{
    io,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::{ffi::OsStrExt as _, process::CommandExt as _},
    },
    process::{Child, Command, Stdio, exit},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use hcs_wire::socket;
use rustix::{
    event::{PollFd, PollFlags, poll},
    net::{AddressFamily, SocketFlags, SocketType, socketpair, sockopt},
};
use tokio::sync::Notify;
use tracing::warn;

use crate::thread::closing::{Closing, is_bare};

/// What the process calls itself in `argv[0]`.
const NAME: &str = "hcsd-close";
/// Connections that wait to be closed before no more are accepted.
const MOST_WAITING: usize = 1024;
/// Connections that one process takes: the room of a socket is for more.
const BATCH: usize = 64;
/// Processes at one time.
const MOST_PROCESSES: usize = 16;
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
struct Shared {
    state: Mutex<State>,
    /// Told when fewer wait.
    fewer: Notify,
    /// For what cannot be handed to a process.
    aside: Closing,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<OwnedFd>,
    processes: usize,
}

impl Unheard {
    /// Closes a connection, at once where it holds no descriptors.
    pub(crate) fn close(&self, connection: OwnedFd) {
        if is_bare(&connection) {
            return;
        }
        let mut state = self.0.state();
        state.waiting.push(connection);
        let is_wanted = state.processes == 0 || state.waiting.len() >= BATCH;
        if !is_wanted || state.processes >= MOST_PROCESSES {
            return;
        }
        let shared = Arc::clone(&self.0);
        let named = thread::Builder::new().name("hcsd-unheard".to_owned());
        // Where the system has no thread to give, the next one that is turned away asks again.
        if named
            .stack_size(STACK)
            .spawn(move || shared.close_all())
            .is_ok()
        {
            state.processes += 1;
        }
    }

    /// Returns when so few wait that more may come.
    pub(crate) async fn room(&self) {
        loop {
            let fewer = self.0.fewer.notified();
            if self.0.state().waiting.len() < MOST_WAITING {
                break;
            }
            fewer.await;
        }
        self.0.aside.fewer_than(MOST_WAITING).await;
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The work of a thread: a process after the other, until nothing waits.
    fn close_all(&self) {
        loop {
            let batch = {
                let mut state = self.state();
                let from = state.waiting.len().saturating_sub(BATCH);
                let batch = state.waiting.split_off(from);
                if batch.is_empty() {
                    state.processes -= 1;
                }
                batch
            };
            self.fewer.notify_waiters();
            if batch.is_empty() {
                return;
            }
            match self.hand_over(batch) {
                // It may take long where the end of a lock is told to a server of files.
                Ok(mut process) => drop(process.wait()),
                Err(e) => {
                    warn!("connections that are turned away are closed one after the other: {e}");
                }
            }
        }
    }

    /// Has a process close `batch` by its exit.
    fn hand_over(&self, batch: Vec<OwnedFd>) -> io::Result<Child> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let pair = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None);
        let copied = pair.map_err(Into::into).and_then(|(own, end)| {
            let kept = end.try_clone()?;
            Ok((own, end, kept))
        });
        let (own, end, kept) = match copied {
            Ok(copied) => copied,
            Err(e) => {
                self.aside.close(batch);
                return Err(e);
            }
        };
        for connection in batch {
            // The kernel sends no socket that holds others too deep in each other.
            if socket::send_all(&own, b"x", &[connection.as_fd()]).is_err() {
                self.aside.close([connection]);
            }
        }
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
            Err(_) => self.aside.close([kept]),
        }
        // Tells the process that it has that end alone.
        drop(own);
        started
    }
}
