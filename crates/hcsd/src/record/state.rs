//! What the service writes down about a system, so that the next one can take it over.
//!
//! `<state root>/systems/<runtime id>/state.json` says what the system is; it is replaced as a whole. Beside it
//! [`journal`] says what its processes are doing; it is appended to.
//!
//! A service never touches what a newer one wrote: the administrator who goes back to an older version finds the newer
//! version's systems running, and has them again with it.

pub(crate) mod journal;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::record::{files, ledger::Ledger};

/// Version of the format. A newer service reads older versions; an older one refuses newer ones.
const VERSION: u32 = 1;
/// Name of the file in the system's directory.
const FILE: &str = "state.json";

/// A system, written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    version: u32,
    /// The id clients use.
    pub(crate) id: String,
    /// The machine's GUID, and the name of its directory.
    pub(crate) runtime_id: String,
    /// The user who created it.
    pub(crate) uid: u32,
    /// The document it was created from, as it came.
    pub(crate) document: String,
    /// Which engine made it.
    pub(crate) engine: String,
    /// What that engine wants to know.
    pub(crate) machine: String,
    /// `State` of the schema.
    pub(crate) state: String,
    /// It ends with its last handle. May be changed after creation.
    pub(crate) terminate_on_last_handle_closed: bool,
    /// How often the kernel has killed in it for want of memory, as far as that was told.
    #[serde(default)]
    pub(crate) memory_kills: u64,
    /// It was asked to shut down, and may yet do so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) asked_to_stop: bool,
    /// The command of its first detached process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) detached_command: Option<Vec<String>>,
    /// Which calls have changed it.
    #[serde(default, skip_serializing_if = "Ledger::is_empty")]
    pub(crate) calls: Ledger,
}

/// What does not change while a system lives.
#[derive(Debug)]
pub(crate) struct RecordedFacts<'a> {
    pub(crate) id: &'a str,
    pub(crate) runtime_id: &'a str,
    pub(crate) uid: u32,
    pub(crate) document: &'a str,
    pub(crate) engine: &'a str,
}

impl Record {
    /// A record of the current version.
    pub(crate) fn new(
        facts: &RecordedFacts<'_>,
        machine: String,
        state: &str,
        terminate_on_last_handle_closed: bool,
        memory_kills: u64,
    ) -> Self {
        Self {
            version: VERSION,
            id: facts.id.to_owned(),
            runtime_id: facts.runtime_id.to_owned(),
            uid: facts.uid,
            document: facts.document.to_owned(),
            engine: facts.engine.to_owned(),
            machine,
            state: state.to_owned(),
            terminate_on_last_handle_closed,
            memory_kills,
            asked_to_stop: false,
            detached_command: None,
            calls: Ledger::default(),
        }
    }

    /// Of a system that was asked to shut down, or was not.
    pub(crate) fn with_stop_asked(mut self, asked: bool) -> Self {
        self.asked_to_stop = asked;
        self
    }

    /// With the command of its first detached process.
    pub(crate) fn with_detached(mut self, command: Option<Vec<String>>) -> Self {
        self.detached_command = command;
        self
    }

    /// With the calls that have changed it.
    pub(crate) fn with_calls(mut self, calls: &Ledger) -> Self {
        self.calls = calls.clone();
        self
    }

    /// Writes it into the system's directory: a reader finds the old file or the new one, never a part.
    ///
    /// # Errors
    /// What the file system said.
    pub(crate) fn write(&self, directory: &Path) -> io::Result<()> {
        files::replace_json(&directory.join(FILE), self)
    }

    /// Removes the record in a system's directory: for a next service there is no such system. Again is fine.
    ///
    /// # Errors
    /// What the file system said.
    pub(crate) fn remove(directory: &Path) -> io::Result<()> {
        match fs::remove_file(directory.join(FILE)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    /// Reads the record in a system's directory.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub(crate) fn read(directory: &Path) -> Result<Self, StateError> {
        let path = directory.join(FILE);
        let text = fs::read_to_string(&path).map_err(|source| StateError::Read {
            path: path.clone(),
            source,
        })?;
        Self::parse(&path, &text)
    }

    /// Understands `text`, the contents of `path`.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self, StateError> {
        // First of all: whatever else a newer version has may look otherwise.
        match serde_json::from_str::<Head>(text) {
            Ok(head) if head.version > VERSION => {
                return Err(StateError::Newer {
                    path: path.to_owned(),
                    version: head.version,
                    id: head.id.as_str().map(str::to_owned),
                });
            }
            _ => {}
        }
        serde_json::from_str(text).map_err(|source| StateError::Damaged {
            path: path.to_owned(),
            source,
        })
    }
}

/// What a record of any version has.
#[derive(Deserialize)]
struct Head {
    version: u32,
    /// The id clients use, in all versions so far.
    #[serde(default)]
    id: Value,
}

/// Why a system's record cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateError {
    /// It is not there, or cannot be read.
    #[error("{} cannot be read", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// It is not what was written.
    #[error("{} is damaged", path.display())]
    Damaged {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    /// A later service wrote it.
    #[error("{} has version {version}; this service knows versions up to {VERSION}", path.display())]
    Newer {
        path: PathBuf,
        version: u32,
        /// The id that clients have for it.
        id: Option<String>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let facts = RecordedFacts {
            id: "../a\0b",
            runtime_id: "g",
            uid: 7,
            document: "{}",
            engine: "container",
        };
        Record::new(&facts, "{}".to_owned(), "Running", true, 0)
    }

    #[test]
    fn a_record_is_read_back_as_it_was_written() {
        let directory = tempfile::tempdir().unwrap();
        record().write(directory.path()).unwrap();
        record().write(directory.path()).unwrap();
        assert_eq!(Record::read(directory.path()).unwrap(), record());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn damaged_missing_and_newer_records_are_told_apart() {
        let directory = tempfile::tempdir().unwrap();
        let read = || Record::read(directory.path());
        assert!(matches!(read(), Err(StateError::Read { .. })));
        fs::write(directory.path().join(FILE), "{\"version\":1").unwrap();
        assert!(matches!(read(), Err(StateError::Damaged { .. })));
        let newer = Record {
            version: 2,
            ..record()
        };
        newer.write(directory.path()).unwrap();
        assert!(matches!(read(), Err(StateError::Newer { version: 2, .. })));
        let other = r#"{"version":3,"id":["a"],"state":7}"#;
        fs::write(directory.path().join(FILE), other).unwrap();
        let newer = read();
        assert!(
            matches!(
                newer,
                Err(StateError::Newer {
                    version: 3,
                    id: None,
                    ..
                })
            ),
            "whatever it looks like: {newer:?}"
        );
    }
}
