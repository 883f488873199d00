//! The guest bridge from the service's side: one stream to the agent of one system.
//!
//! The agent is NOT trusted. Its messages are bounded by the decoder; every answer has to be the answer to an open
//! request, of that request's kind, and say something possible. An agent that breaks this has its own system ended
//! ([`GuestLink::fault`]), nothing else.
//!
//! The division of work: the link's own task reads and writes; calls ([`calls`]) put a request into the table of open
//! requests and wait for its answer. Exits are taken in by the reading task itself, so they are known in the order
//! the agent told them, whatever else is waiting to run.

pub(crate) mod answers;
pub(crate) mod calls;
mod deadlines;

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, VecDeque},
    convert::Infallible,
    os::fd::OwnedFd,
    pin::pin,
    rc::{Rc, Weak},
    time::Duration,
};

use hcs_schema::{Failure, HResult, win32};
use hcs_wire::{
    errno,
    guest::{
        Decoder, ExecuteProcessResponse, Frame, GcsCapabilities, MAX_MESSAGE_BYTES, MessageType,
        Rpc, encode,
    },
    socket,
};
use rustix::io::Errno;
use serde::Serialize;
use tokio::{
    io::unix::AsyncFd,
    sync::{Notify, oneshot},
    time::Instant,
};
use tracing::{debug, warn};

use self::{
    answers::{body, check_length, take_exit},
    deadlines::Deadlines,
};
use crate::{
    network::AgentNetworks,
    record::operations::{self, CallKeeper},
    system::process::Process,
    thread::{
        closing::{Closing, PeerSocket, Received},
        outgoing::{Closed, Outgoing, Unread, Unsent},
        readiness::watch_stream,
        share::{Giving, Turns},
    },
};

/// Bytes of requests an agent may leave unread before calls to it fail.
const UNREAD_BOUND: usize = 4 << 20;

/// Requests an agent may leave unanswered; every living process is one.
const MOST_OPEN: usize = 1 << 20;

/// Notifications that are taken in silence on one stream. Our agent sends none, others one for the end of a container.
const MOST_NOTIFICATIONS: usize = 16;

/// How long nothing may come of what the agent has said already when nothing can be said to it any more.
const LAST_SAID: Duration = Duration::from_secs(1);

/// How long that may take as a whole. An agent that is gone has left no more than its socket holds; one that goes on
/// would keep its system from ending.
const MOST_SAID: Duration = Duration::from_secs(60);

/// A task that waits for an answer; gone when none does any more.
type Waiter<T> = Option<oneshot::Sender<Result<T, Failure>>>;

/// What the agent has not answered yet.
#[derive(Debug)]
enum OpenRequest {
    /// A plain call.
    Call(Rpc, Waiter<Frame>),
    /// Creates a process. Registered as soon as the answer is read, before anything else can be read.
    Execute(Rc<Process>, Waiter<ExecuteProcessResponse>),
    /// Answered when the process has exited.
    Exit(Rc<Process>),
    /// Asks for the stdio of a process; the only answer that may carry descriptors.
    Stdio(Waiter<(Frame, Received)>),
    /// Gives it the names of its networks.
    Names,
}

/// The names of the networks of its container.
#[derive(Debug, Default)]
struct ToldNames {
    wanted: Option<AgentNetworks>,
    sent: Option<AgentNetworks>,
    /// How often they were sent without an answer so far.
    open: u32,
}

/// An entry of the table of open requests.
#[derive(Debug)]
struct Open {
    request: OpenRequest,
    deadline: Option<Instant>,
}

/// Descriptors that came and belong to no answer yet.
struct Carried {
    descriptors: VecDeque<OwnedFd>,
    closing: Closing,
}

impl Carried {
    fn take(&mut self) -> Received {
        Received::new(self.descriptors.drain(..), &self.closing)
    }

    fn close(&mut self) {
        self.closing.close(self.descriptors.drain(..));
    }
}

