//! What the agent of a system has left: the exits and the calls that an earlier service may have heard of and not
//! written down ([`hcs_wire::guest::LeftRecord`]).
//!
//! It is read when the machine is gone, where something may not be known: a process that no agent has told the end of,
//! or calls and handles of clients that had them at an earlier service.

use std::{rc::Rc, sync::Arc, time::Duration};

use hcs_engine::engine::Guest;
use hcs_schema::Failure;
use hcs_wire::guest::{LeftRecord, RecallCallResponse};
use tracing::{info, warn};

use super::{Initiator, System, actions::let_others_run};
use crate::{
    record::{
        blocking::blocking_within,
        ending::Ending,
        event_log::{self, Kind},
        failures::unknown,
    },
    system::process::Process,
};

/// How long that may take to be read.
const READING: Duration = Duration::from_secs(10);

impl System {
    /// [`System::learn`] for a system that has ended while no service was there: clients that had it may come back.
    pub(super) async fn learn_of_gone(self: &Rc<Self>) {
        self.expect_back(true);
        self.learn(true).await;
    }

    /// Takes in what its agent has left, where that `is_of_use`, once its machine is gone. Again is fine.
    pub(super) async fn learn(self: &Rc<Self>, is_of_use: bool) {
        if self.left.get().is_some() {
            return;
        }
        let record = match is_of_use {
            true => self.read_left().await,
            false => LeftRecord::default(),
        };
        if record.complete {
            self.complete.set(true);
        }
        let mut found = 0;
        for process in self.processes.living() {
            let Some(code) = record.exit(process.pid()) else {
                continue;
            };
            if self.exit_was_told(process.pid()) {
                process.set_exit_is_told();
            }
            process.exited(Some(code));
            found += 1;
            let_others_run(found).await;
        }
        if found > 0 {
            info!(found, "its agent has left exits that were not known");
        }
        let _first = self.left.set(record);
        self.link_changed.notify_waiters();
    }

    /// Whether an earlier service has written an exit into the event log, and came to write it nowhere else.
    fn exit_was_told(&self, pid: u32) -> bool {
        let context = self.context().ok().filter(|_| self.expected_back.get());
        context.is_some_and(|context| context.log.told_exit(&self.runtime_id, pid))
    }

    async fn read_left(&self) -> LeftRecord {
        let machine = Arc::clone(&self.machine);
        let reading = move || {
            let left = machine.guest().map_or(Ok(Vec::new()), Guest::left)?;
            Ok(LeftRecord::read(&left))
        };
        let read = blocking_within(READING, "reading what the agent has left", reading).await;
        read.unwrap_or_else(|failure| {
            warn!("{}", failure.log_line());
            // Calls that may be in it are not known, which is not the same as not done.
            LeftRecord {
                forgetful: true,
                ..LeftRecord::default()
            }
        })
    }

    /// What its agent has left, once that is known. To be asked of a system that has ended, or is about to.
    pub(crate) async fn left(&self) -> &LeftRecord {
        loop {
            let changed = self.link_changed.notified();
            if let Some(left) = self.left.get() {
                return left;
            }
            changed.await;
        }
    }

    /// Whether [`System::left`] is known, or not to be waited for.
    pub(crate) fn has_learnt(&self) -> bool {
        self.alive().is_ok() || self.left.get().is_some()
    }

    /// Whether clients that come back may ask for an exit or a call of it, now that it has ended.
    pub(super) fn may_be_asked(&self) -> bool {
        let left = self.left.get();
        let has_left = left.is_some_and(|left| !left.exits.is_empty() || !left.calls.is_empty());
        self.expected_back.get() && (has_left || !self.processes.is_empty())
    }

    /// What became of the call `name`, of a system that has ended; `None` where its agent has done nothing for it.
    ///
    /// # Errors
    /// The agent had to forget calls.
    pub(crate) async fn recalled_from_left(
        &self,
        name: &str,
    ) -> Result<Option<RecallCallResponse>, Failure> {
        let left = self.left().await;
        match left.call(name) {
            Some(call) => Ok(Some(RecallCallResponse {
                known: true,
                process_id: call.process_id,
                exit_code: call.exit_code,
                ..RecallCallResponse::default()
            })),
            None if left.forgetful => Err(unknown("the guest agent had to forget calls")),
            None => Ok(None),
        }
    }

    /// A process that a client knew before the service was restarted, and that is not known here: its exit was on its
    /// way to the client when the service died, and its system has ended since.
    pub(crate) fn remembered_by_left(self: &Rc<Self>, pid: u32) -> Option<Rc<Process>> {
        let code = self.left.get()?.exit(pid)?;
        self.past(pid, Some(code))
    }

    /// The process that a call of an earlier service made in a system that has ended; `None` where the service is
    /// leaving.
    pub(super) fn recalled_past(
        self: &Rc<Self>,
        pid: u32,
        code: Option<u32>,
        exit_is_told: bool,
    ) -> Option<Rc<Process>> {
        let process = self.past(pid, code)?;
        if !exit_is_told {
            let status = event_log::data(&process.status());
            self.note(Kind::ProcessExited, Some(pid), Initiator::Service, status);
        }
        Some(process)
    }

    fn past(self: &Rc<Self>, pid: u32, code: Option<u32>) -> Option<Rc<Process>> {
        let context = self.context().ok()?;
        let ending = Ending {
            code,
            ..Ending::default()
        };
        let share = context.process_quota.count(self.uid);
        Some(Process::past(self, pid, ending, share))
    }
}
