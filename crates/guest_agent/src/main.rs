//! The program `hcs-guest`: the agent of a virtual machine (`guest_agent::machine`).

use std::process::ExitCode;

fn main() -> ExitCode {
    let words = std::env::args_os().skip(1);
    let words = words.map(|word| word.to_string_lossy().into_owned());
    ExitCode::from(guest_agent::machine::run(words))
}
