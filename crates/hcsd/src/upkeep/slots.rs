//! Warm slots: machines that engines have prepared before a client asks for one, so that a creation has less to do.
//!
//! They are filled in the background, from the first creation on, with what fits the document of the last one: a
//! service without creations keeps nothing ready. As long as one of that kind is left, that waits for a quiet moment,
//! so that it does not contend with the very system that took one. They are no systems: no client sees them, no user's
//! limits count them, and a service does not stay for their sake. Each has a runtime id and a directory
//! `<state root>/slots/<runtime id>`; both become the system's that takes it. What a service that was killed had ready
//! has ended with it, and is cleared away by the next one.

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, VecDeque},
    fs, io,
    os::unix::fs::DirBuilderExt as _,
    path::PathBuf,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use hcn::Guid;
use hcs_engine::engine::{CreateRequest, Engine, Machine, WarmSlot};
use hcs_schema::{Failure, HResult, documents::ComputeSystem};
use tokio::sync::Notify;
use tracing::{debug, error, warn};

use crate::{
    network::Networks,
    record::{
        blocking::{blocking, blocking_within},
        files::{make_directory, remove_directory},
    },
};

/// How long none is taken before another is prepared beside those that are left: about as long as a short-lived system
/// takes from its creation to its end.
const QUIET: Duration = Duration::from_millis(20);

/// The user whose turns of networks are taken for what is kept ready.
const SERVICE: u32 = 0;

/// How many machines are to be kept ready of each kind that was asked for, by the name of the engine.
pub(crate) type Wanted = HashMap<&'static str, usize>;

/// How many are kept ready of all kinds of an engine together, in multiples of what is wanted of one.
const KINDS: usize = 2;

/// What is kept ready for a document: a machine like the one that it asks for, and in its network an endpoint of this
/// one, where there is one ([`Networks::prepare_spare`]).
#[derive(Clone, Debug)]
pub(crate) struct Like {
    pub(crate) document: Arc<ComputeSystem>,
    pub(crate) network: Option<Guid>,
}

/// A prepared machine.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) runtime_id: String,
    slot: Box<dyn WarmSlot>,
    engine: &'static str,
    directory: PathBuf,
    /// The network of the endpoint that it has.
    network: Option<Guid>,
}

impl Ready {
    /// Makes the machine of `request` from it.
    ///
    /// # Errors
    /// It cannot be used; nothing is left of it then.
    pub(crate) fn become_machine(
        self,
        request: &CreateRequest,
    ) -> Result<Arc<dyn Machine>, Failure> {
        if let Err(e) = fs::rename(&self.directory, &request.directory) {
            let message = format!("{} cannot be renamed", self.directory.display());
            self.discard();
            return Err(Failure::new(HResult::E_FAIL, message).because(&e));
        }
        let made = self.slot.make(request);
        made.inspect_err(|_| remove_directory(&request.directory))
    }

    fn fits(&self, engine: &dyn Engine, document: &ComputeSystem, network: Option<Guid>) -> bool {
        self.network == network && self.engine == engine.name() && self.slot.fits(document)
    }

    /// Ends it, after its endpoint has been taken out.
    async fn give_up(self, networks: &Rc<Networks>) {
        if self.network.is_some() {
            networks.leave(&self.runtime_id, SERVICE).await;
        }
        let discarded = blocking(move || {
            self.discard();
            Ok(())
        });
        // It tells of its failures itself.
        let _told = discarded.await;
    }

    fn discard(self) {
        if let Err(failure) = self.slot.discard() {
            error!(
                "something of it is left behind until the service starts again: {}",
                failure.log_line()
            );
        }
        remove_directory(&self.directory);
    }
}

/// All that are ready. Belongs to the service's thread.
#[derive(Debug)]
pub(crate) struct Slots {
    root: PathBuf,
    /// See [`Wanted`].
    wanted: RefCell<Wanted>,
    /// Oldest first.
    ready: RefCell<VecDeque<Ready>>,
    /// One is being prepared.
    filling: Cell<bool>,
    filled: Notify,
    /// One was taken, or the service is leaving.
    taken: Notify,
    /// The service is leaving.
    closed: Cell<bool>,
}

