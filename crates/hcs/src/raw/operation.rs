//! `HCS_OPERATION`: tracks one call at a time.

use std::{
    fmt,
    os::fd::OwnedFd,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Weak},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use hcs_lifecycle::operation::{CallNumber, Cancel, Phase, Refusal, Streams as Hand};
use hcs_schema::{HResult, Stdio};
use hcs_wire::{operation::OperationId, service::Call};
use serde_json::json;

use super::{Document, Error, OperationKind, Process, System};
use crate::{
    raw::client::{Client, Watch, pool, timer},
    raw::handle::Handle,
    raw::link::{Link, LinkAnswer, next_number},
    reading::cell::{Cell, Completion},
    reading::sync::{Deadline, Mutex, lock, thread},
    reading::turn::Awaited,
    stdio::SharedStreams,
    timer::Alarm,
};

/// Called once for each completion, on a thread of the library, after the result can be read and with no lock held.
/// It may block and call every function, [`Operation::close`] of the same operation included.
pub type Callback = Arc<dyn Fn(&Operation) + Send + Sync>;

/// Pid and stdio of a process (`HCS_PROCESS_INFORMATION`).
///
/// The descriptors are the caller's, close-on-exec and not below 3.
#[derive(Debug, Default)]
pub struct ProcessInformation {
    /// Pid inside the compute system.
    pub process_id: u32,
    /// The write end of standard input, the read ends of the others.
    pub stdio: Stdio<Option<OwnedFd>>,
}

/// The result of a call that succeeds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Success {
    pub(crate) document: Option<Document>,
    pub(crate) process: Option<Started>,
}

/// Pid of a process, and its streams until the program takes them.
#[derive(Clone, Debug)]
pub(crate) struct Started {
    pub(crate) process_id: u32,
    pub(crate) streams: Arc<SharedStreams>,
}

/// Tracks one call at a time, and may be used again once that has completed. All clones are the same operation.
///
/// Only [`Operation::close`] gives up a pending call. If all clones are dropped instead, the call still completes and
/// its callback runs; then its result is freed, as no clone is left to ask for it.
///
/// ```
/// use hcs::raw::{Operation, OperationKind};
/// use hcs_schema::HResult;
///
/// let operation = Operation::new();
/// assert_eq!(operation.kind(), OperationKind::None);
/// let error = operation.result().unwrap_err();
/// assert_eq!(error.hresult, HResult::HCS_E_OPERATION_NOT_STARTED);
/// ```
#[derive(Clone)]
pub struct Operation {
    shared: Arc<Shared>,
}

type Tracker = Cell<Success, Error, Callback>;

struct Shared {
    id: u64,
    cell: Tracker,
    tracked: Mutex<Tracked>,
    /// How long calls may take.
    limit: Mutex<Option<Duration>>,
}

/// How much longer than its limit a call is left to a service that reacts, before it is ended without it.
const GRACE: Duration = Duration::from_secs(5);

/// How soon after the limit of a call its service has to react at all.
const REACTION: Duration = Duration::from_secs(1);

/// The subject of a call.
#[derive(Clone, Default)]
pub(super) struct About {
    pub(super) system: Option<System>,
    pub(super) process: Option<Process>,
    /// The handle the call is made on.
    pub(super) on: Option<Arc<Handle>>,
    /// The handle the call makes.
    pub(super) makes: Option<Arc<Handle>>,
}

impl About {
    /// The handles whose event callbacks may take the completion; the first that can takes it.
    fn handles(&self) -> [Option<Arc<Handle>>; 2] {
        [self.on.clone(), self.makes.clone()]
    }
}

#[derive(Default)]
struct Tracked {
    about: About,
    /// The process that made the call: a child of `fork(2)` has the operation but not the thread that would end it.
    pid: u32,
    /// When the call has to be done.
    end: Option<Instant>,
    /// Ends the call if the service does not.
    alarm: Option<Alarm>,
    /// The service reacted after that, so it will end the call.
    reacted: bool,
    /// The request, once there is one.
    request: Option<(OperationId, Weak<Link>)>,
    /// Which call it is, and whose connection brings its answer.
    call: Option<(CallNumber, Arc<Client>)>,
    /// Set while the answer is to come and the program wants it without waiting.
    watch: Option<Watch>,
}

