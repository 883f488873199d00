//! Which calls have changed groups of processors, so that none is done twice for a client that comes back. Pure.
//!
//! Changes are made one after the other. One is written down before it is made, and the list of groups after it, so the
//! groups that a later service finds tell whether the last one was made: no other came after it.

use serde::{Deserialize, Serialize};

use crate::record::{call_names::CallNames, ledger::CallOutcome};

/// What a call does, with the id of the group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Change {
    Create(String),
    Delete(String),
}

/// A change that is being made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Begun {
    call: String,
    change: Change,
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct GroupCalls {
    done: CallNames,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    begun: Option<Begun>,
    /// What is on disk says that a change has begun, which is over.
    #[serde(skip)]
    is_stale: bool,
}

impl GroupCalls {
    /// What earlier services wrote down is not known.
    pub(super) fn unknown() -> Self {
        Self {
            done: CallNames::unknown(),
            ..Self::default()
        }
    }

    /// As an earlier service wrote it down; `is_there` tells whether there is a group of that id. An earlier version
    /// wrote a list, which does not tell what was done.
    pub(super) fn read(text: &[u8], is_there: impl Fn(&str) -> bool) -> Self {
        let Ok(mut calls) = serde_json::from_slice::<Self>(text) else {
            return Self::unknown();
        };
        if let Some(Begun { call, change }) = calls.begun.take() {
            calls.is_stale = true;
            let was_made = match change {
                Change::Create(id) => is_there(&id),
                Change::Delete(id) => !is_there(&id),
            };
            if was_made {
                calls.done.add_earlier(&call);
            }
        }
        calls
    }

    /// The call is about to make this change. Answers whether that is to be written down: a call that is not made again
    /// needs it only where another one is on disk, which the change would otherwise be taken for.
    pub(super) fn begin(&mut self, call: Option<&str>, change: Change) -> bool {
        let call = call.map(str::to_owned);
        self.begun = call.map(|call| Begun { call, change });
        let is_to_be_written = self.begun.is_some() || self.is_stale;
        self.is_stale = self.begun.is_some();
        is_to_be_written
    }

    /// The change was made.
    pub(super) fn finish(&mut self) {
        if let Some(Begun { call, .. }) = self.begun.take() {
            self.done.add(&call);
        }
    }

    /// The change was refused.
    pub(super) fn withdraw(&mut self) {
        self.begun = None;
    }

    /// What became of the call `name`.
    pub(super) fn outcome(&self, name: &str) -> CallOutcome {
        match (self.done.contains(name), self.done.is_forgetful(name)) {
            (true, _) => CallOutcome::Done,
            (false, true) => CallOutcome::Forgotten,
            (false, false) => CallOutcome::NotBegun,
        }
    }

    /// No client asks for the call `name` any more.
    pub(super) fn release(&mut self, name: &str) {
        self.done.release(name);
    }

    /// No client asks any more for what it asked an earlier service for. Answers whether the list had to say that such
    /// calls were forgotten.
    pub(super) fn release_earlier(&mut self) -> bool {
        self.done.release_earlier()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: &str = "7.a.1";

    fn create() -> Change {
        Change::Create("g".to_owned())
    }

    fn delete() -> Change {
        Change::Delete("g".to_owned())
    }

    /// As the next service reads it.
    fn next(calls: &GroupCalls, is_there: bool) -> GroupCalls {
        GroupCalls::read(&serde_json::to_vec(calls).unwrap(), |_| is_there)
    }

    #[test]
    fn the_groups_tell_whether_the_last_change_was_made() {
        for (change, is_there, outcome) in [
            (create(), true, CallOutcome::Done),
            (create(), false, CallOutcome::NotBegun),
            (delete(), false, CallOutcome::Done),
            (delete(), true, CallOutcome::NotBegun),
        ] {
            let mut calls = GroupCalls::default();
            assert!(calls.begin(Some(CALL), change));
            assert_eq!(next(&calls, is_there).outcome(CALL), outcome);
        }
    }

    #[test]
    fn a_change_of_another_later_is_not_taken_for_the_calls_own() {
        let mut calls = GroupCalls::default();
        calls.begin(Some(CALL), create());
        let written = serde_json::to_vec(&calls).unwrap();
        calls.finish();
        // One without a name: what is on disk would be held against the groups that it leaves.
        assert!(calls.begin(None, delete()));
        assert_eq!(next(&calls, false).outcome(CALL), CallOutcome::Done);
        calls.finish();
        assert!(!calls.begin(None, create()));
        let mut later = GroupCalls::read(&written, |_| true);
        assert!(later.begin(Some("7.a.2"), delete()));
        assert_eq!(next(&later, false).outcome(CALL), CallOutcome::Done);
        assert_eq!(next(&later, true).outcome("7.a.2"), CallOutcome::NotBegun);
    }

    #[test]
    fn what_was_refused_or_is_answered_is_not_remembered() {
        let mut calls = GroupCalls::default();
        calls.begin(Some(CALL), create());
        calls.withdraw();
        assert_eq!(calls.outcome(CALL), CallOutcome::NotBegun);
        calls.begin(Some(CALL), create());
        calls.finish();
        assert_eq!(calls.outcome(CALL), CallOutcome::Done);
        calls.release(CALL);
        assert_eq!(calls.outcome(CALL), CallOutcome::NotBegun);
        calls.begin(Some(CALL), create());
        let mut later = next(&calls, true);
        assert!(!later.release_earlier());
        assert_eq!(later.outcome(CALL), CallOutcome::NotBegun);
        let list = GroupCalls::read(br#"["7.a.1"]"#, |_| true);
        assert_eq!(list.outcome(CALL), CallOutcome::Forgotten);
    }
}
