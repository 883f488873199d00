//! The processes between the service and `pasta`: executed from the service's sealed copy, with a socket to it as
//! standard input.

use std::{
    collections::VecDeque,
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    net::{Ipv4Addr, UdpSocket},
    os::{
        fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd},
        unix::{ffi::OsStrExt as _, process::CommandExt as _},
    },
    process::{Command, Stdio, exit},
    thread,
};

use hcs_schema::Failure;
use hcs_wire::socket;
use rustix::{
    event::{PollFd, PollFlags, poll},
    fs::{MemfdFlags, memfd_create, readlink},
    io::Errno,
    net::{AddressFamily, SocketType, sockopt},
    thread::{
        CapabilitySet, CapabilitySets, LinkNameSpaceType, move_into_link_name_space,
        set_capabilities,
    },
};

use super::{Order, READY, answer, receive_all};
use crate::{
    failure::{Attempt as _, StepError},
    sys::{descriptors, process},
};

/// What the processes call themselves in `argv[0]`.
pub(super) const FIRST: &str = "hcsd-outside";
const KEEPER: &str = "hcsd-outside-keeper";

const FAILED: i32 = 70;

/// A port of UDP at which nothing answers.
const DISCARD: u16 = 9;

/// The most of what `pasta` says that is told.
const MOST_SAID: u64 = 4 << 10;

/// Keeps what is for loopback inside of a network namespace.
pub type Guard = fn(BorrowedFd<'_>) -> Result<(), Failure>;

/// Does the work of one of these processes and never returns, when the calling process was started as one; returns at
/// once otherwise. Must come before there are threads.
pub fn main_if_keeper(guard: Guard) {
    let name = std::env::args_os().next().unwrap_or_default();
    let is = |wanted: &str| name.as_bytes() == wanted.as_bytes() && stdin_is_socket();
    if is(FIRST) {
        let stdin = rustix::stdio::stdin();
        let code = match enter(stdin) {
            Ok(()) => 0,
            Err(error) => {
                let _not_heard = socket::send_all(stdin, error.to_string().as_bytes(), &[]);
                FAILED
            }
        };
        exit(code);
    }
    if is(KEEPER) {
        exit(match keep(descriptors::take_stdin(), guard) {
            Ok(()) => 0,
            Err(_told) => FAILED,
        });
    }
}

/// Only the service makes such a standard input.
fn stdin_is_socket() -> bool {
    let stdin = rustix::stdio::stdin();
    sockopt::socket_domain(stdin) == Ok(AddressFamily::UNIX)
        && sockopt::socket_type(stdin) == Ok(SocketType::STREAM)
}

/// The first process: enters the user namespace that came with the first byte, and starts the keeper in a pid namespace
/// of its own.
fn enter(socket: BorrowedFd<'_>) -> Result<(), StepError> {
    let mut descriptors = VecDeque::new();
    socket::receive(socket, &mut [0], &mut descriptors).step("hearing of a user namespace")?;
    let user = descriptors.pop_front().ok_or(Errno::BADMSG);
    let user = user.step("hearing of a user namespace")?;
    move_into_link_name_space(user.as_fd(), Some(LinkNameSpaceType::User))
        .step("entering the container's user namespace")?;
    process::have_children_in_new_pid_namespace().step("making a pid namespace")?;
    Command::new("/proc/self/exe")
        .arg0(KEEPER)
        .env_clear()
        .stdin(Stdio::inherit())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .step("starting the keeper of pasta")
        .map(drop)
}

/// The keeper: starts `pasta`, answers, and stays until the container ends.
fn keep(socket: OwnedFd, guard: Guard) -> Result<(), StepError> {
    match start(socket.as_fd(), guard) {
        Ok((machine, network)) => {
            // A descriptor would keep the namespace; `pasta` has its own by now.
            drop(network);
            answer(socket, READY);
            let mut events = [PollFd::new(&machine, PollFlags::IN)];
            let waited = rustix::io::retry_on_intr(|| poll(&mut events, None));
            waited.step("waiting for the container's end").map(drop)
        }
        Err((error, said)) => {
            let said = said.unwrap_or_else(|| error.to_string());
            answer(socket, &said);
            Err(error)
        }
    }
}

/// A failure, and what `pasta` said of it.
type Told = (StepError, Option<String>);

fn start(socket: BorrowedFd<'_>, guard: Guard) -> Result<(OwnedFd, OwnedFd), Told> {
    let quiet = |error: StepError| (error, None);
    let step = "hearing of a container";
    let (order, mut descriptors) = receive_all(socket).step(step).map_err(quiet)?;
    let order: Result<Order, Errno> = serde_json::from_slice(&order).map_err(|_| Errno::BADMSG);
    let order = order.step(step).map_err(quiet)?;
    let network = descriptors.pop_front().zip(descriptors.pop_front());
    let (network, machine) = network.ok_or(Errno::BADMSG).step(step).map_err(quiet)?;
    let voice = socket_in(network.as_fd()).map_err(quiet)?;
    // A socket that is bound to the link sends what is for 127.0.0.0/8 there. Releases of 2023 take that to loopback of
    // the host.
    guard(network.as_fd()).map_err(|failure| {
        let error = StepError::new("keeping loopback of the container inside", Errno::IO);
        (error, Some(failure.message))
    })?;
    // What has more power than `pasta` keeps its files to itself; this process needs none, and `pasta` gets its own as
    // root of the namespace.
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, none)
        .step("giving up capabilities")
        .map_err(quiet)?;
    run(&order, &network)?;
    // Releases of 2023 learn the hardware address of a container when it first sends something, and until then lead no
    // connection to it. This is sent to none: `pasta` may not pass it on.
    let _as_far_as_it_goes = voice.send_to(&[], (Ipv4Addr::BROADCAST, DISCARD));
    Ok((machine, network))
}

