//! Messages between the service and the launcher: one `SOCK_SEQPACKET` message each way.
//!
//! Both ends come from one executable, so there is no version and no escape: a request is six bytes (flags, number of
//! descriptors, owner of the user namespace) with the descriptors, an answer eight (errno, pid) with the pidfd.

use std::{
    collections::VecDeque,
    io::{IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{
    io::Errno,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
    },
};

use crate::failure::{self, Attempt, StepError};

/// The most descriptors a request may carry: channel, cgroup directory, one file per v1 hierarchy.
const MAX_DESCRIPTORS: usize = 16;

const CONTAINER: u8 = 1;
const NEW_NETWORK: u8 = 2;
const INTO_CGROUP: u8 = 4;
const NEW_USER: u8 = 8;

/// What to clone, as the launcher has it.
#[derive(Debug)]
pub(crate) struct LauncherRequest {
    /// The child's end of its channel.
    pub(crate) channel: OwnedFd,
    /// What kind of child.
    pub(crate) child: Child<OwnedFd>,
}

/// Kinds of children. Generic over owned and borrowed descriptors: the launcher's side and the service's.
#[derive(Debug)]
pub(crate) enum Child<Fd> {
    /// Pid 1 of a container.
    Container {
        /// Whether it gets a network namespace of its own.
        new_network: bool,
        /// Whether it gets a user namespace, which the service then has to map ids into, and whose that is on the host.
        /// What processes in the namespace use up of things that each user has so many of is its owner's as well.
        owner: Option<u32>,
        /// Directory of the cgroup of the unified hierarchy to be born in.
        cgroup: Option<Fd>,
        /// The `tasks` file of each v1 cgroup it is to join.
        tasks: Vec<Fd>,
    },
    /// A short-lived helper in the service's own namespaces.
    Job {
        /// But for a user namespace, which the service then has to map ids into.
        new_user: bool,
    },
}

impl Child<BorrowedFd<'_>> {
    /// Asks for such a child, `channel` being its end of its channel.
    pub(super) fn request(
        &self,
        channel: BorrowedFd<'_>,
        socket: BorrowedFd<'_>,
    ) -> Result<(), StepError> {
        let mut flags = match self {
            Child::Job { new_user: true } => NEW_USER,
            _ => 0,
        };
        let mut owned_by = 0;
        let mut descriptors = vec![channel];
        if let Child::Container {
            new_network,
            owner,
            cgroup,
            tasks,
        } = self
        {
            flags |= CONTAINER;
            if let Some(user) = owner {
                flags |= NEW_USER;
                owned_by = *user;
            }
            if *new_network {
                flags |= NEW_NETWORK;
            }
            if let Some(cgroup) = cgroup {
                flags |= INTO_CGROUP;
                descriptors.push(*cgroup);
            }
            descriptors.extend(tasks);
        }
        let count = u8::try_from(descriptors.len()).map_err(|_| Errno::INVAL);
        let count = count.step("counting the descriptors of a request")?;
        let [o0, o1, o2, o3] = owned_by.to_le_bytes();
        send_message(socket, &[flags, count, o0, o1, o2, o3], &descriptors)
            .step("asking the launcher")
    }
}

/// Waits for the next request; `None` when the service is gone.
pub(crate) fn receive_request(socket: BorrowedFd<'_>) -> Result<Option<LauncherRequest>, Errno> {
    let mut bytes = [0; 6];
    let mut descriptors = VecDeque::new();
    let received = receive_message(socket, &mut bytes, &mut descriptors)?;
    if received == 0 {
        return Ok(None);
    }
    let [flags, count, owner @ ..] = bytes;
    if received != bytes.len() || descriptors.len() != usize::from(count) {
        return Err(Errno::BADMSG);
    }
    let mut next = || descriptors.pop_front().ok_or(Errno::BADMSG);
    let channel = next()?;
    if flags & CONTAINER == 0 {
        let new_user = flags & NEW_USER != 0;
        let child = Child::Job { new_user };
        return Ok(Some(LauncherRequest { channel, child }));
    }
    let child = Child::Container {
        new_network: flags & NEW_NETWORK != 0,
        owner: (flags & NEW_USER != 0).then_some(u32::from_le_bytes(owner)),
        cgroup: (flags & INTO_CGROUP != 0).then(&mut next).transpose()?,
        tasks: descriptors.into(),
    };
    Ok(Some(LauncherRequest { channel, child }))
}

/// A child that was cloned.
#[derive(Debug)]
pub(crate) struct LauncherAnswer {
    /// Its pid on the host.
    pub(crate) pid: i32,
    /// Its pidfd.
    pub(crate) pidfd: OwnedFd,
}

