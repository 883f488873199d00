//! What is written to one peer: sent at once where the socket takes it, kept in order where it does not, up to a bound.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    io,
    os::fd::{AsFd as _, OwnedFd},
    rc::Rc,
    time::Duration,
};

use hcs_wire::{errno::IN_FLIGHT, socket};
use rustix::io::Errno;
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::Notify,
};

use crate::thread::{closing::PeerSocket, readiness::watch, share::Turns};

/// How long writing rests when there is no descriptor left to watch the socket by, or none can be sent.
const BREATH: Duration = Duration::from_millis(50);

/// Messages that are written in one turn: each takes a call of the kernel, and a socket that is read takes hundreds.
const AT_ONCE: usize = 8;

/// Unread bytes past which no long answer is made.
const MOST_UNREAD: usize = 256 << 10;

/// Unread bytes that a stream may have whatever the others of its user have.
const LEAST_BOUND: usize = 64 << 10;

/// What the peers of all streams of one user have not read.
#[derive(Debug)]
pub(crate) struct Unread {
    bytes: Cell<usize>,
    bound: Cell<usize>,
}

impl Unread {
    /// At most about `bound` bytes.
    pub(crate) fn new(bound: usize) -> Rc<Self> {
        Rc::new(Self {
            bytes: Cell::new(0),
            bound: Cell::new(bound),
        })
    }

    /// Allows `bound` from now on.
    pub(crate) fn set_bound(&self, bound: usize) {
        self.bound.set(bound);
    }

    /// What one stream may have. Streams that are full share all there is evenly with what is left, so none takes all.
    fn bound_of_one(&self) -> usize {
        let left = self.bound.get().saturating_sub(self.bytes.get());
        left.max(LEAST_BOUND)
    }
}

/// A message or the rest of one.
#[derive(Debug)]
struct Message {
    bytes: Vec<u8>,
    sent: usize,
    /// To go with the first byte.
    descriptors: Vec<OwnedFd>,
}

/// Why nothing more is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Closed {
    /// The peer is gone, or the stream was ended here.
    #[error("the stream is closed")]
    Gone,
    /// The peer does not read.
    #[error("the peer left {unread} bytes unread")]
    Full {
        /// Bytes it was sent and did not read.
        unread: usize,
    },
}

/// Why a message was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unsent {
    /// Nothing more is.
    #[error(transparent)]
    Closed(#[from] Closed),
    /// It carries descriptors, of which the user of the service has too many in flight. Others are sent.
    #[error("{}", IN_FLIGHT)]
    InFlight,
}

/// The writing half of a stream. Belongs to one thread.
#[derive(Debug)]
pub(crate) struct Outgoing {
    socket: Rc<AsyncFd<PeerSocket>>,
    waiting: RefCell<VecDeque<Message>>,
    unread: Cell<usize>,
    bound: usize,
    /// Of all streams of its user.
    of_user: Rc<Unread>,
    closed: Cell<Option<Closed>>,
    /// Told when something has to wait, when that is gone, and when the stream is closed.
    changed: Notify,
    /// Told when the stream is closed: ten thousand calls may wait for that alone.
    ended: Notify,
}

impl Outgoing {
    /// For a non-blocking socket. `bound` is how many bytes may wait; a single message may be larger. `of_user` may
    /// bound them further.
    pub(crate) fn new(socket: Rc<AsyncFd<PeerSocket>>, bound: usize, of_user: Rc<Unread>) -> Self {
        Self {
            of_user,
            socket,
            waiting: RefCell::default(),
            unread: Cell::new(0),
            bound,
            closed: Cell::new(None),
            changed: Notify::new(),
            ended: Notify::new(),
        }
    }

    /// How many bytes may wait now.
    fn bound(&self) -> usize {
        self.bound.min(self.of_user.bound_of_one())
    }

    fn set_unread(&self, unread: usize) {
        let before = self.unread.replace(unread);
        let of_others = self.of_user.bytes.get().saturating_sub(before);
        self.of_user.bytes.set(of_others + unread);
    }

