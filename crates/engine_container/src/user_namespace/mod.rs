//! User namespaces: root in the container is no user of the host.
//!
//! 1. [`ranges`]: which ids of the host a container's ids are; each container takes a range of its own.
//! 2. [`claims`]: which of them are in use on the host, by whichever service.
//! 3. [`mapping`]: telling the kernel, which the service does while the child waits for its specification.
//!
//! What is different in the child is in the parts: `parts/identity.rs` (becoming the namespace's root),
//! `parts/handed.rs` (mounts of the host with shifted owners), `parts/devices.rs`, `parts/mounts.rs`.
//!
//! A service that runs as root gives each container 65536 ids that no other user has. That of an ordinary user can map
//! the user's own id, and others only as far as `/etc/subuid` grants them and `newuidmap(1)` is installed.

mod claims;
mod mapping;
mod ranges;

pub(crate) use claims::Claims;
pub(crate) use mapping::{Child, Mapping, sets_groups};
pub(crate) use ranges::{Above, IdPool, IdRangeSlot};
pub use ranges::{IdRange, UserNamespaces};
