//! Drives the agent for real: as pid 1 of a pid namespace, over its unix socket, with real pipes and terminals.
//!
//! Without the test harness of the standard library, because the agent has to be a process without threads: this
//! program starts itself again as `--agent` or `--dialling-agent`, inside `unshare(1)`. Needs root. In `machine` it is
//! the first process of a virtual machine, for which QEMU and a kernel have to be there (`cargo xtask packages`).

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::print_stderr,
    unreachable_pub,
    reason = "tests; without the standard harness clippy does not see that"
)]

mod bridge;
mod consoles;
mod detached;
mod dialled;
mod failures;
mod machine;
mod processes;
mod protocol;
mod shutdown;
mod system;
mod users;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

/// A test: its name and its body. A body fails by panicking.
type Test = (&'static str, fn());

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    match words.next().as_deref() {
        Some("--agent") => return system::become_agent(),
        Some("--dialling-agent") => return dialled::become_agent(words.next()),
        _ => {}
    }
    let arguments = Arguments::from_args();
    let all = [
        protocol::TESTS,
        processes::TESTS,
        failures::TESTS,
        users::TESTS,
        consoles::TESTS,
        detached::TESTS,
        shutdown::TESTS,
        dialled::TESTS,
        machine::TESTS,
    ];
    let trials = all.concat().into_iter().map(|(name, body)| {
        let trial = Trial::test(name, move || {
            body();
            Ok::<(), Failed>(())
        });
        trial.with_ignored_flag(name == processes::OOM_SCORE && !processes::may_lower_oom_score())
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}
