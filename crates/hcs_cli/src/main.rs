//! `hcs`, the command line of the Host Compute Service.
//!
//! 1. [`cli`]: the verbs and what `--help` says; one file per verb in [`verbs`]; [`words`]: what is not there.
//! 2. [`options`]: arguments to documents, pure.
//! 3. [`client`]: the calls that the verbs make; [`clock`]: how long they may take; [`images`]: what containers are
//!    made from, and [`committing`]: out of them; [`ports`]: which ports lead to them.
//! 4. [`session`]: our standard streams, signals and terminal, joined to those of a process; [`terminal`], [`signals`].
//! 5. [`output`], [`failure`], [`advice`], [`unseen`], [`apart`]: what people see, and the exit code.
//!
//! This program knows nothing of sockets, messages and engines: all it does goes through the `hcs` crate.

mod advice;
mod apart;
mod cli;
mod client;
mod clock;
mod committing;
mod default_network;
mod failure;
mod grants;
mod images;
mod network_check;
mod networks;
mod options;
mod output;
mod owners;
mod ports;
mod pulling;
mod session;
mod signals;
mod terminal;
mod unseen;
mod verbs;
mod whole;
mod words;

use std::{
    ffi::OsString,
    io::{self, Write as _},
    os::fd::{AsFd as _, BorrowedFd},
    process::ExitCode,
};

use clap::{Parser as _, error::ErrorKind};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

fn main() -> ExitCode {
    client::begin(std::env::args_os().nth(1).as_deref());
    let quickly = cli::Cli::quickly(std::env::args_os().skip(1));
    let arguments = match quickly.map_or_else(cli::Cli::try_parse, Ok) {
        Ok(arguments) => arguments,
        Err(error) if error.kind() == ErrorKind::InvalidUtf8 => {
            complain(&odd_argument(std::env::args_os()));
            return ExitCode::from(failure::FAILED);
        }
        Err(error) => {
            let line: Vec<OsString> = std::env::args_os().collect();
            let error = words::advised(error, &line);
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
            // The time is over, also that of a terminal that takes nothing.
            if stop.code != failure::LATE || takes_more(io::stderr().as_fd()) {
                complain(&failure::text(&stop.failure));
            }
            ExitCode::from(stop.code)
        }
    }
}

/// What is said of an argument that no JSON document can hold, which clap does not name.
fn odd_argument(arguments: impl Iterator<Item = OsString>) -> String {
    let odd = arguments
        .skip(1)
        .find(|argument| argument.to_str().is_none());
    let odd = odd.unwrap_or_default();
    format!("hcs: the argument {odd:?} is not UTF-8, so no JSON document can hold it\n")
}

/// Whether something can be written to `stream` soon.
fn takes_more(stream: BorrowedFd<'_>) -> bool {
    let second = Timespec {
        tv_sec: 1,
        tv_nsec: 0,
    };
    let mut polled = [PollFd::from_borrowed_fd(stream, PollFlags::OUT)];
    poll(&mut polled, Some(&second)) != Ok(0)
}

/// Writes to standard error; where even that is closed, the exit code has to do.
fn complain(text: &str) {
    let _closed = io::stderr().lock().write_all(text.as_bytes());
}
