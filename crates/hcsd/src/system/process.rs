//! One process of a system: its life as the agent reported it, its handles, its stdio.

use std::{
    cell::{Cell, RefCell},
    os::fd::OwnedFd,
    rc::{Rc, Weak},
};

use hcs_lifecycle::process::{ExitStatus, Life, ProcessCall};
use hcs_schema::{Failure, HResult, Stdio, coverage::Table};
use hcs_wire::{event_type, guest::GuestTarget, service::Subject};
use tracing::debug;

use crate::{
    record::{
        ending::Ending,
        event_log::{self, Kind},
        state::journal::Remembered,
    },
    system::{
        Initiator, System,
        events::{Subscriber, Watchers, process_status},
        stdio::Traces,
    },
    thread::limits::QuotaShare,
};

/// Exit code of what is killed together with its system: 128 + SIGKILL.
pub(crate) const KILLED: u32 = 137;

/// One process. Belongs to the service's thread.
#[derive(Debug)]
pub(crate) struct Process {
    /// Not kept alive from here: the system's table holds its processes.
    system: Weak<System>,
    /// The same, also of a process that is in no table.
    origin: Weak<System>,
    /// What properties of documents about it do.
    pub(crate) coverage: &'static Table,
    /// The target that its agent knows it by: the system, or a container in it.
    target: GuestTarget,
    /// 0 until the agent has created it.
    pid: Cell<u32>,
    life: Cell<Life>,
    /// How it ended, once it has.
    ending: Cell<Ending>,
    /// A client asked for its end.
    is_to_die: Cell<bool>,
    /// How many processes its system had been refused before it was created.
    refused_before: Cell<u64>,
    /// The client that wanted it gave up before it was there.
    abandoned: Cell<bool>,
    /// Its creation has not been answered yet: whether its exit status is owed to a client is not known.
    unanswered: Cell<bool>,
    /// The initiator of its creation.
    initiator: Cell<Initiator>,
    /// The bridge request that is answered with its exit.
    wait_id: Cell<Option<u64>>,
    pub(crate) emulates_console: bool,
    /// Its system ends with it.
    ends_system: Cell<bool>,
    stdio: RefCell<Traces>,
    /// An earlier service made its pipes; this one has not asked for them yet.
    stdio_unknown: Cell<bool>,
    watchers: Rc<Watchers>,
    /// Its exit is in the event log already.
    exit_is_told: Cell<bool>,
    /// Its agent alone says that it is there: no client has had it, and no service has written it down.
    unclaimed: Cell<bool>,
    /// Counts it for its user until it has exited.
    share: RefCell<Option<QuotaShare>>,
}

impl Process {
    /// A process that is about to be created.
    pub(crate) fn new(system: &Rc<System>, emulates_console: bool, share: QuotaShare) -> Rc<Self> {
        let table = Rc::downgrade(system);
        let process = Self::of(system, table, emulates_console, share);
        process.refused_before.set(system.refused_processes());
        process
    }

    fn of(
        of: &Rc<System>,
        system: Weak<System>,
        emulates_console: bool,
        share: QuotaShare,
    ) -> Rc<Self> {
        Rc::new(Self {
            system,
            origin: Rc::downgrade(of),
            coverage: of.coverage(),
            target: of.target.clone(),
            pid: Cell::new(0),
            life: Cell::new(Life::new()),
            ending: Cell::default(),
            is_to_die: Cell::new(false),
            refused_before: Cell::default(),
            abandoned: Cell::new(false),
            unanswered: Cell::new(true),
            initiator: Cell::new(Initiator::Service),
            wait_id: Cell::new(None),
            emulates_console,
            ends_system: Cell::new(false),
            stdio: RefCell::default(),
            stdio_unknown: Cell::new(false),
            watchers: Rc::default(),
            exit_is_told: Cell::new(false),
            unclaimed: Cell::new(false),
            share: RefCell::new(Some(share)),
        })
    }

