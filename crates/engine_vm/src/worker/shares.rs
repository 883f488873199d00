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
    sync::{Arc, Mutex, MutexGuard, PoisonError},
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

    /// Adds a share.
    pub(super) fn add(&self, share: Share) -> WorkerAnswer {
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

fn unasked(errno: Errno) -> WorkerAnswer {
    WorkerAnswer::Failed(format!(
        "the process that serves the shares of the machine cannot be asked: {errno}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

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
