//! The other side, for tests: guest memory that is bytes, the driver of a ring, and a guest that sends packets.
//!
//! None of it stands in for an object of the kernel: rings and packets are bytes in memory whichever program writes
//! them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod driver;
mod guest;
mod plain;

pub(crate) use driver::Driver;
pub(crate) use guest::Guest;
pub(crate) use plain::Plain;
