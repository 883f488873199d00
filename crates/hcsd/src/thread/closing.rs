//! Descriptors that a peer sent, and sockets of peers, are closed on threads that may wait.
//!
//! `close(2)` waits where a TCP socket lingers with data that is not sent (`SO_LINGER`), and until the server of a FUSE
//! file has answered. Every peer can send such a descriptor, and can leave one in a socket, whose close closes it too.
//! The one thread of the service would wait, and every client with it.
//!
//! Each peer has a [`Closing`], which has one thread at a time: what one peer sends keeps no other one waiting.

use std::{
    collections::VecDeque,
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use hcs_wire::socket;
use rustix::{
    io::ioctl_fionread,
    net::{RecvFlags, Shutdown, recv, shutdown},
};
use tokio::sync::{Notify, watch};

/// Threads that close, in all. Those that wait for nothing take turns of one.
const MOST_THREADS: usize = 2048;
/// Bytes of the stack of such a thread.
const STACK: usize = 64 << 10;
/// How long a thread waits for more to close before it ends, unless it is the last one.
const REST: Duration = Duration::from_secs(10);
/// Descriptors of one peer that wait to be closed before no more are taken from it.
const MOST_WAITING: usize = 64;
/// Bytes that are looked at in one step.
const STEP: usize = 64 << 10;
/// Steps after which a socket is closed aside, whatever else it holds.
const MOST_STEPS: usize = 16;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The threads, and the peers whose descriptors wait for one.
struct Pool {
    state: Mutex<PoolState>,
    more: Condvar,
}

struct PoolState {
    peers: VecDeque<Arc<Peer>>,
    threads: usize,
    resting: usize,
}

static POOL: Pool = Pool {
    state: Mutex::new(PoolState {
        peers: VecDeque::new(),
        threads: 0,
        resting: 0,
    }),
    more: Condvar::new(),
};

impl Pool {
    fn submit(&'static self, peer: Arc<Peer>) {
        let mut state = lock(&self.state);
        state.peers.push_back(peer);
        if state.peers.len() > state.resting && state.threads < MOST_THREADS {
            // Where the system has no thread to give, one that is there comes to it later.
            self.add_thread(&mut state).ok();
        }
        self.more.notify_one();
    }

    fn add_thread(&'static self, state: &mut PoolState) -> io::Result<()> {
        let builder = thread::Builder::new().stack_size(STACK);
        let named = builder.name("hcsd-close".to_owned());
        named.spawn(|| self.work())?;
        state.threads += 1;
        Ok(())
    }

    fn work(&self) {
        let mut state = lock(&self.state);
        loop {
            if let Some(peer) = state.peers.pop_front() {
                drop(state);
                peer.close_all();
                drop(peer);
                state = lock(&self.state);
                continue;
            }
            state.resting += 1;
            let rested = self.more.wait_timeout(state, REST);
            let (woken, rest) = rested.unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.resting -= 1;
            if rest.timed_out() && state.peers.is_empty() && state.threads > 1 {
                state.threads -= 1;
                return;
            }
        }
    }
}

/// Makes sure that there is a thread to close with.
///
/// # Errors
/// The system has no thread to give.
pub(crate) fn start() -> io::Result<()> {
    let mut state = lock(&POOL.state);
    match state.threads {
        0 => POOL.add_thread(&mut state),
        _ => Ok(()),
    }
}

/// Shared, as the last of those that hold a socket is the one that closes it.
type Descriptor = Arc<OwnedFd>;

#[derive(Debug, Default)]
struct Waiting {
    descriptors: VecDeque<Descriptor>,
    /// A thread closes them, or will.
    is_taken: bool,
}

/// What is to be closed of one peer.
#[derive(Debug)]
struct Peer {
    waiting: Mutex<Waiting>,
    /// Told when some were closed.
    fewer: Notify,
    /// Dropped with the last who could have something to close.
    alive: watch::Sender<()>,
}

impl Peer {
    fn close_all(&self) {
        loop {
            let next = {
                let mut waiting = lock(&self.waiting);
                let next = waiting.descriptors.pop_front();
                waiting.is_taken = next.is_some();
                next
            };
            self.fewer.notify_waiters();
            match next {
                Some(descriptor) => drop(descriptor),
                None => return,
            }
        }
    }
}

/// Where the descriptors of one peer are closed.
#[derive(Clone, Debug)]
pub(crate) struct Closing(Arc<Peer>);

impl Default for Closing {
    fn default() -> Self {
        Self(Arc::new(Peer {
            waiting: Mutex::default(),
            fewer: Notify::new(),
            alive: watch::channel(()).0,
        }))
    }
}

impl Closing {
    /// Closes `descriptors` on a thread that may wait.
    pub(crate) fn close(&self, descriptors: impl IntoIterator<Item = OwnedFd>) {
        self.close_shared(descriptors.into_iter().map(Arc::new));
    }

    fn close_shared(&self, descriptors: impl Iterator<Item = Descriptor>) {
        let mut waiting = lock(&self.0.waiting);
        waiting.descriptors.extend(descriptors);
        if waiting.descriptors.is_empty() || waiting.is_taken {
            return;
        }
        waiting.is_taken = true;
        drop(waiting);
        POOL.submit(Arc::clone(&self.0));
    }

    /// Returns when so few wait that more may be taken from the peer.
    pub(crate) async fn room(&self) {
        self.fewer_than(MOST_WAITING).await;
    }

    /// Returns when fewer than `most` wait to be closed.
    pub(crate) async fn fewer_than(&self, most: usize) {
        loop {
            let fewer = self.0.fewer.notified();
            if lock(&self.0.waiting).descriptors.len() < most {
                return;
            }
            fewer.await;
        }
    }

    /// Returns when all of the peer is closed: its sockets, what it sent, and whatever else holds a clone of this.
    pub(crate) fn over(self) -> impl Future<Output = ()> + use<> {
        let mut alive = self.0.alive.subscribe();
        drop(self);
        async move { while alive.changed().await.is_ok() {} }
    }
}

/// Descriptors that a peer sent. Those that are not taken are closed where closing may wait.
#[derive(Debug)]
pub(crate) struct Received {
    descriptors: Vec<OwnedFd>,
    closing: Closing,
}

impl Received {
    /// From the peer of that `closing`.
    pub(crate) fn new(descriptors: impl IntoIterator<Item = OwnedFd>, closing: &Closing) -> Self {
        Self {
            descriptors: descriptors.into_iter().collect(),
            closing: closing.clone(),
        }
    }

    /// They are to be used.
    pub(crate) fn take(&mut self) -> Vec<OwnedFd> {
        std::mem::take(&mut self.descriptors)
    }

    /// They, or some of them, were looked at and are to be closed.
    pub(crate) fn put_back(&mut self, descriptors: impl IntoIterator<Item = OwnedFd>) {
        self.descriptors.extend(descriptors);
    }

    /// A look at them.
    pub(crate) fn as_slice(&self) -> &[OwnedFd] {
        &self.descriptors
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        self.closing.close(self.descriptors.drain(..));
    }
}

/// A socket to a peer, which is closed where closing may wait.
#[derive(Debug)]
pub(crate) struct PeerSocket {
    // Dropped first: what is last has the socket for itself.
    socket: Descriptor,
    last: Last,
}

#[derive(Debug)]
struct Last {
    socket: Option<Descriptor>,
    closing: Closing,
}

impl Drop for Last {
    fn drop(&mut self) {
        if let Some(socket) = self.socket.take()
            && !is_bare(&socket)
        {
            self.closing.close_shared(std::iter::once(socket));
        }
    }
}

impl PeerSocket {
    /// A stream socket that nothing else has, to the peer of that `closing`.
    pub(crate) fn new(socket: OwnedFd, closing: &Closing) -> Self {
        let socket = Arc::new(socket);
        Self {
            last: Last {
                socket: Some(Arc::clone(&socket)),
                closing: closing.clone(),
            },
            socket,
        }
    }

    /// Where it is closed.
    pub(crate) const fn closing(&self) -> &Closing {
        &self.last.closing
    }

    /// The socket alone, which is to be closed elsewhere.
    pub(crate) fn give_away(mut self) -> Option<OwnedFd> {
        let socket = self.last.socket.take()?;
        drop(self);
        Arc::into_inner(socket)
    }
}

impl AsFd for PeerSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for PeerSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// Ends a stream, and returns whether it holds no descriptors that its close would close. Bytes before them are thrown
/// away. Nothing can come after this: the kernel refuses what is sent to a socket that is shut down. For sockets with
/// [`socket::keep_in_order`]: a byte out of band would be passed over, and closed with what it holds.
pub(crate) fn is_bare(socket: &OwnedFd) -> bool {
    if shutdown(socket, Shutdown::Both).is_err() {
        return false;
    }
    let mut bytes = Vec::new();
    for _ in 0..MOST_STEPS {
        match ioctl_fionread(socket) {
            Ok(0) => return true,
            // Most have a greeting, and all of those who come are closed in the end.
            Ok(unread) => {
                bytes.resize(usize::try_from(unread).map_or(STEP, |all| all.min(STEP)), 0);
            }
            Err(_) => return false,
        }
        let plain = match socket::peek(socket, &mut bytes) {
            Ok((0, _) | (_, true)) | Err(_) => return false,
            Ok((plain, false)) => plain,
        };
        if recv(socket, &mut bytes[..plain], RecvFlags::DONTWAIT).is_err() {
            return false;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use std::{
        io::{ErrorKind, IoSlice, Write as _},
        net::{TcpListener, TcpStream},
        os::unix::net::UnixStream,
        time::Instant,
    };

    use rustix::net::{
        SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg, sockopt::set_socket_linger,
    };

    use super::*;

    /// How long the socket of [`lingering`] does.
    const LINGER: Duration = Duration::from_secs(60);
    /// What a close that waits takes longer than.
    const AT_ONCE: Duration = Duration::from_secs(30);

    /// A socket whose close waits until its peer, the other one, is dropped.
    fn lingering() -> (OwnedFd, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (peer, _) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        let full = loop {
            if let Err(e) = stream.write(&[b'x'; 65_536]) {
                break e;
            }
        };
        assert_eq!(full.kind(), ErrorKind::WouldBlock);
        set_socket_linger(&stream, Some(LINGER)).unwrap();
        (stream.into(), peer)
    }

    /// Drops what `dropped` gives, which does not wait; it is over once the other end of what lingers is gone.
    fn is_dropped_aside(closing: Closing, peer: TcpStream, dropped: impl FnOnce()) {
        let begun = Instant::now();
        dropped();
        assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut over = std::pin::pin!(closing.over());
            let early = tokio::time::timeout(Duration::from_millis(50), &mut over).await;
            assert!(early.is_err(), "it was closed without waiting");
            drop(peer);
            tokio::time::timeout(AT_ONCE, over).await.unwrap();
        });
    }

    #[test]
    fn what_was_received_is_closed_aside() {
        let closing = Closing::default();
        let (descriptor, peer) = lingering();
        let received = Received::new([descriptor], &closing);
        is_dropped_aside(closing, peer, || drop(received));
    }

    #[test]
    fn a_socket_that_holds_descriptors_is_closed_aside() {
        let closing = Closing::default();
        let (descriptor, peer) = lingering();
        let (mut sender, own) = UnixStream::pair().unwrap();
        // Behind bytes that carry none.
        sender.write_all(&[7; 100_000]).unwrap();
        socket::send_all(&sender, b"x", &[descriptor.as_fd()]).unwrap();
        drop((descriptor, sender));
        let own = PeerSocket::new(own.into(), &closing);
        is_dropped_aside(closing, peer, || drop(own));
    }

    #[test]
    fn a_byte_out_of_band_that_holds_descriptors_is_seen() {
        let (sender, own) = UnixStream::pair().unwrap();
        socket::keep_in_order(&own).unwrap();
        (&sender).write_all(b"before").unwrap();
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let sent = [sender.as_fd()];
        assert!(control.push(SendAncillaryMessage::ScmRights(&sent)));
        sendmsg(&sender, &[IoSlice::new(b"x")], &mut control, SendFlags::OOB).unwrap();
        (&sender).write_all(b"behind").unwrap();
        assert!(!is_bare(&own.into()));
    }

    #[test]
    fn a_socket_without_descriptors_is_closed_at_once() {
        let (mut peer, own) = UnixStream::pair().unwrap();
        peer.write_all(&[7; 100_000]).unwrap();
        assert!(is_bare(&own.into()));
        assert_eq!(
            peer.write(&[7]).unwrap_err().kind(),
            ErrorKind::BrokenPipe,
            "nothing can be sent to it any more"
        );
    }

    #[test]
    fn one_that_waits_keeps_no_other_one_waiting() {
        let stuck: Vec<_> = (0..8)
            .map(|_| {
                let (descriptor, peer) = lingering();
                let closing = Closing::default();
                closing.close([descriptor]);
                (closing, peer)
            })
            .collect();
        let other = Closing::default();
        let (own, mut peer) = UnixStream::pair().unwrap();
        other.close([own.into()]);
        peer.set_read_timeout(Some(AT_ONCE)).unwrap();
        assert_eq!(io::Read::read(&mut peer, &mut [0]).unwrap(), 0);
        drop(stuck);
    }
}
