//! Requests about one process: wait, signal, resize.

use std::{
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use hcs_schema::{Failure, HResult, win32};
use hcs_wire::{
    errno,
    guest::{
        FetchStdio, FetchStdioResponse, MAX_NAME_BYTES, NO_TIMEOUT, Naming, RecallCall,
        RecallCallResponse, ResizeConsole, SignalProcess, WaitForProcess, WaitForProcessResponse,
        code,
    },
};

use rustix::io::Errno;

use super::{BridgeAnswer, BridgeCall};
use crate::{
    agent::Agent,
    command::ConsoleSize,
    link::Link,
    session,
    sys::signals,
    waits::{MAX_WAITS, Wait},
};

const SIGKILL: i32 = 9;
/// The highest signal number of Linux.
const MAX_SIGNAL: i32 = 64;

impl<L: Link> Agent<L> {
    pub(super) fn wait_for_process(
        &mut self,
        call: &BridgeCall,
        request: &WaitForProcess,
    ) -> BridgeAnswer {
        let pid = request.process_id;
        if !self.processes.contains_key(&pid) {
            let exit_code = self.exits.claim(pid).ok_or_else(|| unknown(pid))?;
            let base = call.base();
            return call.answer(&WaitForProcessResponse { base, exit_code });
        }
        let limit = (request.timeout_in_ms != NO_TIMEOUT)
            .then(|| Duration::from_millis(request.timeout_in_ms.into()));
        let wait = Wait {
            id: call.id,
            activity_id: call.activity_id.clone(),
            deadline: limit.and_then(|limit| Instant::now().checked_add(limit)),
        };
        if !self.waits.add(pid, wait) {
            let message = format!("{MAX_WAITS} requests wait for processes already");
            let hresult = HResult::from_win32(win32::ERROR_NO_SYSTEM_RESOURCES);
            return Err(Failure::new(hresult, message));
        }
        Ok(None)
    }

    /// Sends to the process alone, as that is what the handle of a process means, or to its group if that is asked for.
    /// Control characters typed into a console reach the group in the foreground, through the terminal.
    pub(super) fn signal_process(
        &mut self,
        call: &BridgeCall,
        request: &SignalProcess,
    ) -> BridgeAnswer {
        let name = self.take_naming(&request.naming)?;
        if self.calls.get(name).is_some() {
            return call.done();
        }
        let pid = request.process_id;
        let options = request.options.unwrap_or_default();
        let signal = match options.signal {
            0 => SIGKILL,
            signal @ 1..=MAX_SIGNAL => signal,
            other => {
                let message =
                    format!("{other} is no signal: 1 to {MAX_SIGNAL} are, 0 means {SIGKILL}");
                return Err(Failure::new(HResult::E_INVALIDARG, message));
            }
        };
        self.check_running(pid)?;
        let leader = pid.cast_signed();
        // Each leads a session and a group.
        let receiver = if options.group { -leader } else { leader };
        signals::send(receiver, signal).map_err(|errno| {
            errno::failed(
                &format!("signal {signal} cannot be sent to process {pid}"),
                errno,
            )
        })?;
        if options.group && signal == SIGKILL {
            session::kill(&self.facts.own, leader);
        }
        self.calls.done(name, None);
        call.done()
    }

    pub(super) fn resize_console(
        &mut self,
        call: &BridgeCall,
        request: &ResizeConsole,
    ) -> BridgeAnswer {
        let name = self.take_naming(&request.naming)?;
        if self.calls.get(name).is_some() {
            return call.done();
        }
        let pid = request.process_id;
        self.check_running(pid)?;
        let console = self.processes.get(&pid).and_then(|process| process.console);
        let Some(console) = console.and_then(|number| self.consoles.get(&number)) else {
            let message = format!("process {pid} has no emulated console to resize");
            return Err(Failure::new(HResult::E_INVALIDARG, message));
        };
        let size = ConsoleSize {
            rows: request.height,
            columns: request.width,
        };
        console.resize(size).map_err(|errno| {
            errno::failed(
                &format!("the console of process {pid} cannot be resized"),
                errno,
            )
        })?;
        self.calls.done(name, None);
        call.done()
    }

    /// What became of a call.
    pub(super) fn recall(&mut self, call: &BridgeCall, request: &RecallCall) -> BridgeAnswer {
        if request.release_earlier {
            self.calls.release_earlier();
        }
        let done = self.calls.get(&request.call_name);
        let answer = RecallCallResponse {
            base: call.base(),
            known: done.is_some(),
            forgetful: self.calls.is_forgetful(),
            process_id: done.and_then(|done| done.pid).unwrap_or_default(),
            exit_code: done.and_then(|done| done.exit),
        };
        call.answer(&answer)
    }

    /// Forgets the calls that a request releases; answers the name of the call that it is made for, empty for none.
    pub(super) fn take_naming<'a>(&mut self, naming: &'a Naming) -> Result<&'a str, Failure> {
        self.calls.release(&naming.released);
        let name = naming.call_name.as_str();
        if name.len() > MAX_NAME_BYTES {
            let message = format!(
                "CallName has {} bytes; at most {MAX_NAME_BYTES} were expected",
                name.len()
            );
            return Err(Failure::new(HResult::E_INVALIDARG, message));
        }
        Ok(name)
    }

    /// Hands out ways back to the pipes that were given for a process. The message carries them itself.
    pub(super) fn fetch_stdio(&mut self, call: &BridgeCall, request: &FetchStdio) -> BridgeAnswer {
        if !self.link.passes_descriptors() {
            let message = "descriptors cannot be sent out of a virtual machine";
            return Err(Failure::new(HResult::NOT_SUPPORTED, message));
        }
        self.check_running(request.process_id)?;
        let Some(process) = self.processes.get(&request.process_id) else {
            return Err(unknown(request.process_id));
        };
        let kept = process.kept.pipes.as_ref();
        let copied = kept.try_map(|end| end.as_ref().map(OwnedFd::try_clone).transpose());
        let pipes = copied.map_err(|error| {
            let message = format!("the stdio of process {} cannot be sent", request.process_id);
            Failure::new(HResult::E_OUTOFMEMORY, message).because(&error)
        })?;
        let streams = pipes.present();
        let message = call.answer(&FetchStdioResponse {
            base: call.base(),
            std_in: streams.stdin,
            std_out: streams.stdout,
            std_err: streams.stderr,
        })?;
        let refused = format!("the stdio of process {} cannot be sent", request.process_id);
        let refused = call.failed(&errno::failed(&refused, Errno::TOOMANYREFS));
        if let (Some(stream), Some(message)) = (&mut self.stream, message) {
            let pipes = pipes.into_array().into_iter().flatten().collect();
            stream.push_with(&message, pipes, refused);
        }
        Ok(None)
    }

    /// Fails unless `pid` is a process of ours that has not exited.
    fn check_running(&self, pid: u32) -> Result<(), Failure> {
        if self.processes.contains_key(&pid) {
            return Ok(());
        }
        Err(match self.exits.peek(pid) {
            Some(code) => {
                let message = format!("process {pid} has already exited with code {code}");
                Failure::new(code::PROCESS_ALREADY_STOPPED, message)
            }
            None => unknown(pid),
        })
    }
}

fn unknown(pid: u32) -> Failure {
    let message =
        format!("no process {pid} was started by this service, or its end is long forgotten");
    Failure::new(HResult::NOT_FOUND, message)
}
