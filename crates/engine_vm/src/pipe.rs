//! Named pipes of documents: unix sockets of the host on which the machine's worker listens.
//!
//! `\\.\pipe\NAME` is the socket `NAME` in the service's directory of pipes; an absolute path stays what it is.

use std::{
    fs, io,
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::fs::{DirBuilderExt as _, FileTypeExt as _},
    },
    path::{Path, PathBuf},
};

use engine_container::shared::open_directory;
use hcs_schema::Failure;
use hcs_wire::errno;
use rustix::{
    io::Errno,
    net::{
        AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
    },
};

/// How a Windows pipe begins.
const WINDOWS: &str = r"\\.\pipe\";

/// The longest name of a socket in its directory, in bytes: the path by a descriptor has to fit into 107.
const LONGEST_NAME: usize = 64;

/// Readers that may wait for their turn.
const QUEUE: i32 = 8;

/// The name of a pipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PipeName {
    /// A socket in the service's directory.
    Own(String),
    /// A path of the host.
    Path(String),
}

impl PipeName {
    /// Reads `name`.
    ///
    /// # Errors
    /// A sentence that says what is expected.
    pub(crate) fn parse(name: &str) -> Result<Self, String> {
        let prefix = name.get(..WINDOWS.len());
        if prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case(WINDOWS)) {
            // Windows does not tell letters from capitals here.
            let own = name[WINDOWS.len()..].to_lowercase();
            return match is_plain(&own) {
                true => Ok(Self::Own(own)),
                false => Err(format!(
                    "{name:?} is no name of a pipe: up to {LONGEST_NAME} letters, digits, '-', '_' and '.' may follow \
                     {WINDOWS}, and the first of them is no '.'"
                )),
            };
        }
        let path = Path::new(name);
        match path.file_name() {
            Some(last)
                if path.is_absolute() && last.len() <= LONGEST_NAME && !name.contains('\0') =>
            {
                Ok(Self::Path(name.to_owned()))
            }
            _ => Err(format!(
                "{name:?} is no pipe: give an absolute path, whose last part has at most {LONGEST_NAME} bytes, or \
                 {WINDOWS}NAME"
            )),
        }
    }

    /// The socket's path; `pipes` is the service's directory.
    pub(crate) fn path(&self, pipes: &Path) -> PathBuf {
        match self {
            Self::Own(name) => pipes.join(name),
            Self::Path(path) => PathBuf::from(path),
        }
    }
}

fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    (1..=LONGEST_NAME).contains(&name.len()) && name.chars().all(plain) && !name.starts_with('.')
}

/// Makes the socket and listens on it. A socket that no process listens on any more is replaced. Only the service's own
/// user may connect.
///
/// # Errors
/// Something else is there, or the host refused; `pointer` names the property.
pub(crate) fn listen_on(name: &PipeName, pipes: &Path, pointer: &str) -> Result<OwnedFd, Failure> {
    if let PipeName::Own(_) = name {
        make_directory(pipes).map_err(|e| failed(pipes, pointer, &e))?;
    }
    let path = name.path(pipes);
    let (_directory, at) = reach(&path, pointer)?;
    bind_at(&at).map_err(|e| failed(&path, pointer, &e))
}

/// Removes the socket at `path` if no process listens on it. The way there is that of [`listen_on`]: a user who changes
/// it meanwhile has nothing removed elsewhere.
pub(crate) fn remove(path: &Path) {
    // A name that resists is refused to the next machine that asks for it.
    if let Ok((_directory, at)) = reach(path, "")
        && is_abandoned(&at).unwrap_or(false)
    {
        let _stays = fs::remove_file(at);
    }
}

/// The directory of `path`, and the name of `path` by the descriptor of that.
fn reach(path: &Path, pointer: &str) -> Result<(OwnedFd, String), Failure> {
    let parent = path.parent().and_then(Path::to_str).unwrap_or("/");
    let directory = open_directory(parent, pointer)?;
    let last = path.file_name().unwrap_or_default().to_string_lossy();
    let at = format!("/proc/self/fd/{}/{last}", directory.as_raw_fd());
    Ok((directory, at))
}

