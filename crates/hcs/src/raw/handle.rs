//! [`Handle`]: the object behind `HCS_SYSTEM` and `HCS_PROCESS`, with its number on the connection, its events, its
//! exit.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, OnceLock},
    task::{Poll, Waker},
};

use hcs_schema::{Failure, HResult};
use hcs_wire::service::{Call, Reply};
use serde_json::json;

use crate::{
    endpoint::Endpoint,
    raw::client::{Client, Watch, pool},
    raw::link::{Link, LinkAnswer, is_reading, next_number},
    raw::{Document, Event, EventCallback, Operation, WeakOperation, event_type},
    reading::cell::Telling,
    reading::hub::{Drain, Hub, Mark},
    reading::sync::{Deadline, Mutex, lock},
    reading::turn::Awaited,
    stdio::HandleStdio,
};

/// A compute system, as far as its clients tell it from others.
#[derive(Debug)]
pub(crate) struct Identity {
    /// The id of the API.
    pub(crate) id: String,
    /// The service's GUID for this system, once it said so.
    pub(crate) runtime_id: OnceLock<String>,
}

/// The subject of a handle.
#[derive(Debug)]
pub(crate) enum Subject {
    System,
    Process {
        /// Pid inside the system, once it is known.
        process_id: OnceLock<u32>,
        stdio: HandleStdio,
    },
}

/// Whether the system or process of a handle was made.
#[derive(Clone, Debug)]
enum Making {
    /// The service has not answered yet.
    Asked,
    Made,
    /// Why there is nothing behind the handle.
    Failed(Failure),
}

/// Whether a connection knows the number of a handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attachment {
    /// It does, or learns of it by what has been sent.
    Known,
    /// The call that makes the handle was left unanswered by an earlier connection, and was not made again on this one.
    Awaited,
}

/// An event on its way to the callback.
#[derive(Debug)]
pub(crate) struct Happening {
    event_type: u32,
    data: Option<Document>,
    completion: Option<Completed>,
}

/// A call that has completed.
#[derive(Debug)]
struct Completed {
    operation: WeakOperation,
    /// Holds the operation for a callback that is there. A completion that is kept for one to come does not: the
    /// operation holds this handle.
    held: Option<Operation>,
    telling: Arc<Telling>,
}

impl Happening {
    const fn new(event_type: u32, data: Option<Document>) -> Self {
        Self {
            event_type,
            data,
            completion: None,
        }
    }

    /// Whether a kept completion need not be reported any more.
    fn is_taken(&self) -> bool {
        let completion = self.completion.as_ref();
        completion.is_none_or(|it| it.telling.is_taken() || it.operation.is_gone())
    }

    /// The event for the callback; `None` when it was reported elsewhere. `late` means that the event came before there
    /// was a callback; then a result that was read is known already.
    fn into_event(self, late: bool) -> Option<Event> {
        if late && self.is_taken() {
            return None;
        }
        let operation = match self.completion {
            Some(completion) => {
                if !completion.telling.claim() {
                    return None;
                }
                completion.held.or_else(|| completion.operation.upgrade())
            }
            None => None,
        };
        Some(Event {
            event_type: self.event_type,
            data: self.data,
            operation,
        })
    }
}

/// One handle of this process.
pub(crate) struct Handle {
    number: u64,
    endpoint: Endpoint,
    identity: Arc<Identity>,
    subject: Subject,
    hub: Hub<Document, Happening, EventCallback>,
    making: Mutex<Making>,
    /// Serial of the connection that knows the number, 0 for none. Held while it is made known to one.
    attached: Arc<Mutex<u64>>,
    /// While a callback is registered.
    watch: Mutex<Option<Watch>>,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut f = f.debug_struct("Handle");
        f.field("number", &self.number)
            .field("system", &self.identity.id);
        if let Subject::Process { process_id, .. } = &self.subject {
            f.field("process_id", &process_id.get());
        }
        f.finish_non_exhaustive()
    }
}

/// Its subject, in words.
impl std::fmt::Display for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let id = &self.identity.id;
        match (&self.subject, self.process_id()) {
            (Subject::System, _) => write!(f, "compute system {id:?}"),
            (Subject::Process { .. }, Some(pid)) => write!(f, "process {pid} of {id:?}"),
            (Subject::Process { .. }, None) => write!(f, "the process of this handle, of {id:?},"),
        }
    }
}

impl Handle {
    /// A handle of a system that is about to be made or opened.
    pub(crate) fn of_system(endpoint: Endpoint, id: &str) -> Arc<Self> {
        let identity = Identity {
            id: id.to_owned(),
            runtime_id: OnceLock::new(),
        };
        Self::new(endpoint, Arc::new(identity), Subject::System)
    }