    /// A process that an earlier service created. With `exit_is_told` that service wrote its exit into the event log.
    pub(crate) fn adopted(
        system: &Rc<System>,
        pid: u32,
        remembered: Remembered,
        share: QuotaShare,
    ) -> Rc<Self> {
        let process = Self::new(system, remembered.console, share);
        process.pid.set(pid);
        process.unanswered.set(false);
        process.stdio_unknown.set(true);
        process.ends_system.set(remembered.ends_system);
        if remembered.stdin_closed {
            process.stdio.borrow().close_stdin();
        }
        process
    }

    /// A process that has ended so, and whose number another one may have by now: known to its handles only.
    pub(crate) fn past(
        system: &Rc<System>,
        pid: u32,
        ending: Ending,
        share: QuotaShare,
    ) -> Rc<Self> {
        let process = Self::of(system, Weak::new(), false, share);
        process.pid.set(pid);
        process.unanswered.set(false);
        process.ended(ending);
        process
    }

    /// Its system, while that is there, also of a process that the system does not know any more.
    pub(crate) fn origin(&self) -> Option<Rc<System>> {
        self.origin.upgrade()
    }

    /// A client asked for it.
    pub(crate) fn set_initiator(&self, initiator: Initiator) {
        self.initiator.set(initiator);
    }

    /// Its system ends with it.
    pub(crate) fn set_ends_system(&self) {
        self.ends_system.set(true);
        if let (true, Some(system)) = (self.has_exited(), self.system.upgrade()) {
            system.complete.set(true);
        }
    }

    /// Whether its system ends with it.
    pub(crate) fn ends_system(&self) -> bool {
        self.ends_system.get()
    }

    /// An earlier service has logged its exit.
    pub(crate) fn set_exit_is_told(&self) {
        self.exit_is_told.set(true);
    }

    /// Whether an earlier service has logged its exit.
    pub(crate) fn exit_is_told(&self) -> bool {
        self.exit_is_told.get()
    }

    /// Its agent alone says that it is there. Until a client has it, nothing of it is written down.
    pub(crate) fn set_unclaimed(&self) {
        self.unclaimed.set(true);
    }

    /// Its pipes, as they were made.
    pub(crate) fn set_stdio(&self, stdio: Traces) {
        self.stdio.replace(stdio);
    }

    /// Fresh ends of its pipes, when no process holds any of the old ones; else none.
    ///
    /// # Errors
    /// No descriptors left, or its agent cannot be asked for pipes that an earlier service made.
    pub(crate) async fn recall_and_reattach(&self) -> Result<Stdio<Option<OwnedFd>>, Failure> {
        if self.stdio_is_unknown() {
            let system = self.system()?;
            let limit = system.context()?.config().times.guest();
            let link = system.guest().await?;
            let recalled = link.fetch_stdio(self, limit).await?;
            // Several may have asked.
            if self.stdio_unknown.replace(false) {
                let closed = self.stdio.borrow().is_stdin_closed();
                if closed {
                    recalled.close_stdin();
                }
                self.stdio.replace(recalled);
            }
        }
        self.reattach()
    }

    /// Whether an earlier service made its pipes and this one has not asked for them yet.
    pub(crate) fn stdio_is_unknown(&self) -> bool {
        self.stdio_unknown.get()
    }

    /// [`Process::recall_and_reattach`] for pipes that are known.
    ///
    /// # Errors
    /// No descriptors left.
    pub(crate) fn reattach(&self) -> Result<Stdio<Option<OwnedFd>>, Failure> {
        self.stdio.borrow().reattach().map_err(|e| {
            Failure::new(
                HResult::HCS_E_PROCESS_INFO_NOT_AVAILABLE,
                format!("the stdio of process {} cannot be opened", self.pid()),
            )
            .because(&e)
        })
    }

    /// A client said that nothing more will be written to it.
    pub(crate) fn close_stdin(&self) {
        self.stdio.borrow().close_stdin();
        if let Some(system) = self.system.upgrade() {
            system.processes.stdin_closed(self.pid());
        }
    }