impl Tracked {
    fn watch(&mut self) {
        if self.watch.is_none()
            && let Some((_, client)) = &self.call
        {
            self.watch = Some(Watch::new(client));
        }
    }
}

impl Operation {
    /// `HcsCreateOperation`.
    #[must_use]
    pub fn new() -> Self {
        let shared = Shared {
            id: next_number(),
            cell: Cell::new(),
            tracked: Mutex::default(),
            limit: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// `HcsSetOperationCallback`. Set while a call is pending, it is called for that call; set after, for that too
    /// where its completion is still unknown (no callback was told, no result read), and for the next. It takes the
    /// place of the former, which is not called any more; where that is running, this waits until it has returned,
    /// unless called from within it.
    ///
    /// # Errors
    /// `E_HANDLE` when closed; `HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET` when the event callback of the handle
    /// that the pending call is made on takes completions; `E_OUTOFMEMORY` when no thread could be started.
    pub fn set_callback(&self, callback: Option<Callback>) -> Result<(), HResult> {
        if callback.is_some() {
            pool().ensure().map_err(|_| HResult::E_OUTOFMEMORY)?;
        }
        let handles = lock(&self.shared.tracked).about.handles();
        let mut handles = handles.iter().flatten();
        let conflict = handles.any(|handle| handle.hub().takes_completions());
        let late = self
            .shared
            .cell
            .set_callback(callback, conflict)
            .map_err(|refusal| refusal.hresult())?;
        if late {
            self.submit_callback();
        }
        if self.shared.cell.has_callback() {
            self.watch();
        }
        Ok(())
    }

    /// `HcsGetOperationId`: unique in the process, never 0, the same for all calls of this operation.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.shared.id
    }

    /// Names the tracked call in errors, in the service's logs and for `hcs explain`: the pid of this process and
    /// [`Operation::id`], and after the first call of the operation which one it is. `None` until there is one.
    #[must_use]
    pub fn correlation_id(&self) -> Option<String> {
        let tracked = lock(&self.shared.tracked);
        let (name, _) = tracked.request.as_ref()?;
        Some(name.to_string())
    }

    /// `HcsGetOperationType`.
    #[must_use]
    pub fn kind(&self) -> OperationKind {
        self.shared.cell.kind()
    }

    /// `HcsGetComputeSystemFromOperation`: the system the tracked call is made on or makes.
    #[must_use]
    pub fn system(&self) -> Option<System> {
        lock(&self.shared.tracked).about.system.clone()
    }

    /// `HcsGetProcessFromOperation`: the process the tracked call is made on or makes.
    #[must_use]
    pub fn process(&self) -> Option<Process> {
        lock(&self.shared.tracked).about.process.clone()
    }

    /// `HcsGetOperationResult`.
    ///
    /// # Errors
    /// `E_HANDLE` when closed, `HCS_E_OPERATION_NOT_STARTED`, `HCS_E_OPERATION_PENDING`, or the error of the call.
    pub fn result(&self) -> Result<Option<Document>, Error> {
        match self.shared.cell.outcome() {
            Ok(outcome) => outcome.map(|success| success.document),
            Err(refusal) => Err(self.not_yet(refusal).into()),
        }
    }

    /// `HcsGetOperationResultAndProcessInfo`. With `take` the streams are handed over, once; otherwise, and to every
    /// later caller, only the pid is given.
    ///
    /// # Errors
    /// In this order: `E_HANDLE`, `HCS_E_OPERATION_NOT_STARTED`, `E_INVALIDARG` when the call is neither
    /// `HcsCreateProcess` nor `HcsGetProcessInfo`, `HCS_E_OPERATION_PENDING`, then the error of the call.
    pub fn result_and_process_info(
        &self,
        take: bool,
    ) -> Result<(Option<Document>, ProcessInformation), Error> {
        match self.shared.cell.process_information(take) {
            Ok((outcome, hand)) => Ok(hand_over(outcome?, hand)),
            Err(refusal) => Err(self.not_yet(refusal).into()),
        }
    }

    /// Returns the code of a refusal. The caller may ask a pending operation again, so its answer has to be read.
    fn not_yet(&self, refusal: Refusal) -> HResult {
        if refusal == Refusal::Pending {
            self.watch();
        }
        refusal.hresult()
    }

    /// `HcsWaitForOperationResult`; `None` waits without limit. After a timeout the operation stays tracked.
    ///
    /// # Errors
    /// Those of [`Operation::result`], `HCS_E_OPERATION_TIMEOUT` in place of pending.
    pub fn wait(&self, limit: Option<Duration>) -> Result<Option<Document>, Error> {
        let outcome = self.wait_until(limit, Cell::outcome)?;
        outcome.map(|success| success.document)
    }

    /// `HcsWaitForOperationResultAndProcessInfo`.
    ///
    /// # Errors
    /// Those of [`Operation::result_and_process_info`], `HCS_E_OPERATION_TIMEOUT` in place of pending.
    pub fn wait_and_process_info(
        &self,
        limit: Option<Duration>,
        take: bool,
    ) -> Result<(Option<Document>, ProcessInformation), Error> {
        let (outcome, hand) =
            self.wait_until(limit, |cell: &Tracker| cell.process_information(take))?;
        Ok(hand_over(outcome?, hand))
    }

    /// Waits while `read` says that the call is pending.
    fn wait_until<T>(
        &self,
        limit: Option<Duration>,
        read: impl Fn(&Tracker) -> Result<T, Refusal>,
    ) -> Result<T, Error> {
        let deadline = Deadline::after(limit);
        loop {
            match read(&self.shared.cell) {
                Ok(outcome) => return Ok(outcome),
                Err(Refusal::Pending) => {}
                Err(refusal) => return Err(refusal.hresult().into()),
            }
            self.check_process()?;
            let call = lock(&self.shared.tracked).call.clone();
            // Without one it has just been closed.
            if let Some((call, client)) = call {
                let mut ending = Ending {
                    operation: self,
                    call,
                };
                let ended = client.turn().wait(deadline, &mut ending);
                ended.ok_or(HResult::HCS_E_OPERATION_TIMEOUT)?;
            }
        }
    }

    /// Ready when no call is pending, so that [`Operation::result`] can be read; else the task is woken then.
    pub fn poll_done(&self, context: &Context<'_>) -> Poll<()> {
        if self.check_process().is_err() {
            return Poll::Ready(());
        }
        self.watch();
        let done = self.shared.cell.poll_done(context.waker());
        if done.is_ready() {
            let watch = lock(&self.shared.tracked).watch.take();
            drop(watch);
        }
        done
    }

    /// Has the answer, if one is to come, read although no thread waits for it.
    fn watch(&self) {
        let mut tracked = lock(&self.shared.tracked);
        if self.shared.cell.phase() == Phase::Pending {
            tracked.watch();
        }
    }

    /// `HcsCancelOperation`: asks the service to undo the pending call, which then ends with `ERROR_CANCELLED`, unless
    /// it finishes first. A finished one is left alone.
    ///
    /// # Errors
    /// `E_HANDLE` when closed, `HCS_E_OPERATION_NOT_STARTED`.
    pub fn cancel(&self) -> Result<(), HResult> {
        match self.shared.cell.cancel().map_err(|r| r.hresult())? {
            Cancel::Tell(_) => self.send_cancel(),
            Cancel::Noted | Cancel::Finished => {}
        }
        Ok(())
    }

    /// `HcsSetOperationDeadline`, which is ours: the pending call has to be done within `limit` from now on, and each
    /// later call within `limit` from its start on. A call that takes longer ends with `HCS_E_OPERATION_TIMEOUT` and a
    /// `ResultError`, undone as by [`Operation::cancel`]. The service sees to that; a service that does
    /// not even react is given up a second later. `None` takes the limit away from later calls.
    ///
    /// # Errors
    /// `E_HANDLE` when closed; `E_OUTOFMEMORY` when no thread could be started.
    pub fn set_deadline(&self, limit: Option<Duration>) -> Result<(), HResult> {
        if self.shared.cell.is_closed() {
            return Err(HResult::E_HANDLE);
        }
        *lock(&self.shared.limit) = limit;
        match limit {
            Some(limit) if self.shared.cell.phase() == Phase::Pending => self.limit_call(limit),
            _ => Ok(()),
        }
    }

    /// The pending call has to be done within `limit`.
    fn limit_call(&self, limit: Duration) -> Result<(), HResult> {
        let mut tracked = lock(&self.shared.tracked);
        let Some((call, _)) = tracked.call else {
            return Ok(());
        };
        tracked.end = Instant::now().checked_add(limit);
        drop(tracked);
        self.alarm(call, limit, Self::out_of_time)?;
        self.send_limit();
        Ok(())
    }

    /// Does `job` after `delay` where `call` is pending then.
    fn alarm(
        &self,
        call: CallNumber,
        delay: Duration,
        job: fn(&Self, CallNumber),
    ) -> Result<(), HResult> {
        let operation = Arc::downgrade(&self.shared);
        let ring = move || {
            if let Some(shared) = operation.upgrade() {
                job(&Self { shared }, call);
            }
        };
        let alarm = timer()
            .after(delay, ring)
            .map_err(|_| HResult::E_OUTOFMEMORY)?;
        let mut tracked = lock(&self.shared.tracked);
        let same = matches!(&tracked.call, Some((tracked_call, _)) if *tracked_call == call);
        // Where the call has ended meanwhile, or another begun, nothing is to be done later.
        let former = if same && self.shared.cell.phase() == Phase::Pending {
            std::mem::replace(&mut tracked.alarm, alarm)
        } else {
            alarm
        };
        drop(tracked);
        drop(former);
        Ok(())
    }

    /// The time of a call is over. A service that reacts to the limit ends the call itself; a service that does not
    /// react is given up.
    fn out_of_time(&self, call: CallNumber) {
        let tracked = lock(&self.shared.tracked);
        let same = matches!(&tracked.call, Some((tracked_call, _)) if *tracked_call == call);
        let late = same && tracked.end.is_some_and(|end| end <= Instant::now());
        let is_sent = tracked.request.is_some();
        drop(tracked);
        if !late {
            // It has got more time, and an alarm for that.
            return;
        }
        if self.alarm(call, REACTION, Self::has_reacted).is_err() {
            self.give_up(call);
        } else if is_sent {
            self.watch();
            let operation = self.clone();
            // Sends the limit once more: a service that answers is at work. The timer's thread must not wait until the
            // service takes the message. A call that is sent only now is sent with its limit.
            let asks = thread::Builder::new()
                .name("hcs-limit".to_owned())
                .spawn(move || operation.send_limit());
            if asks.is_err() {
                self.give_up(call);
            }
        }
    }

    /// Called once the service had time to react.
    fn has_reacted(&self, call: CallNumber) {
        let reacted = lock(&self.shared.tracked).reacted;
        if !reacted || self.alarm(call, GRACE, Self::give_up).is_err() {
            self.give_up(call);
        }
    }

    /// Tells the service when the pending call has to be done, once it knows the call.
    fn send_limit(&self) {
        let tracked = lock(&self.shared.tracked);
        let (request, end) = (tracked.request.clone(), tracked.end);
        drop(tracked);
        if let (Some((name, link)), Some(end)) = (request, end)
            && let Some(link) = link.upgrade()
        {
            let left = end.saturating_duration_since(Instant::now()).as_millis();
            let limit = Call::Limit {
                request: name.request(),
                milliseconds: u64::try_from(left).unwrap_or(u64::MAX),
            };
            let operation = Arc::downgrade(&self.shared);
            link.call(&limit, move |answer: LinkAnswer| {
                if let (Ok(_), Some(shared)) = (answer, operation.upgrade()) {
                    let mut tracked = lock(&shared.tracked);
                    tracked.reacted |= tracked.end == Some(end) && end <= Instant::now();
                }
            });
        }
    }

    /// Ends a call that the service has not ended in time.
    fn give_up(&self, call: CallNumber) {
        let tracked = lock(&self.shared.tracked);
        let late = tracked.end.is_some_and(|end| end <= Instant::now());
        let tracked_call = tracked.call.clone();
        drop(tracked);
        if let Some((tracked_call, client)) = tracked_call
            && tracked_call == call
            && late
        {
            self.finish(call, Err(client.endpoint().unanswered().into()));
        }
    }

    fn send_cancel(&self) {
        let request = lock(&self.shared.tracked).request.clone();
        if let Some((request, link)) = request
            && let Some(link) = link.upgrade()
        {
            // The answer to the cancelled request matters; the answer to the cancellation says nothing more.
            let request = request.request();
            link.tell(&Call::Cancel { request });
        }
    }

    /// `HcsGetOperationProperties`: the properties known on this side. There is no query document.
    ///
    /// # Errors
    /// `E_HANDLE` when closed.
    pub fn properties(&self, _query: Option<&str>) -> Result<Option<Document>, Error> {
        if self.shared.cell.is_closed() {
            return Err(HResult::E_HANDLE.into());
        }
        self.watch();
        let state = match self.shared.cell.phase() {
            Phase::NotStarted => "NotStarted",
            Phase::Pending => "Pending",
            Phase::Completed => "Completed",
        };
        let properties = json!({
            "OperationId": self.id(),
            "OperationType": self.kind().number(),
            "State": state,
            "CorrelationId": self.correlation_id(),
        });
        Ok(Some(properties.to_string().into()))
    }

    /// `HcsCloseOperation`: for all clones. A pending call goes on and its result is dropped; streams not yet taken are
    /// closed. Waits for a callback that is running, unless called from within it; none starts afterwards.
    ///
    /// # Errors
    /// `E_HANDLE` when closed before.
    pub fn close(&self) -> Result<(), HResult> {
        let pending = self.shared.cell.phase() == Phase::Pending;
        let closed = self.shared.cell.close().map_err(|r| r.hresult());
        let tracked = std::mem::take(&mut *lock(&self.shared.tracked));
        if let (true, Some((_, client))) = (pending, &tracked.call) {
            // The streams in its answer have to be closed when it comes.
            client.turn().nudge();
        }
        drop(tracked);
        closed
    }

    /// Refuses a call that a parent process made: in its child, nothing will ever end the call.
    fn check_process(&self) -> Result<(), Error> {
        // The lock is held over both checks: a close between them would reset the pid to 0, which is no process.
        let tracked = lock(&self.shared.tracked);
        if self.shared.cell.phase() == Phase::Pending && tracked.pid != std::process::id() {
            return Err(HResult::HCS_E_SERVICE_DISCONNECT.into());
        }
        Ok(())
    }

    /// Begins to track a call.
    pub(super) fn begin(
        &self,
        kind: OperationKind,
        about: About,
        client: &Arc<Client>,
    ) -> Result<CallNumber, HResult> {
        let on = about.on.as_ref();
        let taken = on.is_some_and(|on| on.hub().takes_completions());
        // The lock is held over the start: a thread that sees the call pending must also see its subject.
        let mut tracked = lock(&self.shared.tracked);
        let call = self
            .shared
            .cell
            .start(kind, taken)
            .map_err(|refusal| refusal.hresult())?;
        let pid = client.pid();
        let watched = self.shared.cell.has_callback() || taken;
        let begun = Tracked {
            about,
            pid,
            end: None,
            alarm: None,
            reacted: false,
            request: None,
            call: Some((call, Arc::clone(client))),
            watch: watched.then(|| Watch::new(client)),
        };
        let former = std::mem::replace(&mut *tracked, begun);
        drop(tracked);
        drop(former);
        let limit = *lock(&self.shared.limit);
        if let Some(limit) = limit {
            // Without a thread the service alone keeps the time.
            let _unwatched = self.limit_call(limit);
        }
        Ok(call)
    }

    /// The tracked call is about to be made on this link; the number of its request.
    pub(super) fn requested(&self, call: CallNumber, link: &Arc<Link>) -> u64 {
        let name = OperationId {
            process: link.process(),
            number: self.shared.id,
            earlier: u16::try_from(call.earlier()).unwrap_or(u16::MAX),
        };
        // An operation that was used that often cannot name its calls apart any more.
        let name = match name.earlier {
            u16::MAX => OperationId::of_request(name.process, next_number()),
            _ => name,
        };
        lock(&self.shared.tracked).request = Some((name, Arc::downgrade(link)));
        name.request()
    }

    /// The tracked call is about to be made again, on this link and under the same number. Returns whether it has ended
    /// here without the service: its effects are to be undone then.
    pub(super) fn requested_again(&self, call: CallNumber, link: &Arc<Link>, request: u64) -> bool {
        let mut tracked = lock(&self.shared.tracked);
        let same = matches!(&tracked.call, Some((tracked_call, _)) if *tracked_call == call);
        if same {
            let name = OperationId::of_request(link.process(), request);
            tracked.request = Some((name, Arc::downgrade(link)));
        }
        // A closed operation goes on.
        same && self.shared.cell.phase() == Phase::Completed && !self.shared.cell.is_closed()
    }

    /// The request is on its way.
    pub(super) fn sent(&self, call: CallNumber) {
        self.send_limit();
        if self.shared.cell.sent(call) {
            self.send_cancel();
        }
    }

    /// Ends the tracked call: first makes the outcome readable, then schedules the callback that takes it.
    pub(super) fn finish(&self, call: CallNumber, outcome: Result<Success, Error>) {
        let handles = lock(&self.shared.tracked).about.handles();
        match self.shared.cell.complete(call, outcome) {
            Completion::Callback => self.submit_callback(),
            Completion::NoCallback(telling) => {
                let mut handles = handles.iter().flatten();
                let _taken = handles.any(|handle| handle.completed(self, &telling));
            }
            Completion::Unwanted => {}
        }
        let mut tracked = lock(&self.shared.tracked);
        let over = match &tracked.call {
            Some((tracked_call, _)) if *tracked_call == call => {
                Some((tracked.watch.take(), tracked.alarm.take()))
            }
            // Started again meanwhile.
            _ => None,
        };
        drop(tracked);
        drop(over);
    }

    fn submit_callback(&self) {
        let operation = self.clone();
        pool().submit(move || operation.run_callback());
    }

    /// The operation, as long as there is another owner.
    pub(crate) fn downgrade(&self) -> WeakOperation {
        WeakOperation(Arc::downgrade(&self.shared))
    }

    fn run_callback(&self) {
        self.shared.cell.run_callback(|callback| {
            // The panic was reported by the panic hook where it happened; a closer must not wait for ever.
            let _reported = catch_unwind(AssertUnwindSafe(|| callback(self)));
        });
    }
}

/// An [`Operation`] that is not kept by this.
#[derive(Clone, Debug)]
pub(crate) struct WeakOperation(Weak<Shared>);

impl WeakOperation {
    /// The operation, if it is still there.
    pub(crate) fn upgrade(&self) -> Option<Operation> {
        let shared = self.0.upgrade()?;
        Some(Operation { shared })
    }

