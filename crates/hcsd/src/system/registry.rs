//! The systems there are, by id, and ids that are taken for other reasons.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
    time::Duration,
};

use hcs_schema::{Failure, HResult};
use tokio::sync::Notify;

use super::System;

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

/// See the module. Belongs to the service's thread.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    systems: RefCell<HashMap<String, Entry>>,
    /// Ids of systems that are there and left alone, with the reason.
    aside: RefCell<HashMap<String, String>>,
    /// Systems that ended before their clients could come back, by runtime id.
    departed: RefCell<HashMap<String, Rc<System>>>,
    changed: Notify,
    /// The service leaves, and makes no system any more.
    closed: Cell<bool>,
}

/// An id taken for a system that is being made. Dropped, the id is free again.
#[derive(Debug)]
pub(crate) struct Reservation {
    registry: Rc<Registry>,
    id: Option<String>,
}

impl Reservation {
    /// The system is made.
    pub(crate) fn fill(mut self, system: &Rc<System>) {
        if let Some(id) = self.id.take() {
            self.registry
                .systems
                .borrow_mut()
                .insert(id, Entry::System(Rc::clone(system)));
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(id) = self.id.take() {
            self.registry.systems.borrow_mut().remove(&id);
            self.registry.changed.notify_waiters();
        }
    }
}

/// Dropped before [`Undoing::done`], it notes that the making of a system is given up.
#[derive(Debug)]
pub(crate) struct Undoing {
    registry: Rc<Registry>,
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
            && let Some(entry @ Entry::Making) = self.registry.systems.borrow_mut().get_mut(id)
        {
            *entry = Entry::Undoing;
        }
    }
}

impl Registry {
    /// The service leaves: what it clears away must not be of a system that is being made.
    pub(crate) fn close(&self) {
        self.closed.set(true);
    }

    /// Returns at once while systems are made; never when the service leaves. The client of a call that waits here
    /// makes it again at the next service.
    pub(crate) async fn open(&self) {
        if self.closed.get() {
            std::future::pending::<()>().await;
        }
    }

    /// How many systems there are, those included that are being made.
    pub(crate) fn count(&self) -> usize {
        self.systems.borrow().len()
    }

    /// Returns once no system that its last client has given up has this id any more: to that client the system was
    /// gone with its handle, or with the cancellation of its making. A system that does not go keeps its id.
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
            registry: Rc::clone(self),
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
            registry: Rc::clone(self),
            id: Some(id.to_owned()),
        })
    }

    /// A system is there that this service cannot use: its id is taken, and a client that asks for it is told `why`.
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

    /// Keeps a system that ended while no client could hear of it, for clients that come back.
    pub(crate) fn remember_departed(&self, system: &Rc<System>) {
        let runtime_id = system.runtime_id.clone();
        let mut departed = self.departed.borrow_mut();
        departed.insert(runtime_id, Rc::clone(system));
    }

    /// Its clients had their time to come back.
    pub(crate) fn forget_departed(&self, system: &System) {
        self.departed.borrow_mut().remove(&system.runtime_id);
        self.changed.notify_waiters();
    }

    /// Whether it is kept so.
    pub(crate) fn has_departed(&self, system: &System) -> bool {
        self.departed.borrow().contains_key(&system.runtime_id)
    }

    /// Those that are kept so.
    pub(crate) fn departed(&self) -> Vec<Rc<System>> {
        self.departed.borrow().values().cloned().collect()
    }

    /// Whether there is no system whose clients may ask for it: not even one that has ended.
    pub(crate) fn is_quiet(&self) -> bool {
        self.is_empty() && self.departed.borrow().is_empty()
    }

    /// Returns when a system or an id has gone.
    pub(crate) async fn change(&self) {
        self.changed.notified().await;
    }
}
