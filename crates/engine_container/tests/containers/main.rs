//! Containers for real: namespaces, mounts, control groups of this host, and an agent that tells what it sees inside.
//!
//! Every case runs with and without a user namespace, but for the few that say why not ([`mode`]). It runs as an
//! ordinary user, too, where that has what the case is about ([`rootless`]).
//!
//! The launcher is a copy of the running program, so this program has a `main` of its own which can be one. Needs
//! root; otherwise every case is listed as ignored.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

mod agent;
mod cases;
mod host;
mod mode;
mod rootless;

use libtest_mimic::{Arguments, Trial};
use mode::Mode;

fn main() {
    engine_container::launcher::main_if_launcher(agent::serve);
    let arguments = Arguments::from_args();
    let is_user = rootless::is_here();
    let unprivileged = !is_user && !rustix::process::geteuid().is_root();
    let trials = Mode::ALL.into_iter().flat_map(|mode| {
        let cases = cases::all().into_iter();
        let cases = cases.filter(move |(name, _)| mode.has(name));
        cases.map(move |(name, case)| {
            let full_name = format!("{}{name}", mode.prefix());
            let named = full_name.clone();
            let run = move || {
                mode.set();
                match mode == Mode::Rootless && !is_user {
                    true => rootless::run_as_user(&named),
                    false => case(),
                }
                Ok(())
            };
            Trial::test(full_name, run).with_ignored_flag(unprivileged)
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit();
}
