//! Layers on real file systems. Owners, devices and attributes of the kernel want root.
//!
//! 1. [`archive`]: archives as no proper program writes them. 2. [`tree`]: random folders, and what is in a folder.
//! 3. [`hostile`]: what is refused. 4. [`round_trip`]: what comes back. 5. [`tools`]: archives of other programs, and
//!    ours read by them. 6. [`marks`]: overlays. 7. [`rootless`]: an ordinary user. 8. [`kills`]: imports that end
//!    early.
//!    9. [`swaps`]: files that become others while they are read. 10. [`writable`]: what is written above layers.
//!    11. [`disks`]: virtual disks. 12. [`places`]: file systems of all kinds. 13. [`closed`]: layers where others are.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod archive;
mod closed;
mod disk_kills;
mod disks;
mod everywhere;
mod hostile;
mod kills;
mod layer_kills;
mod marks;
mod places;
mod rootless;
mod round_trip;
mod swaps;
mod tools;
mod tree;
mod writable;
