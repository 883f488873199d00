//! What all parts of the service share: configuration, engines, the registry of systems, the limits.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::{Rc, Weak},
    time::Duration,
};

use hcs_schema::Failure;
use rustix::process::geteuid;
use tokio::sync::Notify;
use tracing::{info, warn};

use crate::{
    client::calls::Calls,
    door::peers::{Entitled, Peer},
    system::context::Context,
    thread::{
        limits::{self, Quota},
        share::{UserShare, WAITING_THREADS},
    },
    upkeep::cpu_groups::CpuGroups,
};

/// The service. Belongs to one thread.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) context: Rc<Context>,
    pub(crate) cpu_groups: CpuGroups,
    pub(crate) calls: Rc<Calls>,
    /// Who may use it besides root and its own user.
    pub(crate) entitled: Entitled,
    pub(crate) bytes_quota: Rc<Quota>,
    connection_quota: Rc<Quota>,
    users: RefCell<HashMap<u32, Weak<UserShare>>>,
    /// Calls that came with pipes and have not used them yet.
    pub(crate) pipes_quota: Rc<Quota>,
    connections: Cell<usize>,
    /// Connections of users who may not use it.
    strangers: Cell<usize>,
    /// Clients that found no room, since the log said so.
    turned_away: Cell<u64>,
    numbered: Cell<u64>,
    changed: Notify,
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
const THREADS_OF_USER: usize = WAITING_THREADS / 2;

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
    pub(crate) fn new(context: Rc<Context>, cpu_groups: CpuGroups, entitled: Entitled) -> Rc<Self> {
        let limits = context.config.limits;
        let calls = Calls::new(context.config.times.reconnect());
        Rc::new(Self {
            context,
            cpu_groups,
            calls,
            entitled,
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
        let limit = self.context.config.limits.connections;
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

    /// Returns when there has been no client, no system and nothing to be removed for `idle`.
    pub(crate) async fn idle(&self, idle: Duration) {
        loop {
            let change = async {
                tokio::select! {
                    () = self.changed.notified() => {}
                    () = self.context.registry.change() => {}
                    () = self.context.removals.progress() => {}
                }
            };
            let busy = self.connections.get() > 0
                || !self.context.registry.is_quiet()
                || !self.context.removals.are_done();
            if busy {
                change.await;
            } else if tokio::time::timeout(idle, change).await.is_err() {
                return;
            }
        }
    }
}
