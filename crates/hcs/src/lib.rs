//! The safe Rust client of the Host Compute Service, blocking and async.
