//! The real `hcs` against the real service: one module per theme.
//!
//! Where a comment says `Row F7` or the like, here and in the tests of other rooms, the test is that of a row of the
//! issue about daily use: what users (F), client programs (C) and newcomers (N) ran into.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod advisories;
mod common;
mod copies;
mod daily;
mod detached;
mod devices;
mod disks;
mod errors;
mod events;
mod explain;
mod image_commits;
mod image_kills;
mod image_leases;
mod image_others;
mod image_ports;
mod image_pulls;
mod image_runs;
mod images;
mod in_flight;
mod inside;
mod lifecycle;
mod machines;
mod manual;
mod masks;
mod network_default;
mod networks;
mod places;
mod privileges;
mod processes;
mod rootless;
mod rootless_daily;
mod rootless_images;
mod rootless_networks;
mod rootless_trust;
mod run;
mod service;
mod sockets;
mod standing;
mod stuck;
mod terminal;
mod trust;
mod words;
