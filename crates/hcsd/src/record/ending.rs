//! How a process ended, as it is told and written down.

/// A process had to go because there was no memory left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct OutOfMemory {
    /// How much its system might have, in megabytes, where it was limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) limit_in_mb: Option<u64>,
}

impl OutOfMemory {
    /// In words.
    pub(crate) fn sentence(self) -> String {
        match self.limit_in_mb {
            Some(limit) => format!("out of memory (limit {limit} MB)"),
            None => "out of memory".to_owned(),
        }
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ending {
    /// `None` when the exit code is lost.
    pub(crate) code: Option<u32>,
    /// It was killed because of that.
    pub(crate) out_of_memory: Option<OutOfMemory>,
    /// It failed, and its system had been refused another process, of which it may have this many.
    pub(crate) process_limit: Option<u64>,
}
