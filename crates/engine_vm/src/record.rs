//! What is written down about a machine so that a later service finds it again.

use std::{fs, path::PathBuf};

use engine_container::shared::{MachineGroups, Made, ProcessName};
use serde::{Deserialize, Serialize};

use crate::{hot_memory::HotMemory, worker};

/// A machine. The fields are the state file's, so they only ever gain optional ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Record {
    /// Its worker.
    pub(crate) worker: ProcessName,
    /// When it was made.
    #[serde(flatten)]
    pub(crate) made: Made,
    /// Its control groups.
    pub(crate) groups: MachineGroups,
    /// The sockets of its serial ports.
    pub(crate) pipes: Vec<PathBuf>,
    /// The user of the host that it runs as.
    #[serde(default)]
    pub(crate) user: Option<u32>,
    /// Its memory, where that can be resized.
    #[serde(default)]
    pub(crate) memory: Option<HotMemory>,
    /// Whether its worker knows of addresses of cards: that of an earlier release hangs up on such a request.
    #[serde(default)]
    pub(crate) leases: bool,
    /// Whether its worker wants a proof of each who connects.
    #[serde(default)]
    pub(crate) proof: bool,
    /// Whether its worker tells when the guest agent dials. That of an earlier release is asked again and again.
    #[serde(default)]
    pub(crate) tells_of_agent: bool,
}

impl Record {
    /// Why this is not what a service has written of the machine `runtime_id`, whose process lives: what a record names
    /// is ended with the machine.
    pub(crate) fn doubt(&self, runtime_id: &str) -> Option<&'static str> {
        let pid = self.worker.pid;
        if let Some(why) = self.groups.doubt(runtime_id, pid) {
            return Some(why);
        }
        let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let name = line.split(|byte| *byte == 0).next();
        // One that has just ended has no line.
        let is_worker = line.is_empty() || name == Some(worker::NAME.as_bytes());
        (!is_worker).then_some("its process is no worker of a virtual machine")
    }
}
