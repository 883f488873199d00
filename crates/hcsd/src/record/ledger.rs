//! Which calls have changed a system, so that a client whose service died is told instead of being obeyed again.
//!
//! Part of what is written down about the system. What is written anyway when a call is done (the new state) says which
//! call that was. Where the engine acts before the state is written, the call is written down before that as begun, and
//! the next service compares: what the machine is like tells whether it had been done.

use std::{collections::VecDeque, rc::Rc};

use hcs_lifecycle::system::State;
use serde::{Deserialize, Serialize};

/// Calls that are remembered: the clients that may ask come back soon, and few calls change a system.
const MOST: usize = 64;

/// What an engine is just doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Deed {
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
    deed: Deed,
}

/// The calls of one system.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ledger {
    /// The call that created it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    /// Calls that were done, oldest first.
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    done: VecDeque<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    begun: Option<Begun>,
    /// Calls of which it is unknown whether they were done.
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    uncertain: VecDeque<String>,
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Done,
    /// Unknown.
    Uncertain,
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
        if let Some(Begun { call, deed }) = self.begun.take() {
            match (deed, state) {
                (Deed::Pause, State::Paused) | (Deed::Resume, State::Running) => {
                    push(&mut self.done, call);
                }
                (Deed::Change, _) => push(&mut self.uncertain, call),
                (Deed::Pause | Deed::Resume | Deed::Set, _) => {}
            }
        }
        self
    }

    /// Whether the call `name` created the system.
    pub(crate) fn was_created_by(&self, name: &str) -> bool {
        self.created.as_deref() == Some(name)
    }

    /// An engine is about to be told to do the call `name`.
    pub(crate) fn begin(&mut self, name: &str, deed: Deed) {
        self.begun = Some(Begun {
            call: name.to_owned(),
            deed,
        });
    }

    /// The engine has refused.
    pub(crate) fn withdraw(&mut self) {
        self.begun = None;
    }

    /// The call `name` is done.
    pub(crate) fn finish(&mut self, name: &str) {
        self.begun = None;
        push(&mut self.done, name.to_owned());
    }

    /// The call `name` was undone.
    pub(crate) fn undo(&mut self, name: &str) {
        self.done.retain(|call| call != name);
    }

    /// What became of the call `name`.
    pub(crate) fn fate(&self, name: &str) -> Fate {
        let has = |calls: &VecDeque<String>| calls.iter().any(|call| call == name);
        if has(&self.done) {
            Fate::Done
        } else if has(&self.uncertain) {
            Fate::Uncertain
        } else {
            Fate::NotBegun
        }
    }
}

fn push(calls: &mut VecDeque<String>, call: String) {
    if calls.len() >= MOST {
        calls.pop_front();
    }
    calls.push_back(call);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(deed: Deed, state: State) -> Fate {
        let mut ledger = Ledger::new(None);
        ledger.begin("1.a.7", deed);
        let left: Ledger = serde_json::from_str(&serde_json::to_string(&ledger).unwrap()).unwrap();
        left.settle(state).fate("1.a.7")
    }

    #[test]
    fn the_machine_tells_whether_what_was_begun_was_done() {
        assert_eq!(after(Deed::Pause, State::Paused), Fate::Done);
        assert_eq!(after(Deed::Pause, State::Running), Fate::NotBegun);
        assert_eq!(after(Deed::Resume, State::Running), Fate::Done);
        assert_eq!(after(Deed::Resume, State::Paused), Fate::NotBegun);
        assert_eq!(after(Deed::Set, State::Running), Fate::NotBegun);
        assert_eq!(after(Deed::Change, State::Running), Fate::Uncertain);
    }

    #[test]
    fn what_was_done_is_remembered_and_what_was_refused_is_not() {
        let created = Rc::<str>::from("1.a.1");
        let mut ledger = Ledger::new(Some(&created));
        assert!(ledger.was_created_by("1.a.1") && !ledger.was_created_by("1.a.2"));
        ledger.begin("1.a.2", Deed::Pause);
        ledger.finish("1.a.2");
        ledger.begin("1.a.3", Deed::Resume);
        ledger.withdraw();
        ledger.finish("1.a.4");
        ledger.undo("1.a.4");
        assert_eq!(ledger.fate("1.a.4"), Fate::NotBegun);
        let left = ledger.settle(State::Running);
        assert_eq!(left.fate("1.a.2"), Fate::Done);
        assert_eq!(left.fate("1.a.3"), Fate::NotBegun);
    }

    #[test]
    fn no_more_calls_are_remembered_than_is_said() {
        let mut ledger = Ledger::default();
        for number in 0..=MOST {
            ledger.finish(&number.to_string());
        }
        assert_eq!(ledger.done.len(), MOST);
        assert_eq!(ledger.fate("0"), Fate::NotBegun);
    }
}