    /// Whether it is gone.
    pub(crate) fn is_gone(&self) -> bool {
        self.0.strong_count() == 0
    }
}

fn hand_over(success: Success, hand: Hand) -> (Option<Document>, ProcessInformation) {
    let mut information = ProcessInformation::default();
    if let Some(started) = success.process {
        information.process_id = started.process_id;
        if hand == Hand::Given {
            information.stdio = std::mem::take(&mut *lock(&started.streams));
        }
    }
    (success.document, information)
}

/// The end of a wait for a call.
struct Ending<'a> {
    operation: &'a Operation,
    call: CallNumber,
}

impl Awaited for Ending<'_> {
    type Output = ();

    fn poll(&mut self, waker: &Waker) -> Poll<()> {
        let tracked = lock(&self.operation.shared.tracked);
        // Another call may have another connection.
        if !matches!(&tracked.call, Some((call, _)) if *call == self.call) {
            return Poll::Ready(());
        }
        drop(tracked);
        self.operation.shared.cell.poll_done(waker)
    }

    fn forget(&mut self, waker: &Waker) {
        self.operation.shared.cell.forget(waker);
    }
}

impl Default for Operation {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operation")
            .field("id", &self.shared.id)
            .field("kind", &self.shared.cell.kind())
            .field("phase", &self.shared.cell.phase())
            .finish_non_exhaustive()
    }
}
