//! The process that serves the shares of a machine, with the rights of the user who asked for it.
//!
//! The worker starts it, from the same program, for a machine whose document has `Plan9`. It becomes that user, without
//! any capability, before it is told of a share: so the kernel decides by that user's rights what the guest may do, and
//! what a guest gains that takes it over is what that user has. It opens the directories itself, and reaches nothing of
//! QEMU.
//!
//! | socket | messages |
//! |---|---|
//! | standard input | [`Owner`] with the other socket, a [`WorkerAnswer`] back; then [`Order`]s and [`WorkerAnswer`]s
//! by number |
//! | the other one | the port that a guest has dialled, with its stream |
//!
//! It ends with the worker, whose ends of the sockets are closed then.

use std::{
    collections::BTreeMap,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::{ffi::OsStrExt as _, net::UnixStream},
    },
    path::Path,
    process::exit,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use engine_container::shared::open_seen;
use hcs_schema::Failure;
use hcs_wire::places;
use rustix::{
    fs::{Access, AtFlags, Mode, accessat},
    io::Errno,
    process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit, umask},
    thread::{CapabilitySet, CapabilitySets, set_capabilities},
};
use serde::{Deserialize, Serialize};

use super::{FAILED, FIRST_UNUSED, covered::ServicePlaces, jail, stdin_is_service};
use crate::{
    protocol::{self, WorkerAnswer},
    shares::{MOST, MOST_CONNECTIONS, Owner, Share, too_many, twin},
    sys::descriptors,
};

/// What the process calls itself in `argv[0]`.
pub(super) const NAME: &str = "hcsd-9p";

/// How long the worker may take to say whose rights it has.
const OWNER_LIMIT: Duration = Duration::from_secs(30);
/// Messages are waited for as long as there is a worker.
const NO_LIMIT: Duration = Duration::from_secs(1 << 30);
/// Open files of the process, whatever its connections may hold together: one more is an error for the guest.
const OPEN_FILES: u64 = 1 << 16;

/// A change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Order {
    Add(Share),
    Remove(String),
}

/// What is shared. Clones are the same.
#[derive(Clone, Debug)]
struct SharedDirectories {
    all: Arc<Mutex<All>>,
    /// What is in none of them.
    covered: Arc<ServicePlaces>,
}

/// Shares by their names.
type All = BTreeMap<String, (Share, Arc<plan9::Share>)>;

/// What a guest finds at one port.
#[derive(Debug)]
struct AtPort {
    shared: SharedDirectories,
    port: u32,
}

impl plan9::Shares for AtPort {
    fn find(&self, name: &[u8]) -> Option<Arc<plan9::Share>> {
        let all = self.shared.all();
        let found = all
            .values()
            .find(|(share, _)| share.port == self.port && share.access_name.as_bytes() == name);
        found.map(|(_, share)| Arc::clone(share))
    }
}

/// Runs the process and never returns, when the calling one was started as such; returns at once otherwise.
pub(super) fn main_if_share_server() {
    let named = std::env::args_os()
        .next()
        .is_some_and(|name| name.as_bytes() == NAME.as_bytes());
    if !named || !stdin_is_service() {
        return;
    }
    let orders = descriptors::take_stdin();
    exit(match run(&orders) {
        // The worker is gone.
        Ok(()) | Err(Errno::CONNRESET) => 0,
        Err(_) => FAILED,
    });
}

fn run(orders: &OwnedFd) -> Result<(), Errno> {
    descriptors::close_from(FIRST_UNUSED)?;
    rustix::thread::set_name(c"hcsd-9p")?;
    let (owner, dialled) = protocol::receive::<Owner>(orders.as_fd(), OWNER_LIMIT)?;
    let dialled = dialled.ok_or(Errno::BADMSG)?;
    become_owner(owner)?;
    let shared = SharedDirectories::new(Path::new(places::OF_ROOT));
    let guests = shared.clone();
    let thread = thread::Builder::new().name("dialled".to_owned());
    let accepting = thread.spawn(move || guests.accept_from(&dialled));
    accepting.map_err(|_| Errno::AGAIN)?;
    protocol::send(orders.as_fd(), &WorkerAnswer::Done, None)?;
    loop {
        let ((number, order), _) = protocol::receive::<(u64, Order)>(orders.as_fd(), NO_LIMIT)?;
        let answer = shared.obey(order).unwrap_or_else(|failure| {
            let causes = failure.causes.iter().map(|cause| cause.message.as_str());
            let text: Vec<&str> = std::iter::once(&*failure.message).chain(causes).collect();
            WorkerAnswer::Refused(failure.hresult.0, text.join(": "))
        });
        protocol::send(orders.as_fd(), &(number, answer), None)?;
    }
}

/// Gives all up but what the user may do. What the user's files are created with is what the guest says.
fn become_owner(owner: Owner) -> Result<(), Errno> {
    let files = Some(OPEN_FILES);
    let limit = Rlimit {
        current: files,
        maximum: files,
    };
    // The guest meets a limit that is too low: it can hold fewer files.
    let _lower = setrlimit(Resource::Nofile, limit);
    umask(Mode::empty());
    let became = jail::become_user(owner.user, owner.group, &[]);
    became.map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::PERM))?;
    // Root, who keeps them, has only what belongs to root.
    let none = CapabilitySet::empty();
    let none = CapabilitySets {
        effective: none,
        permitted: none,
        inheritable: none,
    };
    set_capabilities(None, none)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
}

