//! The task that drives one system: takes the steps the queue decides, runs what they begin, and sees the end of the
//! machine and of the link.
//!
//! ```text
//!   queue ──Begin──▶ occupying lane (start, pause, ...)  ─┐
//!         ──Begin──▶ terminating lane                    ─┼─ finished ─▶ queue.finish, answer the caller
//!         ──Refuse─▶ answer the caller                    │
//!   machine gone ─────────────────────────────────────────┴────────────▶ ending
//! ```

use std::{future::Future, os::fd::OwnedFd, pin::Pin, rc::Rc};

use hcs_lifecycle::system::{Action, Decision, State, Ticket};
use hcs_schema::{Failure, HResult};
use tokio::io::{Interest, unix::AsyncFd};
use tracing::{Instrument as _, debug, error, info, info_span};

use super::{Initiator, System, actions, ending, ending::SETTLE_TIME};
use crate::{
    record::{
        event_log::Kind,
        failures::cancelled,
        operations::{self, Timeline},
    },
    thread::readiness,
};

/// How long a start is waited for whose machine has ended as soon as it was created. A call that is sent along with the
/// creation is there within a millisecond, on a busy host within some.
const BEGIN_TIME: std::time::Duration = std::time::Duration::from_millis(100);

/// A running action.
pub(super) type Running = Pin<Box<dyn Future<Output = Result<(), Failure>>>>;

struct Work {
    ticket: Ticket,
    action: Action,
    initiator: Initiator,
    running: Running,
}

/// What runs for one system.
#[derive(Default)]
struct Lanes {
    occupying: Option<Work>,
    terminating: Option<Work>,
    /// In the place of the first, which is taken still.
    unexplained: Option<Unexplained>,
    /// Not a call: getting the link to the agent back, or ending a system whose agent is not to be believed.
    upkeep: Option<Pin<Box<dyn Future<Output = ()>>>>,
}

/// Starts the task.
///
/// # Errors
/// The end of the machine cannot be watched.
pub(super) fn start(system: &Rc<System>) -> Result<(), Failure> {
    let watch = || -> std::io::Result<AsyncFd<OwnedFd>> {
        let descriptor = system.machine.exit_descriptor().try_clone_to_owned()?;
        readiness::watch(descriptor, Interest::READABLE)
    };
    let gone = watch().map_err(|e| {
        Failure::new(HResult::E_FAIL, "the end of the machine cannot be watched").because(&e)
    })?;
    let span = info_span!(parent: None, "system", id = %system.id, runtime_id = %system.runtime_id);
    let driven = drive(Rc::clone(system), gone).instrument(span);
    tokio::task::spawn_local(async move {
        let guard = Undriven;
        driven.await;
        std::mem::forget(guard);
    });
    Ok(())
}

/// A system whose driver has broken off would never do anything again, and no client would hear of it. The next service
/// takes it over as it is; so this one ends.
struct Undriven;

impl Drop for Undriven {
    fn drop(&mut self) {
        if std::thread::panicking() {
            error!(
                "the task that drives a system broke off; the service ends, to be started again"
            );
            std::process::abort();
        }
    }
}

async fn drive(system: Rc<System>, gone: AsyncFd<OwnedFd>) {
    let mut lanes = Lanes::default();
    loop {
        take_steps(&system, &mut lanes);
        if lanes.upkeep.is_none() && system.unlinked.take() {
            lanes.upkeep = Some(Box::pin(actions::reach(Rc::clone(&system))));
        }
        let mendable = lanes.upkeep.is_none() && system.fault.borrow().is_none();
        let link = if mendable { system.link() } else { None };
        tokio::select! {
            biased;
            _ = gone.readable() => break,
            (work, result) = finished(&mut lanes.occupying) => match result {
                Err(failure) if is_unexplained(&work, &failure, lanes.terminating.is_some()) => {
                    lanes.unexplained = Some(Unexplained::new(work, failure));
                }
                result => settle(&system, &work, result),
            },
            (work, failure) = stays_unexplained(&mut lanes.unexplained) => settle(&system, &work, Err(failure)),
            (work, result) = finished(&mut lanes.terminating) => settle(&system, &work, result),
            () = upkeep(&mut lanes.upkeep) => {
                lanes.upkeep = None;
                system.link_changed.notify_waiters();
            }
            () = link_ended(link.as_deref()) => lanes.upkeep = Some(Box::pin(actions::mend(Rc::clone(&system)))),
            () = system.wake.notified() => take_cancellations(&system, &mut lanes),
        }
    }
    debug!("the machine is gone");
    await_start(&system, &mut lanes).await;
    hear_failed_start(&system, &mut lanes).await;
    let timeline = ending_call(&system, &lanes);
    drop(lanes);
    let end = ending::end(&system, || take_steps(&system, &mut Lanes::default()));
    operations::carry(timeline, end).await;
}

