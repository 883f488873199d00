//! Virtual machines for real: QEMU, control groups of this host, and a guest of 124 bytes ([`guest`]).
//!
//! A worker is a copy of the running program, so this program has a `main` of its own which can be one. Needs root and
//! QEMU; without root every case is listed as ignored.
#![expect(clippy::unwrap_used, reason = "a test")]

mod cases;
mod crash_memory;
mod disks;
mod grants;
mod guest;
mod host;
mod media;
mod memory;
mod shares;
mod uefi;

use libtest_mimic::{Arguments, Trial};

fn main() {
    engine_vm::worker::main_if_worker();
    let arguments = Arguments::from_args();
    let unprivileged = !rustix::process::geteuid().is_root();
    let trials = cases::CASES
        .iter()
        .chain(crash_memory::CASES)
        .chain(disks::CASES)
        .chain(grants::CASES)
        .chain(memory::CASES)
        .chain(shares::CASES)
        .chain(uefi::CASES)
        .map(|(name, case)| {
            let run = move || {
                case();
                Ok(())
            };
            Trial::test(*name, run).with_ignored_flag(unprivileged)
        });
    libtest_mimic::run(&arguments, trials.collect()).exit();
}
