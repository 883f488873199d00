//! Linux containers.

mod lifecycle;
mod process;
mod resources;
mod system;

use crate::coverage::Table;

/// The effects of the properties of documents that concern a Linux container.
pub static CONTAINER: Table = Table {
    about: "a Linux container",
    entries: &[system::ENTRIES, lifecycle::ENTRIES, process::ENTRIES],
    resources: resources::RESOURCES,
};
