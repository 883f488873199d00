//! The front end: messages of vhost-user, as QEMU 7.2 and newer send them for a vsock device.
//!
//! 1. `message`: messages as bytes and as values.
//! 2. `channel`: the socket they come from.
//! 3. `session`: what the front end has set up by them: memory, rings, event descriptors.
//! 4. `vring`: one ring of it.

mod channel;
mod message;
mod session;
mod vring;

pub(crate) use channel::{Channel, Message, Received};
pub(crate) use message::reply;
pub(crate) use session::{Effect, Session};
pub(crate) use vring::Signal;
