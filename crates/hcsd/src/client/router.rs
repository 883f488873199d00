//! From calls to the code that does them.
//!
//! A call whose handle is still being made waits in the handle's slot. A call that makes a handle takes its number
//! first, so that later calls on it find the slot. What can be answered from memory is answered at once; everything
//! else runs as a task of its own that a cancel ends.

mod networks;
mod output;
pub(crate) mod processes;
pub(crate) mod systems;

use std::{future::Future, rc::Rc};

use hcs_engine::engine::Identity;
use hcs_schema::{Failure, HResult, check_id};
use hcs_wire::{
    access,
    log::{LogEntry, LogQuery},
    network::NetworkCall,
    service::Call,
};
use serde_json::json;
use tracing::info;

use crate::{
    client::{
        connection::{CallAnswer, Connection, Dispatch, Pending, handles::never_made},
        enumerate,
        service::Service,
        service_properties,
    },
    record::{
        event_log::{self, Kind},
        failures::cancelled,
        operations,
    },
    system::Initiator,
    thread::share::{Followed, place},
    upkeep::{
        cpu_groups::{self, By},
        crash_reports::{Kept, Submission},
    },
};

/// Bytes of the name of a system or an operation that is asked for: longer ones name none.
const MOST_NAME: usize = 4096;
/// Bytes of options, a query or settings. They are read at once; what describes a system, a process or a crash may be
/// longer, and is read aside.
const MOST_OPTIONS: usize = 64 << 10;

/// Takes up the calls of each connection.
#[derive(Debug)]
pub(crate) struct Router;

impl Dispatch for Router {
    fn admit(&self, to: &Rc<Connection>, request: u64, call: Call, pending: Rc<Pending>) {
        admit(to, request, call, pending);
    }

    fn take_up(&self, to: &Rc<Connection>, request: u64, call: Call, pending: Rc<Pending>) {
        let connection = Rc::clone(to);
        let routed = RoutedCall {
            connection,
            request,
            pending,
        };
        note_system(&routed, &call);
        dispatch(routed, call);
    }

    fn withdrawn(&self, to: &Rc<Connection>, call: &Call, why: &Failure) {
        withdrawn(to, call, why);
    }

    fn refused(&self, to: &Rc<Connection>, request: u64, call: &Call, why: &Failure) {
        refused(to, request, call, why);
    }
}

/// A call on its way to its answer.
pub(crate) struct RoutedCall {
    pub(crate) connection: Rc<Connection>,
    pub(crate) request: u64,
    pub(crate) pending: Rc<Pending>,
}

impl RoutedCall {
    /// Ends the call.
    pub(crate) fn answer(&self, answer: Result<CallAnswer, Failure>) {
        self.connection.answer(self.request, answer);
    }

    /// The initiator of the call, for the log.
    pub(crate) fn initiator(&self) -> Initiator {
        Initiator::Client(self.connection.operation(self.request))
    }

    /// For a call that is made again: waits until it does not go on for an earlier connection any more. Returns whether
    /// it was done then, though its client does not know.
    ///
    /// # Errors
    /// It is made again, and it is unknown whether it was done.
    pub(crate) async fn was_done(&self) -> Result<bool, Failure> {
        let (Some(repeat), Some(name)) = (&self.pending.repeat, self.pending.timeline.name())
        else {
            return Ok(false);
        };
        self.pending.timeline.step("its client makes it again");
        repeat.alone().await;
        let connection = &self.connection;
        if connection
            .service
            .calls
            .take_untold(connection.peer.uid, name)
        {
            self.pending.timeline.step("had been done");
            return Ok(true);
        }
        repeat.check()?;
        let calls = &connection.service.calls;
        calls.check_memory(connection.peer.uid).map(|()| false)
    }

    /// [`RoutedCall::was_done`] for what an agent knows until the client has the answer: only waits for an earlier
    /// connection.
    ///
    /// # Errors
    /// It is made again, and its client took too long to come back.
    pub(crate) async fn is_in_time(&self) -> Result<(), Failure> {
        let (Some(repeat), Some(name)) = (&self.pending.repeat, self.pending.timeline.name())
        else {
            return Ok(());
        };
        self.pending.timeline.step("its client makes it again");
        repeat.alone().await;
        let calls = &self.connection.service.calls;
        let _done = calls.take_untold(self.connection.peer.uid, name);
        repeat.check()
    }

