//! The service is killed again and again under clients that work: no exit code, no byte and no handle is lost.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod service;

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    sync::{
        Condvar, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use hcs::{ComputeSystem, Endpoint, HResult, Operation, Process, documents::SystemPropertyQuery};
use service::{Running, on_its_own_with, shell};

const THREADS: usize = 8;
const KILLS: u32 = 100;
/// Processes that live through all of it, per thread.
const COMPANIONS: usize = 2;
/// Bytes each process is sent and sends back.
const BYTES: usize = 20_000;
/// Nothing takes as long, however slow the machine, unless it hangs.
const LIMIT: Duration = Duration::from_secs(100);

/// What the threads have done, for whoever kills the service in the midst of it.
#[derive(Default)]
struct Progress {
    rounds: Mutex<u64>,
    changed: Condvar,
    over: AtomicBool,
}

impl Progress {
    fn round(&self) {
        *self.rounds.lock().unwrap() += 1;
        self.changed.notify_all();
    }

    /// Waits until there were some rounds more than now.
    fn more(&self, rounds: u64) {
        let guard = self.rounds.lock().unwrap();
        let wanted = *guard + rounds;
        let (_unlocked, waited) = self
            .changed
            .wait_timeout_while(guard, LIMIT, |rounds| *rounds < wanted && !self.is_over())
            .unwrap();
        assert!(!waited.timed_out(), "the clients do not get on");
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}

/// Makes a call until it was answered. A service that dies may have done it before, so `call` must bear repetition.
#[track_caller]
fn answered<T>(mut call: impl FnMut() -> Operation<T>) -> T {
    let lost = [
        HResult::HCS_E_SERVICE_DISCONNECT,
        HResult::HCS_E_SERVICE_NOT_AVAILABLE,
    ];
    loop {
        match call().wait_for(LIMIT) {
            Ok(value) => return value,
            Err(failure) if lost.contains(&failure.hresult) => {}
            Err(failure) => panic!("{failure}"),
        }
    }
}

#[track_caller]
fn exit_code(process: &Process) -> u32 {
    match process.exit().wait_for(LIMIT) {
        Ok(status) => status.code,
        Err(failure) => panic!("process {}: {failure}", process.id()),
    }
}

/// Bytes that no other round of no other thread has.
fn bytes(thread: usize, round: usize) -> Vec<u8> {
    let mut state = ((thread as u64 + 1) << 32) | (round as u64 + 1);
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    std::iter::repeat_with(next).take(BYTES).collect()
}

/// Sends `sent` to a process that sends back what it gets, and reads it again to the end.
fn echo(process: &mut Process, sent: &[u8]) -> Vec<u8> {
    let mut stdin = File::from(process.take_stdin().unwrap());
    let mut stdout = File::from(process.take_stdout().unwrap());
    thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(sent).unwrap());
        let mut got = Vec::new();
        stdout.read_to_end(&mut got).unwrap();
        got
    })
}

/// Ends the work of all threads when it is dropped: nobody waits for a thread that failed.
struct End<'a>(&'a Progress);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Relaxed);
        self.0.changed.notify_all();
    }
}

fn work(system: &ComputeSystem, thread: usize, progress: &Progress) {
    let end = End(progress);
    let companion = |number: usize| {
        let script = format!("cat; exit {}", 100 + number);
        answered(|| system.create_process(&shell(&script)))
    };
    let mut companions: Vec<_> = (0..COMPANIONS).map(companion).collect();
    let mut round = 0;
    while !progress.is_over() {
        round += 1;
        let code = u32::try_from(round % 100).unwrap();
        let script = format!("cat; exit {code}");
        let mut process = answered(|| system.create_process(&shell(&script)));
        let sent = bytes(thread, round);
        assert!(echo(&mut process, &sent) == sent, "bytes were lost");
        assert_eq!(exit_code(&process), code);
        answered(|| companions[round % COMPANIONS].properties());
        progress.round();
    }
    drop(end);
    for (number, process) in companions.iter_mut().enumerate() {
        let sent = bytes(thread, number);
        assert!(echo(process, &sent) == sent, "bytes were lost");
        assert_eq!(exit_code(process) as usize, 100 + number);
    }
}

/// Kills the service that is there; answers whether there was one.
fn kill(endpoint: &Endpoint) -> bool {
    let Ok(stream) = UnixStream::connect(endpoint.path()) else {
        return false;
    };
    let peer = rustix::net::sockopt::socket_peercred(&stream).unwrap();
    rustix::process::kill_process(peer.pid, rustix::process::Signal::KILL).is_ok()
}

mod alone {
    use super::*;

    #[test]
    fn a_hundred_kills_of_the_service_lose_nothing() {
        let test = "alone::a_hundred_kills_of_the_service_lose_nothing";
        // No longer than clients need to come back: for so long a service stays.
        let configuration = "[times]\nidle_seconds = 1\nreconnect_seconds = 30\n";
        let Some(endpoint) = on_its_own_with(test, configuration) else {
            return;
        };
        let systems = ["one", "two"].map(|id| Running::at(&endpoint, id));
        let progress = Progress::default();
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let (system, progress) = (&systems[thread % systems.len()], &progress);
                scope.spawn(move || work(system, thread, progress));
            }
            let _end = End(&progress);
            let mut kills = 0;
            while kills < KILLS && !progress.is_over() {
                // At another moment of their work each time.
                progress.more(u64::from(1 + kills % 7));
                kills += u32::from(kill(&endpoint));
            }
        });
        for system in &systems {
            answered(|| system.properties(&SystemPropertyQuery::default()));
        }
    }
}
