//! [`Client`]: what one process has with the service at one endpoint: the connection, made when it is first needed and
//! made again when it was lost, and the handles that live on it.
//!
//! After `fork(2)` the child must neither write to its parent's connection nor wait for its parent's threads. So all of
//! this hangs on a [`World`] that belongs to one pid; a child makes itself a new one, without touching a lock of the
//! old one, and its copies of the parent's handles are opened again on the child's own connection when they are used.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock, Weak},
};

use hcs_schema::{Failure, HResult};
use hcs_wire::service::{Event, Subject};

use crate::{
    daemon,
    endpoint::Endpoint,
    handle::Handle,
    link::{Link, Refused},
    pool::Pool,
    sync::{Mutex, lock, thread},
};

/// How often a service is started that is gone again before it has greeted.
const STARTS: u32 = 3;

/// All that belongs to one process of that pid.
#[derive(Debug)]
struct World {
    pid: u32,
    clients: Mutex<HashMap<Endpoint, Arc<Client>>>,
    pool: Pool,
    /// The world of a child.
    next: OnceLock<Box<World>>,
}

impl World {
    fn new(pid: u32) -> Self {
        Self {
            pid,
            clients: Mutex::default(),
            pool: Pool::default(),
            next: OnceLock::new(),
        }
    }

    /// This process's. Children of children find theirs at the end of the chain.
    fn current() -> &'static Self {
        static FIRST: OnceLock<World> = OnceLock::new();
        let pid = std::process::id();
        let mut world = FIRST.get_or_init(|| Self::new(pid));
        while world.pid != pid {
            world = world.next.get_or_init(|| Box::new(Self::new(pid)));
        }
        world
    }
}

/// The threads for callbacks of this process.
pub(crate) fn pool() -> &'static Pool {
    &World::current().pool
}

/// One process's connection to one endpoint, and its handles there.
#[derive(Debug)]
pub(crate) struct Client {
    endpoint: Endpoint,
    link: Mutex<Option<Arc<Link>>>,
    handles: Mutex<HashMap<u64, Weak<Handle>>>,
}

impl Client {
    /// The one of this process for `endpoint`.
    pub(crate) fn of(endpoint: &Endpoint) -> Arc<Self> {
        let mut clients = lock(&World::current().clients);
        if let Some(client) = clients.get(endpoint) {
            return Arc::clone(client);
        }
        let client = Arc::new(Self {
            endpoint: endpoint.clone(),
            link: Mutex::default(),
            handles: Mutex::default(),
        });
        clients.insert(endpoint.clone(), Arc::clone(&client));
        client
    }

    /// The connection; made now, with a service started if there is none, when it is not there. Others who need it wait
    /// meanwhile.
    ///
    /// # Errors
    /// `HCS_E_SERVICE_NOT_AVAILABLE`, `HCS_E_ACCESS_DENIED`, `HCS_E_UNSUPPORTED_PROTOCOL_VERSION` and their causes.
    pub(crate) fn link(self: &Arc<Self>) -> Result<Arc<Link>, Failure> {
        let mut current = lock(&self.link);
        if let Some(link) = &*current {
            return Ok(Arc::clone(link));
        }
        let link = self.connect()?;
        *current = Some(Arc::clone(&link));
        Ok(link)
    }

    /// The connection, if there is one.
    pub(crate) fn current_link(&self) -> Option<Arc<Link>> {
        lock(&self.link).clone()
    }

    fn connect(self: &Arc<Self>) -> Result<Arc<Link>, Failure> {
        let mut starts = 0;
        let (link, receiver) = loop {
            match Link::connect(&self.endpoint) {
                Ok(connected) => break connected,
                Err(Refused::NotThere(_)) if starts < STARTS => {
                    starts += 1;
                    daemon::start(&self.endpoint)?;
                }
                Err(refused) => return Err(refused.into_failure()),
            }
        };
        let link = Arc::new(link);
        let (reader, client) = (Arc::clone(&link), Arc::clone(self));
        let run = move || {
            reader.read(receiver, |event| client.event(event));
            client.lost(&reader);
        };
        thread::Builder::new()
            .name("hcs-reader".to_owned())
            .spawn(run)
            .map_err(|error| {
                Failure::new(
                    HResult::E_OUTOFMEMORY,
                    "no thread could be started for the connection to the host compute service",
                )
                .because(&error)
            })?;
        Ok(link)
    }

    /// Events of `handle` are handed to it from now on.
    pub(crate) fn register(&self, handle: &Arc<Handle>) {
        lock(&self.handles).insert(handle.number(), Arc::downgrade(handle));
    }

    /// No more events for it.
    pub(crate) fn unregister(&self, number: u64) {
        lock(&self.handles).remove(&number);
    }

    fn event(&self, event: Event) {
        let (Subject::System(number) | Subject::Process(number)) = event.subject else {
            return;
        };
        // An event for a handle that was closed while it was under way is nobody's.
        let handle = lock(&self.handles).get(&number).and_then(Weak::upgrade);
        if let Some(handle) = handle {
            handle.event(event.event_type, event.data.map(Into::into));
        }
    }

    /// The connection is over.
    fn lost(&self, link: &Link) {
        let mut current = lock(&self.link);
        if current
            .as_ref()
            .is_some_and(|l| l.serial() == link.serial())
        {
            *current = None;
        }
        drop(current);
        let handles: Vec<_> = lock(&self.handles)
            .values()
            .filter_map(Weak::upgrade)
            .collect();
        for handle in handles {
            handle.disconnected();
        }
    }
}
