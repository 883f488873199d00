//! What an administrator decides for all containers.

use std::path::PathBuf;

use crate::user_namespace::UserNamespaces;

/// Configuration of the engine. The default is that of the service for the whole machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineConfig {
    /// Path of the control group, in each hierarchy, that containers' groups are made in: `hcs`, `hcs/<something>`.
    /// Groups in it whose name is a GUID belong to this engine.
    pub cgroup_root: String,
    /// Directory that containers' scratch directories are made in. Entries whose name is a GUID belong to this engine.
    pub scratch_root: PathBuf,
    /// How many processes and threads a container may have; `None` for no limit.
    pub pids_limit: Option<u64>,
    /// Directories of the host that a container which sees the host's root must not see, besides the scratch root: the
    /// service's own.
    pub hidden: Vec<PathBuf>,
    /// The directory of the service's socket, which no container must see, unless it is one that all users share (`/tmp`).
    pub socket_directory: Option<PathBuf>,
    /// Who containers are on the host. Only for a service that runs as root.
    pub user_namespaces: UserNamespaces,
    /// Directory in which all services of the host write down which ids their containers have. It is made where there is
    /// none; has to be root's own.
    pub ids_in_use: PathBuf,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            cgroup_root: "hcs".to_owned(),
            scratch_root: PathBuf::from("/var/lib/hcs/scratch"),
            pids_limit: Some(4096),
            hidden: Vec::new(),
            socket_directory: None,
            user_namespaces: UserNamespaces::default(),
            ids_in_use: PathBuf::from("/run/hcs-ids"),
        }
    }
}
