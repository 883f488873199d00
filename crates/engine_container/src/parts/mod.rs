//! The parts a container is made of, one file each.
//!
//! A part has up to three functions: `check` runs in the service and finds out from the document what is to be done,
//! or refuses it; `apply` runs in the child and does it; `undo` runs in the service and removes what outlives the
//! child's namespaces. Most parts live in those namespaces and need no `undo`.

pub(crate) mod capabilities;
pub(crate) mod control_groups;
pub(crate) mod devices;
pub(crate) mod empty;
pub(crate) mod handed;
pub(crate) mod handing;
pub(crate) mod hostname;
pub(crate) mod identity;
pub(crate) mod lease;
pub(crate) mod mapped;
pub(crate) mod masks;
pub(crate) mod mount;
pub(crate) mod mount_table;
pub(crate) mod mounts;
pub(crate) mod names;
pub(crate) mod network;
pub(crate) mod nodes;
pub(crate) mod open_files;
pub(crate) mod own_places;
pub(crate) mod pivot;
pub(crate) mod place;
pub(crate) mod preference;
pub(crate) mod privileges;
pub(crate) mod rootfs;
pub(crate) mod scratch;
pub(crate) mod scratch_image;
pub(crate) mod seccomp;
pub(crate) mod sharing;
pub(crate) mod temporary;
pub(crate) mod user;
pub(crate) mod volumes;