/// The call that the end of the machine is the work of, if it is.
fn ending_call(system: &System, lanes: &Lanes) -> Option<Rc<Timeline>> {
    let shutting_down = lanes.occupying.as_ref();
    let shutting_down = shutting_down.filter(|work| work.action == Action::ShutDown);
    let work = lanes.terminating.as_ref().or(shutting_down)?;
    system.waiters.borrow().get(&work.ticket)?.timeline.clone()
}

/// Begins the start of a machine that has failed before: the client may have sent it along with the creation, and it
/// alone hears why. Nothing else is begun: a machine that was not told to end has not been terminated.
async fn await_start(system: &Rc<System>, lanes: &mut Lanes) {
    // A start that lost its agent has been begun.
    if system.state() != State::Created || lanes.unexplained.is_some() {
        return;
    }
    let waits = |action: Action| {
        let waiters = system.waiters.borrow();
        waiters.values().any(|one| one.request.action() == action)
    };
    let begun = async {
        loop {
            let is_busy = lanes.occupying.is_some() || lanes.terminating.is_some();
            if is_busy || waits(Action::Terminate) || waits(Action::Modify) {
                return;
            }
            // What is refused goes; only a start can begin.
            take_steps(system, lanes);
            if lanes.occupying.is_some() {
                return;
            }
            system.wake.notified().await;
        }
    };
    // Without a start there is nothing to tell.
    let _begun = tokio::time::timeout(BEGIN_TIME, begun).await;
}

/// A start whose machine is gone knows best why: its failure is the answer, if it comes soon. A start that
/// was terminated, or lost its agent, is answered like every call that the end of a system interrupts.
async fn hear_failed_start(system: &Rc<System>, lanes: &mut Lanes) {
    let starting = lanes.occupying.take_if(|work| work.action == Action::Start);
    let Some(mut work) = starting.filter(|_| lanes.terminating.is_none()) else {
        return;
    };
    let heard = tokio::time::timeout(SETTLE_TIME, work.running.as_mut()).await;
    if let Ok(Err(failure)) = heard
        && failure.hresult != HResult::HCS_E_CONNECTION_CLOSED
    {
        settle(system, &work, Err(failure));
    }
}

/// A start that lost its agent, or that failed while its machine was being terminated. An agent that ends with its
/// machine is gone first, for a moment; so the machine is waited for. When it has ended, that is the answer, and not
/// what the start noticed of it.
struct Unexplained {
    work: Work,
    failure: Failure,
    patience: Pin<Box<tokio::time::Sleep>>,
}

impl Unexplained {
    fn new(work: Work, failure: Failure) -> Self {
        let patience = Box::pin(tokio::time::sleep(SETTLE_TIME));
        Self {
            work,
            failure,
            patience,
        }
    }
}

fn is_unexplained(work: &Work, failure: &Failure, is_terminating: bool) -> bool {
    let lost = failure.hresult == HResult::HCS_E_CONNECTION_CLOSED;
    work.action == Action::Start && (lost || is_terminating)
}

/// Waits until the machine of a start has had its time to end, and takes it out; for ever while there is none.
async fn stays_unexplained(start: &mut Option<Unexplained>) -> (Work, Failure) {
    if let Some(start) = start {
        start.patience.as_mut().await;
    }
    match start.take() {
        Some(start) => (start.work, start.failure),
        None => std::future::pending().await,
    }
}

/// Waits for the work in a lane and takes it out; for ever while the lane is empty.
async fn finished(lane: &mut Option<Work>) -> (Work, Result<(), Failure>) {
    let result = match lane {
        Some(work) => work.running.as_mut().await,
        None => std::future::pending().await,
    };
    match lane.take() {
        Some(work) => (work, result),
        None => std::future::pending().await,
    }
}

async fn upkeep(lane: &mut Option<Pin<Box<dyn Future<Output = ()>>>>) {
    match lane {
        Some(running) => running.as_mut().await,
        None => std::future::pending().await,
    }
}

async fn link_ended(link: Option<&crate::system::guest_link::GuestLink>) {
    match link {
        Some(link) => link.ended().await,
        None => std::future::pending().await,
    }
}

