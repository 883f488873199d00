//! The agent of a virtual machine: the program `hcs-guest`.
//!
//! As the first process (`/init` of an initial ramdisk) it makes the machine usable before it serves: `setup` mounts
//! the file systems of the kernel, `modules` loads what the image brings along. When the system has been shut down it
//! powers the machine off. Started by another init it serves alone, and leaves the end of the machine to that init.
//!
//! 1. [`run`]: the whole program.
//! 2. `setup`, `modules`: the first process's work. `later`: modules that it leaves for later.
//! 3. `shares`: directories of the host. `network`: network cards, and the names of others.
//! 4. `vsock`: the way to the host. `left`: what is left with it. `renewal`, `kept`: what a virtual machine needs that
//!    a container gets from its host.
//!
//! What is written to standard error is for the serial console: a line for each step, and what went wrong.

mod kept;
mod later;
mod left;
mod modules;
mod network;
mod renewal;
mod setup;
mod shares;
mod vsock;

use std::process::Command;

use hcs_schema::{
    Failure, HResult,
    privileges::{Capabilities, Limit, Privileges},
};
use hcs_wire::{errno, guest::BRIDGE_PORT};
use rustix::{
    io::Errno,
    system::{RebootCommand, reboot},
};

use crate::{Own, Role, agent::log, archive::main_if_archive, facts::bounding, serve};
use later::Later;
use vsock::VsockLink;

const HELP: &str = "\
hcs-guest serves the Host Compute Service inside of a virtual machine.

It takes no arguments. As the first process (/init of an initial ramdisk) it sets the
machine up and powers it off at the end. As a service of another init it only serves.
It dials vsock port 1073741824 of the host, and again whenever the connection ends.

  --version   print the version
  --help      print this";

/// The limit `RLIMIT_NOFILE`.
const OPEN_FILES: u32 = 7;
/// Open files of a process: as many as `select(2)` can handle, and on request more.
const PROCESS_FILES: Limit = Limit {
    number: OPEN_FILES,
    soft: 1024,
    hard: 524_288,
};

/// Runs the program with `arguments`; returns its exit code. Changes the whole process, which must have no other
/// threads.
#[must_use]
pub fn run(arguments: impl Iterator<Item = String>) -> u8 {
    if let Some(code) = main_if_archive() {
        return self::code(code);
    }
    if std::process::id() == 1 {
        // What the kernel does not know of its command line comes as arguments.
        return init();
    }
    let words: Vec<String> = arguments.collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if let Some(name) = later::wish(&words) {
        return later::lacking(name);
    }
    match words.as_slice() {
        [] => code(serve_host(Role::Service, None)),
        [word, before] if *word == later::WORD => later::load(before),
        ["--version"] => print(&format!("hcs-guest {}", env!("CARGO_PKG_VERSION"))),
        ["--help" | "-h"] => print(HELP),
        words => {
            log(&format!("no arguments were expected, not {words:?}"));
            2
        }
    }
}

/// The first process. Its end without a shutdown is a crash of the machine, which the host sees.
fn init() -> u8 {
    log(&format!("version {}", env!("CARGO_PKG_VERSION")));
    let later = setup::machine();
    let code = code(serve_host(Role::Init, later));
    if code == 0 {
        log("power off");
        if let Err(errno) = power_off() {
            log(&format!("the machine cannot be powered off: {errno}"));
        }
    }
    code
}

fn serve_host(role: Role, later: Option<Later>) -> i32 {
    match VsockLink::new(later) {
        Ok(mut link) => {
            if role == Role::Init {
                link.mount_shares();
            }
            log(&format!("dialling port {BRIDGE_PORT} of the host"));
            let own = Own::at_usual_places().with_hosts(network::hosts());
            serve(link, own, privileges(), role)
        }
        Err(errno) => {
            log(&format!(
                "the host cannot be dialled: {}",
                errno::words(errno)
            ));
            1
        }
    }
}

/// The rights of processes: root has all that the machine has, which is its own.
fn privileges() -> Privileges {
    let all = bounding();
    Privileges {
        possible: all,
        root: all,
        others: Capabilities::NONE,
        no_new_privileges: false,
        limits: vec![PROCESS_FILES],
    }
}

/// Has the machine's own init end it; `forced` powers it off at once.
///
/// # Errors
/// There is no program for it, or the kernel refused.
pub(crate) fn end_guest(forced: bool) -> Result<(), Failure> {
    if forced {
        return power_off()
            .map_err(|errno| errno::failed("the machine cannot be powered off", errno));
    }
    // It is reaped like any other process.
    let started = Command::new("poweroff").spawn();
    started.map(drop).map_err(|error| {
        let message = "the machine cannot be shut down: its program `poweroff` cannot be run";
        Failure::new(HResult::NOT_SUPPORTED, message).because(&error)
    })
}

fn power_off() -> Result<(), Errno> {
    rustix::fs::sync();
    reboot(RebootCommand::PowerOff)
}

fn code(served: i32) -> u8 {
    u8::try_from(served).unwrap_or(1)
}

#[expect(clippy::print_stdout, reason = "a person asked for it")]
fn print(text: &str) -> u8 {
    println!("{text}");
    0
}