/// The service's directory of pipes.
fn make_directory(pipes: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(pipes) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

fn bind_at(path: &str) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    // Bytes are all that is passed on. The worker would wait for the close of a descriptor (before Linux 6.16 it does).
    let _every_one_may = hcs_wire::socket::let_send_descriptors(&socket, false);
    let address = SocketAddrUnix::new(path)?;
    match bind(&socket, &address) {
        Err(Errno::ADDRINUSE) if is_abandoned(path)? => {
            fs::remove_file(path)?;
            bind(&socket, &address)?;
        }
        bound => bound?,
    }
    listen(&socket, QUEUE)?;
    Ok(socket)
}

/// Whether a path is that of a socket that no process listens on.
fn is_abandoned(path: &str) -> io::Result<bool> {
    if !fs::symlink_metadata(path)?.file_type().is_socket() {
        return Ok(false);
    }
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    let connected = connect(&socket, &SocketAddrUnix::new(path)?);
    Ok(connected == Err(Errno::CONNREFUSED))
}

fn failed(path: &Path, pointer: &str, why: &io::Error) -> Failure {
    let path = path.display();
    let message = match why.raw_os_error() {
        Some(libc::EADDRINUSE) => format!(
            "the pipe {path} is in use: another machine listens on it, or it is no socket; choose another name"
        ),
        _ => format!("the pipe {path} cannot be made: {why}"),
    };
    Failure::new(errno::of_io(why), message.clone()).cause_at(pointer, message)
}

/// Removes the sockets in the service's directory that no process listens on, and the directory when it is empty.
pub(crate) fn sweep(pipes: &Path) {
    let entries = fs::read_dir(pipes).into_iter().flatten().flatten();
    for entry in entries {
        remove(&entry.path());
    }
    let _in_use = fs::remove_dir(pipes);
}

#[cfg(test)]
mod tests {
    use std::os::{fd::AsFd as _, unix::net::UnixStream};

    use super::*;

    #[test]
    fn names_are_of_windows_or_paths() {
        let own = |name: &str| Ok(PipeName::Own(name.to_owned()));
        assert_eq!(PipeName::parse(r"\\.\pipe\UvmPipe"), own("uvmpipe"));
        assert_eq!(PipeName::parse(r"\\.\PIPE\a.b-c_1"), own("a.b-c_1"));
        assert_eq!(
            PipeName::parse("/run/x"),
            Ok(PipeName::Path("/run/x".to_owned()))
        );
        let long = format!(r"\\.\pipe\{}", "x".repeat(65));
        for name in [
            r"\\.\pipe\",
            r"\\.\pipe\..",
            r"\\.\pipe\a/b",
            r"\\.\pipe\a\b",
            &long,
            "x",
            "/",
            "/..",
            "",
        ] {
            assert!(PipeName::parse(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_socket_in_use_is_refused_and_an_abandoned_one_is_replaced() {
        let place = tempfile::tempdir().unwrap();
        let pipes = place.path().join("pipes");
        let name = PipeName::Own("a".to_owned());
        let first = listen_on(&name, &pipes, "/A").unwrap();
        drop(UnixStream::connect(pipes.join("a")).unwrap());
        let refused = listen_on(&name, &pipes, "/A").unwrap_err();
        assert!(refused.message.contains("is in use"), "{refused}");
        assert_eq!(refused.causes[0].pointer.as_deref(), Some("/A"));
        sweep(&pipes);
        assert!(pipes.join("a").exists());
        drop(first);
        drop(listen_on(&name, &pipes, "/A").unwrap());
        fs::write(place.path().join("file"), "").unwrap();
        let file = PipeName::Path(place.path().join("file").display().to_string());
        assert!(listen_on(&file, &pipes, "/A").is_err());
        sweep(&pipes);
        assert!(!pipes.exists());
    }

    /// From Linux 6.16: before, the worker closes what comes along.
    #[test]
    fn programs_of_the_host_send_bytes_alone() {
        let (one, _other) = UnixStream::pair().unwrap();
        if hcs_wire::socket::let_send_descriptors(&one, false) == Err(Errno::NOPROTOOPT) {
            return;
        }
        let place = tempfile::tempdir().unwrap();
        let name = PipeName::Own("a".to_owned());
        let _listener = listen_on(&name, place.path(), "/A").unwrap();
        let program = UnixStream::connect(place.path().join("a")).unwrap();
        let sent = hcs_wire::socket::send(&program, b"x", &[one.as_fd()]);
        assert_eq!(sent, Err(Errno::PERM));
        assert_eq!(hcs_wire::socket::send(&program, b"x", &[]), Ok(1));
    }
}