impl Drop for Carried {
    fn drop(&mut self) {
        self.close();
    }
}

/// A stream to one agent. Belongs to the service's thread.
#[derive(Debug)]
pub(crate) struct GuestLink {
    outgoing: Outgoing,
    socket: Rc<AsyncFd<PeerSocket>>,
    open: RefCell<HashMap<u64, Open>>,
    deadlines: Deadlines,
    next_id: Cell<u64>,
    capabilities: RefCell<GcsCapabilities>,
    /// Why the agent is not to be believed any more.
    fault: RefCell<Option<String>>,
    ended: Cell<bool>,
    /// Whether everything was taken in that the agent has said, to the end of the stream.
    heard_all: Cell<bool>,
    /// When the last message was taken in.
    last_taken: Cell<Instant>,
    /// [`LAST_SAID`], but for tests.
    last_said: Duration,
    /// Whether the clients of its system have been told that it ended.
    pub(crate) end_is_told: Cell<bool>,
    changed: Notify,
    /// For the time lines of calls that its agent remembers.
    me: Weak<Self>,
    /// Calls whose clients have their answers, for the agent to forget with the next request.
    released: RefCell<VecDeque<String>>,
    names: RefCell<ToldNames>,
    /// What the agent says is taken in, in turns with all others.
    turns: Turns,
    _giving: Rc<Giving>,
    notifications: Cell<usize>,
    /// Held while stdio is asked for, so that no two answers with descriptors are under way.
    fetching: tokio::sync::Mutex<()>,
}

impl GuestLink {
    /// Takes a connected stream over and starts its task. Nothing has been said on it yet.
    /// What it says is taken in in `turns`.
    pub(crate) fn start(stream: OwnedFd, turns: (Turns, Rc<Giving>)) -> Result<Rc<Self>, Failure> {
        Self::start_within(stream, LAST_SAID, turns)
    }

