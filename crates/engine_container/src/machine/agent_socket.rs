//! The agent's socket `agent.sock` in the machine's directory: bound by the service, listened on by the agent.
//!
//! Paths of unix sockets end at 107 bytes, so both go by way of a descriptor of the directory.
//!
//! An agent may be stopped, or not get its turn for long; what services that came and went have left in its queue may
//! fill that. So connecting waits.

use std::{
    os::fd::{AsRawFd, BorrowedFd, OwnedFd},
    path::Path,
    thread::sleep,
    time::{Duration, Instant},
};

use hcs_wire::{peer::Peer, proof};
use rustix::{
    fs::{Mode, OFlags, open},
    io::Errno,
    net::{
        AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, socket_with,
        sockopt::{Timeout, set_socket_timeout},
    },
    process::Pid,
};

use crate::failure::{Attempt, StepError};

/// Its name.
pub(crate) const NAME: &str = "agent.sock";

/// The step that looks who listens.
const FINDING: &str = "finding the container's pid 1 behind the agent's socket";
/// How often it is looked whether the agent listens by now.
const LOOK: Duration = Duration::from_millis(10);

/// The step that proves to the agent who connects.
const PROVING: &str = "proving to the agent who connects";

/// A descriptor of the machine's directory.
pub(crate) fn open_directory(path: &Path) -> Result<OwnedFd, StepError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    open(path, flags, Mode::empty()).step_at("opening", path.display().to_string())
}

/// Makes the socket, not yet listening. A connection is refused until the agent listens.
pub(crate) fn bind_in(directory: BorrowedFd<'_>) -> Result<OwnedFd, StepError> {
    let socket = stream(SocketFlags::CLOEXEC)?;
    address(directory)
        .and_then(|address| bind(&socket, &address))
        .step("making the agent's socket")?;
    Ok(socket)
}

/// Whether a process listens there; a full queue is one as well. Does not block.
pub(crate) fn is_listened_on(directory: BorrowedFd<'_>) -> Result<bool, StepError> {
    let socket = stream(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
    let connected = address(directory).and_then(|address| connect(&socket, &address));
    match connected {
        Ok(()) | Err(Errno::AGAIN) => Ok(true),
        Err(Errno::CONNREFUSED) => Ok(false),
        Err(errno) => Err(StepError::new("looking for the agent", errno)),
    }
}

/// Connects to the agent, which must be the process `pid`, and blocks for at most `limit` while its queue is full.
/// Proves to it who connects, if it wants that. The stream it answers blocks.
///
/// Others who connect may have the agent hang this caller up before it has read the proof. That is tried once more.
pub(crate) fn connect_to(
    directory: BorrowedFd<'_>,
    pid: i32,
    wants_proof: bool,
    limit: Duration,
) -> Result<OwnedFd, StepError> {
    match connect_once(directory, pid, wants_proof, limit) {
        Err(failed) if failed.step == PROVING && is_hung_up(failed.errno) => {
            connect_once(directory, pid, wants_proof, limit)
        }
        answer => answer,
    }
}

/// Whether it is the process `pid` that listens there: the kernel has noted who does. One that is about to listen is
/// waited for, for `limit`, and so is room in its queue.
///
/// # Errors
/// It cannot be told for now.
pub(crate) fn is_of(
    directory: BorrowedFd<'_>,
    pid: i32,
    limit: Duration,
) -> Result<bool, StepError> {
    let end = Instant::now() + limit;
    loop {
        match connect_once(directory, pid, false, limit) {
            Ok(_) => return Ok(true),
            Err(error) if error.step == FINDING || error.errno == Errno::NOENT => return Ok(false),
            Err(error) if error.errno != Errno::CONNREFUSED => return Err(error),
            // A container whose mounts take long: its agent is still to come.
            Err(_) if Instant::now() >= end => {
                let step = "waiting for the agent to listen";
                return Err(StepError::new(step, Errno::TIMEDOUT));
            }
            Err(_) => sleep(LOOK),
        }
    }
}

fn is_hung_up(errno: Errno) -> bool {
    matches!(errno, Errno::PIPE | Errno::CONNRESET)
}

fn connect_once(
    directory: BorrowedFd<'_>,
    pid: i32,
    wants_proof: bool,
    limit: Duration,
) -> Result<OwnedFd, StepError> {
    let step = "connecting to the agent";
    let socket = stream(SocketFlags::CLOEXEC)?;
    // A limit of zero would be none.
    let limit = limit.max(Duration::from_millis(1));
    set_socket_timeout(&socket, Timeout::Send, Some(limit)).step(step)?;
    let address = address(directory).step(step)?;
    let connected = loop {
        match connect(&socket, &address) {
            Err(Errno::INTR) => {}
            // Not "try again" but "it took too long".
            Err(Errno::AGAIN) => break Err(Errno::TIMEDOUT),
            answer => break answer,
        }
    };
    connected.step(step)?;
    // The kernel noted who listened.
    let process = Peer::of(&socket).step(step)?.process;
    let agent = process.filter(|process| *process == pid);
    let agent = agent
        .and_then(Pid::from_raw)
        .ok_or_else(|| StepError::new(FINDING, Errno::CONNREFUSED))?;
    if wants_proof {
        proof::send(&socket, agent).step(PROVING)?;
    }
    set_socket_timeout(&socket, Timeout::Send, None).step(step)?;
    Ok(socket)
}

fn stream(flags: SocketFlags) -> Result<OwnedFd, StepError> {
    socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).step("making a socket")
}

fn address(directory: BorrowedFd<'_>) -> Result<SocketAddrUnix, Errno> {
    SocketAddrUnix::new(format!("/proc/self/fd/{}/{NAME}", directory.as_raw_fd()))
}
