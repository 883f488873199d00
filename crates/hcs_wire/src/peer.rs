//! The process at the other end of a unix socket.
//!
//! Where it lives, the pid namespace tells: a container of any kind has one of its own, below the one of a service, and
//! its processes cannot leave it. The kernel tells the numbers of a process from the pid namespace of `/proc` on
//! downwards, in the `fdinfo` of a pidfd (`NSpid`). That needs no right over the process, and the pidfd comes from the
//! socket, so the number cannot belong to another process by now.

use std::{
    fs,
    os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{Mode, OFlags, open},
    io::Errno,
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with},
    process::{Pid, PidfdFlags, pidfd_open},
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

/// Where a peer lives, as the calling process sees it from its own `/proc`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whereabouts {
    /// In the caller's own pid namespace.
    Here,
    /// In one below: in a container.
    Below,
    /// In one above or beside.
    Elsewhere,
    /// It has ended, or the kernel does not say.
    Unknown,
}

impl Whereabouts {
    /// Those of the process that connected by `socket`, or that listens at its other end.
    #[must_use]
    pub fn of(socket: BorrowedFd<'_>) -> Self {
        let pidfd = match pidfd_of(socket) {
            Ok(Some(pidfd)) => pidfd,
            // Neither in the caller's namespace nor below, or it would have a number here.
            Ok(None) => return Self::Elsewhere,
            Err(_) => return Self::Unknown,
        };
        let path = format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd());
        fs::read_to_string(path).map_or(Self::Unknown, |text| Self::told(&text))
    }

    /// Reads the `fdinfo` of a pidfd.
    fn told(fdinfo: &str) -> Self {
        let field = |name: &str| {
            let mut lines = fdinfo.lines();
            let line = lines.find_map(|line| line.strip_prefix(name));
            line.map(|numbers| numbers.split_whitespace().collect::<Vec<_>>())
        };
        match (field("Pid:").as_deref(), field("NSpid:").as_deref()) {
            (Some(["0"]), _) => Self::Elsewhere,
            // It has ended and its parent knows.
            (Some(["-1"]), _) => Self::Unknown,
            (Some([_]), Some([_])) => Self::Here,
            (Some([_]), Some([_, _, ..])) => Self::Below,
            _ => Self::Unknown,
        }
    }
}

/// Before Linux 6.5 the number is all there is. A number that was given to another process between the connection and
/// this call is the one way in that remains there; the numbers have to wrap around for that.
fn pidfd_of(socket: BorrowedFd<'_>) -> Result<Option<OwnedFd>, Errno> {
    match crate::sys::peer_pidfd(socket) {
        Err(Errno::NOPROTOOPT) => {
            let pid = Peer::of(socket)?.process.and_then(Pid::from_raw);
            pid.map(|pid| pidfd_open(pid, PidfdFlags::empty()))
                .transpose()
        }
        answer => answer.map(Some),
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

    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    use super::*;

    #[test]
    fn a_process_of_this_namespace_is_here() {
        let (one, _other) = UnixStream::pair().unwrap();
        assert_eq!(Whereabouts::of(one.as_fd()), Whereabouts::Here);
    }

    /// A process that may open no more files cannot look: what connected may be in a container.
    #[test]
    fn without_descriptors_it_is_unknown_where_a_process_lives() {
        const FEW: &str = "HCS_TEST_FEW_DESCRIPTORS";
        if std::env::var_os(FEW).is_some() {
            let (one, _other) = UnixStream::pair().unwrap();
            let limit = getrlimit(Resource::Nofile);
            // The lowest number that is free is beyond the limit.
            let free = one.try_clone().unwrap().as_raw_fd();
            let few = Rlimit {
                current: u64::try_from(free).ok(),
                ..limit
            };
            setrlimit(Resource::Nofile, few).unwrap();
            let found = Whereabouts::of(one.as_fd());
            setrlimit(Resource::Nofile, limit).unwrap();
            assert_eq!(found, Whereabouts::Unknown);
            assert_eq!(Whereabouts::of(one.as_fd()), Whereabouts::Here);
            return;
        }
        let name = "peer::tests::without_descriptors_it_is_unknown_where_a_process_lives";
        let done = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name])
            .env(FEW, "")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stdout);
        assert!(
            done.status.success() && said.contains("1 passed"),
            "{done:?}"
        );
    }

    #[test]
    fn numbers_in_a_namespace_below_mean_a_container() {
        use Whereabouts::{Below, Elsewhere, Here, Unknown};
        let of =
            |numbers: &str| Whereabouts::told(&format!("pos:\t0\nflags:\t02000002\n{numbers}"));
        assert_eq!(of("Pid:\t12\nNSpid:\t12\n"), Here);
        assert_eq!(of("Pid:\t12\nNSpid:\t12\t1\n"), Below);
        assert_eq!(of("Pid:\t12\nNSpid:\t12\t7\t1\n"), Below);
        assert_eq!(of("Pid:\t0\nNSpid:\t0\n"), Elsewhere);
        assert_eq!(of("Pid:\t-1\nNSpid:\t-1\n"), Unknown);
        assert_eq!(of("Pid:\t12\n"), Unknown);
        assert_eq!(of(""), Unknown);
    }

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