    /// [`RoutedCall::run`] for work that is not to be done twice.
    pub(crate) fn run_once(
        self,
        work: impl Future<Output = Result<CallAnswer, Failure>> + 'static,
    ) {
        self.run_once_or_take_back(work, async {});
    }

    /// [`RoutedCall::run_once`] for work that an earlier service may have begun for the same call. Where that is
    /// cancelled before this service begins it, too, `take_back` comes before the answer.
    pub(crate) fn run_once_or_take_back(
        self,
        work: impl Future<Output = Result<CallAnswer, Failure>> + 'static,
        take_back: impl Future<Output = ()> + 'static,
    ) {
        let connection = Rc::clone(&self.connection);
        connection.spawn(async move {
            let answer = match self.was_done().await {
                Ok(true) => Ok(CallAnswer::done()),
                Ok(false) => {
                    let answer = self.until_cancelled(work).await;
                    if self.pending.repeat.is_some() && self.pending.is_cancelled() {
                        take_back.await;
                    }
                    answer
                }
                Err(failure) => Err(failure),
            };
            self.answer(answer);
        });
    }

    /// Runs `work` as a task; a cancel drops it and ends the call.
    pub(crate) fn run(self, work: impl Future<Output = Result<CallAnswer, Failure>> + 'static) {
        let connection = Rc::clone(&self.connection);
        connection.spawn(async move {
            let answer = self.until_cancelled(work).await;
            self.answer(answer);
        });
    }

    /// [`Connection::in_its_turn`].
    ///
    /// # Errors
    /// The client is gone.
    pub(crate) async fn in_its_turn<T>(
        &self,
        place: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        self.connection.in_its_turn(place).await
    }

    /// [`RoutedCall::run`] for what changes nothing: it ends with the connection.
    pub(crate) fn look(self, work: impl Future<Output = Result<CallAnswer, Failure>> + 'static) {
        let connection = Rc::clone(&self.connection);
        self.run(async move {
            tokio::select! {
                // First: else each of the calls that a dead client left would begin its work.
                biased;
                () = connection.gone() => Err(cancelled()),
                answer = work => answer,
            }
        });
    }

    /// `work`, or the failure of a cancelled call, whichever comes first.
    pub(crate) async fn until_cancelled<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let timeline = Rc::clone(&self.pending.timeline);
        tokio::select! {
            biased;
            result = operations::carry(Some(timeline), work) => result,
            why = self.pending.cancelled() => Err(why),
        }
    }
}

/// Takes the number of the handle that a call makes, then the call itself up.
fn admit(connection: &Rc<Connection>, request: u64, call: Call, pending: Rc<Pending>) {
    if let Some(made) = makes(&call)
        && let Err(failure) = connection.handles.reserve(made, concerns(&call))
    {
        connection.answer(request, Err(failure));
        return;
    }
    take_up(connection, request, call, pending);
}

/// The options, query or settings of a call, where they are read at once.
fn options(call: &Call) -> Option<&str> {
    match call {
        Call::StartSystem { options, .. }
        | Call::ShutDownSystem { options, .. }
        | Call::TerminateSystem { options, .. }
        | Call::PauseSystem { options, .. }
        | Call::ResumeSystem { options, .. }
        | Call::SaveSystem { options, .. }
        | Call::CrashSystem { options, .. }
        | Call::TerminateProcess { options, .. }
        | Call::SignalProcess { options, .. } => options.as_deref(),
        Call::GetSystemProperties { query, .. }
        | Call::GetProcessProperties { query, .. }
        | Call::EnumerateSystems { query }
        | Call::GetServiceProperties { query } => query.as_deref(),
        Call::Network(
            NetworkCall::Enumerate { query: text, .. }
            | NetworkCall::Query { query: text, .. }
            | NetworkCall::Statistics { query: text, .. }
            | NetworkCall::Create { settings: text, .. }
            | NetworkCall::Modify { settings: text, .. },
        ) => Some(text),
        Call::ModifySystem { settings, .. }
        | Call::ModifyProcess { settings, .. }
        | Call::ModifyServiceSettings { settings } => Some(settings),
        _ => None,
    }
}

