//! The host compute service.

use std::process::ExitCode;

fn main() -> ExitCode {
    hcsd::main_if_helper();
    hcsd::main()
}
