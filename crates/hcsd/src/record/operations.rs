//! What is known of the calls of clients: the time line of each is kept for a while after its answer, so that any
//! client can ask what became of an operation and how far it got ([`Operations::explain`]).
//!
//! A call that failed is told in the event log with its time line, unless very many of its user have failed before. So
//! is one whose process the kernel killed, so a later service can explain them as well.

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, VecDeque},
    rc::Rc,
};

use hcs_schema::{Failure, HResult};
use hcs_wire::{
    explain::OperationReport, log::LogEntry, network::NetworkCall, operation::OperationId,
    service::Call, subordinate::holder,
};
use serde_json::Value;

use super::{
    event_log::{self, EventLog, Kind},
    timeline::{Reader, remembered_as},
};

pub(crate) use super::timeline::{
    CallKeeper, Keepers, Timeline, agents_steps, carry, current, share, step,
};

/// Answered calls of one user that are remembered: those that succeeded, and those that failed.
const REMEMBERED: (usize, usize) = (1024, 256);
/// Users whose answered calls are remembered. One more has those of the user forgotten who has made none for longest.
const MOST_USERS: usize = 64;

/// The answered calls of one user: no other user's calls take their place.
#[derive(Debug)]
struct OfUser {
    uid: u32,
    succeeded: VecDeque<Rc<Timeline>>,
    failed: VecDeque<Rc<Timeline>>,
}

impl OfUser {
    const fn new(uid: u32) -> Self {
        Self {
            uid,
            succeeded: VecDeque::new(),
            failed: VecDeque::new(),
        }
    }

    fn remember(&mut self, timeline: &Rc<Timeline>, has_failed: bool) {
        let (done, most) = match has_failed {
            false => (&mut self.succeeded, REMEMBERED.0),
            true => (&mut self.failed, REMEMBERED.1),
        };
        if done.len() >= most {
            done.pop_front();
        }
        done.push_back(Rc::clone(timeline));
    }
}

/// Whether a call is remembered: those that only look at what happened, or give a handle back, would push out others.
const fn is_remembered(call: &Call) -> bool {
    !matches!(
        call,
        Call::ReadEvents { .. }
            | Call::ExplainOperation { .. }
            | Call::Network(NetworkCall::Watch { .. })
            | Call::CloseSystem { .. }
            | Call::CloseProcess { .. }
    )
}

