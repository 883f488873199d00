//! [`Link`]: one connection to the service.
//!
//! A thread that makes a call writes its request itself. The thread that has the turn ([`crate::reading::turn`]) reads
//! the messages of the service and hands them out. `pending` holds the receiver of the reply to each request. When the
//! connection ends for any reason, a call that survives this ([`Lasting`]) is left for the next connection. Every other
//! call ends with the failure. So each is answered exactly once.
//!
//! The socket never blocks: where it would, `poll(2)` waits, with a limit.
//!
//! Locks: `writer` is held for one whole message, at most for [`LIMIT`] without progress; `pending` never while
//! something is called.

use std::{
    cell::Cell,
    collections::HashMap,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Waker,
    time::Duration,
};

use hcs_schema::{Failure, HResult};
use hcs_wire::{
    WireError,
    service::{Call, Decoder, Event, Frame, Kind, Reply, VERSION, encode},
    socket::Buffer,
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{SendFlags, Shutdown},
};

use crate::{
    endpoint::{Endpoint, Unreached},
    raw::client::Client,
    reading::bell::Bell,
    reading::sync::{Deadline, Mutex, lock},
    reading::turn::ReadOutcome,
};

/// How long the service may take nothing of a request, or may take to greet, before it counts as gone.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// Numbers for requests and handles and links: unique in this process, never 0.
pub(crate) fn next_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

thread_local! {
    static READING: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is handing out messages of a link: it must not wait for the service then.
pub(crate) fn is_reading() -> bool {
    READING.get()
}

/// While it exists, this thread hands out.
struct Reading {
    before: bool,
}

impl Reading {
    fn begin() -> Self {
        Self {
            before: READING.replace(true),
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        READING.set(self.before);
    }
}

/// A reply with the descriptors that came along, or why there is none.
pub(crate) type LinkAnswer = Result<(Reply, Vec<OwnedFd>), Failure>;

/// A call that is made again on the next connection when it was not answered on this one.
pub(crate) trait Lasting: Send {
    /// It was answered.
    fn answered(self: Box<Self>, answer: LinkAnswer);

    /// Makes it again, on the connection after the one that was lost.
    fn again(self: Box<Self>, client: &Arc<Client>, link: &Arc<Link>);

    /// There is no connection after the one that was lost.
    fn lost(self: Box<Self>, why: &Failure);

    /// Nothing of it was sent on a connection that goes on.
    fn unsent(self: Box<Self>, why: Failure);

    /// Whether it was made before another: the smaller number.
    fn order(&self) -> u64;
}

/// The receiver of a reply.
enum Waiting {
    Once(Box<dyn FnOnce(LinkAnswer) + Send>),
    Lasting(Box<dyn Lasting>),
}

impl Waiting {
    fn answer(self, answer: LinkAnswer) {
        match self {
            Self::Once(then) => then(answer),
            Self::Lasting(call) => call.answered(answer),
        }
    }

    fn unsent(self, why: Failure) {
        match self {
            Self::Once(then) => then(Err(why)),
            Self::Lasting(call) => call.unsent(why),
        }
    }
}

/// The requests that have not been answered.
#[derive(Default)]
struct Pending {
    requests: HashMap<u64, (Weight, Waiting)>,
    /// How many of them matter.
    owed: usize,
}

/// Whether anything depends on an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weight {
    Matters,
    Nothing,
}

impl Pending {
    fn take(&mut self, request: u64) -> Option<Waiting> {
        let (weight, then) = self.requests.remove(&request)?;
        self.owed -= usize::from(weight == Weight::Matters);
        Some(then)
    }
}

/// One connection. It is over when reading has ended.
pub(crate) struct Link {
    serial: u64,
    /// Our pid as the service sees it: its names for our operations begin with it.
    process: u32,
    /// The service takes repeats.
    repeats: bool,
    /// The service is root's and has no control groups.
    lacks_groups: bool,
    endpoint: Endpoint,
    socket: OwnedFd,
    writer: Mutex<()>,
    /// Wakes the thread that reads.
    bell: Arc<Bell>,
    /// `None` once the connection is over.
    pending: Mutex<Option<Pending>>,
    /// The calls to make again, once the connection is over.
    left: Mutex<Vec<Box<dyn Lasting>>>,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link")
            .field("serial", &self.serial)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

/// Why a connection is over.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    #[error("the service closed the connection")]
    Closed,
    #[error("the service did not react within {} seconds", LIMIT.as_secs())]
    Silent,
    #[error("the connection failed: {0}")]
    Socket(Errno),
    #[error("the service broke the protocol")]
    Wire(#[from] WireError),
    #[error("the service answered request {0}, which was never made")]
    UnknownReply(u64),
    #[error("the service sent a request")]
    Request,
}

impl From<Errno> for Broken {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::AGAIN => Self::Silent,
            _ => Self::Socket(errno),
        }
    }
}

