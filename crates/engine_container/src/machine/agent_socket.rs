//! The agent's socket `agent.sock` in the machine's directory: bound by the service, listened on by the agent.
//!
//! Paths of unix sockets end at 107 bytes, so both go by way of a descriptor of the directory.

use std::{
    os::fd::{AsRawFd, BorrowedFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{Mode, OFlags, open},
    io::Errno,
    net::{
        AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, socket_with,
        sockopt::socket_peercred,
    },
};

use crate::failure::{Attempt, StepError};

/// Its name.
pub(crate) const NAME: &str = "agent.sock";

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

/// Connects to the agent, which must be the process `pid`. Does not block; the stream it answers does.
pub(crate) fn connect_to(directory: BorrowedFd<'_>, pid: i32) -> Result<OwnedFd, StepError> {
    let step = "connecting to the agent";
    let socket = stream(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
    address(directory)
        .and_then(|address| connect(&socket, &address))
        .step(step)?;
    // The kernel noted who listened.
    let peer = socket_peercred(&socket).step(step)?;
    if peer.pid.as_raw_nonzero().get() != pid {
        return Err(StepError::new(
            "finding the container's pid 1 behind the agent's socket",
            Errno::CONNREFUSED,
        ));
    }
    rustix::io::ioctl_fionbio(&socket, false).step(step)?;
    Ok(socket)
}

fn stream(flags: SocketFlags) -> Result<OwnedFd, StepError> {
    socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).step("making a socket")
}

fn address(directory: BorrowedFd<'_>) -> Result<SocketAddrUnix, Errno> {
    SocketAddrUnix::new(format!("/proc/self/fd/{}/{NAME}", directory.as_raw_fd()))
}
