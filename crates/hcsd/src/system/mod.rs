//! One compute system: what is known of it, and the calls that concern it as a whole.
//!
//! A system is driven by one task ([`driver`]), which alone moves it through its life. All other tasks submit calls to
//! the admission queue ([`System::perform`]) and wait.

mod actions;
pub(crate) mod adopt;
pub(crate) mod context;
pub(crate) mod defaults;
mod detached;
mod driver;
mod ending;
pub(crate) mod events;
pub(crate) mod gone;
pub(crate) mod guest_link;
pub(crate) mod launch;
mod left;
mod lost_links;
pub(crate) mod making;
pub(crate) mod memory;
pub(crate) mod process;
pub(crate) mod processes;
pub(crate) mod registry;
pub(crate) mod stdio;

use std::{
    cell::{Cell, OnceCell, RefCell},
    collections::{HashMap, HashSet},
    fmt,
    path::PathBuf,
    rc::{Rc, Weak},
    sync::Arc,
    time::Duration,
};

use hcs_engine::engine::{Engine, Machine};
use hcs_lifecycle::system::{
    Action, Cancelled, Queue, Refusal, State, Ticket, judge, judge_guest_call,
};
use hcs_schema::{
    Failure, HResult,
    coverage::Table,
    documents::{
        ModifySettingRequest, OsType, PauseOptions, ProcessDefaults, SaveOptions, SaveType,
        ShutdownOptions, StartOptions, SystemType,
    },
};
use hcs_wire::{
    event_type,
    guest::{GuestTarget, LeftRecord, RecallCallResponse},
    log::LogEntry,
    operation::OperationId,
    service::Subject,
};
use serde_json::Value;
use tokio::sync::{Notify, oneshot};
use tracing::{error, info};

use self::{detached::Detached, lost_links::LostLinks, memory::Kills, processes::Processes};
use crate::{
    network::{NameReader, Tenant},
    record::{
        ending::Ending,
        event_log::{self, Kind},
        ledger::{CallOutcome, Ledger},
        operations::{self, Timeline},
        state::{Record, RecordedFacts, journal::Remembered},
        timeline,
        timeline::CallKeeper,
    },
    system::{
        context::Context,
        events::{Subscriber, Watchers},
        guest_link::GuestLink,
        process::Process,
    },
    thread::{
        fair::{FairLane, FairPlace},
        limits::QuotaShare,
    },
};

/// A call that takes its turn, with what the caller gave along.
#[derive(Debug)]
pub(crate) enum SystemRequest {
    Start(StartOptions),
    Pause(PauseOptions),
    Resume,
    ShutDown(ShutdownOptions),
    Terminate,
    Modify(ModifySettingRequest),
    Save(SaveOptions),
    CreateProcess,
}

impl SystemRequest {
    /// The event that it is when it is done.
    pub(crate) const fn event(&self) -> Option<Kind> {
        driver::event_of(self.action())
    }

    const fn action(&self) -> Action {
        match self {
            Self::Start(_) => Action::Start,
            Self::Pause(_) => Action::Pause,
            Self::Resume => Action::Resume,
            Self::ShutDown(_) => Action::ShutDown,
            Self::Terminate => Action::Terminate,
            Self::Modify(_) => Action::Modify,
            Self::Save(options) => Action::Save {
                template: matches!(options.save_type, Some(SaveType::AsTemplate)),
            },
            Self::CreateProcess => Action::CreateProcess,
        }
    }
}

/// On whose behalf something is done, for the log.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Initiator {
    /// The service's own.
    Service,
    /// A client's.
    Client(OperationId),
}

impl Initiator {
    /// The client's operation, where there is one.
    pub(crate) fn operation(self) -> Option<String> {
        match self {
            Self::Service => None,
            Self::Client(id) => Some(id.to_string()),
        }
    }
}

impl fmt::Display for Initiator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service => f.write_str("own"),
            Self::Client(id) => id.fmt(f),
        }
    }
}

/// A call that waits for a ticket.
#[derive(Debug)]
struct Waiter {
    request: SystemRequest,
    initiator: Initiator,
    /// Where what is done for it is noted.
    timeline: Option<Rc<Timeline>>,
    sender: oneshot::Sender<Result<(), Failure>>,
}

