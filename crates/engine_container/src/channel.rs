//! The channel between the service and one child: what to do goes there, one report comes back.
//!
//! A stream socket. The service sends JSON with the descriptors that belong to it on the first byte and shuts its
//! direction; the child answers with one JSON document and closes. An early end of either direction means that the
//! other side has died. What a child can do before it knows what it is to be may come before that, framed ([`EARLY`]).

use std::{
    collections::VecDeque,
    os::fd::{BorrowedFd, OwnedFd},
    time::{Duration, Instant},
};

use hcs_engine::steps::Step;
use hcs_wire::socket::{MAX_DESCRIPTORS, send_all};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{AddressFamily, SendFlags, Shutdown, SocketFlags, SocketType, socketpair},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    failure::{Attempt, StepError},
    steps::Told,
};

/// More than any report is long.
const REPORT_LIMIT: usize = 64 << 10;

/// Begins what comes before the instructions, followed by the length of its JSON. No JSON begins so.
const EARLY: u8 = 1;
/// More than it is long.
const EARLY_LIMIT: usize = 64 << 10;

/// How a child's work ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    /// With it, the child has ended. Without: all is done; the agent of a container can be connected to.
    pub(crate) failed: Option<StepError>,
    /// What it had done.
    pub(crate) steps: Told,
}

impl Report {
    /// What a child says that did `steps` with this result.
    pub(crate) fn of(result: Result<(), StepError>, steps: &[Step]) -> Self {
        Self {
            failed: result.err(),
            steps: Told::now(steps),
        }
    }

    /// Notes the child's steps as some of the calling thread's; returns how its work ended.
    pub(crate) fn heard(self) -> Result<(), StepError> {
        self.steps.note();
        self.failed.map_or(Ok(()), Err)
    }
}

/// Makes one: the service's end, then the child's.
pub(crate) fn open() -> Result<(OwnedFd, OwnedFd), StepError> {
    let flags = SocketFlags::CLOEXEC;
    socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)
        .step("making a channel to a child")
}

/// What a child is told, and the descriptors that come with it.
type Message<T> = (T, VecDeque<OwnedFd>);

/// What a child has read of its instructions.
#[derive(Debug, Default)]
pub(crate) struct Begun {
    text: Vec<u8>,
    descriptors: VecDeque<OwnedFd>,
}

/// The child's side: waits for what it can do beforehand. Where nothing of that kind comes, what has been read of its
/// instructions is the second.
pub(crate) fn receive_early<T: DeserializeOwned>(
    channel: BorrowedFd<'_>,
) -> Result<(Option<Message<T>>, Begun), StepError> {
    let step = "reading what to do beforehand";
    let mut descriptors = VecDeque::new();
    let mut first = [0];
    let read = hcs_wire::socket::receive(channel, &mut first, &mut descriptors).step(step)?;
    if read == 0 || first != [EARLY] {
        let text = first[..read].to_vec();
        return Ok((None, Begun { text, descriptors }));
    }
    let mut length = [0; 4];
    receive_exactly(channel, &mut length, &mut descriptors).step(step)?;
    let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
    if length > EARLY_LIMIT {
        return Err(StepError::new(step, Errno::MSGSIZE));
    }
    let mut text = vec![0; length];
    receive_exactly(channel, &mut text, &mut descriptors).step(step)?;
    let what = serde_json::from_slice(&text).map_err(|_| StepError::new(step, Errno::BADMSG))?;
    Ok((Some((what, descriptors)), Begun::default()))
}

fn receive_exactly(
    channel: BorrowedFd<'_>,
    mut buffer: &mut [u8],
    descriptors: &mut VecDeque<OwnedFd>,
) -> Result<(), Errno> {
    while !buffer.is_empty() {
        match hcs_wire::socket::receive(channel, buffer, descriptors)? {
            0 => return Err(Errno::BADMSG),
            read => buffer = buffer.get_mut(read..).unwrap_or_default(),
        }
    }
    Ok(())
}

/// The child's side: waits for what it is to do.
pub(crate) fn receive<T: DeserializeOwned>(
    channel: BorrowedFd<'_>,
) -> Result<Message<T>, StepError> {
    receive_rest(channel, Begun::default())
}

/// The same, of which it has read the beginning.
pub(crate) fn receive_rest<T: DeserializeOwned>(
    channel: BorrowedFd<'_>,
    begun: Begun,
) -> Result<Message<T>, StepError> {
    let step = "reading what to do";
    let Begun {
        mut text,
        mut descriptors,
    } = begun;
    text.reserve(4096);
    loop {
        let mut buffer = [0; 4096];
        match hcs_wire::socket::receive(channel, &mut buffer, &mut descriptors).step(step)? {
            0 => break,
            read => text.extend_from_slice(&buffer[..read]),
        }
    }
    let what = serde_json::from_slice(&text).map_err(|_| StepError::new(step, Errno::BADMSG))?;
    Ok((what, descriptors))
}

/// The child's side: reports. A service that is gone will look at the agent's socket instead, so nothing is lost.
pub(crate) fn report(channel: BorrowedFd<'_>, report: &Report) {
    if let Ok(text) = serde_json::to_vec(report) {
        let _service_is_gone = rustix::net::send(channel, &text, SendFlags::NOSIGNAL);
    }
}

