//! The time line of a call: its steps, and how it ended.
//!
//! Whatever works for a call notes its steps without being handed anything: the time line of the call that is being
//! worked for belongs to the running task ([`carry`], [`step`]). [`super::operations`] keeps the time lines.

use std::{
    borrow::Cow,
    cell::{Cell, OnceCell, RefCell},
    fmt,
    rc::{Rc, Weak},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use hcs_engine::steps::Watch;
use hcs_schema::{Failure, HResult, timestamp::rfc3339};
use hcs_wire::{
    explain::{OperationReport, OperationStep},
    network::NetworkCall,
    operation::OperationId,
    service::Call,
};

use crate::thread::{rounds::Who, share::Share};

/// Steps of one time line; a call that makes more of them is told without the rest.
const MOST_STEPS: usize = 64;
/// Characters of a system's id that are remembered: as many as an id may have.
const MOST_ID: usize = 256;
/// Characters of a sentence of a failure that are remembered, and causes. A client may ask for nonsense of any length,
/// and sentences quote it.
const MOST_SAID: (usize, usize) = (2048, 16);
/// Pieces of work on other threads whose steps one time line has.
const MOST_WATCHED: usize = 8;

/// The reader of a time line.
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

/// What remembers one call. A client may take minutes to come back for the answer, or never come. A system that ends
/// before has nothing left to tell, so it is not kept for that: it holds descriptors and a range of ids.
#[derive(Debug)]
pub(crate) struct Keepers(Vec<Weak<dyn CallKeeper>>);

impl Keepers {
    /// Whether none is there any more.
    pub(crate) fn are_gone(&self) -> bool {
        self.0.iter().all(|keeper| keeper.strong_count() == 0)
    }

    /// The client of the call `name` has its answer, or does not come back for it.
    pub(crate) fn release(&self, name: &str) {
        let there = self.0.iter().filter_map(Weak::upgrade);
        there.for_each(|keeper| keeper.release(name));
    }
}

tokio::task_local! {
    static CURRENT: Rc<Timeline>;
}

/// The time line of one call. Belongs to the service's thread.
#[derive(Debug)]
pub(crate) struct Timeline {
    pub(super) id: OperationId,
    call: &'static str,
    pub(super) uid: u32,
    received: SystemTime,
    pub(super) begun: Instant,
    /// Whether a failure is an event; it is none where a call only asks.
    pub(super) is_told: Cell<bool>,
    /// What its connection may take; calls without a connection have none.
    share: OnceCell<Rc<Share>>,
    /// Its name among all calls of all clients, where it has one.
    name: Option<Rc<str>>,
    /// An earlier connection may have brought it.
    is_repeat: bool,
    /// The agent that remembers it by that name.
    agent: RefCell<Option<Weak<dyn CallKeeper>>>,
    /// What is written down with the names of calls, this one among them.
    record: RefCell<Option<Weak<dyn CallKeeper>>>,
    pub(super) line: RefCell<Line>,
}

#[derive(Debug, Default)]
pub(super) struct Line {
    pub(super) system: Option<String>,
    pub(super) runtime_id: Option<String>,
    steps: Vec<(i64, Cow<'static, str>)>,
    /// Work that is done for it on other threads, or was, and no task waited for its end.
    watched: Vec<Watch>,
    pub(super) outcome: Option<Result<(), Failure>>,
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
            record: RefCell::default(),
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

    /// It is written down with `record` by its name.
    pub(crate) fn set_record<T: CallKeeper + 'static>(&self, record: &Rc<T>) {
        let record: Weak<T> = Rc::downgrade(record);
        self.record.replace(Some(record));
    }

    /// What remembers it; no other part is told.
    pub(crate) fn take_keepers(&self) -> Keepers {
        let keepers = [self.agent.take(), self.record.take()];
        Keepers(keepers.into_iter().flatten().collect())
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
    pub(super) fn report(&self, reader: Reader) -> OperationReport {
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
            error: failure.and_then(|f| serde_json::from_str(&told(f)).ok()),
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
        NetworkCall::Statistics { .. } => ("QueryEndpointStats", false),
        NetworkCall::Watch { .. } => ("WatchNetworks", false),
        NetworkCall::Delete { .. } => ("DeleteNetworkObject", true),
    }
}

/// Notes a step of the call that the running task works for, if it works for one.
pub(crate) fn step(step: impl Into<Cow<'static, str>>) {
    // Outside of any call, upkeep say, there is no call to tell.
    let _no_call = CURRENT.try_with(|timeline| timeline.step(step));
}

/// Watches work for that call on another thread: its steps belong to the time line from now on. `None` where no call is
/// worked for, or it has had many such pieces of work.
pub(crate) fn watch() -> Option<Watch> {
    let watching = CURRENT.try_with(|timeline| {
        let mut line = timeline.line.borrow_mut();
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
    let _no_call = CURRENT.try_with(|timeline| {
        let answered = timeline.latest();
        for (ago, what) in steps {
            let at = answered.checked_sub(Duration::from_micros(ago.into()));
            timeline.step_at(at.map_or(timeline.begun, |at| at.max(timeline.begun)), what);
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
        .try_with(|timeline| timeline.share.get().cloned())
        .ok()
        .flatten()
}

/// The owner of the call at work: the service, where there is none of a connection.
pub(crate) fn who() -> Who {
    share().map_or(Who::SERVICE, |share| share.who)
}

/// `work`, done for that call.
pub(crate) async fn carry<F: Future>(timeline: Option<Rc<Timeline>>, work: F) -> F::Output {
    match timeline {
        Some(timeline) => CURRENT.scope(timeline, work).await,
        None => work.await,
    }
}

/// The beginning of a text that is longer than `most` characters, else all of it.
fn beginning(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// A failure, as much of it as is remembered.
pub(super) fn remembered_as(failure: &Failure) -> Failure {
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

    #[test]
    fn an_agents_steps_come_before_its_answer_however_late_they_are_noted() {
        let call = Call::StartSystem {
            system: 1,
            options: None,
        };
        let timeline = Timeline::new(OperationId::of_request(7, 1), &call, 0, None, false);
        // Told apart from now by a second, as if the thread had waited for a processor since.
        let answered = timeline.begun + Duration::from_secs(1);
        timeline.step_at(answered, "the guest agent answered");
        let noted = carry(Some(Rc::clone(&timeline)), async {
            agents_steps([(300, "took it up"), (5_000_000, "before the call")].into_iter());
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(noted);
        let times: Vec<i64> = timeline
            .line
            .borrow()
            .steps
            .iter()
            .map(|(at, _)| *at)
            .collect();
        assert_eq!(times, [1_000_000, 999_700, 0]);
    }

    #[derive(Debug, Default)]
    struct Record(RefCell<Vec<String>>);

    impl CallKeeper for Record {
        fn release(&self, name: &str) {
            self.0.borrow_mut().push(name.to_owned());
        }
    }

    #[test]
    fn what_remembers_a_call_is_told_while_it_is_there_and_not_kept_for_that() {
        let call = Call::StartSystem {
            system: 1,
            options: None,
        };
        let keepers = |record| {
            let timeline = Timeline::new(OperationId::of_request(7, 1), &call, 0, None, false);
            timeline.set_record(record);
            timeline.take_keepers()
        };
        let record = Rc::<Record>::default();
        let kept = keepers(&record);
        assert!(!kept.are_gone());
        kept.release("1.a.7");
        assert_eq!(record.0.take(), ["1.a.7"]);
        let seen = Rc::downgrade(&record);
        drop(record);
        assert!(seen.upgrade().is_none() && kept.are_gone());
        kept.release("1.a.7");
    }
}
