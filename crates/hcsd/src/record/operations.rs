//! What is known of the calls of clients: for each a time line, kept for a while after its answer, so that any client can
//! ask what became of an operation and how far it got ([`Operations::explain`]).
//!
//! Whatever works for a call notes its steps without being handed anything: the time line of the call that is being
//! worked for belongs to the running task ([`carry`], [`step`]). A call that failed is told in the event log with
//! its time line. So is one whose process the kernel killed, so a later service can explain them as well.

use std::{
    borrow::Cow,
    cell::{Cell, OnceCell, RefCell},
    collections::{HashMap, VecDeque},
    fmt,
    rc::{Rc, Weak},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use hcs_engine::steps::Watch;
use hcs_schema::{Failure, HResult, timestamp::rfc3339};
use hcs_wire::{
    explain::{OperationReport, OperationStep},
    log::LogEntry,
    network::NetworkCall,
    operation::OperationId,
    service::Call,
};
use serde_json::Value;

use crate::{
    record::event_log::{self, EventLog, Kind},
    thread::share::Share,
};

/// Answered calls that are remembered: those that succeeded, and those that failed.
const REMEMBERED: (usize, usize) = (1024, 256);
/// Steps of one time line; a call that makes more of them is told without the rest.
const MOST_STEPS: usize = 64;
/// Characters of a system's id that are remembered: as many as an id may have.
const MOST_ID: usize = 256;
/// Characters of a sentence of a failure that are remembered, and causes. A client may ask for nonsense of any length,
/// and sentences quote it.
const MOST_SAID: (usize, usize) = (2048, 16);
/// Pieces of work on other threads whose steps one time line has.
const MOST_WATCHED: usize = 8;

/// Who reads a time line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    /// The user who made the call, or root.
    Entitled,
    /// Another user, or one of any time to come: reads what may be written down.
    Other,
}

/// Something that remembers calls by name, so that none is done twice.
pub(crate) trait CallKeeper: fmt::Debug {
    /// The client of the call `name` has its answer: the client does not ask for it again.
    fn release(&self, name: &str);
}

tokio::task_local! {
    static CURRENT: Rc<Timeline>;
}

/// The time line of one call. Belongs to the service's thread.
#[derive(Debug)]
pub(crate) struct Timeline {
    id: OperationId,
    call: &'static str,
    uid: u32,
    received: SystemTime,
    begun: Instant,
    /// Whether a failure is an event; it is none where a call only asks.
    is_told: Cell<bool>,
    /// What its connection may take; calls without a connection have none.
    share: OnceCell<Rc<Share>>,
    /// Its name among all calls of all clients, where it has one.
    name: Option<Rc<str>>,
    /// An earlier connection may have brought it.
    is_repeat: bool,
    /// The agent that remembers it by that name.
    agent: RefCell<Option<Weak<dyn CallKeeper>>>,
    line: RefCell<Line>,
}

#[derive(Debug, Default)]
struct Line {
    system: Option<String>,
    runtime_id: Option<String>,
    steps: Vec<(i64, Cow<'static, str>)>,
    /// Work that is done for it on other threads, or was, and no task waited for its end.
    watched: Vec<Watch>,
    outcome: Option<Result<(), Failure>>,
}

impl Timeline {
    /// A call that was received this moment.
    pub(crate) fn new(
        id: OperationId,
        call: &Call,
        uid: u32,
        name: Option<Rc<str>>,
        is_repeat: bool,
    ) -> Rc<Self> {
        let (kind, is_told) = about(call);
        Rc::new(Self {
            id,
            call: kind,
            uid,
            received: SystemTime::now(),
            begun: Instant::now(),
            is_told: Cell::new(is_told),
            share: OnceCell::new(),
            name,
            is_repeat,
            agent: RefCell::default(),
            line: RefCell::default(),
        })
    }

    /// It is worked on by what a connection may take.
    pub(crate) fn is_done_by(&self, share: &Rc<Share>) {
        self.share.get_or_init(|| Rc::clone(share));
    }

