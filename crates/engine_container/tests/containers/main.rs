//! Containers for real: namespaces, mounts, control groups of this host, and an agent that tells what it sees inside.
//!
//! The launcher is a copy of the running program, so this program has a `main` of its own which can be one. Needs
//! root; otherwise every case is listed as ignored.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

mod agent;
mod cases;
mod host;

use libtest_mimic::{Arguments, Trial};

fn main() {
    engine_container::launcher::main_if_launcher(agent::serve);
    let arguments = Arguments::from_args();
    let unprivileged = !rustix::process::geteuid().is_root();
    let trials = cases::all().into_iter().map(|(name, case)| {
        let run = move || {
            case();
            Ok(())
        };
        Trial::test(name, run).with_ignored_flag(unprivileged)
    });
    libtest_mimic::run(&arguments, trials.collect()).exit();
}
