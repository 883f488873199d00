//! The Linux container engine and its launcher.
//!
//! A container is a cloned process in namespaces of its own that became the guest agent; everything else runs below
//! it. The pieces, from the outside in:
//!
//! 1. [`ContainerEngine`] and its machines: what the service calls ([`hcs_lifecycle::engine`]).
//! 2. [`launcher`]: the helper process that clones.
//! 3. `child`: what the clone does until it is the agent.
//! 4. `parts`: root file system, mounts, devices, network..., each with what is checked, applied and undone.
//! 5. `cgroup`: limits, accounting, freezing, on both versions of control groups.
//! 6. `sys`: raw system calls, the only unsafe code.
//!
//! This crate knows nothing of the processes inside a container, nor of the protocol spoken with the agent.
//!
//! Not done: user namespaces. They belong into `launcher/serve.rs` (one more flag, and waiting until the service has
//! written the maps) and `parts/capabilities.rs`; root in a container is therefore root of the host, fenced by
//! capabilities, the system call filter, device rules and namespaces.

mod cgroup;
mod channel;
mod child;
mod config;
mod engine;
mod failure;
pub mod launcher;
mod machine;
mod parts;
mod plan;
mod record;
mod stdio;
mod sys;

pub use config::EngineConfig;
pub use engine::ContainerEngine;
pub use launcher::Launcher;
