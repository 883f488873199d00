//! The worker's end of the shares of its machine: starting the process that serves them (`share_server`), orders to it,
//! and the streams of guests for it.

use std::{
    cmp::Ordering,
    collections::BTreeMap,
    io,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::{net::UnixStream, process::CommandExt as _},
    },
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    net::{
        AddressFamily, SocketFlags, SocketType, socketpair,
        sockopt::{Timeout, set_socket_timeout},
    },
};

use super::share_server::{NAME, Order};
use crate::{
    protocol::{self, WorkerAnswer},
    shares::{Owner, Share},
};

/// How long the process may take for an order: a directory may lie on a file system that is slow.
const LIMIT: Duration = Duration::from_secs(8);

/// Changes that have begun or wait for their turn, at most.
const MOST_OPEN: usize = 8;

/// The shares of a machine. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Shares(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    orders: Orders,
    /// Does not block: the guest's device waits for nothing.
    dialled: OwnedFd,
    /// The ports of shares by their names.
    ports: Mutex<BTreeMap<String, u32>>,
    /// Held for a change as a whole.
    changing: Mutex<()>,
    /// How many changes have begun or wait for their turn.
    open: AtomicUsize,
    /// It ends with this process.
    _server: Child,
}

/// The socket for orders.
#[derive(Debug)]
struct Orders {
    socket: OwnedFd,
    /// The number of the last order. Held until its answer is there.
    last: Mutex<u64>,
}

impl Orders {
    fn new(socket: OwnedFd) -> Self {
        let last = Mutex::new(0);
        Self { socket, last }
    }

    /// The answer to an order. Answers to earlier ones, which came too late, are passed over.
    ///
    /// # Errors
    /// The errno of `sendmsg(2)` or `recvmsg(2)`; `ETIMEDOUT` without an answer in time.
    fn ask(&self, order: &Order, limit: Duration) -> Result<WorkerAnswer, Errno> {
        // Orders of two threads do not take the answers of each other.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last += 1;
        let socket = self.socket.as_fd();
        protocol::send(socket, &(*last, order), None)?;
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let (number, answer) = protocol::receive::<(u64, WorkerAnswer)>(socket, left)?.0;
            match number.cmp(&*last) {
                Ordering::Less if left.is_zero() => return Err(Errno::TIMEDOUT),
                Ordering::Less => {}
                Ordering::Equal => return Ok(answer),
                Ordering::Greater => return Err(Errno::BADMSG),
            }
        }
    }

    /// Gives an order whose answer is of no interest: the next one passes it over.
    fn tell(&self, order: &Order) -> Result<(), Errno> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last += 1;
        protocol::send(self.socket.as_fd(), &(*last, order), None)
    }
}

fn pair(flags: SocketFlags) -> Result<(OwnedFd, OwnedFd), Errno> {
    let flags = flags | SocketFlags::CLOEXEC;
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
}

impl Shares {
    /// Starts the process. This one must still have the power to let it become `owner`.
    ///
    /// # Errors
    /// It could not be started, or did not become what it should.
    pub(super) fn start(owner: Owner) -> io::Result<Self> {
        let (orders, theirs) = pair(SocketFlags::empty())?;
        let (dialled, their_dialled) = pair(SocketFlags::empty())?;
        rustix::io::ioctl_fionbio(&dialled, true)?;
        set_socket_timeout(&orders, Timeout::Send, Some(LIMIT))?;
        let server = Command::new("/proc/self/exe")
            .arg0(NAME)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        protocol::send(orders.as_fd(), &owner, Some(their_dialled.as_fd()))?;
        drop(their_dialled);
        match protocol::receive::<WorkerAnswer>(orders.as_fd(), LIMIT)? {
            (WorkerAnswer::Done, _) => Ok(Self(Arc::new(Inner {
                orders: Orders::new(orders),
                dialled,
                ports: Mutex::default(),
                changing: Mutex::default(),
                open: AtomicUsize::new(0),
                _server: server,
            }))),
            _ => Err(Errno::BADMSG.into()),
        }
    }

    fn ports(&self) -> MutexGuard<'_, BTreeMap<String, u32>> {
        // Each change is one insertion or one removal.
        self.0.ports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_name(&self, name: &str) -> bool {
        self.ports().contains_key(name)
    }

    /// Makes a change in a thread of its own, as a directory may lie on a file system that is slow, and hands its
    /// answer on. Changes are made one after the other.
    pub(super) fn aside(
        &self,
        change: impl FnOnce(&Self) -> WorkerAnswer + Send + 'static,
        answer: impl FnOnce(&WorkerAnswer) + Send + 'static,
    ) {
        let Some(open) = Open::new(self) else {
            let why = "too many shares of the virtual machine are being changed: try again later";
            return answer(&WorkerAnswer::Failed(why.to_owned()));
        };
        let run = move || {
            let done = change(&open.0);
            // A client that is answered may ask for the next one.
            drop(open);
            answer(&done);
        };
        // Without a thread there is no answer, and the connection ends.
        let _spawned = thread::Builder::new().name("share".to_owned()).spawn(run);
    }

