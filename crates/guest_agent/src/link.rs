//! The seam to the host: where streams come from, and how stdio reaches a process.
//!
//! In a container the host connects to a listening unix socket and sends the child's ends of the pipes along with the
//! request ([`UnixLink`]). In a virtual machine the guest dials the host, for the stream as for each of the three
//! streams of a process (`crate::machine`); such a link is another implementation of [`Link`], served by the same loop.

use std::{
    collections::VecDeque,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
};

use hcs_schema::{Failure, HResult, Stdio};
use hcs_wire::{
    errno,
    guest::{GuestNetwork, MAX_LEFT_BYTES, Renewal, VsockStdioRelaySettings},
    peer::Peer,
    proof,
    socket::{keep_in_order, let_send_descriptors},
};
use rustix::{
    event::epoll::{self, EventData, EventFlags},
    fs::{FileType, Mode, OFlags, Uid, fchmod, fchown, fcntl_getfl, fcntl_setfl, fstat},
    io::Errno,
    net::{SocketFlags, accept_with},
};

/// Permissions of a pipe that was given to another user: that one, and the group that it had before, by which a service
/// that is not root opens it again.
const GIVEN_MODE: Mode = Mode::from_raw_mode(0o660);

/// Gives the pipes of a process to `user`, so that a process of that user can open `/dev/stdout` and its like again.
/// The host has made sure that they are pipes without a name that belong to its client. What cannot be given works as
/// it is: it can be read and written, but not opened again.
pub(crate) fn give_to(stdio: &Stdio<Option<OwnedFd>>, user: u32) {
    for end in stdio.as_ref().into_array().into_iter().flatten() {
        let is_given = fstat(end).is_ok_and(|found| {
            found.st_uid == user || !FileType::from_raw_mode(found.st_mode).is_fifo()
        });
        if is_given {
            continue;
        }
        // In this order: who is not its owner may not change the mode.
        let _as_it_is = fchmod(end, GIVEN_MODE);
        let _as_it_is = fchown(end, Some(Uid::from_raw(user)), None);
    }
}

/// Streams that are being dialled for a process, or why there is none. They end where this is dropped.
pub type Dialled = Stdio<Option<Result<DialledStream, Failure>>>;

/// A stream that is being dialled.
#[derive(Debug)]
pub struct DialledStream {
    /// It may not be connected yet.
    pub socket: OwnedFd,
    /// The port of the host that it goes to.
    pub port: u32,
}

/// A way to the host. Nothing here may block for longer than the host takes to accept a connection.
pub trait Link {
    /// Readable (level-triggered) when [`Link::next_stream`] is worth a call.
    fn descriptor(&self) -> BorrowedFd<'_>;

    /// A new stream to the host, non-blocking and close-on-exec; `None` when there is none yet. It takes the place of
    /// the one before.
    ///
    /// # Errors
    /// The errno of `accept4(2)` or `connect(2)`; the loop reports it and goes on.
    fn next_stream(&mut self) -> Result<Option<OwnedFd>, Errno>;

    /// The stream is gone. A link that dials arms its [`Link::descriptor`] here.
    fn stream_lost(&mut self) {}

    /// Begins to dial `ports` for the stdio of a process, where the link dials, and does not wait for the host. That
    /// answers while the agent does what else a process needs.
    fn dial(&mut self, _ports: VsockStdioRelaySettings) -> Dialled {
        Dialled::default()
    }

    /// The stdio of a process that wants `wanted`: from `sent`, the descriptors that came with its request in the order
    /// stdin, stdout, stderr, or what [`Link::dial`] has `dialled`, once the host has answered.
    ///
    /// # Errors
    /// What is missing or did not answer; everything given is closed then.
    fn stdio(
        &mut self,
        wanted: Stdio<bool>,
        dialled: Dialled,
        sent: Vec<OwnedFd>,
    ) -> Result<Stdio<Option<OwnedFd>>, Failure>;

    /// Whether descriptors come along with messages and can be sent back. Else the streams of [`Link::stdio`] are
    /// sockets; the agent puts pipes before them, and moves the bytes.
    fn passes_descriptors(&self) -> bool;

    /// The streams of a reader of kept output: one to write to, and one to read from where it is `attached`. As for
    /// [`Link::stdio`], they are standard output and standard input.
    ///
    /// # Errors
    /// As for [`Link::stdio`].
    fn reader(
        &mut self,
        attached: bool,
        ports: VsockStdioRelaySettings,
        sent: Vec<OwnedFd>,
    ) -> Result<Stdio<Option<OwnedFd>>, Failure> {
        let wanted = Stdio {
            stdin: attached,
            stdout: true,
            stderr: false,
        };
        let dialled = self.dial(ports);
        self.stdio(wanted, dialled, sent)
    }

