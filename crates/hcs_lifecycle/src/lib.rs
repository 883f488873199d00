//! Pure state machines of operation, system and process: the actions that each state allows.
//!
//! This room does no I/O and reads no clock: the owner of sockets and time asks it for decisions.

pub mod operation;
pub mod operation_kind;
pub mod process;
pub mod system;
