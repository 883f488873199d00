//! What all parts of the service share: configuration, engines, the registry of systems, the limits.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::{Rc, Weak},
    time::SystemTime,
};

use hcs_schema::{Failure, HResult};
use hcs_wire::subordinate::holder;
use tokio::sync::Notify;
use tracing::{info, warn};

use crate::{
    client::{about::Since, calls::Calls, kept::KeptCalls},
    door::{peers::Entitled, permits::Permits},
    system::context::Context,
    thread::{
        limits::{Quota, is_trusted},
        share::{Lane, UserShare, WAITING_THREADS, lane},
    },
    upkeep::{
        config::Config,
        cpu_groups::CpuGroups,
        crash_reports::CrashReports,
        logging,
        reload::{self, Difference},
    },
};

/// The service. Belongs to one thread.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) context: Rc<Context>,
    pub(crate) cpu_groups: Rc<CpuGroups>,
    pub(crate) crash_reports: Rc<CrashReports>,
    pub(crate) calls: Rc<Calls>,
    /// Those that were answered to connections that were gone.
    pub(crate) kept: Rc<KeptCalls>,
    /// The users who may use it besides root and its own.
    pub(crate) entitled: Rc<Cell<Entitled>>,
    /// How many may be connected.
    pub(crate) permits: Rc<Permits>,
    pub(crate) bytes_quota: Rc<Quota>,
    /// Open handles.
    pub(crate) handles_quota: Rc<Quota>,
    users: RefCell<HashMap<u32, Weak<UserShare>>>,
    /// Threads that may wait, of all users but root and the service's own: some stay for those.
    threads: Lane,
    /// Calls that came with pipes and have not used them yet.
    pub(crate) pipes_quota: Rc<Quota>,
    numbered: Cell<u64>,
    /// When it began.
    pub(crate) since: Since,
    /// When its configuration was read again, the last time.
    pub(crate) reloaded: Cell<Option<SystemTime>>,
    /// A client asked it to leave.
    leaving: Notify,
}

/// Pipes that come along with a call.
const PIPES: usize = 3;
/// Threads that may wait, of all there are, that root and the service's own user may have at one time, each.
const THREADS_OF_TRUSTED: usize = WAITING_THREADS / 2;
/// Threads that no others may have, however many users there are.
const THREADS_KEPT: usize = WAITING_THREADS / 4;
/// Threads that any other user may have.
const THREADS_OF_USER: usize = WAITING_THREADS / 8;

impl Service {
    /// A service without systems.
    pub(crate) fn new(context: Rc<Context>, cpu_groups: CpuGroups, entitled: Entitled) -> Rc<Self> {
        let limits = context.config().limits;
        let calls = Calls::new(context.config().times.reconnect());
        let descriptors = Rc::clone(&context.descriptors);
        let crash_reports = CrashReports::open(&context.root, &context.crash_reports());
        Rc::new(Self {
            context,
            cpu_groups: Rc::new(cpu_groups),
            crash_reports: Rc::new(crash_reports),
            calls,
            kept: Rc::default(),
            entitled: Rc::new(Cell::new(entitled)),
            permits: Permits::new(
                limits.connections,
                limits.connections_per_client,
                &descriptors,
            ),
            bytes_quota: Quota::new(
                "bytes of unanswered calls of one user",
                limits.unanswered_bytes_per_client,
            ),
            handles_quota: Quota::new("open handles of one user", limits.handles_per_client),
            users: RefCell::default(),
            threads: lane(WAITING_THREADS - THREADS_KEPT),
            pipes_quota: Quota::with_descriptors(
                "processes of one user that are still to be made",
                limits.processes_per_client,
                PIPES,
                &descriptors,
            ),
            numbered: Cell::new(0),
            since: Since::now(),
            reloaded: Cell::new(None),
            leaving: Notify::new(),
        })
    }

    /// Forgets what clients asked an earlier service for, once they had their time to come back; systems do so
    /// themselves.
    pub(crate) fn forget_earlier_calls(self: &Rc<Self>) {
        let service = Rc::clone(self);
        tokio::task::spawn_local(async move {
            tokio::time::sleep(service.context.config().times.reconnect() * 2).await;
            service.cpu_groups.forget_earlier_calls();
            service.crash_reports.forget_earlier_calls();
            service.context.log.forget_told();
            service.context.ended.forget_earlier_calls();
            service.context.networks.forget_earlier_calls().await;
        });
    }

    /// What the connections of that user share.
    pub(crate) fn user_share(&self, uid: u32) -> Rc<UserShare> {
        let uid = holder(uid);
        let mut users = self.users.borrow_mut();
        if let Some(share) = users.get(&uid).and_then(Weak::upgrade) {
            return share;
        }
        users.retain(|_, share| share.strong_count() > 0);
        let config = self.context.config();
        let unread = config.limits.unread_bytes_per_client;
        // A creation that goes well may take as long as a start, of a machine say.
        let stuck = config.times.start() * 2;
        let share = match is_trusted(uid) {
            true => UserShare::new(uid, THREADS_OF_TRUSTED, unread, stuck),
            false => UserShare::among(&self.threads, (uid, THREADS_OF_USER), unread, stuck),
        };
        users.insert(uid, Rc::downgrade(&share));
        share
    }

    /// Reads the configuration again, and goes by what of it can change while the service lives. Returns what has
    /// changed, and what is as before although the file says something else.
    ///
    /// # Errors
    /// The file cannot be used; the service goes on as before.
    pub(crate) fn reload(&self) -> Result<Difference, Failure> {
        let current = self.context.config();
        let named = current.file.as_deref().filter(|_| current.named);
        let merged = Config::load(named)
            .map_err(|e| e.to_string())
            .and_then(|read| {
                let merged = reload::merged(&current, &read);
                if merged.log != current.log {
                    logging::change(merged.log.as_deref())?;
                }
                Ok((Difference::between(&current, &read), merged))
            });
        let (difference, merged) = merged.map_err(|fault| {
            warn!("the configuration stays as it was: {fault}");
            let message =
                format!("{fault}; the service goes on with the configuration that it has");
            Failure::new(HResult::E_INVALIDARG, message)
        })?;
        let limits = merged.limits;
        self.bytes_quota
            .set_limit(limits.unanswered_bytes_per_client);
        for share in self.users.borrow().values().filter_map(Weak::upgrade) {
            share.unread.set_bound(limits.unread_bytes_per_client);
        }
        self.handles_quota.set_limit(limits.handles_per_client);
        self.pipes_quota.set_limit(limits.processes_per_client);
        self.permits
            .set_limits(limits.connections, limits.connections_per_client);
        self.calls.set_limit(merged.times.reconnect());
        self.entitled.set(Entitled {
            containers: merged.clients_in_containers,
            ..self.entitled.get()
        });
        self.context.reconfigure(merged);
        self.reloaded.set(Some(SystemTime::now()));
        info!(
            changed = difference.possible.join(" "),
            kept = difference.impossible.join(" "),
            "read its configuration again"
        );
        Ok(difference)
    }

    /// Has the service leave.
    pub(crate) fn leave(&self) {
        self.leaving.notify_one();
    }

    /// Returns when it is to leave.
    pub(crate) async fn leaving(&self) {
        self.leaving.notified().await;
    }

    /// A number for a connection, for the log.
    pub(crate) fn number_connection(&self) -> u64 {
        self.numbered.set(self.numbered.get() + 1);
        self.numbered.get()
    }
}