    /// Writes a message, or keeps it. Once it has failed because the stream is closed it always fails.
    ///
    /// # Errors
    /// The stream is closed, by the peer or because it does not read, or the descriptors cannot be sent now. Those of a
    /// message that is kept are tried again until they can.
    pub(crate) fn send(&self, bytes: Vec<u8>, descriptors: Vec<OwnedFd>) -> Result<(), Unsent> {
        if let Some(closed) = self.closed.get() {
            return Err(closed.into());
        }
        let mut message = Message {
            bytes,
            sent: 0,
            descriptors,
        };
        if self.waiting.borrow().is_empty() {
            match self.write(&mut message) {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                // They go with the first byte, so nothing of it was written.
                Err(Errno::TOOMANYREFS) => return Err(Unsent::InFlight),
                Err(_) => return Err(self.close(Closed::Gone).into()),
            }
        } else if self.unread.get() >= self.bound() {
            let unread = self.unread.get();
            return Err(self.close(Closed::Full { unread }).into());
        }
        let rest = message.bytes.len() - message.sent;
        self.set_unread(self.unread.get() + rest);
        self.waiting.borrow_mut().push_back(message);
        self.changed.notify_waiters();
        Ok(())
    }

    /// Writes as much as the socket takes; `true` when all of it went.
    fn write(&self, message: &mut Message) -> Result<bool, Errno> {
        while message.sent < message.bytes.len() {
            let rights: Vec<_> = message.descriptors.iter().map(|fd| fd.as_fd()).collect();
            match socket::send(&*self.socket, &message.bytes[message.sent..], &rights) {
                Ok(sent) => {
                    message.sent += sent;
                    message.descriptors.clear();
                }
                Err(Errno::AGAIN) => return Ok(false),
                Err(e) => return Err(e),
            }
        }
        Ok(true)
    }

    /// Writes what waits, in `turns`, for as long as the stream lives. Poll it beside the reading half.
    pub(crate) async fn run(&self, turns: &Turns) -> Closed {
        // Watched only while something waits.
        let mut output = None;
        loop {
            if let Some(closed) = self.closed.get() {
                return closed;
            }
            if self.waiting.borrow().is_empty() {
                output = None;
                self.changed.notified().await;
                continue;
            }
            if output.is_none() {
                output = self.watch_output().ok();
            }
            let written = match &output {
                Some(output) => match output.writable().await {
                    Ok(mut ready) => {
                        turns.take().await;
                        turns.charge(|| ready.try_io(|_| self.write_some().map_err(Into::into)))
                    }
                    Err(_) => return self.close(Closed::Gone),
                },
                None => {
                    // No descriptors are left for now.
                    tokio::time::sleep(BREATH).await;
                    Ok(self.write_what_goes())
                }
            };
            match written {
                Ok(Ok(())) => self.changed.notify_waiters(),
                Ok(Err(e)) if Errno::from_io_error(&e) == Some(Errno::TOOMANYREFS) => {
                    self.changed.notify_waiters();
                    tokio::time::sleep(BREATH).await;
                }
                Ok(Err(_)) => return self.close(Closed::Gone),
                // Some of it may have gone.
                Err(_would_block) => self.changed.notify_waiters(),
            }
        }
    }

    fn watch_output(&self) -> io::Result<AsyncFd<OwnedFd>> {
        // Never the last of the socket: this is dropped before it.
        let socket = self.socket.get_ref().as_fd().try_clone_to_owned()?;
        watch(socket, Interest::WRITABLE)
    }

