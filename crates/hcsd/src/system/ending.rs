//! The end of a system: everything it owes is paid, everything it had is removed, and the clients that wait are told.

use std::{rc::Rc, sync::Arc, time::Duration};

use hcs_engine::engine::Exit;
use hcs_schema::documents::CrashReport;
use serde_json::json;
use tracing::{error, info, warn};

use super::{Initiator, System, actions::let_others_run};
use crate::{
    record::{
        blocking::{blocking_within, on},
        ending::{Ending, OutOfMemory},
        event_log::{self, Kind},
        operations::{self, CallKeeper as _},
        state::Record,
    },
    system::{events::system_exit, guest_link::GuestLink, process::KILLED},
};
use hcs_lifecycle::system::ExitType;
use hcs_wire::{event_type, service::Subject};

/// How long creations under way, and a start whose machine is gone, are waited for.
pub(super) const SETTLE_TIME: Duration = Duration::from_secs(1);

/// Takes a system apart whose machine is gone. `answer_waiting` answers the calls that still wait, at the very end:
/// when a terminate is answered, nothing of the system runs, its id is free and a restarted service knows nothing of
/// it. What it left on disk is removed in the background.
pub(super) async fn end(system: &Rc<System>, answer_waiting: impl FnOnce()) {
    operations::step("the machine is gone");
    let asked = system.queue.borrow_mut().exited();
    let (told, crash) = told(system, asked).await;
    let link = system.link();
    let agent_told_all = hear_last_exits(system).await;
    // Also where the agent seems to have told all: its last connection may have been lost before it left.
    let is_unknown = !system.processes.living().is_empty();
    system.learn(system.expected_back.get() || is_unknown).await;
    // The agent may have told only now that the command has ended.
    let exit = conclude(asked, told, system.complete.get());
    let out_of_memory = match exit {
        ExitType::Unexpected => system.memory_kill(),
        ExitType::Graceful | ExitType::Forced => {
            system.look_for_memory_kills();
            None
        }
    };
    if let (ExitType::Unexpected, Some(link)) = (exit, link) {
        system.tell_lost(&link);
    }
    end_processes(system, agent_told_all, out_of_memory).await;
    let_go(system).await;
    // Before anything says that it has ended: a client that hears of that may remove its network.
    if let Ok(context) = system.context() {
        context.networks.leave(&system.runtime_id, system.uid).await;
    }

    let fault = system.fault.borrow().clone();
    let document = system_exit((exit, told), out_of_memory.is_some(), fault.as_deref());
    info!(
        exit = exit.name(),
        machine = ?told,
        out_of_memory = out_of_memory.is_some(),
        "ended"
    );
    system.exit.replace(Some(document.clone()));
    system.share.borrow_mut().take();
    free_id(system);
    // Before its record is gone, so that a service that is killed in between can tell its end all the same; one that is
    // killed later finds the event.
    if !system.end_is_told.get() {
        let data = event_log::data(&document);
        system.note(Kind::SystemExited, None, Initiator::Service, data);
    }
    remove(system).await;
    if let Some(report) = crash {
        tell_crash(system, report);
    }
    system
        .watchers
        .push(Subject::System, event_type::SYSTEM_EXITED, Some(&document));
    answer_waiting();
}

/// Gives up what others may want of its machine. That may wait for the kernel, so it is not waited for without end; nor
/// for threads of the client whose call ended it, which may all be in use.
async fn let_go(system: &System) {
    let machine = Arc::clone(&system.machine);
    let letting = move || {
        machine.let_go();
        Ok(())
    };
    match tokio::time::timeout(SETTLE_TIME, on((), letting)).await {
        Ok(Ok(())) => {}
        Ok(Err(failure)) => warn!("it is still held: {}", failure.log_line()),
        Err(_) => warn!("it is still held: the kernel has not closed what it was made of"),
    }
}

/// What the agent had not reported by its own end was killed with it.
async fn end_processes(system: &System, agent_told_all: bool, out_of_memory: Option<OutOfMemory>) {
    for (done, process) in system.processes.living().into_iter().enumerate() {
        process.ended(Ending {
            code: agent_told_all.then_some(KILLED),
            out_of_memory,
            process_limit: None,
        });
        let_others_run(done + 1).await;
    }
}

/// Frees the id. Clients that are expected back find the system by its runtime id.
fn free_id(system: &Rc<System>) {
    let Ok(context) = system.context() else {
        return;
    };
    if system.expected_back.get() {
        context.registry.remember_departed(system);
    }
    context.registry.forget(system);
}

/// How long a machine that is gone may take to tell how it ended.
const TELLING: Duration = Duration::from_secs(1);

/// How the machine says that it ended, and what it knows of a crash of its guest. Not asked of one that was killed
/// here: that is known, and soon answered.
async fn told(system: &System, asked: ExitType) -> (Exit, Option<CrashReport>) {
    if asked == ExitType::Forced {
        return (Exit::Killed, None);
    }
    let machine = Arc::clone(&system.machine);
    let asking = move || {
        let exit = machine.exit();
        let crash = (exit == Exit::Crash).then(|| machine.crash_report());
        Ok((exit, machine.fault(), crash))
    };
    let told = blocking_within(TELLING, "telling how it ended", asking).await;
    let (exit, fault, crash) = told.unwrap_or_default();
    if let Some(fault) = fault {
        warn!("something of it had failed before: {fault}");
    }
    (exit, crash)
}

