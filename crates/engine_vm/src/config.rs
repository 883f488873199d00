//! What an administrator decides for all virtual machines.

use std::path::PathBuf;

use crate::identity::Users;

/// Configuration of the engine. The default is that of the service for the whole machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineConfig {
    /// Path of the control group, in each hierarchy, that machines' groups are made in.
    pub cgroup_root: String,
    /// Directory of the sockets that stand for `\\.\pipe\NAME`. Sockets in it belong to this engine.
    pub pipes: PathBuf,
    /// QEMU's program; `None` to look where distributions put it.
    pub qemu: Option<PathBuf>,
    /// The host's users, and groups of the same numbers, that machines run as, each as one of its own.
    pub users: Users,
    /// Users and groups of the host that others have, as containers with user namespaces do: none may be a machine's.
    pub others: Vec<Users>,
    /// What executes the instructions of guests.
    pub acceleration: Acceleration,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            cgroup_root: "hcs".to_owned(),
            pipes: PathBuf::from("/run/hcs/pipes"),
            qemu: None,
            users: Users::UNUSED,
            others: Vec::new(),
            acceleration: Acceleration::default(),
        }
    }
}

/// What executes the instructions of guests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Acceleration {
    /// QEMU's translator. Works everywhere, slowly.
    #[default]
    Translate,
    /// The kernel's hypervisor (`/dev/kvm`).
    Kvm,
}
