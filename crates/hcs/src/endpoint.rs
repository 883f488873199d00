//! Where the service listens, and the connecting to it.

use std::{
    ffi::OsString,
    fs,
    os::{
        fd::{AsFd as _, AsRawFd as _, OwnedFd},
        unix::ffi::OsStringExt as _,
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use hcs_schema::{Failure, HResult};
use hcs_wire::{
    environment::{is_root, variable},
    peer::{Peer, Whereabouts, is_dying},
    trust::{Reason, Trusted},
    written,
};
use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType},
    process::geteuid,
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

    /// `$HCS_ENDPOINT`. Without it, root gets the system-wide socket. Any other user gets the socket of a private
    /// service: in `$XDG_RUNTIME_DIR`, else below `$HOME`, else in `/tmp` ([`hcs_wire::endpoint`]).
    ///
    /// A program that runs with more rights than its caller (set-user-ID, set-group-ID, file capabilities) takes none
    /// of these variables: the socket is the system-wide one, or that in `/tmp`.
    ///
    /// # Errors
    /// `HCS_E_SERVICE_NOT_AVAILABLE` when another user could change the directory of that socket.
    pub fn from_environment() -> Result<Self, Failure> {
        if let Some(path) = variable(ENDPOINT_VARIABLE) {
            return Ok(Self::at(PathBuf::from(path)));
        }
        let user = (geteuid().as_raw(), is_root());
        let (runtime, home) = (variable("XDG_RUNTIME_DIR"), variable("HOME"));
        let path = hcs_wire::endpoint::default_for(
            user,
            runtime.as_deref().map(Path::new),
            home.as_deref().map(Path::new),
        );
        if is_root() {
            return Ok(Self::at(path));
        }
        match hcs_wire::endpoint::check(&path, Trusted::of_process()) {
            Ok(()) => Ok(Self::at(path)),
            Err(untrusted) => Err(Failure::new(
                HResult::HCS_E_SERVICE_NOT_AVAILABLE,
                format!(
                    "what is found at {} cannot be relied on, since {}: mend that directory, or set ${ENDPOINT_VARIABLE} to a \
                     socket elsewhere",
                    path.display(),
                    match untrusted.reason {
                        Reason::Owner { .. } | Reason::Writable { .. } => "other users could change it",
                        Reason::Kind | Reason::Io(_) =>
                            "it could not be found out whether other users could change it",
                    }
                ),
            )
            .cause(untrusted.to_string())),
        }
    }

    /// The directory in which its service keeps systems' directories, and sockets that stand for pipes of documents.
    #[must_use]
    pub fn state_root(&self) -> PathBuf {
        // By the name that the service has. The path itself stays as it was given: a service that is started looks at
        // its links.
        hcs_wire::endpoint::state_root(&hcs_wire::endpoint::canonical(&self.path))
    }

    /// The path of the socket.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a service listens there. None is started, but by a service manager that listens for it.
    ///
    /// # Errors
    /// A process of another user listens there, or the socket cannot be looked at.
    pub fn is_served(&self) -> Result<bool, Failure> {
        match self.connect(None) {
            Ok(_) | Err(Unreached::Errno(Errno::AGAIN)) => Ok(true),
            Err(Unreached::Errno(Errno::NOENT | Errno::CONNREFUSED)) => Ok(false),
            Err(Unreached::Errno(errno)) => Err(Failure::new(
                HResult::HCS_E_SERVICE_NOT_AVAILABLE,
                format!("{} cannot be looked at", self.path.display()),
            )
            .because(&errno)),
            Err(Unreached::Stranger(failure)) => Err(failure),
        }
    }

    /// A connected socket that does not block, close-on-exec. A service that is too busy to take the connection is
    /// waited for as long as `patience` says; then, or without it at once, `EAGAIN`.
    ///
    /// # Errors
    /// Nothing is sent to a listener that is neither root's nor this user's.
    pub(crate) fn connect(
        &self,
        patience: Option<std::time::Duration>,
    ) -> Result<OwnedFd, Unreached> {
        let mut flags = SocketFlags::CLOEXEC;
        flags.set(SocketFlags::NONBLOCK, patience.is_none());
        let (family, kind) = (AddressFamily::UNIX, SocketType::STREAM);
        let socket = rustix::net::socket_with(family, kind, flags, None)?;
        if patience.is_some() {
            let direction = rustix::net::sockopt::Timeout::Send;
            rustix::net::sockopt::set_socket_timeout(&socket, direction, patience)?;
        }
        // What is connected to is what is looked at afterwards, whatever takes its name meanwhile.
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let found = rustix::fs::open(&*self.path, flags, Mode::empty())?;
        let connect = |path: &Path| {
            let address = SocketAddrUnix::new(path)?;
            rustix::io::retry_on_intr(|| rustix::net::connect(&socket, &address))
        };
        match connect(&by_descriptor(&found)) {
            // No /proc is here.
            Err(Errno::NOENT) => connect(&self.path)?,
            connected => connected?,
        }
        if patience.is_some() {
            rustix::io::ioctl_fionbio(&socket, true)?;
        }
        self.know(&socket, &found)?;
        Ok(socket)
    }

    /// Checks that the listener is root or the user of this program, before any byte is sent to it. The credentials are
    /// those of the process that called `listen(2)`, so a socket that systemd made is root's.
    fn know(&self, socket: &OwnedFd, found: &OwnedFd) -> Result<(), Unreached> {
        let peer = Peer::of(socket)?;
        let (listener, own) = (peer.user, geteuid().as_raw());
        if listener == 0 || listener == own {
            // What was killed and cannot end still has the socket; another service takes the place of that.
            return match peer.process.is_some_and(is_dying) {
                true => Err(Errno::CONNREFUSED.into()),
                false => self.is_outside(socket, found, peer),
            };
        }
        let expected = match own {
            0 => "root".to_owned(),
            own => format!("root or user {own}"),
        };
        let path = self.path.display();
        let process = match peer.process {
            Some(pid) => format!("process {pid} of user {listener}"),
            None => format!("a process of user {listener}"),
        };
        Err(Unreached::Stranger(
            Failure::new(
                HResult::HCS_E_ACCESS_DENIED,
                format!("the service at {path} belongs to user {listener}, so nothing was sent to it"),
            )
            .cause(format!(
                "{process} listens there; expected one of {expected}: unset ${ENDPOINT_VARIABLE} for a \
                 service of your own, name another socket by it, or run this program as user {listener}"
            )),
        ))
    }

    /// Checks that the listener is no process of a container which has the socket's directory mapped. A service that
    /// runs in a container has its socket in a directory without the mark of containers of this host ([`written`]).
    fn is_outside(&self, socket: &OwnedFd, found: &OwnedFd, peer: Peer) -> Result<(), Unreached> {
        let whereabouts = Whereabouts::of(socket.as_fd());
        if matches!(whereabouts, Whereabouts::Here | Whereabouts::Elsewhere) {
            return Ok(());
        }
        if !written::is_within(self.directory_of(found)?.as_fd())? {
            return Ok(());
        }
        let path = self.path.display();
        let process = match peer.process {
            Some(pid) if whereabouts == Whereabouts::Below => {
                format!("process {pid}, which is in a container,")
            }
            _ => "a process that has ended".to_owned(),
        };
        Err(Unreached::Stranger(
            Failure::new(
                HResult::HCS_E_ACCESS_DENIED,
                format!("what listens at {path} may be in a container, so nothing was sent to it"),
            )
            .cause(format!(
                "{process} listens there, in a directory that containers may write to: name a socket elsewhere by \
                 {ENDPOINT_VARIABLE}; for a service that runs in a container, put its socket into a directory that no \
                 container has mapped writable"
            )),
        ))
    }

    /// The failure of a call whose caller may not connect to the socket, with advice for the user.
    pub(crate) fn denied(&self, errno: Errno) -> Failure {
        use std::os::unix::fs::MetadataExt as _;
        let (path, user) = (self.path.display(), geteuid().as_raw());
        let failure = Failure::new(
            HResult::HCS_E_ACCESS_DENIED,
            format!(
                "user {user} may not connect to the host compute service at {path}: unset {ENDPOINT_VARIABLE} for a \
                 service of user {user}, run the program as the owner of the socket, or set socket_group in that \
                 service's hcsd.toml to a group of user {user}"
            ),
        );
        match fs::symlink_metadata(&self.path) {
            Ok(found) => failure.cause(format!(
                "{errno}: the socket has owner {}, group {} and mode {:04o}",
                found.uid(),
                found.gid(),
                found.mode() & 0o7777
            )),
            // A directory above it is closed.
            Err(_) => failure.cause(errno.to_string()),
        }
    }

    /// The failure of a call whose service did not answer in time, with advice for the user.
    pub(crate) fn unanswered(&self) -> Failure {
        let path = self.path.display();
        let failure = Failure::new(
            HResult::HCS_E_OPERATION_TIMEOUT,
            format!("the host compute service at {path} did not answer in time"),
        );
        let socket = match self.connect(None) {
            Ok(socket) => socket,
            Err(Unreached::Errno(Errno::AGAIN)) => {
                return failure.cause("it takes no more connections: it is stopped, or very busy");
            }
            Err(_) => return failure.cause("it was still being started: give it more time"),
        };
        // The process that listens; for a socket made beforehand, the process that made it.
        match Peer::of(&socket) {
            Ok(Peer {
                process: Some(pid), ..
            }) => failure.cause(advice(pid)),
            _ => failure,
        }
    }

    /// The directory that has the socket `found`, a descriptor of it. Its path cannot tell: a container that has a
    /// directory above mapped may put a link in its place at any moment.
    ///
    /// # Errors
    /// `ENOENT` or `ECONNREFUSED` where the socket has been removed or moved meanwhile.
    fn directory_of(&self, found: &OwnedFd) -> Result<OwnedFd, Errno> {
        let path = match rustix::fs::readlink(by_descriptor(found), Vec::new()) {
            Ok(path) => PathBuf::from(OsString::from_vec(path.into_bytes())),
            Err(Errno::NOENT) => self.path.to_path_buf(),
            Err(errno) => return Err(errno),
        };
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let above = match path.parent() {
            Some(above) if above.as_os_str().is_empty() => Path::new("."),
            Some(above) => above,
            None => return Err(Errno::CONNREFUSED),
        };
        let directory = rustix::fs::open(above, flags | OFlags::DIRECTORY, Mode::empty())?;
        let name = path.file_name().ok_or(Errno::CONNREFUSED)?;
        let there = rustix::fs::openat(&directory, name, flags | OFlags::NOFOLLOW, Mode::empty());
        let (there, found) = (rustix::fs::fstat(there?)?, rustix::fs::fstat(found)?);
        match (there.st_dev, there.st_ino) == (found.st_dev, found.st_ino) {
            true => Ok(directory),
            false => Err(Errno::CONNREFUSED),
        }
    }
}

