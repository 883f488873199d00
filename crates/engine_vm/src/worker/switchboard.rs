//! The ports of the host that a guest can dial (`vsock(7)`), and the streams that wait for the service to take them.
//!
//! The agent dials [`BRIDGE_PORT`], and for the standard streams of a process the ports that the service named to it.
//! It dials from a reserved port ([`LAST_RESERVED_PORT`]), which the guest's kernel gives to privileged programs only:
//! any other program of the guest that dials is refused, so it cannot take the agent's place, nor that of a process's
//! streams. The same goes for [`LEFT_PORT`], whose streams are the worker's own. A guest may dial as it likes: what
//! waits is bounded, and the service takes only what it has asked for.
//!
//! Microsoft's agent dials from any port. A document that says `UseVsock` lets it, until an agent has dialled from a
//! reserved port: then the guest has one of ours, and no other is let in until the guest starts again.

use std::{
    collections::VecDeque,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::net::UnixStream,
    },
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use hcs_wire::guest::{BRIDGE_PORT, LAST_RESERVED_PORT, LEFT_PORT};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use vhost_vsock::{Handle, Services};

use super::{hv_socket::HvSocket, left::Left, shares::Shares};
use crate::protocol::{self, STDIO_PORTS, WorkerAnswer};

/// The most streams of processes that wait; the oldest goes first.
const MOST_WAITING: usize = 192;
/// The most calls of the service that wait for the agent; the oldest goes first. One does, and few of calls that were
/// given up.
const MOST_CALLS: usize = 8;

/// Streams that the guest has dialled. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Switchboard(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    /// The newest stream of the agent.
    agent: Option<OwnedFd>,
    stdio: VecDeque<(u32, OwnedFd)>,
    /// Connections of the service that wait until there is a stream of the agent.
    calls: VecDeque<OwnedFd>,
    /// Whether the document lets the agent dial from any port.
    may_from_any_port: bool,
    /// Whether it may now.
    from_any_port: bool,
    /// Whether an agent has dialled from a port that is not reserved. The service may have its stream.
    has_unproven: bool,
    /// The device that streams come from.
    device: Option<Handle>,
    /// What the agent leaves.
    left: Option<Left>,
}

impl Waiting {
    fn may_dial(&self, port: u32, from: u32) -> bool {
        // Only an agent of ours leaves something.
        from <= LAST_RESERVED_PORT || (self.from_any_port && port != LEFT_PORT)
    }

    /// Whether a stream of the agent waits that the guest has not closed.
    fn has_agent(&mut self) -> bool {
        if self.agent.as_ref().is_some_and(has_ended) {
            self.agent = None;
        }
        self.agent.is_some()
    }

    /// Another guest has started, so nothing is known of its agent, and what the former one has dialled is over.
    fn restart(&mut self) {
        self.agent = None;
        self.stdio.clear();
        self.from_any_port = self.may_from_any_port;
        self.has_unproven = false;
        if let Some(left) = &self.left {
            left.restart();
        }
    }

    /// The guest has an agent that dials from reserved ports. One that does not is an impostor: all streams end, those
    /// that the service has as well, and the agent dials again.
    fn prove(&mut self) {
        self.from_any_port = false;
        if std::mem::take(&mut self.has_unproven) {
            self.stdio.clear();
            if let Some(device) = &self.device {
                device.reset();
            }
        }
    }
}

impl Switchboard {
    /// One whose agent may dial from any port, or only from those that are reserved; and with a place for what it
    /// leaves, or without.
    pub(super) fn new(from_any_port: bool, left: Option<Left>) -> Self {
        let waiting = Waiting {
            left,
            may_from_any_port: from_any_port,
            from_any_port,
            ..Waiting::default()
        };
        Self(Arc::new(Mutex::new(waiting)))
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Each change is one push or one take.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The guest starts again.
    pub(super) fn restart(&self) {
        self.waiting().restart();
    }

    /// Names the device that streams come from.
    pub(super) fn set_device(&self, device: Handle) {
        self.waiting().device = Some(device);
    }

    /// Whether a stream of the agent waits that the guest has not closed.
    pub(super) fn has_agent(&self) -> bool {
        self.waiting().has_agent()
    }

    /// Answers on the connection `call` as soon as a stream of the agent waits.
    pub(super) fn await_agent(&self, call: OwnedFd) {
        let mut waiting = self.waiting();
        if waiting.has_agent() {
            return tell(&call);
        }
        waiting.calls.retain(|call| !has_ended(call));
        if waiting.calls.len() == MOST_CALLS {
            waiting.calls.pop_front();
        }
        waiting.calls.push_back(call);
    }

    /// Takes the stream of the agent.
    pub(super) fn take_agent(&self) -> Option<OwnedFd> {
        self.has_agent().then(|| self.waiting().agent.take())?
    }

    /// Takes the stream that was dialled to `port`.
    pub(super) fn take_stdio(&self, port: u32) -> Option<OwnedFd> {
        let mut waiting = self.waiting();
        let index = waiting.stdio.iter().position(|(known, _)| *known == port)?;
        waiting.stdio.remove(index).map(|(_, stream)| stream)
    }
}

/// What a guest dials: the service, which its agent reaches, shares, and programs of the host.
#[derive(Clone, Debug)]
pub(super) struct Dialled {
    /// Whether the ports of the agent are the service's.
    has_agent: bool,
    board: Switchboard,
    sockets: Option<HvSocket>,
    shares: Option<Shares>,
}

impl Dialled {
    /// Of a machine with the streams of an agent or without an agent, with sockets of programs or not, and with shares
    /// or not.
    pub(super) fn new(
        agent: Option<Switchboard>,
        sockets: Option<HvSocket>,
        shares: Option<Shares>,
    ) -> Self {
        Self {
            has_agent: agent.is_some(),
            board: agent.unwrap_or_default(),
            sockets,
            shares,
        }
    }