    /// The files for kept output of a process: those that were `sent`, or files of the system.
    ///
    /// # Errors
    /// No files can be made.
    fn kept_files(&mut self, sent: Vec<OwnedFd>) -> Result<Vec<OwnedFd>, Failure> {
        Ok(sent)
    }

    /// The agent has come to its end, and all answers are in the queue of `stream`. Waits where they would be lost with
    /// the system, for a second at most.
    fn close_after_shutdown(&mut self, _stream: BorrowedFd<'_>) {}

    /// Whether [`Link::leave`] has a place for what is left.
    fn keeps_record(&self) -> bool {
        false
    }

    /// The system is to end with a process that has begun. Prepares for [`Link::leave`] what takes time, and does not
    /// wait for the host.
    fn will_leave(&mut self) {}

    /// Leaves `line` where a host finds it that comes after the agent's end; it follows what was left before. Whether
    /// that was possible. May wait for the host, for some seconds at most.
    fn leave(&mut self, _line: &[u8]) -> bool {
        false
    }

    /// Takes random bytes and the time of the host.
    ///
    /// # Errors
    /// The system has those of its host anyway, or the kernel refused.
    fn renew(&mut self, _renewal: &Renewal) -> Result<(), Failure> {
        let message = "a container has the clock and the random numbers of its host";
        Err(Failure::new(HResult::NOT_SUPPORTED, message))
    }

    /// Sets the network of the guest up. Cards that come later are set up when they come.
    ///
    /// # Errors
    /// The host sets the system's network up itself, or the kernel refused.
    fn set_network(&mut self, _wanted: &GuestNetwork) -> Result<(), Failure> {
        let message = "the host sets the network of a container up itself";
        Err(Failure::new(HResult::NOT_SUPPORTED, message))
    }

    /// Changes something of the guest as a request of the host says; `None` where it is about nothing that this guest
    /// has.
    fn change(&mut self, _request: &serde_json::Value) -> Option<Result<(), Failure>> {
        None
    }
}

/// By what the host is told from others that reach the agent's socket, as a container of another service may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// It proves that it is no process of a container ([`hcs_wire::proof`]).
    Proves,
    /// It can prove nothing, as the service of an ordinary user. It is this user, as the agent's user namespace sees
    /// it. The ids of other containers, and root of the host, are no ids there.
    IsUser(u32),
}

/// A listening unix stream socket; stdio as descriptors.
#[derive(Debug)]
pub struct UnixLink {
    listener: OwnedFd,
    /// The only user whose callers are the host, where they prove nothing.
    user: Option<u32>,
    /// Those who are still to prove that they are the host, where they have to.
    callers: Option<Callers>,
    /// The file for what the agent leaves, and how much is in it.
    left: Option<(OwnedFd, u64)>,
}

impl UnixLink {
    /// Takes a socket that is bound and listens. Only a caller that is the `host` takes the place of the stream before;
    /// others are hung up.
    ///
    /// # Errors
    /// The errno of `fcntl(2)`, `epoll_create1(2)` or `epoll_ctl(2)`.
    pub fn new(listener: OwnedFd, host: Host) -> Result<Self, Errno> {
        Self::leaving(listener, host, None)
    }

    /// [`UnixLink::new`], with a file of the host's for what the agent leaves, open for writing. It may be longer than
    /// what is in it, which is nothing yet.
    ///
    /// # Errors
    /// As for that.
    pub fn leaving(listener: OwnedFd, host: Host, left: Option<OwnedFd>) -> Result<Self, Errno> {
        let flags = fcntl_getfl(&listener)?;
        fcntl_setfl(&listener, flags | OFlags::NONBLOCK)?;
        // Until it is known who has come. The agent would wait for the close of what others send.
        let _every_one_may = let_send_descriptors(&listener, false);
        let (user, callers) = match host {
            Host::Proves => (None, Some(Callers::new(&listener)?)),
            Host::IsUser(user) => (Some(user), None),
        };
        Ok(Self {
            listener,
            user,
            callers,
            left: left.map(|file| (file, 0)),
        })
    }

    fn accept(&self) -> Result<Option<OwnedFd>, Errno> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        match accept_with(&self.listener, flags) {
            Ok(stream) => {
                let peer = Peer::of(&stream)?.user;
                let is_host = self.user.is_none_or(|user| user == peer);
                if is_host {
                    keep_in_order(&stream)?;
                }
                if is_host && self.callers.is_none() {
                    let _every_one_may = let_send_descriptors(&stream, true);
                }
                Ok(is_host.then_some(stream))
            }
            Err(Errno::AGAIN | Errno::INTR | Errno::CONNABORTED) => Ok(None),
            Err(errno) => Err(errno),
        }
    }
}