impl Slots {
    /// None yet; `wanted` of them are to be kept in directories below `root`.
    pub(crate) fn new(root: PathBuf, wanted: Wanted) -> Rc<Self> {
        Rc::new(Self {
            root,
            wanted: RefCell::new(wanted),
            ready: RefCell::default(),
            filling: Cell::new(false),
            filled: Notify::new(),
            taken: Notify::new(),
            closed: Cell::new(false),
        })
    }

    /// Keeps `wanted` from the next creation on. What is ready beyond that goes as it is taken.
    pub(crate) fn set_wanted(&self, wanted: Wanted) {
        self.wanted.replace(wanted);
    }

    /// How many are wanted of each kind of an engine.
    fn wanted(&self, engine: &str) -> usize {
        self.wanted.borrow().get(engine).copied().unwrap_or(0)
    }

    /// Removes the directories of what an earlier service had ready. Called once, before any is made.
    pub(crate) fn clear_left(&self) {
        for entry in fs::read_dir(&self.root).into_iter().flatten().flatten() {
            remove_directory(&entry.path());
        }
    }

    /// One of `engine` that fits `document`, if there is one with an endpoint of `network`.
    pub(crate) fn take(
        &self,
        engine: &dyn Engine,
        document: &ComputeSystem,
        network: Option<Guid>,
    ) -> Option<Ready> {
        let mut ready = self.ready.borrow_mut();
        let fitting = |network| {
            let mut ready = ready.iter();
            ready.position(|ready| ready.fits(engine, document, network))
        };
        let index = fitting(network).or_else(|| fitting(None))?;
        self.taken.notify_waiters();
        ready.remove(index)
    }

    /// Prepares what is missing of the kind that is `like` this, one after the other, in the background. A failure ends
    /// it until the next call: a creation then has to do without, and says what is wrong if it fails for the same
    /// reason.
    pub(crate) fn fill(
        self: &Rc<Self>,
        engine: &Arc<dyn Engine>,
        networks: &Rc<Networks>,
        like: Like,
    ) {
        if self.filling.get() || !self.has_room(&**engine, &like) {
            return;
        }
        self.filling.set(true);
        let (slots, engine) = (Rc::clone(self), Arc::clone(engine));
        let networks = Rc::clone(networks);
        tokio::task::spawn_local(async move {
            while slots.has_room(&*engine, &like) {
                slots.await_quiet(&*engine, &like).await;
                if !slots.has_room(&*engine, &like) {
                    break;
                }
                let prepared = match slots.prepare(&engine, &like.document).await {
                    Ok(Some(ready)) => furnish(ready, &networks, like.network).await.map(Some),
                    other => other,
                };
                match prepared {
                    Ok(Some(ready)) => slots.keep(ready, &networks).await,
                    Ok(None) => break,
                    Err(failure) => {
                        warn!("nothing can be kept ready: {}", failure.log_line());
                        break;
                    }
                }
            }
            slots.filling.set(false);
            slots.filled.notify_waiters();
        });
    }

    /// Keeps `ready`; what is the oldest of too many kinds goes.
    async fn keep(&self, ready: Ready, networks: &Rc<Networks>) {
        let engine = ready.engine;
        self.ready.borrow_mut().push_back(ready);
        if let Some(oldest) = self.take_surplus(engine) {
            oldest.give_up(networks).await;
        }
    }

    /// The oldest one of an engine that has more than all of its kinds may have.
    fn take_surplus(&self, engine: &str) -> Option<Ready> {
        let mut ready = self.ready.borrow_mut();
        let all = ready.iter().filter(|ready| ready.engine == engine).count();
        if all <= self.wanted(engine).saturating_mul(KINDS) {
            return None;
        }
        let oldest = ready.iter().position(|ready| ready.engine == engine)?;
        ready.remove(oldest)
    }

