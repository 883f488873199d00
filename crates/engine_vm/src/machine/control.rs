//! Asking a worker.

use std::{
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd},
    path::Path,
    time::Duration,
};

use hcs_schema::{Failure, HResult};
use hcs_wire::{errno::words, peer::Peer, proof};
use rustix::{
    fs::{FileType, Mode, OFlags, fstat, open, openat},
    io::Errno,
    net::{
        AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, socket_with,
        sockopt::{Timeout, set_socket_timeout},
    },
    process::Pid,
};

use crate::{
    protocol::{self, SOCKET, WorkerAnswer, WorkerRequest},
    record::Record,
};

/// How long a worker may take for one request. It gives QEMU less.
const LIMIT: Duration = Duration::from_secs(10);

/// The way to a worker.
#[derive(Debug)]
pub(crate) struct Control {
    /// The machine's directory: paths of unix sockets end at 107 bytes, so its socket is reached by this.
    directory: OwnedFd,
    /// The worker's pid.
    worker: i32,
    /// Whether it wants a proof of who connects.
    wants_proof: bool,
    /// Whether it tells when the guest agent dials.
    tells_of_agent: bool,
}

/// A request that was made, and not answered yet.
#[derive(Debug)]
pub(super) struct Asked(OwnedFd);

impl Asked {
    /// Waits for the answer, and for the stream that it may have.
    pub(super) fn answer(self) -> Result<(WorkerAnswer, Option<OwnedFd>), Failure> {
        let answer = protocol::receive::<WorkerAnswer>(self.0.as_fd(), LIMIT);
        answer.map_err(|e| failed("asking its worker", e))
    }
}

impl Control {
    /// That of the worker of this record.
    pub(super) fn new(directory: &Path, record: &Record) -> Result<Self, Failure> {
        let directory =
            open_directory(directory).map_err(|e| failed("finding its directory", e))?;
        Ok(Self {
            directory,
            worker: record.worker.pid,
            wants_proof: record.proof,
            tells_of_agent: record.tells_of_agent,
        })
    }

    /// That of a worker that is this process.
    #[cfg(test)]
    pub(super) fn of_own(directory: &Path, tells_of_agent: bool) -> Self {
        Self {
            directory: open_directory(directory).unwrap(),
            worker: rustix::process::getpid().as_raw_pid(),
            wants_proof: false,
            tells_of_agent,
        }
    }

    /// Asks and waits for the answer. The worker takes one request after the other.
    pub(super) fn ask(&self, request: &WorkerRequest) -> Result<WorkerAnswer, Failure> {
        self.exchange(request, None).map(|(answer, _)| answer)
    }

    /// The same for a request that a file comes along with.
    pub(super) fn ask_with(
        &self,
        request: &WorkerRequest,
        file: &OwnedFd,
    ) -> Result<WorkerAnswer, Failure> {
        self.exchange(request, Some(file.as_fd()))
            .map(|(answer, _)| answer)
    }

    /// The same for a request whose answer may have a stream.
    pub(super) fn ask_for(
        &self,
        request: &WorkerRequest,
    ) -> Result<(WorkerAnswer, Option<OwnedFd>), Failure> {
        self.exchange(request, None)
    }

    /// Waits until the guest agent has dialled, at most for `limit`; returns whether the worker has said so. `None`
    /// where it does not tell.
    pub(super) fn await_agent(&self, limit: Duration) -> Result<Option<bool>, Failure> {
        if !self.tells_of_agent {
            return Ok(None);
        }
        let Asked(socket) = self.begin(&WorkerRequest::AwaitAgent, None)?;
        match protocol::receive::<WorkerAnswer>(socket.as_fd(), limit) {
            Ok(_) => Ok(Some(true)),
            Err(Errno::TIMEDOUT) => Ok(Some(false)),
            Err(errno) => Err(failed("asking its worker", errno)),
        }
    }

    /// Asks without waiting for the answer, so that several requests are made side by side.
    pub(super) fn begin(
        &self,
        request: &WorkerRequest,
        file: Option<BorrowedFd<'_>>,
    ) -> Result<Asked, Failure> {
        let socket = self
            .connect()
            .map_err(|e| failed("connecting to its worker", e))?;
        protocol::send(socket.as_fd(), request, file)
            .map_err(|e| failed("asking its worker", e))?;
        Ok(Asked(socket))
    }

    fn exchange(
        &self,
        request: &WorkerRequest,
        file: Option<BorrowedFd<'_>>,
    ) -> Result<(WorkerAnswer, Option<OwnedFd>), Failure> {
        self.begin(request, file)?.answer()
    }

    fn connect(&self) -> Result<OwnedFd, Errno> {
        let socket = socket()?;
        set_socket_timeout(&socket, Timeout::Send, Some(LIMIT))?;
        connect(&socket, &address(&self.directory)?)?;
        // The kernel noted who listened.
        let process = Peer::of(&socket)?.process;
        let worker = process.filter(|process| *process == self.worker);
        let worker = worker.and_then(Pid::from_raw).ok_or(Errno::CONNREFUSED)?;
        if self.wants_proof {
            proof::send(&socket, worker)?;
        }
        Ok(socket)
    }
}

/// Whether the process `worker` listens at the socket in the directory of a machine: the kernel has noted who does.
/// Waits up to [`LIMIT`] where many calls wait there.
///
/// # Errors
/// It cannot be told for now: too many calls wait there, say.
pub(super) fn is_listened_at(directory: &Path, worker: i32) -> Result<bool, Failure> {
    let unknown = |errno| failed("looking who listens at its socket", errno);
    let looked = open_directory(directory).and_then(|directory| {
        // A link would lead to the socket of another machine.
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&directory, SOCKET, flags, Mode::empty())?;
        if FileType::from_raw_mode(fstat(&file)?.st_mode) != FileType::Socket {
            return Ok(false);
        }
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        set_socket_timeout(&socket, Timeout::Send, Some(LIMIT))?;
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        connect(&socket, &SocketAddrUnix::new(path)?)?;
        Ok(Peer::of(&socket)?.process == Some(worker))
    });
    match looked {
        Err(Errno::NOENT | Errno::CONNREFUSED | Errno::PROTOTYPE) => Ok(false),
        looked => looked.map_err(unknown),
    }
}

/// Makes the worker's socket in a machine's directory. The worker listens on it, so that the kernel can name it.
pub(crate) fn bind_in(directory: &Path) -> Result<OwnedFd, Errno> {
    let directory = open_directory(directory)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    bind(&socket, &address(&directory)?)?;
    Ok(socket)
}

fn socket() -> Result<OwnedFd, Errno> {
    socket_with(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
}

fn open_directory(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    open(path, flags, Mode::empty())
}

fn address(directory: &OwnedFd) -> Result<SocketAddrUnix, Errno> {
    SocketAddrUnix::new(format!("/proc/self/fd/{}/{SOCKET}", directory.as_raw_fd()))
}

fn failed(step: &'static str, errno: Errno) -> Failure {
    let hresult = match errno {
        Errno::CONNREFUSED | Errno::CONNRESET | Errno::PIPE => HResult::HCS_E_CONNECTION_CLOSED,
        Errno::TIMEDOUT | Errno::AGAIN => HResult::HCS_E_CONNECTION_TIMEOUT,
        other => hcs_wire::errno::hresult(other),
    };
    Failure::new(hresult, format!("{step}: {}", words(errno)))
}
