//! The safe Rust client of the Host Compute Service, blocking and async.
//!
//! 1. [`raw`]: the functions of `ComputeCore.h` as Rust methods, one to one; what the C library is made of.

pub mod raw;
