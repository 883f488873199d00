//! [`ContainerEngine`]: makes, adopts and sweeps containers.

mod host;
mod make;
mod sweep;

use std::sync::{Arc, OnceLock};

use hcs_lifecycle::engine::{CreateRequest, Engine, Machine};
use hcs_schema::{Failure, HResult, documents::ComputeSystem, win32};

use crate::{
    config::EngineConfig,
    launcher::Launcher,
    machine::ContainerMachine,
    plan::{self, Plan, Privilege},
    record::Record,
    user_namespace::{IdPool, Slot},
};
use host::HostGroups;
use make::Making;

/// The engine for Linux containers. Wants root, and Linux 5.12 or newer; for an ordinary user it makes containers with
/// user namespaces only.
#[derive(Debug)]
pub struct ContainerEngine {
    launcher: Arc<Launcher>,
    config: EngineConfig,
    groups: OnceLock<HostGroups>,
    /// Whose ids containers with user namespaces have.
    ids: Arc<IdPool>,
}

impl ContainerEngine {
    /// An engine that clones containers from `launcher`.
    #[must_use]
    pub fn new(launcher: Launcher, config: EngineConfig) -> Self {
        Self {
            launcher: Arc::new(launcher),
            config,
            groups: OnceLock::new(),
            ids: Arc::default(),
        }
    }

    /// What is known of the host.
    fn host(&self, summary: &str) -> Result<&HostGroups, Failure> {
        HostGroups::once(&self.groups).map_err(|error| error.into_failure(summary))
    }

    fn make(&self, request: &CreateRequest) -> Result<ContainerMachine, Failure> {
        let host = self.host("the host's control groups could not be found")?;
        let plan = plan::check(request, &self.config, &host.devices, Privilege::own())?;
        let slot = self.slot(&plan)?;
        let mut machine = Making::new(request, &plan, host, &self.config, slot.as_ref()).make(
            &self.launcher,
            host,
            &self.config,
        )?;
        machine.slot = slot;
        Ok(machine)
    }

    /// Ids of the container's own, if it is to have some and the service has some to give.
    fn slot(&self, plan: &Plan) -> Result<Option<Slot>, Failure> {
        if plan.spec.user.is_none() || Privilege::own() == Privilege::User {
            return Ok(None);
        }
        let slot = self.ids.take(self.config.user_namespaces);
        slot.map(Some).ok_or_else(|| {
            let hresult = HResult::from_win32(win32::ERROR_NO_SYSTEM_RESOURCES);
            let message = "all ids for user namespaces are taken by other containers; end one, or grant the service \
                           more in /etc/subuid and /etc/subgid";
            Failure::new(hresult, message)
        })
    }
}

impl Engine for ContainerEngine {
    fn name(&self) -> &'static str {
        "container"
    }

    fn accepts(&self, document: &ComputeSystem) -> bool {
        document.container.is_some() && document.hosting_system_id.is_none()
    }

    fn create(&self, request: &CreateRequest) -> Result<Arc<dyn Machine>, Failure> {
        match self.make(request) {
            Ok(machine) => Ok(Arc::new(machine)),
            Err(failure) => Err(failure.while_doing("Construct")),
        }
    }

    fn adopt(&self, request: &CreateRequest, record: &str) -> Result<Arc<dyn Machine>, Failure> {
        let summary = format!("the container {:?} could not be taken over", request.id);
        let record: Record = match serde_json::from_str(record) {
            Ok(record) => record,
            Err(error) => return Err(Failure::new(HResult::E_UNEXPECTED, summary).because(&error)),
        };
        let slot = record.user_namespace.and_then(|user| user.slot);
        match ContainerMachine::adopted(request, record, &self.launcher) {
            Ok(mut machine) => {
                machine.slot = slot.map(|number| self.ids.keep(number));
                Ok(Arc::new(machine))
            }
            Err(error) => Err(error.into_failure(summary)),
        }
    }

    fn sweep(&self, keep: &[String]) -> Result<(), Failure> {
        let host = self.host("leftovers of containers could not be looked for")?;
        sweep::sweep(&host.all, &self.config, &self.launcher, keep)
    }
}