    /// A handle of a process that is about to be made, or opened by its pid.
    pub(crate) fn of_process(system: &Self, process_id: Option<u32>) -> Arc<Self> {
        let subject = Subject::Process {
            process_id: process_id.map_or_else(OnceLock::new, OnceLock::from),
            stdio: HandleStdio::default(),
        };
        Self::new(
            system.endpoint.clone(),
            Arc::clone(&system.identity),
            subject,
        )
    }

    fn new(endpoint: Endpoint, identity: Arc<Identity>, subject: Subject) -> Arc<Self> {
        Arc::new(Self {
            number: next_number(),
            endpoint,
            identity,
            subject,
            hub: Hub::new(),
            making: Mutex::new(Making::Asked),
            attached: Arc::default(),
            watch: Mutex::default(),
        })
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    pub(crate) fn hub(&self) -> &Hub<Document, Happening, EventCallback> {
        &self.hub
    }

    pub(crate) fn process_id(&self) -> Option<u32> {
        match &self.subject {
            Subject::Process { process_id, .. } => process_id.get().copied(),
            Subject::System => None,
        }
    }

    pub(crate) fn stdio(&self) -> Option<&HandleStdio> {
        match &self.subject {
            Subject::Process { stdio, .. } => Some(stdio),
            Subject::System => None,
        }
    }

    /// Makes the handle known to `link`, for a call that makes or opens it.
    pub(crate) fn announce(self: &Arc<Self>, client: &Client, link: &Link) {
        *lock(&self.attached) = link.serial();
        client.register(self);
    }

    /// The service answered the call that makes or opens it.
    pub(crate) fn made(&self, answer: Result<&Reply, &Failure>) {
        let failure = match answer {
            Ok(reply) if reply.result.is_success() => {
                // A reconnected service answers the same again.
                if let Some(runtime_id) = &reply.runtime_id {
                    let _same = self.identity.runtime_id.set(runtime_id.clone());
                }
                if let (Subject::Process { process_id, .. }, Some(information)) =
                    (&self.subject, &reply.process)
                {
                    let _same = process_id.set(information.process_id);
                }
                *lock(&self.making) = Making::Made;
                return;
            }
            Ok(reply) => {
                Failure::from_document(reply.result, reply.document.as_deref().unwrap_or_default())
            }
            Err(failure) => failure.clone(),
        };
        let reason = failure.hresult;
        *lock(&self.making) = Making::Failed(failure);
        self.hub.never(reason);
    }

    /// Makes sure that `link` knows the handle: where it was lost with another connection, it is opened again first. A
    /// handle that is still being made is announced by the call that makes it.
    ///
    /// # Errors
    /// Why there is nothing behind the handle.
    pub(crate) fn attach(
        self: &Arc<Self>,
        client: &Client,
        link: &Link,
    ) -> Result<Attachment, Failure> {
        let mut attached = lock(&self.attached);
        self.check_made()?;
        // An earlier connection is over, or soon will be.
        if *attached < link.serial() && self.hub.lives() {
            if !self.is_made() {
                return Ok(Attachment::Awaited);
            }
            self.open_again(link)?;
            client.register(self);
            *attached = link.serial();
            // A child of the process that registered the callback has another connection.
            self.watch_if_heard(client);
        }
        Ok(Attachment::Known)
    }

    /// Makes `link` know the handle for a call that is made again on it: also where the handle was closed since, or the
    /// thing has ended. [`Handle::take_back`] follows.
    pub(crate) fn lend(self: &Arc<Self>, client: &Client, link: &Link) {
        let mut attached = lock(&self.attached);
        // A handle that is still being made was made known with the call that makes it.
        if *attached < link.serial() && self.open_again(link).is_ok() {
            *attached = link.serial();
            if self.hub.lives() {
                client.register(self);
            }
        }
    }

    /// After a call on `link` that this handle was lent to, or that made it: closes the handle in the service again if
    /// the program has closed it.
    pub(crate) fn take_back(&self, link: &Link) {
        let mut attached = lock(&self.attached);
        if self.hub.is_closed() && *attached == link.serial() {
            // The next call that needs it opens it again.
            *attached = 0;
            Client::of(&self.endpoint).unregister(self.number);
            link.tell(&self.closing());
        }
    }

    /// The call that closes it in the service.
    const fn closing(&self) -> Call {
        let number = self.number;
        match self.subject {
            Subject::System => Call::CloseSystem { system: number },
            Subject::Process { .. } => Call::CloseProcess { process: number },
        }
    }

    fn watch_if_heard(&self, client: &Client) {
        let watch = self.hub.has_callback().then(|| Watch::new(client));
        let former = std::mem::replace(&mut *lock(&self.watch), watch);
        drop(former);
    }

    /// Whether the service said that there is something behind the handle.
    pub(crate) fn is_made(&self) -> bool {
        matches!(&*lock(&self.making), Making::Made)
    }

    /// Whether there is, or may come to be, something behind the handle.
    ///
    /// # Errors
    /// Why there is nothing.
    pub(crate) fn check_made(&self) -> Result<(), Failure> {
        let Making::Failed(failure) = &*lock(&self.making) else {
            return Ok(());
        };
        let (hresult, what) = match &self.subject {
            Subject::System => (HResult::HCS_E_SYSTEM_NOT_FOUND, "compute system"),
            Subject::Process { .. } => (HResult::NOT_FOUND, "process"),
        };
        let id = &self.identity.id;
        let message = format!("the {what} of this handle (in {id:?}) was never made");
        Err(Failure::new(hresult, message).because(failure))
    }

    /// Sends the calls that make `link` know this handle's number; their answers come later.
    fn open_again(self: &Arc<Self>, link: &Link) -> Result<(), Failure> {
        let is_made = self.is_made();
        let Some(runtime_id) = self.identity.runtime_id.get().filter(|_| is_made) else {
            return Err(Failure::new(
                HResult::HCS_E_SERVICE_DISCONNECT,
                "the connection was lost before the service said what this handle is of",
            ));
        };
        let open_system = |system| Call::OpenSystem {
            system,
            id: self.identity.id.clone(),
            runtime_id: Some(runtime_id.clone()),
        };
        let send = |call: &Call| {
            let handle = Arc::downgrade(self);
            link.call(call, move |answer| {
                if let Some(handle) = handle.upgrade() {
                    handle.opened_again(&answer);
                }
            });
        };
        match &self.subject {
            Subject::System => send(&open_system(self.number)),
            Subject::Process { process_id, .. } => {
                // The handle of its system may be closed by now, so a passing one is opened.
                let system = next_number();
                send(&open_system(system));
                send(&Call::OpenProcess {
                    system,
                    process: self.number,
                    process_id: process_id.get().copied().unwrap_or_default(),
                    again: true,
                });
                link.tell(&Call::CloseSystem { system });
            }
        }
        Ok(())
    }

    /// Takes the service's answer to the reopening. If the system or process is gone, it has exited in an unknown way.
    fn opened_again(self: &Arc<Self>, answer: &LinkAnswer) {
        let hresult = match answer {
            Ok((reply, _)) if !reply.result.is_success() => reply.result,
            // Lost again: the next connection opens it again.
            Ok(_) | Err(_) => return,
        };
        let (event_type, status) = match &self.subject {
            Subject::System => (
                event_type::SYSTEM_EXITED,
                json!({ "Status": hresult, "ExitType": "Unknown" }),
            ),
            Subject::Process { process_id, .. } => (
                event_type::PROCESS_EXITED,
                json!({
                    "ProcessId": process_id.get(),
                    "Exited": true,
                    "ExitCode": 0,
                    "LastWaitResult": hresult,
                }),
            ),
        };
        self.event(event_type, Some(status.to_string().into()));
    }

    /// The code for a call that the service refused because it does not know the number: the system or process has
    /// exited while there was no connection.
    pub(crate) fn gone(&self) -> Option<HResult> {
        if self.hub.lives() || self.hub.is_closed() {
            return None;
        }
        Some(match self.subject {
            Subject::System => HResult::HCS_E_SYSTEM_ALREADY_STOPPED,
            Subject::Process { .. } => HResult::HCS_E_PROCESS_ALREADY_STOPPED,
        })
    }

    /// A wait for the exit has begun: a lost connection is made again, so that the service can report the exit.
    pub(crate) fn watch(self: &Arc<Self>) {
        let client = Client::of(&self.endpoint);
        let connected = client.current_link().map_or(0, |link| link.serial());
        if self.hub.lives() && *lock(&self.attached) != connected {
            let (handle, client) = (Arc::clone(self), Arc::clone(&client));
            Client::of(&self.endpoint).with_link(move |link| {
                // Where the handle is still being made, the call that makes it comes back by itself.
                let attached = link.and_then(|link| handle.attach(&client, link));
                if let Err(failure) = attached {
                    handle.hub.give_up(failure.hresult);
                }
            });
        }
    }

    /// Waits for the exit.
    ///
    /// # Errors
    /// `E_HANDLE` when closed, `ERROR_TIMEOUT`, why there will be none, or why it was given up.
    pub(crate) fn wait_exit(self: &Arc<Self>, deadline: Deadline) -> Result<Document, HResult> {
        let mut ending = Ending {
            hub: &self.hub,
            mark: self.hub.mark(),
        };
        if let Poll::Ready(exit) = self.hub.exit(ending.mark) {
            return exit;
        }
        let client = Client::of(&self.endpoint);
        // In this order: a connection that is lost from here on is made again.
        self.hub.wait_begins();
        self.watch();
        let exit = client.turn().wait(deadline, &mut ending);
        self.hub.wait_ends();
        exit.unwrap_or(Err(HResult::TIMEOUT))
    }

    /// Something happened to it. Called by the thread that reads the connection.
    pub(crate) fn event(self: &Arc<Self>, event_type: u32, data: Option<Document>) {
        let drain = match event_type {
            event_type::SYSTEM_EXITED | event_type::PROCESS_EXITED => {
                self.hub.exited(data.unwrap_or_else(|| "{}".into()))
            }
            _ => self.hub.post(Happening::new(event_type, data)),
        };
        self.schedule(drain);
    }

    /// A call on it, or one that made it, has completed. Returns whether its callback takes the completion. If not, a
    /// callback that is set later takes it, unless the program knows of it by then.
    pub(crate) fn completed(
        self: &Arc<Self>,
        operation: &Operation,
        telling: &Arc<Telling>,
    ) -> bool {
        let make = |kept: bool| Happening {
            event_type: event_type::OPERATION_CALLBACK,
            data: None,
            completion: Some(Completed {
                operation: operation.downgrade(),
                held: (!kept).then(|| operation.clone()),
                telling: Arc::clone(telling),
            }),
        };
        let (taken, drain) = self.hub.completed(make, Happening::is_taken);
        self.schedule(drain);
        taken
    }

    /// The connection is over. Called by the thread that reads the connection.
    pub(crate) fn disconnected(self: &Arc<Self>) {
        if self.hub.lives() {
            self.event(event_type::SERVICE_DISCONNECT, None);
        }
    }

    /// Has queued events handed to the callback, on a thread for callbacks.
    pub(crate) fn schedule(self: &Arc<Self>, drain: Drain) {
        if drain == Drain::Needed {
            let handle = Arc::clone(self);
            pool().submit(move || handle.drain());
        }
    }

    fn drain(&self) {
        let exit = |document| {
            let event_type = match self.subject {
                Subject::System => event_type::SYSTEM_EXITED,
                Subject::Process { .. } => event_type::PROCESS_EXITED,
            };
            Happening::new(event_type, Some(document))
        };
        self.hub.drain(exit, |callback, happening, late| {
            let Some(event) = happening.into_event(late) else {
                return;
            };
            // The panic was reported by the panic hook where it happened; the next event is to come all the same.
            let _reported = catch_unwind(AssertUnwindSafe(|| callback(&event)));
        });
    }

    /// `HcsSetComputeSystemCallback` and `HcsSetProcessCallback`.
    pub(crate) fn set_callback(
        self: &Arc<Self>,
        completions: bool,
        callback: Option<EventCallback>,
    ) -> Result<(), HResult> {
        if callback.is_some() {
            pool().ensure().map_err(|_| HResult::E_OUTOFMEMORY)?;
        }
        let drain = self.hub.set_callback(callback, completions)?;
        self.schedule(drain);
        self.watch_if_heard(&Client::of(&self.endpoint));
        Ok(())
    }

    /// Closes it here and in the service.
    pub(crate) fn close(&self) -> Result<(), HResult> {
        self.hub.close()?;
        self.forget();
        Ok(())
    }

    fn forget(&self) {
        let watch = lock(&self.watch).take();
        drop(watch);
        if let Some(stdio) = self.stdio() {
            stdio.close_untaken();
        }
        let client = Client::of(&self.endpoint);
        client.unregister(self.number);
        if matches!(&*lock(&self.making), Making::Failed(_)) {
            return;
        }
        // Streams for this handle may be on their way, and have to be closed when they come.
        client.turn().nudge();
        let attached = Arc::clone(&self.attached);
        let call = self.closing();
        let send = move || {
            client.with_present_link(move |link| {
                if let Ok(link) = link
                    && *lock(&attached) == link.serial()
                {
                    // The service forgets a handle whatever it answers.
                    link.tell(&call);
                }
            });
        };
        if is_reading() {
            // A thread that hands out messages must not wait for the service to take one.
            pool().submit(send);
        } else {
            send();
        }
    }
}

/// The end of a wait for the exit.
struct Ending<'a> {
    hub: &'a Hub<Document, Happening, EventCallback>,
    mark: Mark,
}

impl Awaited for Ending<'_> {
    type Output = Result<Document, HResult>;

    fn poll(&mut self, waker: &Waker) -> Poll<Self::Output> {
        self.hub.poll_exit(self.mark, waker)
    }

    fn forget(&mut self, waker: &Waker) {
        self.hub.forget(waker);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if self.hub.close().is_ok() {
            self.forget();
        }
    }
}