    /// Pid inside the system; 0 before it was created.
    pub(crate) fn pid(&self) -> u32 {
        self.pid.get()
    }

    /// What requests about it name: the container of its agent, where there are several.
    pub(crate) const fn target(&self) -> &GuestTarget {
        &self.target
    }

    /// Its system, while that is there.
    ///
    /// # Errors
    /// The system is gone, so the process is.
    pub(crate) fn system(&self) -> Result<Rc<System>, Failure> {
        self.system.upgrade().ok_or_else(|| {
            Failure::new(
                HResult::HCS_E_PROCESS_ALREADY_STOPPED,
                format!("process {} has ended with its compute system", self.pid()),
            )
        })
    }

    /// Whether `call` is let in now.
    ///
    /// # Errors
    /// The refusal, naming the process.
    pub(crate) fn judge(&self, call: ProcessCall) -> Result<(), Failure> {
        self.life.get().judge(call).map_err(|refusal| {
            Failure::new(
                refusal.hresult(),
                format!("process {}: {refusal}", self.pid()),
            )
        })
    }

    /// The agent created it, under this pid.
    ///
    /// # Errors
    /// The agent cannot have: the reason.
    pub(crate) fn created(self: &Rc<Self>, pid: u32) -> Result<(), String> {
        if pid == 0 || pid > i32::MAX.cast_unsigned() {
            return Err(format!("it created a process with the impossible id {pid}"));
        }
        self.pid.set(pid);
        let Some(system) = self.system.upgrade() else {
            return Ok(());
        };
        let initiator = self.initiator.get();
        system.note(Kind::ProcessCreated, Some(pid), initiator, None);
        system.processes.insert(self)
    }

    /// No client wants it: it is killed, and its exit status is owed to none.
    pub(crate) fn abandon(&self) {
        self.abandoned.set(true);
        let Some(system) = self.system.upgrade() else {
            return;
        };
        if self.has_exited() {
            system.processes.delivered(self.pid());
        } else if let Some(link) = system.link().filter(|_| self.pid() != 0) {
            debug!(system = %system.id, pid = self.pid(), "killing a process that was cancelled");
            link.kill_unwanted(self);
        }
    }

    /// Its creation has been answered, and the client that asked for it has a handle, or is gone.
    pub(crate) fn answered(&self) {
        self.unanswered.set(false);
        let life = self.life.get();
        if let (Some(system), true) = (self.system.upgrade(), life.owes_status()) {
            self.owe(&system, self.ending.get());
        }
    }

    /// Its exit status is kept for a client that asks.
    fn owe(&self, system: &System, ending: Ending) {
        self.stdio.borrow_mut().outlive_process();
        system.processes.owe(self.pid(), ending);
    }

    /// A client asks for its end: SIGKILL is what it then dies of.
    pub(crate) fn is_asked_to_die(&self) {
        self.is_to_die.set(true);
    }

    /// A terminate was obeyed.
    pub(crate) fn terminated(&self) {
        let mut life = self.life.get();
        life.terminated();
        self.life.set(life);
    }

    /// Its agent reported its exit; `code` is `None` when it cannot say how.
    pub(crate) fn exited(&self, code: Option<u32>) {
        let system = self.system.upgrade().filter(|_| !self.has_exited());
        let mut ending = Ending {
            code,
            ..Ending::default()
        };
        match (code, system) {
            (None | Some(0), _) | (_, None) => {}
            (Some(KILLED), Some(system)) if !self.is_to_die.get() => {
                ending.out_of_memory = system.memory_kill();
            }
            (Some(_), Some(system)) => {
                system.failed_beside_memory_kills();
                if !self.is_to_die.get() {
                    ending.process_limit = system.refused_since(self.refused_before.get());
                }
            }
        }
        self.ended(ending);
    }