/// Tells the service how the clone went. A child whose pidfd cannot be sent is none: it ends with its channel.
pub(super) fn send_answer(
    socket: BorrowedFd<'_>,
    answer: Result<&LauncherAnswer, Errno>,
) -> Result<(), Errno> {
    match send_clone(socket, answer) {
        Err(errno @ Errno::TOOMANYREFS) => send_clone(socket, Err(errno)),
        sent => sent,
    }
}

fn send_clone(socket: BorrowedFd<'_>, answer: Result<&LauncherAnswer, Errno>) -> Result<(), Errno> {
    let (errno, pid) = match answer {
        Ok(answer) => (0, answer.pid),
        Err(errno) => (errno.raw_os_error(), 0),
    };
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&errno.to_le_bytes());
    bytes[4..].copy_from_slice(&pid.to_le_bytes());
    let pidfd = answer.ok().map(|answer| answer.pidfd.as_fd());
    send_message(socket, &bytes, pidfd.as_slice())
}

/// Waits for the launcher's answer: the child, or why it could not be cloned.
///
/// # Errors
/// The answer was not received. It may still come, and would be taken for that to the next request: the socket is of no
/// more use.
pub(crate) fn receive_answer(
    socket: BorrowedFd<'_>,
) -> Result<Result<LauncherAnswer, StepError>, StepError> {
    let step = "waiting for the launcher";
    let mut bytes = [0; 8];
    let mut descriptors = VecDeque::new();
    let received = receive_message(socket, &mut bytes, &mut descriptors);
    // What a clone answers may be the same number.
    let late = |errno| match errno {
        Errno::AGAIN => Errno::TIMEDOUT,
        errno => errno,
    };
    let received = received.map_err(late).step(step)?;
    if received != bytes.len() {
        return Err(StepError::new(step, Errno::CONNRESET));
    }
    let [e0, e1, e2, e3, pid @ ..] = bytes;
    Ok(match i32::from_le_bytes([e0, e1, e2, e3]) {
        0 => {
            let pidfd = descriptors.pop_front();
            let pidfd = pidfd.ok_or_else(|| StepError::new(step, Errno::BADMSG));
            pidfd.map(|pidfd| LauncherAnswer {
                pid: i32::from_le_bytes(pid),
                pidfd,
            })
        }
        errno => Err(StepError::new(failure::CLONING, failure::errno(errno))),
    })
}

fn send_message(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(Errno::INVAL);
    }
    let bytes = [IoSlice::new(bytes)];
    rustix::io::retry_on_intr(|| sendmsg(socket, &bytes, &mut control, SendFlags::NOSIGNAL))
        .map(drop)
}

fn receive_message(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    descriptors: &mut VecDeque<OwnedFd>,
) -> Result<usize, Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut buffer = [IoSliceMut::new(buffer)];
    let received = rustix::io::retry_on_intr(|| {
        recvmsg(socket, &mut buffer, &mut control, RecvFlags::CMSG_CLOEXEC)
    })?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    Ok(received.bytes)
}

#[cfg(test)]
mod tests {
    use std::{fs::File, os::unix::net::UnixStream};

    use rustix::{
        fs::Uid,
        net::{AddressFamily, SocketFlags, SocketType, socketpair},
        process::{Resource, Rlimit, geteuid, getrlimit, setrlimit},
        thread::set_thread_res_uid,
    };

    use super::*;

    /// The kernel counts them for each user, and root's capabilities lift that: this thread becomes another user.
    #[test]
    fn a_child_whose_descriptor_cannot_be_sent_is_answered_as_none() {
        const FEW: u64 = 64;
        if geteuid().is_root() {
            let user = Uid::from_raw(54_397);
            set_thread_res_uid(user, user, user).unwrap();
        }
        let before = getrlimit(Resource::Nofile);
        let few = Rlimit {
            current: Some(FEW),
            ..before
        };
        setrlimit(Resource::Nofile, few).unwrap();
        let file = File::open("/dev/null").unwrap();
        let (sender, _kept) = UnixStream::pair().unwrap();
        for _ in 0..=FEW / 8 {
            hcs_wire::socket::send_all(&sender, b"x", &[file.as_fd(); 8]).unwrap();
        }
        let (kind, flags) = (SocketType::SEQPACKET, SocketFlags::CLOEXEC);
        let (ours, theirs) = socketpair(AddressFamily::UNIX, kind, flags, None).unwrap();
        let pidfd = file.into();
        let child = LauncherAnswer { pid: 7, pidfd };
        let sent = send_answer(theirs.as_fd(), Ok(&child));
        setrlimit(Resource::Nofile, before).unwrap();
        sent.unwrap();
        let refused = receive_answer(ours.as_fd()).unwrap().unwrap_err();
        assert_eq!(refused.errno, Errno::TOOMANYREFS);
    }
}
