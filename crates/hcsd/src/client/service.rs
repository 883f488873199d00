//! What all parts of the service share: configuration, engines, the registry of systems, the limits.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    path::PathBuf,
    rc::{Rc, Weak},
    sync::Arc,
    time::Duration,
};

use hcs_engine::engine::Engine;
use hcs_schema::{Failure, HResult, documents::ComputeSystem};
use rustix::process::geteuid;
use tokio::sync::Notify;
use tracing::{info, warn};

use crate::{
    client::calls::Calls,
    door::peers::{Entitled, Peer},
    record::{event_log::EventLog, operations::Operations},
    system::System,
    thread::{
        limits::{self, Quota},
        share::UserShare,
    },
    upkeep::{config::Config, cpu_groups::CpuGroups, removals::Removals, slots::Slots},
};

/// How long a creation waits for the system of the same id that is being terminated.
const LEAVING: Duration = Duration::from_secs(10);

/// A place in the registry.
#[derive(Clone, Debug)]
enum Entry {
    /// The id is taken; the system is still being made.
    Making,
    /// The making was cancelled, and what it had begun is being undone.
    Undoing,
    /// A system.
    System(Rc<System>),
}

/// The service. Belongs to one thread.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) config: Config,
    /// The state root.
    pub(crate) root: PathBuf,
    pub(crate) log: EventLog,
    pub(crate) cpu_groups: CpuGroups,
    pub(crate) operations: Operations,
    pub(crate) calls: Rc<Calls>,
    /// Who may use it besides root and its own user.
    pub(crate) entitled: Entitled,
    engines: Vec<Arc<dyn Engine>>,
    systems: RefCell<HashMap<String, Entry>>,
    /// Ids of systems that are there and left alone, with the reason.
    aside: RefCell<HashMap<String, String>>,
    /// Systems that ended before their clients could come back, by runtime id.
    departed: RefCell<HashMap<String, Rc<System>>>,
    pub(crate) system_quota: Rc<Quota>,
    pub(crate) process_quota: Rc<Quota>,
    pub(crate) bytes_quota: Rc<Quota>,
    connection_quota: Rc<Quota>,
    users: RefCell<HashMap<u32, Weak<UserShare>>>,
    /// Calls that came with pipes and have not used them yet.
    pub(crate) pipes_quota: Rc<Quota>,
    /// What ended systems left.
    pub(crate) removals: Rc<Removals>,
    /// What is kept ready for systems to come.
    pub(crate) slots: Rc<Slots>,
    connections: Cell<usize>,
    /// Connections of users who may not use it.
    strangers: Cell<usize>,
    /// Clients that found no room, since the log said so.
    turned_away: Cell<u64>,
    numbered: Cell<u64>,
    changed: Notify,
}

/// An id taken for a system that is being made. Dropped, the id is free again.
#[derive(Debug)]
pub(crate) struct Reservation {
    service: Rc<Service>,
    id: Option<String>,
}

impl Reservation {
    /// The system is made.
    pub(crate) fn fill(mut self, system: &Rc<System>) {
        if let Some(id) = self.id.take() {
            self.service
                .systems
                .borrow_mut()
                .insert(id, Entry::System(Rc::clone(system)));
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(id) = self.id.take() {
            self.service.systems.borrow_mut().remove(&id);
            self.service.changed.notify_waiters();
        }
    }
}

/// Dropped before [`Undoing::done`], it notes that the making of a system is given up.
#[derive(Debug)]
pub(crate) struct Undoing {
    service: Rc<Service>,
    id: Option<String>,
}

impl Undoing {
    /// The making has ended.
    pub(crate) fn done(mut self) {
        self.id = None;
    }
}

impl Drop for Undoing {
    fn drop(&mut self) {
        if let Some(id) = &self.id
            && let Some(entry @ Entry::Making) = self.service.systems.borrow_mut().get_mut(id)
        {
            *entry = Entry::Undoing;
        }
    }
}

/// A counted connection.
#[derive(Debug)]
pub(crate) struct Seat {
    service: Rc<Service>,
    _of_user: Option<limits::Share>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let connections = &self.service.connections;
        connections.set(connections.get() - 1);
        self.service.changed.notify_waiters();
    }
}

/// Connections that root and the service's own user may have when all others are taken.
const RESERVED: usize = 64;
/// Threads that may wait, of all there are, that one user other than these may have at one time.
const THREADS_OF_USER: usize = crate::serve::WAITING_THREADS / 2;

/// Connections, at one time, of users who may not use the service and are told so. Theirs are beside those of clients.
const MOST_STRANGERS: usize = 64;

/// A counted connection of somebody who may not use the service.
#[derive(Debug)]
pub(crate) struct DoorMat(Rc<Service>);

impl Drop for DoorMat {
    fn drop(&mut self) {
        self.0.strangers.set(self.0.strangers.get() - 1);
    }
}

/// Whether a user is root, or the service's own: those could do all that the service can.
fn is_trusted(uid: u32) -> bool {
    uid == 0 || uid == geteuid().as_raw()
}