    /// Its operation.
    pub(crate) const fn id(&self) -> OperationId {
        self.id
    }

    /// Its name among all calls of all clients, where it has one.
    pub(crate) const fn name(&self) -> Option<&Rc<str>> {
        self.name.as_ref()
    }

    /// Its name, where an earlier connection may have brought it.
    pub(crate) fn repeated(&self) -> Option<Rc<str>> {
        self.name.clone().filter(|_| self.is_repeat)
    }

    /// The agent at the other end of `link` remembers it by its name from now on.
    pub(crate) fn set_agent(&self, link: Weak<dyn CallKeeper>) {
        self.agent.replace(Some(link));
    }

    /// The agent that remembers it; no other agent is told.
    pub(crate) fn take_agent(&self) -> Option<Rc<dyn CallKeeper>> {
        self.agent.take()?.upgrade()
    }

    /// Notes a step.
    pub(crate) fn step(&self, step: impl Into<Cow<'static, str>>) {
        self.step_at(Instant::now(), step);
    }

    /// Notes a step that was done `at` some moment, perhaps before the call was received.
    pub(crate) fn step_at(&self, at: Instant, step: impl Into<Cow<'static, str>>) {
        let mut line = self.line.borrow_mut();
        if line.steps.len() < MOST_STEPS {
            let mut step = step.into();
            if step.len() > MOST_SAID.0 {
                step = beginning(&step, MOST_SAID.0).into();
            }
            line.steps.push((microseconds(self.begun, at), step));
        }
    }

    /// When the step noted last was done; the beginning where there is none.
    fn latest(&self) -> Instant {
        let line = self.line.borrow();
        let after = line.steps.last().map_or(0, |(after, _)| *after);
        self.begun + Duration::from_micros(u64::try_from(after).unwrap_or_default())
    }

    /// Notes which system it concerns; the runtime id once there is one.
    pub(crate) fn concerns(&self, id: &str, runtime_id: Option<&str>) {
        let mut line = self.line.borrow_mut();
        line.system = Some(beginning(id, MOST_ID));
        line.runtime_id = runtime_id.map(str::to_owned);
    }

    /// A failure is no event: it only follows from another that is.
    pub(crate) fn follows(&self) {
        self.is_told.set(false);
    }