    /// The streams for the service.
    pub(super) const fn switchboard(&self) -> &Switchboard {
        &self.board
    }
}

impl Services for Dialled {
    fn connect(&mut self, port: u32, from: u32) -> Option<OwnedFd> {
        if self.has_agent && is_agents(port) {
            return self.board.connect(port, from);
        }
        match &self.shares {
            Some(shares) if shares.has(port) => shares.dial(port),
            _ => self.sockets.as_ref()?.dial(port),
        }
    }

    fn may_use_reserve(&self, port: u32, from: u32) -> bool {
        self.has_agent && self.board.may_use_reserve(port, from)
    }
}

/// Whether a port is one that an agent dials.
fn is_agents(port: u32) -> bool {
    [BRIDGE_PORT, LEFT_PORT].contains(&port) || STDIO_PORTS.contains(&port)
}

impl Services for Switchboard {
    fn may_use_reserve(&self, port: u32, from: u32) -> bool {
        is_agents(port) && self.waiting().may_dial(port, from)
    }

    fn connect(&mut self, port: u32, from: u32) -> Option<OwnedFd> {
        if !self.may_use_reserve(port, from) {
            return None;
        }
        if port == LEFT_PORT {
            let left = self.waiting().left.clone();
            return left?.dial();
        }
        let (ours, theirs) = UnixStream::pair().ok()?;
        let mut waiting = self.waiting();
        if port == BRIDGE_PORT {
            if from <= LAST_RESERVED_PORT {
                waiting.prove();
            } else {
                waiting.has_unproven = true;
            }
            waiting.agent = Some(ours.into());
            waiting.calls.drain(..).for_each(|call| tell(&call));
            return Some(theirs.into());
        }
        if waiting.stdio.iter().any(|(known, _)| *known == port) {
            return None;
        }
        if waiting.stdio.len() == MOST_WAITING {
            waiting.stdio.pop_front();
        }
        waiting.stdio.push_back((port, ours.into()));
        Some(theirs.into())
    }
}

/// Says on the connection `call` that the agent has dialled. It is the only answer there, so there is room for it.
fn tell(call: &OwnedFd) {
    let _gone = protocol::send(call.as_fd(), &WorkerAnswer::Done, None);
}

/// Whether the other end of a stream is closed.
fn has_ended(stream: &OwnedFd) -> bool {
    let mut polled = [PollFd::from_borrowed_fd(stream.as_fd(), PollFlags::empty())];
    let looked = poll(&mut polled, Some(&Timespec::default()));
    looked.is_err() || polled[0].revents().contains(PollFlags::HUP)
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        time::Duration,
    };

    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    use super::*;
    use crate::worker::vsock::VsockServer;

    /// A port that an agent dials from.
    const OWN: u32 = 700;

    #[test]
    fn the_newest_stream_of_the_agent_counts_and_a_dead_one_is_none() {
        let board = Switchboard::default();
        let mut services = board.clone();
        assert!(!board.has_agent() && board.take_agent().is_none());
        let first = services.connect(BRIDGE_PORT, OWN).unwrap();
        let mut second = UnixStream::from(services.connect(BRIDGE_PORT, OWN).unwrap());
        let mut end = Vec::new();
        UnixStream::from(first).read_to_end(&mut end).unwrap();
        second.write_all(b"x").unwrap();
        let mut taken = UnixStream::from(board.take_agent().unwrap());
        assert!(board.take_agent().is_none());
        taken.read_exact(&mut [0]).unwrap();
        drop(services.connect(BRIDGE_PORT, OWN).unwrap());
        assert!(!board.has_agent() && board.take_agent().is_none());
    }

    /// A call of the service that waits for the agent; both ends.
    fn call() -> (OwnedFd, OwnedFd) {
        let flags = SocketFlags::CLOEXEC;
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap()
    }

    fn is_answered(call: &OwnedFd) -> bool {
        let answer = protocol::receive::<WorkerAnswer>(call.as_fd(), Duration::from_millis(1));
        matches!(answer, Ok((WorkerAnswer::Done, None)))
    }