impl Service {
    /// A service without systems.
    pub(crate) fn new(
        config: Config,
        root: PathBuf,
        (log, cpu_groups): (EventLog, CpuGroups),
        entitled: Entitled,
        engines: Vec<Arc<dyn Engine>>,
    ) -> Rc<Self> {
        let limits = config.limits;
        let quotes = config.log_client_values;
        let calls = Calls::new(config.times.reconnect());
        let slots = Slots::new(root.join("slots"), config.warm_slots());
        Rc::new(Self {
            config,
            root,
            log,
            cpu_groups,
            operations: Operations::new(quotes),
            calls,
            entitled,
            engines,
            systems: RefCell::default(),
            aside: RefCell::default(),
            departed: RefCell::default(),
            system_quota: Quota::new("compute systems of one user", limits.systems_per_client),
            process_quota: Quota::new("processes of one user", limits.processes_per_client),
            bytes_quota: Quota::new(
                "bytes of unanswered calls of one user",
                limits.unanswered_bytes_per_client,
            ),
            connection_quota: Quota::new("connections of one user", limits.connections_per_client),
            users: RefCell::default(),
            pipes_quota: Quota::new(
                "processes of one user that are still to be made",
                limits.processes_per_client,
            ),
            removals: Rc::default(),
            slots,
            connections: Cell::new(0),
            strangers: Cell::new(0),
            turned_away: Cell::new(0),
            numbered: Cell::new(0),
            changed: Notify::new(),
        })
    }

    /// Counts a connection of that user in.
    ///
    /// # Errors
    /// There are too many, or the user has too many.
    pub(crate) fn seat(self: &Rc<Self>, uid: u32) -> Result<Seat, Failure> {
        let limit = self.config.limits.connections;
        let (most, of_user) = match is_trusted(uid) {
            true => (limit.saturating_add(RESERVED), None),
            false => (limit, Some(self.connection_quota.take(uid)?)),
        };
        if self.connections.get() >= most {
            return Err(limits::reached("connections of all clients", limit));
        }
        let turned_away = self.turned_away.take();
        if turned_away > 0 {
            info!(turned_away, "there is room for clients again");
        }
        self.connections.set(self.connections.get() + 1);
        self.changed.notify_waiters();
        Ok(Seat {
            service: Rc::clone(self),
            _of_user: of_user,
        })
    }

    /// Says in the log that a client finds no room: once, until there is room again.
    pub(crate) fn turns_away(&self, peer: &Peer, why: &Failure) {
        if self.turned_away.replace(self.turned_away.get() + 1) == 0 {
            warn!(?peer, "clients are turned away: {}", why.log_line());
        }
    }

    /// What the connections of that user share.
    pub(crate) fn user_share(&self, uid: u32) -> Rc<UserShare> {
        let mut users = self.users.borrow_mut();
        if let Some(share) = users.get(&uid).and_then(Weak::upgrade) {
            return share;
        }
        users.retain(|_, share| share.strong_count() > 0);
        let share = UserShare::new((!is_trusted(uid)).then_some(THREADS_OF_USER));
        users.insert(uid, Rc::downgrade(&share));
        share
    }

    /// Counts the connection of somebody who may not use the service in, unless there are too many. The service does
    /// not stay for it.
    pub(crate) fn door_mat(self: &Rc<Self>) -> Option<DoorMat> {
        if self.strangers.get() >= MOST_STRANGERS {
            return None;
        }
        self.strangers.set(self.strangers.get() + 1);
        Some(DoorMat(Rc::clone(self)))
    }

    /// A number for a connection, for the log.
    pub(crate) fn number_connection(&self) -> u64 {
        self.numbered.set(self.numbered.get() + 1);
        self.numbered.get()
    }

    /// All engines.
    pub(crate) fn engines(&self) -> &[Arc<dyn Engine>] {
        &self.engines
    }

    /// The engine for a document.
    ///
    /// # Errors
    /// This build has none, or the document does not say what it wants.
    pub(crate) fn engine_for(&self, document: &ComputeSystem) -> Result<Arc<dyn Engine>, Failure> {
        if let Some(engine) = self.engines.iter().find(|engine| engine.accepts(document)) {
            return Ok(Arc::clone(engine));
        }
        if document.virtual_machine.is_some() {
            return Err(Failure::new(
                HResult::HCS_E_HYPERV_NOT_INSTALLED,
                "a virtual machine was asked for, but this service was built without a virtual machine engine",
            )
            .cause_at("/VirtualMachine", "only Container is available here")
            .while_doing("Construct"));
        }
        Err(Failure::new(
            HResult::HCS_E_INVALID_JSON,
            "the document describes no compute system: it needs Container or VirtualMachine",
        )
        .cause_at("", "expected one of Container, VirtualMachine"))
    }

    /// Returns once no system that its last client has given up has this id any more: to that client the system was gone
    /// with its handle, or with the cancellation of its making. One that does not go keeps its id.
    pub(crate) async fn wait_for_leaving(&self, id: &str) {
        let left = async {
            loop {
                let changed = self.changed.notified();
                match self.systems.borrow().get(id) {
                    Some(Entry::System(system)) if system.is_leaving() => {}
                    Some(Entry::Undoing) => {}
                    _ => return,
                }
                changed.await;
            }
        };
        let _stays = tokio::time::timeout(LEAVING, left).await;
    }