/// A name of what `descriptor` is of, valid while that is open.
fn by_descriptor(descriptor: &OwnedFd) -> PathBuf {
    Path::new("/proc/self/fd").join(descriptor.as_raw_fd().to_string())
}

/// Why there is no socket.
#[derive(Debug)]
pub(crate) enum Unreached {
    /// The error of the kernel.
    Errno(Errno),
    /// Another user listens.
    Stranger(Failure),
}

impl From<Errno> for Unreached {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

/// Advice on the process `pid`, which listens and does not answer.
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
        let absent = endpoint.connect(Some(Duration::from_secs(5))).unwrap_err();
        assert!(
            matches!(absent, Unreached::Errno(Errno::NOENT)),
            "{absent:?}"
        );
        let opened = OwnedFd::from(fs::File::open(&directory).unwrap());
        let short = by_descriptor(&opened).join("hcs.sock");
        let listener = UnixListener::bind(short).unwrap();
        endpoint.connect(Some(Duration::from_secs(5))).unwrap();
        listener.accept().unwrap();
    }

    #[test]
    fn the_directory_is_that_of_the_socket_and_not_of_its_name() {
        let root = tempfile::tempdir().unwrap();
        let (real, other) = (root.path().join("real"), root.path().join("other"));
        for directory in [&real, &other] {
            fs::create_dir(directory).unwrap();
        }
        let _listener = UnixListener::bind(real.join("hcs.sock")).unwrap();
        let named = root.path().join("named");
        std::os::unix::fs::symlink(real.join("hcs.sock"), &named).unwrap();
        let endpoint = Endpoint::at(&named);
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let found = rustix::fs::open(endpoint.path(), flags, Mode::empty()).unwrap();
        let number = |path: &Path| rustix::fs::stat(path).unwrap().st_ino;
        let directory = endpoint.directory_of(&found).unwrap();
        assert_eq!(
            rustix::fs::fstat(&directory).unwrap().st_ino,
            number(&real),
            "a link leads to the directory of the socket"
        );
        // A container exchanges the directory for a link, after the connection was made.
        fs::rename(&real, root.path().join("moved")).unwrap();
        std::os::unix::fs::symlink(&other, &real).unwrap();
        let directory = endpoint.directory_of(&found).unwrap();
        assert_eq!(
            rustix::fs::fstat(&directory).unwrap().st_ino,
            number(&root.path().join("moved"))
        );
        fs::remove_file(root.path().join("moved/hcs.sock")).unwrap();
        let gone = endpoint.directory_of(&found).unwrap_err();
        assert!(matches!(gone, Errno::NOENT | Errno::CONNREFUSED), "{gone}");
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