/// One compute system. Belongs to the service's thread.
#[derive(Debug)]
pub(crate) struct System {
    pub(crate) id: String,
    pub(crate) runtime_id: String,
    pub(crate) owner: Option<String>,
    /// The image it was made from: a name, else its digest.
    pub(crate) image: Option<String>,
    /// The group of processors it runs on.
    pub(crate) cpu_group: Option<String>,
    pub(crate) system_type: SystemType,
    /// The operating system inside, where it is known.
    pub(crate) os_type: Option<OsType>,
    pub(crate) terminate_on_last_handle_closed: Cell<bool>,
    pub(crate) processes: Processes,
    /// What its processes get unless their own documents say otherwise.
    pub(crate) defaults: Option<ProcessDefaults>,
    pub(crate) machine: Arc<dyn Machine>,
    /// What requests to its agent are about.
    pub(crate) target: GuestTarget,
    context: Weak<Context>,
    engine: Arc<dyn Engine>,
    document: String,
    uid: u32,
    directory: PathBuf,
    queue: RefCell<Queue>,
    waiters: RefCell<HashMap<Ticket, Waiter>>,
    /// What occupies it, for whom.
    running: RefCell<Option<(Action, Initiator)>>,
    /// Tickets that were given up while they ran.
    cancelled: RefCell<HashSet<Ticket>>,
    /// Tells the driver that the queue, the link or the cancelled tickets changed.
    wake: Notify,
    link: RefCell<Option<Rc<GuestLink>>>,
    link_changed: Notify,
    /// It runs, and its agent is to be reached.
    unlinked: Cell<bool>,
    /// Links that its agent ended of late.
    lost_links: LostLinks,
    /// What was wrong with its agent.
    fault: RefCell<Option<String>>,
    watchers: Rc<Watchers>,
    /// The `SystemExitStatus` document, once it has ended.
    exit: RefCell<Option<String>>,
    /// What the kernel killed in it for want of memory.
    memory_kills: Kills,
    /// Which calls have changed it.
    ledger: RefCell<Ledger>,
    /// It was taken over from an earlier service, and its clients may come back.
    expected_back: Cell<bool>,
    /// What its agent has left, once it has ended.
    left: OnceCell<LeftRecord>,
    /// Its last handle was closed, and it is being terminated for that.
    leaving: Cell<bool>,
    /// The process has ended that it was to end with: what ends it now has nothing left to interrupt.
    complete: Cell<bool>,
    /// Its first process whose output its agent keeps.
    detached: RefCell<Detached>,
    /// The arguments of that process.
    detached_command: RefCell<Option<Vec<String>>>,
    /// Its end is in the event log already.
    end_is_told: Cell<bool>,
    /// Processes whose creation is under way: the end of the system waits for their answers.
    creating: Cell<usize>,
    /// For calls that occupy it: one is in the queue, and the others wait here.
    turns: Rc<FairLane>,
    /// For requests to the agent that make processes.
    pub(crate) creations: Rc<FairLane>,
    settled: Notify,
    /// Counts it for its user until it has ended.
    share: RefCell<Option<QuotaShare>>,
}

/// Processes of one system that its agent is asked for at one time. The agent makes one after the other: one that it
/// works on, and the next.
const CREATIONS: usize = 2;

/// Gives a ticket up when the caller stops waiting for it.
struct GiveUp<'a> {
    system: &'a System,
    ticket: Ticket,
    armed: bool,
}

impl Drop for GiveUp<'_> {
    fn drop(&mut self) {
        if self.armed {
            self.system.give_up(self.ticket);
        }
    }
}

/// The failure of a call that only a guest agent could serve, of a system without one.
fn no_guest(id: &str) -> Failure {
    let message = format!(
        "'{id}' has no guest agent that the service could ask; its guest is to be asked by other means"
    );
    Failure::new(HResult::NOT_SUPPORTED, message)
}

fn leaving() -> Failure {
    Failure::new(HResult::HCS_E_SERVICE_DISCONNECT, "the service is leaving")
}

