//! One client: its socket, its handles, its unanswered calls.
//!
//! Calls are taken up in the order they come. A call on a handle that is still being made waits in that handle's slot
//! ([`handles`]) and is taken up, in order, when the handle is there ([`waiting`]). [`events`]: what it hears. What a
//! connection sends is read, and what it asks for is done, in turns with all others ([`crate::thread::share`]); the
//! rest stays in the socket.

mod answer;
mod answered;
mod events;
pub(crate) mod handles;
mod incoming;
mod waiting;

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    fmt,
    os::fd::OwnedFd,
    rc::Rc,
    time::Duration,
};

use hcs_schema::{Failure, HResult};
use hcs_wire::{
    WireError,
    operation::OperationId,
    service::{Call, Decoder, Frame, Kind, encode},
    socket::MAX_DESCRIPTORS,
};
use tokio::{
    io::unix::{AsyncFd, AsyncFdReadyGuard},
    sync::{Notify, OwnedSemaphorePermit},
    task::JoinHandle,
};
use tracing::{debug, warn};

use self::{
    answered::Answered, events::EventQueue, handles::Handles, incoming::Incoming, waiting::ToSettle,
};
use crate::{
    client::{
        calls::{self, Going, Instance, Repeat},
        service::Service,
    },
    door::peers::Peer,
    engines,
    record::{failures::cancelled, operations::Timeline},
    thread::{
        closing::{Closing, PeerSocket, Received},
        limits,
        outgoing::{Closed, Outgoing, Unsent},
        share::{Share, place},
    },
};
pub(crate) use answer::CallAnswer;

/// Bytes that are kept of a client that has not been greeted: a `Hello` is far shorter.
const MOST_BEFORE_GREETING: usize = 4096;
/// Bytes of a message that is parsed at once; longer ones are parsed aside, so that no connection waits for them.
const SHORT: usize = 64 << 10;
/// How long a long message may take to arrive: it is held in memory, and others of its user wait for its place.
const LONG_MESSAGE: Duration = Duration::from_secs(30);

/// A call that has not been answered: its time line, and its way to hear that it was cancelled.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) timeline: Rc<Timeline>,
    /// Why it is to end.
    asked: RefCell<Option<Failure>>,
    changed: Notify,
    /// Ends it when its time is over.
    limit: RefCell<Option<JoinHandle<()>>>,
    _bytes: limits::QuotaShare,
    /// The pipes that came along with it.
    pipes: RefCell<Option<(Received, limits::QuotaShare)>>,
    /// An earlier connection may have brought it.
    pub(crate) repeat: Option<Repeat>,
    /// It does something, and is not to do it twice.
    has_effect: bool,
    /// It goes on, for those who make it again.
    going: Option<Going>,
}

/// A message with a call, as it came.
struct Came {
    request: u64,
    bytes: usize,
    is_repeat: bool,
    descriptors: Received,
}

/// A place of its user for a long message, and when that has to be there.
type LongPlace = (Option<OwnedSemaphorePermit>, tokio::time::Instant);

impl Pending {
    fn ask(&self, why: Failure) {
        self.asked.borrow_mut().get_or_insert(why);
        self.changed.notify_one();
    }

    /// Waits until the call is cancelled; returns what it ends with. For one waiter.
    pub(crate) async fn cancelled(&self) -> Failure {
        loop {
            if let Some(why) = &*self.asked.borrow() {
                return why.clone();
            }
            self.changed.notified().await;
        }
    }

    /// Takes the pipes that came along with it.
    pub(crate) fn take_pipes(&self) -> Vec<OwnedFd> {
        let pipes = self.pipes.take();
        pipes.map_or_else(Vec::new, |(mut pipes, _)| pipes.take())
    }

    /// Looks at those pipes.
    pub(crate) fn with_pipes<T>(&self, look: impl FnOnce(&[OwnedFd]) -> T) -> T {
        let pipes = self.pipes.borrow();
        look(pipes.as_ref().map_or(&[], |(pipes, _)| pipes.as_slice()))
    }

    /// Whether it is to end.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.asked.borrow().is_some()
    }

    /// Has `limit` end it, in place of an earlier one.
    fn set_limit(&self, limit: Option<JoinHandle<()>>) {
        if let Some(earlier) = self.limit.replace(limit) {
            earlier.abort();
        }
    }
}

