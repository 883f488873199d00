//! Warm slots: machines that engines have prepared before anybody asks for one, so that a creation has less to do.
//!
//! They are filled in the background, from the first creation on: a service that nobody creates with keeps nothing
//! ready. As long as one is left, that waits for a quiet moment, so that it does not contend with the very system that
//! took one. They are no systems: nobody sees them, they count for nobody, and a service does not stay for their sake. Each
//! has a runtime id and a directory `<state root>/slots/<runtime id>`; both become the system's that takes it. What a
//! service that was killed had ready has ended with it, and is cleared away by the next one.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    fs, io,
    os::unix::fs::DirBuilderExt as _,
    path::PathBuf,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use hcs_lifecycle::engine::{CreateRequest, Engine, Machine, Slot};
use hcs_schema::{Failure, HResult, documents::ComputeSystem};
use tokio::sync::Notify;
use tracing::{debug, error, warn};

use crate::{
    blocking::{blocking, blocking_within},
    system::making::{make_directory, remove_directory},
};

/// How long none is taken before another is prepared beside those that are left: about as long as a short-lived system
/// takes from its creation to its end.
const QUIET: Duration = Duration::from_millis(20);

/// A prepared machine.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) runtime_id: String,
    slot: Box<dyn Slot>,
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
    wanted: usize,
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
    pub(crate) fn new(root: PathBuf, wanted: usize) -> Rc<Self> {
        Rc::new(Self {
            root,
            wanted,
            ready: RefCell::default(),
            filling: Cell::new(false),
            filled: Notify::new(),
            taken: Notify::new(),
            closed: Cell::new(false),
        })
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
        let fits = |ready: &Ready| ready.engine == engine.name() && ready.slot.fits(document);
        let index = ready.iter().position(fits)?;
        self.taken.notify_waiters();
        ready.remove(index)
    }

    /// Prepares what is missing, one after the other, in the background. A failure ends it until the next call: a
    /// creation then has to do without, and says what is wrong if it fails for the same reason.
    pub(crate) fn fill(self: &Rc<Self>, engine: &Arc<dyn Engine>) {
        if self.filling.get() || !self.has_room() {
            return;
        }
        self.filling.set(true);
        let (slots, engine) = (Rc::clone(self), Arc::clone(engine));
        tokio::task::spawn_local(async move {
            while slots.has_room() {
                slots.await_quiet().await;
                if !slots.has_room() {
                    break;
                }
                match slots.prepare(&engine).await {
                    Ok(Some(ready)) => slots.ready.borrow_mut().push_back(ready),
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

    fn has_room(&self) -> bool {
        !self.closed.get() && self.ready.borrow().len() < self.wanted
    }

    /// Returns when none has been taken for a while; at once when none is left, or the service leaves.
    async fn await_quiet(&self) {
        loop {
            let taken = self.taken.notified();
            if self.closed.get() || self.ready.borrow().is_empty() {
                return;
            }
            if tokio::time::timeout(QUIET, taken).await.is_err() {
                return;
            }
        }
    }

    async fn prepare(&self, engine: &Arc<dyn Engine>) -> Result<Option<Ready>, Failure> {
        let engine = Arc::clone(engine);
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
            let slot = match engine.prepare(&runtime_id, &directory) {
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