/// Takes a call up, or lets it wait for its handle. It has the number of the handle it makes.
fn take_up(connection: &Rc<Connection>, request: u64, call: Call, pending: Rc<Pending>) {
    let routed = RoutedCall {
        connection: Rc::clone(connection),
        request,
        pending,
    };
    if let Some(text) = options(&call)
        && text.len() > MOST_OPTIONS
    {
        let message = format!(
            "the document of {} bytes is too long: options, queries and settings have at most {MOST_OPTIONS}",
            text.len()
        );
        return routed.answer(Err(Failure::new(HResult::HCS_E_INVALID_JSON, message)));
    }
    let concerned = concerns(&call);
    if let Some(why) = concerned.and_then(|handle| connection.handles.why_unmade(handle)) {
        refused(connection, request, &call, &why);
        return;
    }
    match concerned {
        Some(handle) if connection.handles.is_opening(handle) => {
            routed
                .pending
                .timeline
                .step("waits for the call that makes its handle");
            connection.handles.wait(handle, request, call);
        }
        _ => {
            note_system(&routed, &call);
            dispatch(routed, call);
        }
    }
}

/// A call ended with `failure` while it waited for its handle: the handle it would have made will not be.
fn withdrawn(connection: &Rc<Connection>, call: &Call, failure: &Failure) {
    if let Some(made) = makes(call) {
        let waiting = connection.handles.fail(made, failure);
        connection.refuse(waiting, failure);
    }
}

/// A call whose handle was never made ends as the making did; closing such a handle succeeds.
fn refused(connection: &Rc<Connection>, request: u64, call: &Call, failure: &Failure) {
    withdrawn(connection, call, failure);
    connection.follows(request);
    let answer = match call {
        Call::CloseSystem { system: number } | Call::CloseProcess { process: number } => {
            connection.handles.forget_unmade(*number);
            Ok(CallAnswer::done())
        }
        _ => Err(never_made(failure)),
    };
    connection.answer(request, answer);
}

/// The handle a call makes.
const fn makes(call: &Call) -> Option<u64> {
    match call {
        Call::CreateSystem { system, .. } | Call::OpenSystem { system, .. } => Some(*system),
        Call::CreateProcess { process, .. } | Call::OpenProcess { process, .. } => Some(*process),
        _ => None,
    }
}

/// The handle a call is about, which must be there before.
const fn concerns(call: &Call) -> Option<u64> {
    match call {
        Call::CloseSystem { system }
        | Call::StartSystem { system, .. }
        | Call::ShutDownSystem { system, .. }
        | Call::TerminateSystem { system, .. }
        | Call::PauseSystem { system, .. }
        | Call::ResumeSystem { system, .. }
        | Call::SaveSystem { system, .. }
        | Call::CrashSystem { system, .. }
        | Call::ModifySystem { system, .. }
        | Call::GetSystemProperties { system, .. }
        | Call::CreateProcess { system, .. }
        | Call::OpenProcess { system, .. }
        | Call::ReadOutput { system, .. } => Some(*system),
        Call::CloseProcess { process }
        | Call::TerminateProcess { process, .. }
        | Call::SignalProcess { process, .. }
        | Call::GetProcessInfo { process }
        | Call::GetProcessProperties { process, .. }
        | Call::ModifyProcess { process, .. } => Some(*process),
        _ => None,
    }
}

/// Notes which system a call is about.
fn note_system(routed: &RoutedCall, call: &Call) {
    let timeline = &routed.pending.timeline;
    if let Call::CreateSystem { id, .. } | Call::OpenSystem { id, .. } = call {
        timeline.concerns(id, None);
    }
    let handles = &routed.connection.handles;
    if let Some(system) = concerns(call).and_then(|handle| handles.system_of(handle)) {
        timeline.concerns(&system.id, Some(&system.runtime_id));
    }
}

