//! The door: who connects, and whether they may.
//!
//! 1. [`listener`]: the socket of the endpoint.
//! 2. [`peers`]: who is at the other end of a connection.

pub(crate) mod listener;
pub(crate) mod peers;