/// Splits the bytes from the service into messages. Belongs to the thread that reads the link.
#[derive(Debug, Default)]
pub(crate) struct Receiver {
    decoder: Decoder,
    buffer: Buffer,
}

impl Receiver {
    /// Takes the bytes that have come. Returns false when there are none.
    fn fill(&mut self, socket: &OwnedFd) -> Result<bool, Broken> {
        match self.buffer.receive(socket, &mut self.decoder.descriptors) {
            Ok(received) if received.bytes.is_empty() => Err(Broken::Closed),
            Ok(received) => {
                if received.cut {
                    // The call that they are for fails, and no other.
                    self.decoder.note_cut();
                }
                self.decoder.feed(received.bytes);
                Ok(true)
            }
            Err(Errno::AGAIN) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// A connection whose service has not greeted yet.
pub(crate) struct Greeting {
    link: Link,
    receiver: Receiver,
    request: u64,
}

/// The result of waiting for the greeting.
#[expect(
    clippy::large_enum_variant,
    reason = "there is one at a time, and it is taken apart at once"
)]
pub(crate) enum Greeted {
    /// The connection can be used.
    Ready(Link, Receiver),
    /// Not yet.
    Waiting(Box<Greeting>),
}

impl Greeting {
    /// Waits for the greeting, at most for `limit`.
    ///
    /// # Errors
    /// [`Refused::NotThere`] when the service left while greeting, so that it is to be started.
    pub(crate) fn wait(mut self: Box<Self>, limit: Duration) -> Result<Greeted, Refused> {
        let deadline = Deadline::after(Some(limit));
        let frame = loop {
            match self.receiver.decoder.next_frame() {
                Ok(Some(frame)) => break frame,
                Ok(None) => {}
                Err(error) => return Err(self.link.refused(&error.into())),
            }
            let ready = ready(&self.link.socket, PollFlags::IN, deadline);
            if !ready.map_err(|errno| self.link.refused(&errno.into()))? {
                return Ok(Greeted::Waiting(self));
            }
            let filled = self.receiver.fill(&self.link.socket);
            filled.map_err(|broken| self.link.refused(&broken))?;
        };
        if frame.kind != Kind::Reply || frame.id != self.request {
            return Err(self.link.refused(&Broken::UnknownReply(frame.id)));
        }
        let reply: Reply = frame
            .parse("reply")
            .map_err(|error| self.link.refused(&error.into()))?;
        if !reply.result.is_success() {
            let document = reply.document.unwrap_or_default();
            let failure = Failure::from_document(reply.result, &document);
            return Err(Refused::Final(failure));
        }
        let greeting: serde_json::Value = reply
            .document
            .and_then(|greeting| serde_json::from_str(&greeting).ok())
            .unwrap_or_default();
        let process = greeting["Process"].as_u64().map(u32::try_from);
        if let Some(Ok(process)) = process {
            self.link.process = process;
        }
        self.link.repeats = greeting["Repeats"] == true;
        self.link.lacks_groups = greeting["ControlGroups"] == false;
        Ok(Greeted::Ready(self.link, self.receiver))
    }

