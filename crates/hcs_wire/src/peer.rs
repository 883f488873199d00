//! The process at the other end of a unix socket.

use std::{
    fs,
    os::fd::{AsFd, AsRawFd as _},
    path::Path,
};

use rustix::{
    fs::{Mode, OFlags, open},
    io::Errno,
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with},
};

/// A peer as the kernel knows it (`unix(7)`, `SO_PEERCRED`): for one that listens, its state when it called
/// `listen(2)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Its effective user.
    pub user: u32,
    /// Its process; `None` for one of a pid namespace that cannot be seen from here. It may be gone.
    pub process: Option<i32>,
}

impl Peer {
    /// The peer of a connected socket.
    ///
    /// # Errors
    /// The errno of `getsockopt(2)`: the socket is none that has a peer.
    pub fn of(socket: impl AsFd) -> Result<Self, Errno> {
        let (process, user) = crate::sys::peer_credentials(socket.as_fd())?;
        Ok(Self {
            user,
            process: seen(process),
        })
    }
}

/// Whether a process has the unix socket at `path` open that was bound there, in whichever pid namespace it is. That
/// process hears nothing of it. A socket that may not be looked at counts as open.
#[must_use]
pub fn is_open(path: &Path) -> bool {
    let look = || -> Result<(), Errno> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let found = open(path, flags, Mode::empty())?;
        let kind = SocketType::DGRAM;
        let own = socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)?;
        // Its path may be longer than an address.
        let address = format!("/proc/self/fd/{}", found.as_raw_fd());
        connect(&own, &SocketAddrUnix::new(address)?)
    };
    // One of another type is open, and says so without a word to who has it.
    !matches!(
        look(),
        Err(Errno::CONNREFUSED | Errno::NOENT | Errno::NOTDIR)
    )
}

/// The bit of `SIGKILL` in a set of signals.
const KILLED: u64 = 1 << 8;

/// Whether a process was killed, or has ended, and is not gone: one of its threads waits in the kernel, for a network
/// or another program, and cannot be interrupted. Its files stay open until then, a socket that it listens on and locks
/// among them, but it does nothing any more.
#[must_use]
pub fn is_dying(process: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/status"));
    status.is_ok_and(|status| says_dying(&status))
}

/// By the text of `/proc/PID/status` (`proc_pid_status(5)`).
fn says_dying(status: &str) -> bool {
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.map_or("", |value| value.trim_start_matches(':').trim())
    };
    let signals = |name| u64::from_str_radix(field(name), 16).unwrap_or_default();
    let has_ended = field("State").starts_with(['Z', 'X']);
    has_ended || (signals("SigPnd") | signals("ShdPnd")) & KILLED != 0
}

/// The number of a process that can be seen from here; the kernel says 0 for others.
fn seen(process: i32) -> Option<i32> {
    (process > 0).then_some(process)
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::net::UnixStream,
        thread::sleep,
        time::{Duration, Instant},
    };

    use super::*;

    #[test]
    fn a_process_that_cannot_be_seen_has_no_number() {
        assert_eq!([-1, 0, 1].map(seen), [None, None, Some(1)]);
    }

    #[test]
    fn a_socket_is_open_as_long_as_any_process_has_it() {
        let place = tempfile::tempdir().unwrap();
        let long = place.path().join("d".repeat(200));
        fs::create_dir(&long).unwrap();
        let path = long.join("s");
        assert!(!is_open(&path));
        let directory = open(&long, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap();
        let address = format!("/proc/self/fd/{}/s", directory.as_raw_fd());
        for kind in [SocketType::STREAM, SocketType::SEQPACKET, SocketType::DGRAM] {
            let flags = SocketFlags::CLOEXEC;
            let socket = socket_with(AddressFamily::UNIX, kind, flags, None).unwrap();
            rustix::net::bind(&socket, &SocketAddrUnix::new(&*address).unwrap()).unwrap();
            assert!(is_open(&path), "{kind:?}");
            let other = socket.try_clone().unwrap();
            drop(socket);
            assert!(is_open(&path), "{kind:?}");
            drop(other);
            // A child of another test, between clone and exec, may have a copy of it.
            let end = Instant::now() + Duration::from_secs(60);
            while is_open(&path) {
                assert!(Instant::now() < end, "{kind:?}");
                sleep(Duration::from_millis(2));
            }
            fs::remove_file(&path).unwrap();
        }
        fs::write(&path, "").unwrap();
        assert!(!is_open(&path), "no socket");
    }

    #[test]
    fn a_process_is_dying_that_has_ended_and_is_not_reaped() {
        assert!(!is_dying(i32::try_from(std::process::id()).unwrap()));
        let status = |state: &str, pending: &str| {
            format!("Name:\thcsd\nState:\t{state}\nSigPnd:\t{pending}\nShdPnd:\t0000000000000000\n")
        };
        assert!(says_dying(&status("Z (zombie)", "0000000000000000")));
        assert!(says_dying(&status("D (disk sleep)", "0000000000000100")));
        assert!(!says_dying(&status("D (disk sleep)", "0000000000004000")));
        assert!(!says_dying(""));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        while !is_dying(pid) {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert!(!is_dying(pid));
    }

    #[test]
    fn the_other_end_of_a_pair_is_this_process() {
        let (one, _other) = UnixStream::pair().unwrap();
        let own = Peer {
            user: rustix::process::geteuid().as_raw(),
            process: i32::try_from(std::process::id()).ok(),
        };
        assert_eq!(Peer::of(&one), Ok(own));
        let file = tempfile::tempfile().unwrap();
        assert_eq!(Peer::of(file), Err(Errno::NOTSOCK));
    }
}
