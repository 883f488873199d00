//! `hcs`, the command line of the Host Compute Service.
//!
//! 1. [`cli`]: the verbs and what `--help` says; one file per verb in [`verbs`].
//! 2. [`options`]: arguments to documents, pure.
//! 3. [`client`]: the calls that the verbs make; [`clock`]: how long they may take.
//! 4. [`session`]: our standard streams, signals and terminal, joined to those of a process; [`terminal`], [`signals`].
//! 5. [`output`], [`failure`]: what people see, and the exit code.
//!
//! This program knows nothing of sockets, messages and engines: all it does goes through the `hcs` crate.

mod cli;
mod client;
mod clock;
mod failure;
mod options;
mod output;
mod session;
mod signals;
mod terminal;
mod verbs;

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::Parser as _;

fn main() -> ExitCode {
    let quickly = cli::Cli::quickly(std::env::args_os().skip(1));
    let arguments = match quickly.map_or_else(cli::Cli::try_parse, Ok) {
        Ok(arguments) => arguments,
        Err(error) => {
            let written = error.print();
            return match (error.use_stderr(), written) {
                (false, Ok(())) => ExitCode::SUCCESS,
                _ => ExitCode::from(failure::FAILED),
            };
        }
    };
    match arguments.verb.run() {
        Ok(code) => ExitCode::from(code),
        Err(stop) => {
            complain(&failure::text(&stop.failure));
            ExitCode::from(stop.code)
        }
    }
}

/// Writes to standard error; where even that is closed, the exit code has to do.
fn complain(text: &str) {
    let _closed = io::stderr().lock().write_all(text.as_bytes());
}
