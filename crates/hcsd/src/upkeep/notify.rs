//! Telling the service manager how things stand (`sd_notify(3)`): a datagram to the socket that it names, if it does.

use std::{env, ffi::OsStr, os::unix::ffi::OsStrExt as _};

use rustix::{
    io::Errno,
    net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType, sendto, socket_with},
};
use tracing::warn;

/// Clients are served from now on.
pub(crate) const READY: &str = "READY=1";
/// No new ones are any more; what is left is being cleared up.
pub(crate) const STOPPING: &str = "STOPPING=1";

/// Says it, where a service manager listens. That it does not is no reason to leave.
pub(crate) fn notify(state: &str) {
    let Some(socket) = env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    if let Err(errno) = send(&socket, state) {
        warn!("the service manager cannot be told {state}: {errno}");
    }
}

fn send(socket: &OsStr, state: &str) -> Result<(), Errno> {
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddrUnix::new_abstract_name(name)?,
        path => SocketAddrUnix::new(path)?,
    };
    let flags = SocketFlags::CLOEXEC;
    let from = socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
    sendto(from, state.as_bytes(), SendFlags::NOSIGNAL, &address).map(drop)
}

#[cfg(test)]
mod tests {
    use std::os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixDatagram},
    };

    use super::*;

    #[test]
    fn a_manager_hears_it_by_path_and_by_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let name = format!("hcs-test-notify-{}", std::process::id());
        let abstract_address = SocketAddr::from_abstract_name(&name).unwrap();
        let named = format!("@{name}");
        for (listener, address) in [
            (UnixDatagram::bind(&path).unwrap(), path.as_os_str()),
            (
                UnixDatagram::bind_addr(&abstract_address).unwrap(),
                OsStr::new(&named),
            ),
        ] {
            send(address, READY).unwrap();
            let mut heard = [0; 32];
            let length = listener.recv(&mut heard).unwrap();
            assert_eq!(&heard[..length], READY.as_bytes());
        }
        assert_eq!(send(OsStr::new("/nonexistent"), READY), Err(Errno::NOENT));
    }
}