/// Counts a process that is being created; see [`System::creating`].
#[derive(Debug)]
pub(crate) struct Creating(Rc<System>);

impl Drop for Creating {
    fn drop(&mut self) {
        self.0.creating.set(self.0.creating.get() - 1);
        self.0.settled.notify_waiters();
    }
}

impl System {
    /// The document that it was created from, as it came.
    pub(crate) fn document(&self) -> &str {
        &self.document
    }

    /// The effects that the properties of documents about it have.
    pub(crate) fn coverage(&self) -> &'static Table {
        self.engine.coverage()
    }

    /// Where it is in its life.
    pub(crate) fn state(&self) -> State {
        self.queue.borrow().state()
    }

    /// Waits for the turn of whose call this is to [occupy](Self::perform) the system with `request`. Nothing has begun
    /// before. A terminate overtakes all others, and what makes a process is let in beside them.
    pub(crate) async fn turn(&self, request: &SystemRequest) -> Option<FairPlace> {
        if matches!(
            request,
            SystemRequest::Terminate | SystemRequest::CreateProcess
        ) {
            return None;
        }
        if let Some(before) = self.busy_with() {
            operations::step(before);
        }
        Some(self.turns.place(timeline::who()).await)
    }

    /// Goes through the queue and does what `request` says. Dropping the future cancels the call: what it had begun is
    /// undone.
    ///
    /// # Errors
    /// It was refused, or failed.
    pub(crate) async fn perform(
        &self,
        initiator: Initiator,
        request: SystemRequest,
    ) -> Result<(), Failure> {
        let action = request.action();
        // No task drives the queue any more once the exit is known.
        if self.exit.borrow().is_some() {
            return Err(self.refused(action, Refusal::Stopped));
        }
        if let Some(before) = self.busy_with() {
            operations::step(before);
        }
        let (sender, receiver) = oneshot::channel();
        let ticket = self.queue.borrow_mut().submit(action);
        self.waiters.borrow_mut().insert(
            ticket,
            Waiter {
                request,
                initiator,
                timeline: operations::current(),
                sender,
            },
        );
        self.wake.notify_one();
        let mut give_up = GiveUp {
            system: self,
            ticket,
            armed: true,
        };
        let result = receiver.await;
        give_up.armed = false;
        result.unwrap_or_else(|_| Err(self.refused(action, Refusal::Stopped)))
    }

    /// What a call that comes now may have to wait for.
    fn busy_with(&self) -> Option<String> {
        let waiters = self.waiters.borrow();
        let first = waiters.iter().min_by_key(|(ticket, _)| **ticket);
        let first = first.map(|(_, waiter)| (waiter.request.action(), waiter.initiator));
        let (action, initiator) = self.running.borrow().or(first)?;
        let verb = action.verb();
        Some(match waiters.len() + self.turns.waiting() {
            0 | 1 => format!("queued behind {verb} ({initiator})"),
            more => format!("queued behind {verb} ({initiator}) and {} more", more - 1),
        })
    }

    fn give_up(&self, ticket: Ticket) {
        match self.queue.borrow_mut().cancel(ticket) {
            Cancelled::Waiting => {
                self.waiters.borrow_mut().remove(&ticket);
            }
            Cancelled::Running(_) => {
                self.cancelled.borrow_mut().insert(ticket);
            }
            Cancelled::Unknown => return,
        }
        self.wake.notify_one();
    }

    /// Whether a process may be created without waiting for anything.
    pub(crate) fn process_may_begin(&self) -> bool {
        self.queue.borrow().process_may_begin()
    }

    /// Whether `action` is possible in the present state.
    ///
    /// # Errors
    /// The refusal.
    pub(crate) fn may(&self, action: Action) -> Result<(), Failure> {
        judge(self.state(), action).map_err(|refusal| self.refused(action, refusal))
    }

    /// Whether the guest runs and has not stopped.
    ///
    /// # Errors
    /// The refusal.
    pub(crate) fn guest_may_be_asked(&self) -> Result<(), Failure> {
        judge_guest_call(self.state())
            .map_err(|refusal| Failure::new(refusal.hresult(), format!("'{}': {refusal}", self.id)))
    }

    /// The failure of a call that was not let in.
    fn refused(&self, action: Action, refusal: Refusal) -> Failure {
        Failure::new(
            refusal.hresult(),
            format!("cannot {} '{}': {refusal}", action.verb(), self.id),
        )
    }

    /// Lets a call in that goes to the guest beside the queue. Waits while the link to the agent is being made anew.
    ///
    /// # Errors
    /// The refusal, or the agent cannot be reached.
    pub(crate) async fn guest(&self) -> Result<Rc<GuestLink>, Failure> {
        let limit = self.context()?.config().times.guest();
        self.guest_within(limit).await
    }

    /// [`System::guest`] with a limit of the caller's.
    ///
    /// # Errors
    /// As for that.
    pub(crate) async fn guest_within(&self, limit: Duration) -> Result<Rc<GuestLink>, Failure> {
        if self.machine.guest().is_none() {
            return Err(no_guest(&self.id));
        }
        let usable = || {
            self.guest_may_be_asked()?;
            Ok::<_, Failure>(self.link().filter(|link| !link.has_ended()))
        };
        let linked = async {
            loop {
                let changed = self.link_changed.notified();
                if let Some(link) = usable()? {
                    return Ok(link);
                }
                changed.await;
            }
        };
        tokio::time::timeout(limit, linked)
            .await
            .unwrap_or_else(|_| {
                Err(Failure::new(
                    HResult::HCS_E_CONNECTION_CLOSED,
                    format!("'{}': there is no connection to its guest agent", self.id),
                ))
            })
    }

    /// Whether it has an agent and no link to it.
    fn lacks_link(&self) -> bool {
        self.machine.guest().is_some() && self.link.borrow().is_none()
    }

    /// Replaces the link; answers the one there was.
    fn set_link(&self, link: Option<Rc<GuestLink>>) -> Option<Rc<GuestLink>> {
        let before = self.link.replace(link);
        self.follow_names();
        self.link_changed.notify_waiters();
        before
    }

    /// What it is to the networks of this service.
    pub(crate) fn tenant(&self) -> Tenant<'_> {
        Tenant {
            id: &self.id,
            runtime_id: &self.runtime_id,
            user: self.uid,
        }
    }

    /// Has its agent told of its networks from now on, if it is in some.
    pub(crate) fn follow_names(&self) {
        if let (Some(link), Ok(context)) = (self.link(), self.context()) {
            let reader: Rc<dyn NameReader> = link;
            context
                .networks
                .follow_names(&self.runtime_id, &Rc::downgrade(&reader));
        }
    }

    /// The link to the agent, while there is one.
    pub(crate) fn link(&self) -> Option<Rc<GuestLink>> {
        self.link.borrow().clone()
    }

    /// Refuses calls on a system that has ended.
    ///
    /// # Errors
    /// `HCS_E_SYSTEM_ALREADY_STOPPED`.
    pub(crate) fn alive(&self) -> Result<(), Failure> {
        if self.state() == State::Stopped {
            return Err(Failure::new(
                HResult::HCS_E_SYSTEM_ALREADY_STOPPED,
                format!("the compute system '{}' has stopped", self.id),
            ));
        }
        Ok(())
    }

    /// The better reason for a failed call to the guest: an agent whose stream ends is nearly always about to be gone
    /// with its machine, and that says more. An agent that says nothing is named.
    pub(crate) async fn explain(&self, failure: Failure) -> Failure {
        if failure.hresult == HResult::HCS_E_CONNECTION_TIMEOUT {
            let message = format!(
                "the guest agent of '{}' does not answer; is it stopped?",
                self.id
            );
            return Failure {
                message,
                ..failure.clone()
            }
            .cause(failure.message);
        }
        if failure.hresult != HResult::HCS_E_CONNECTION_CLOSED {
            return failure;
        }
        let stopped = async {
            loop {
                let changed = self.link_changed.notified();
                if let Err(stopped) = self.alive() {
                    return stopped;
                }
                changed.await;
            }
        };
        tokio::time::timeout(actions::AGENT_EXIT_TIME, stopped)
            .await
            .unwrap_or(failure)
    }

    /// A process that a client knew before the service was restarted, and that is not known here: the one whose exit
    /// was on its way to the client when the service died. Its agent remembers exits for a while, and is asked.
    pub(crate) fn remembered_by_agent(self: &Rc<Self>, pid: u32) -> Option<Rc<Process>> {
        let link = self.link().filter(|_| self.expected_back.get())?;
        let context = self.context().ok()?;
        let share = context.process_quota.count(self.uid);
        let process = Process::adopted(self, pid, Remembered::default(), share);
        if context.log.told_exit(&self.runtime_id, pid) {
            process.set_exit_is_told();
        }
        self.processes.insert(&process).ok()?;
        link.wait_for_exit(&process);
        Some(process)
    }

    /// The process that a call of an earlier service made, as the agent of the system tells it.
    ///
    /// # Errors
    /// The service is leaving, or the agent tells what cannot be.
    pub(crate) fn recalled(
        self: &Rc<Self>,
        recalled: &RecallCallResponse,
        initiator: Initiator,
    ) -> Result<Rc<Process>, Failure> {
        let (pid, code) = (recalled.process_id, recalled.exit_code);
        let context = self.context()?;
        // Before the creation is told: from then on, an exit of that number would be one of an earlier process.
        let exit_is_told = context.log.told_exit(&self.runtime_id, pid);
        let known = self.processes.get(pid).or_else(|| self.processes.told(pid));
        // An exit is told before what is asked after it; so another that is known by that number is another process.
        self.note_once(Kind::ProcessCreated, Some(pid), initiator, None);
        if let Some(process) = known.filter(|known| known.has_exited() == code.is_some()) {
            return Ok(process);
        }
        if self.alive().is_err() {
            let process = self.recalled_past(pid, code, exit_is_told);
            return process.ok_or_else(leaving);
        }
        let share = context.process_quota.count(self.uid);
        if let (Some(code), Some(_)) = (code, self.processes.get(pid)) {
            let ending = Ending {
                code: Some(code),
                ..Ending::default()
            };
            return Ok(Process::past(self, pid, ending, share));
        }
        let process = Process::adopted(self, pid, Remembered::default(), share);
        process.set_initiator(initiator);
        if exit_is_told {
            process.set_exit_is_told();
        }
        self.processes.insert(&process).map_err(|reason| {
            Failure::new(
                HResult::HCS_E_PROTOCOL_ERROR,
                format!("the guest agent broke the protocol: {reason}"),
            )
        })?;
        match (code, self.link()) {
            (Some(_), _) => process.exited(code),
            (None, Some(link)) => link.wait_for_exit(&process),
            (None, None) => {}
        }
        Ok(process)
    }

    /// Expects clients back that had handles when an earlier service died, or does not any more.
    fn expect_back(&self, expected: bool) {
        self.expected_back.set(expected);
        self.processes.keep_told(expected);
    }

    /// Counts a process in whose creation begins.
    pub(crate) fn begin_creating(self: &Rc<Self>) -> Creating {
        self.creating.set(self.creating.get() + 1);
        Creating(Rc::clone(self))
    }

    /// The service it belongs to.
    ///
    /// # Errors
    /// The service is leaving.
    pub(crate) fn context(&self) -> Result<Rc<Context>, Failure> {
        self.context.upgrade().ok_or_else(leaving)
    }

    /// A handle is there. If the system has ended already, the handle hears of it now.
    pub(crate) fn attach(&self, subscriber: &Rc<impl Subscriber + 'static>, handle: u64) {
        self.watchers.add(subscriber, handle);
        if let Some(exit) = &*self.exit.borrow() {
            subscriber.push_event(
                Subject::System(handle),
                event_type::SYSTEM_EXITED,
                Some(exit),
            );
        }
    }

    /// A handle is closed; perhaps it was the last.
    pub(crate) fn detach(self: &Rc<Self>, subscriber: &Rc<impl Subscriber>, handle: u64) {
        if self.watchers.remove(&**subscriber, handle) {
            self.end_if_unheld();
        }
    }

    /// Terminates it when no client has a handle and that is what its document wants.
    pub(crate) fn end_if_unheld(self: &Rc<Self>) {
        let wanted = self.terminate_on_last_handle_closed.get();
        if self.expected_back.get()
            || !wanted
            || self.watchers.count() > 0
            || self.state() == State::Stopped
        {
            return;
        }
        info!(system = %self.id, "its last handle was closed, so it is terminated");
        self.leaving.set(true);
        let system = Rc::clone(self);
        tokio::task::spawn_local(async move {
            let ended = system
                .perform(Initiator::Service, SystemRequest::Terminate)
                .await;
            system.leaving.set(false);
            match ended {
                Err(failure) if system.state() != State::Stopped => {
                    error!(system = %system.id, "it cannot be terminated: {}", failure.log_line());
                }
                _ => {}
            }
        });
    }

    /// Whether it is being terminated because its last handle was closed.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.get()
    }

    /// Writes what happened to it into the event log, with the document that goes with it.
    pub(crate) fn note(
        &self,
        kind: Kind,
        pid: Option<u32>,
        initiator: Initiator,
        data: Option<Value>,
    ) {
        if let Some(context) = self.context.upgrade() {
            context.log.append(LogEntry {
                system: Some(self.id.clone()),
                runtime_id: Some(self.runtime_id.clone()),
                process_id: pid,
                user_id: Some(self.uid),
                operation: initiator.operation(),
                data,
                ..event_log::event(kind)
            });
        }
    }

    /// [`System::note`] for a call that an earlier service has done, unless that one did so.
    pub(crate) fn note_once(
        &self,
        kind: Kind,
        pid: Option<u32>,
        initiator: Initiator,
        data: Option<Value>,
    ) {
        let (Some(context), Some(operation)) = (self.context.upgrade(), initiator.operation())
        else {
            return;
        };
        if !context.log.tells(kind, &self.runtime_id, operation) {
            self.note(kind, pid, initiator, data);
        }
    }

    /// Whether it has ended, and its clients have been told.
    fn has_told_its_end(&self) -> bool {
        self.exit.borrow().is_some()
    }

    /// Its end was told by the service before.
    pub(crate) fn set_end_told(&self) {
        self.end_is_told.set(true);
    }

    /// What the next service has to know of it, in the state it is about to be in.
    fn record(&self, state: State) -> Record {
        let facts = RecordedFacts {
            id: &self.id,
            runtime_id: &self.runtime_id,
            uid: self.uid,
            document: &self.document,
            engine: self.engine.name(),
        };
        Record::new(
            &facts,
            self.machine.record(),
            state.name(),
            self.terminate_on_last_handle_closed.get(),
            self.memory_kills.seen(),
        )
        .with_stop_asked(self.queue.borrow().is_asked_to_stop())
        .with_detached(self.detached_command())
        .with_calls(&self.ledger.borrow())
    }

    /// Whether the call `name` created it.
    pub(crate) fn was_created_by(&self, name: &str) -> bool {
        self.ledger.borrow().was_created_by(name)
    }

    /// What became of the call `name`, which may have changed it.
    pub(crate) fn outcome(&self, name: &str) -> CallOutcome {
        self.ledger.borrow().outcome(name)
    }

    /// Takes a shutdown back that an earlier service has begun. A shutdown that runs now is undone by itself.
    pub(crate) async fn take_back_shut_down(&self) {
        let running = self.running.borrow().map(|(action, _)| action);
        if running != Some(Action::ShutDown) && self.state() == State::Running {
            actions::withdraw(self).await;
        }
    }

    /// Forgets what clients asked an earlier service for: they had their time to come back.
    fn forget_earlier_calls(&self) {
        if let Some(link) = self.link() {
            link.forget_earlier_calls();
        }
        let forgot = self.ledger.borrow_mut().release_earlier();
        if forgot && self.alive().is_ok() {
            self.write_down(self.state());
        }
    }
}

impl CallKeeper for System {
    fn release(&self, name: &str) {
        self.ledger.borrow_mut().release(name);
    }
}