    /// Its time line, for `reader`. The steps are in words of ours; the failure may quote the client.
    fn report(&self, reader: Reader) -> OperationReport {
        let told = |failure: &Failure| match reader {
            Reader::Entitled => failure.to_document(),
            Reader::Other => failure.recorded().to_document(),
        };
        let line = self.line.borrow();
        let received = self.received.duration_since(UNIX_EPOCH).unwrap_or_default();
        let failure = match &line.outcome {
            Some(Err(failure)) => Some(failure),
            _ => None,
        };
        let step = |(after, step): &(i64, Cow<'static, str>)| OperationStep {
            after_microseconds: *after,
            step: step.clone().into_owned(),
        };
        let mut steps: Vec<_> = line.steps.iter().map(step).collect();
        let heard = line.watched.iter().flat_map(Watch::heard);
        steps.extend(heard.map(|heard| OperationStep {
            after_microseconds: microseconds(self.begun, heard.at),
            step: heard.what.into_owned(),
        }));
        // Others tell their steps when they are done.
        steps.sort_by_key(|step| step.after_microseconds);
        OperationReport {
            operation: self.id.to_string(),
            call: self.call.to_owned(),
            system: line.system.clone(),
            user_id: self.uid,
            received: rfc3339(received),
            done: line.outcome.is_some(),
            steps,
            result: line.outcome.as_ref().map(|outcome| {
                let result = outcome.as_ref().err().map_or(HResult::S_OK, |f| f.hresult);
                result.to_string()
            }),
            error: failure.and_then(|f| event_log::data(&told(f))),
        }
    }
}

/// From `begun` to `at`; negative when that is earlier.
fn microseconds(begun: Instant, at: Instant) -> i64 {
    let amount = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
    match at.checked_duration_since(begun) {
        Some(after) => amount(after),
        None => -amount(begun.duration_since(at)),
    }
}

/// Name of a call, and whether its failure is an event: it asks for more than an answer.
const fn about(call: &Call) -> (&'static str, bool) {
    match call {
        Call::Hello { .. } => ("Hello", false),
        Call::CreateSystem { .. } => ("CreateSystem", true),
        // Clients of an earlier service get their handles back; that one is gone they know by its end.
        Call::OpenSystem { runtime_id, .. } => ("OpenSystem", runtime_id.is_none()),
        Call::CloseSystem { .. } => ("CloseSystem", false),
        Call::StartSystem { .. } => ("StartSystem", true),
        Call::ShutDownSystem { .. } => ("ShutDownSystem", true),
        Call::TerminateSystem { .. } => ("TerminateSystem", true),
        Call::PauseSystem { .. } => ("PauseSystem", true),
        Call::ResumeSystem { .. } => ("ResumeSystem", true),
        Call::SaveSystem { .. } => ("SaveSystem", true),
        Call::CrashSystem { .. } => ("CrashSystem", true),
        Call::ModifySystem { .. } => ("ModifySystem", true),
        Call::GetSystemProperties { .. } => ("GetSystemProperties", false),
        Call::EnumerateSystems { .. } => ("EnumerateSystems", false),
        Call::CreateProcess { .. } => ("CreateProcess", true),
        Call::OpenProcess { again, .. } => ("OpenProcess", !*again),
        Call::ReadOutput { .. } => ("ReadOutput", false),
        Call::CloseProcess { .. } => ("CloseProcess", false),
        Call::TerminateProcess { .. } => ("TerminateProcess", true),
        Call::SignalProcess { .. } => ("SignalProcess", true),
        Call::GetProcessInfo { .. } => ("GetProcessInfo", false),
        Call::GetProcessProperties { .. } => ("GetProcessProperties", false),
        Call::ModifyProcess { .. } => ("ModifyProcess", true),
        Call::GetServiceProperties { .. } => ("GetServiceProperties", false),
        Call::ModifyServiceSettings { .. } => ("ModifyServiceSettings", true),
        Call::SubmitCrashReport { .. } => ("SubmitCrashReport", true),
        Call::GetVmIdentity { .. } => ("GetVmIdentity", false),
        Call::Network(call) => network(call),
        Call::ReadEvents { .. } => ("ReadEvents", false),
        Call::ExplainOperation { .. } => ("ExplainOperation", false),
        Call::StopService => ("StopService", true),
        Call::ReloadService => ("ReloadService", true),
        Call::Cancel { .. } => ("Cancel", false),
        Call::Limit { .. } => ("Limit", false),
    }
}

/// [`about`] a call of `ComputeNetwork.h`.
const fn network(call: &NetworkCall) -> (&'static str, bool) {
    match call {
        NetworkCall::Enumerate { .. } => ("EnumerateNetworkObjects", false),
        NetworkCall::Create { .. } => ("CreateNetworkObject", true),
        NetworkCall::Open { .. } => ("OpenNetworkObject", false),
        NetworkCall::Modify { .. } => ("ModifyNetworkObject", true),
        NetworkCall::Query { .. } => ("QueryNetworkObject", false),
        NetworkCall::Delete { .. } => ("DeleteNetworkObject", true),
    }
}

/// Whether a call is remembered: those that only look at what happened, or give a handle back, would push out others.
const fn is_remembered(call: &Call) -> bool {
    !matches!(
        call,
        Call::ReadEvents { .. }
            | Call::ExplainOperation { .. }
            | Call::CloseSystem { .. }
            | Call::CloseProcess { .. }
    )
}

/// Notes a step of the call that the running task works for, if it works for one.
pub(crate) fn step(step: impl Into<Cow<'static, str>>) {
    // Outside of any call, upkeep say, there is no call to tell.
    let _no_call = CURRENT.try_with(|trail| trail.step(step));
}

/// Watches work for that call on another thread: its steps belong to the time line from now on. `None` where no call is
/// worked for, or it has had many such pieces of work.
pub(crate) fn watch() -> Option<Watch> {
    let watching = CURRENT.try_with(|trail| {
        let mut line = trail.line.borrow_mut();
        let watch = Watch::default();
        let room = line.watched.len() < MOST_WATCHED;
        room.then(|| line.watched.push(watch.clone()))
            .map(|()| watch)
    });
    watching.ok().flatten()
}

/// Notes what an agent says it has done for that call, each so many microseconds before its answer, which is the step
/// noted last: this thread may have waited for a processor since. It is believed as far as that can be: none of it came
/// before the call did.
pub(crate) fn agents_steps(steps: impl Iterator<Item = (u32, &'static str)>) {
    let _no_call = CURRENT.try_with(|trail| {
        let answered = trail.latest();
        for (ago, what) in steps {
            let at = answered.checked_sub(Duration::from_micros(ago.into()));
            trail.step_at(at.map_or(trail.begun, |at| at.max(trail.begun)), what);
        }
    });
}

/// The call that the running task works for.
pub(crate) fn current() -> Option<Rc<Timeline>> {
    CURRENT.try_with(Rc::clone).ok()
}

/// What the connection of that call may take.
pub(crate) fn share() -> Option<Rc<Share>> {
    CURRENT
        .try_with(|trail| trail.share.get().cloned())
        .ok()
        .flatten()
}

/// `work`, done for that call.
pub(crate) async fn carry<F: Future>(trail: Option<Rc<Timeline>>, work: F) -> F::Output {
    match trail {
        Some(trail) => CURRENT.scope(trail, work).await,
        None => work.await,
    }
}

/// The calls the service knows of. Belongs to its thread.
#[derive(Debug, Default)]
pub(crate) struct Operations {
    /// The event log quotes clients.
    quotes: Cell<bool>,
    pending: RefCell<HashMap<OperationId, Rc<Timeline>>>,
    succeeded: RefCell<VecDeque<Rc<Timeline>>>,
    failed: RefCell<VecDeque<Rc<Timeline>>>,
}

impl Operations {
    /// With `quotes`, the event log has failures in full.
    pub(crate) fn new(quotes: bool) -> Self {
        Self {
            quotes: Cell::new(quotes),
            ..Self::default()
        }
    }

    /// [`Operations::new`] for what is written down from now on.
    pub(crate) fn set_quotes(&self, quotes: bool) {
        self.quotes.set(quotes);
    }

    /// A call was received.
    pub(crate) fn received(
        &self,
        id: OperationId,
        call: &Call,
        uid: u32,
        name: Option<Rc<str>>,
        is_repeat: bool,
    ) -> Rc<Timeline> {
        let trail = Timeline::new(id, call, uid, name, is_repeat);
        if is_remembered(call) {
            self.pending.borrow_mut().insert(id, Rc::clone(&trail));
        }
        trail
    }

    /// It was answered.
    pub(crate) fn answered(
        &self,
        trail: &Rc<Timeline>,
        outcome: Result<(), &Failure>,
        log: &EventLog,
    ) {
        trail.step("answered");
        trail.line.borrow_mut().outcome = Some(outcome.map_err(remembered_as));
        let mut pending = self.pending.borrow_mut();
        let remembered = match pending.get(&trail.id) {
            Some(known) if Rc::ptr_eq(known, trail) => pending.remove(&trail.id).is_some(),
            _ => false,
        };
        drop(pending);
        if !remembered {
            return;
        }
        let (done, most) = match outcome {
            Ok(()) => (&self.succeeded, REMEMBERED.0),
            Err(_) => (&self.failed, REMEMBERED.1),
        };
        let mut done = done.borrow_mut();
        if done.len() >= most {
            done.pop_front();
        }
        done.push_back(Rc::clone(trail));
        drop(done);
        if let (true, Err(failure)) = (trail.is_told.get(), outcome)
            // Given up by its client, or a call on nothing.
            && ![HResult::CANCELLED, HResult::E_HANDLE].contains(&failure.hresult)
        {
            self.tell(trail, Kind::OperationFailed, log);
        }
    }

    /// Notes what became of something that an operation made, after it was answered, as long as it is remembered; the
    /// event log has it for longer.
    pub(crate) fn afterwards(&self, id: OperationId, step: String, log: &EventLog) {
        let done = self.succeeded.borrow();
        if let Some(trail) = done.iter().rev().find(|trail| trail.id == id) {
            trail.step(step);
            self.tell(trail, Kind::OperationNoted, log);
        }
    }

    /// The time line of the operation that `name` names, for the user `uid`: as errors and logs write it, or the number that the client has
    /// for it alone.
    ///
    /// # Errors
    /// `E_INVALIDARG` when it names none, or several; `ERROR_NOT_FOUND` when that operation is not known.
    pub(crate) async fn explain(
        &self,
        name: &str,
        uid: u32,
        log: &EventLog,
    ) -> Result<OperationReport, Failure> {
        let wanted = Wanted::parse(name)?;
        let mut found = self.known(&wanted, uid);
        if found.is_empty() {
            found = log.told_operations(wanted.clone()).await?;
        }
        // Of one operation's calls, and of clients that had the same pid, the latest is meant.
        let mut clients: Vec<&str> = found
            .iter()
            .map(|report| client(&report.operation))
            .collect();
        clients.sort_unstable();
        clients.dedup();
        if clients.len() > 1 {
            let names: Vec<String> = clients.iter().map(|pid| format!("{pid}-{name}")).collect();
            return Err(Failure::new(
                HResult::E_INVALIDARG,
                format!(
                    "several clients have an operation {name}: {}",
                    names.join(", ")
                ),
            ));
        }
        found
            .into_iter()
            .max_by(|a, b| a.received.cmp(&b.received))
            .ok_or_else(|| {
                Failure::new(
                    HResult::NOT_FOUND,
                    format!(
                        "nothing is known of an operation {name}: it never was, too many came after it, or the service was \
                         begun anew since and it had not failed"
                    ),
                )
            })
    }

    /// Writes the time line into the event log, which every client reads.
    fn tell(&self, trail: &Timeline, kind: Kind, log: &EventLog) {
        let line = trail.line.borrow();
        let (system, runtime_id) = (line.system.clone(), line.runtime_id.clone());
        drop(line);
        let reader = match self.quotes.get() {
            true => Reader::Entitled,
            false => Reader::Other,
        };
        log.append(LogEntry {
            system,
            runtime_id,
            operation: Some(trail.id.to_string()),
            data: serde_json::to_value(trail.report(reader)).ok(),
            ..event_log::event(kind)
        });
    }

    fn known(&self, wanted: &Wanted, uid: u32) -> Vec<OperationReport> {
        let (pending, failed, succeeded) = (
            self.pending.borrow(),
            self.failed.borrow(),
            self.succeeded.borrow(),
        );
        let all = pending
            .values()
            .chain(failed.iter())
            .chain(succeeded.iter());
        all.filter(|trail| wanted.is(trail.id))
            .map(|trail| match uid == 0 || uid == trail.uid {
                true => trail.report(Reader::Entitled),
                false => trail.report(Reader::Other),
            })
            .collect()
    }
}

fn client(operation: &str) -> &str {
    operation.split('-').next().unwrap_or_default()
}

/// The beginning of a text that is longer than `most` characters, else all of it.
fn beginning(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// A failure, as much of it as is remembered.
fn remembered_as(failure: &Failure) -> Failure {
    let mut failure = failure.clone();
    failure.causes.truncate(MOST_SAID.1);
    failure.message = beginning(&failure.message, MOST_SAID.0);
    for cause in &mut failure.causes {
        cause.message = beginning(&cause.message, MOST_SAID.0);
        let pointer = cause.pointer.as_deref();
        cause.pointer = pointer.map(|pointer| beginning(pointer, MOST_SAID.0));
        cause.data.truncate(MOST_SAID.1);
        for fact in &mut cause.data {
            *fact = beginning(fact, MOST_SAID.0);
        }
    }
    failure
}

/// Which operation is asked for.
#[derive(Clone, Debug)]
pub(crate) enum Wanted {
    /// That call.
    One(OperationId),
    /// Whatever a client has under this number.
    Number(u64),
}

impl Wanted {
    fn parse(name: &str) -> Result<Self, Failure> {
        let name = name.trim();
        if let Ok(number) = name.parse() {
            return Ok(Self::Number(number));
        }
        name.parse().map(Self::One).map_err(|e| {
            Failure::new(
                HResult::E_INVALIDARG,
                format!("'{name}' names no operation"),
            )
            .because(&e)
        })
    }

    fn is(&self, id: OperationId) -> bool {
        match self {
            Self::One(wanted) => *wanted == id,
            Self::Number(number) => *number == id.number,
        }
    }

    /// Whether an event tells of it; the report.
    pub(crate) fn report_in(&self, entry: &LogEntry) -> Option<OperationReport> {
        let id = entry.operation.as_deref()?.parse().ok()?;
        let told = [Kind::OperationFailed, Kind::OperationNoted];
        if !told.iter().any(|kind| kind.name() == entry.kind) || !self.is(id) {
            return None;
        }
        let data: Value = entry.data.clone()?;
        serde_json::from_value(data).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonsense_of_any_length_is_remembered_short() {
        let long = "\u{e4}".repeat(5 << 20);
        let failure =
            Failure::new(HResult::E_INVALIDARG, long.clone()).cause_at(&long, long.clone());
        let remembered = remembered_as(&failure);
        assert!(remembered.to_document().len() < 1 << 16);
        let short = Failure::new(HResult::E_INVALIDARG, "no box").cause_at("/Id", "none");
        assert_eq!(remembered_as(&short), short);
    }

    fn call(operations: &Operations, id: OperationId, log: &EventLog, outcome: HResult) {
        let call = Call::StartSystem {
            system: 1,
            options: None,
        };
        let trail = operations.received(id, &call, 0, None, false);
        trail.concerns("box", Some("guid"));
        trail.step("begun");
        let failure = Failure::new(outcome, "it did not work");
        let outcome = if outcome.is_success() {
            Ok(())
        } else {
            Err(&failure)
        };
        operations.answered(&trail, outcome, log);
    }

    fn explained(
        operations: &Operations,
        name: &str,
        log: &EventLog,
    ) -> Result<OperationReport, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(operations.explain(name, 0, log))
    }

    #[test]
    fn an_agents_steps_come_before_its_answer_however_late_they_are_noted() {
        let call = Call::StartSystem {
            system: 1,
            options: None,
        };
        let operations = Operations::default();
        let trail = operations.received(OperationId::of_request(7, 1), &call, 0, None, false);
        // Told apart from now by a second, as if the thread had waited for a processor since.
        let answered = trail.begun + Duration::from_secs(1);
        trail.step_at(answered, "the guest agent answered");
        let noted = carry(Some(Rc::clone(&trail)), async {
            agents_steps([(300, "took it up"), (5_000_000, "before the call")].into_iter());
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(noted);
        let times: Vec<i64> = trail
            .line
            .borrow()
            .steps
            .iter()
            .map(|(at, _)| *at)
            .collect();
        assert_eq!(times, [1_000_000, 999_700, 0]);
    }

    #[test]
    fn only_its_user_and_root_are_told_a_failure_in_full() {
        let directory = tempfile::tempdir().unwrap();
        let log = EventLog::open(directory.path(), 8 << 20).unwrap();
        let operations = Operations::default();
        let call = Call::StartSystem {
            system: 1,
            options: None,
        };
        let trail = operations.received(OperationId::of_request(7, 1), &call, 1000, None, false);
        let failure = Failure::new(HResult::E_FAIL, format!("no {}", "CANARY"))
            .cause_at("/Environment/CANARY", "a value that is not allowed here");
        operations.answered(&trail, Err(&failure), &log);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let told = |operations: &Operations, uid| {
            let report = runtime.block_on(operations.explain("7-1", uid, &log));
            serde_json::to_string(&report.unwrap()).unwrap()
        };
        for uid in [0, 1000] {
            assert!(told(&operations, uid).contains("no CANARY"));
        }
        let other = told(&operations, 1001);
        assert!(!other.contains("CANARY"), "{other}");
        assert!(other.contains("/Environment/*"), "{other}");
        let later = told(&Operations::default(), 0);
        assert!(!later.contains("CANARY"), "{later}");
    }

    #[test]
    fn failures_are_remembered_longer_than_successes_and_by_the_next_service() {
        let directory = tempfile::tempdir().unwrap();
        let log = EventLog::open(directory.path(), 8 << 20).unwrap();
        let operations = Operations::default();
        let id = |number| OperationId::of_request(7, number);
        call(&operations, id(1), &log, HResult::E_FAIL);
        for number in 2..2000 {
            call(&operations, id(number), &log, HResult::S_OK);
        }
        let gone = explained(&operations, "7-2", &log).unwrap_err();
        assert_eq!(gone.hresult, HResult::NOT_FOUND);
        let last = explained(&operations, "1999", &log).unwrap();
        assert_eq!((last.operation.as_str(), last.done), ("7-1999", true));
        let here = explained(&operations, "7-1", &log).unwrap();
        assert_eq!(
            here.error.as_ref().unwrap()["ErrorMessage"],
            "it did not work"
        );
        let steps: Vec<_> = here.steps.iter().map(|step| step.step.as_str()).collect();
        assert_eq!(steps, ["begun", "answered"]);
        let next = explained(&Operations::default(), "1", &log).unwrap();
        assert_eq!(next, here);
    }

    #[test]
    fn what_became_of_a_success_is_told_by_the_next_service() {
        let directory = tempfile::tempdir().unwrap();
        let log = EventLog::open(directory.path(), 8 << 20).unwrap();
        let operations = Operations::default();
        let id = OperationId::of_request(7, 1);
        call(&operations, id, &log, HResult::S_OK);
        assert!(explained(&Operations::default(), "7-1", &log).is_err());
        for step in ["process 2 was killed", "process 3 was killed"] {
            operations.afterwards(id, step.to_owned(), &log);
            let here = explained(&operations, "7-1", &log).unwrap();
            assert_eq!(here.steps.last().unwrap().step, step);
            let next = explained(&Operations::default(), "7-1", &log).unwrap();
            assert_eq!(next, here);
        }
    }

    #[test]
    fn a_number_that_several_clients_have_is_refused_with_their_names() {
        let directory = tempfile::tempdir().unwrap();
        let log = EventLog::open(directory.path(), 8 << 20).unwrap();
        let operations = Operations::default();
        for process in [5, 6] {
            call(
                &operations,
                OperationId::of_request(process, 9),
                &log,
                HResult::S_OK,
            );
        }
        let failure = explained(&operations, "9", &log).unwrap_err();
        assert!(failure.message.ends_with("5-9, 6-9"), "{failure}");
        assert!(explained(&operations, "6-9", &log).is_ok());
        let nonsense = explained(&operations, "box", &log).unwrap_err();
        assert_eq!(nonsense.hresult, HResult::E_INVALIDARG);
    }
}