/// How many callers may have proved nothing yet. The host proves itself as it connects.
const MOST_CALLERS: usize = 4;

/// Callers that are still to prove that they are the host.
#[derive(Debug)]
struct Callers {
    /// The listener and all of them.
    epoll: OwnedFd,
    waiting: VecDeque<OwnedFd>,
}

impl Callers {
    fn new(listener: &OwnedFd) -> Result<Self, Errno> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, listener, EventData::new_u64(0), EventFlags::IN)?;
        Ok(Self {
            epoll,
            waiting: VecDeque::new(),
        })
    }

    /// One more. The one that has waited longest makes room for it, and is hung up.
    fn add(&mut self, caller: OwnedFd) -> Result<(), Errno> {
        proof::expect(&caller)?;
        epoll::add(&self.epoll, &caller, EventData::new_u64(0), EventFlags::IN)?;
        self.waiting.push_back(caller);
        if self.waiting.len() > MOST_CALLERS {
            self.waiting.pop_front();
        }
        Ok(())
    }

    /// The first that has proved itself. Those that have sent something else are hung up.
    fn proven(&mut self) -> Option<OwnedFd> {
        for _ in 0..self.waiting.len() {
            let caller = self.waiting.pop_front()?;
            match proof::receive(&caller) {
                Ok(()) => {
                    let _every_one_may = let_send_descriptors(&caller, true);
                    let left = epoll::delete(&self.epoll, &caller);
                    return left.is_ok().then_some(caller);
                }
                Err(Errno::AGAIN | Errno::INTR) => self.waiting.push_back(caller),
                Err(_) => {}
            }
        }
        None
    }
}

impl Link for UnixLink {
    fn keeps_record(&self) -> bool {
        self.left.is_some()
    }

    fn leave(&mut self, line: &[u8]) -> bool {
        let Some((file, length)) = &mut self.left else {
            return false;
        };
        if *length + line.len() as u64 > MAX_LEFT_BYTES as u64 {
            return false;
        }
        let written = rustix::io::retry_on_intr(|| rustix::io::pwrite(&*file, line, *length));
        // A part of a line is as none, and the next one takes its place.
        let is_whole = written == Ok(line.len());
        if is_whole {
            *length += line.len() as u64;
        }
        is_whole
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        let callers = self.callers.as_ref();
        callers.map_or(self.listener.as_fd(), |callers| callers.epoll.as_fd())
    }

    fn next_stream(&mut self) -> Result<Option<OwnedFd>, Errno> {
        let mut accepted = self.accept();
        if let Err(Errno::MFILE | Errno::NFILE) = accepted
            && let Some(callers) = &mut self.callers
            && !callers.waiting.is_empty()
        {
            // Those who have proved nothing make room, and not the stream of the host.
            if let Some(proven) = callers.proven() {
                return Ok(Some(proven));
            }
            callers.waiting.clear();
            accepted = self.accept();
        }
        let accepted = accepted?;
        let Some(callers) = &mut self.callers else {
            return Ok(accepted);
        };
        if let Some(caller) = accepted {
            callers.add(caller)?;
        }
        Ok(callers.proven())
    }

    fn stdio(
        &mut self,
        wanted: Stdio<bool>,
        _dialled: Dialled,
        sent: Vec<OwnedFd>,
    ) -> Result<Stdio<Option<OwnedFd>>, Failure> {
        from_descriptors(wanted, sent)
    }

    fn passes_descriptors(&self) -> bool {
        true
    }

    fn reader(
        &mut self,
        attached: bool,
        _ports: VsockStdioRelaySettings,
        sent: Vec<OwnedFd>,
    ) -> Result<Stdio<Option<OwnedFd>>, Failure> {
        reader_pipes(attached, sent)
    }
}

/// Gives each wanted stream its descriptor. One more than wanted is closed: a host that sends a stderr for a console.
fn from_descriptors(
    wanted: Stdio<bool>,
    sent: Vec<OwnedFd>,
) -> Result<Stdio<Option<OwnedFd>>, Failure> {
    let came = sent.len();
    let stdio = wanted.take(sent);
    let expected = wanted.count();
    if came < expected || came > expected + 1 {
        let message = format!(
            "the request came with {came} descriptors; its CreateStd*Pipe properties ask for {expected} \
             (some are lost on the way when the agent has too many open)"
        );
        return Err(Failure::new(HResult::E_INVALIDARG, message));
    }
    Ok(stdio)
}