/// Tells the clients that its guest has crashed, and what is known of that. The guest is heard of when the machine is
/// gone, so both come at once.
fn tell_crash(system: &System, mut report: CrashReport) {
    report.system_id = Some(system.id.clone());
    let Ok(document) = serde_json::to_string(&report) else {
        return;
    };
    for event in [
        event_type::SYSTEM_CRASH_INITIATED,
        event_type::SYSTEM_CRASH_REPORT,
    ] {
        system
            .watchers
            .push(Subject::System, event, Some(&document));
    }
}

/// How a system ended, by what was asked of it and by what its machine told. `complete`: the process had ended that it
/// was to end with.
const fn conclude(asked: ExitType, told: Exit, complete: bool) -> ExitType {
    match (asked, told) {
        // A terminate that comes then forces nothing: the system was ending by itself.
        (ExitType::Forced, _) if complete => ExitType::Graceful,
        (ExitType::Forced, _) => ExitType::Forced,
        (_, Exit::Ended(0) | Exit::PowerOff | Exit::Reset) => ExitType::Graceful,
        // It was to shut down, and never came to that.
        (_, Exit::Ended(_) | Exit::Crash | Exit::Killed) => ExitType::Unexpected,
        (_, Exit::Unknown) if complete => ExitType::Graceful,
        (asked, Exit::Unknown) => asked,
    }
}

impl System {
    /// Tells the clients, once, that the connection to the agent is lost though no client asked the system to end.
    pub(super) fn tell_lost(&self, link: &GuestLink) {
        if link.end_is_told.replace(true) {
            return;
        }
        let reason = link.fault().map(|fault| json!({ "Reason": fault }));
        self.note(
            Kind::GuestConnectionClosed,
            None,
            Initiator::Service,
            reason,
        );
        let event = event_type::SYSTEM_GUEST_CONNECTION_CLOSED;
        self.watchers.push(Subject::System, event, None);
    }
}

/// Takes in the exits the agent reported before it was gone, and lets creations under way learn how they ended.
/// Returns whether the agent was listened to up to its end.
async fn hear_last_exits(system: &Rc<System>) -> bool {
    let link = system.set_link(None);
    if let Some(link) = &link {
        if link.while_it_speaks(link.ended()).await.is_none() {
            warn!("the stream of its agent did not end with it");
            link.close();
        }
        if let Some(fault) = link.fault() {
            system.fault.borrow_mut().get_or_insert(fault);
        }
    }
    let settled = async {
        while system.creating.get() > 0 {
            system.settled.notified().await;
        }
    };
    if tokio::time::timeout(SETTLE_TIME, settled).await.is_err() {
        warn!("a process was still being created when it ended");
    }
    // An exit that was told and not taken in is not known: its process need not have been killed.
    link.is_some_and(|link| link.heard_all()) && system.fault.borrow().is_none()
}

/// The client of the call that created it may not have the answer yet, and ask the next service.
fn note_creation(system: &System) {
    let created = system.ledger.borrow().untold_creation().map(str::to_owned);
    let (Some(name), Ok(context)) = (created, system.context()) else {
        return;
    };
    let ended = Rc::clone(&context.ended);
    ended.add(&name);
    let limit = context.config().times.reconnect() * 2;
    tokio::task::spawn_local(async move {
        tokio::time::sleep(limit).await;
        ended.release(&name);
    });
}

/// Leaves what it left on the host to be removed in the background. Where clients that are expected back may ask for an
/// exit or a call, or have not read what they were told, its record stays until they had their time: a service that is
/// killed before has to be able to tell them what this one could.
async fn remove(system: &Rc<System>) {
    note_creation(system);
    let Ok(context) = system.context() else {
        return;
    };
    let is_kept = system.may_be_asked() || !system.watchers.have_heard();
    if is_kept {
        context.registry.remember_departed(system);
        let machine = Arc::clone(&system.machine);
        context.removals.remove(machine, None, system.uid).await;
    } else {
        forget(system).await;
    }
    if !context.registry.has_departed(system) {
        return;
    }
    let limit = context.config().times.reconnect();
    let system = Rc::clone(system);
    tokio::task::spawn_local(async move {
        tokio::time::sleep(limit).await;
        if is_kept {
            forget(&system).await;
        }
        context.registry.forget_departed(&system);
    });
}

/// Removes the record and the directory of a system that has ended.
pub(super) async fn forget(system: &System) {
    // Whatever happens from here on, the next service has nothing to tell of it.
    if let Err(e) = Record::remove(&system.directory) {
        error!(
            "its state cannot be removed, so a restarted service would tell of its end again: {e}"
        );
    }
    if let Ok(context) = system.context() {
        let machine = Arc::clone(&system.machine);
        let directory = system.directory.clone();
        context
            .removals
            .remove(machine, Some(directory), system.uid)
            .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_knows_better_than_what_was_asked_of_it() {
        let all = [
            (Exit::Unknown, None),
            (Exit::Ended(0), Some(ExitType::Graceful)),
            (Exit::Ended(1), Some(ExitType::Unexpected)),
            (Exit::PowerOff, Some(ExitType::Graceful)),
            (Exit::Reset, Some(ExitType::Graceful)),
            (Exit::Crash, Some(ExitType::Unexpected)),
            (Exit::Killed, Some(ExitType::Unexpected)),
        ];
        for (told, expected) in all {
            for asked in [ExitType::Graceful, ExitType::Unexpected] {
                let concluded = conclude(asked, told, false);
                assert_eq!(concluded, expected.unwrap_or(asked), "{told:?}");
                let complete = conclude(asked, told, true);
                assert_eq!(complete, expected.unwrap_or(ExitType::Graceful), "{told:?}");
            }
            assert_eq!(conclude(ExitType::Forced, told, false), ExitType::Forced);
            assert_eq!(conclude(ExitType::Forced, told, true), ExitType::Graceful);
        }
    }
}
