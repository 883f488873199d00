//! A service that is killed again and again, and clients that must not notice.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    os::unix::net::UnixStream,
    sync::{
        Condvar, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hcs::{Endpoint, Operation};

pub(crate) const KILLS: u32 = 100;
/// Nothing takes as long, however slow the machine, unless it hangs.
pub(crate) const LIMIT: Duration = Duration::from_secs(100);
/// No longer than clients need to come back: for so long a service stays.
pub(crate) const CONFIGURATION: &str = "[times]\nidle_seconds = 1\nreconnect_seconds = 30\n";

/// The progress of the threads, for the thread that kills the service while they work.
#[derive(Default)]
pub(crate) struct Progress {
    rounds: Mutex<u64>,
    changed: Condvar,
    over: AtomicBool,
}

impl Progress {
    pub(crate) fn round(&self) {
        *self.rounds.lock().unwrap() += 1;
        self.changed.notify_all();
    }

    /// Waits until there were some rounds more than now.
    pub(crate) fn more(&self, rounds: u64) {
        let guard = self.rounds.lock().unwrap();
        let wanted = *guard + rounds;
        let (_unlocked, waited) = self
            .changed
            .wait_timeout_while(guard, LIMIT, |rounds| *rounds < wanted && !self.is_over())
            .unwrap();
        assert!(!waited.timed_out(), "the clients do not get on");
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}

/// Returns the result of a call. No death of the service may make it a failure.
#[track_caller]
pub(crate) fn answered<T>(mut call: Operation<T>) -> T {
    match call.wait_for(LIMIT) {
        Ok(value) => value,
        Err(failure) => panic!("{failure}"),
    }
}

/// Ends the work of all threads when it is dropped: no thread waits for one that failed.
pub(crate) struct End<'a>(pub(crate) &'a Progress);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Relaxed);
        self.0.changed.notify_all();
    }
}

/// Kills the service that is there. Returns whether there was one.
pub(crate) fn kill(endpoint: &Endpoint) -> bool {
    let Ok(stream) = UnixStream::connect(endpoint.path()) else {
        return false;
    };
    let peer = rustix::net::sockopt::socket_peercred(&stream).unwrap();
    rustix::process::kill_process(peer.pid, rustix::process::Signal::KILL).is_ok()
}

/// Kills the service so many times, at another moment of the clients' work each time.
pub(crate) fn kill_again_and_again(endpoint: &Endpoint, progress: &Progress) {
    let mut kills = 0;
    while kills < KILLS && !progress.is_over() {
        progress.more(u64::from(1 + kills % 7));
        kills += u32::from(kill(endpoint));
    }
}
