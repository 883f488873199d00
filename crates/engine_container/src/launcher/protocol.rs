//! Messages between the service and the launcher: one `SOCK_SEQPACKET` message each way.
//!
//! Both ends come from one executable, so there is no version and no escape: a request is two bytes (flags, number of
//! descriptors) with the descriptors, an answer eight (errno, pid) with the pidfd.

use std::{
    collections::VecDeque,
    io::{IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{BorrowedFd, OwnedFd},
};

use rustix::{
    io::Errno,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
    },
};

use crate::failure::{Attempt, StepError};

/// The most descriptors a request may carry: channel, cgroup directory, one file per v1 hierarchy.
const MAX_DESCRIPTORS: usize = 16;

const NEW_NETWORK: u8 = 1;
const INTO_CGROUP: u8 = 2;

/// What to clone.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    /// The child's end of its channel.
    pub(crate) channel: BorrowedFd<'a>,
    /// Whether it gets a network namespace of its own.
    pub(crate) new_network: bool,
    /// Directory of the cgroup of the unified hierarchy to be born in.
    pub(crate) cgroup: Option<BorrowedFd<'a>>,
    /// The `tasks` file of each v1 cgroup it is to join.
    pub(crate) tasks: Vec<BorrowedFd<'a>>,
}

impl Request<'_> {
    pub(super) fn send(&self, socket: BorrowedFd<'_>) -> Result<(), StepError> {
        let mut flags = 0;
        let mut descriptors = vec![self.channel];
        if self.new_network {
            flags |= NEW_NETWORK;
        }
        if let Some(cgroup) = self.cgroup {
            flags |= INTO_CGROUP;
            descriptors.push(cgroup);
        }
        descriptors.extend(&self.tasks);
        let count = u8::try_from(descriptors.len()).map_err(|_| Errno::INVAL);
        let count = count.step("counting the descriptors of a request")?;
        send_message(socket, &[flags, count], &descriptors).step("asking the launcher")
    }
}

/// What a request says to the launcher.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) channel: OwnedFd,
    pub(super) new_network: bool,
    pub(super) cgroup: Option<OwnedFd>,
    pub(super) tasks: Vec<OwnedFd>,
}

/// Waits for the next request; `None` when the service is gone.
pub(super) fn receive_order(socket: BorrowedFd<'_>) -> Result<Option<Order>, Errno> {
    let mut bytes = [0; 2];
    let mut descriptors = VecDeque::new();
    let received = receive_message(socket, &mut bytes, &mut descriptors)?;
    if received == 0 {
        return Ok(None);
    }
    let [flags, count] = bytes;
    if received != bytes.len() || descriptors.len() != usize::from(count) {
        return Err(Errno::BADMSG);
    }
    let channel = descriptors.pop_front().ok_or(Errno::BADMSG)?;
    let cgroup = match flags & INTO_CGROUP {
        0 => None,
        _ => Some(descriptors.pop_front().ok_or(Errno::BADMSG)?),
    };
    Ok(Some(Order {
        channel,
        new_network: flags & NEW_NETWORK != 0,
        cgroup,
        tasks: descriptors.into(),
    }))
}

/// A child that was cloned.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Its pid on the host.
    pub(crate) pid: i32,
    /// Its pidfd.
    pub(crate) pidfd: OwnedFd,
}

/// Tells the service how the clone went.
pub(super) fn send_answer(
    socket: BorrowedFd<'_>,
    answer: Result<&Answer, Errno>,
) -> Result<(), Errno> {
    let (errno, pid) = match answer {
        Ok(answer) => (0, answer.pid),
        Err(errno) => (errno.raw_os_error(), 0),
    };
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&errno.to_le_bytes());
    bytes[4..].copy_from_slice(&pid.to_le_bytes());
    let pidfd = answer.ok().map(|answer| {
        use std::os::fd::AsFd;
        answer.pidfd.as_fd()
    });
    send_message(socket, &bytes, pidfd.as_slice())
}

/// Waits for the launcher's answer.
pub(super) fn receive_answer(socket: BorrowedFd<'_>) -> Result<Answer, StepError> {
    let step = "waiting for the launcher";
    let mut bytes = [0; 8];
    let mut descriptors = VecDeque::new();
    let received = receive_message(socket, &mut bytes, &mut descriptors).step(step)?;
    if received != bytes.len() {
        return Err(StepError::new(step, Errno::CONNRESET));
    }
    let [e0, e1, e2, e3, pid @ ..] = bytes;
    match i32::from_le_bytes([e0, e1, e2, e3]) {
        0 => {
            let pidfd = descriptors.pop_front();
            Ok(Answer {
                pid: i32::from_le_bytes(pid),
                pidfd: pidfd.ok_or_else(|| StepError::new(step, Errno::BADMSG))?,
            })
        }
        errno => Err(StepError::new(
            "cloning a process into new namespaces",
            Errno::from_raw_os_error(errno),
        )),
    }
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
