//! The guest agent: pid 1 of a container or virtual machine, processes, stdio, signals, terminals.
//!
//! [`run`] is entered by a call, in a process made by `clone3` that has its root file system already and no further
//! threads; it returns when the system has been shut down. The host speaks the guest bridge (`hcs_wire::guest`) to it.
//!
//! 1. `agent`: the event loop. `stream` and `descriptors`: requests in, answers out. [`link`]: where streams come from.
//! 2. `requests`: one file per kind of request.
//! 3. `command`, `accounts`: what is to be run, as whom. `sys`: running it. `archive`: the program for files.
//! 4. `reaper`, `exits`, `waits`: who has ended, and who wants to know. `calls`: what was done for which call.
//!    `left`: what of both is written down for a later host. `session`: what a process has started.
//! 5. `console`: emulated consoles. `relays`: pipes before streams that are none. `kept`: pipes that can be handed out
//!    again. `detached`: output that is kept.
//! 6. [`machine`]: the agent of a virtual machine, as its first process or as a service in it.
//! 7. `names`: those of other containers, in `/etc/hosts`. `own`: `/proc` and `/dev/pts`, wherever the system's paths
//!    lead. `facts`, `files`, `proc_files`: what is read there.
//!
//! **Trust.** The host is trusted, but what it sends is bounded and checked all the same. The system's processes are
//! not: root among them may replace any file, stop or kill anything but the agent, and fill every pipe. Hence: files
//! are read without blocking and up to a limit; the agent is not dumpable; its descriptors close on exec; nothing it
//! does waits for one of them (but see `sys::spawn` for a program on a file system that does not answer). The files for
//! kept output are the host's, which bounds how long writing to them takes.
//!
//! **What it does not do** in a container: mounts, cgroups, networks, limits (the engine has done them before), and
//! anything on behalf of a process after `execve`.
//!
//! **What it has that they have not**: two capabilities beside those that processes can have, so that the kernel lets
//! none of them trace it or change its scheduling; and `CAP_CHOWN`, to give pipes to the user of a process. Each
//! process is given its own when it is started.

mod accounts;
mod agent;
mod archive;
mod calls;
mod command;
mod console;
mod descriptors;
mod detached;
mod exits;
mod facts;
mod files;
#[cfg(fuzzing)]
pub mod fuzzing;
mod kept;
mod left;
pub mod link;
pub mod machine;
mod names;
mod own;
mod proc_files;
mod reaper;
mod relay;
mod relays;
mod requests;
mod session;
mod stream;
mod sys;
mod waits;

use std::os::fd::OwnedFd;

use hcs_schema::privileges::Privileges;
use rustix::{
    fs::Mode,
    io::Errno,
    process::{DumpableBehavior, chdir, set_dumpable_behavior, umask},
};

pub use agent::Role;
pub use archive::main_if_archive;
pub use link::Host;
pub use own::Own;

use crate::{
    agent::{Agent, log},
    link::{Link, UnixLink},
};

/// File mode creation mask that processes begin with, as everywhere on Linux.
const UMASK: u32 = 0o022;

/// Serves the host on `listener`, a unix stream socket that is bound and listens, until the system has been shut down.
/// `own` is how the agent reaches the kernel's file systems, whatever the system has at `/proc` and `/dev`. Answers
/// the exit code for the process: 0, or 1 when the agent could not do its work (stderr says why).
///
/// `privileges` is what processes get, where their documents say no more. `host` tells the host from others that
/// connect. `left` is a file of the host's for what the agent leaves ([`hcs_wire::guest::LeftRecord`]), open for
/// writing.
///
/// Changes the whole process: signal dispositions and mask, umask, working directory `/`, not dumpable.
#[must_use]
pub fn run(
    listener: OwnedFd,
    host: Host,
    left: Option<OwnedFd>,
    own: Own,
    privileges: Privileges,
) -> i32 {
    match UnixLink::leaving(listener, host, left) {
        Ok(link) => serve(link, own, privileges, Role::Init),
        Err(errno) => {
            log(&format!("the listening socket is of no use: {errno}"));
            1
        }
    }
}

/// [`run`] over any [`Link`], as the first process of the system or as one of many.
#[must_use]
pub fn serve<L: Link>(link: L, own: Own, privileges: Privileges, role: Role) -> i32 {
    let served = prepare().and_then(|()| {
        let mut agent = Agent::new(link, own, privileges, role)?;
        agent.run()?;
        agent.close_after_shutdown();
        Ok(())
    });
    match served {
        Ok(()) => 0,
        Err(errno) => {
            log(&format!("the agent cannot work: {errno}"));
            1
        }
    }
}

fn prepare() -> Result<(), Errno> {
    // A child shares the agent's memory until it executes; no process of its user may look into it meanwhile.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    umask(Mode::from_raw_mode(UMASK));
    chdir("/")
}
