//! [`ArchiveError`].

use std::{io, path::Path};

use rustix::io::Errno;

/// Why files were not packed or unpacked.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// A file could not be read, made or changed.
    #[error("{doing}: {source}")]
    File {
        /// What was being done, with the path.
        doing: String,
        /// What the system said.
        source: io::Error,
    },
    /// The stream could not be read or written.
    #[error("the archive stream cannot be {doing}: {source}")]
    Stream {
        /// "read" or "written".
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The stream ended within an entry, or before the first.
    #[error("the archive stream ended too early: {0}")]
    Truncated(String),
    /// The stream is no archive, or one of a kind that is not read.
    #[error("the archive stream is not understood: {0}")]
    Malformed(String),
    /// The stream, or the destination, is not what was asked for.
    #[error("{0}")]
    Refused(String),
}

impl ArchiveError {
    /// For a system call on the file at `path`; `doing` reads as "cannot be opened".
    pub(crate) fn file(path: &Path, doing: &str, source: impl Into<io::Error>) -> Self {
        let shown = match path.as_os_str().is_empty() {
            true => Path::new("."),
            false => path,
        };
        Self::File {
            doing: format!("{} {doing}", shown.display()),
            source: source.into(),
        }
    }

    /// The errno of the system call that failed.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::File { source, .. } | Self::Stream { source, .. } => Errno::from_io_error(source),
            _ => None,
        }
    }

    /// Whether the other side of the stream has ended: it then knows the reason better.
    #[must_use]
    pub fn other_side_ended(&self) -> bool {
        match self {
            Self::Truncated(_) => true,
            Self::Stream { source, .. } => source.kind() == io::ErrorKind::BrokenPipe,
            _ => false,
        }
    }
}