fn dispatch(routed: RoutedCall, call: Call) {
    match call {
        Call::CreateSystem {
            system,
            id,
            document,
        } => systems::create(routed, system, id, document),
        Call::OpenSystem {
            system,
            id,
            runtime_id,
        } => systems::open(&routed, system, &id, runtime_id.as_deref()),
        Call::CloseSystem { system } => systems::close(&routed, system),
        Call::StartSystem { system, options } => systems::start(routed, system, options.as_deref()),
        Call::ShutDownSystem { system, options } => systems::shut_down(routed, system, options),
        Call::TerminateSystem { system, options } => systems::terminate(routed, system, options),
        Call::PauseSystem { system, options } => systems::pause(routed, system, options.as_deref()),
        Call::ResumeSystem { system, options } => systems::resume(routed, system, options),
        Call::ModifySystem { system, settings } => systems::modify(routed, system, &settings),
        Call::GetSystemProperties { system, query } => systems::properties(routed, system, query),
        Call::EnumerateSystems { query } => list_systems(&routed, query.as_deref()),
        Call::CreateProcess {
            system,
            process,
            parameters,
            pipes,
        } => processes::create(routed, (system, process), parameters, pipes),
        Call::OpenProcess {
            system,
            process,
            process_id,
            again,
        } => processes::open(routed, system, process, process_id, again),
        Call::ReadOutput { system, query, .. } => output::read(routed, system, query),
        Call::CloseProcess { process } => processes::close(&routed, process),
        Call::TerminateProcess { process, options } => {
            processes::terminate(routed, process, options.as_deref());
        }
        Call::SignalProcess { process, options } => processes::signal(routed, process, options),
        Call::GetProcessInfo { process } => processes::info(routed, process),
        Call::GetProcessProperties { process, query } => {
            routed.answer(processes::properties(&routed, process, query.as_deref()));
        }
        Call::ModifyProcess { process, settings } => processes::modify(routed, process, &settings),
        Call::GetServiceProperties { query } => about_service(routed, query.as_deref()),
        Call::ReadEvents(query) => read_events(routed, query),
        Call::ModifyServiceSettings { settings } => modify_service(routed, settings),
        Call::SubmitCrashReport { settings } => submit_crash_report(routed, settings),
        Call::GetVmIdentity { id } => routed.answer(identity(&routed.connection.service, &id)),
        Call::Network(call) => networks::answer(routed, call),
        Call::ExplainOperation { operation } => explain(routed, operation),
        Call::StopService => stop_service(&routed),
        Call::ReloadService => reload_service(&routed),
        Call::SaveSystem { system, options } => systems::save(routed, system, options.as_deref()),
        Call::CrashSystem { system, options } => systems::crash(routed, system, options.as_deref()),
        Call::Hello { .. } | Call::Cancel { .. } | Call::Limit { .. } => {
            routed.answer(Ok(CallAnswer::done()));
        }
    }
}

/// Reads the event log: one page of a connection at a time, and the next one when the last has been read. A reader that
/// waits for events holds no place, and waits no more when it is gone.
fn read_events(routed: RoutedCall, mut query: LogQuery) {
    let connection = Rc::clone(&routed.connection);
    if query.system.as_ref().is_some_and(|id| id.len() > MOST_NAME) {
        let message = format!("an id has at most {MOST_NAME} bytes, so there is no such system");
        return routed.answer(Err(Failure::new(HResult::E_INVALIDARG, message)));
    }
    let following = match query.follow {
        true => match connection.share.follow(Followed::Events) {
            Ok(place) => Some(place),
            Err(failure) => return routed.answer(Err(failure)),
        },
        false => None,
    };
    let request = routed.request;
    routed.look(async move {
        let _following = following;
        let log = &connection.service.context.log;
        loop {
            let place = place(&connection.share.reading).await;
            connection.room().await;
            let page = log.page(&query).await?;
            if !page.events.is_empty() || !query.follow {
                return CallAnswer::encoded(request, page).await;
            }
            drop(place);
            query.since = page.next;
            log.beyond(page.next).await;
        }
    });
}

/// Tells the time line of an operation.
fn explain(routed: RoutedCall, operation: String) {
    let connection = Rc::clone(&routed.connection);
    if operation.len() > MOST_NAME {
        let message = format!("no operation has a name of {} bytes", operation.len());
        return routed.answer(Err(Failure::new(HResult::E_INVALIDARG, message)));
    }
    let request = routed.request;
    routed.look(async move {
        let _place = place(&connection.share.reading).await;
        connection.room().await;
        let service = &connection.service;
        let report = service
            .context
            .operations
            .explain(&operation, connection.peer.uid, &service.context.log)
            .await?;
        CallAnswer::encoded(request, report).await
    });
}

fn list_systems(routed: &RoutedCall, query: Option<&str>) {
    let listed = enumerate::answer(&routed.connection.service, query);
    routed.answer(listed.map(|text| CallAnswer::document(Some(text))));
}

/// What is asked of the host takes its time, and may be long: other clients do not wait for it.
fn about_service(routed: RoutedCall, query: Option<&str>) {
    let connection = Rc::clone(&routed.connection);
    let query = match service_properties::parse(query) {
        Ok(query) if query.asks_the_host() => query,
        query => {
            let text = query.and_then(|query| query.answer(&connection.service));
            return routed.answer(text.map(|text| CallAnswer::document(Some(text))));
        }
    };
    let request = routed.request;
    routed.look(async move {
        let _place = place(&connection.share.reading).await;
        connection.room().await;
        let properties = query.answer_aside(&connection.service).await?;
        CallAnswer::encoded(request, properties).await
    });
}

