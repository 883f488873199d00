//! The host compute service.

use std::process::ExitCode;

fn main() -> ExitCode {
    // In the helper that makes containers this does not return.
    engine_container::launcher::main_if_launcher(guest_agent::run);
    hcsd::main()
}
