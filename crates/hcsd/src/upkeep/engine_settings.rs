//! What the configuration and the endpoint say to the engines.

use std::path::{Path, PathBuf};

use super::{
    config::{Config, Ids},
    endpoint,
    slots::Wanted,
};
use crate::engines::{self, ContainerSettings, IdRange, UserNamespaces, Users, VmSettings};

/// For the engine of containers.
pub(crate) fn for_containers(config: &Config, endpoint: &Path) -> ContainerSettings {
    ContainerSettings {
        cgroup_root: endpoint::cgroup_root(endpoint, config.cgroup_root.as_deref()),
        scratch_root: endpoint::scratch_root(endpoint, config.container.scratch_root.as_deref()),
        scratch_limit: config.container.scratch_limit(),
        pids_limit: match config.container.processes_per_container {
            Some(0) => None,
            Some(limit) => Some(limit),
            None => ContainerSettings::default().pids_limit,
        },
        hidden: vec![endpoint::state_root(endpoint)],
        socket_directory: endpoint::socket_directory(endpoint),
        host_view: config.container.view(),
        user_namespaces: user_namespaces(config),
        ids_in_use: ContainerSettings::default().ids_in_use,
        places: places(endpoint),
        profile: ContainerSettings::default().profile,
    }
}

/// Where services tell each other which directories are theirs. The service of an ordinary user tells itself.
fn places(endpoint: &Path) -> PathBuf {
    match rustix::process::geteuid().is_root() {
        true => PathBuf::from(hcs_wire::places::OF_ROOT),
        false => endpoint::state_root(endpoint).join("places"),
    }
}

/// For the engine of virtual machines.
pub(crate) fn for_machines(config: &Config, endpoint: &Path) -> VmSettings {
    VmSettings {
        cgroup_root: endpoint::cgroup_root(endpoint, config.cgroup_root.as_deref()),
        pipes: endpoint::state_root(endpoint).join("pipes"),
        qemu: config.vm.qemu.clone(),
        users: config.vm.users(),
        others: others(config),
        acceleration: config.vm.acceleration(),
    }
}

/// How many machines are kept ready, by engine; of an engine that is not there, none.
pub(crate) fn warm_slots(config: &Config) -> Wanted {
    Wanted::from([(engines::CONTAINER, config.container.warm_slots())])
}

/// Ids that containers with user namespaces have.
fn others(config: &Config) -> Vec<Users> {
    let UserNamespaces { users, groups, .. } = user_namespaces(config);
    let ids = |range: IdRange| Users {
        first: range.first,
        count: range.count,
    };
    vec![ids(users), ids(groups)]
}

fn user_namespaces(config: &Config) -> UserNamespaces {
    let ids = config.container.user_namespace_ids.map(Ids::range);
    let of_host = UserNamespaces::of_host();
    UserNamespaces {
        by_default: config.container.user_namespaces == Some(true),
        users: ids.unwrap_or(of_host.users),
        groups: ids.unwrap_or(of_host.groups),
    }
}