    /// The failure of a service that does not greet.
    pub(crate) fn silent(&self) -> Failure {
        self.link.lost(&Broken::Silent)
    }
}

/// Whether `socket` is `wanted` before the time is over. An error or hang-up is, too: the next call tells it.
fn ready(socket: &OwnedFd, wanted: PollFlags, deadline: Deadline) -> Result<bool, Errno> {
    wait_for(&mut [PollFd::new(socket, wanted)], deadline)
}

/// Whether one of them is ready before the time is over.
fn wait_for(descriptors: &mut [PollFd<'_>], deadline: Deadline) -> Result<bool, Errno> {
    loop {
        let left = deadline.left().map(Timespec::try_from);
        // A limit that the kernel cannot express is none.
        let limit = left.and_then(Result::ok);
        match poll(descriptors, limit.as_ref()) {
            Ok(count) => return Ok(count > 0),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

impl Link {
    /// Connects and sends our greeting, as the client `instance`. Without `patience` a service that is too busy to take
    /// the connection is not waited for: `None`.
    ///
    /// # Errors
    /// [`Refused::NotThere`] when no service listens or the service is just leaving: it is to be started then.
    pub(crate) fn connect(
        endpoint: &Endpoint,
        instance: &str,
        patience: Option<Duration>,
    ) -> Result<Option<Box<Greeting>>, Refused> {
        let socket = match endpoint.connect(patience) {
            Ok(socket) => socket,
            Err(Unreached::Errno(Errno::AGAIN)) if patience.is_none() => return Ok(None),
            Err(Unreached::Errno(errno)) => return Err(Refused::from_connect(endpoint, errno)),
            Err(Unreached::Stranger(failure)) => return Err(Refused::Final(failure)),
        };
        let bell = Bell::new().map_err(|errno| Refused::from_connect(endpoint, errno))?;
        let link = Self {
            serial: next_number(),
            process: std::process::id(),
            repeats: false,
            lacks_groups: false,
            endpoint: endpoint.clone(),
            socket,
            writer: Mutex::new(()),
            bell,
            pending: Mutex::new(Some(Pending::default())),
            left: Mutex::default(),
        };
        let hello = Call::Hello {
            minimum: VERSION,
            maximum: VERSION,
            instance: Some(instance.to_owned()),
        };
        let request = next_number();
        let bytes = request_bytes(request, &hello).map_err(|e| link.refused(&e.into()))?;
        link.write(&bytes, &[])
            .map_err(|e| link.refused(&e.into()))?;
        Ok(Some(Box::new(Greeting {
            link,
            receiver: Receiver::default(),
            request,
        })))
    }

    /// Why there is no connection, when it broke before the greeting.
    fn refused(&self, broken: &Broken) -> Refused {
        let failure = self.lost(broken);
        match broken {
            Broken::Closed | Broken::Socket(Errno::CONNRESET | Errno::PIPE) => {
                Refused::NotThere(failure)
            }
            _ => Refused::Final(failure),
        }
    }

    /// Tells this connection from all others of this process.
    pub(crate) fn serial(&self) -> u64 {
        self.serial
    }

    /// Our pid as the service sees it.
    pub(crate) const fn process(&self) -> u32 {
        self.process
    }

    /// Whether calls that this connection leaves unanswered are made again on the next.
    pub(crate) const fn repeats(&self) -> bool {
        self.repeats
    }

    /// Whether the service said that it limits nothing: it is root's and has found no control groups.
    pub(crate) const fn lacks_groups(&self) -> bool {
        self.lacks_groups
    }

    /// Sends `call`; `then` is called once, with the reply or the failure, on this thread or the reading one.
    pub(crate) fn call(&self, call: &Call, then: impl FnOnce(LinkAnswer) + Send + 'static) {
        let request = next_number();
        self.send(request, request_bytes(request, call), then);
    }

    /// Sends `call`, whose answer says nothing that matters.
    pub(crate) fn tell(&self, call: &Call) {
        let request = next_number();
        let bytes = request_bytes(request, call);
        self.send_weighing(Weight::Nothing, request, bytes, drop);
    }

    /// Sends the `bytes` that [`request_bytes`] made of a call for the number `request`; `then` as in [`Link::call`].
    pub(crate) fn send(
        &self,
        request: u64,
        bytes: Result<Vec<u8>, WireError>,
        then: impl FnOnce(LinkAnswer) + Send + 'static,
    ) {
        self.send_weighing(Weight::Matters, request, bytes, then);
    }

    fn send_weighing(
        &self,
        weight: Weight,
        request: u64,
        bytes: Result<Vec<u8>, WireError>,
        then: impl FnOnce(LinkAnswer) + Send + 'static,
    ) {
        let bytes = match bytes {
            Ok(bytes) => bytes,
            Err(error) => {
                let message = "the document is too large to be sent";
                let failure = Failure::new(HResult::HCS_E_INVALID_JSON, message);
                return then(Err(failure.because(&error)));
            }
        };
        let waiting = Waiting::Once(Box::new(then));
        if let Err(waiting) = self.post(request, weight, waiting, &bytes, &[]) {
            waiting.answer(Err(self.lost(&Broken::Closed)));
        }
    }

    /// Sends `message`, with `descriptors`, which makes `call` under the number `request`.
    ///
    /// # Errors
    /// The call, where the connection is over: it is left for the next.
    pub(crate) fn send_lasting(
        &self,
        request: u64,
        message: &[u8],
        descriptors: &[BorrowedFd<'_>],
        call: Box<dyn Lasting>,
    ) -> Result<(), Box<dyn Lasting>> {
        let waiting = Waiting::Lasting(call);
        match self.post(request, Weight::Matters, waiting, message, descriptors) {
            Err(Waiting::Lasting(call)) => Err(call),
            Ok(()) | Err(Waiting::Once(_)) => Ok(()),
        }
    }

    fn post(
        &self,
        request: u64,
        weight: Weight,
        waiting: Waiting,
        message: &[u8],
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(), Waiting> {
        match &mut *lock(&self.pending) {
            Some(pending) => {
                pending.owed += usize::from(weight == Weight::Matters);
                pending.requests.insert(request, (weight, waiting));
            }
            None => return Err(waiting),
        }
        match self.write(message, descriptors) {
            Ok(()) => {}
            // Nothing of it was written: descriptors go with the first byte.
            Err(errno @ Errno::TOOMANYREFS) => self.take_back(request, errno),
            // A message that was written in part cannot be taken back. The end of the connection makes the thread
            // that reads answer this request along with all others.
            Err(_) => self.end(),
        }
        Ok(())
    }

    /// Ends a request that the service knows nothing of.
    fn take_back(&self, request: u64, errno: Errno) {
        let mut pending = lock(&self.pending);
        let waiting = pending.as_mut().and_then(|all| all.take(request));
        drop(pending);
        if let Some(waiting) = waiting {
            let message = "the pipes of the call cannot be sent to the service";
            waiting.unsent(hcs_wire::errno::failed(message, errno));
        }
    }

    /// Writes a whole message; `descriptors` go with its first byte.
    fn write(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<(), Errno> {
        let _one_at_a_time = lock(&self.writer);
        let (mut rest, mut descriptors) = (bytes, descriptors);
        while !rest.is_empty() {
            let sent = if descriptors.is_empty() {
                rustix::io::retry_on_intr(|| {
                    rustix::net::send(&self.socket, rest, SendFlags::NOSIGNAL)
                })
            } else {
                hcs_wire::socket::send(&self.socket, rest, descriptors)
            };
            match sent {
                Ok(sent) => {
                    rest = &rest[sent..];
                    descriptors = &[];
                }
                Err(Errno::AGAIN) => {
                    let deadline = Deadline::after(Some(LIMIT));
                    if !ready(&self.socket, PollFlags::OUT, deadline)? {
                        return Err(Errno::AGAIN);
                    }
                }
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    /// Whether it ended: requests are only refused any more.
    pub(crate) fn is_over(&self) -> bool {
        lock(&self.pending).is_none()
    }

    /// Whether an answer that matters is to come.
    pub(crate) fn owes(&self) -> bool {
        lock(&self.pending)
            .as_ref()
            .is_some_and(|pending| pending.owed > 0)
    }

    /// Wakes the thread that reads.
    pub(crate) fn bell(&self) -> Waker {
        Waker::from(Arc::clone(&self.bell))
    }

    /// Ends the connection; the thread that reads does the rest ([`Link::finish`]).
    fn end(&self) {
        // Fails only when the connection is over already.
        let _over = rustix::net::shutdown(&self.socket, Shutdown::Both);
    }

    /// Waits until something comes, at most until `deadline` or the bell, and hands out all that has come: one
    /// [`Turn`](crate::reading::turn::Turn) at a time.
    ///
    /// At the end of the connection all that is pending is answered with the failure.
    pub(crate) fn step(
        &self,
        receiver: &mut Receiver,
        deadline: Deadline,
        event: impl Fn(Event),
    ) -> ReadOutcome {
        let _reading = Reading::begin();
        let stepped = self.try_step(receiver, deadline, &event);
        stepped.unwrap_or_else(|broken| {
            self.finish(&broken);
            ReadOutcome::Over
        })
    }

    fn try_step(
        &self,
        receiver: &mut Receiver,
        deadline: Deadline,
        event: impl Fn(Event),
    ) -> Result<ReadOutcome, Broken> {
        Ok(match self.await_input(deadline)? {
            Input::TimedOut => ReadOutcome::TimedOut,
            Input::Bell => ReadOutcome::Done,
            Input::Some => {
                receiver.fill(&self.socket)?;
                while let Some(frame) = receiver.decoder.next_frame()? {
                    self.hand_out(frame, &event)?;
                }
                ReadOutcome::Done
            }
        })
    }

    fn await_input(&self, deadline: Deadline) -> Result<Input, Broken> {
        if !self.bell.lie_down() {
            return Ok(Input::Bell);
        }
        let mut polled = [
            PollFd::new(&self.socket, PollFlags::IN),
            PollFd::new(&*self.bell, PollFlags::IN),
        ];
        let ready = wait_for(&mut polled, deadline);
        self.bell.get_up();
        Ok(match ready? {
            false => Input::TimedOut,
            true if polled[0].revents().is_empty() => Input::Bell,
            true => Input::Some,
        })
    }

    fn hand_out(&self, frame: Frame, event: impl Fn(Event)) -> Result<(), Broken> {
        match frame.kind {
            Kind::Request | Kind::Repeat => Err(Broken::Request),
            Kind::Event => {
                event(frame.parse("event")?);
                Ok(())
            }
            Kind::Reply => {
                let then = lock(&self.pending)
                    .as_mut()
                    .and_then(|pending| pending.take(frame.id));
                let then = then.ok_or(Broken::UnknownReply(frame.id))?;
                match frame.parse("reply") {
                    Ok(reply) => then.answer(Ok((reply, frame.descriptors))),
                    Err(error) => then.answer(Err(error.into())),
                }
                Ok(())
            }
        }
    }

    /// The connection is over: each pending call gets the failure, or is left for the next connection.
    fn finish(&self, broken: &Broken) {
        self.end();
        let pending = lock(&self.pending).take().unwrap_or_default();
        let failure = self.lost(broken);
        for (_, waiting) in pending.requests.into_values() {
            match waiting {
                Waiting::Once(then) => then(Err(failure.clone())),
                Waiting::Lasting(call) => lock(&self.left).push(call),
            }
        }
    }

    /// The calls that were not answered and are to be made again, once the connection is over.
    pub(crate) fn take_left(&self) -> Vec<Box<dyn Lasting>> {
        std::mem::take(&mut *lock(&self.left))
    }

    fn lost(&self, broken: &Broken) -> Failure {
        let path = self.endpoint.path().display();
        Failure::new(
            HResult::HCS_E_SERVICE_DISCONNECT,
            format!("the connection to the host compute service at {path} was lost"),
        )
        .because(broken)
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The end of a wait for input.
enum Input {
    Some,
    Bell,
    TimedOut,
}

/// The message that makes `call` under the number `request`.
///
/// # Errors
/// It is too large.
pub(crate) fn request_bytes(request: u64, call: &Call) -> Result<Vec<u8>, WireError> {
    encode(Kind::Request, request, 0, call)
}

/// Why there is no connection.
#[derive(Debug)]
pub(crate) enum Refused {
    /// No service is there, but one may be started.
    NotThere(Failure),
    /// It will not be better the next time.
    Final(Failure),
}

impl Refused {
    pub(crate) fn from_connect(endpoint: &Endpoint, errno: Errno) -> Self {
        let path = endpoint.path().display();
        let unavailable = |message| {
            Failure::new(HResult::HCS_E_SERVICE_NOT_AVAILABLE, message)
                .because(&Broken::from(errno))
        };
        match errno {
            Errno::NOENT | Errno::CONNREFUSED => Self::NotThere(unavailable(format!(
                "no host compute service listens at {path}"
            ))),
            Errno::ACCESS | Errno::PERM => Self::Final(endpoint.denied(errno)),
            _ => Self::Final(unavailable(format!(
                "the host compute service at {path} cannot be connected to"
            ))),
        }
    }

    /// The failure in either.
    pub(crate) fn into_failure(self) -> Failure {
        match self {
            Self::NotThere(failure) | Self::Final(failure) => failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_refused_says_what_to_do_about_it() {
        let endpoint = Endpoint::at("/run/x/hcs.sock");
        let refused = |errno| Refused::from_connect(&endpoint, errno);
        for errno in [Errno::NOENT, Errno::CONNREFUSED] {
            assert!(matches!(refused(errno), Refused::NotThere(_)), "{errno}");
        }
        let Refused::Final(denied) = refused(Errno::ACCESS) else {
            panic!("a service is not to be started when access is denied");
        };
        assert_eq!(denied.hresult, HResult::HCS_E_ACCESS_DENIED);
        for part in ["/run/x/hcs.sock", "unset HCS_ENDPOINT", "socket_group"] {
            assert!(denied.message.contains(part), "{denied:?}");
        }
        let silent = refused(Errno::AGAIN).into_failure();
        assert_eq!(silent.hresult, HResult::HCS_E_SERVICE_NOT_AVAILABLE);
        assert!(silent.causes[0].message.contains("30 seconds"));
    }
}
