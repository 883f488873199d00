//! What the other threads have of a device.
//!
//! 1. [`Handle`]: connects to the guest, resets and stops.
//! 2. [`Counters`]: what happened.
//! 3. `Shared`, `Command`: how a handle reaches the thread of its device.

use std::{
    io,
    os::{fd::OwnedFd, unix::net::UnixStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel},
    },
    time::Duration,
};

use rustix::{
    event::{EventfdFlags, eventfd},
    io::Errno,
};

use crate::front_end::Signal;

/// A device, for other threads. Clones are the same device; any thread may call.
///
/// A handle outlives its device: its calls then fail with `NotConnected`, or do nothing.
#[derive(Debug, Clone)]
pub struct Handle {
    commands: Sender<Command>,
    shared: Arc<Shared>,
}

/// What happened on a device since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Counters {
    /// Connections that there are now. A connection that the guest has closed counts until its stream has taken all.
    pub connections: u64,
    /// Connections that the guest opened to the host.
    pub opened_by_guest: u64,
    /// Connections that the host opened to the guest.
    pub opened_by_host: u64,
    /// Connections that were refused: by the guest, by the services, or for want of room.
    pub refused: u64,
    /// Connections that ended because the guest broke their rules.
    pub violations: u64,
    /// How often the driver broke a ring, so that all connections ended.
    pub faults: u64,
    /// Bytes of streams from the guest.
    pub bytes_from_guest: u64,
    /// Bytes of streams to the guest.
    pub bytes_to_guest: u64,
}

/// The counters where the device counts.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) connections: AtomicU64,
    pub(crate) opened_by_guest: AtomicU64,
    pub(crate) opened_by_host: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) violations: AtomicU64,
    pub(crate) faults: AtomicU64,
    pub(crate) bytes_from_guest: AtomicU64,
    pub(crate) bytes_to_guest: AtomicU64,
}

/// What a device and its handles share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Wakes the thread of the device.
    bell: OwnedFd,
    stopped: AtomicBool,
    /// What the device raises.
    signals: Vec<Signal>,
    pub(crate) tally: Tally,
    fault: Mutex<Option<String>>,
}

/// What a handle asks of its device.
#[derive(Debug)]
pub(crate) enum Command {
    Connect {
        port: u32,
        stream: OwnedFd,
        waiter: Option<Waiter>,
    },
    Reset,
}

/// What waits for the answer of the guest.
#[derive(Debug)]
pub(crate) enum Waiter {
    /// A thread.
    Thread(SyncSender<Result<(), Errno>>),
    /// The program behind the stream, which is told in a line.
    Peer,
}

impl Handle {
    /// Connects to `port` of the guest and waits for its answer, at most `patience`. The stream blocks.
    ///
    /// # Errors
    /// `ConnectionRefused`: nothing listens at the port. `TimedOut`: the guest did not answer, because it is not up, is
    /// paused or does not care; the connection is given up. `ConnectionReset`: the guest was reset meanwhile.
    /// `QuotaExceeded`: there are as many connections as [`Limits`](crate::Limits) allow to the host. `NotConnected`:
    /// the device has ended.
    pub fn connect(&self, port: u32, patience: Duration) -> io::Result<UnixStream> {
        let (waiter, answer) = sync_channel(1);
        let stream = self.request(port, Some(Waiter::Thread(waiter)))?;
        match answer.recv_timeout(patience) {
            Ok(Ok(())) => Ok(stream),
            Ok(Err(errno)) => Err(errno.into()),
            Err(RecvTimeoutError::Timeout) => Err(io::ErrorKind::TimedOut.into()),
            Err(RecvTimeoutError::Disconnected) => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Connects to `port` of the guest without waiting for its answer. What is written goes out when the guest has
    /// agreed. A connection that is not made looks like one that ended: a read gives the end of the stream.
    ///
    /// # Errors
    /// No sockets can be made, or the device has ended (`NotConnected`).
    pub fn connect_at_once(&self, port: u32) -> io::Result<UnixStream> {
        self.request(port, None)
    }

    /// Connects `stream`, a connected stream socket of any family, to `port` of the guest without waiting for its
    /// answer. When the guest has agreed, the program behind `stream` reads the line `OK PORT`, with the port of the
    /// host's side, and then what the guest sends. Where the guest does not agree, or does not answer within 10
    /// seconds, it reads the end.
    ///
    /// # Errors
    /// The device has ended (`NotConnected`).
    pub fn connect_stream(&self, port: u32, stream: OwnedFd) -> io::Result<()> {
        self.send(Command::Connect {
            port,
            stream,
            waiter: Some(Waiter::Peer),
        })
    }

    fn request(&self, port: u32, waiter: Option<Waiter>) -> io::Result<UnixStream> {
        let (ours, theirs) = UnixStream::pair()?;
        self.send(Command::Connect {
            port,
            stream: theirs.into(),
            waiter,
        })?;
        Ok(ours)
    }

    /// The guest was reset: ends all connections. Its driver would do so when it starts again; this is earlier. Where
    /// it is later, the guest hears of the connections that it has made since, and may make them again.
    pub fn reset(&self) {
        let _has_ended = self.send(Command::Reset);
    }

    /// Ends the device: [`Device::run`](crate::Device::run) returns, and all connections end. It does not wait for
    /// that. The front end should be gone before: a machine that lives on finds that its device fails.
    pub fn stop(&self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        for signal in &self.shared.signals {
            signal.empty();
        }
        self.shared.ring();
    }

    /// What happened until now.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let tally = &self.shared.tally;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counters {
            connections: read(&tally.connections),
            opened_by_guest: read(&tally.opened_by_guest),
            opened_by_host: read(&tally.opened_by_host),
            refused: read(&tally.refused),
            violations: read(&tally.violations),
            faults: read(&tally.faults),
            bytes_from_guest: read(&tally.bytes_from_guest),
            bytes_to_guest: read(&tally.bytes_to_guest),
        }
    }

    /// Why the device last gave up the rings of its driver, refused a request of its front end, or ended in disorder,
    /// in words for a log.
    #[must_use]
    pub fn last_fault(&self) -> Option<String> {
        self.shared
            .fault
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn send(&self, command: Command) -> io::Result<()> {
        let has_ended = |_| io::Error::from(io::ErrorKind::NotConnected);
        self.commands.send(command).map_err(has_ended)?;
        self.shared.ring();
        Ok(())
    }
}

impl Tally {
    pub(crate) fn add(counter: &AtomicU64, count: usize) {
        counter.fetch_add(count as u64, Ordering::Relaxed);
    }
}

impl Shared {
    /// A handle, what it shares with its device, and what it asks for.
    pub(crate) fn new(
        signals: Vec<Signal>,
    ) -> Result<(Handle, Arc<Self>, Receiver<Command>), Errno> {
        let shared = Arc::new(Self {
            bell: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            stopped: AtomicBool::new(false),
            signals,
            tally: Tally::default(),
            fault: Mutex::new(None),
        });
        let (commands, receiver) = channel();
        let handle = Handle {
            commands,
            shared: Arc::clone(&shared),
        };
        Ok((handle, shared, receiver))
    }

    /// Readable when a handle has asked for something.
    pub(crate) const fn bell(&self) -> &OwnedFd {
        &self.bell
    }

    fn ring(&self) {
        let _rings_already = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }

    /// What was asked for until now is about to be looked at.
    pub(crate) fn hush(&self) {
        let mut count = [0; 8];
        let _hushed = rustix::io::read(&self.bell, &mut count);
    }

    /// Keeps the reason of the latest fault.
    pub(crate) fn note(&self, fault: String) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }
}
