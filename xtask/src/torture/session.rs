//! One system's life under torture, and what has to be true of it whatever happens.
//!
//! Calls may be refused. But: nothing hangs; each process has one exit status, told once, and it is the true one unless
//! the system was harmed on purpose; what it wrote arrives, and no other byte; the end of the system is told once.

use std::{
    fs::File,
    io::{Read, Write as _},
    os::fd::OwnedFd,
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use hcs::{
    ComputeSystem, Failure, HResult, Operation, Process,
    documents::{self, ProcessParameters, Signal},
    raw::{Event, event_type},
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{
    client::{LIMIT, Shared},
    random::Random,
    sandbox::Mark,
};

/// A broken promise.
type Promise<T> = Result<T, String>;

/// `ERROR_TIMEOUT`.
const TIMED_OUT: u16 = 1460;
/// 128 + SIGKILL.
const KILLED: u32 = 137;
/// 128 + SIGTERM.
const TERMINATED: u32 = 143;

/// More processes than the container may have.
const BOMB: &str = "for i in $(seq 100); do sleep 3 & done; exit 3";

/// More memory than a small container may have; `tail` is what is killed.
const HUNGRY: &str = "head -c 200m /dev/zero | tail -c 199m > /dev/null; exit $?";

/// Counts the exit events of one handle.
#[derive(Default)]
struct Exits {
    told: Mutex<usize>,
    changed: Condvar,
}

impl Exits {
    fn callback(self: &Arc<Self>) -> Arc<dyn Fn(&Event) + Send + Sync> {
        let exits = Arc::clone(self);
        Arc::new(move |event| {
            if matches!(
                event.event_type,
                event_type::PROCESS_EXITED | event_type::SYSTEM_EXITED
            ) {
                *exits.told.lock().unwrap_or_else(PoisonError::into_inner) += 1;
                exits.changed.notify_all();
            }
        })
    }

    /// The event has come, or comes now, and there is one.
    fn check(&self, what: &str) -> Promise<()> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .changed
            .wait_timeout_while(told, LIMIT, |told| *told == 0);
        match *waited.unwrap_or_else(PoisonError::into_inner).0 {
            1 => Ok(()),
            told => Err(format!("{what}: {told} exit events came")),
        }
    }
}

/// The result of a call that may be refused, but must be answered.
fn answered<T>(shared: &Shared, what: &str, mut operation: Operation<T>) -> Promise<Option<T>> {
    match operation.wait_for(LIMIT) {
        Ok(value) => Ok(Some(value)),
        Err(failure) if failure.hresult == HResult::HCS_E_OPERATION_TIMEOUT => {
            Err(format!("{what} hangs"))
        }
        Err(failure) => {
            shared.refused(what, failure.hresult);
            Ok(None)
        }
    }
}

/// A service that is gone or on its way back: to be asked again.
fn is_lost(failure: &Failure) -> bool {
    [
        HResult::HCS_E_SERVICE_DISCONNECT,
        HResult::HCS_E_SERVICE_NOT_AVAILABLE,
    ]
    .contains(&failure.hresult)
}

struct Session<'a> {
    system: ComputeSystem,
    shared: &'a Shared,
}

/// Makes a system, uses it and ends it.
///
/// # Errors
/// What was promised and is not so.
pub(super) fn run(id: &str, random: &mut Random, shared: &Shared) -> Promise<()> {
    let small = random.below(4) == 0;
    let document = documents::ComputeSystem {
        container: Some(documents::Container {
            memory: small.then_some(documents::ContainerMemory {
                size_in_mb: Some(48),
            }),
            ..Default::default()
        }),
        should_terminate_on_last_handle_closed: Some(true),
        ..Default::default()
    };
    let Some(system) = answered(shared, "create", ComputeSystem::create(id, &document))? else {
        // Time for a service that cannot serve.
        thread::sleep(Duration::from_millis(50));
        return Ok(());
    };
    let exits = Arc::new(Exits::default());
    let watched = system.raw().set_callback(0, Some(exits.callback()));
    watched.map_err(|e| format!("events: {e}"))?;
    let session = Session { system, shared };
    let mut acts = Vec::new();
    let done = session.use_it(random, small, &mut acts).map_err(|wrong| {
        let limited = if small { "a memory limit" } else { "no limit" };
        format!("{wrong} ({limited}, acts {acts:?})")
    });
    session.end()?;
    exits.check("the system")?;
    done
}