    /// [`Outgoing::write_some`] where it does not matter whether it went.
    fn write_what_goes(&self) -> io::Result<()> {
        match self.write_some() {
            Ok(()) | Err(Errno::AGAIN | Errno::TOOMANYREFS) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Writes some of what waits, unless the socket takes no more before (`EAGAIN`).
    fn write_some(&self) -> Result<(), Errno> {
        let mut waiting = self.waiting.borrow_mut();
        for _ in 0..AT_ONCE {
            let Some(message) = waiting.front_mut() else {
                break;
            };
            let before = message.sent;
            let all = self.write(message);
            self.set_unread(self.unread.get().saturating_sub(message.sent - before));
            if !all? {
                return Err(Errno::AGAIN);
            }
            waiting.pop_front();
        }
        Ok(())
    }

    /// Returns when the peer has read so much that there is room for what it asks for next, or the stream was ended.
    /// Before, its requests are left where they are.
    pub(crate) async fn room(&self) {
        self.less_than(|bound| bound / 2).await;
    }

    /// Returns when there is room for a long answer, or the stream was ended.
    pub(crate) async fn room_for_page(&self) {
        self.less_than(|bound| (bound / 2).min(MOST_UNREAD)).await;
    }

    async fn less_than(&self, most: impl Fn(usize) -> usize) {
        loop {
            let changed = self.changed.notified();
            if self.unread.get() <= most(self.bound()) || self.is_closed() {
                return;
            }
            changed.await;
        }
    }

    /// Ends the stream: what waits is dropped.
    pub(crate) fn close(&self, why: Closed) -> Closed {
        let why = self.closed.get().unwrap_or(why);
        self.closed.set(Some(why));
        self.waiting.borrow_mut().clear();
        self.set_unread(0);
        self.changed.notify_waiters();
        self.ended.notify_waiters();
        why
    }

    /// Whether all that was sent has reached the peer's socket.
    pub(crate) fn has_sent_all(&self) -> bool {
        !self.is_closed() && self.waiting.borrow().is_empty()
    }

    /// Returns when the stream was ended.
    pub(crate) async fn closed(&self) {
        loop {
            let ended = self.ended.notified();
            if self.is_closed() {
                return;
            }
            ended.await;
        }
    }

    /// Whether the stream was ended.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get().is_some()
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.set_unread(0);
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Read as _, os::unix::net::UnixStream, time::Duration};

    use rustix::{
        fs::Uid,
        process::{Resource, Rlimit, geteuid, getrlimit, setrlimit},
        thread::set_thread_res_uid,
    };

    use super::*;
    use crate::thread::{closing::Closing, readiness::watch_stream};

    const LIMIT: Duration = Duration::from_secs(30);

    fn pair(bound: usize) -> (Rc<Outgoing>, UnixStream) {
        pair_of(bound, Unread::new(usize::MAX))
    }

    fn pair_of(bound: usize, of_user: Rc<Unread>) -> (Rc<Outgoing>, UnixStream) {
        let (own, peer) = UnixStream::pair().unwrap();
        own.set_nonblocking(true).unwrap();
        let socket =
            Rc::new(watch_stream(PeerSocket::new(own.into(), &Closing::default())).unwrap());
        (Rc::new(Outgoing::new(socket, bound, of_user)), peer)
    }

    fn in_runtime<T>(work: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let work = async { tokio::time::timeout(LIMIT, work).await.unwrap() };
        tokio::task::LocalSet::new().block_on(&runtime, work)
    }

    #[test]
    fn messages_arrive_whole_and_in_order_whatever_the_socket_takes_at_once() {
        in_runtime(async {
            let (outgoing, mut peer) = pair(usize::MAX);
            let sizes = [1, 70_000, 3, 500_000, 2, 300_000];
            for (mark, size) in (1..).zip(sizes) {
                outgoing.send(vec![mark; size], Vec::new()).unwrap();
            }
            let total = sizes.iter().sum();
            let reader = tokio::task::spawn_blocking(move || {
                let mut read = vec![0; total];
                peer.read_exact(&mut read).unwrap();
                read
            });
            let (turns, _giving) = Turns::begin();
            let read = tokio::select! {
                read = reader => read.unwrap(),
                closed = outgoing.run(&turns) => panic!("{closed}"),
            };
            let expected: Vec<u8> = (1..)
                .zip(sizes)
                .flat_map(|(mark, size)| std::iter::repeat_n(mark, size))
                .collect();
            assert!(read == expected);
            assert_eq!(outgoing.unread.get(), 0);
        });
    }

    #[test]
    fn a_peer_that_does_not_read_is_given_up_at_the_bound() {
        in_runtime(async {
            let (outgoing, mut peer) = pair(100_000);
            let closed = loop {
                if let Err(closed) = outgoing.send(vec![7; 1000], Vec::new()) {
                    break closed;
                }
            };
            let Unsent::Closed(closed @ Closed::Full { unread }) = closed else {
                panic!("{closed}");
            };
            assert!(unread >= 100_000, "{closed}");
            assert_eq!(outgoing.send(vec![7], Vec::new()), Err(closed.into()));
            assert_eq!(outgoing.run(&Turns::begin().0).await, closed);
            drop(outgoing);
            let mut rest = Vec::new();
            peer.read_to_end(&mut rest).unwrap();
        });
    }

    #[test]
    fn what_the_connections_of_a_user_leave_unread_is_bounded_together_and_none_takes_all() {
        in_runtime(async {
            const BOUND: usize = 16 << 20;
            let of_user = Unread::new(BOUND);
            let mut peers = Vec::new();
            for _ in 0..100 {
                let (outgoing, peer) = pair_of(BOUND, Rc::clone(&of_user));
                // As much as it may have before its requests are left where they are.
                while outgoing.unread.get() <= outgoing.bound() / 2 {
                    outgoing.send(vec![7; 10_000], Vec::new()).unwrap();
                }
                peers.push((outgoing, peer));
            }
            let of_all: usize = peers
                .iter()
                .map(|(outgoing, _)| outgoing.unread.get())
                .sum();
            assert_eq!(of_user.bytes.get(), of_all);
            assert!(of_all < BOUND + peers.len() * LEAST_BOUND, "{of_all}");
            let last = peers.last().unwrap().0.unread.get();
            assert!(last >= LEAST_BOUND / 2, "{last}");
            drop(peers);
            assert_eq!(of_user.bytes.get(), 0);
        });
    }

    #[test]
    fn a_single_message_may_be_larger_than_the_bound() {
        in_runtime(async {
            let (outgoing, _peer) = pair(10);
            outgoing.send(vec![7; 1 << 20], Vec::new()).unwrap();
            assert!(outgoing.send(vec![7], Vec::new()).is_err());
        });
    }

    #[test]
    fn what_a_peer_has_not_read_is_written_in_turns_with_what_others_wait_for() {
        in_runtime(async {
            const MESSAGES: usize = 2000;
            let (outgoing, mut peer) = pair(usize::MAX);
            for _ in 0..MESSAGES {
                outgoing.send(vec![7; 100], Vec::new()).unwrap();
            }
            let left = || outgoing.waiting.borrow().len();
            assert!(left() > MESSAGES / 2, "{}", left());
            let (turns, _giving) = Turns::begin();
            let watching = async {
                let mut most = 0;
                let mut buffer = vec![0; 1 << 20];
                peer.set_nonblocking(true).unwrap();
                while left() > 0 {
                    // All that the socket holds, so that it takes as much as it can.
                    while peer.read(&mut buffer).is_ok() {}
                    let before = left();
                    tokio::task::yield_now().await;
                    most = most.max(before - left());
                }
                most
            };
            let most = tokio::select! {
                biased;
                closed = outgoing.run(&turns) => panic!("{closed}"),
                most = watching => most,
            };
            assert!(most <= 5 * AT_ONCE, "{most} messages in one round");
        });
    }

    #[test]
    fn a_peer_that_is_gone_is_noticed() {
        in_runtime(async {
            let (outgoing, peer) = pair(usize::MAX);
            drop(peer);
            let gone = Unsent::Closed(Closed::Gone);
            assert_eq!(outgoing.send(vec![7], Vec::new()), Err(gone));
            assert_eq!(outgoing.run(&Turns::begin().0).await, Closed::Gone);
        });
    }

    /// The kernel counts them for each user, and root's capabilities lift that: this thread becomes another user.
    #[test]
    fn a_message_whose_descriptors_cannot_be_sent_now_ends_no_stream() {
        const FEW: u64 = 64;
        if geteuid().is_root() {
            let user = Uid::from_raw(54_398);
            set_thread_res_uid(user, user, user).unwrap();
        }
        let few = Rlimit {
            current: Some(FEW),
            ..getrlimit(Resource::Nofile)
        };
        setrlimit(Resource::Nofile, few).unwrap();
        let file = std::fs::File::open("/dev/null").unwrap();
        let (sender, kept) = UnixStream::pair().unwrap();
        for _ in 0..=FEW / 8 {
            socket::send_all(&sender, b"x", &[file.as_fd(); 8]).unwrap();
        }
        in_runtime(async {
            let (outgoing, mut peer) = pair(usize::MAX);
            let one = || vec![OwnedFd::from(file.try_clone().unwrap())];
            assert_eq!(outgoing.send(vec![1], one()), Err(Unsent::InFlight));
            outgoing.send(vec![2; 1 << 20], Vec::new()).unwrap();
            outgoing.send(vec![3], one()).unwrap();
            let reader = tokio::task::spawn_blocking(move || {
                let mut read = vec![0; (1 << 20) + 1];
                peer.read_exact(&mut read[1..]).unwrap();
                drop((sender, kept));
                peer.read_exact(&mut read[..1]).unwrap();
                read
            });
            let (turns, _giving) = Turns::begin();
            let read = tokio::select! {
                read = reader => read.unwrap(),
                closed = outgoing.run(&turns) => panic!("{closed}"),
            };
            assert!(read[0] == 3 && read[1..].iter().all(|byte| *byte == 2));
        });
    }
}
