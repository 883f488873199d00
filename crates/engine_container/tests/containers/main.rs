//! Containers for real: namespaces, mounts, control groups of this host, and an agent that tells what it sees inside.
//!
//! Every case runs twice, with and without a user namespace, but for the few that say why not ([`mode`]).
//!
//! The launcher is a copy of the running program, so this program has a `main` of its own which can be one. Needs
//! root; otherwise every case is listed as ignored.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

mod agent;
mod cases;
mod host;
mod mode;

use libtest_mimic::{Arguments, Trial};
use mode::Mode;

fn main() {
    engine_container::launcher::main_if_launcher(agent::serve);
    let arguments = Arguments::from_args();
    let unprivileged = !rustix::process::geteuid().is_root();
    let trials = Mode::ALL.into_iter().flat_map(|mode| {
        let cases = cases::all().into_iter();
        let cases = cases.filter(move |(name, _)| mode.has(name));
        cases.map(move |(name, case)| {
            let run = move || {
                mode.set();
                case();
                Ok(())
            };
            Trial::test(format!("{}{name}", mode.prefix()), run).with_ignored_flag(unprivileged)
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit();
}
