//! The seam between the service and the engines that run compute systems.
//!
//! 1. [`engine`]: the interface for the service: engines, their machines, and the stdio of processes.
//! 2. [`memory`]: the memory of the host, and the property that tells of a machine's.
//! 3. [`modification`]: a change to a running system, its part of the host and its part of the guest.
//! 4. [`steps`]: the work of an engine, told to the service while it goes on.

pub mod engine;
pub mod memory;
pub mod modification;
pub mod steps;
