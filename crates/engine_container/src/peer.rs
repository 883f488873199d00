//! Where a client of the service lives: in the service's own pid namespace, or in a container.
//!
//! A process in a container that reaches a service's socket could have it make a container with the whole host mapped.
//! No mount and no mode of the socket keeps such a process out for certain: the file may be mapped, inherited or passed
//! along. The pid namespace tells: a container of any kind has one of its own, below the one of the service, and its
//! processes cannot leave it.
//!
//! A service may be in such a namespace itself: in a container, a sandbox, `unshare --pid`. Then a container of another
//! service can lie beside it, and its processes have no number for this one; nor have those of the host around it. They
//! cannot be told apart, so neither is let in.
//!
//! The kernel tells the numbers of a process from the pid namespace of `/proc` on downwards, in the `fdinfo` of a pidfd
//! (`NSpid`). That needs no right over the process, and the pidfd comes from the socket, so the number cannot belong to
//! another process by now.

use std::{
    fs,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd},
};

use hcs_engine::engine::Origin;
use rustix::{
    io::Errno,
    process::{PidfdFlags, pidfd_open},
};

use crate::sys;

/// Where the process lives that connected by `socket`, as the service sees it from its own `/proc`.
pub(crate) fn origin(socket: BorrowedFd<'_>) -> Origin {
    let pidfd = match pidfd_of(socket) {
        Ok(Some(pidfd)) => pidfd,
        // Neither in the service's namespace nor below, or it would have a number here.
        Ok(None) => return Origin::Elsewhere,
        Err(_) => return Origin::Unknown,
    };
    let path = format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd());
    match fs::read_to_string(path) {
        Ok(text) => origin_of(&text),
        Err(_) => Origin::Unknown,
    }
}

/// Before Linux 6.5 the number is all there is. A number that was given to another process between the connection and
/// this call is the one way in that remains there; the numbers have to wrap around for that.
fn pidfd_of(socket: BorrowedFd<'_>) -> Result<Option<OwnedFd>, Errno> {
    match sys::peer::pidfd(socket) {
        Err(Errno::NOPROTOOPT) => {
            let pid = sys::peer::pid(socket)?;
            pid.map(|pid| pidfd_open(pid, PidfdFlags::empty()))
                .transpose()
        }
        answer => answer.map(Some),
    }
}

/// Reads the `fdinfo` of a pidfd.
fn origin_of(fdinfo: &str) -> Origin {
    let field = |name: &str| {
        let mut lines = fdinfo.lines();
        let line = lines.find_map(|line| line.strip_prefix(name));
        line.map(|numbers| numbers.split_whitespace().collect::<Vec<_>>())
    };
    match (field("Pid:").as_deref(), field("NSpid:").as_deref()) {
        // Above or beside the namespace of the service, perhaps in a container of another one.
        (Some(["0"]), _) => Origin::Elsewhere,
        // It has ended and its parent knows.
        (Some(["-1"]), _) => Origin::Unknown,
        (Some([_]), Some([_])) => Origin::Host,
        (Some([_]), Some([_, _, ..])) => Origin::Container,
        _ => Origin::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use std::os::{fd::AsFd as _, unix::net::UnixStream};

    use super::*;

    #[test]
    fn a_process_of_this_namespace_is_of_the_host() {
        let (one, _other) = UnixStream::pair().unwrap();
        assert_eq!(origin(one.as_fd()), Origin::Host);
    }

    #[test]
    fn the_number_of_a_peer_is_its_own() {
        let (one, _other) = UnixStream::pair().unwrap();
        let own = rustix::process::getpid();
        assert_eq!(sys::peer::pid(one.as_fd()), Ok(Some(own)));
    }

    #[test]
    fn numbers_in_a_namespace_below_mean_a_container() {
        let of = |numbers: &str| origin_of(&format!("pos:\t0\nflags:\t02000002\n{numbers}"));
        assert_eq!(of("Pid:\t12\nNSpid:\t12\n"), Origin::Host);
        assert_eq!(of("Pid:\t12\nNSpid:\t12\t1\n"), Origin::Container);
        assert_eq!(of("Pid:\t12\nNSpid:\t12\t7\t1\n"), Origin::Container);
        assert_eq!(of("Pid:\t0\nNSpid:\t0\n"), Origin::Elsewhere);
        assert_eq!(of("Pid:\t-1\nNSpid:\t-1\n"), Origin::Unknown);
        assert_eq!(of("Pid:\t12\n"), Origin::Unknown);
        assert_eq!(of(""), Origin::Unknown);
    }
}
