//! Which calls have changed a system, so that a client whose service died is told instead of being obeyed again.
//!
//! Part of what is written down about the system. What is written anyway when a call is done (the new state) says which
//! call that was. Where the engine acts before the state is written, the call is written down before that as begun, and
//! the next service compares: what the machine is like tells whether it had been done.
//!
//! A call is remembered until its client has the answer. Of more than there is room for, a later service cannot tell
//! whether they were done, and does not begin them ([`CallOutcome::Forgotten`]).

use std::rc::Rc;

use hcs_lifecycle::system::State;
use serde::{Deserialize, Serialize};

use super::call_names::CallNames;

/// What an engine is just doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum EngineAction {
    Pause,
    Resume,
    /// Done twice it comes to the same.
    Set,
    /// Done twice it may be something else.
    Change,
}

/// A call that an engine was told to do and has perhaps not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Begun {
    /// The name of the call.
    call: String,
    #[serde(rename = "deed")]
    action: EngineAction,
}

/// The calls of one system.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ledger {
    /// The call that created it, until its client has the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    /// Calls that were done.
    #[serde(default, skip_serializing_if = "CallNames::is_empty")]
    done: CallNames,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    begun: Option<Begun>,
    /// Calls of which it is unknown whether they were done.
    #[serde(default, skip_serializing_if = "CallNames::is_empty")]
    uncertain: CallNames,
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallOutcome {
    Done,
    /// Unknown.
    Uncertain,
    /// It may have been done by an earlier service, which had to forget calls.
    Forgotten,
    NotBegun,
}

impl Ledger {
    /// Of a system that the call `name` creates.
    pub(crate) fn new(name: Option<&Rc<str>>) -> Self {
        Self {
            created: name.map(|name| name.to_string()),
            ..Self::default()
        }
    }

    /// Whether there is nothing in it.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// As an earlier service left it, of a system that is in `state`.
    pub(crate) fn settle(mut self, state: State) -> Self {
        if let Some(Begun { call, action }) = self.begun.take() {
            match (action, state) {
                (EngineAction::Pause, State::Paused) | (EngineAction::Resume, State::Running) => {
                    self.done.add(&call);
                }
                (EngineAction::Change, _) => self.uncertain.add(&call),
                (EngineAction::Pause | EngineAction::Resume | EngineAction::Set, _) => {}
            }
        }
        self
    }

    /// Whether the call `name` created the system.
    pub(crate) fn was_created_by(&self, name: &str) -> bool {
        self.created.as_deref() == Some(name)
    }

    /// An engine is about to be told to do the call `name`.
    pub(crate) fn begin(&mut self, name: &str, action: EngineAction) {
        self.begun = Some(Begun {
            call: name.to_owned(),
            action,
        });
    }

    /// The engine has refused.
    pub(crate) fn withdraw(&mut self) {
        self.begun = None;
    }

    /// The call `name` is done.
    pub(crate) fn finish(&mut self, name: &str) {
        self.begun = None;
        self.done.add(name);
    }

    /// The call `name` was undone.
    pub(crate) fn undo(&mut self, name: &str) {
        self.done.release(name);
    }

    /// The call that created the system, if its client may not have the answer.
    pub(crate) fn untold_creation(&self) -> Option<&str> {
        self.created.as_deref()
    }

    /// The client of the call `name` has its answer.
    pub(crate) fn release(&mut self, name: &str) {
        if self.was_created_by(name) {
            self.created = None;
        }
        self.done.release(name);
        self.uncertain.release(name);
    }

    /// No client asks any more for what it asked an earlier service for. Returns whether the ledger had to say that
    /// such calls were forgotten.
    pub(crate) fn release_earlier(&mut self) -> bool {
        self.created = None;
        let forgot = [
            self.done.release_earlier(),
            self.uncertain.release_earlier(),
        ];
        forgot.contains(&true)
    }

