//! Virtual machines.

mod lifecycle;
mod resources;
mod system;

use crate::coverage::{Table, container};

/// The effects of the properties of documents that concern a virtual machine.
pub static VIRTUAL_MACHINE: Table = Table {
    about: "a virtual machine",
    entries: &[system::ENTRIES, lifecycle::ENTRIES, container::PROCESS],
    resources: resources::RESOURCES,
};
