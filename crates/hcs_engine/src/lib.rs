//! The seam between the service and the engines that run compute systems.
//!
//! 1. [`engine`]: the interface for the service: engines, their machines, and the stdio of processes.
//! 2. [`steps`]: the work of an engine, told to the service while it goes on.

pub mod engine;
pub mod steps;
