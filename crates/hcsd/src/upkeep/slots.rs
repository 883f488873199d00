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

use hcs_engine::engine::{CreateRequest, Engine, Machine, WarmSlot};
use hcs_schema::{Failure, HResult, documents::ComputeSystem};
use tokio::sync::Notify;
use tracing::{debug, error, warn};

use crate::record::{
    blocking::{blocking, blocking_within},
    files::{make_directory, remove_directory},
};

/// How long none is taken before another is prepared beside those that are left: about as long as a short-lived system
/// takes from its creation to its end.
const QUIET: Duration = Duration::from_millis(20);

/// How many machines are to be kept ready of each kind that was asked for, by the name of the engine.
pub(crate) type Wanted = HashMap<&'static str, usize>;

/// How many are kept ready of all kinds of an engine together, in multiples of what is wanted of one.
const KINDS: usize = 2;

/// A prepared machine.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) runtime_id: String,
    slot: Box<dyn WarmSlot>,
    engine: &'static str,
    directory: PathBuf,
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

    fn fits(&self, engine: &dyn Engine, document: &ComputeSystem) -> bool {
        self.engine == engine.name() && self.slot.fits(document)
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

    /// One of `engine` that fits `document`.
    pub(crate) fn take(&self, engine: &dyn Engine, document: &ComputeSystem) -> Option<Ready> {
        let mut ready = self.ready.borrow_mut();
        let index = ready
            .iter()
            .position(|ready| ready.fits(engine, document))?;
        self.taken.notify_waiters();
        ready.remove(index)
    }

    /// Prepares what is missing of the kind that fits `document`, one after the other, in the background. A failure
    /// ends it until the next call: a creation then has to do without, and says what is wrong if it fails for the same
    /// reason.
    pub(crate) fn fill(self: &Rc<Self>, engine: &Arc<dyn Engine>, document: ComputeSystem) {
        if self.filling.get() || !self.has_room(&**engine, &document) {
            return;
        }
        self.filling.set(true);
        let (slots, engine) = (Rc::clone(self), Arc::clone(engine));
        let document = Arc::new(document);
        tokio::task::spawn_local(async move {
            while slots.has_room(&*engine, &document) {
                slots.await_quiet(&*engine, &document).await;
                if !slots.has_room(&*engine, &document) {
                    break;
                }
                match slots.prepare(&engine, &document).await {
                    Ok(Some(ready)) => slots.keep(ready).await,
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
    async fn keep(&self, ready: Ready) {
        let engine = ready.engine;
        self.ready.borrow_mut().push_back(ready);
        if let Some(oldest) = self.take_surplus(engine) {
            let discarded = blocking(move || {
                oldest.discard();
                Ok(())
            });
            // It tells of its failures itself.
            let _told = discarded.await;
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

    /// How many are ready that fit `document`.
    fn fitting(&self, engine: &dyn Engine, document: &ComputeSystem) -> usize {
        let ready = self.ready.borrow();
        let fitting = ready.iter().filter(|ready| ready.fits(engine, document));
        fitting.count()
    }

    fn has_room(&self, engine: &dyn Engine, document: &ComputeSystem) -> bool {
        !self.closed.get() && self.fitting(engine, document) < self.wanted(engine.name())
    }

    /// Returns when none has been taken for a while; at once when none is left that fits `document`, or the service
    /// leaves.
    async fn await_quiet(&self, engine: &dyn Engine, document: &ComputeSystem) {
        loop {
            let taken = self.taken.notified();
            if self.closed.get() || self.fitting(engine, document) == 0 {
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
            }))
        })
        .await
    }

    /// Ends all of them; none is prepared any more. Waits for that, at most for `limit`.
    pub(crate) async fn close(&self, limit: Duration) {
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
