//! What the engine has to know about its host: looked up once.

use std::{
    fs,
    sync::{OnceLock, atomic::AtomicBool},
};

use crate::{
    cgroup::{
        DeviceControl,
        detect::{Controller, Hierarchies},
    },
    failure::{Attempt, StepError},
    privilege::Privilege,
};

/// The host's control groups, as they are used for containers.
#[derive(Debug)]
pub(crate) struct HostGroups {
    /// All hierarchies.
    pub(crate) all: Hierarchies,
    /// Those that containers are put into.
    pub(crate) used: Hierarchies,
    /// What enforces device rules.
    pub(crate) devices: DeviceControl,
    /// Whether the groups above those of containers have been set up.
    pub(crate) delegated: AtomicBool,
}

impl HostGroups {
    /// An ordinary user has no groups to use, nor rules for devices to make.
    fn look() -> Result<Self, StepError> {
        if Privilege::own() == Privilege::User {
            return Ok(Self {
                all: Hierarchies::default(),
                used: Hierarchies::default(),
                devices: DeviceControl::None,
                delegated: AtomicBool::new(false),
            });
        }
        let path = "/proc/self/mountinfo";
        let text = fs::read_to_string(path).step_at("reading", path)?;
        let all = Hierarchies::from_mountinfo(&text);
        let devices = DeviceControl::detect(&all);
        let mut unwanted = Vec::new();
        if all.unified.is_some() {
            unwanted.push(Controller::Freezer);
        }
        if !matches!(devices, DeviceControl::Controller) {
            unwanted.push(Controller::Devices);
        }
        Ok(Self {
            used: all.clone().without(&unwanted),
            all,
            devices,
            delegated: AtomicBool::new(false),
        })
    }

    /// The answer of an earlier call, or a new look.
    ///
    /// # Errors
    /// The host's mounts cannot be read.
    pub(crate) fn once(kept: &OnceLock<Self>) -> Result<&Self, StepError> {
        match kept.get() {
            Some(groups) => Ok(groups),
            None => Self::look().map(|groups| kept.get_or_init(|| groups)),
        }
    }
}
