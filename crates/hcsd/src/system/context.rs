//! What systems need of the service: its configuration, engines and records, and the other systems.

use std::{cell::RefCell, path::PathBuf, rc::Rc, sync::Arc};

use hcs_engine::engine::Engine;
use rustix::process::{Resource, getrlimit};
use tokio::sync::Notify;

use super::registry::Registry;
use crate::{
    network::Networks,
    record::{ended::Ended, event_log::EventLog, operations::Operations},
    thread::{limits::Quota, share::AgentTurns},
    upkeep::{config::Config, engine_settings::warm_slots, removals::Removals, slots::Slots},
};

/// Descriptors that the service keeps for a system: its machine, its agent's stream, its control groups, its records.
const OF_SYSTEM: usize = 8;
/// Descriptors that it keeps for a process: the streams that clients fetch.
const OF_PROCESS: usize = 3;

/// See the module. Belongs to the service's thread.
#[derive(Debug)]
pub(crate) struct Context {
    config: RefCell<Rc<Config>>,
    /// The configuration has changed. The wait for the end of an idle service is all that listens.
    reconfigured: Notify,
    /// The state root.
    pub(crate) root: PathBuf,
    pub(crate) log: EventLog,
    pub(crate) operations: Operations,
    /// Calls that created what has ended.
    pub(crate) ended: Rc<Ended>,
    pub(crate) engines: Vec<Arc<dyn Engine>>,
    pub(crate) registry: Rc<Registry>,
    pub(crate) system_quota: Rc<Quota>,
    pub(crate) process_quota: Rc<Quota>,
    /// Those that the service keeps for each user.
    pub(crate) descriptors: Rc<Quota>,
    /// What ended systems left.
    pub(crate) removals: Rc<Removals>,
    /// What is kept ready for systems to come.
    pub(crate) slots: Rc<Slots>,
    /// Networks, and what systems have of them.
    pub(crate) networks: Rc<Networks>,
    /// What the agents of systems say is taken in, in turns of their users.
    pub(crate) agent_turns: AgentTurns,
}

impl Context {
    /// Without systems.
    pub(crate) fn new(
        config: Config,
        root: PathBuf,
        log: EventLog,
        engines: Vec<Arc<dyn Engine>>,
        networks: Networks,
    ) -> Rc<Self> {
        let limits = config.limits;
        let descriptors = Quota::descriptors(getrlimit(Resource::Nofile).current);
        Rc::new(Self {
            log,
            operations: Operations::new(config.log_client_values),
            ended: Rc::new(Ended::open(&root)),
            engines,
            registry: Rc::default(),
            system_quota: Quota::with_descriptors(
                "compute systems of one user",
                limits.systems_per_client,
                OF_SYSTEM,
                &descriptors,
            ),
            process_quota: Quota::with_descriptors(
                "processes of one user",
                limits.processes_per_client,
                OF_PROCESS,
                &descriptors,
            ),
            descriptors,
            removals: Rc::default(),
            networks: Rc::new(networks),
            agent_turns: AgentTurns::default(),
            slots: Slots::new(root.join("slots"), warm_slots(&config)),
            config: RefCell::new(Rc::new(config)),
            reconfigured: Notify::new(),
            root,
        })
    }

    /// What the service goes by, as of now.
    pub(crate) fn config(&self) -> Rc<Config> {
        Rc::clone(&self.config.borrow())
    }

    /// The directory of crash reports.
    pub(crate) fn crash_reports(&self) -> PathBuf {
        let configured = self.config().crash_report_directory.clone();
        configured.unwrap_or_else(|| self.root.join("crashes"))
    }

    /// Goes by `config` from now on. What is there already stays, whatever the limits are.
    pub(crate) fn reconfigure(&self, config: Config) {
        let limits = config.limits;
        self.system_quota.set_limit(limits.systems_per_client);
        self.process_quota.set_limit(limits.processes_per_client);
        self.operations.set_quotes(config.log_client_values);
        self.slots.set_wanted(warm_slots(&config));
        self.config.replace(Rc::new(config));
        self.reconfigured.notify_one();
    }

    /// Returns when the configuration has changed since the last time.
    pub(crate) async fn reconfigured(&self) {
        self.reconfigured.notified().await;
    }
}
