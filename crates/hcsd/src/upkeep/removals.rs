//! Removing what ended systems leave on the host, behind the backs of those who wait for their end.
//!
//! Removing is slow where creating is fast: an overlay leaves half a dozen directories, and a container whatever its
//! programs wrote. Everything is named after the system's runtime id, so nothing else waits for it to be gone: a client
//! that wants the id, or the answer, has it before. The service does not leave while something is being removed, and
//! what cannot be removed is found by the next one. What systems left that ended while no service was there is removed
//! here as well, one after the other.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    path::PathBuf,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use hcs_engine::engine::{Machine, Removal};
use hcs_schema::Failure;
use hcs_wire::subordinate::holder;
use tokio::sync::{Notify, Semaphore};
use tracing::{Instrument as _, Span, error, warn};

use crate::{
    record::{blocking::blocking_within, files::remove_directory},
    thread::{fair::FairLane, rounds::Who},
};

/// How many of one user are removed at the same time: more only wait for each other in the file system's journal, and
/// one that hangs shall not keep the others waiting.
const AT_ONCE: usize = 4;
/// How many of all users: what three leave, however slow it is to be removed, does not keep another's waiting.
const IN_ALL: usize = 4 * AT_ONCE;
/// How many of one user may wait. Past this, a call that ends a system of that user waits for room: creation must not
/// outrun removal.
const MOST: usize = 1024;
/// How long one removal may take before it counts as failed. A container may have written millions of files.
const LIMIT: Duration = Duration::from_secs(600);
/// How long to rest before each further try to remove what could not be removed: the host may be short of something.
const RESTS: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(25),
];

/// Removals that are under way or wait for their turn. Belongs to the service's thread.
#[derive(Debug)]
pub(crate) struct Removals {
    /// In turns of the users.
    turns: Rc<FairLane>,
    /// Those of each user who has any.
    users: RefCell<HashMap<u32, Rc<OfUser>>>,
    pending: Cell<usize>,
    changed: Notify,
}

impl Default for Removals {
    fn default() -> Self {
        Self {
            turns: FairLane::new(IN_ALL),
            users: RefCell::default(),
            pending: Cell::new(0),
            changed: Notify::new(),
        }
    }
}

/// What one user has to be removed.
#[derive(Debug)]
struct OfUser {
    turns: Semaphore,
    pending: Cell<usize>,
}

impl Default for OfUser {
    fn default() -> Self {
        Self {
            turns: Semaphore::new(AT_ONCE),
            pending: Cell::new(0),
        }
    }
}

/// Counts one removal.
struct Pending {
    removals: Rc<Removals>,
    user: Rc<OfUser>,
    uid: u32,
}

impl Pending {
    fn new(removals: &Rc<Removals>, uid: u32) -> Self {
        let user = Rc::clone(removals.users.borrow_mut().entry(uid).or_default());
        removals.pending.set(removals.pending.get() + 1);
        user.pending.set(user.pending.get() + 1);
        Self {
            removals: Rc::clone(removals),
            user,
            uid,
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.removals.pending.set(self.removals.pending.get() - 1);
        self.user.pending.set(self.user.pending.get() - 1);
        if self.user.pending.get() == 0 {
            self.removals.users.borrow_mut().remove(&self.uid);
        }
        self.removals.changed.notify_waiters();
    }
}

impl Removals {
    /// Whether nothing is left to be removed.
    pub(crate) fn are_done(&self) -> bool {
        self.pending.get() == 0
    }

    fn pending_of(&self, uid: u32) -> usize {
        let users = self.users.borrow();
        users.get(&uid).map_or(0, |user| user.pending.get())
    }

    /// Returns when something has been removed.
    pub(crate) async fn progress(&self) {
        self.changed.notified().await;
    }

    /// Returns when all is removed, or after `limit`.
    pub(crate) async fn finish(&self, limit: Duration) {
        let done = async {
            loop {
                let changed = self.changed.notified();
                if self.are_done() {
                    return;
                }
                changed.await;
            }
        };
        if tokio::time::timeout(limit, done).await.is_err() {
            warn!(
                left = self.pending.get(),
                "something is left to be removed by the next service"
            );
        }
    }