/// Takes all steps the queue has.
fn take_steps(system: &Rc<System>, lanes: &mut Lanes) {
    loop {
        // The queue is not borrowed while a step is taken.
        let step = system.queue.borrow_mut().next();
        match step {
            None => return,
            Some(Decision::Begin(ticket, Action::CreateProcess)) => answer(system, ticket, Ok(())),
            Some(Decision::Begin(ticket, action)) => begin(system, lanes, ticket, action),
            Some(Decision::Refuse(ticket, refusal)) => {
                let action = requested(system, ticket);
                answer(system, ticket, Err(system.refused(action, refusal)));
            }
            Some(Decision::Settle(ticket, result)) => {
                let action = requested(system, ticket);
                answer(
                    system,
                    ticket,
                    result.map_err(|refusal| system.refused(action, refusal)),
                );
            }
        }
    }
}

fn requested(system: &System, ticket: Ticket) -> Action {
    let waiters = system.waiters.borrow();
    // A ticket without a waiter was cancelled; no task reads what is said about it.
    waiters
        .get(&ticket)
        .map_or(Action::Terminate, |waiter| waiter.request.action())
}

fn answer(system: &System, ticket: Ticket, result: Result<(), Failure>) {
    system.cancelled.borrow_mut().remove(&ticket);
    if let Some(waiter) = system.waiters.borrow_mut().remove(&ticket) {
        // The caller may have left.
        drop(waiter.sender.send(result));
    }
}

fn begin(system: &Rc<System>, lanes: &mut Lanes, ticket: Ticket, action: Action) {
    let (running, initiator) = match system.waiters.borrow().get(&ticket) {
        Some(waiter) => {
            if let Some(timeline) = &waiter.timeline {
                timeline.step("begun");
            }
            let running = actions::run(system, &waiter.request);
            let running: Running = Box::pin(operations::carry(waiter.timeline.clone(), running));
            (running, waiter.initiator)
        }
        None => {
            let given_up: Running = Box::pin(async { Err(cancelled()) });
            (given_up, Initiator::Service)
        }
    };
    debug!(operation = %initiator, "{}: begun", action.verb());
    let work = Work {
        ticket,
        action,
        initiator,
        running,
    };
    if action == Action::Terminate {
        lanes.terminating = Some(work);
    } else {
        system.running.replace(Some((action, initiator)));
        lanes.occupying = Some(work);
    }
}

/// The event that a finished action is.
pub(super) const fn event_of(action: Action) -> Option<Kind> {
    match action {
        Action::Start => Some(Kind::SystemStarted),
        Action::Pause => Some(Kind::SystemPaused),
        Action::Resume => Some(Kind::SystemResumed),
        Action::Modify => Some(Kind::SystemModified),
        // The end of a system is told when it is there.
        Action::ShutDown | Action::Terminate | Action::Save { .. } | Action::CreateProcess => None,
    }
}

fn settle(system: &Rc<System>, work: &Work, result: Result<(), Failure>) {
    match &result {
        Ok(()) => {
            info!(operation = %work.initiator, "{}: done", work.action.verb());
            if let Some(kind) = event_of(work.action) {
                system.note(kind, None, work.initiator, None);
            }
        }
        Err(failure) => {
            // Its caller is told, and the event log has it; a client that asks for nonsense does not fill the log.
            debug!(operation = %work.initiator, result = %failure.hresult, "{}: failed: {}", work.action.verb(), failure.log_line());
        }
    }
    if work.action != Action::Terminate {
        system.running.take();
    }
    system
        .queue
        .borrow_mut()
        .finish(work.ticket, result.is_ok());
    answer(system, work.ticket, result);
}

/// Turns what was cancelled while it ran into its own undoing. A terminate that has begun goes on: there is no way
/// back from a kill.
fn take_cancellations(system: &Rc<System>, lanes: &mut Lanes) {
    let Some(work) = &mut lanes.occupying else {
        return;
    };
    if !system.cancelled.borrow_mut().remove(&work.ticket) {
        return;
    }
    info!(operation = %work.initiator, "{}: cancelled", work.action.verb());
    let waiter = system.waiters.borrow_mut().remove(&work.ticket);
    let timeline = waiter.and_then(|waiter| waiter.timeline);
    let name = timeline.and_then(|timeline| timeline.name().cloned());
    let begun = std::mem::replace(&mut work.running, Box::pin(std::future::pending()));
    work.running = actions::undo(system, work.action, name, begun);
}
