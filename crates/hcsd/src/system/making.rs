//! How a system comes to be: from a document, or from what an earlier service wrote down.

use std::{
    borrow::Cow,
    cell::{Cell, OnceCell, RefCell},
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use hcn::Guid;
use hcs_engine::{
    engine::{CreateRequest, Engine, Guest, Machine},
    steps::{self, Step},
};
use hcs_lifecycle::system::{Queue, State};
use hcs_schema::{Failure, HResult, check_id, documents::ComputeSystem};
use hcs_wire::guest::GuestTarget;
use rustix::{
    event::{PollFd, PollFlags, poll},
    time::Timespec,
};
use serde_json::json;
use tokio::sync::oneshot;
use tracing::{Instrument as _, debug, error, info, info_span, warn};

use super::{
    CREATIONS, Initiator, System, driver, lost_links::LostLinks, memory::Kills,
    processes::Processes,
};
use crate::{
    document::parse_system,
    network::{self, Place},
    record::{
        blocking::blocking,
        event_log::Kind,
        files::{make_directory, remove_directory},
        ledger::Ledger,
        operations,
        state::journal::Journal,
    },
    system::{SystemRequest, context::Context, registry::Reservation},
    thread::{fair::FairLane, limits::QuotaShare},
    upkeep::{
        cpu_groups,
        slots::{Like, Ready},
    },
};

/// Where the systems' directories are.
pub(crate) fn systems_root(context: &Context) -> PathBuf {
    context.root.join("systems")
}

/// Makes a system. Dropping the future cancels the call: what it had begun is undone.
///
/// # Errors
/// The document is wrong, the id is taken, a limit is reached, or the engine failed.
pub(crate) async fn create(
    context: &Rc<Context>,
    initiator: Initiator,
    uid: u32,
    id: String,
    text: String,
) -> Result<Rc<System>, Failure> {
    check_id(&id)?;
    let (mut document, engine, text) = parse_system(&context.engines, text).await?;
    let place = network::claim(&mut document)?;
    context.registry.wait_for_leaving(&id).await;
    let share = context.system_quota.take(uid)?;
    context.registry.open().await;
    let reservation = context.registry.reserve(&id)?;
    let undoing = context.registry.undoing(&id);
    let network = place.as_ref().and_then(Place::spare_network);
    let network = network.filter(|id| context.networks.keeps_spares(*id));
    let slot = context.slots.take(&*engine, &document, network);
    let runtime_id = match &slot {
        Some(ready) => ready.runtime_id.clone(),
        None => uuid::Uuid::new_v4().to_string(),
    };
    let reserved = Reserved {
        initiator,
        engine,
        share,
        reservation,
        text,
        uid,
        id,
        document,
        runtime_id,
        slot,
        place,
        network,
    };
    let (sender, receiver) = oneshot::channel();
    let span = info_span!("system", id = %reserved.id, runtime_id = %reserved.runtime_id);
    let make = operations::carry(
        operations::current(),
        make(Rc::clone(context), reserved, sender),
    );
    tokio::task::spawn_local(make.instrument(span));
    let made = receiver.await;
    undoing.done();
    made.unwrap_or_else(|_| {
        Err(Failure::new(
            HResult::E_UNEXPECTED,
            "the creation broke off",
        ))
    })
}

/// Goes through the phases of a creation. Each is a type that undoes what it has done: when it is dropped, or by a
/// method that says so.
async fn make(
    context: Rc<Context>,
    reserved: Reserved,
    sender: oneshot::Sender<Result<Rc<System>, Failure>>,
) {
    let assembled = match reserved.make(&context).await {
        Ok(made) => made.assemble(&context).await,
        Err(failure) => Err(failure),
    };
    match assembled {
        Ok(assembled) => {
            assembled.announce(&context);
            match sender.send(Ok(Rc::clone(&assembled.system))) {
                Ok(()) => assembled.keep(),
                Err(_) => assembled.take_back().await,
            }
        }
        // The id is free before the caller can know.
        Err(failure) => drop(sender.send(Err(failure))),
    }
}

/// The first phase: an id, a share of the limits and maybe a machine that is kept ready. Dropped, it gives them back.
struct Reserved {
    initiator: Initiator,
    engine: Arc<dyn Engine>,
    share: QuotaShare,
    reservation: Reservation,
    text: String,
    uid: u32,
    id: String,
    document: ComputeSystem,
    runtime_id: String,
    /// What it is made from, if something fits.
    slot: Option<Ready>,
    /// Where it is in the service's networks.
    place: Option<Place>,
    /// The network of which an endpoint may be kept ready for one that is like it.
    network: Option<Guid>,
}

impl Reserved {
    /// Makes the machine.
    ///
    /// # Errors
    /// The engine refused. Nothing is left of it, and the id is free.
    async fn make(self, context: &Context) -> Result<Made, Failure> {
        let request = CreateRequest {
            directory: systems_root(context).join(&self.runtime_id),
            id: self.id,
            runtime_id: self.runtime_id,
            document: self.document,
            user: self.uid,
        };
        if let Some(timeline) = operations::current() {
            timeline.concerns(&request.id, Some(&request.runtime_id));
            timeline.step(format!(
                "the {} engine makes the machine",
                self.engine.name()
            ));
        }
        let (engine, slot) = (Arc::clone(&self.engine), self.slot);
        let like = Like {
            document: Arc::new(request.document.clone()),
            network: self.network,
        };
        let (runtime_id, uid) = (request.runtime_id.clone(), request.user);
        let made = blocking(move || {
            let machine = make_machine(&*engine, slot, &request)?;
            Ok((machine, request))
        })
        .await;
        let networks = &context.networks;
        context.slots.fill(&self.engine, networks, like);
        if made.is_err() {
            // What was kept ready for it is not used.
            networks.leave(&runtime_id, uid).await;
        }
        note_made(&made);
        let (machine, request) = made.map_err(|failure| {
            let failure = failure.while_doing("Construct");
            debug!(operation = %self.initiator, result = %failure.hresult, "it could not be created: {}", failure.log_line());
            failure
        })?;
        Ok(Made {
            initiator: self.initiator,
            reservation: self.reservation,
            share: self.share,
            place: self.place,
            machine,
            parts: Parts {
                cpu_group: cpu_groups::asked_for(&*self.engine, &request.document),
                request,
                text: self.text,
                uid: self.uid,
                engine: self.engine,
                state: State::Created,
                asked_to_stop: false,
                terminate_on_last_handle_closed: None,
                memory_kills: 0,
                ledger: ledger(),
            },
        })
    }
}

/// Of the call that makes it.
fn ledger() -> Ledger {
    let timeline = operations::current();
    Ledger::new(timeline.as_ref().and_then(|timeline| timeline.name()))
}

fn note_made<T>(made: &Result<T, Failure>) {
    operations::step(match made {
        Ok(_) => Cow::Borrowed("the machine is made"),
        Err(failure) => format!("the engine failed: {}", failure.log_line()).into(),
    });
}

/// The second phase: a machine that belongs to no system yet. It is undone by [`discard`].
struct Made {
    initiator: Initiator,
    reservation: Reservation,
    share: QuotaShare,
    place: Option<Place>,
    machine: Arc<dyn Machine>,
    parts: Parts,
}

impl Made {
    /// Puts the system together, writes it down and starts its driver.
    ///
    /// # Errors
    /// The state directory or the kernel refused. The machine has been ended then, and the id is free.
    async fn assemble(self, context: &Rc<Context>) -> Result<Assembled, Failure> {
        let directory = self.parts.request.directory.clone();
        let machine = Arc::clone(&self.machine);
        let system = put_together(context, self.parts, self.machine, self.share);
        let placed = move_in(context, &system, self.place).await;
        let started = placed.and_then(|()| {
            system
                .record(State::Created)
                .write(&directory)
                .map_err(|e| {
                    let message = "the state of the system could not be written";
                    Failure::new(HResult::E_FAIL, message).because(&e)
                })?;
            driver::start(&system)
        });
        if let Err(failure) = started {
            context.networks.leave(&system.runtime_id, system.uid).await;
            if let Err(also) = blocking(move || discard(&*machine, &directory)).await {
                error!(
                    "what was made of it could not be removed: {}",
                    also.log_line()
                );
            }
            return Err(failure.while_doing("Construct"));
        }
        Ok(Assembled {
            initiator: self.initiator,
            reservation: self.reservation,
            system,
        })
    }
}

/// Ends a machine that no system drives, and removes what it had.
fn discard(machine: &dyn Machine, directory: &Path) -> Result<(), Failure> {
    machine.kill()?;
    let mut gone = [PollFd::from_borrowed_fd(
        machine.exit_descriptor(),
        PollFlags::IN,
    )];
    let limit = Timespec {
        tv_sec: 10,
        tv_nsec: 0,
    };
    poll(&mut gone, Some(&limit))
        .map_err(|e| Failure::new(HResult::E_FAIL, "its end cannot be waited for").because(&e))?;
    machine.release()?;
    remove_directory(directory);
    Ok(())
}

/// The third phase: a system that no client can find yet. [`Assembled::keep`] ends the creation,
/// [`Assembled::take_back`] undoes it.
struct Assembled {
    initiator: Initiator,
    reservation: Reservation,
    system: Rc<System>,
}

impl Assembled {
    fn announce(&self, context: &Context) {
        info!(operation = %self.initiator, "created");
        let mut about = json!({ "SystemType": self.system.system_type });
        if context.config().log_client_values {
            about["Owner"] = json!(self.system.owner);
        }
        self.system
            .note(Kind::SystemCreated, None, self.initiator, Some(about));
    }

    /// From now on clients find it by its id.
    fn keep(self) {
        self.reservation.fill(&self.system);
    }

    /// Its creation was cancelled: no client finds it, and its id is free when it is gone.
    async fn take_back(self) {
        info!("its creation was cancelled, so it is terminated");
        let ended = self
            .system
            .perform(Initiator::Service, SystemRequest::Terminate)
            .await;
        if let Err(failure) = ended {
            error!("it cannot be terminated: {}", failure.log_line());
            if self.system.alive().is_ok() {
                self.reservation.fill(&self.system);
            }
        }
    }
}

/// Makes the machine from what is ready, else from scratch. The second also happens when the first fails, so that
/// keeping something ready never makes a creation fail.
fn make_machine(
    engine: &dyn Engine,
    slot: Option<Ready>,
    request: &CreateRequest,
) -> Result<Arc<dyn Machine>, Failure> {
    if let Some(ready) = slot {
        match ready.become_machine(request) {
            Ok(machine) => return Ok(machine),
            Err(failure) => {
                steps::note(|| Step {
                    at: Instant::now(),
                    what: "what was kept ready cannot be used: it is made from scratch".into(),
                });
                debug!("it is made from scratch: {}", failure.log_line());
            }
        }
    }
    make_directory(&request.directory)?;
    let made = engine.create(request);
    made.inspect_err(|_| remove_directory(&request.directory))
}

/// What a system is made from, besides its machine.
pub(crate) struct Parts {
    pub(crate) request: CreateRequest,
    pub(crate) text: String,
    pub(crate) uid: u32,
    pub(crate) engine: Arc<dyn Engine>,
    /// The group of processors it is in.
    pub(crate) cpu_group: Option<String>,
    pub(crate) state: State,
    /// An earlier service had asked it to shut down.
    pub(crate) asked_to_stop: bool,
    /// `None` for what the document says.
    pub(crate) terminate_on_last_handle_closed: Option<bool>,
    /// Kills for want of memory that were told of.
    pub(crate) memory_kills: u64,
    /// Which calls have changed it.
    pub(crate) ledger: Ledger,
}

/// Attaches a system to the networks of this service, before its first process.
async fn move_in(context: &Context, system: &System, place: Option<Place>) -> Result<(), Failure> {
    let Some(place) = place else {
        return Ok(());
    };
    let (who, machine) = (system.tenant(), Arc::clone(&system.machine));
    context.networks.move_in(place, who, machine).await?;
    operations::step("it is attached to its networks");
    Ok(())
}

/// Puts a system together; nothing drives it yet.
pub(crate) fn put_together(
    context: &Rc<Context>,
    parts: Parts,
    machine: Arc<dyn Machine>,
    share: QuotaShare,
) -> Rc<System> {
    let request = parts.request;
    let document = request.document;
    let terminate = parts
        .terminate_on_last_handle_closed
        .or(document.should_terminate_on_last_handle_closed);
    let summary = parts.engine.summary(&document);
    let most_owed = context.config().limits.unreported_exits_per_system;
    let container = machine.guest().and_then(Guest::container);
    Rc::new(System {
        id: request.id,
        runtime_id: request.runtime_id,
        image: summary.image,
        cpu_group: parts.cpu_group,
        owner: document.owner,
        system_type: summary.system_type,
        os_type: summary.os_type,
        terminate_on_last_handle_closed: Cell::new(terminate.unwrap_or(false)),
        processes: Processes::new(Journal::new(&request.directory), most_owed),
        defaults: summary.process_defaults,
        target: container.map_or(GuestTarget::System, GuestTarget::of),
        machine,
        context: Rc::downgrade(context),
        engine: parts.engine,
        document: parts.text,
        uid: parts.uid,
        directory: request.directory,
        queue: RefCell::new(Queue::new(parts.state).with_stop_asked(parts.asked_to_stop)),
        waiters: RefCell::default(),
        running: RefCell::default(),
        cancelled: RefCell::default(),
        wake: tokio::sync::Notify::new(),
        link: RefCell::default(),
        link_changed: tokio::sync::Notify::new(),
        unlinked: Cell::new(false),
        lost_links: LostLinks::default(),
        fault: RefCell::default(),
        watchers: Rc::default(),
        exit: RefCell::default(),
        memory_kills: Kills::new(parts.memory_kills),
        ledger: RefCell::new(parts.ledger),
        expected_back: Cell::new(false),
        left: OnceCell::new(),
        leaving: Cell::new(false),
        complete: Cell::new(false),
        detached: RefCell::default(),
        detached_command: RefCell::default(),
        end_is_told: Cell::new(false),
        creating: Cell::new(0),
        turns: FairLane::new(1),
        creations: FairLane::new(CREATIONS),
        settled: tokio::sync::Notify::new(),
        share: RefCell::new(Some(share)),
    })
}

impl System {
    /// Starts to drive a system that was taken over, or one of which only the end is left to be told. Its clients have
    /// `limit` to come back; then it ends if it is to end with its last handle.
    ///
    /// # Errors
    /// The end of the machine cannot be watched.
    pub(crate) fn start_adopted(
        self: &Rc<Self>,
        lives: bool,
        limit: Duration,
    ) -> Result<(), Failure> {
        self.expect_back(true);
        self.unlinked
            .set(lives && self.state() == State::Running && self.lacks_link());
        driver::start(self)?;
        let system = Rc::clone(self);
        tokio::task::spawn_local(async move {
            tokio::time::sleep(limit).await;
            system.expect_back(false);
            system.end_if_unheld();
            let system = {
                let weak = Rc::downgrade(&system);
                drop(system);
                // A client that came back at the last moment may still be asking.
                tokio::time::sleep(limit).await;
                weak
            };
            if let Some(system) = system.upgrade() {
                system.forget_earlier_calls();
            }
        });
        Ok(())
    }

    /// Writes down what the next service has to know of it, for the state it is about to be in.
    ///
    /// # Errors
    /// The file system refused; the next service would take it over as it was.
    pub(super) fn try_write_down(&self, state: State) -> Result<(), Failure> {
        self.record(state).write(&self.directory).map_err(|e| {
            Failure::new(
                HResult::E_FAIL,
                format!("the state of '{}' cannot be written down", self.id),
            )
            .because(&e)
        })
    }

    /// [`System::try_write_down`] where the next service finds out by itself, should it fail.
    pub(super) fn write_down(&self, state: State) {
        if let Err(failure) = self.try_write_down(state) {
            warn!("{}", failure.log_line());
        }
    }
}