/// What takes calls up, for each connection. [`crate::client::router`] has the one of the service.
pub(crate) trait Dispatch: fmt::Debug {
    /// A call has come.
    fn admit(&self, to: &Rc<Connection>, request: u64, call: Call, pending: Rc<Pending>);

    /// A call waited for a handle, which is there now.
    fn take_up(&self, to: &Rc<Connection>, request: u64, call: Call, pending: Rc<Pending>);

    /// A call that waited for a handle was withdrawn: what it was to make fails with `why`.
    fn withdrawn(&self, to: &Rc<Connection>, call: &Call, why: &Failure);

    /// A call waited for a handle that will never be there.
    fn refused(&self, to: &Rc<Connection>, request: u64, call: &Call, why: &Failure);
}

/// One client's connection. Belongs to the service's thread.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Names it in the log.
    pub(crate) number: u64,
    pub(crate) peer: Peer,
    pub(crate) handles: Handles,
    pub(crate) share: Rc<Share>,
    outgoing: Outgoing,
    pending: RefCell<HashMap<u64, Rc<Pending>>>,
    /// The identity of the client, before and after it lost a connection.
    instance: RefCell<Option<Instance>>,
    /// It came back in time after it had lost one.
    in_time: Cell<bool>,
    /// Answers that its socket has not taken yet.
    untaken: RefCell<Vec<Answered>>,
    /// Calls that waited for handles.
    to_settle: ToSettle,
    told: EventQueue,
    greeted: Cell<bool>,
    /// Why it may not be served now.
    refused: Option<Failure>,
    /// The log says once that it asks for too much.
    is_flood: Cell<bool>,
    pub(crate) service: Rc<Service>,
    dispatch: &'static dyn Dispatch,
}

impl Connection {
    /// Serves the client until it leaves, breaks the protocol or stops reading. Then everything it held is released.
    /// With a reason in `refused`, that is all it is told.
    pub(crate) async fn serve(
        socket: Rc<AsyncFd<PeerSocket>>,
        peer: Peer,
        refused: Option<Failure>,
        service: Rc<Service>,
        dispatch: &'static dyn Dispatch,
    ) {
        let limits = service.context.config().limits;
        let number = service.number_connection();
        let share = service.user_share(peer.uid);
        let connection = Rc::new(Self {
            number,
            peer,
            handles: Handles::new(
                limits.handles_per_connection,
                &service.handles_quota,
                peer.uid,
            ),
            outgoing: Outgoing::new(
                Rc::clone(&socket),
                limits.unread_bytes_per_connection,
                Rc::clone(&share.unread),
            ),
            share: Share::new(share, number),
            pending: RefCell::default(),
            instance: RefCell::default(),
            in_time: Cell::new(false),
            untaken: RefCell::default(),
            to_settle: ToSettle::default(),
            told: EventQueue::default(),
            greeted: Cell::new(false),
            refused,
            is_flood: Cell::new(false),
            service,
            dispatch,
        });
        debug!(connection = connection.number, peer = ?connection.peer, "a client connected");
        let why = tokio::select! {
            why = connection.read(&socket) => why,
            closed = connection.outgoing.run(&connection.share.turns) => closed.to_string(),
        };
        debug!(connection = connection.number, %why, "a client is gone");
        connection.outgoing.close(Closed::Gone);
        connection.leave_calls();
        let mut rest = connection.handles.take_all();
        let turns = &connection.share.turns;
        while let Some(next) = rest.next() {
            turns.take().await;
            turns.charge(|| match next {
                Ok(handle) => handle.release(&connection),
                // What waits for a handle is not begun any more.
                Err(request) => connection.answer(request, Err(cancelled())),
            });
        }
    }