    fn start_within(
        stream: OwnedFd,
        last_said: Duration,
        (turns, giving): (Turns, Rc<Giving>),
    ) -> Result<Rc<Self>, Failure> {
        let failed = |e: &(dyn std::error::Error + 'static)| {
            Failure::new(
                HResult::HCS_E_CONNECT_FAILED,
                "the stream to the guest agent cannot be used",
            )
            .because(e)
        };
        rustix::io::ioctl_fionbio(&stream, true).map_err(|e| failed(&e))?;
        // The agent of a virtual machine may be connected by another kind of socket, without such bytes.
        let _has_none = socket::keep_in_order(&stream);
        let socket = Rc::new(
            watch_stream(PeerSocket::new(stream, &Closing::default())).map_err(|e| failed(&e))?,
        );
        let link = Rc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            released: RefCell::default(),
            names: RefCell::default(),
            outgoing: Outgoing::new(Rc::clone(&socket), UNREAD_BOUND, Unread::new(usize::MAX)),
            socket,
            open: RefCell::default(),
            deadlines: Deadlines::default(),
            next_id: Cell::new(1),
            capabilities: RefCell::default(),
            fault: RefCell::default(),
            ended: Cell::new(false),
            heard_all: Cell::new(false),
            last_taken: Cell::new(Instant::now()),
            last_said,
            end_is_told: Cell::new(false),
            changed: Notify::new(),
            turns,
            _giving: giving,
            notifications: Cell::new(0),
            fetching: tokio::sync::Mutex::default(),
        });
        tokio::task::spawn_local(Rc::clone(&link).run());
        Ok(link)
    }

    async fn run(self: Rc<Self>) {
        let mut reading = pin!(self.read());
        let result = tokio::select! {
            result = &mut reading => result,
            _ = self.outgoing.run(&self.turns) => match self.has_ended() {
                true => Ok(()),
                // An agent that is gone has said the exits that wait for their turn.
                false => self.while_it_speaks(reading).await.unwrap_or(Ok(())),
            },
            never = self.give_up_late_ones() => match never {},
        };
        if let Err(reason) = result {
            warn!(%reason, "the guest agent broke the protocol");
            self.fault.replace(Some(reason));
        }
        self.close();
    }

    /// Fails the calls that are not answered in time. Their answers may still come, and are then taken in silence.
    async fn give_up_late_ones(&self) -> Infallible {
        loop {
            let id = self.deadlines.passed().await;
            let mut open = self.open.borrow_mut();
            let Some(late) = open.get_mut(&id) else {
                continue;
            };
            late.deadline = None;
            match &mut late.request {
                OpenRequest::Call(rpc, waiter) => give_up(waiter, *rpc),
                OpenRequest::Execute(_, waiter) => give_up(waiter, Rpc::ExecuteProcess),
                OpenRequest::Stdio(waiter) => give_up(waiter, Rpc::FetchStdio),
                OpenRequest::Exit(_) | OpenRequest::Names => {}
            }
        }
    }

    /// Notes a request that was sent.
    fn note(&self, id: u64, request: OpenRequest, limit: Option<Duration>) {
        let deadline = limit.map(|limit| Instant::now() + limit);
        if let Some(deadline) = deadline {
            self.deadlines.add(deadline, id);
        }
        self.open
            .borrow_mut()
            .insert(id, Open { request, deadline });
    }

    /// Ends the stream. Waiting calls fail.
    pub(crate) fn close(&self) {
        self.outgoing.close(Closed::Gone);
        self.ended.set(true);
        self.open.borrow_mut().clear();
        self.changed.notify_waiters();
    }

    /// Waits for `hearing` as long as messages are taken in, however slowly; `None` when it was given up.
    pub(crate) async fn while_it_speaks<T>(&self, hearing: impl Future<Output = T>) -> Option<T> {
        let mut hearing = pin!(hearing);
        let begun = Instant::now();
        let last = begun + MOST_SAID;
        let mut since = begun;
        loop {
            let until = (since + self.last_said).min(last);
            if let Ok(heard) = tokio::time::timeout_at(until, hearing.as_mut()).await {
                return Some(heard);
            }
            let taken = self.last_taken.get();
            if taken <= since || until == last {
                return None;
            }
            since = taken;
        }
    }

    /// Returns when the stream has ended. Whether all was taken in by then says [`Self::heard_all`].
    pub(crate) async fn ended(&self) {
        while !self.ended.get() {
            self.changed.notified().await;
        }
    }

    /// Whether the stream has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.get()
    }

    /// Whether everything was taken in that the agent has said, to the end of the stream.
    pub(crate) fn heard_all(&self) -> bool {
        self.heard_all.get()
    }

    /// Why the agent is not to be believed, once the link has ended for that reason.
    pub(crate) fn fault(&self) -> Option<String> {
        self.fault.borrow().clone()
    }

    /// What the agent said it can do.
    pub(crate) fn capabilities(&self) -> std::cell::Ref<'_, GcsCapabilities> {
        self.capabilities.borrow()
    }

    async fn read(&self) -> Result<(), String> {
        let mut decoder = Decoder::default();
        let mut buffer = socket::Buffer::default();
        let closing = self.socket.get_ref().closing();
        let mut carried = Carried {
            descriptors: VecDeque::new(),
            closing: closing.clone(),
        };
        loop {
            closing.room().await;
            let Ok(mut ready) = self.socket.readable().await else {
                return Ok(());
            };
            match buffer.receive(&*self.socket, &mut carried.descriptors) {
                Ok(received) if received.bytes.is_empty() => break,
                Ok(received) => {
                    decoder.feed(received.bytes);
                    if received.short && carried.descriptors.is_empty() {
                        ready.clear_ready();
                    }
                }
                Err(Errno::AGAIN) => {
                    ready.clear_ready();
                    continue;
                }
                // The other end is gone.
                Err(_) => break,
            }
            // What was all taken needs no further turn to be seen as such.
            while decoder.waiting() > 0 {
                self.turns.take().await;
                let Some(frame) = decoder.next_frame().map_err(|e| e.recorded())? else {
                    break;
                };
                self.turns.charge(|| self.take(frame, &mut carried))?;
            }
            if carried.descriptors.len() > socket::MAX_DESCRIPTORS || !self.awaits_descriptors() {
                // No request asked for them.
                carried.close();
            }
        }
        self.heard_all.set(true);
        Ok(())
    }

    /// Whether an answer that carries descriptors may come.
    fn awaits_descriptors(&self) -> bool {
        // The lock is there for tasks; this is the only thread.
        self.fetching.try_lock().is_err()
    }

    fn take(&self, frame: Frame, carried: &mut Carried) -> Result<(), String> {
        self.last_taken.set(Instant::now());
        let rpc = match frame.kind {
            MessageType::Response(rpc) => rpc,
            MessageType::Notification => {
                return self.take_notification();
            }
            MessageType::Request(_) | MessageType::UnknownRequest(_) => {
                return Err(format!(
                    "it sent a request ({:?}), which only the host may",
                    frame.kind
                ));
            }
        };
        let open = self.open.borrow_mut().remove(&frame.id);
        let Some(open) = open else {
            return Err(format!(
                "it answered request {}, which is not open",
                frame.id
            ));
        };
        if let Some(deadline) = open.deadline {
            self.deadlines.remove(deadline, frame.id);
        }
        let expected = match &open.request {
            OpenRequest::Call(rpc, _) => *rpc,
            OpenRequest::Execute(..) => Rpc::ExecuteProcess,
            OpenRequest::Exit(_) => Rpc::WaitForProcess,
            OpenRequest::Stdio(_) => Rpc::FetchStdio,
            OpenRequest::Names => Rpc::UpdateNames,
        };
        check_length(rpc, frame.body.len())?;
        if rpc != expected {
            return Err(format!(
                "it answered {rpc:?} to {expected:?} (request {})",
                frame.id
            ));
        }
        match open.request {
            OpenRequest::Call(_, waiter) => {
                // No task waits when the call was cancelled or ran into its limit.
                if let Some(waiter) = waiter {
                    drop(waiter.send(Ok(frame)));
                }
                Ok(())
            }
            OpenRequest::Execute(process, waiter) => self.take_created(&process, waiter, &frame),
            OpenRequest::Exit(process) => take_exit(&process, &frame),
            OpenRequest::Names => self.take_named(&frame),
            OpenRequest::Stdio(waiter) => {
                let descriptors = carried.take();
                if let Some(waiter) = waiter {
                    drop(waiter.send(Ok((frame, descriptors))));
                }
                Ok(())
            }
        }
    }

    /// A notification says nothing that the machine itself does not.
    fn take_notification(&self) -> Result<(), String> {
        debug!("the guest agent sent a notification");
        let count = self.notifications.get() + 1;
        self.notifications.set(count);
        if count <= MOST_NOTIFICATIONS {
            return Ok(());
        }
        Err(format!(
            "it sent {count} notifications on one stream, which may have {MOST_NOTIFICATIONS}"
        ))
    }

    fn take_created(
        &self,
        process: &Rc<Process>,
        waiter: Waiter<ExecuteProcessResponse>,
        frame: &Frame,
    ) -> Result<(), String> {
        let response: ExecuteProcessResponse = body(frame)?;
        if response.base.hresult().is_success() {
            process.created(response.process_id)?;
            let waits = self
                .capabilities
                .borrow()
                .guest_defined_capabilities
                .execute_and_wait_supported;
            if !waits {
                self.wait_for_exit(process);
            }
        } else if let Some(wait) = process.take_wait_id() {
            self.open.borrow_mut().remove(&wait);
        }
        let created = response.base.hresult().is_success();
        let wanted = waiter.is_some_and(|waiter| waiter.send(Ok(response)).is_ok());
        if created && !wanted {
            debug!(
                pid = process.pid(),
                "a process was created that no client wants any more"
            );
            process.abandon();
        }
        Ok(())
    }

    /// Puts a request on the stream. An agent that reads and never answers is not asked for ever.
    fn send<T: Serialize>(
        &self,
        rpc: Rpc,
        id: u64,
        body: &T,
        descriptors: Vec<OwnedFd>,
    ) -> Result<(), Failure> {
        if self.open.borrow().len() >= MOST_OPEN {
            return Err(Failure::new(
                HResult::from_win32(win32::ERROR_NO_SYSTEM_RESOURCES),
                format!("the guest agent has left {MOST_OPEN} requests unanswered"),
            ));
        }
        let too_large = || {
            Failure::new(
                HResult::E_INVALIDARG,
                "the request is too large for the guest bridge",
            )
        };
        let bytes =
            encode(MessageType::Request(rpc), id, body).map_err(|e| too_large().because(&e))?;
        let large = self
            .capabilities
            .borrow()
            .guest_defined_capabilities
            .large_messages_supported;
        if bytes.len() > MAX_MESSAGE_BYTES as usize && !large {
            return Err(too_large().cause(format!(
                "it has {} bytes; this guest takes {MAX_MESSAGE_BYTES}",
                bytes.len()
            )));
        }
        operations::step(format!("asked the guest agent: {rpc:?}"));
        let sent = self.outgoing.send(bytes, descriptors);
        sent.map_err(|unsent| match unsent {
            Unsent::InFlight => {
                let message = "the pipes of the process cannot be sent to the guest agent";
                errno::failed(message, Errno::TOOMANYREFS)
            }
            Unsent::Closed(closed) => Failure::new(
                HResult::HCS_E_CONNECTION_CLOSED,
                "the guest agent cannot be reached",
            )
            .because(&closed),
        })
    }

    fn take_id(&self) -> u64 {
        let id = self.next_id.get();
        self.next_id.set(id + 1);
        id
    }
}