    /// How many are ready that are `like` this.
    fn fitting(&self, engine: &dyn Engine, like: &Like) -> usize {
        let fits = |ready: &&Ready| ready.fits(engine, &like.document, like.network);
        self.ready.borrow().iter().filter(fits).count()
    }

    fn has_room(&self, engine: &dyn Engine, like: &Like) -> bool {
        !self.closed.get() && self.fitting(engine, like) < self.wanted(engine.name())
    }

    /// Returns when none has been taken for a while; at once when none is left that is `like` this, or the service
    /// leaves.
    async fn await_quiet(&self, engine: &dyn Engine, like: &Like) {
        loop {
            let taken = self.taken.notified();
            if self.closed.get() || self.fitting(engine, like) == 0 {
                return;
            }
            if tokio::time::timeout(QUIET, taken).await.is_err() {
                return;
            }
        }
    }

    async fn prepare(
        &self,
        engine: &Arc<dyn Engine>,
        document: &Arc<ComputeSystem>,
    ) -> Result<Option<Ready>, Failure> {
        let (engine, document) = (Arc::clone(engine), Arc::clone(document));
        let runtime_id = uuid::Uuid::new_v4().to_string();
        let root = self.root.clone();
        blocking(move || {
            let directory = root.join(&runtime_id);
            match fs::DirBuilder::new().mode(0o700).create(&root) {
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
                    let message = format!("{} cannot be made", root.display());
                    return Err(Failure::new(HResult::E_FAIL, message).because(&e));
                }
                _ => {}
            }
            make_directory(&directory)?;
            let slot = match engine.prepare(&document, &runtime_id, &directory) {
                Ok(Some(slot)) => slot,
                other => {
                    remove_directory(&directory);
                    return other.map(|_| None);
                }
            };
            debug!(%runtime_id, "kept ready");
            Ok(Some(Ready {
                runtime_id,
                slot,
                engine: engine.name(),
                directory,
                network: None,
            }))
        })
        .await
    }

    /// Ends all of them; none is prepared any more. Waits for that, at most for `limit`.
    pub(crate) async fn close(&self, networks: &Rc<Networks>, limit: Duration) {
        self.closed.set(true);
        self.taken.notify_waiters();
        let prepared = async {
            loop {
                let filled = self.filled.notified();
                if !self.filling.get() {
                    return;
                }
                filled.await;
            }
        };
        if tokio::time::timeout(limit, prepared).await.is_err() {
            warn!("what is being prepared is left to the next service");
        }
        let ready = self.ready.take();
        for one in ready.iter().filter(|ready| ready.network.is_some()) {
            networks.leave(&one.runtime_id, SERVICE).await;
        }
        let root = self.root.clone();
        let discarded = blocking_within(limit, "ending what was kept ready", move || {
            ready.into_iter().for_each(Ready::discard);
            match fs::remove_dir(&root) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    let message = format!("{} cannot be removed", root.display());
                    Err(Failure::new(HResult::E_FAIL, message).because(&e))
                }
                _ => Ok(()),
            }
        })
        .await;
        if let Err(failure) = discarded {
            error!("{}", failure.log_line());
        }
    }
}

/// Puts an endpoint of `network` into the network of what is `ready`.
///
/// # Errors
/// It cannot be; nothing is left of it then.
async fn furnish(
    mut ready: Ready,
    networks: &Rc<Networks>,
    network: Option<Guid>,
) -> Result<Ready, Failure> {
    let Some(id) = network else {
        return Ok(ready);
    };
    let furnished = match ready.slot.network() {
        Ok(space) => networks.prepare_spare(&ready.runtime_id, id, space).await,
        Err(failure) => Err(failure),
    };
    ready.network = network;
    match furnished {
        Ok(()) => Ok(ready),
        Err(failure) => {
            ready.give_up(networks).await;
            Err(failure)
        }
    }
}