    /// What a making that is given up notes.
    pub(crate) fn undoing(self: &Rc<Self>, id: &str) -> Undoing {
        Undoing {
            service: Rc::clone(self),
            id: Some(id.to_owned()),
        }
    }

    /// Takes an id.
    ///
    /// # Errors
    /// `HCS_E_SYSTEM_ALREADY_EXISTS`.
    pub(crate) fn reserve(self: &Rc<Self>, id: &str) -> Result<Reservation, Failure> {
        if let Some(why) = self.aside.borrow().get(id) {
            let message = format!(
                "a compute system with the id '{id}' already exists, but is left alone: {why}"
            );
            return Err(Failure::new(HResult::HCS_E_SYSTEM_ALREADY_EXISTS, message));
        }
        let mut systems = self.systems.borrow_mut();
        if systems.contains_key(id) {
            return Err(Failure::new(
                HResult::HCS_E_SYSTEM_ALREADY_EXISTS,
                format!("a compute system with the id '{id}' already exists"),
            ));
        }
        systems.insert(id.to_owned(), Entry::Making);
        Ok(Reservation {
            service: Rc::clone(self),
            id: Some(id.to_owned()),
        })
    }

    /// A system is there that this service cannot use: its id is taken, and whoever asks for it is told `why`.
    pub(crate) fn set_aside(&self, id: String, why: String) {
        self.aside.borrow_mut().insert(id, why);
    }

    /// The system with this id; with `runtime_id` only that very one, even if it has ended since the service started.
    ///
    /// # Errors
    /// `HCS_E_SYSTEM_NOT_FOUND`.
    pub(crate) fn find(&self, id: &str, runtime_id: Option<&str>) -> Result<Rc<System>, Failure> {
        let wanted = |system: &Rc<System>| {
            system.id == id && runtime_id.is_none_or(|wanted| wanted == system.runtime_id)
        };
        if let Some(Entry::System(system)) = self.systems.borrow().get(id)
            && wanted(system)
        {
            return Ok(Rc::clone(system));
        }
        let departed = self.departed.borrow();
        let departed = runtime_id.and_then(|runtime_id| departed.get(runtime_id));
        match departed.filter(|system| wanted(system)) {
            Some(system) => Ok(Rc::clone(system)),
            None => Err(Failure::new(
                HResult::HCS_E_SYSTEM_NOT_FOUND,
                match self.aside.borrow().get(id) {
                    Some(why) => format!("the compute system '{id}' is left alone: {why}"),
                    None => format!("there is no compute system with the id '{id}'"),
                },
            )),
        }
    }

    /// The system that the call `name` created, even if it has ended since the service started.
    pub(crate) fn created_by(&self, name: &str) -> Option<Rc<System>> {
        let departed = self.departed.borrow();
        let mut all = self.systems().into_iter().chain(departed.values().cloned());
        all.find(|system| system.was_created_by(name))
    }

    /// Whether there is no system, not even one that is being made.
    pub(crate) fn is_empty(&self) -> bool {
        self.systems.borrow().is_empty()
    }

    /// All systems, by id.
    pub(crate) fn systems(&self) -> Vec<Rc<System>> {
        let mut systems: Vec<_> = self
            .systems
            .borrow()
            .values()
            .filter_map(|entry| match entry {
                Entry::System(system) => Some(Rc::clone(system)),
                Entry::Making | Entry::Undoing => None,
            })
            .collect();
        systems.sort_by(|a, b| a.id.cmp(&b.id));
        systems
    }

    /// A system has ended: its id is free.
    pub(crate) fn forget(&self, system: &Rc<System>) {
        let mut systems = self.systems.borrow_mut();
        if let Some(Entry::System(registered)) = systems.get(&system.id)
            && Rc::ptr_eq(registered, system)
        {
            systems.remove(&system.id);
        }
        self.changed.notify_waiters();
    }

    /// Keeps a system that ended while no client could hear of it, for clients that come back within `limit`.
    pub(crate) fn remember_departed(self: &Rc<Self>, system: &Rc<System>, limit: Duration) {
        let runtime_id = system.runtime_id.clone();
        self.departed
            .borrow_mut()
            .insert(runtime_id.clone(), Rc::clone(system));
        let service = Rc::clone(self);
        tokio::task::spawn_local(async move {
            tokio::time::sleep(limit).await;
            service.departed.borrow_mut().remove(&runtime_id);
            service.changed.notify_waiters();
        });
    }

    /// Returns when there has been no client, no system and nothing to be removed for `idle`.
    pub(crate) async fn idle(&self, idle: Duration) {
        loop {
            let change = async {
                tokio::select! {
                    () = self.changed.notified() => {}
                    () = self.removals.progress() => {}
                }
            };
            let busy = self.connections.get() > 0
                || !self.systems.borrow().is_empty()
                || !self.departed.borrow().is_empty()
                || !self.removals.are_done();
            if busy {
                change.await;
            } else if tokio::time::timeout(idle, change).await.is_err() {
                return;
            }
        }
    }
}