impl CallKeeper for GuestLink {
    fn release(&self, name: &str) {
        if !self.has_ended() {
            self.released.borrow_mut().push_back(name.to_owned());
        }
    }
}

/// Tells the tasks that wait that the agent did not answer in time.
fn give_up<T>(waiter: &mut Waiter<T>, rpc: Rpc) {
    if let Some(waiter) = waiter.take() {
        let failure = Failure::new(
            HResult::HCS_E_CONNECTION_TIMEOUT,
            format!("the guest agent did not answer {rpc:?} in time"),
        );
        // The caller may have left.
        drop(waiter.send(Err(failure)));
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::poll_fn, io::Write as _, os::unix::net::UnixStream, sync::LazyLock, task::Poll,
    };

    use hcs_wire::guest::ResponseBase;
    use tokio::task::LocalSet;

    use super::*;
    use crate::thread::share::AgentTurns;

    /// Returns when each task has run that was ready before.
    async fn behind_all_that_are_ready() {
        let mut woken = false;
        poll_fn(|context| {
            if std::mem::replace(&mut woken, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    #[test]
    fn what_an_agent_says_is_taken_in_turns() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        LocalSet::new().block_on(&runtime, async {
            let (ours, mut agent) = UnixStream::pair().unwrap();
            let link = GuestLink::start_within(ours.into(), MOST_SAID, AgentTurns::default().of(1))
                .unwrap();
            let mut answers = Vec::new();
            for _ in 0..1000 {
                let id = link.take_id();
                link.note(id, OpenRequest::Call(Rpc::SignalProcess, None), None);
                let response = MessageType::Response(Rpc::SignalProcess);
                answers.extend(encode(response, id, &ResponseBase::default()).unwrap());
            }
            agent.write_all(&answers).unwrap();
            // What was said is taken in to its end though the agent is gone.
            drop(agent);
            let watched = Rc::clone(&link);
            let watching = tokio::task::spawn_local(async move {
                let mut most = 0;
                while !watched.has_ended() {
                    let before = watched.open.borrow().len();
                    behind_all_that_are_ready().await;
                    most = most.max(before - watched.open.borrow().len());
                }
                most
            });
            let most = watching.await.unwrap();
            assert!(most <= 64, "{most} answers were taken in one turn");
            assert_eq!(link.fault(), None);
            assert!(link.heard_all());
        });
    }

    #[test]
    fn a_byte_out_of_band_of_an_agent_is_read_as_all_others() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        LocalSet::new().block_on(&runtime, async {
            let (ours, mut agent) = UnixStream::pair().unwrap();
            let link = GuestLink::start_within(ours.into(), MOST_SAID, AgentTurns::default().of(1))
                .unwrap();
            let id = link.take_id();
            link.note(id, OpenRequest::Call(Rpc::SignalProcess, None), None);
            let response = MessageType::Response(Rpc::SignalProcess);
            let answer = encode(response, id, &ResponseBase::default()).unwrap();
            // Dropped by the kernel, with what comes along with it, where it is not kept in order.
            rustix::net::send(&agent, &answer[..1], rustix::net::SendFlags::OOB).unwrap();
            agent.write_all(&answer[1..]).unwrap();
            drop(agent);
            link.ended().await;
            assert_eq!(link.fault(), None);
            assert!(link.open.borrow().is_empty() && link.heard_all());
        });
    }

    /// A link of an agent that has said so many answers and is gone.
    fn said(answers: usize, turns: (Turns, Rc<Giving>)) -> Rc<GuestLink> {
        let (ours, mut agent) = UnixStream::pair().unwrap();
        let link = GuestLink::start_within(ours.into(), MOST_SAID, turns).unwrap();
        let mut bytes = Vec::new();
        for _ in 0..answers {
            let id = link.take_id();
            link.note(id, OpenRequest::Call(Rpc::SignalProcess, None), None);
            let response = MessageType::Response(Rpc::SignalProcess);
            bytes.extend(encode(response, id, &ResponseBase::default()).unwrap());
        }
        agent.write_all(&bytes).unwrap();
        link
    }

    #[test]
    fn the_agents_of_one_user_have_as_many_turns_as_the_only_one_of_another() {
        const ANSWERS: usize = 300;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        LocalSet::new().block_on(&runtime, async {
            // Time that other programs take of the processor is no turn of theirs.
            static BEGUN: LazyLock<std::time::Instant> = LazyLock::new(std::time::Instant::now);
            let turns = AgentTurns::by(|| *BEGUN);
            let many: Vec<_> = (0..40).map(|_| said(ANSWERS, turns.of(1))).collect();
            let single = said(ANSWERS, turns.of(2));
            while !single.has_ended() {
                behind_all_that_are_ready().await;
            }
            let open = many.iter().map(|link| link.open.borrow().len());
            let taken = many.len() * ANSWERS - open.sum::<usize>();
            assert!(
                taken <= 3 * ANSWERS,
                "{taken} answers of the other's agents"
            );
            while many.iter().any(|link| !link.has_ended()) {
                behind_all_that_are_ready().await;
            }
            assert!(many.iter().all(|link| link.heard_all()));
        });
    }

    #[test]
    fn what_was_given_up_was_not_heard_to_its_end() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        LocalSet::new().block_on(&runtime, async {
            let (ours, agent) = UnixStream::pair().unwrap();
            let link =
                GuestLink::start_within(ours.into(), Duration::ZERO, AgentTurns::default().of(1))
                    .unwrap();
            // It says nothing and does not end.
            assert_eq!(link.while_it_speaks(link.ended()).await, None);
            link.close();
            behind_all_that_are_ready().await;
            assert!(link.has_ended() && !link.heard_all());
            drop(agent);
        });
    }
}