/// The pipes of a reader, made non-blocking: one to write to, and if it is attached one to read from before that.
fn reader_pipes(attached: bool, sent: Vec<OwnedFd>) -> Result<Stdio<Option<OwnedFd>>, Failure> {
    let (count, mut sent) = (sent.len(), sent.into_iter());
    let input = if attached { sent.next() } else { None };
    let (Some(output), None, true) = (sent.next(), sent.next(), input.is_some() == attached) else {
        let message = format!(
            "the request came with {count} descriptors; the write end of one pipe was expected, and the read end of \
             another before it where the reader is attached"
        );
        return Err(Failure::new(HResult::E_INVALIDARG, message));
    };
    prepare(&output, OFlags::WRONLY)?;
    if let Some(input) = &input {
        prepare(input, OFlags::RDONLY)?;
    }
    Ok(Stdio {
        stdin: input,
        stdout: Some(output),
        stderr: None,
    })
}

/// Makes a pipe non-blocking.
fn prepare(pipe: &OwnedFd, access: OFlags) -> Result<(), Failure> {
    let is_pipe = fstat(pipe).is_ok_and(|found| FileType::from_raw_mode(found.st_mode).is_fifo());
    let flags = fcntl_getfl(pipe).unwrap_or(OFlags::PATH);
    if !is_pipe || flags & (OFlags::ACCMODE | OFlags::PATH) != access {
        let message =
            "the request came with a descriptor that is not that end of a pipe which was expected";
        return Err(Failure::new(HResult::E_INVALIDARG, message));
    }
    fcntl_setfl(pipe, flags | OFlags::NONBLOCK)
        .map_err(|errno| errno::failed("a pipe for kept output cannot be used", errno))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        os::unix::net::{UnixListener, UnixStream},
    };

    use rustix::process::getpid;

    use super::*;

    #[test]
    fn a_caller_of_another_user_is_hung_up_where_none_can_prove_anything() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.sock");
        let own = rustix::process::geteuid().as_raw();
        for (user, comes_in) in [(own, true), (own + 1, false)] {
            let listener = UnixListener::bind(&path).unwrap();
            let mut link = UnixLink::new(listener.into(), Host::IsUser(user)).unwrap();
            let mut caller = UnixStream::connect(&path).unwrap();
            assert_eq!(link.next_stream().unwrap().is_some(), comes_in);
            assert_eq!(caller.read(&mut [0]).unwrap(), 0);
            std::fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn a_caller_that_proves_nothing_does_not_come_in() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let mut link = UnixLink::new(listener.into(), Host::Proves).unwrap();
        let call = || UnixStream::connect(&path).unwrap();
        let mut all = Vec::new();
        for _ in 0..3 * MOST_CALLERS {
            all.push(call());
            assert!(link.next_stream().unwrap().is_none());
        }
        let mut first = all.swap_remove(0);
        assert_eq!(first.read(&mut [0]).unwrap(), 0, "it made room for others");
        let mut wrong = call();
        wrong.write_all(b"{}").unwrap();
        assert!(link.next_stream().unwrap().is_none());
        wrong.read_exact(&mut [0]).unwrap_err();
        let mut host = call();
        proof::send(&host, getpid()).unwrap();
        let stream = link.next_stream().unwrap().unwrap();
        host.write_all(b"request").unwrap();
        let mut came = [0; 16];
        assert_eq!(rustix::io::read(&stream, &mut came).unwrap(), 7);
        assert_eq!(&came[..7], b"request", "the proof is no part of it");
    }

    /// Their close may wait, and the agent would with it. From Linux 6.16; others that reach the socket can do that
    /// before (THREATS.md).
    #[test]
    fn a_caller_sends_descriptors_once_it_is_known_as_the_host() {
        let (_, other) = UnixStream::pair().unwrap();
        if let_send_descriptors(&other, false) == Err(Errno::NOPROTOOPT) {
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.sock");
        let own = rustix::process::geteuid().as_raw();
        for host in [Host::Proves, Host::IsUser(own)] {
            let listener = UnixListener::bind(&path).unwrap();
            let mut link = UnixLink::new(listener.into(), host).unwrap();
            let caller = UnixStream::connect(&path).unwrap();
            let send = || hcs_wire::socket::send(&caller, b"x", &[caller.as_fd()]);
            assert_eq!(send(), Err(Errno::PERM));
            if host == Host::Proves {
                assert!(link.next_stream().unwrap().is_none());
                assert_eq!(send(), Err(Errno::PERM));
                proof::send(&caller, getpid()).unwrap();
            }
            let _stream = link.next_stream().unwrap().unwrap();
            assert_eq!(send(), Ok(1));
            std::fs::remove_file(&path).unwrap();
        }
    }
}