/// The service's side: says what to do. Blocks only for more than the socket's buffer holds, while the child reads.
///
/// A child that died before it had read all is no failure here: its report says more than our broken pipe.
pub(crate) fn instruct<T: Serialize>(
    channel: BorrowedFd<'_>,
    what: &T,
    descriptors: &[BorrowedFd<'_>],
) -> Result<(), StepError> {
    let step = "telling a child what to do";
    let text = serde_json::to_vec(what).map_err(|_| StepError::new(step, Errno::INVAL))?;
    let sent = send(channel, &text, descriptors)
        .and_then(|()| rustix::net::shutdown(channel, Shutdown::Write));
    unless_gone(sent).step(step)
}

/// The service's side: says what can be done before [`instruct`].
pub(crate) fn instruct_early<T: Serialize>(
    channel: BorrowedFd<'_>,
    what: &T,
    descriptors: &[BorrowedFd<'_>],
) -> Result<(), StepError> {
    let step = "telling a child what to do beforehand";
    let text = serde_json::to_vec(what).map_err(|_| StepError::new(step, Errno::INVAL))?;
    let length = u32::try_from(text.len()).map_err(|_| StepError::new(step, Errno::TOOBIG))?;
    let mut message = vec![EARLY];
    message.extend(length.to_le_bytes());
    message.extend(text);
    unless_gone(send(channel, &message, descriptors)).step(step)
}

fn unless_gone(sent: Result<(), Errno>) -> Result<(), Errno> {
    match sent {
        Err(Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN) => Ok(()),
        answer => answer,
    }
}

/// Sends `text`, its first bytes each with as many descriptors as one message may have.
fn send(
    channel: BorrowedFd<'_>,
    mut text: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> Result<(), Errno> {
    let mut parts = descriptors.chunks(MAX_DESCRIPTORS).peekable();
    while let Some(part) = parts.next() {
        let now = if parts.peek().is_some() {
            1
        } else {
            text.len()
        };
        let (first, rest) = text.split_at_checked(now).ok_or(Errno::TOOBIG)?;
        send_all(channel, first, part)?;
        text = rest;
    }
    send_all(channel, text, &[])
}

/// The service's side: waits until the child closes, at most for `limit`; returns what it said, `None` when it died
/// without a word.
pub(crate) fn read_report(channel: &OwnedFd, limit: Duration) -> Result<Option<Report>, StepError> {
    let step = "waiting for a child";
    let deadline = Instant::now() + limit;
    let mut text = Vec::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(|_| StepError::new(step, Errno::INVAL))?;
        let mut events = [PollFd::new(channel, PollFlags::IN)];
        match poll(&mut events, Some(&left)) {
            Ok(0) => return Err(StepError::new(step, Errno::TIMEDOUT)),
            Err(Errno::INTR) => continue,
            answer => answer.step(step)?,
        };
        let mut buffer = [0; 4096];
        match rustix::io::read(channel, &mut buffer) {
            // Reset: it died with a part of its instructions unread.
            Ok(0) | Err(Errno::CONNRESET) => return Ok(serde_json::from_slice(&text).ok()),
            Ok(read) => text.extend_from_slice(&buffer[..read]),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(StepError::new(step, errno)),
        }
        if text.len() > REPORT_LIMIT {
            return Err(StepError::new(step, Errno::MSGSIZE));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn instructions_and_descriptors_arrive_and_the_report_comes_back() {
        let (service, child) = open().unwrap();
        let what = "x".repeat(100_000);
        instruct(service.as_fd(), &what, &[service.as_fd(); 20]).unwrap();
        let (received, descriptors) = receive::<String>(child.as_fd()).unwrap();
        assert_eq!((received, descriptors.len()), (what, 20));
        let ((), steps) = hcs_engine::steps::watch(|| crate::steps::done("tested"));
        let failed = Report::of(Err(StepError::new("testing", Errno::PERM)), &steps);
        report(child.as_fd(), &failed);
        drop(child);
        drop(descriptors);
        assert_eq!(
            read_report(&service, Duration::from_secs(60)).unwrap(),
            Some(failed)
        );
    }

    #[test]
    fn what_comes_beforehand_is_told_from_the_instructions() {
        let (service, child) = open().unwrap();
        let early = || receive_early::<String>(child.as_fd()).unwrap();
        let own = service.as_fd();
        instruct_early(own, &"soon", &[own]).unwrap();
        instruct(own, &"now", &[own, own]).unwrap();
        let (first, begun) = early();
        let (what, descriptors) = first.unwrap();
        assert_eq!((&*what, descriptors.len()), ("soon", 1));
        let (what, descriptors) = receive_rest::<String>(child.as_fd(), begun).unwrap();
        assert_eq!((&*what, descriptors.len()), ("now", 2));
    }

    #[test]
    fn instructions_without_anything_beforehand_are_whole() {
        let (service, child) = open().unwrap();
        let own = service.as_fd();
        instruct(own, &"now", &[own; 3]).unwrap();
        let (first, begun) = receive_early::<String>(child.as_fd()).unwrap();
        assert!(first.is_none());
        let (what, descriptors) = receive_rest::<String>(child.as_fd(), begun).unwrap();
        assert_eq!((&*what, descriptors.len()), ("now", 3));
    }

    #[test]
    fn a_child_that_says_nothing_is_told_from_one_that_takes_long() {
        let (service, child) = open().unwrap();
        let late = read_report(&service, Duration::ZERO).unwrap_err();
        assert_eq!(late.errno, Errno::TIMEDOUT);
        drop(child);
        assert_eq!(
            read_report(&service, Duration::from_secs(60)).unwrap(),
            None
        );
        instruct(service.as_fd(), &1, &[]).unwrap();
    }
}
