//! What a child does before it knows what it is to be, as soon as it has its control groups and its ids.
//!
//! A container that is kept ready has all of that behind it when a client asks for one. What it makes belongs to its
//! own namespaces and to no root: the file systems of `/proc`, `/sys` and `/dev`, with what hides and protects places
//! in them.
//!
//! 1. Without a user namespace the process is still in the mounts of the host, and its file systems are mounted
//!    nowhere.
//! 2. With one, only a process that has its mounts to itself may make file systems. So it takes a copy of the host's
//!    mounts, makes its own, and lets go of the copy: nothing of the host is left in what it is parked in, and the
//!    service hands over later what it is to see.

use std::os::fd::AsFd as _;

use rustix::{
    io::Errno,
    process::{DumpableBehavior, set_dumpable_behavior},
};

use crate::{
    failure::{Attempt, StepError},
    parts::{
        handed::Handed,
        identity,
        mounts::{self, FileSystems},
        network, pivot,
        rootfs::{Root, Staging},
    },
    spec::{EarlySpec, GroupSpec, UserSpec},
    steps::done,
    sys::process,
};

/// What was made.
#[derive(Debug)]
pub(super) enum Early {
    /// In the mounts of the host.
    Unmounted(FileSystems),
    /// In a user namespace.
    Entered(Entered),
}

/// A process that is root of its user namespace, and has its mounts to itself.
#[derive(Debug, Default)]
pub(super) struct Entered {
    /// Where its root is to be put together, if nothing of the host is left.
    pub(super) staging: Option<Staging>,
    /// The file systems in it.
    pub(super) file_systems: Option<FileSystems>,
}

impl Early {
    /// Makes what can be made; a file of its ids may come with `spec`.
    pub(super) fn make(spec: &EarlySpec, mut handed: Handed) -> Result<Self, StepError> {
        if !spec.user {
            return own_network(&spec.groups).map(Self::Unmounted);
        }
        if spec.claimed {
            let claim = handed.take()?;
            process::keep_open(claim.as_fd()).step("keeping its ids")?;
        }
        // The service gives those of a range: many.
        let user = UserSpec {
            many: true,
            ..UserSpec::default()
        };
        enter_namespace(&user)?;
        leave_host(&user, &spec.groups).map(Self::Entered)
    }

    /// Those of a container without a user namespace.
    pub(super) fn into_file_systems(self) -> Result<FileSystems, StepError> {
        match self {
            Self::Unmounted(file_systems) => Ok(file_systems),
            Self::Entered(_) => Err(of_another_kind()),
        }
    }

    /// Those of a container with one.
    pub(super) fn into_entered(self) -> Result<Entered, StepError> {
        match self {
            Self::Entered(entered) => Ok(entered),
            Self::Unmounted(_) => Err(of_another_kind()),
        }
    }
}

fn of_another_kind() -> StepError {
    StepError::new("finding what was made beforehand", Errno::BADMSG)
}

/// Sets up the network namespace that the process was born with, and makes the file systems that belong to it.
fn own_network(groups: &[GroupSpec]) -> Result<FileSystems, StepError> {
    network::set_up()?;
    done("set up its network");
    let mut file_systems = FileSystems::make(None)?.open_network();
    file_systems.furnish_unmounted(groups)?;
    done("made its own file systems");
    Ok(file_systems)
}

/// Becomes root of the user namespace, which has its ids, with a network and mounts of its own.
pub(super) fn enter_namespace(user: &UserSpec) -> Result<Entered, StepError> {
    forget_oom_score();
    identity::become_root(user.many)?;
    // The kernel takes it away with another user, and with it the process's own files in /proc. It is alone there.
    set_dumpable_behavior(DumpableBehavior::Dumpable).step("keeping its files in /proc")?;
    done("became root of its user namespace");
    network::set_up()?;
    done("set up its network");
    process::new_mount_namespace().step("making a mount namespace")?;
    mounts::leave_host_propagation()?;
    Ok(Entered::default())
}

/// Makes its file systems, while the host's are in sight as the kernel demands, and lets go of all mounts of the host.
fn leave_host(user: &UserSpec, groups: &[GroupSpec]) -> Result<Entered, StepError> {
    let mut file_systems = FileSystems::make(Some(user))?.open_network();
    let staging = Staging::new()?;
    let place = Root {
        directory: staging.root()?,
    };
    file_systems.place(&place, user, groups)?;
    done("made its own file systems");
    pivot::apply(&place)?;
    done("left the mounts of the host");
    Ok(Entered {
        staging: Some(staging),
        file_systems: Some(file_systems),
    })
}

/// The agent shall not have the service's score where it could not reset it for others: once it is root of its own
/// namespace only, no process may change its score any more. Best effort, as it is the host's to allow. The path is the
/// host's: nothing of the container is mounted yet.
fn forget_oom_score() {
    let _refused = std::fs::write("/proc/self/oom_score_adj", "0");
}
