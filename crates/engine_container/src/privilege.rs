//! What the service may do on the host.

use rustix::process::geteuid;

/// What the service may do on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Privilege {
    /// Everything.
    Root,
    /// What an ordinary user may.
    User,
}

impl Privilege {
    /// That of the calling process.
    pub(crate) fn own() -> Self {
        if geteuid().is_root() {
            Self::Root
        } else {
            Self::User
        }
    }
}