    #[test]
    fn who_waits_for_the_agent_is_told_when_it_dials() {
        let board = Switchboard::default();
        let mut services = board.clone();
        let calls: Vec<(OwnedFd, OwnedFd)> = (0..=MOST_CALLS).map(|_| call()).collect();
        let (calls, ends): (Vec<_>, Vec<_>) = calls.into_iter().unzip();
        ends.into_iter().for_each(|end| board.await_agent(end));
        assert!(
            services
                .connect(BRIDGE_PORT, LAST_RESERVED_PORT + 1)
                .is_none()
        );
        assert!(services.connect(*STDIO_PORTS.start(), OWN).is_some());
        assert!(!calls.iter().any(is_answered), "none is the agent");
        // A guest that starts again has an agent, too.
        board.restart();
        let agent = services.connect(BRIDGE_PORT, OWN).unwrap();
        assert!(!is_answered(&calls[0]), "it was the oldest of too many");
        assert!(calls[1..].iter().all(is_answered));
        let (late, end) = call();
        board.await_agent(end);
        assert!(is_answered(&late), "it has dialled already");
        // One that has left is not there.
        drop(agent);
        let (later, end) = call();
        board.await_agent(end);
        assert!(!is_answered(&later));
        assert!(services.connect(BRIDGE_PORT, OWN).is_some());
        assert!(is_answered(&later));
    }

    #[test]
    fn calls_that_were_given_up_keep_no_other_out() {
        let board = Switchboard::default();
        let (first, end) = call();
        board.await_agent(end);
        for _ in 0..2 * MOST_CALLS {
            board.await_agent(call().1);
        }
        let _agent = board.clone().connect(BRIDGE_PORT, OWN).unwrap();
        assert!(is_answered(&first));
    }

    #[test]
    fn what_dials_from_a_port_that_is_not_reserved_is_refused() {
        let board = Switchboard::default();
        let mut services = board.clone();
        let agent = services.connect(BRIDGE_PORT, LAST_RESERVED_PORT).unwrap();
        let stdio = *STDIO_PORTS.start();
        for other in [LAST_RESERVED_PORT + 1, BRIDGE_PORT, u32::MAX] {
            assert!(services.connect(BRIDGE_PORT, other).is_none());
            assert!(!services.may_use_reserve(BRIDGE_PORT, other));
            assert!(services.connect(stdio, other).is_none());
        }
        assert!(board.has_agent(), "the agent's stream has stayed");
        assert!(board.take_stdio(stdio).is_none());
        board.restart();
        assert!(services.connect(BRIDGE_PORT, BRIDGE_PORT).is_none());
        drop(agent);
    }

    #[test]
    fn an_agent_that_dials_from_any_port_gives_way_to_one_that_need_not() {
        const ANY: u32 = 4000;
        let board = Switchboard::new(true, None);
        let (ours, _front_end) = UnixStream::pair().unwrap();
        let device = VsockServer::serve(ours, 16, board.clone()).unwrap();
        board.set_device(device.handle().clone());
        // A stream of the guest.
        let mut stream = device.handle().connect_at_once(1).unwrap();
        // Only so that a failure does not hang.
        let patience = Duration::from_secs(20);
        stream.set_read_timeout(Some(patience)).unwrap();
        let mut services = board.clone();
        let stdio = *STDIO_PORTS.start();
        let other = services.connect(BRIDGE_PORT, ANY).unwrap();
        assert!(services.may_use_reserve(BRIDGE_PORT, ANY));
        let waits = services.connect(stdio, ANY).unwrap();
        // The service has it, and asks it for streams.
        let taken = board.take_agent().unwrap();
        let own = services.connect(BRIDGE_PORT, OWN).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0, "all streams end");
        assert!(board.take_stdio(stdio).is_none());
        assert!(board.has_agent());
        assert!(services.connect(BRIDGE_PORT, ANY).is_none());
        assert!(services.connect(stdio, ANY).is_none());
        assert!(!services.may_use_reserve(BRIDGE_PORT, ANY));
        // The next guest may have the other agent.
        board.restart();
        assert!(!board.has_agent());
        let next = services.connect(BRIDGE_PORT, ANY).unwrap();
        assert!(board.has_agent() && services.may_use_reserve(stdio, ANY));
        drop((own, waits, other, taken, next));
    }

    #[test]
    fn streams_of_processes_wait_by_port_within_a_limit() {
        let board = Switchboard::default();
        let mut services = board.clone();
        let first = *STDIO_PORTS.start();
        for refused in [0, 22, BRIDGE_PORT - 1, BRIDGE_PORT + 1, u32::MAX] {
            assert!(services.connect(refused, OWN).is_none(), "{refused}");
        }
        let dialled: Vec<_> = (first..)
            .take(MOST_WAITING + 1)
            .map(|port| services.connect(port, OWN).unwrap())
            .collect();
        assert!(
            services.connect(first + 1, OWN).is_none(),
            "it waits already"
        );
        assert!(board.take_stdio(first).is_none(), "it was the oldest");
        for port in (first + 1..).take(MOST_WAITING) {
            assert!(board.take_stdio(port).is_some() && board.take_stdio(port).is_none());
        }
        drop(dialled);
    }
}
