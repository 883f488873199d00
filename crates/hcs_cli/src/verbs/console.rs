//! `hcs console`: our terminal for a serial port of a virtual machine.

use std::{
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::net::UnixStream,
    },
    path::{Path, PathBuf},
};

use clap::Args;
use hcs::{Endpoint, Failure, HResult};
use hcs_wire::peer::Peer;
use rustix::{
    fs::{Mode, OFlags, open},
    io::{Errno, ioctl_fionbio},
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with},
    process::geteuid,
};
use serde_json::Value;

use super::inspect;
use crate::{
    complain,
    failure::Stop,
    options::limit::Limit,
    session::{
        console::{self, End},
        keys::{self, DetachKeys},
    },
};

const TIMEOUT: &str =
    "Leave the console, with exit code 124, after this time (0.5 is half a second)";

/// How Windows pipes begin, which stand for sockets of the service.
const PIPE: &str = r"\\.\pipe\";

/// Reads the number of a serial port.
///
/// # Errors
/// It is none.
fn port(text: &str) -> Result<u8, String> {
    text.parse()
        .map_err(|_| "expected the number of a serial port, such as 0 for COM1".to_owned())
}

/// Connect to a serial port of a virtual machine
///
/// The machine's document names the pipe of the port, and hcs create --isolation vm --console makes one on which the
/// kernel writes its messages. What the guest wrote before is shown first, up to 256 KB of it. One reader at a time is
/// served, those that come later wait for their turn. On a terminal, keys go to the guest one by one, Ctrl-C as well;
/// the keys that detach, or a signal, leave the console, and the machine goes on.
#[derive(Args, Debug)]
#[command(
    mut_arg("timeout", |timeout| timeout.help(TIMEOUT)),
    after_help = "\
Examples:
  hcs console box
  hcs console --port 1 --detach-keys ctrl-x,d box
  hcs console --no-stdin --timeout 10 box          what the guest writes, for ten seconds"
)]
pub(crate) struct Console {
    /// The virtual machine
    id: String,

    /// The serial port, COM1 is 0
    #[arg(long, value_name = "NUMBER", default_value_t = 0, value_parser = port)]
    port: u8,

    /// Keys that detach: each a character or ctrl- and one, with commas between them; empty for none
    #[arg(long, value_name = "KEYS", default_value = "ctrl-p,ctrl-q", value_parser = keys::parse)]
    detach_keys: DetachKeys,

    /// Do not pass our standard input on
    #[arg(long)]
    no_stdin: bool,

    #[command(flatten)]
    limit: Limit,
}

impl Console {
    pub(crate) fn run(self) -> Result<u8, Stop> {
        let clock = self.limit.begin("console");
        let system = clock.open(&self.id)?;
        let document = inspect::document(&system, clock);
        let document = document.map_err(|failure| clock.stop(&self.id, failure))?;
        let pipe = self.pipe(&document)?;
        let root = Endpoint::from_environment()?.state_root();
        let stream = reach(&path(&pipe, &root))?;
        let keys = (!self.no_stdin).then_some(&self.detach_keys);
        match console::run(&stream, keys, || clock.left())? {
            End::Machine => Ok(0),
            End::Left => {
                complain(&format!(
                    "\nhcs: left the console of {:?}, which goes on\n",
                    self.id
                ));
                Ok(0)
            }
            End::Late => {
                let what = format!("the console of {:?}", self.id);
                Err(clock.passed(&what, "was left; the machine goes on"))
            }
        }
    }

    /// The pipe of the port.
    fn pipe(&self, document: &Value) -> Result<String, Failure> {
        let refused = |message: String| Failure::new(HResult::NOT_FOUND, message);
        let Some(machine) = document.get("VirtualMachine") else {
            let message = format!(
                "{:?} is a container, which has no serial port; `hcs attach` attaches to its command",
                self.id
            );
            return Err(refused(message));
        };
        let port = format!("/Devices/ComPorts/{}/NamedPipe", self.port);
        let pipe = machine.pointer(&port).and_then(Value::as_str);
        let pipe = pipe.filter(|pipe| !pipe.is_empty());
        pipe.map(str::to_owned).ok_or_else(|| {
            let message = format!(
                "the document of {:?} has no pipe for serial port {}: `hcs create --isolation vm --console` makes one for port 0, \
                 and documents name it in VirtualMachine{port}",
                self.id, self.port
            );
            refused(message)
        })
    }
}

/// The socket that a pipe's name stands for.
fn path(pipe: &str, root: &Path) -> PathBuf {
    match pipe.get(..PIPE.len()) {
        Some(begin) if begin.eq_ignore_ascii_case(PIPE) => {
            root.join("pipes").join(pipe[PIPE.len()..].to_lowercase())
        }
        _ => pipe.into(),
    }
}

/// Connects to the socket. Its path may be longer than those of sockets.
fn reach(path: &Path) -> Result<UnixStream, Failure> {
    let connected = || -> Result<(OwnedFd, Peer), Errno> {
        let folder = path.parent().unwrap_or(Path::new("/"));
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = open(folder, flags, Mode::empty())?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        let address = SocketAddrUnix::new(format!("/proc/self/fd/{}/{name}", folder.as_raw_fd()))?;
        connect(&socket, &address)?;
        ioctl_fionbio(&socket, false)?;
        let peer = Peer::of(&socket)?;
        Ok((socket, peer))
    };
    let (socket, peer) = connected().map_err(|errno| {
        let why = match errno {
            Errno::AGAIN => "too many readers wait for their turn".to_owned(),
            Errno::ACCESS | Errno::PERM => "the service's own user alone may connect".to_owned(),
            errno => errno.to_string(),
        };
        // Of the wire `hcs` uses `peer` only (`xtask/layers.toml`). Only a lack of rights needs a code; the cause says
        // the rest.
        let code = match errno {
            Errno::ACCESS | Errno::PERM => HResult::E_ACCESSDENIED,
            _ => HResult::E_FAIL,
        };
        let message = format!("the serial port at {} cannot be reached", path.display());
        Failure::new(code, message).cause(why)
    })?;
    known(peer.user, geteuid().as_raw(), path)?;
    Ok(socket.into())
}

/// Checks that `listener` is root or `own`, before a key of the terminal is sent: in a directory that others may write,
/// another user may have made the socket.
fn known(listener: u32, own: u32, path: &Path) -> Result<(), Failure> {
    if listener == 0 || listener == own {
        return Ok(());
    }
    let message = format!(
        "{} is no serial port of a virtual machine: user {listener} listens there, and root or user {own} is expected; name \
         a pipe in a directory that others cannot write to",
        path.display()
    );
    Err(Failure::new(HResult::E_ACCESSDENIED, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_is_a_socket_of_the_service_or_a_path() {
        let root = Path::new("/run/hcs");
        assert_eq!(path(r"\\.\PIPE\Com", root), Path::new("/run/hcs/pipes/com"));
        assert_eq!(path("/srv/com", root), Path::new("/srv/com"));
    }

    #[test]
    fn another_user_is_not_typed_to() {
        let known = |listener, own| known(listener, own, Path::new("/tmp/com"));
        assert!(known(0, 1000).is_ok() && known(1000, 1000).is_ok() && known(0, 0).is_ok());
        for own in [0, 1000] {
            let refused = known(1001, own).unwrap_err();
            assert_eq!(refused.hresult, HResult::E_ACCESSDENIED);
            assert!(refused.message.contains("user 1001"), "{refused}");
        }
    }
}
