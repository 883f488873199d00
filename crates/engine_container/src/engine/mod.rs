//! [`ContainerEngine`]: makes, adopts and sweeps containers.

mod host;
mod make;
mod sweep;

use std::sync::{Arc, OnceLock};

use hcs_lifecycle::engine::{CreateRequest, Engine, Machine};
use hcs_schema::{Failure, HResult, documents::ComputeSystem};
use rustix::process::geteuid;

use crate::{
    config::EngineConfig, launcher::Launcher, machine::ContainerMachine, plan, record::Record,
};
use host::HostGroups;
use make::Making;

/// The engine for Linux containers. Needs root, and Linux 5.12 or newer.
#[derive(Debug)]
pub struct ContainerEngine {
    launcher: Arc<Launcher>,
    config: EngineConfig,
    groups: OnceLock<HostGroups>,
}

impl ContainerEngine {
    /// An engine that clones containers from `launcher`.
    #[must_use]
    pub fn new(launcher: Launcher, config: EngineConfig) -> Self {
        Self {
            launcher: Arc::new(launcher),
            config,
            groups: OnceLock::new(),
        }
    }

    /// What is known of the host.
    fn host(&self, summary: &str) -> Result<&HostGroups, Failure> {
        HostGroups::once(&self.groups).map_err(|error| error.into_failure(summary))
    }

    fn make(&self, request: &CreateRequest) -> Result<ContainerMachine, Failure> {
        if !geteuid().is_root() {
            let message = "Linux containers can only be made by a service that runs as root";
            return Err(Failure::new(HResult::E_ACCESSDENIED, message));
        }
        let host = self.host("the host's control groups could not be found")?;
        let plan = plan::check(request, &self.config, &host.devices)?;
        Making::new(request, &plan, host, &self.config).make(&self.launcher, host, &self.config)
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
        match ContainerMachine::adopted(request, record, &self.launcher) {
            Ok(machine) => Ok(Arc::new(machine)),
            Err(error) => Err(error.into_failure(summary)),
        }
    }

    fn sweep(&self, keep: &[String]) -> Result<(), Failure> {
        let host = self.host("leftovers of containers could not be looked for")?;
        sweep::sweep(&host.all, &self.config, keep)
    }
}
