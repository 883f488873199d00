//! Pulls from registries on loopback.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod pulls;
mod server;
