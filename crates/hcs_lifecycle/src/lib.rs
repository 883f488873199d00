//! What may happen when: pure state machines of operation, system and process, and the [`engine`] seam, over which the
//! [`steps`] of an engine's work are told.
//!
//! This room does no I/O and reads no clock: whoever owns sockets and time asks it for decisions.

pub mod engine;
pub mod operation;
pub mod operation_kind;
pub mod process;
pub mod steps;
pub mod system;
