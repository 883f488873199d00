//! Where the service listens, and the connecting to it.

use std::{
    env,
    ffi::OsStr,
    fs,
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use hcs_schema::{Failure, HResult};
use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType},
};

/// Names the service's socket.
pub const ENDPOINT_VARIABLE: &str = "HCS_ENDPOINT";

/// The socket a service listens on. Each has one connection per process, made when it is first needed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    path: Arc<Path>,
}

impl Endpoint {
    /// The service whose socket is at `path`.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into().into(),
        }
    }

    /// `$HCS_ENDPOINT`, else the system-wide socket for root, and for everybody else that of their private service: in
    /// `$XDG_RUNTIME_DIR`, else below `$HOME`, else in `/tmp` ([`hcs_wire::endpoint`]).
    ///
    /// # Errors
    /// `HCS_E_SERVICE_NOT_AVAILABLE` when somebody else could change what is found there.
    pub fn from_environment() -> Result<Self, Failure> {
        let set = |name| env::var_os(name).filter(|value| !value.is_empty());
        if let Some(path) = set(ENDPOINT_VARIABLE) {
            return Ok(Self::at(PathBuf::from(path)));
        }
        let user = rustix::process::geteuid().as_raw();
        let (runtime, home) = (set("XDG_RUNTIME_DIR"), set("HOME"));
        let path = hcs_wire::endpoint::default_for(
            user,
            runtime.as_deref().map(Path::new),
            home.as_deref().map(Path::new),
        );
        if user == 0 || hcs_wire::endpoint::is_private(&path, user) {
            return Ok(Self::at(path));
        }
        Err(Failure::new(
            HResult::HCS_E_SERVICE_NOT_AVAILABLE,
            format!(
                "the directory of {} belongs to somebody else than user {user}, or others can write to it, so what is \
                 found there cannot be trusted: set ${ENDPOINT_VARIABLE} to a socket elsewhere, or $XDG_RUNTIME_DIR",
                path.display()
            ),
        ))
    }

    /// The path of the socket.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A connected socket that does not block, close-on-exec. A service that is too busy to take the connection is
    /// waited for as long as `patience` says; then, or without it at once, `EAGAIN`.
    pub(crate) fn connect(&self, patience: Option<std::time::Duration>) -> Result<OwnedFd, Errno> {
        let mut flags = SocketFlags::CLOEXEC;
        flags.set(SocketFlags::NONBLOCK, patience.is_none());
        let (family, kind) = (AddressFamily::UNIX, SocketType::STREAM);
        let socket = rustix::net::socket_with(family, kind, flags, None)?;
        if patience.is_some() {
            let direction = rustix::net::sockopt::Timeout::Send;
            rustix::net::sockopt::set_socket_timeout(&socket, direction, patience)?;
        }
        let connect = |address: &SocketAddrUnix| {
            rustix::io::retry_on_intr(|| rustix::net::connect(&socket, address))
        };
        match SocketAddrUnix::new(self.path.as_os_str()) {
            Ok(address) => connect(&address)?,
            Err(Errno::NAMETOOLONG) => {
                let (_directory, short) = self.short_path()?;
                connect(&SocketAddrUnix::new(short)?)?;
            }
            Err(errno) => return Err(errno),
        }
        if patience.is_some() {
            rustix::io::ioctl_fionbio(&socket, true)?;
        }
        Ok(socket)
    }

    /// The failure of a call whose service did not answer in time, with what can be done about that.
    pub(crate) fn unanswered(&self) -> Failure {
        let path = self.path.display();
        let failure = Failure::new(
            HResult::HCS_E_OPERATION_TIMEOUT,
            format!("the host compute service at {path} did not answer in time"),
        );
        let socket = match self.connect(None) {
            Ok(socket) => socket,
            Err(Errno::AGAIN) => {
                return failure.cause("it takes no more connections: it is stopped, or very busy");
            }
            Err(_) => return failure.cause("it was still being started: give it more time"),
        };
        // Who listens; for a socket made beforehand that is whoever made it.
        match rustix::net::sockopt::socket_peercred(&socket) {
            Ok(peer) => failure.cause(advice(peer.pid.as_raw_nonzero().get())),
            Err(_) => failure,
        }
    }

    /// A short name for a path that does not fit into a socket address, valid while the descriptor is open.
    fn short_path(&self) -> Result<(OwnedFd, PathBuf), Errno> {
        use std::os::fd::AsRawFd as _;
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        let name = self.path.file_name().unwrap_or(OsStr::from_bytes(b""));
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(directory, flags, Mode::empty())?;
        let short = Path::new("/proc/self/fd")
            .join(opened.as_raw_fd().to_string())
            .join(name);
        Ok((opened, short))
    }
}

/// What to do about the process `pid` that listens and does not answer.
fn advice(pid: i32) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // Its name, before that, may have parentheses too.
    let state = status
        .rsplit_once(") ")
        .and_then(|(_, rest)| rest.chars().next());
    match state {
        Some('T' | 't') => format!("process {pid} is stopped: kill -CONT {pid} lets it go on"),
        _ => format!("process {pid} listens there: it hangs, or is very busy"),
    }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::net::UnixListener, time::Duration};

    use super::*;

    #[test]
    fn a_path_too_long_for_an_address_is_connected_to() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("d".repeat(120));
        fs::create_dir(&directory).unwrap();
        let endpoint = Endpoint::at(directory.join("hcs.sock"));
        assert_eq!(
            endpoint.connect(Some(Duration::from_secs(5))).unwrap_err(),
            Errno::NOENT
        );
        let (_directory, short) = endpoint.short_path().unwrap();
        let listener = UnixListener::bind(short).unwrap();
        endpoint.connect(Some(Duration::from_secs(5))).unwrap();
        listener.accept().unwrap();
    }

    #[test]
    fn who_does_not_answer_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let endpoint = Endpoint::at(folder.path().join("hcs.sock"));
        let absent = endpoint.unanswered();
        assert!(
            absent.causes[0].message.contains("being started"),
            "{absent:?}"
        );
        let _listener = UnixListener::bind(endpoint.path()).unwrap();
        let silent = endpoint.unanswered();
        assert_eq!(silent.hresult, HResult::HCS_E_OPERATION_TIMEOUT);
        let path = endpoint.path().display().to_string();
        assert!(silent.message.contains(&path), "{silent:?}");
        let who = format!("process {} listens there", std::process::id());
        assert!(silent.causes[0].message.starts_with(&who), "{silent:?}");
    }
}
