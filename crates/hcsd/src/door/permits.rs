//! How many may be connected at one time: clients, each with a permit, and those who are only told why they may not be.

use std::{cell::Cell, rc::Rc};

use hcs_schema::Failure;
use tokio::sync::Notify;
use tracing::{info, warn};

use super::peers::Peer;
use crate::thread::limits::{self, Quota, is_trusted};

/// Connections that root and the service's own user may have when all others are taken.
const RESERVED: usize = 64;
/// Connections, at one time, of users who may not use the service and are told so. Theirs are beside those of clients.
const MOST_STRANGERS: usize = 64;

/// All that have been given. Belongs to the service's thread.
#[derive(Debug)]
pub(crate) struct Permits {
    limit: Cell<usize>,
    quota: Rc<Quota>,
    connections: Cell<usize>,
    /// Connections of users who may not use the service.
    strangers: Cell<usize>,
    /// Clients that found no room, since the log said so.
    turned_away: Cell<u64>,
    changed: Notify,
}

/// A counted connection of a client.
#[derive(Debug)]
pub(crate) struct ConnectionPermit {
    permits: Rc<Permits>,
    _of_user: Option<limits::QuotaShare>,
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let connections = &self.permits.connections;
        connections.set(connections.get() - 1);
        self.permits.changed.notify_waiters();
    }
}

/// A counted connection of a user who may not use the service.
#[derive(Debug)]
pub(crate) struct StrangerPermit(Rc<Permits>);

impl Drop for StrangerPermit {
    fn drop(&mut self) {
        self.0.strangers.set(self.0.strangers.get() - 1);
    }
}

impl Permits {
    /// At most `limit` for all clients, and `per_user` for each user, of whose `descriptors` each takes one.
    pub(crate) fn new(limit: usize, per_user: usize, descriptors: &Rc<Quota>) -> Rc<Self> {
        Rc::new(Self {
            limit: Cell::new(limit),
            quota: Quota::with_descriptors("connections of one user", per_user, 1, descriptors),
            connections: Cell::new(0),
            strangers: Cell::new(0),
            turned_away: Cell::new(0),
            changed: Notify::new(),
        })
    }

    /// [`Permits::new`] for those who come from now on.
    pub(crate) fn set_limits(&self, limit: usize, per_user: usize) {
        self.limit.set(limit);
        self.quota.set_limit(per_user);
    }

    /// Counts a connection of that user in.
    ///
    /// # Errors
    /// There are too many, or the user has too many.
    pub(crate) fn admit(self: &Rc<Self>, uid: u32) -> Result<ConnectionPermit, Failure> {
        let limit = self.limit.get();
        let (most, of_user) = match is_trusted(uid) {
            true => (limit.saturating_add(RESERVED), None),
            false => (limit, Some(self.quota.take(uid)?)),
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
        Ok(ConnectionPermit {
            permits: Rc::clone(self),
            _of_user: of_user,
        })
    }

    /// Says in the log that a client finds no room: once, until there is room again.
    pub(crate) fn turns_away(&self, peer: &Peer, why: &Failure) {
        if self.turned_away.replace(self.turned_away.get() + 1) == 0 {
            warn!(?peer, "clients are turned away: {}", why.log_line());
        }
    }

    /// Whether no further user who may not use the service is told so.
    pub(crate) fn has_many_strangers(&self) -> bool {
        self.strangers.get() >= MOST_STRANGERS
    }

    /// Counts a connection of a user who may not use the service, unless there are too many. The service does not stay
    /// for it.
    pub(crate) fn stranger(self: &Rc<Self>) -> Option<StrangerPermit> {
        if self.has_many_strangers() {
            return None;
        }
        self.strangers.set(self.strangers.get() + 1);
        Some(StrangerPermit(Rc::clone(self)))
    }

    /// Whether no client is connected.
    pub(crate) fn are_unused(&self) -> bool {
        self.connections.get() == 0
    }

    /// Returns when a client has come or gone.
    pub(crate) async fn change(&self) {
        self.changed.notified().await;
    }
}
