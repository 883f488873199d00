//! Netlink: messages in one buffer, sent in one go, and answers that are parsed with distrust.
//!
//! 1. [`Batch`] builds requests. 2. [`parse`] walks answers, which it takes for hostile: lengths are checked before a
//!    byte is looked at. 3. [`Socket`] sends the one and reads the other.
//!
//! The kernel handles a request within `sendmsg(2)`, so its answers are there when that returns: nothing here waits.

mod batch;
pub(crate) mod parse;
mod socket;

pub(crate) use batch::Batch;
pub(crate) use socket::Socket;

use rustix::io::Errno;

/// Flags of a request (`linux/netlink.h`).
pub(crate) mod flag {
    pub(crate) const REQUEST: u16 = 1;
    pub(crate) const ACK: u16 = 4;
    pub(crate) const DUMP: u16 = 0x300;
    pub(crate) const REPLACE: u16 = 0x100;
    pub(crate) const EXCL: u16 = 0x200;
    pub(crate) const CREATE: u16 = 0x400;
    pub(crate) const APPEND: u16 = 0x800;
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    /// The kernel refused a message; the text says which.
    #[error("{what}")]
    Refused {
        /// What was asked for.
        what: String,
        /// The kernel's reason.
        #[source]
        errno: Errno,
    },
    /// A system call failed.
    #[error("{what}")]
    Call {
        /// What was done.
        what: &'static str,
        /// The kernel's reason.
        #[source]
        errno: Errno,
    },
    /// An answer was malformed or missing.
    #[error("the kernel's answer to {what:?} {fault}")]
    Answer {
        /// What was asked for.
        what: String,
        /// What is wrong with the answer.
        fault: &'static str,
    },
    /// A request was too long for its format.
    #[error("the request {what:?} is too long")]
    TooLong {
        /// What was asked for.
        what: String,
    },
}

impl NetlinkError {
    /// The kernel's reason, where it gave one.
    #[must_use]
    pub const fn errno(&self) -> Option<Errno> {
        match self {
            Self::Refused { errno, .. } | Self::Call { errno, .. } => Some(*errno),
            Self::Answer { .. } | Self::TooLong { .. } => None,
        }
    }
}
