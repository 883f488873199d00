//! What the service may do on the host.

use std::sync::OnceLock;

use hcs_wire::environment::is_root;
use rustix::thread::{CapabilitySet, capabilities};

/// What the service may do on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Privilege {
    /// Everything.
    Root,
    /// What an ordinary user may.
    User,
}

impl Privilege {
    /// That of the calling process. Root without the capability to make mounts, and root of a user namespace, who has
    /// none beyond it, may do no more than an ordinary user: there are containers with user namespaces for them, too.
    pub(crate) fn own() -> Self {
        static OWN: OnceLock<Privilege> = OnceLock::new();
        *OWN.get_or_init(|| {
            let capable = capabilities(None)
                .is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_ADMIN));
            if is_root() && capable {
                Self::Root
            } else {
                Self::User
            }
        })
    }
}
