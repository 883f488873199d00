//! Children that have ended: ours are answered for, adopted ones are only taken off the process table.

use hcs_schema::Failure;
use hcs_wire::guest::{MessageType, ResponseBase, Rpc, WaitForProcessResponse, code, encode};
use rustix::{
    io::Errno,
    process::{WaitOptions, WaitStatus, wait},
};
use std::time::Instant;

use crate::{agent::Agent, link::Link, waits::Wait};

/// What is added to the number of the signal that killed a process.
const SIGNAL_BASE: i32 = 128;

impl<L: Link> Agent<L> {
    /// Takes every ended child off the kernel's table and answers who waits for it.
    pub(crate) fn reap(&mut self) {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => {
                    if let Ok(pid) = u32::try_from(pid.as_raw_nonzero().get()) {
                        self.ended(pid, exit_code(status));
                    }
                }
                Ok(None) => return self.set_childless(false),
                Err(Errno::INTR) => {}
                // ECHILD: there is none at all.
                Err(_) => return self.set_childless(true),
            }
        }
    }

    fn ended(&mut self, pid: u32, code: u32) {
        let Some(process) = self.processes.remove(&pid) else {
            return;
        };
        self.keeper.release(process.kept);
        self.calls.exited(&process.call, code);
        let waits = self.waits.take(pid);
        self.exits.record(pid, code, !waits.is_empty());
        for wait in waits {
            self.push_exit(wait, code);
        }
        self.outputs.process_ended(pid, code);
        if let Some(console) = process.console {
            self.console_process_ended(console);
        }
        if process.ends_system {
            self.end();
        }
    }

    /// Answers the waits whose time is up.
    pub(crate) fn answer_expired_waits(&mut self) {
        if self.waits.next_deadline().is_none() {
            return;
        }
        for (pid, wait) in self.waits.take_expired(Instant::now()) {
            let message = format!("process {pid} has not exited within the time limit");
            let failure = Failure::new(code::TIMEOUT, message);
            let base = ResponseBase::failed(wait.activity_id, &failure);
            self.push_wait_response(wait.id, base, 0);
        }
    }

    fn push_exit(&mut self, wait: Wait, code: u32) {
        let base = ResponseBase {
            activity_id: wait.activity_id,
            ..ResponseBase::default()
        };
        self.push_wait_response(wait.id, base, code);
    }

    fn push_wait_response(&mut self, id: u64, base: ResponseBase, exit_code: u32) {
        let body = WaitForProcessResponse { base, exit_code };
        let kind = MessageType::Response(Rpc::WaitForProcess);
        if let (Some(stream), Ok(message)) = (&mut self.stream, encode(kind, id, &body)) {
            stream.push(&message);
        }
    }
}

/// A plain exit code, or 128 + N for death by signal N.
fn exit_code(status: WaitStatus) -> u32 {
    let code = status.exit_status().or_else(|| {
        status
            .terminating_signal()
            .map(|signal| SIGNAL_BASE + signal)
    });
    code.and_then(|code| u32::try_from(code).ok())
        .unwrap_or_default()
}