    /// What became of the call `name`.
    pub(crate) fn outcome(&self, name: &str) -> CallOutcome {
        if self.done.contains(name) {
            CallOutcome::Done
        } else if self.uncertain.contains(name) {
            CallOutcome::Uncertain
        } else if self.done.is_forgetful(name) || self.uncertain.is_forgetful(name) {
            CallOutcome::Forgotten
        } else {
            CallOutcome::NotBegun
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::call_names::MOST;

    fn after(action: EngineAction, state: State) -> CallOutcome {
        let mut ledger = Ledger::new(None);
        ledger.begin("1.a.7", action);
        let left: Ledger = serde_json::from_str(&serde_json::to_string(&ledger).unwrap()).unwrap();
        left.settle(state).outcome("1.a.7")
    }

    #[test]
    fn the_machine_tells_whether_what_was_begun_was_done() {
        assert_eq!(after(EngineAction::Pause, State::Paused), CallOutcome::Done);
        assert_eq!(
            after(EngineAction::Pause, State::Running),
            CallOutcome::NotBegun
        );
        assert_eq!(
            after(EngineAction::Resume, State::Running),
            CallOutcome::Done
        );
        assert_eq!(
            after(EngineAction::Resume, State::Paused),
            CallOutcome::NotBegun
        );
        assert_eq!(
            after(EngineAction::Set, State::Running),
            CallOutcome::NotBegun
        );
        assert_eq!(
            after(EngineAction::Change, State::Running),
            CallOutcome::Uncertain
        );
    }

    #[test]
    fn what_was_done_is_remembered_and_what_was_refused_is_not() {
        let created = Rc::<str>::from("1.a.1");
        let mut ledger = Ledger::new(Some(&created));
        assert!(ledger.was_created_by("1.a.1") && !ledger.was_created_by("1.a.2"));
        ledger.begin("1.a.2", EngineAction::Pause);
        ledger.finish("1.a.2");
        ledger.begin("1.a.3", EngineAction::Resume);
        ledger.withdraw();
        ledger.finish("1.a.4");
        ledger.undo("1.a.4");
        assert_eq!(ledger.outcome("1.a.4"), CallOutcome::NotBegun);
        let left = ledger.settle(State::Running);
        assert_eq!(left.outcome("1.a.2"), CallOutcome::Done);
        assert_eq!(left.outcome("1.a.3"), CallOutcome::NotBegun);
    }

    #[test]
    fn a_call_that_had_to_be_forgotten_is_not_taken_for_one_that_was_never_begun() {
        let mut ledger = Ledger::default();
        for number in 0..=MOST {
            ledger.finish(&format!("7.{number}"));
        }
        let next = |ledger: &Ledger| {
            let text = serde_json::to_string(ledger).unwrap();
            let ledger: Ledger = serde_json::from_str(&text).unwrap();
            ledger.settle(State::Running)
        };
        let mut ledger = next(&ledger);
        assert_eq!(ledger.outcome("7.1"), CallOutcome::Done);
        assert_eq!(ledger.outcome("7.0"), CallOutcome::Forgotten);
        assert_eq!(
            ledger.outcome("8.0"),
            CallOutcome::NotBegun,
            "that of another user"
        );
        assert_eq!(next(&ledger).outcome("7.0"), CallOutcome::Forgotten);
        assert!(ledger.release_earlier());
        assert_eq!(next(&ledger).outcome("7.0"), CallOutcome::NotBegun);
    }

    #[test]
    fn calls_whose_clients_have_their_answers_push_out_none() {
        let mut ledger = Ledger::default();
        ledger.finish("7.untold");
        for number in 0..=MOST {
            ledger.finish(&format!("7.{number}"));
            ledger.release(&format!("7.{number}"));
        }
        let next = ledger.settle(State::Running);
        assert_eq!(next.outcome("7.untold"), CallOutcome::Done);
        assert_eq!(next.outcome("7.0"), CallOutcome::NotBegun);
    }
}