/// A socket in the container's network. A thread of its own goes there.
fn socket_in(network: BorrowedFd<'_>) -> Result<UdpSocket, StepError> {
    let step = "making a socket in the container's network";
    let open = || {
        move_into_link_name_space(network, Some(LinkNameSpaceType::Network)).step(step)?;
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).step(step)?;
        socket.set_broadcast(true).step(step)?;
        Ok(socket)
    };
    let joined = thread::scope(|scope| scope.spawn(open).join());
    joined.unwrap_or_else(|_panic| Err(StepError::new(step, Errno::IO)))
}

/// Runs `pasta`, which goes into the background when all is set up.
fn run(order: &Order, network: &OwnedFd) -> Result<(), Told> {
    let step = "running pasta";
    let quiet = |error: StepError| (error, None);
    let said = memfd_create("pasta", MemfdFlags::CLOEXEC).step(step);
    let mut said = File::from(said.map_err(quiet)?);
    let own = readlink("/proc/self", Vec::new()).step(step);
    let own = own.map_err(quiet)?.to_string_lossy().into_owned();
    let status = Command::new(&order.program)
        .args(&order.arguments)
        .arg("--netns")
        .arg(format!("/proc/{own}/fd/{}", network.as_raw_fd()))
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(said.try_clone().step(step).map_err(quiet)?)
        .status();
    if status
        .step_at("executing", &*order.program)
        .map_err(quiet)?
        .success()
    {
        return Ok(());
    }
    let mut text = String::new();
    let _as_far_as_it_goes = said
        .seek(SeekFrom::Start(0))
        .and_then(|_| (&said).take(MOST_SAID).read_to_string(&mut text));
    Err((StepError::new(step, Errno::CHILD), reason(&text)))
}

/// The last thing that `pasta` said of what is wrong.
fn reason(said: &str) -> Option<String> {
    let mut lines = said.lines().map(str::trim);
    let about = |line: &&str| !line.is_empty() && !line.contains("syslog");
    lines.rfind(about).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_that_says_something_is_told() {
        let said = "Failed to send 46 bytes to syslog\nNo external routable interface for IPv6\n\
                    Couldn't open network namespace\nFailed to send 9 bytes to syslog\n\n";
        assert_eq!(
            reason(said).as_deref(),
            Some("Couldn't open network namespace")
        );
        assert_eq!(reason("\n"), None);
    }
}
