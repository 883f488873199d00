//! Limits on the resources of one process (`getrlimit(2)`), and their names.

use serde::{Deserialize, Serialize};

/// The names of the limits that Linux has, each at its number.
const NAMES: [&str; 16] = [
    "cpu",
    "fsize",
    "data",
    "stack",
    "core",
    "rss",
    "nproc",
    "nofile",
    "memlock",
    "as",
    "locks",
    "sigpending",
    "msgqueue",
    "nice",
    "rtprio",
    "rttime",
];

/// One limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// Which one: the number of `RLIMIT_*`, the same on every architecture that the service runs on.
    pub number: u32,
    /// The value in force.
    pub soft: u64,
    /// How far the process may raise that by itself.
    pub hard: u64,
}

/// The value for no limit at all.
pub const UNLIMITED: u64 = u64::MAX;

/// The number of a limit: `nofile`, `RLIMIT_NOFILE`, in capital or small letters.
#[must_use]
pub fn number(name: &str) -> Option<u32> {
    let lower = name.to_ascii_lowercase();
    let plain = lower.strip_prefix("rlimit_").unwrap_or(&lower);
    let mut numbered = (0..).zip(NAMES);
    numbered
        .find(|(_, known)| *known == plain)
        .map(|(number, _)| number)
}

/// The name of a limit by its number.
#[must_use]
pub fn name(number: u32) -> &'static str {
    let index = usize::try_from(number).unwrap_or(usize::MAX);
    NAMES.get(index).copied().unwrap_or("?")
}

/// All names, as a message lists them.
#[must_use]
pub fn known_names() -> String {
    NAMES.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_found_by_their_names() {
        assert_eq!(number("nofile"), Some(7));
        assert_eq!(number("RLIMIT_NOFILE"), Some(7));
        assert_eq!(number("files"), None);
        assert_eq!((name(7), name(99)), ("nofile", "?"));
    }
}
