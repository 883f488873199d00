//! The lobby: connections that are accepted and wait to be welcomed, a user after the other.
//!
//! The kernel hands connections over in the order in which they came, of whichever user they are: one who connects
//! without end would have each new client wait for the whole queue. So a thread of its own takes them as fast as they
//! come. What it does with one is little: a connection that has nothing to say and is closed already is dropped, any
//! other one waits here with those of its user. The thread of the service takes one of each user in turn.
//!
//! A user who has too many here is turned away without a word. Users who may not use the service are as one user.

use std::{
    cell::Cell,
    collections::BTreeSet,
    io,
    os::fd::{AsFd as _, OwnedFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use hcs_wire::peer::{Peer, Whereabouts};
use rustix::{
    net::{RecvFlags, recv},
    process::{Resource, geteuid, getrlimit},
};
use tokio::sync::Notify;
use tracing::warn;

use super::{
    listener::{Accepting, Listener},
    peers::Entitled,
    unheard::Unheard,
};
use crate::thread::{
    limits::is_trusted,
    rounds::{Waiting, Who},
};

/// Connections that root, or the service's own user, may have here.
const MOST_OF_TRUSTED: usize = 4096;
/// The same of any other user.
const MOST_OF_USER: usize = 256;
/// Connections of a trusted user that are taken without a look at where their process lives.
const UNLOOKED: usize = 64;
/// Of the descriptors that the service may have: what those of one user may take here, and those of all others than the
/// trusted ones.
const SHARE_OF_DESCRIPTORS: u64 = 32;
const SHARE_OF_ALL: u64 = 4;
/// How long accepting rests when there are no descriptors left.
const BREATH: Duration = Duration::from_millis(100);

/// Those who wait, and the thread that lets them in.
#[derive(Debug)]
pub(crate) struct Lobby {
    shared: Arc<Shared>,
    thread: JoinHandle<Vec<OwnedFd>>,
}

#[derive(Debug)]
struct Shared {
    waiting: Mutex<Waiting<OwnedFd>>,
    entitled: Entitled,
    most_of_user: usize,
    most_of_all: usize,
    /// Told when one has come.
    arrived: Notify,
    /// Told when no more are to come.
    leaving: Notify,
    /// For those that are turned away without a word and left descriptors in their sockets.
    unheard: Unheard,
}

impl Lobby {
    /// Has a thread let in those who connect to `listener`. Those that are turned away are closed by `unheard`.
    ///
    /// # Errors
    /// There is no thread to be had, or the socket cannot be watched.
    pub(crate) fn open(
        listener: Listener,
        entitled: Entitled,
        unheard: &Unheard,
    ) -> io::Result<Self> {
        let descriptors = getrlimit(Resource::Nofile).current;
        let shared = Arc::new(Shared {
            waiting: Mutex::default(),
            entitled,
            most_of_user: most_of_user(descriptors),
            most_of_all: descriptors.map_or(usize::MAX, |all| {
                usize::try_from(all / SHARE_OF_ALL).unwrap_or(usize::MAX)
            }),
            arrived: Notify::new(),
            leaving: Notify::new(),
            unheard: unheard.clone(),
        });
        let (told, tells) = mpsc::channel();
        let own = Arc::clone(&shared);
        let named = thread::Builder::new().name("hcsd-accept".to_owned());
        let thread = named.spawn(move || own.let_in(listener, &told))?;
        match tells.recv() {
            Ok(listens) => listens?,
            Err(_) => return Err(io::Error::other("the thread that accepts has ended")),
        }
        Ok(Self { shared, thread })
    }

    /// The next one, when there is one. Dropped, it has taken none.
    pub(crate) async fn next(&self) -> OwnedFd {
        loop {
            if let Some(next) = self.waiting() {
                return next;
            }
            self.shared.arrived.notified().await;
        }
    }

    /// The next one that is here already.
    pub(crate) fn waiting(&self) -> Option<OwnedFd> {
        self.shared.waiting_ones().pop()
    }

    /// Takes the path of the socket away and lets none in any more. What is left is to be closed: the socket, and those
    /// who have not been welcomed.
    pub(crate) fn close(self) -> Vec<OwnedFd> {
        self.shared.leaving.notify_one();
        // Where the thread has broken off, it has closed the socket.
        let mut left = self.thread.join().unwrap_or_default();
        left.extend(std::iter::from_fn(|| self.shared.waiting_ones().pop()));
        left
    }
}

/// How many a user may have here, of a service that may have that many descriptors.
fn most_of_user(descriptors: Option<u64>) -> usize {
    let share = descriptors.map_or(u64::MAX, |all| all / SHARE_OF_DESCRIPTORS);
    usize::try_from(share).map_or(MOST_OF_USER, |share| share.clamp(1, MOST_OF_USER))
}

impl Shared {
    fn waiting_ones(&self) -> MutexGuard<'_, Waiting<OwnedFd>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The work of the thread. Tells whether it can begin; returns what is to be closed.
    fn let_in(&self, listener: Listener, told: &mpsc::Sender<io::Result<()>>) -> Vec<OwnedFd> {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = match runtime.enable_all().build() {
            Ok(runtime) => runtime,
            Err(e) => {
                // The service waits for this.
                let _heard = told.send(Err(e));
                return Vec::new();
            }
        };
        runtime.block_on(async {
            let listens = listener.listen();
            let (accepting, said) = match listens {
                Ok(accepting) => (Some(accepting), Ok(())),
                Err(e) => (None, Err(e)),
            };
            let _heard = told.send(said);
            match accepting {
                Some(accepting) => self.accept_until_it_leaves(accepting).await,
                None => Vec::new(),
            }
        })
    }

    async fn accept_until_it_leaves(&self, accepting: Accepting) -> Vec<OwnedFd> {
        // A failure is told once, until it is over.
        let is_told = Cell::new(false);
        loop {
            let accept = async {
                match accepting.accept().await {
                    Ok(socket) => {
                        is_told.set(false);
                        self.take_in(socket);
                    }
                    Err(e) => {
                        if !is_told.replace(true) {
                            warn!("no client can be accepted for now: {e}");
                        }
                        tokio::time::sleep(BREATH).await;
                    }
                }
            };
            tokio::select! {
                biased;
                () = self.leaving.notified() => return accepting.retire().collect(),
                () = accept => {}
            }
        }
    }

    /// Whether it is to have the line of that user, which the service trusts. Where it lives is looked at once the line
    /// has some length.
    fn is_outside(&self, user: u32, socket: &OwnedFd) -> bool {
        self.waiting_ones().count_of(Who::of_user(user)) < UNLOOKED
            || Whereabouts::of(socket.as_fd()) == Whereabouts::Here
    }

    fn take_in(&self, socket: OwnedFd) {
        if has_left(&socket) {
            // A byte out of band, which is not seen there, may hold descriptors.
            return self.unheard.close(socket);
        }
        // Every stream socket of this kind has a peer.
        let Ok(peer) = Peer::of(&socket) else { return };
        let (who, most) = match peer.user {
            user if self.entitled.excludes(user) => (Who::SERVICE, self.most_of_user),
            user if is_trusted(user) && self.is_outside(user, &socket) => {
                (Who::of_user(user), MOST_OF_TRUSTED)
            }
            // In a container of another engine, which has the socket: not the user of that number of the host.
            user if is_trusted(user) => (Who::SERVICE, self.most_of_user),
            user => (Who::of_user(user), self.most_of_user),
        };
        let mut waiting = self.waiting_ones();
        let trusted = BTreeSet::from([0, geteuid().as_raw()]);
        let trusted = trusted
            .into_iter()
            .map(|user| waiting.count_of(Who::of_user(user)));
        let others = waiting.len() - trusted.sum::<usize>();
        let is_full = most != MOST_OF_TRUSTED && others >= self.most_of_all;
        if is_full || waiting.count_of(who) >= most {
            drop(waiting);
            return self.unheard.close(socket);
        }
        waiting.push(who, socket);
        drop(waiting);
        self.arrived.notify_one();
    }
}

/// Whether a peer has closed its end and has sent nothing: there is nothing to read, and nothing can come.
fn has_left(socket: &OwnedFd) -> bool {
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    matches!(recv(socket, &mut [0_u8; 1], flags), Ok((_, 0)))
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write as _,
        os::unix::net::UnixStream,
        path::{Path, PathBuf},
        time::Instant,
    };

    use rustix::{process::Uid, thread::set_thread_uid};

    use super::*;
    use crate::door::listener::Access;

    /// Longer than anything here takes.
    const LIMIT: Duration = Duration::from_secs(60);

    fn connect(path: &Path, user: u32) -> UnixStream {
        thread::scope(|scope| {
            let connecting = scope.spawn(|| {
                set_thread_uid(Uid::from_raw(user)).unwrap();
                UnixStream::connect(path).unwrap()
            });
            connecting.join().unwrap()
        })
    }

    /// A socket that all users reach; the users of its mode may use the service.
    fn listening(place: &Path) -> (PathBuf, Listener) {
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o711);
        std::fs::set_permissions(place, open).unwrap();
        let path = place.join("s");
        let mode = Some(0o666);
        let listener = Listener::bind(
            &path,
            Access {
                mode,
                ..Access::default()
            },
        );
        (path, listener.unwrap())
    }

    fn open(listener: Listener, guarded: bool) -> Lobby {
        let entitled = Entitled {
            guarded,
            ..Entitled::default()
        };
        Lobby::open(listener, entitled, &Unheard::default()).unwrap()
    }

    /// Waits until so many are here.
    fn await_count(lobby: &Lobby, count: usize) {
        let end = Instant::now() + LIMIT;
        while lobby.shared.waiting_ones().len() != count {
            assert!(Instant::now() < end, "there are not {count}");
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn user(socket: &OwnedFd) -> u32 {
        Peer::of(socket).unwrap().user
    }

    /// As root, who alone can be other users.
    fn is_root() -> bool {
        geteuid().is_root()
    }

    #[test]
    fn users_are_let_in_in_turn_and_strangers_as_one() {
        if !is_root() {
            return;
        }
        for guarded in [true, false] {
            let place = tempfile::tempdir().unwrap();
            let (path, listener) = listening(place.path());
            // All of them before the first is taken.
            let mut open_ones: Vec<_> = (0..60).map(|_| connect(&path, 64_001)).collect();
            open_ones.extend([64_002, 64_003, 0].map(|user| connect(&path, user)));
            let lobby = open(listener, guarded);
            await_count(&lobby, 63);
            let users: Vec<u32> = std::iter::from_fn(|| lobby.waiting())
                .map(|socket| user(&socket))
                .collect();
            let expected = match guarded {
                true => [64_001, 64_002, 64_003, 0],
                false => [64_001, 0, 64_001, 64_001],
            };
            assert_eq!(users[..4], expected);
            assert!(lobby.close().len() == 1 && !path.exists());
        }
    }

    #[test]
    fn those_who_have_left_are_not_here_and_too_many_are_turned_away() {
        let place = tempfile::tempdir().unwrap();
        let (path, listener) = listening(place.path());
        for _ in 0..50 {
            drop(UnixStream::connect(&path).unwrap());
        }
        // This one has said something.
        let mut spoken = UnixStream::connect(&path).unwrap();
        spoken.write_all(b"x").unwrap();
        drop(spoken);
        let lobby = open(listener, true);
        await_count(&lobby, 1);
        if !is_root() {
            return;
        }
        drop(lobby.waiting());
        let most = lobby.shared.most_of_user;
        let some: Vec<_> = (0..=most).map(|_| connect(&path, 64_001)).collect();
        let mut last = some.last().unwrap();
        last.set_read_timeout(Some(LIMIT)).unwrap();
        assert_eq!(io::Read::read(&mut last, &mut [0]).unwrap(), 0);
        let _other = connect(&path, 64_002);
        await_count(&lobby, most + 1);
        assert_eq!(lobby.close().len(), most + 2);
    }

    #[test]
    fn a_user_has_a_part_of_few_descriptors() {
        assert_eq!(most_of_user(None), MOST_OF_USER);
        assert_eq!(most_of_user(Some(1 << 20)), MOST_OF_USER);
        assert_eq!(most_of_user(Some(1024)), 32);
        assert_eq!(most_of_user(Some(8)), 1);
    }
}
