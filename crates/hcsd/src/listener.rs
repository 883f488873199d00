//! The socket clients connect to: made here, or handed over by systemd.

use std::{
    io,
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::net::UnixListener,
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Gid, Mode, OFlags, chmod, chown},
    net::{SocketFlags, accept_with},
};
use tokio::io::{Interest, unix::AsyncFd};

use crate::readiness::watch;

/// Mode of a socket that everybody may connect to: who is not allowed in is told so in a sentence.
const OPEN: Mode = Mode::from_raw_mode(0o666);
/// Mode of a socket that only its owner and a group may connect to.
const GROUP: Mode = Mode::from_raw_mode(0o660);

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

    /// Makes the socket at `path`, in place of whatever an earlier service left there. Only for the holder of the lock.
    ///
    /// # Errors
    /// The sentence to be shown.
    pub(crate) fn bind(path: &Path, group: Option<u32>) -> Result<Self, String> {
        let bound = || -> io::Result<UnixListener> {
            match std::fs::remove_file(path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
            let socket = bind_anywhere(path)?;
            match group {
                Some(group) => {
                    chown(path, None, Some(Gid::from_raw(group)))?;
                    chmod(path, GROUP)?;
                }
                None => chmod(path, OPEN)?,
            }
            Ok(socket)
        };
        let socket =
            bound().map_err(|e| format!("the socket {} cannot be made: {e}", path.display()))?;
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
        Ok(Accepting {
            socket: watch(OwnedFd::from(self.socket), Interest::READABLE)?,
            path: self.path,
        })
    }
}

/// `bind(2)`, also where the path is longer than the 107 bytes of a `sockaddr_un`: by way of its directory.
fn bind_anywhere(path: &Path) -> io::Result<UnixListener> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let directory = rustix::fs::open(
        parent,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let short = Path::new("/proc/self/fd")
        .join(directory.as_raw_fd().to_string())
        .join(name);
    UnixListener::bind(short)
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
            match ready.try_io(|socket| {
                Ok(accept_with(
                    socket,
                    SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
                )?)
            }) {
                Ok(accepted) => return accepted,
                Err(_would_block) => {}
            }
        }
    }

    /// Takes the path away, so that nobody new connects, and then whoever had connected before.
    pub(crate) fn retire(&mut self) -> Option<OwnedFd> {
        if let Some(path) = self.path.take()
            && let Err(e) = std::fs::remove_file(&path)
        {
            tracing::warn!(path = %path.display(), "the socket cannot be removed: {e}");
        }
        accept_with(&self.socket, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK).ok()
    }
}
