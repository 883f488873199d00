//! The host compute service.

use std::process::ExitCode;

fn main() -> ExitCode {
    // In the helper that makes containers this does not return.
    engine_container::launcher::main_if_launcher(|files, privileges| {
        let own = guest_agent::Own::new(files.proc, files.terminals);
        guest_agent::run(files.listener, own, privileges)
    });
    hcsd::main()
}