    /// Reads until the stream ends; answers why it did.
    async fn read(self: &Rc<Self>, socket: &AsyncFd<PeerSocket>) -> String {
        let closing = socket.get_ref().closing();
        let entitled = self.peer.authorise(self.service.entitled.get());
        let mut incoming = Incoming::new(closing, self.refused.is_none() && entitled.is_ok());
        let mut long = None;
        loop {
            let is_long = incoming
                .decoder
                .announced()
                .is_some_and(|size| size > SHORT);
            long = long.filter(|_| is_long);
            if long.is_none() {
                // What a client sends that does not read the answers stays where it is. Not so the rest of a long
                // message: others of its user wait for its place, which would be held for as long as nothing is read.
                self.outgoing.room().await;
                closing.room().await;
            }
            if is_long && long.is_none() {
                let end = tokio::time::Instant::now() + LONG_MESSAGE;
                long = Some((place(&self.share.user.long).await, end));
            }
            let mut ready = match self
                .readable(socket, long.as_ref().map(|(_, end)| *end))
                .await
            {
                Ok(ready) => ready,
                Err(why) => return why.to_owned(),
            };
            // A flood is received by many frames at once, which takes long.
            let turns = &self.share.turns;
            let received = turns.charge(|| incoming.receive(socket, &mut ready));
            match received {
                Ok(true) => {}
                Ok(false) => continue,
                Err(why) => return why,
            }
            drop(ready);
            if let Err(e) = self
                .take_frames(&mut incoming.decoder, closing, &mut long)
                .await
            {
                // Those who may not come in do not fill the log.
                if self.peer.authorise(self.service.entitled.get()).is_ok() {
                    warn!(connection = self.number, peer = ?self.peer, "a client broke the protocol: {}", e.recorded());
                }
                return e.recorded();
            }
            if self.outgoing.is_closed() {
                return "it was turned away".to_owned();
            }
        }
    }