/// What files of a virtual machine are granted to.
fn identity(service: &Service, id: &str) -> Result<CallAnswer, Failure> {
    check_id(id)?;
    for engine in &service.context.engines {
        if let Some(Identity { user, group }) = engine.identity(id)? {
            let identity = access::Identity { user, group };
            return Ok(CallAnswer::document(Some(json!(identity).to_string())));
        }
    }
    let message = "this service makes no virtual machines";
    Err(Failure::new(HResult::NOT_SUPPORTED, message))
}

/// Answers first: the answer is with the client when the service leaves.
fn stop_service(routed: &RoutedCall) {
    info!(peer = ?routed.connection.peer, "a client has the service leave");
    routed.answer(Ok(CallAnswer::done()));
    routed.connection.service.leave();
}

/// Answers with what has changed, and what could not.
fn reload_service(routed: &RoutedCall) {
    info!(peer = ?routed.connection.peer, "a client has the configuration read again");
    let reloaded = routed.connection.service.reload();
    routed.answer(reloaded.map(|difference| {
        let told = json!({ "Changed": difference.possible, "NotChanged": difference.impossible });
        CallAnswer::document(Some(told.to_string()))
    }));
}

/// `HcsModifyServiceSettings`.
fn modify_service(routed: RoutedCall, settings: String) {
    let service = Rc::clone(&routed.connection.service);
    let connection = Rc::clone(&routed.connection);
    connection.spawn(async move {
        let answer = match routed.was_done().await {
            Ok(true) => Ok(CallAnswer::done()),
            Ok(false) => change_groups(&routed, &service, &settings).await,
            Err(failure) => Err(failure),
        };
        routed.answer(answer);
    });
}

/// In its turn, which may be given up. What has begun then is done to its end: a client that gives it up is answered
/// when nothing of it is there.
async fn change_groups(
    routed: &RoutedCall,
    service: &Rc<Service>,
    settings: &str,
) -> Result<CallAnswer, Failure> {
    let (groups, engines) = (&service.cpu_groups, &service.context.engines);
    let turn = routed.in_its_turn(groups.turn());
    let turn = routed.until_cancelled(turn).await?;
    let users = |group: &str| {
        let all = service.context.registry.systems().into_iter();
        let of_group = all.filter(|system| system.cpu_group.as_deref() == Some(group));
        of_group.map(|system| format!("'{}'", system.id)).collect()
    };
    let by = By {
        uid: routed.connection.peer.uid,
        name: routed.pending.timeline.name(),
        is_repeat: routed.pending.repeat.is_some(),
        _turn: turn,
    };
    routed.pending.timeline.set_record(groups);
    let is_cancelled = || routed.pending.is_cancelled();
    cpu_groups::modify(groups, engines, users, settings, by, is_cancelled).await?;
    Ok(CallAnswer::done())
}

/// `HcsSubmitWerReport`.
fn submit_crash_report(routed: RoutedCall, settings: String) {
    let service = Rc::clone(&routed.connection.service);
    let (uid, initiator) = (routed.connection.peer.uid, routed.initiator());
    let submission = Submission {
        uid,
        name: routed.pending.timeline.name().cloned(),
        is_repeat: routed.pending.repeat.is_some(),
    };
    routed.pending.timeline.set_record(&service.crash_reports);
    routed.run_once(async move {
        let reports = Rc::clone(&service.crash_reports);
        let directory = service.context.crash_reports();
        let tell = move |kept: Kept<'_>| {
            let context = &service.context;
            if kept.was_there && context.log.tells_report(kept.file) {
                return;
            }
            // What the report says of itself is written down where it names a system.
            let named = kept.report.system_id.as_deref();
            let system = named.and_then(|id| context.registry.find(id, None).ok());
            context.log.append(LogEntry {
                system: system.map(|system| system.id.clone()),
                user_id: Some(uid),
                operation: initiator.operation(),
                data: Some(json!({ "File": kept.file })),
                ..event_log::event(Kind::CrashReported)
            });
        };
        let submitted = reports.submit(directory, settings, submission, tell);
        submitted.await.map(|()| CallAnswer::done())
    });
}