    fn changing(&self) -> MutexGuard<'_, ()> {
        let changing = self.0.changing.lock();
        changing.unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a share.
    pub(super) fn add(&self, share: Share) -> WorkerAnswer {
        let _changing = self.changing();
        let (name, port) = (share.name.clone(), share.port);
        let asked = self.0.orders.ask(&Order::Add(share), LIMIT);
        if asked == Ok(WorkerAnswer::Done) {
            self.ports().insert(name, port);
        } else if asked == Err(Errno::TIMEDOUT) && !self.has_name(&name) {
            // What has failed is not there later either. A process that hears nothing any more adds nothing.
            let _unheard = self.0.orders.tell(&Order::Remove(name));
        }
        asked.unwrap_or_else(unasked)
    }

    /// Takes a share away. Guests that have it mounted get errors from then on.
    pub(super) fn remove(&self, name: &str) -> WorkerAnswer {
        let _changing = self.changing();
        let order = Order::Remove(name.to_owned());
        let answer = self.0.orders.ask(&order, LIMIT).unwrap_or_else(unasked);
        // One whose removal took too long is not there the next time.
        if matches!(answer, WorkerAnswer::Done | WorkerAnswer::NotThere) {
            self.ports().remove(name);
        }
        answer
    }

    /// Whether a share is at this port.
    pub(super) fn has(&self, port: u32) -> bool {
        self.ports().values().any(|known| *known == port)
    }

    /// The guest dials `port`. Never blocks; a process that is behind with accepting is none.
    pub(super) fn dial(&self, port: u32) -> Option<OwnedFd> {
        let (ours, theirs) = UnixStream::pair().ok()?;
        protocol::send(self.0.dialled.as_fd(), &port, Some(ours.as_fd())).ok()?;
        Some(theirs.into())
    }
}

/// A change that has begun or waits for its turn.
#[derive(Debug)]
struct Open(Shares);

impl Open {
    /// None where there are too many.
    fn new(shares: &Shares) -> Option<Self> {
        let before = shares.0.open.fetch_add(1, Relaxed);
        let open = Self(shares.clone());
        (before < MOST_OPEN).then_some(open)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.0.open.fetch_sub(1, Relaxed);
    }
}

fn unasked(errno: Errno) -> WorkerAnswer {
    WorkerAnswer::Failed(format!(
        "the process that serves the shares of the machine cannot be asked: {errno}"
    ))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn changes_are_made_aside_one_after_the_other_and_not_without_bound() {
        let (ours, server) = pair(SocketFlags::empty()).unwrap();
        let (dialled, _theirs) = pair(SocketFlags::empty()).unwrap();
        let shares = Shares(Arc::new(Inner {
            orders: Orders::new(ours),
            dialled,
            ports: Mutex::default(),
            changing: Mutex::default(),
            open: AtomicUsize::new(0),
            _server: Command::new("true").spawn().unwrap(),
        }));
        let (sender, answers) = channel();
        for _ in 0..=MOST_OPEN {
            let sender = sender.clone();
            let answer = move |answer: &WorkerAnswer| sender.send(answer.clone()).unwrap();
            shares.aside(|shares| shares.remove("a"), answer);
        }
        let refused = answers.recv_timeout(LIMIT).unwrap();
        assert!(matches!(refused, WorkerAnswer::Failed(_)), "{refused:?}");
        for number in (1_u64..).take(MOST_OPEN) {
            let (heard, _) = protocol::receive::<(u64, Order)>(server.as_fd(), LIMIT).unwrap();
            assert_eq!(heard, (number, Order::Remove("a".to_owned())));
            protocol::send(server.as_fd(), &(number, WorkerAnswer::Done), None).unwrap();
            assert_eq!(answers.recv_timeout(LIMIT), Ok(WorkerAnswer::Done));
        }
        assert_eq!(shares.0.open.load(Relaxed), 0);
    }

    #[test]
    fn an_answer_that_comes_too_late_is_none_to_the_next_order() {
        let (ours, server) = pair(SocketFlags::empty()).unwrap();
        let orders = Orders::new(ours);
        let order = |name: &str| Order::Remove(name.to_owned());
        let late = orders.ask(&order("slow"), Duration::from_millis(1));
        assert_eq!(late, Err(Errno::TIMEDOUT));
        orders.tell(&order("untold")).unwrap();
        for expected in [(1, order("slow")), (2, order("untold"))] {
            let (heard, _) = protocol::receive::<(u64, Order)>(server.as_fd(), LIMIT).unwrap();
            assert_eq!(heard, expected);
        }
        for answer in [
            (1_u64, WorkerAnswer::Done),
            (2, WorkerAnswer::Done),
            (3, WorkerAnswer::NotThere),
        ] {
            protocol::send(server.as_fd(), &answer, None).unwrap();
        }
        assert_eq!(
            orders.ask(&order("next"), LIMIT),
            Ok(WorkerAnswer::NotThere)
        );
        // An answer to what was not asked is none.
        protocol::send(server.as_fd(), &(9_u64, WorkerAnswer::Done), None).unwrap();
        assert_eq!(orders.ask(&order("last"), LIMIT), Err(Errno::BADMSG));
        drop(server);
        assert!(orders.ask(&order("gone"), LIMIT).is_err());
    }
}
