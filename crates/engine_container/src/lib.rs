//! The Linux container engine and its launcher.
//!
//! A container is a cloned process in namespaces of its own that became the guest agent; everything else runs below
//! it. The pieces, from the outside in:
//!
//! 1. [`ContainerEngine`] and its machines: what the service calls ([`hcs_engine::engine`]).
//! 2. [`launcher`]: the helper process that clones.
//! 3. `child`: what the clone does until it is the agent.
//!    `spec`: what it is told.
//! 4. `parts`: root file system, mounts, devices, network..., each with what is checked, applied and undone.
//! 5. `cgroup`: limits, accounting, freezing, on both versions of control groups.
//! 6. `user_namespace`: whose ids a container's are, where it has a user namespace.
//! 7. `peer`: whether a client of the service lives in a container.
//! 8. [`surroundings`]: what a service inherits from its starter, undone.
//! 9. [`apparmor`]: the profile that containers run in, where the host has AppArmor.
//! 10. `offers`: what the host has for containers, for the capability answer.
//! 11. [`shared`]: what other engines on the same host use of all that.
//! 12. [`outside`]: a network for the containers of an ordinary user.
//! 13. `closer`: descriptors that are closed aside.
//! 14. `sys`: raw system calls, the only unsafe code.
//!
//! This crate knows nothing of the processes inside a container, nor of the protocol spoken with the agent.
//!
//! Run by an ordinary user it makes containers with a user namespace only, and without control groups.

pub mod apparmor;
mod cgroup;
mod channel;
mod child;
mod closer;
mod config;
mod engine;
mod failure;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod launcher;
mod machine;
mod offers;
pub mod outside;
mod parts;
mod peer;
mod plan;
mod privilege;
mod record;
pub mod shared;
mod source;
mod spec;
mod stdio;
mod steps;
pub mod surroundings;
mod sys;
mod user_namespace;
mod waiting;

pub use config::{EngineConfig, HostView, NAME, ScratchLimit};
pub use engine::{Claim, ContainerEngine};
pub use launcher::Launcher;
pub use user_namespace::{IdRange, UserNamespaces};
