//! The vocabulary of the Host Compute Service: JSON documents, HRESULTs, `ResultError`, validation.
//!
//! This room does no I/O and knows nothing of engines, sockets or operations.

pub mod documents;
mod failure;
mod hresult;

pub use failure::{Cause, Failure, PROVIDER};
pub use hresult::{HResult, win32};
