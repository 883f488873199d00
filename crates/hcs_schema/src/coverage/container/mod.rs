//! Linux containers.

mod lifecycle;
mod process;
mod resources;
mod system;

use crate::coverage::{Entries, Table};

/// The effects of the properties of documents that concern a Linux container.
pub static CONTAINER: Table = Table {
    about: "a Linux container",
    entries: &[system::ENTRIES, lifecycle::ENTRIES, process::ENTRIES],
    resources: resources::RESOURCES,
};

/// The effects of the properties of documents about processes: the same for every system with a guest agent.
pub(super) const PROCESS: &[(&str, Entries)] = process::ENTRIES;
