//! The safe Rust client of the Host Compute Service, blocking and async.
//!
//! 1. [`raw`]: the functions of `ComputeCore.h` as Rust methods, one to one; what the C library is made of.
//! 2. [`Endpoint`]: where the service listens.

mod cell;
mod client;
mod daemon;
mod endpoint;
mod handle;
mod hub;
mod link;
mod pool;
pub mod raw;
mod stdio;
mod sync;

pub use endpoint::{ENDPOINT_VARIABLE, Endpoint};