impl Session<'_> {
    /// Whether the system was harmed on purpose, so that its processes may be killed or lost.
    fn is_harmed(&self) -> bool {
        if self.shared.cut {
            // With its connection it loses its handles, and with them the system.
            return true;
        }
        self.has(Mark::Harmed)
    }

    fn has(&self, mark: Mark) -> bool {
        let name = self.system.runtime_id().unwrap_or_default();
        !name.is_empty() && mark.file(&self.shared.marks, name).exists()
    }

    fn answered<T>(&self, what: &str, operation: Operation<T>) -> Promise<Option<T>> {
        answered(self.shared, what, operation)
    }

    /// What is done goes to `acts`, number by number, for the message about a broken promise.
    fn use_it(&self, random: &mut Random, small: bool, acts: &mut Vec<usize>) -> Promise<()> {
        if self.answered("start", self.system.start())?.is_none() {
            return Ok(());
        }
        let companion = self.companion()?;
        for _ in 0..=random.below(5) {
            let act = random.below(8);
            acts.push(act);
            match act {
                0 => self.ended("sleep 1000", &[KILLED], |process| {
                    self.answered("terminate process", process.terminate())
                        .map(|done| done.is_some())
                })?,
                1 => self.ended("exec sleep 1000", &[TERMINATED, KILLED], |process| {
                    let signalled = self.answered("signal", process.signal(Signal::Linux(15)))?;
                    // A service that died may have sent it or not.
                    let done = signalled.is_some()
                        || self
                            .answered("terminate process", process.terminate())?
                            .is_some();
                    Ok(done)
                })?,
                2 => {
                    let _paused = self.answered("pause", self.system.pause())?;
                    self.resume()?;
                }
                3 => {
                    self.ended(BOMB, &[2, 3, 254], |_| Ok(true))?;
                    // Nothing else can be started for a while.
                    break;
                }
                4 if small => {
                    self.ended(HUNGRY, &[KILLED], |_| Ok(true))?;
                }
                _ => {
                    let code = random.below(120);
                    let count = random.below(300_000);
                    self.echo(
                        &format!("cat; exit {code}"),
                        u32::try_from(code).unwrap_or(0),
                        &random.bytes(count),
                    )?;
                }
            }
        }
        if let Some((process, exits, streams)) = companion
            && self.echo_with(&process, streams, 77, &random.bytes(1000))?
        {
            exits.check("the companion")?;
        }
        Ok(())
    }

    /// A process that lives beside the others. It has answered, so its shell has forked: a shell that cannot fork,
    /// as [`BOMB`] took all places for processes, would rightly end with 2.
    fn companion(&self) -> Promise<Option<(Process, Arc<Exits>, Streams)>> {
        let Some((mut process, exits)) = self.begin("cat; exit 77")? else {
            return Ok(None);
        };
        let streams = streams(&mut process)?;
        // A process that was killed takes nothing.
        let _sent = rustix::io::write(&streams.0, b"!");
        let limit = Timespec::try_from(LIMIT).map_err(|e| e.to_string())?;
        let ready = poll(&mut [PollFd::new(&streams.1, PollFlags::IN)], Some(&limit));
        if ready.map_err(|e| format!("stdout of the companion: {e}"))? == 0 {
            return Err("the companion does not answer".to_owned());
        }
        let mut first = [0];
        let came = rustix::io::read(&streams.1, &mut first);
        match came.map_err(|e| format!("stdout of the companion: {e}"))? {
            // Its end, which is judged as that of each other process.
            0 => {}
            _ if first == *b"!" => {}
            _ => return Err(format!("the companion answers {first:?}")),
        }
        Ok(Some((process, exits, streams)))
    }

    /// A paused system cannot be used or ended politely.
    fn resume(&self) -> Promise<()> {
        let limit = Instant::now() + LIMIT;
        loop {
            match self.system.resume().wait_for(LIMIT) {
                Err(failure) if failure.hresult == HResult::HCS_E_OPERATION_TIMEOUT => {
                    return Err("resume hangs".to_owned());
                }
                Err(failure) if is_lost(&failure) && Instant::now() < limit => {
                    self.shared.refused("resume", failure.hresult);
                }
                // It was not paused after all, or is gone.
                _ => return Ok(()),
            }
        }
    }

    fn begin(&self, script: &str) -> Promise<Option<(Process, Arc<Exits>)>> {
        let parameters = ProcessParameters {
            command_args: Some(["/bin/sh", "-c", script].map(str::to_owned).to_vec()),
            create_std_in_pipe: Some(true),
            create_std_out_pipe: Some(true),
            ..Default::default()
        };
        let Some(process) =
            self.answered("create process", self.system.create_process(&parameters))?
        else {
            return Ok(None);
        };
        let exits = Arc::new(Exits::default());
        let watched = process.raw().set_callback(0, Some(exits.callback()));
        watched.map_err(|e| format!("events: {e}"))?;
        Ok(Some((process, exits)))
    }

    /// Runs `script`, lets `act` do something that ends it, and checks how it ended. When `act` could not, nothing is
    /// said of the end: it comes with the system's.
    fn ended(
        &self,
        script: &str,
        codes: &[u32],
        act: impl FnOnce(&Process) -> Promise<bool>,
    ) -> Promise<()> {
        let Some((process, exits)) = self.begin(script)? else {
            return Ok(());
        };
        if !act(&process)? {
            return Ok(());
        }
        self.exit(&process, codes)
            .map_err(|wrong| format!("{script}: {wrong}"))?;
        exits.check(script)
    }

    fn echo(&self, script: &str, code: u32, sent: &[u8]) -> Promise<()> {
        let Some((mut process, exits)) = self.begin(script)? else {
            return Ok(());
        };
        let streams = streams(&mut process)?;
        if self.echo_with(&process, streams, code, sent)? {
            exits.check(script)?;
        }
        Ok(())
    }

    fn echo_with(
        &self,
        process: &Process,
        (stdin, stdout): Streams,
        code: u32,
        sent: &[u8],
    ) -> Promise<bool> {
        let got = thread::scope(|scope| {
            scope.spawn(|| {
                // A process that was killed takes no more.
                let _sent = File::from(stdin).write_all(sent);
            });
            read_to_end(stdout)
        })?;
        let known = self.exit(process, &[code])?;
        let whole = got == sent;
        if whole || (self.is_harmed() && sent.starts_with(&got)) {
            return Ok(known);
        }
        Err(format!(
            "{} bytes were sent, {} came back{}",
            sent.len(),
            got.len(),
            if sent.starts_with(&got) {
                ""
            } else {
                ", some of them others"
            }
        ))
    }

    /// Waits for the exit of a process, which must be one of `codes`, unless its system was harmed. Returns whether it
    /// is known that it has exited.
    fn exit(&self, process: &Process, codes: &[u32]) -> Promise<bool> {
        let limit = Instant::now() + LIMIT;
        loop {
            match process.exit().wait_for(LIMIT) {
                Ok(status) if codes.contains(&status.code) => return Ok(true),
                Ok(status) if status.code == KILLED && self.is_harmed() => return Ok(true),
                Ok(status) => {
                    let (id, code) = (process.id(), status.code);
                    return Err(format!(
                        "process {id} ended with {code} instead of {codes:?}"
                    ));
                }
                Err(failure) if failure.hresult == HResult::from_win32(TIMED_OUT) => {
                    return Err(format!("process {} does not exit", process.id()));
                }
                Err(failure) if is_lost(&failure) && Instant::now() < limit => {
                    self.shared.refused("exit", failure.hresult);
                }
                Err(_) if self.is_harmed() || self.has(Mark::Forgotten) => return Ok(false),
                Err(failure) => {
                    return Err(format!("the exit of process {}: {failure}", process.id()));
                }
            }
        }
    }

    /// Terminates the system and waits for its end.
    fn end(&self) -> Promise<()> {
        let limit = Instant::now() + LIMIT;
        while Instant::now() < limit {
            match self.system.terminate().wait_for(LIMIT) {
                Ok(()) => break,
                Err(failure) if failure.hresult == HResult::HCS_E_OPERATION_TIMEOUT => {
                    return Err("terminate hangs".to_owned());
                }
                Err(failure) => {
                    self.shared.refused("terminate", failure.hresult);
                    let stopped = [
                        HResult::HCS_E_SYSTEM_ALREADY_STOPPED,
                        HResult::HCS_E_SYSTEM_NOT_FOUND,
                    ];
                    if stopped.contains(&failure.hresult) {
                        break;
                    }
                    thread::sleep(Duration::from_millis(20));
                }
            }
        }
        let limit = Instant::now() + LIMIT;
        loop {
            match self.system.exit().wait_for(LIMIT) {
                Ok(_) => return Ok(()),
                Err(failure) if is_lost(&failure) && Instant::now() < limit => {}
                Err(failure) => return Err(format!("the end of the system: {failure}")),
            }
        }
    }
}

/// Stdin and stdout of a process.
type Streams = (OwnedFd, OwnedFd);

fn streams(process: &mut Process) -> Promise<Streams> {
    let streams = process.take_stdin().zip(process.take_stdout());
    streams.ok_or_else(|| "a process came without its streams".to_owned())
}

fn read_to_end(stdout: OwnedFd) -> Promise<Vec<u8>> {
    let mut file = File::from(stdout);
    let mut all = Vec::new();
    let mut part = vec![0; 64 << 10];
    let limit = Timespec::try_from(LIMIT).map_err(|e| e.to_string())?;
    loop {
        let ready = poll(&mut [PollFd::new(&file, PollFlags::IN)], Some(&limit));
        if ready.map_err(|e| format!("stdout: {e}"))? == 0 {
            return Err(format!("stdout does not end; {} bytes came", all.len()));
        }
        match file.read(&mut part) {
            Ok(0) => return Ok(all),
            Ok(count) => all.extend_from_slice(&part[..count]),
            Err(e) => return Err(format!("stdout: {e}")),
        }
    }
}