fn refused(message: String) -> Failure {
    Failure::new(hcs_schema::HResult::E_INVALIDARG, message)
}

/// Opens the directory of a share.
fn open_share(share: &Share, covered: &Arc<ServicePlaces>) -> Result<plan9::Share, Failure> {
    let root = open_seen(&share.path, share.seen)?;
    // A mere path is had without any right to what it leads to.
    let rights = Access::READ_OK | Access::EXEC_OK;
    accessat(&root, ".", rights, AtFlags::empty()).map_err(|errno| {
        let message = format!(
            "{} cannot be read by the user who asked for the machine",
            share.path
        );
        Failure::new(hcs_wire::errno::hresult(errno), message)
    })?;
    let denied = |why: String| {
        let message = format!("{:?} cannot be shared: {why}", share.path);
        Failure::new(hcs_schema::HResult::E_ACCESSDENIED, message)
    };
    if covered
        .contain(&root)
        .map_err(|error| denied(error.to_string()))?
    {
        let why = "it leads to the host compute service's socket or to files of other systems, which no guest may see; \
                   name another directory";
        return Err(denied(why.to_owned()));
    }
    let opened = plan9::Share::new(root, share.read_only);
    let opened = opened.map_err(|errno| refused(format!("{}: {errno}", share.path)))?;
    let opened = opened.without(Arc::<ServicePlaces>::clone(covered));
    Ok(match &share.only {
        Some(names) => opened.with_only(names.iter().map(|name| name.clone().into_bytes())),
        None => opened,
    })
}

impl SharedDirectories {
    /// None yet. Services tell in `registry` which directories are theirs.
    fn new(registry: &Path) -> Self {
        Self {
            all: Arc::default(),
            covered: Arc::new(ServicePlaces::told_in(registry)),
        }
    }

    fn all(&self) -> MutexGuard<'_, All> {
        // Each change is one insertion or one removal.
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn obey(&self, order: Order) -> Result<WorkerAnswer, Failure> {
        match order {
            Order::Add(share) => self.add(share),
            Order::Remove(name) => Ok(match self.all().remove(&name) {
                Some((_, share)) => {
                    share.withdraw();
                    WorkerAnswer::Done
                }
                None => WorkerAnswer::NotThere,
            }),
        }
    }

    fn add(&self, share: Share) -> Result<WorkerAnswer, Failure> {
        // Guests are served while this takes its time: the directory may lie on a file system that is slow.
        let opened = Arc::new(open_share(&share, &self.covered)?);
        let mut all = self.all();
        if let Some(twin) = twin(&share, all.values().map(|(share, _)| share)) {
            return Err(refused(twin));
        }
        if all.len() == MOST {
            return Err(refused(too_many()));
        }
        all.insert(share.name.clone(), (share, opened));
        Ok(WorkerAnswer::Done)
    }

    /// Serves what guests dial, each on a thread, until the worker is gone.
    fn accept_from(&self, dialled: &OwnedFd) {
        let served = Arc::new(AtomicUsize::new(0));
        while let Ok((port, stream)) = protocol::receive::<u32>(dialled.as_fd(), NO_LIMIT) {
            let Some(stream) = stream.map(UnixStream::from) else {
                continue;
            };
            // One more than there may be ends.
            if served.fetch_add(1, Ordering::AcqRel) >= MOST_CONNECTIONS {
                served.fetch_sub(1, Ordering::AcqRel);
                continue;
            }
            let at_port = AtPort {
                shared: self.clone(),
                port,
            };
            let count = Arc::clone(&served);
            let serve = move || {
                // What the guest did wrong has ended its connection, and is of no interest to the host.
                let _ended = plan9::serve(stream, at_port);
                count.fetch_sub(1, Ordering::AcqRel);
            };
            let thread = thread::Builder::new().name("9p".to_owned());
            if thread.spawn(serve).is_err() {
                served.fetch_sub(1, Ordering::AcqRel);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    use super::*;

    /// `Tversion` of 8192 bytes and `9P2000.L`; the answer has the same size.
    const VERSION: &[u8; 21] = b"\x15\0\0\0\x64\xff\xff\0\x20\0\0\x08\x009P2000.L";

    fn pair() -> (OwnedFd, OwnedFd) {
        let (family, flags) = (AddressFamily::UNIX, SocketFlags::CLOEXEC);
        socketpair(family, SocketType::SEQPACKET, flags, None).unwrap()
    }

    /// The stream of a guest that has dialled, and whether it was served.
    fn dial(dialled: &OwnedFd) -> (UnixStream, bool) {
        let (mut guest, stream) = UnixStream::pair().unwrap();
        protocol::send(dialled.as_fd(), &564_u32, Some(stream.as_fd())).unwrap();
        drop(stream);
        // A stream that is closed at once takes nothing.
        let _closed = guest.write_all(VERSION);
        let served = guest.read_exact(&mut [0; 21]).is_ok();
        (guest, served)
    }

    #[test]
    fn each_share_can_be_mounted_at_one_time_and_not_much_more() {
        let (ours, theirs) = pair();
        let server = thread::spawn(move || {
            SharedDirectories::new(Path::new("/nowhere")).accept_from(&theirs);
        });
        let guests: Vec<_> = (0..MOST_CONNECTIONS).map(|_| dial(&ours)).collect();
        const { assert!(MOST_CONNECTIONS > MOST) };
        assert!(guests.iter().all(|(_, served)| *served));
        assert!(!dial(&ours).1, "one more than there may be");
        drop(ours);
        server.join().unwrap();
    }
}
