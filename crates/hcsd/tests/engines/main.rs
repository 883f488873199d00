//! The service with a second engine, which exists in this program only: what the service does is the same for each.
//!
//! Without the test harness of the standard library, because the service must begin without threads: this program starts
//! itself again as the service, and as the guest agent of a machine. Needs root.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on fails, and shows the log of its service"
)]

#[path = "../service/common/mod.rs"]
mod common;
mod engine;
mod suite;

use std::{os::unix::net::UnixListener, process::ExitCode, sync::Arc};

use clap::Parser as _;
use hcs_schema::privileges::Privileges;
use libtest_mimic::{Arguments, Failed, Trial};

use engine::ProcessEngine;

fn main() -> ExitCode {
    hcsd::main_if_helper();
    let mut words = std::env::args().skip(1);
    match words.next().as_deref() {
        Some("--service") => {
            let words = std::iter::once("hcsd".to_owned()).chain(words);
            let options = hcsd::Options::parse_from(words);
            return hcsd::main_with(&options, vec![Arc::new(ProcessEngine)]);
        }
        Some("--agent") => return become_agent(&words.next().unwrap()),
        _ => {}
    }
    let arguments = Arguments::from_args();
    let trials = suite::TESTS.iter().map(|(name, body)| {
        Trial::test(*name, move || {
            body();
            Ok::<(), Failed>(())
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

/// Serves as a guest agent that listens at `socket`.
fn become_agent(socket: &str) -> ExitCode {
    // That of the boot before.
    drop(std::fs::remove_file(socket));
    let listener = UnixListener::bind(socket).unwrap();
    let own = guest_agent::Own::at_usual_places();
    let code = guest_agent::run(listener.into(), own, Privileges::default());
    ExitCode::from(u8::try_from(code).unwrap())
}
