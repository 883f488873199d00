//! What systems need of the service: its configuration, engines and records, and the other systems.

use std::{path::PathBuf, rc::Rc, sync::Arc};

use hcs_engine::engine::Engine;
use hcs_schema::{Failure, HResult, documents::ComputeSystem};

use super::registry::Registry;
use crate::{
    engines::Profile,
    record::{event_log::EventLog, operations::Operations},
    thread::limits::Quota,
    upkeep::{config::Config, removals::Removals, slots::Slots},
};

/// See the module. Belongs to the service's thread.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) config: Config,
    /// The state root.
    pub(crate) root: PathBuf,
    pub(crate) log: EventLog,
    pub(crate) operations: Operations,
    pub(crate) engines: Vec<Arc<dyn Engine>>,
    /// The AppArmor profile of containers, or why they have none.
    pub(crate) confinement: Result<Profile, String>,
    pub(crate) registry: Rc<Registry>,
    pub(crate) system_quota: Rc<Quota>,
    pub(crate) process_quota: Rc<Quota>,
    /// What ended systems left.
    pub(crate) removals: Rc<Removals>,
    /// What is kept ready for systems to come.
    pub(crate) slots: Rc<Slots>,
}

impl Context {
    /// Without systems.
    pub(crate) fn new(
        config: Config,
        root: PathBuf,
        log: EventLog,
        engines: Vec<Arc<dyn Engine>>,
        confinement: Result<Profile, String>,
    ) -> Rc<Self> {
        let limits = config.limits;
        Rc::new(Self {
            log,
            operations: Operations::new(config.log_client_values),
            engines,
            confinement,
            registry: Rc::default(),
            system_quota: Quota::new("compute systems of one user", limits.systems_per_client),
            process_quota: Quota::new("processes of one user", limits.processes_per_client),
            removals: Rc::default(),
            slots: Slots::new(root.join("slots"), config.warm_slots()),
            config,
            root,
        })
    }

    /// The engine for a document.
    ///
    /// # Errors
    /// This build has none, or the document does not say what it wants.
    pub(crate) fn engine_for(&self, document: &ComputeSystem) -> Result<Arc<dyn Engine>, Failure> {
        if let Some(engine) = self.engines.iter().find(|engine| engine.accepts(document)) {
            return Ok(Arc::clone(engine));
        }
        if document.virtual_machine.is_some() {
            return Err(Failure::new(
                HResult::HCS_E_HYPERV_NOT_INSTALLED,
                "a virtual machine was asked for, but this service was built without a virtual machine engine",
            )
            .cause_at("/VirtualMachine", "only Container is available here")
            .while_doing("Construct"));
        }
        Err(Failure::new(
            HResult::HCS_E_INVALID_JSON,
            "the document describes no compute system: it needs Container or VirtualMachine",
        )
        .cause_at("", "expected one of Container, VirtualMachine"))
    }
}