/// The calls the service knows of. Belongs to its thread.
#[derive(Debug, Default)]
pub(crate) struct Operations {
    /// The event log quotes clients.
    quotes: Cell<bool>,
    pending: RefCell<HashMap<OperationId, Rc<Timeline>>>,
    /// The user of the latest call is last.
    answered: RefCell<Vec<OfUser>>,
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
        let timeline = Timeline::new(id, call, uid, name, is_repeat);
        if is_remembered(call) {
            self.pending.borrow_mut().insert(id, Rc::clone(&timeline));
        }
        timeline
    }

    /// It was answered.
    pub(crate) fn answered(
        &self,
        timeline: &Rc<Timeline>,
        outcome: Result<(), &Failure>,
        log: &EventLog,
    ) {
        timeline.step("answered");
        timeline.line.borrow_mut().outcome = Some(outcome.map_err(remembered_as));
        let mut pending = self.pending.borrow_mut();
        let remembered = match pending.get(&timeline.id) {
            Some(known) if Rc::ptr_eq(known, timeline) => pending.remove(&timeline.id).is_some(),
            _ => false,
        };
        drop(pending);
        if !remembered {
            return;
        }
        self.remember(timeline, outcome.is_err());
        if let (true, Err(failure)) = (timeline.is_told.get(), outcome)
            // Given up by its client, or a call on nothing.
            && ![HResult::CANCELLED, HResult::E_HANDLE].contains(&failure.hresult)
        {
            self.tell(timeline, Kind::OperationFailed, log);
        }
    }

    fn remember(&self, timeline: &Rc<Timeline>, has_failed: bool) {
        let mut answered = self.answered.borrow_mut();
        let user = holder(timeline.uid);
        let known = answered.iter().position(|own| own.uid == user);
        let mut own = match known {
            Some(at) => answered.remove(at),
            None => OfUser::new(user),
        };
        own.remember(timeline, has_failed);
        if answered.len() >= MOST_USERS {
            answered.remove(0);
        }
        answered.push(own);
    }

    /// Notes what became of something that an operation made, after it was answered, as long as it is remembered; the
    /// event log has it for longer.
    pub(crate) fn afterwards(&self, id: OperationId, step: String, log: &EventLog) {
        let answered = self.answered.borrow();
        let mut succeeded = answered.iter().flat_map(|own| own.succeeded.iter().rev());
        if let Some(timeline) = succeeded.find(|timeline| timeline.id == id) {
            timeline.step(step);
            self.tell(timeline, Kind::OperationNoted, log);
        }
    }

    /// The time line of the operation that `name` names, for the user `uid`: as errors and logs write it, or the number
    /// that the client has for it alone.
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
            let report = wanted.clone();
            found = log
                .told_operations(move |entry| report.report_in(entry))
                .await?;
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
        found.pop().ok_or_else(|| {
            Failure::new(
                HResult::NOT_FOUND,
                format!(
                    "nothing is known of an operation {name}: it never was, too many came after it, or the service \
                     was begun anew since and it had not failed, or very many calls of its user had"
                ),
            )
        })
    }

    /// Writes the time line into the event log, which every client reads.
    fn tell(&self, timeline: &Timeline, kind: Kind, log: &EventLog) {
        let line = timeline.line.borrow();
        let (system, runtime_id) = (line.system.clone(), line.runtime_id.clone());
        drop(line);
        let reader = match self.quotes.get() {
            true => Reader::Entitled,
            false => Reader::Other,
        };
        let entry = LogEntry {
            system,
            runtime_id,
            user_id: Some(timeline.uid),
            operation: Some(timeline.id.to_string()),
            data: serde_json::to_value(timeline.report(reader)).ok(),
            ..event_log::event(kind)
        };
        match kind {
            Kind::OperationFailed => log.append_failure(entry, timeline.uid),
            _ => log.append(entry),
        }
    }

    /// The oldest first, however the clock was set meanwhile.
    fn known(&self, wanted: &Wanted, uid: u32) -> Vec<OperationReport> {
        let (pending, answered) = (self.pending.borrow(), self.answered.borrow());
        let done = answered
            .iter()
            .flat_map(|own| own.failed.iter().chain(&own.succeeded));
        let all = pending.values().chain(done);
        let mut found: Vec<_> = all.filter(|timeline| wanted.is(timeline.id)).collect();
        found.sort_by_key(|timeline| timeline.begun);
        found
            .into_iter()
            .map(|timeline| match uid == 0 || uid == timeline.uid {
                true => timeline.report(Reader::Entitled),
                false => timeline.report(Reader::Other),
            })
            .collect()
    }
}

fn client(operation: &str) -> &str {
    operation.split('-').next().unwrap_or_default()
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

    fn call(operations: &Operations, id: OperationId, log: &EventLog, outcome: HResult) {
        let call = Call::StartSystem {
            system: 1,
            options: None,
        };
        let timeline = operations.received(id, &call, 0, None, false);
        timeline.concerns("box", Some("guid"));
        timeline.step("begun");
        let failure = Failure::new(outcome, "it did not work");
        let outcome = if outcome.is_success() {
            Ok(())
        } else {
            Err(&failure)
        };
        operations.answered(&timeline, outcome, log);
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
    fn only_its_user_and_root_are_told_a_failure_in_full() {
        let directory = tempfile::tempdir().unwrap();
        let log = EventLog::open(directory.path(), 8 << 20).unwrap();
        let operations = Operations::default();
        let call = Call::StartSystem {
            system: 1,
            options: None,
        };
        let timeline = operations.received(OperationId::of_request(7, 1), &call, 1000, None, false);
        let failure = Failure::new(HResult::E_FAIL, format!("no {}", "CANARY"))
            .cause_at("/Environment/CANARY", "a value that is not allowed here");
        operations.answered(&timeline, Err(&failure), &log);
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
    fn the_calls_of_one_user_take_no_place_of_anothers() {
        let directory = tempfile::tempdir().unwrap();
        let log = EventLog::open(directory.path(), 8 << 20).unwrap();
        let operations = Operations::default();
        let call = Call::StartSystem {
            system: 1,
            options: None,
        };
        let succeed = |process, number, uid| {
            let id = OperationId::of_request(process, number);
            let timeline = operations.received(id, &call, uid, None, false);
            operations.answered(&timeline, Ok(()), &log);
        };
        succeed(7, 1, 1000);
        for number in 0..5000 {
            succeed(8, number, 1001);
        }
        explained(&operations, "7-1", &log).unwrap();
        // As many users as are remembered, and one more.
        for uid in 2000..2000 + u32::try_from(MOST_USERS).unwrap() {
            succeed(uid, 1, uid);
        }
        assert!(explained(&operations, "7-1", &log).is_err());
        explained(&operations, "2000-1", &log).unwrap();
        assert_eq!(operations.answered.borrow().len(), MOST_USERS);
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
