//! A real service, real containers, and clients that speak the protocol directly. Needs root.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on fails, and shows the log of its service"
)]

mod adoption;
mod advisories;
mod clients;
mod common;
mod deadlines;
mod descriptors;
mod environment;
mod event_log;
mod filters;
mod flood;
mod guests;
mod guests_devices;
mod guests_firmware;
mod guests_left;
mod guests_memory;
mod guests_opengcs;
mod guests_pass_through;
mod guests_persistent;
mod held;
mod host;
mod hostile;
mod images;
mod in_flight;
mod leaving;
mod lifecycle;
mod lobby;
mod machines;
mod networks;
mod once;
mod quoted;
mod restart;
mod shares;
mod slots;
mod sockets;
mod starting;
mod upgrade;
