//! The door: who connects, and whether they may.
//!
//! 1. [`listener`]: the socket of the endpoint.
//! 2. [`peers`]: who is at the other end of a connection.
//! 3. [`permits`]: how many may be connected.
//! 4. [`lobby`]: connections that are accepted and wait for their turn.
//! 5. [`greeting`]: what becomes of one whose turn it is.
//! 6. [`unheard`]: what becomes of those that are turned away without a word.

pub(crate) mod greeting;
pub(crate) mod listener;
pub(crate) mod lobby;
pub(crate) mod peers;
pub(crate) mod permits;
pub(crate) mod unheard;
