//! The launcher's own side: wait for a request, clone, answer.

use std::{
    any::Any,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    panic::{AssertUnwindSafe, catch_unwind},
    process::exit,
};

use hcs_schema::privileges::Capabilities;
use rustix::{
    fs::Uid,
    io::Errno,
    net::{AddressFamily, SocketType, sockopt},
    process::{DumpableBehavior, geteuid, set_dumpable_behavior},
    thread::{CapabilitiesSecureBits, set_capabilities_secure_bits, set_thread_res_uid},
};

use super::protocol::{self, Child, LauncherAnswer, LauncherRequest};
use crate::{
    child::{self, AgentEntry, Usual},
    failure::{Attempt, StepError},
    parts::{open_files, seccomp},
    sys::{
        clone::{self, Cloned},
        descriptors, process,
    },
};

/// The launcher has its socket as standard input, and the other standard descriptors.
const FIRST_UNUSED: u32 = 3;

/// Exit code of a launcher that met an error, and of a child that could not be made.
const FAILED: i32 = 70;

/// Runs the launcher and never returns, when the calling process was started as one; returns at once otherwise.
///
/// Must come first in `main`, before there are threads.
pub fn main_if_launcher(agent: AgentEntry) {
    let named = std::env::args_os()
        .next()
        .is_some_and(|name| name.as_bytes() == super::NAME.as_bytes());
    if !named || !stdin_is_launcher_socket() {
        return;
    }
    let socket = descriptors::take_stdin();
    match serve(&socket, agent) {
        Ok(()) => exit(0),
        Err(_) => exit(FAILED),
    }
}

/// Only the service makes such a standard input.
fn stdin_is_launcher_socket() -> bool {
    let stdin = rustix::stdio::stdin();
    sockopt::socket_domain(stdin) == Ok(AddressFamily::UNIX)
        && sockopt::socket_type(stdin) == Ok(SocketType::SEQPACKET)
}

/// Serves requests until the service is gone.
fn serve(socket: &OwnedFd, agent: AgentEntry) -> Result<(), StepError> {
    let filter = prepare()?;
    let step = "serving";
    let mut next = protocol::receive_request(socket.as_fd()).step(step)?;
    // The service has given this process its limit by now.
    let usual = Usual {
        filter,
        open_files: open_files::raise(),
    };
    while let Some(request) = next {
        let answer = obey(request, &usual, agent);
        protocol::send_answer(socket.as_fd(), answer.as_ref().map_err(|errno| *errno))
            .step(step)?;
        next = protocol::receive_request(socket.as_fd()).step(step)?;
    }
    Ok(())
}

/// Clones the child; has let go of its end of the channel then, as the channel has to end with the child.
fn obey(
    request: LauncherRequest,
    usual: &Usual,
    agent: AgentEntry,
) -> Result<LauncherAnswer, Errno> {
    match clone_child(&request.child)? {
        Cloned::Child => run_child(request, usual, agent),
        Cloned::Parent { pid, pidfd } => Ok(LauncherAnswer { pid, pidfd }),
    }
}

/// Does once what is the same for all containers, so that they inherit it; answers the usual system call filter.
fn prepare() -> Result<Vec<libc::sock_filter>, StepError> {
    // The service marks its own descriptors close-on-exec; who started the service may not have.
    descriptors::close_from(FIRST_UNUSED).step("closing inherited descriptors")?;
    process::default_signals().step("resetting signals")?;
    process::ignore_children(true).step("ignoring children")?;
    rustix::thread::set_name(c"hcsd-launcher").step("naming the launcher")?;
    let filter = seccomp::program(Capabilities::USUAL);
    process::trim_heap();
    Ok(filter)
}

fn clone_child(child: &Child<OwnedFd>) -> Result<Cloned, Errno> {
    match child {
        Child::Job { new_user } => {
            let user = if *new_user { libc::CLONE_NEWUSER } else { 0 };
            clone::clone_into(user, None)
        }
        Child::Container {
            new_network,
            owner,
            cgroup,
            ..
        } => {
            let network = if *new_network { libc::CLONE_NEWNET } else { 0 };
            // Its mount namespace it makes itself: a parked child shall neither see the mounts of yesterday nor keep
            // them from being unmounted.
            let others = libc::CLONE_NEWPID | libc::CLONE_NEWUTS | libc::CLONE_NEWIPC;
            let cgroup = cgroup.as_ref().map(AsFd::as_fd);
            let Some(owner) = owner else {
                return clone::clone_into(network | others, cgroup);
            };
            as_user(*owner, || {
                clone::clone_into(libc::CLONE_NEWUSER | network | others, cgroup)
            })
        }
    }
}

/// Clones as the user `owner`, whose the new user namespace is then, with all capabilities that the launcher has. An
/// ordinary user's launcher is that user already.
fn as_user(owner: u32, clone: impl FnOnce() -> Result<Cloned, Errno>) -> Result<Cloned, Errno> {
    if geteuid().as_raw() == owner {
        return clone();
    }
    let become_user = |user| {
        set_thread_res_uid(Uid::ROOT, user, Uid::ROOT)?;
        // Which the kernel takes away at each such change; the child needs its own files in /proc.
        set_dumpable_behavior(DumpableBehavior::Dumpable)
    };
    set_capabilities_secure_bits(CapabilitiesSecureBits::NO_SETUID_FIXUP)?;
    become_user(Uid::from_raw(owner))?;
    let cloned = clone();
    if matches!(cloned, Ok(Cloned::Child)) {
        // In its namespace it has begun anew: no such bits, all capabilities.
        return cloned;
    }
    become_user(Uid::ROOT)?;
    set_capabilities_secure_bits(CapabilitiesSecureBits::empty())?;
    cloned
}

/// The child's whole life. It must not return into the launcher's loop, by a panic neither.
fn run_child(request: LauncherRequest, usual: &Usual, agent: AgentEntry) -> ! {
    let life = AssertUnwindSafe(|| match request.child {
        Child::Job { .. } => child::job::run(&request.channel),
        Child::Container { tasks, cgroup, .. } => {
            // It was for the clone, and leads to a directory of the host.
            drop(cgroup);
            child::run(request.channel, tasks, usual, agent)
        }
    });
    let code: Result<i32, Box<dyn Any + Send>> = catch_unwind(life);
    exit(code.unwrap_or(FAILED))
}
