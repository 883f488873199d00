//! What can go wrong.

use std::path::PathBuf;

use hcs_storage::{Refusal, StorageError};
use rustix::io::Errno;

/// A failure of this crate. Causes are in `source`, not in the text.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// A text that names no image of a registry.
    #[error("{text:?} names no image of a registry; expected [HOST/]NAME[:TAG][@sha256:DIGITS]")]
    BadReference {
        /// The text, safe to show.
        text: String,
    },
    /// A registry, or a host that it leads to, did not answer as it should.
    #[error("{what} failed")]
    Request {
        /// The request, with its host: "GET https://host/v2/".
        what: String,
        /// Why.
        #[source]
        source: Box<ureq::Error>,
    },
    /// An answer with a status that is not the one of success.
    #[error("{what} was answered with status {status}: {told}")]
    Status {
        /// The request.
        what: String,
        /// The status.
        status: u16,
        /// What the registry said, safe to show.
        told: String,
    },
    /// The registry does not have the image.
    #[error("the registry {host} has no image {image}")]
    NotFound {
        /// The host.
        host: String,
        /// Repository and tag.
        image: String,
    },
    /// The registry wants other credentials, or any.
    #[error("the registry {host} refuses access to {image}{hint}")]
    Denied {
        /// The host.
        host: String,
        /// Repository and tag.
        image: String,
        /// What to do.
        hint: &'static str,
    },
    /// An answer that is not as the specification says, or leads where it must not.
    #[error("{what}: {why}")]
    Refused {
        /// The request, or what was answered.
        what: String,
        /// Why.
        why: String,
    },
    /// A registry that the configuration blocks.
    #[error("the registry of {image} is blocked by {file:?}", file = file.display())]
    Blocked {
        /// Registry and repository.
        image: String,
        /// The file that says so.
        file: PathBuf,
    },
    /// A file of settings or credentials cannot be used.
    #[error("{path:?}: {why}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A program that keeps credentials did not tell them.
    #[error("the credential helper {program} failed: {why}")]
    Helper {
        /// The program.
        program: String,
        /// Why.
        why: String,
    },
    /// The image cannot be kept.
    #[error("the image of {host} cannot be kept")]
    Storage {
        /// The host.
        host: String,
        /// Why.
        #[source]
        source: StorageError,
    },
    /// The image has come, and cannot be unpacked.
    #[error("the image of {host} cannot be unpacked")]
    Unpack {
        /// The host.
        host: String,
        /// Why.
        #[source]
        source: StorageError,
    },
    /// No place has it, the mirrors neither.
    #[error("its registry failed, and so did {} places before that", earlier.len())]
    Everywhere {
        /// What was wrong with the mirrors, the first one first.
        earlier: Vec<RegistryError>,
        /// What was wrong with the last place.
        #[source]
        last: Box<RegistryError>,
    },
    /// The store cannot be used.
    #[error("the store of images cannot be used")]
    Store(#[source] StorageError),
}

impl RegistryError {
    /// Whether this machine is what failed, so that another place would not help. An image that is refused may be
    /// another one there.
    pub(crate) fn is_local(&self) -> bool {
        match self {
            Self::Store(_) => true,
            Self::Storage { source, .. } | Self::Unpack { source, .. } => is_of_disk(source),
            _ => false,
        }
    }

    /// Whether the way to the registry failed, or the registry for the time being: what came before was right.
    pub(crate) fn is_of_connection(&self) -> bool {
        match self {
            Self::Request { .. } | Self::Status { .. } => true,
            // What was refused of a content has its own name.
            Self::Storage {
                source: StorageError::Stream { .. },
                ..
            } => !self.is_local(),
            _ => false,
        }
    }

    pub(crate) fn refused(what: &str, why: impl Into<String>) -> Self {
        Self::Refused {
            what: shown(what),
            why: why.into(),
        }
    }
}

/// Whether a content could not be written. What came from a registry has no numbers of errors of disks.
fn is_of_disk(error: &StorageError) -> bool {
    let errno = match error {
        StorageError::Step { .. } => return true,
        StorageError::Stream { source, .. } => Errno::from_io_error(source),
        // The time is one for all places.
        StorageError::Refused {
            refusal: Refusal::TooSlow { .. },
            ..
        } => return true,
        StorageError::Refused { .. } => None,
    };
    let of_disks = [
        Errno::NOSPC,
        Errno::DQUOT,
        Errno::FBIG,
        Errno::ROFS,
        Errno::IO,
    ];
    errno.is_some_and(|errno| of_disks.contains(&errno))
}

/// A text of a registry, safe to show: no control characters, and not too long.
pub(crate) fn shown(text: &str) -> String {
    hcs_storage::error::shown(text.as_bytes())
}
