//! The service with a second engine, which exists in this program only: what the service does is the same for each.
//!
//! 1. [`engine`]: the second engine, of plain process trees.
//! 2. [`kinds`]: both engines as the suite knows them, with their declared differences.
//! 3. [`shared`]: the suite, which runs once for each engine.
//! 4. [`own`]: what the second engine alone has.
//!
//! Without the test harness of the standard library, because the service must begin without threads: this program
//! starts itself again as the service, and as the guest agent of a machine. Needs root.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on fails, and shows the log of its service"
)]

#[path = "../service/common/mod.rs"]
mod common;
mod engine;
mod kinds;
mod own;
mod shared;

use std::{fs::File, os::unix::net::UnixListener, path::Path, process::ExitCode, sync::Arc};

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
    libtest_mimic::run(&arguments, trials()).exit_code()
}

/// The shared suite, once for each engine, and what the second engine alone has.
fn trials() -> Vec<Trial> {
    let trial = |name: String, body: Box<dyn FnOnce() + Send>| {
        Trial::test(name, move || {
            body();
            Ok::<(), Failed>(())
        })
    };
    let shared = kinds::ALL.iter().flat_map(|kind| {
        let of_kind = shared::TESTS.iter();
        of_kind.map(move |(name, body)| {
            let name = format!("{}::{name}", kind.name);
            trial(name, Box::new(move || body(kind)))
        })
    });
    let own = own::TESTS
        .iter()
        .map(|(name, body)| trial(format!("process::own::{name}"), Box::new(*body)));
    shared.chain(own).collect()
}

/// Serves as a guest agent that listens at `socket`.
fn become_agent(socket: &str) -> ExitCode {
    // That of the boot before.
    drop(std::fs::remove_file(socket));
    let listener = UnixListener::bind(socket).unwrap();
    let left = File::create(Path::new(socket).with_file_name(engine::LEFT)).unwrap();
    let own = guest_agent::Own::at_usual_places();
    let host = guest_agent::Host::IsUser(rustix::process::geteuid().as_raw());
    let code = guest_agent::run(
        listener.into(),
        host,
        Some(left.into()),
        own,
        Privileges::default(),
    );
    ExitCode::from(u8::try_from(code).unwrap())
}
