//! The engines that this build has. Besides the files of settings in `upkeep`, no other file of the service names one.

use std::{path::Path, sync::Arc};

use engine_container::{ContainerEngine, Launcher, apparmor, launcher, surroundings};
use engine_vm::VmEngine;
use hcs_engine::engine::Engine;
use tracing::{info, warn};

pub(crate) use engine_container::outside::check as check_outside;
pub(crate) use engine_container::shared::resolver;
pub(crate) use engine_container::{
    Claim, EngineConfig as ContainerSettings, HostView, IdRange, ScratchLimit, UserNamespaces,
};
pub(crate) use engine_vm::{Acceleration, EngineConfig as VmSettings, Users};

/// Name of the engine of containers.
pub(crate) const CONTAINER: &str = engine_container::NAME;

/// Whether this service is root's and has found no control groups: nothing limits its containers. An ordinary user's
/// has none anyway.
pub(crate) fn lacks_groups() -> bool {
    hcs_wire::environment::is_root() && !engine_container::shared::has_control_groups()
}

/// In a helper process of an engine, does its work and does not return: in the one that makes containers, in those that
/// pack and unpack files inside, in those that keep a user's container connected, and in the worker of a virtual
/// machine.
pub(crate) fn main_if_helper() {
    if let Some(code) = guest_agent::main_if_archive() {
        std::process::exit(code);
    }
    engine_vm::worker::main_if_worker();
    engine_container::outside::main_if_keeper(engine_network::keep_loopback_inside);
    launcher::main_if_launcher(|files, privileges| {
        let own = guest_agent::Own::new(files.proc, files.terminals).with_hosts(files.hosts);
        let host = match files.proof {
            true => guest_agent::Host::Proves,
            false => guest_agent::Host::IsUser(files.service),
        };
        guest_agent::run(files.listener, host, Some(files.left), own, privileges)
    });
}

/// Makes this process the only service that removes what it finds by these names, while the answer exists.
///
/// # Errors
/// The sentence to be shown: a service with another state root has them.
pub(crate) fn claim(settings: &ContainerSettings, root: &Path) -> Result<Claim, String> {
    let claim = Claim::take(settings, root)?;
    for sentence in claim.warnings() {
        warn!("{sentence}");
    }
    Ok(claim)
}

/// Has containers run in an AppArmor profile, where the host has that. Must come before [`keep_to_itself`], which gives
/// up the capability to load it.
pub(crate) fn confine(settings: &mut ContainerSettings) {
    let loaded = apparmor::load();
    match &loaded {
        Ok(profile) => info!(
            profile = profile.name(),
            "containers run in an AppArmor profile"
        ),
        Err(why) if apparmor::is_expected() => {
            warn!("containers run in no AppArmor profile: {why}");
        }
        Err(why) => info!("containers run in no AppArmor profile: {why}"),
    }
    if let Err(e) = surroundings::give_up_profiles() {
        warn!("the capability to load profiles cannot be given up: {e}");
    }
    settings.profile = loaded;
}

/// What the engines need of this process before it has threads: what they start is a copy of it.
#[derive(Debug)]
pub(crate) struct Helpers {
    launcher: Launcher,
}

impl Helpers {
    /// Starts them; `detached` is a service that a client started.
    ///
    /// # Errors
    /// The sentence to be shown.
    pub(crate) fn start(settings: &ContainerSettings, detached: bool) -> Result<Self, String> {
        for sentence in surroundings::remaining(detached) {
            info!("{sentence}");
        }
        if let Some(sentence) = surroundings::unfit() {
            warn!("{sentence}");
        }
        let launcher = if detached {
            Launcher::spawn_outside(&settings.cgroup_root)
        } else {
            Launcher::spawn()
        };
        let launcher =
            launcher.map_err(|failure| format!("the launcher cannot be started: {failure}"))?;
        Ok(Self { launcher })
    }

    /// All engines, in the order in which a document is offered to them.
    ///
    /// # Errors
    /// The sentence to be shown.
    pub(crate) fn engines(
        self,
        containers: ContainerSettings,
        machines: VmSettings,
    ) -> Result<Vec<Arc<dyn Engine>>, String> {
        let executable = self.launcher.executable().map_err(|e| e.to_string())?;
        Ok(vec![
            Arc::new(ContainerEngine::new(self.launcher, containers)),
            Arc::new(VmEngine::new(executable, machines)),
        ])
    }
}

/// Gives this process what is the service's own, not its helpers': a place in the order of the kernel's kills when
/// `detached`, no end by the size of a file, and fewer capabilities.
pub(crate) fn keep_to_itself(detached: bool) {
    if detached {
        surroundings::protect();
    }
    if let Err(e) = surroundings::outlive_limits() {
        warn!("a file that is larger than ulimit -f allows would end the service: {e}");
    }
    if let Err(e) = surroundings::give_up_capabilities() {
        warn!("capabilities that are of no use cannot be given up: {e}");
    }
}

/// Closes the descriptors that the starter has of its caller.
///
/// # Errors
/// The sentence to be shown.
pub(crate) fn leave_descriptors_behind() -> Result<(), String> {
    launcher::leave_descriptors_behind().map_err(|failure| failure.to_string())
}

/// Sheds what else the starter has of its caller; the paths in `seen` are to stay what they are.
///
/// # Errors
/// What is left does not do for a service; the sentence to be shown.
pub(crate) fn shed_surroundings(seen: &[&Path]) -> Result<(), String> {
    surroundings::renew(seen);
    surroundings::unfit().map_or(Ok(()), Err)
}

/// While it exists, a service that a client started is in a control group of its own, beside those of its systems.
#[derive(Debug)]
pub(crate) struct OwnGroup {
    root: String,
}

impl OwnGroup {
    /// Joins it.
    pub(crate) fn join(settings: &ContainerSettings) -> Self {
        let root = settings.cgroup_root.clone();
        for sentence in surroundings::settle(&root) {
            warn!("{sentence}");
        }
        Self { root }
    }
}

impl Drop for OwnGroup {
    fn drop(&mut self) {
        surroundings::leave(&self.root);
    }
}