    /// Waits until there is something to read; the rest of a long message has to come before `end`.
    async fn readable<'a>(
        &self,
        socket: &'a AsyncFd<PeerSocket>,
        end: Option<tokio::time::Instant>,
    ) -> Result<AsyncFdReadyGuard<'a, PeerSocket>, &'static str> {
        let readable = match end {
            Some(end) => tokio::time::timeout_at(end, socket.readable()).await.ok(),
            None => Some(socket.readable().await),
        };
        let Some(readable) = readable else {
            let late = "a long message was not sent to its end";
            warn!(connection = self.number, peer = ?self.peer, "{late} within {LONG_MESSAGE:?}");
            return Err(late);
        };
        readable.map_err(|_| "the socket failed")
    }

    async fn take_frames(
        self: &Rc<Self>,
        decoder: &mut Decoder,
        closing: &Closing,
        long: &mut Option<LongPlace>,
    ) -> Result<(), WireError> {
        // What was all taken needs no further turn to be seen as such.
        while decoder.rest() > 0 {
            self.share.turns.take().await;
            // A frame that has a place of its user is taken at once, and gives that place back.
            if long.is_none() {
                self.outgoing.room().await;
            }
            let Some(mut frame) = decoder.next_frame()? else {
                break;
            };
            let descriptors = Received::new(frame.descriptors.drain(..), closing);
            let is_repeat = match frame.kind {
                Kind::Request => false,
                // Of a client that did not say who it is nothing can be known.
                Kind::Repeat if self.instance.borrow().is_some() => true,
                Kind::Repeat | Kind::Reply | Kind::Event => {
                    return Err(WireError::Kind { kind: 0 });
                }
            };
            let came = Came {
                request: frame.id,
                bytes: frame.body.len(),
                is_repeat,
                descriptors,
            };
            let turns = &self.share.turns;
            match frame.body.len() <= SHORT {
                true => turns.charge(|| self.take(parse(&frame), came))?,
                false => {
                    let call = self.parse_aside(frame).await;
                    turns.charge(|| self.take(call, came))?;
                }
            }
            *long = None;
        }
        // By what it says, before it comes: a client that is turned away takes no place of its user for long messages.
        let to_come = decoder.announced().unwrap_or_default();
        if !self.greeted.get() && decoder.rest().max(to_come) > MOST_BEFORE_GREETING {
            return Err(WireError::Body {
                kind: "Hello",
                reason: format!("it is longer than {MOST_BEFORE_GREETING} bytes"),
            });
        }
        if decoder.descriptors.len() > MAX_DESCRIPTORS {
            return Err(WireError::Descriptors {
                announced: 0,
                received: decoder.descriptors.len(),
            });
        }
        Ok(())
    }

    async fn parse_aside(&self, frame: Frame) -> Result<Call, WireError> {
        let place = self.share.parsing().await;
        let parsing = tokio::task::spawn_blocking(move || {
            let _held = place;
            parse(&frame)
        });
        parsing.await.unwrap_or_else(|e| {
            Err(WireError::Body {
                kind: "request",
                reason: e.to_string(),
            })
        })
    }

    fn take(self: &Rc<Self>, call: Result<Call, WireError>, came: Came) -> Result<(), WireError> {
        let request = came.request;
        let call = match call {
            Ok(call) => call,
            // A newer client's call that this service does not have; the stream itself is sound.
            Err(e) if self.greeted.get() => {
                self.answer(
                    request,
                    Err(Failure::new(HResult::E_NOTIMPL, e.to_string())),
                );
                return Ok(());
            }
            Err(e) => return Err(e),
        };
        match (self.greeted.get(), &call) {
            (
                false,
                Call::Hello {
                    minimum,
                    maximum,
                    instance,
                },
            ) => {
                self.recognise(instance.as_deref());
                self.greet(request, *minimum, *maximum);
                Ok(())
            }
            (true, Call::Cancel { request: other }) => {
                self.end(*other, "cancelled by the client", cancelled());
                self.answer(request, Ok(CallAnswer::done()));
                Ok(())
            }
            (
                true,
                Call::Limit {
                    request: other,
                    milliseconds,
                },
            ) => {
                self.limit(*other, Duration::from_millis(*milliseconds));
                self.answer(request, Ok(CallAnswer::done()));
                Ok(())
            }
            (true, Call::Hello { .. }) | (false, _) => Err(WireError::Body {
                kind: "Hello",
                reason: "it must be the first message and only that".to_owned(),
            }),
            (true, _) => {
                // Asked for each call, because who may use the service can change while a client is connected.
                match self.peer.authorise(self.service.entitled.get()) {
                    Ok(()) => self.begin(call, came),
                    Err(refusal) => self.answer(request, Err(refusal)),
                }
                Ok(())
            }
        }
    }

    /// Takes in the identity that the client gives itself.
    fn recognise(&self, instance: Option<&str>) {
        let instance = instance.and_then(|instance| calls::instance(self.peer.uid, instance));
        if let Some(instance) = &instance {
            self.in_time
                .set(self.service.calls.is_in_time(self.peer.uid, instance));
        }
        self.instance.replace(instance);
    }

    fn greet(&self, request: u64, minimum: u32, maximum: u32) {
        let refused = self.refused.clone().map_or(Ok(()), Err);
        let entitled = self
            .peer
            .authorise(self.service.entitled.get())
            .and(refused);
        let greeting = entitled.and_then(|()| {
            let version = hcs_wire::service::VERSION;
            if minimum <= version && version <= maximum {
                // The pid that operations of this client are named after.
                let process = self.operation(0).process;
                let repeats = self.instance.borrow().is_some();
                let groups = !engines::lacks_groups();
                let greeting = format!(
                    "{{\"Version\":{version},\"Process\":{process},\"Repeats\":{repeats},\"ControlGroups\":{groups}}}"
                );
                return Ok(CallAnswer::document(Some(greeting)));
            }
            Err(Failure::new(
                HResult::HCS_E_UNSUPPORTED_PROTOCOL_VERSION,
                format!(
                    "the client speaks protocol versions {minimum} to {maximum}, this service speaks {version}"
                ),
            ))
        });
        let welcome = greeting.is_ok();
        self.greeted.set(welcome);
        self.answer(request, greeting);
        if !welcome {
            self.outgoing.close(Closed::Gone);
        }
    }

    /// Takes a call up: at once, or when the handle it is about has been made.
    fn begin(self: &Rc<Self>, call: Call, came: Came) {
        let Came {
            request,
            bytes,
            is_repeat,
            descriptors,
        } = came;
        let counted = self
            .let_in(request, bytes)
            .and_then(|bytes| Ok((bytes, self.pipes_of(&call, descriptors)?)));
        let (bytes, pipes) = match counted {
            Ok(counted) => counted,
            // Answered beside the pending table: the number may belong to another call.
            Err(failure) => return self.write_reply(request, Err(failure)),
        };
        let id = self.operation(request);
        let (going, repeat) = self.name(request, &call, is_repeat);
        let name = going.as_ref().map(|going| Rc::clone(going.name()));
        let operations = &self.service.context.operations;
        let timeline = operations.received(id, &call, self.peer.uid, name, is_repeat);
        timeline.is_done_by(&self.share);
        let pending = Rc::new(Pending {
            timeline,
            asked: RefCell::default(),
            changed: Notify::new(),
            limit: RefCell::default(),
            _bytes: bytes,
            pipes: RefCell::new(pipes),
            repeat,
            has_effect: call.has_effect(),
            going,
        });
        self.pending
            .borrow_mut()
            .insert(request, Rc::clone(&pending));
        self.dispatch.admit(self, request, call, pending);
    }

    /// Counts a call of so many bytes in.
    fn let_in(&self, request: u64, bytes: usize) -> Result<limits::QuotaShare, Failure> {
        let limit = self.service.context.config().limits.pending_per_connection;
        let pending = self.pending.borrow();
        if pending.contains_key(&request) {
            return Err(Failure::new(
                HResult::E_INVALIDARG,
                format!(
                    "a call with the request number {request} is still pending on this connection"
                ),
            ));
        }
        let room = match pending.len() < limit {
            true => Ok(()),
            false => Err(limits::reached("unanswered calls of one connection", limit)),
        };
        let quota = &self.service.bytes_quota;
        let counted = room.and_then(|()| quota.take_many(self.peer.uid, bytes));
        if let Err(failure) = &counted
            && !self.is_flood.replace(true)
        {
            warn!(connection = self.number, peer = ?self.peer, "calls of a client are refused: {}", failure.log_line());
        }
        counted
    }

    /// The name of a call, where its client may ask for it again, and what is known of the one that it may repeat.
    fn name(&self, request: u64, call: &Call, is_repeat: bool) -> (Option<Going>, Option<Repeat>) {
        let instance = self.instance.borrow();
        let Some(instance) = instance.as_ref().filter(|_| call.survives()) else {
            return (None, None);
        };
        let again = is_repeat.then(|| self.in_time.get());
        let calls = &self.service.calls;
        let (going, repeat) = calls.begin(calls::name(instance, request), again);
        (Some(going), repeat)
    }

    /// The pipes that came along with a call, counted for their user.
    fn pipes_of(
        &self,
        call: &Call,
        descriptors: Received,
    ) -> Result<Option<(Received, limits::QuotaShare)>, Failure> {
        let (Call::CreateProcess {
            pipes: Some(pipes), ..
        }
        | Call::ReadOutput {
            pipes: Some(pipes), ..
        }) = call
        else {
            return Ok(None);
        };
        let count = descriptors.as_slice().len();
        if pipes.count() != count {
            return Err(Failure::new(
                HResult::E_INVALIDARG,
                format!(
                    "{} pipes were announced with the call and {count} came",
                    pipes.count(),
                ),
            ));
        }
        let share = self.service.pipes_quota.take(self.peer.uid)?;
        Ok(Some((descriptors, share)))
    }

    /// Ends a call that has not been answered, with `why`; what it had begun is undone.
    fn end(self: &Rc<Self>, request: u64, step: &'static str, why: Failure) {
        let pending = self.pending.borrow().get(&request).cloned();
        let Some(pending) = pending else {
            return;
        };
        pending.timeline.step(step);
        if let Some(dropped) = self.handles.withdraw(request) {
            self.dispatch.withdrawn(self, &dropped, &why);
            self.answer(request, Err(why));
        } else {
            pending.ask(why);
        }
    }

    /// A call that has not been answered is to end after `limit`.
    fn limit(self: &Rc<Self>, request: u64, limit: Duration) {
        let pending = self.pending.borrow().get(&request).cloned();
        let Some(pending) = pending else {
            return;
        };
        let connection = Rc::downgrade(self);
        let limiting = tokio::task::spawn_local(async move {
            tokio::time::sleep(limit).await;
            if let Some(connection) = connection.upgrade() {
                connection.end(request, "its time is over", late());
            }
        });
        pending.set_limit(Some(limiting));
    }

    /// Ends a call. Each call ends once; a connection that is gone takes no more answers.
    pub(crate) fn answer(&self, request: u64, answer: Result<CallAnswer, Failure>) {
        let pending = self.pending.borrow_mut().remove(&request);
        let answer = answer.map_err(|failure| Failure {
            operation: Some(self.operation(request).to_string()),
            ..failure
        });
        if let Some(pending) = pending.as_deref() {
            pending.set_limit(None);
            let timeline = &pending.timeline;
            let service = &self.service;
            let outcome = answer.as_ref().map(|_| ());
            service
                .context
                .operations
                .answered(timeline, outcome, &service.context.log);
        }
        let answered = pending.and_then(|pending| {
            Some(Answered {
                name: Rc::clone(pending.going.as_ref()?.name()),
                keepers: pending.timeline.take_keepers(),
                is_done: pending.has_effect && answer.is_ok(),
            })
        });
        self.write_reply(request, answer);
        if let Some(answered) = answered.filter(|a| a.is_done || !a.keepers.are_gone()) {
            self.settle(answered);
        }
    }

    /// The failure of a call only follows from another.
    pub(crate) fn follows(&self, request: u64) {
        if let Some(pending) = self.pending.borrow().get(&request) {
            pending.timeline.follows();
        }
    }

    /// The operation that a call of this client belongs to.
    pub(crate) fn operation(&self, request: u64) -> OperationId {
        let pid = self.peer.pid.and_then(|pid| u32::try_from(pid).ok());
        OperationId::of_request(pid.unwrap_or(0), request)
    }

    fn write_reply(&self, request: u64, answer: Result<CallAnswer, Failure>) {
        let answer = answer.unwrap_or_else(|failure| {
            self.log_failure(request, &failure);
            CallAnswer::failed(&failure)
        });
        let count = u16::try_from(answer.descriptors.len()).unwrap_or(u16::MAX);
        if let Some(bytes) = answer.bytes {
            let _closed = self.write(bytes, answer.descriptors);
            return;
        }
        let encoded = encode(Kind::Reply, request, count, &answer.reply).or_else(|e| {
            let failure =
                Failure::new(HResult::E_OUTOFMEMORY, "the answer is too large to be sent")
                    .because(&e);
            encode(Kind::Reply, request, 0, &CallAnswer::failed(&failure).reply)
        });
        match encoded {
            Ok(bytes) => match self.write(bytes, answer.descriptors) {
                Err(Unsent::InFlight) => self.write_reply(request, Err(answer::unsent())),
                _sent_or_closed => {}
            },
            Err(e) => warn!(request, "an answer could not be written: {e}"),
        }
    }

    /// Where that is logged: the text of ten thousand failures takes its time.
    fn log_failure(&self, request: u64, failure: &Failure) {
        if !tracing::enabled!(tracing::Level::DEBUG) {
            return;
        }
        let why = match self.service.context.config().log_client_values {
            true => failure.to_string(),
            false => failure.log_line(),
        };
        debug!(operation = %self.operation(request), result = %failure.hresult, "a call failed: {why}");
    }

    fn write(&self, bytes: Vec<u8>, descriptors: Vec<OwnedFd>) -> Result<(), Unsent> {
        let was_open = !self.is_closed();
        let sent = self.outgoing.send(bytes, descriptors);
        if let Err(Unsent::Closed(Closed::Full { unread })) = sent
            && was_open
        {
            warn!(connection = self.number, peer = ?self.peer, unread, "a client does not read and is disconnected");
        }
        sent
    }

    /// Does `work` as a task of its own, in turns with all others.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + 'static) {
        let share = Rc::clone(&self.share);
        tokio::task::spawn_local(async move { share.turns.spread(work).await });
    }

    /// Whether the client is gone: nothing reaches it any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.outgoing.is_closed()
    }

    /// Returns when the client has read most of its answers, so that there is room for a long one.
    pub(crate) async fn room(&self) {
        self.outgoing.room_for_page().await;
    }

    /// Returns when the client is gone.
    pub(crate) async fn gone(&self) {
        self.outgoing.closed().await;
    }

    /// The place that is asked for by `place`. Nothing has begun before, so nothing begins for a client that is gone.
    ///
    /// # Errors
    /// It is gone.
    pub(crate) async fn in_its_turn<T>(
        &self,
        place: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        tokio::select! {
            biased;
            () = self.gone() => Err(cancelled()),
            place = place => Ok(place),
        }
    }
}

fn parse(frame: &Frame) -> Result<Call, WireError> {
    frame.parse("request")
}

/// What a call ends with that was not done by its deadline.
fn late() -> Failure {
    Failure::new(
        HResult::HCS_E_OPERATION_TIMEOUT,
        "the operation was not done by its deadline and was given up",
    )
}
