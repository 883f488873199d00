//! The socket clients connect to: made here, or handed over by systemd.

use std::{
    fs, io,
    os::{
        fd::{AsFd, AsRawFd as _, OwnedFd},
        unix::{
            fs::{FileTypeExt as _, MetadataExt as _},
            net::UnixListener,
        },
    },
    path::{Path, PathBuf},
};

use hcs_wire::socket::{keep_in_order, let_send_descriptors};
use rustix::{
    fs::{AtFlags, Gid, Mode, OFlags, Uid, chmodat, chownat},
    io::Errno,
    net::{
        AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, listen,
        socket_with,
    },
};
use tokio::io::{Interest, unix::AsyncFd};
use tracing::warn;

use crate::thread::readiness::watch;

/// Mode of a socket that only its owner and a group may connect to.
const GROUP: Mode = Mode::from_raw_mode(0o660);
/// Mode of a socket that only its owner, and root, may connect to. The kernel keeps other users out, whose connections
/// take no time of the service then; the library tells them what to do.
const PRIVATE: Mode = Mode::from_raw_mode(0o600);

/// The users who may connect to the socket.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Access {
    /// Its owner, where that is not the service's own user.
    pub(crate) owner: Option<u32>,
    /// Its group, where one may use the service.
    pub(crate) group: Option<u32>,
    /// Its mode, where one is configured.
    pub(crate) mode: Option<u32>,
}

impl Access {
    fn mode(self) -> Mode {
        match (self.mode, self.group) {
            (Some(mode), _) => Mode::from_raw_mode(mode),
            (None, Some(_)) => GROUP,
            (None, None) => PRIVATE,
        }
    }
}

/// Connections that may wait to be accepted. The kernel hands them over in their order, so a user who fills this holds
/// up each client by as many. Clients that find it full wait for a place, in their order as well. The thread that
/// accepts ([`super::lobby`]) empties it as fast as one process of a user fills it.
const BACKLOG: i32 = 128;

/// The listening socket.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: UnixListener,
    /// The path to be removed at the end; `None` when systemd owns the socket.
    path: Option<PathBuf>,
}

impl Listener {
    /// The socket that systemd passed, if it did (`sd_listen_fds(3)`). Must be asked for before any child exists.
    ///
    /// # Errors
    /// What was passed is not one unix socket.
    pub(crate) fn inherited() -> Result<Option<Self>, String> {
        let mut passed = listenfd::ListenFd::from_env();
        if passed.len() == 0 {
            return Ok(None);
        }
        let socket = passed
            .take_unix_listener(0)
            .map_err(|e| format!("what systemd passed is not a unix stream socket: {e}"))?;
        let socket = socket.ok_or("systemd passed a socket and took it back")?;
        rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)
            .map_err(|e| format!("the socket that systemd passed cannot be used: {e}"))?;
        Ok(Some(Self { socket, path: None }))
    }

    /// Makes the socket at `path`, in place of one that an earlier service left there. Only for the holder of the lock.
    ///
    /// # Errors
    /// The sentence to be shown.
    pub(crate) fn bind(path: &Path, access: Access) -> Result<Self, String> {
        let failed = |e: io::Error| format!("the socket {} cannot be made: {e}", path.display());
        match fs::symlink_metadata(path) {
            Ok(found) if found.file_type().is_socket() => fs::remove_file(path).map_err(failed)?,
            Ok(_) => {
                return Err(format!(
                    "{} is there already and is no socket",
                    path.display()
                ));
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(failed(e)),
        }
        let socket = bind_anywhere(path, access).map_err(failed)?;
        Ok(Self {
            socket,
            path: Some(path.to_owned()),
        })
    }

    /// Gets ready to accept. Inside the runtime only.
    ///
    /// # Errors
    /// The socket cannot be watched.
    pub(crate) fn listen(self) -> io::Result<Accepting> {
        self.socket.set_nonblocking(true)?;
        // Until they are known as clients (`super::greeting`), who send some after their greeting only. Where the
        // kernel cannot keep them out, they are closed aside.
        let _every_one_may = let_send_descriptors(&self.socket, false);
        Ok(Accepting {
            socket: watch(OwnedFd::from(self.socket), Interest::READABLE)?,
            path: self.path,
        })
    }
}

/// `bind(2)`, also where the path is longer than the 107 bytes of a `sockaddr_un`: by way of its directory. No process
/// can connect before the owner and mode are right.
fn bind_anywhere(path: &Path, access: Access) -> io::Result<UnixListener> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(parent, flags, Mode::empty())?;
    let short = Path::new("/proc/self/fd")
        .join(directory.as_raw_fd().to_string())
        .join(name);
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    bind(&socket, &SocketAddrUnix::new(short)?)?;
    let (owner, group) = (
        access.owner.map(Uid::from_raw),
        access.group.map(Gid::from_raw),
    );
    chownat(&directory, name, owner, group, AtFlags::SYMLINK_NOFOLLOW)?;
    chmodat(&directory, name, access.mode(), AtFlags::empty())?;
    listen(&socket, BACKLOG)?;
    Ok(UnixListener::from(socket))
}

/// Whether the socket at `path`, which another process made, lets in only its owner and `group`.
pub(crate) fn is_guarded(path: &Path, group: u32) -> bool {
    let guarded =
        fs::metadata(path).is_ok_and(|found| found.gid() == group && found.mode() & 0o002 == 0);
    if !guarded {
        warn!(
            path = %path.display(),
            "the socket that was handed over is not of the configured group, or open to all: members of the group \
             are not let in"
        );
    }
    guarded
}

/// The next connection, whose bytes out of band come in their order.
fn accept_next(listener: impl AsFd) -> Result<OwnedFd, Errno> {
    let socket = accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
    keep_in_order(&socket)?;
    Ok(socket)
}

/// The listening socket in the runtime.
#[derive(Debug)]
pub(crate) struct Accepting {
    socket: AsyncFd<OwnedFd>,
    path: Option<PathBuf>,
}

impl Accepting {
    /// The next client.
    ///
    /// # Errors
    /// `accept4(2)`'s, `EMFILE` among them.
    pub(crate) async fn accept(&self) -> io::Result<OwnedFd> {
        loop {
            let mut ready = self.socket.readable().await?;
            match ready.try_io(|socket| Ok(accept_next(socket)?)) {
                Ok(accepted) => return accepted,
                Err(_would_block) => {}
            }
        }
    }

    /// Takes the path away, so that no new client connects. What is left is to be closed: one that had connected
    /// before, and the socket with all the others.
    pub(crate) fn retire(self) -> impl Iterator<Item = OwnedFd> {
        if let Some(path) = self.path
            && let Err(e) = fs::remove_file(&path)
        {
            warn!(path = %path.display(), "the socket cannot be removed: {e}");
        }
        let last = accept_next(&self.socket).ok();
        last.into_iter().chain([self.socket.into_inner()])
    }
}
