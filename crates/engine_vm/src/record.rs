//! What is written down about a machine so that a later service finds it again.

use std::{
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use engine_container::shared::{MachineGroups, ProcessName};
use serde::{Deserialize, Serialize};

/// A machine. The fields are the state file's, so they only ever gain optional ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Record {
    /// Its worker.
    pub(crate) worker: ProcessName,
    /// When it was made, in milliseconds since 1970.
    pub(crate) created: u64,
    /// Its control groups.
    pub(crate) groups: MachineGroups,
    /// The sockets of its serial ports.
    pub(crate) pipes: Vec<PathBuf>,
}

impl Record {
    /// When it was made.
    pub(crate) fn created_at(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.created)
    }
}

/// Milliseconds since 1970.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