    /// Removes what was made for `machine` of the user `uid`, which is gone, and its `directory`, if that is to go.
    /// Returns before it is done, unless very many others of that user wait.
    pub(crate) async fn remove(
        self: &Rc<Self>,
        machine: Arc<dyn Machine>,
        directory: Option<PathBuf>,
        uid: u32,
    ) {
        let uid = holder(uid);
        while self.pending_of(uid) >= MOST {
            self.progress().await;
        }
        let pending = Pending::new(self, uid);
        let removal = Arc::new(move || {
            let released = machine.release();
            if let Some(directory) = &directory {
                remove_directory(directory);
            }
            released
        });
        // Without the call that ended it: others wait for its turn, which must not wait for threads of that call's
        // client.
        let removing = pending.remove_all(vec![removal]);
        tokio::task::spawn_local(removing.instrument(Span::current()));
    }

    /// Removes what is left of systems that no client can name. Returns before it is done.
    pub(crate) fn remove_remains(self: &Rc<Self>, remains: Vec<Removal>) {
        if !remains.is_empty() {
            let pending = Pending::new(self, rustix::process::geteuid().as_raw());
            tokio::task::spawn_local(pending.remove_all(remains));
        }
    }
}

impl Pending {
    /// Does all of `removals`, one after the other; tries again what fails, after the others.
    async fn remove_all(self, mut removals: Vec<Removal>) {
        for rest in RESTS.map(Some).into_iter().chain([None]) {
            let mut failed = Vec::new();
            for removal in removals {
                let Err(failure) = self.try_to_remove(&removal).await else {
                    continue;
                };
                match rest {
                    Some(rest) => warn!("trying again in {rest:?}: {}", failure.log_line()),
                    None => error!(
                        "something of it is left behind until the service starts again: {}",
                        failure.log_line()
                    ),
                }
                failed.push(removal);
            }
            let (Some(rest), false) = (rest, failed.is_empty()) else {
                return;
            };
            tokio::time::sleep(rest).await;
            removals = failed;
        }
    }

    async fn try_to_remove(&self, removal: &Removal) -> Result<(), Failure> {
        let removal = Arc::clone(removal);
        // The user's own first: what waits for others of that user holds none of all users' places.
        let _own = self.user.turns.acquire().await;
        let _turn = self.removals.turns.place(Who::of_user(self.uid)).await;
        let what = "removing what was made for the system";
        blocking_within(LIMIT, what, move || removal()).await
    }
}

#[cfg(test)]
mod tests {
    use hcs_engine::engine::Exit;

    use super::*;
    use crate::system::gone::GoneMachine;

    fn local(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, test);
    }

    #[test]
    fn many_are_removed_and_waited_for() {
        local(async {
            let parent = tempfile::tempdir().unwrap();
            let removals = Rc::new(Removals::default());
            for number in 0..3 * AT_ONCE {
                let directory = parent.path().join(number.to_string());
                std::fs::create_dir_all(directory.join("below")).unwrap();
                let machine = Arc::new(GoneMachine::new(Exit::Unknown, None).unwrap());
                removals.remove(machine, Some(directory), 1).await;
            }
            assert!(!removals.are_done(), "no call has waited yet");
            removals.finish(Duration::from_secs(60)).await;
            assert!(removals.are_done());
            assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 0);
        });
    }

    #[test]
    fn what_hangs_is_waited_for_no_longer_than_the_limit() {
        local(async {
            let removals = Rc::new(Removals::default());
            let hanging = Pending::new(&removals, 1);
            let _turns = hanging.user.turns.acquire_many(4).await.unwrap();
            let machine = Arc::new(GoneMachine::new(Exit::Unknown, None).unwrap());
            removals
                .remove(machine, Some("/nonexistent".into()), 1)
                .await;
            removals.finish(Duration::from_millis(1)).await;
            assert!(!removals.are_done());
        });
    }

    /// Counted for a user whose removals hang.
    #[test]
    fn what_hangs_of_one_user_keeps_no_other_users_waiting() {
        local(async {
            let removals = Rc::new(Removals::default());
            let machine = || Arc::new(GoneMachine::new(Exit::Unknown, None).unwrap());
            let mut hanging = Vec::new();
            for _ in 0..AT_ONCE {
                let one = Pending::new(&removals, 1);
                hanging.push((removals.turns.place(Who::of_user(1)).await, one));
            }
            let user = Rc::clone(&hanging[0].1.user);
            let _turns = user.turns.acquire_many(4).await.unwrap();
            while removals.pending_of(1) < MOST {
                removals
                    .remove(machine(), Some("/nonexistent".into()), 1)
                    .await;
            }
            for _ in 0..3 * AT_ONCE {
                removals
                    .remove(machine(), Some("/nonexistent".into()), 2)
                    .await;
            }
            while removals.pending_of(2) > 0 {
                removals.progress().await;
            }
            assert_eq!(removals.pending_of(1), MOST);
        });
    }
}