    /// It has exited. The first report stands.
    pub(crate) fn ended(&self, ending: Ending) {
        let mut life = self.life.get();
        let first = life.exited(ExitStatus {
            exit_code: ending.code.unwrap_or(0),
        });
        if !first {
            return;
        }
        self.ending.set(ending);
        self.explain(ending);
        self.share.borrow_mut().take();
        let system = self.system.upgrade();
        if let (true, Some(system)) = (self.ends_system(), &system) {
            system.complete.set(true);
        }
        if let Some(system) = system.as_ref().filter(|_| !self.unclaimed.get()) {
            self.note_exit(system, life);
        }
        let told = self.watchers.push(
            Subject::Process,
            event_type::PROCESS_EXITED,
            Some(&self.status_of(life)),
        );
        if told > 0 {
            life.delivered();
        }
        self.life.set(life);
        if let Some(system) = system {
            let owed = life.owes_status() && !self.abandoned.get();
            if self.unclaimed.get() {
                system.processes.lost(self.pid());
            } else if !owed {
                system.processes.delivered(self.pid());
            } else if self.unanswered.get() {
                system.processes.logged(self.pid());
            } else {
                self.owe(&system, ending);
            }
        }
    }

    /// Writes its exit into the event log, unless it is there.
    fn note_exit(&self, system: &System, life: Life) {
        if self.exit_is_told.get() {
            return;
        }
        let status = event_log::data(&self.status_of(life));
        system.note(
            Kind::ProcessExited,
            Some(self.pid()),
            Initiator::Service,
            status,
        );
    }

    /// A client has it now: what was not written down of it is.
    fn claim(&self) {
        if !self.unclaimed.replace(false) {
            return;
        }
        let Some(system) = self.system.upgrade() else {
            return;
        };
        if self.has_exited() {
            self.note_exit(&system, self.life.get());
        } else {
            system.processes.claimed(self);
        }
    }

    /// Where the exit code does not say why it ended, the time line of its creation does. Comes before its exit in the
    /// event log: a later service takes an exit that is the last event for one that was noted nowhere else.
    fn explain(&self, ending: Ending) {
        if let (Some(why), Initiator::Client(id)) = (ending.out_of_memory, self.initiator.get())
            && let Some(context) = self.system.upgrade().and_then(|s| s.context().ok())
        {
            let (pid, why) = (self.pid(), why.sentence());
            let step = format!("process {pid} was killed: {why}");
            context.operations.afterwards(id, step, &context.log);
        }
    }

    /// The `ProcessStatus` document, as of now.
    pub(crate) fn status(&self) -> String {
        self.status_of(self.life.get())
    }

    fn status_of(&self, life: Life) -> String {
        let ending = life.exit().map(|_| self.ending.get());
        process_status(self.pid(), ending)
    }

    /// Whether it has exited.
    pub(crate) fn has_exited(&self) -> bool {
        self.life.get().exit().is_some()
    }

    /// A handle is there. If the process has exited already, the handle hears of it now.
    pub(crate) fn attach(&self, subscriber: &Rc<impl Subscriber + 'static>, handle: u64) {
        self.claim();
        self.watchers.add(subscriber, handle);
        let mut life = self.life.get();
        if life.exit().is_none() || subscriber.is_closed() {
            return;
        }
        subscriber.push_event(
            Subject::Process(handle),
            event_type::PROCESS_EXITED,
            Some(&self.status_of(life)),
        );
        if life.delivered() {
            self.life.set(life);
            if let Some(system) = self.system.upgrade() {
                system.processes.delivered(self.pid());
            }
        }
    }

    /// A handle is closed.
    pub(crate) fn detach(&self, subscriber: &Rc<impl Subscriber>, handle: u64) {
        self.watchers.remove(&**subscriber, handle);
    }

    /// Remembers the bridge request that its exit answers.
    pub(crate) fn set_wait_id(&self, id: u64) {
        self.wait_id.set(Some(id));
    }

    /// That request, when it is not to be answered after all.
    pub(crate) fn take_wait_id(&self) -> Option<u64> {
        self.wait_id.take()
    }
}
