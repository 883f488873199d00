//! The QEMU Machine Protocol: one JSON object per line, commands there, returns and events back.
//!
//! QEMU runs whatever its guest makes of it, so all that comes from it is bounded and checked here.
//!
//! 1. [`lines`]: bytes to lines.
//! 2. [`message`]: a line to a greeting, a return, an error or an event.
//! 3. [`command`]: the commands in use, with the types of their returns.
//! 4. [`client`]: a connection, with time limits.

pub(crate) mod client;
pub(crate) mod command;
pub(crate) mod lines;
pub(crate) mod message;

pub(crate) use client::{Client, QmpError};
pub(crate) use message::{Event, ShutdownReason};
