//! The worker's end of the shares of its machine: starting the process that serves them (`share_server`), orders to it, and the
//! streams of guests for it.

use std::{
    collections::BTreeMap,
    io,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::{net::UnixStream, process::CommandExt as _},
    },
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rustix::{
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, socketpair},
};

use super::share_server::{NAME, Order};
use crate::{
    protocol::{self, Answer},
    shares::{Owner, Share},
};

/// How long the process may take for an order: a directory may lie on a file system that is slow.
const LIMIT: Duration = Duration::from_secs(8);

/// The shares of a machine. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Shares(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    orders: OwnedFd,
    /// Does not block: the guest's device waits for nothing.
    dialled: OwnedFd,
    /// The ports of shares by their names.
    ports: Mutex<BTreeMap<String, u32>>,
    /// It ends with this process.
    _server: Child,
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
        match protocol::receive::<Answer>(orders.as_fd(), LIMIT)? {
            (Answer::Done, _) => Ok(Self(Arc::new(Inner {
                orders,
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

    fn order(&self, order: &Order) -> Answer {
        let orders = self.0.orders.as_fd();
        let asked = protocol::send(orders, order, None)
            .and_then(|()| protocol::receive::<Answer>(orders, LIMIT));
        match asked {
            Ok((answer, _)) => answer,
            Err(errno) => Answer::Failed(format!(
                "the process that serves the shares of the machine cannot be asked: {errno}"
            )),
        }
    }

    /// Adds a share.
    pub(super) fn add(&self, share: Share) -> Answer {
        let (name, port) = (share.name.clone(), share.port);
        let answer = self.order(&Order::Add(share));
        if answer == Answer::Done {
            self.ports().insert(name, port);
        }
        answer
    }

    /// Takes a share away. Guests that have it mounted get errors from then on.
    pub(super) fn remove(&self, name: &str) -> Answer {
        let answer = self.order(&Order::Remove(name.to_owned()));
        if answer == Answer::Done {
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
