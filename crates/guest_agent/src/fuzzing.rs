//! What the fuzz targets (`fuzz/`) reach: the readers of what comes from outside, without what they set in motion.
//!
//! Compiled with `--cfg fuzzing` only.

#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a fuzz target reports by panicking"
)]

use std::os::fd::{AsFd as _, OwnedFd};

use hcs_schema::documents::ProcessParameters;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use crate::{accounts, command::Command, names, proc_files, requests, stream::Stream};

/// The bytes of a host: received in pieces, some with descriptors, cut into requests, read as far as a request is read
/// before anything happens.
pub fn requests(data: &[u8]) {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (host, agent) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)
        .expect("there are descriptors left");
    let descriptor: OwnedFd = rustix::fs::open(
        "/dev/null",
        rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )
    .expect("there is a /dev/null");
    let mut stream = Stream::new(agent);
    let mut scratch = vec![0; 4096];
    let mut rest = data;
    while let Some((plan, tail)) = rest.split_first() {
        let size = usize::from(plan & 0x3f).min(tail.len());
        let size = if plan & 0x40 == 0 {
            size
        } else {
            tail.len().min(4096)
        };
        let (piece, tail) = tail.split_at(size);
        rest = tail;
        let sent = [descriptor.as_fd(), descriptor.as_fd()];
        let sent = if plan & 0x80 == 0 { &[][..] } else { &sent };
        if piece.is_empty() || hcs_wire::socket::send_all(&host, piece, sent).is_err() {
            continue;
        }
        if stream.receive(&mut scratch).is_err() {
            return;
        }
        loop {
            match stream.next_request() {
                Ok(Some((frame, _descriptors))) => requests::read_only(&frame),
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
}

/// Files that root of the system may have written: who is meant by a `User`.
pub fn accounts(user: &str, passwd: &str, group: &str) {
    if let Ok(identity) = accounts::resolve(user, passwd, group) {
        assert!(identity.uid != u32::MAX && identity.gid != u32::MAX);
        assert!(identity.groups.is_sorted() && !identity.groups.contains(&identity.gid));
    }
}

/// A command line, and what becomes of it.
pub fn command_line(line: &str) {
    let document = ProcessParameters {
        command_line: Some(line.to_owned()),
        ..ProcessParameters::default()
    };
    if let Ok(command) = Command::new(&document, None) {
        assert!(!command.arguments.is_empty() && !command.candidates.is_empty());
    }
}

/// `/etc/hosts`, which root of the system may have changed, and names for it.
pub fn names(own: &[u8], names: &str) {
    let once = names::replaced(own, names);
    assert!(once.len() <= own.len() + names.len() + 256);
    assert_eq!(names::replaced(&once, names), once);
}

/// Files of `/proc`, in which a process has chosen its name.
pub fn proc_files(text: &str) {
    proc_files::read_only(text);
}
