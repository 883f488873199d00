//! Names of calls that were done, so that none is done twice for a client that comes back after the death of a service.
//! A bounded list that is written down with what the calls have changed. Pure.
//!
//! A name is kept until its client has the answer, so there are about as many as there are calls under way. A name
//! begins with the number of its user and a dot. Where a user has no room, the user's oldest is forgotten, and the list
//! says so: a call of that user that is not in it may have been done all the same. That matters to later services only.
//! The present one knows by itself what it has answered (`client/calls.rs`).
//!
//! Written down it is a list of texts. A user with a dot and nothing behind it names no call, and stands for all of
//! that user that were forgotten; an empty text stands for those of all users. So an older service can read the list,
//! too.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

/// Names of one user that are remembered at most.
pub(crate) const MOST: usize = 256;
/// Those of all users.
const MOST_IN_ALL: usize = 16 * MOST;
/// Stands for all users.
const ALL: &str = "";

/// The user whose call this is.
fn user_of(name: &str) -> &str {
    name.split_once('.').map_or(ALL, |(user, _)| user)
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "VecDeque<String>", into = "VecDeque<String>")]
pub(crate) struct CallNames {
    /// Oldest first.
    names: VecDeque<String>,
    /// How many of them an earlier service has written down: the first ones.
    earlier: usize,
    /// Users of whom names of calls to earlier services were forgotten.
    forgot_earlier: BTreeSet<String>,
    /// Users of whom names of calls to this service were forgotten.
    forgot_own: BTreeSet<String>,
}

impl CallNames {
    /// What earlier services wrote down is not known.
    pub(crate) fn unknown() -> Self {
        Self {
            forgot_earlier: BTreeSet::from([ALL.to_owned()]),
            ..Self::default()
        }
    }

    /// Whether there is nothing to be written down.
    pub(crate) fn is_empty(&self) -> bool {
        self.names.is_empty() && self.forgot_earlier.is_empty() && self.forgot_own.is_empty()
    }

    /// The calls that are remembered, the oldest first.
    pub(crate) fn names(&self) -> impl Iterator<Item = &String> {
        self.names.iter()
    }

    /// Whether the call `name` is remembered.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }

    /// Whether the call `name` may have been made to an earlier service and done though it is not remembered.
    pub(crate) fn is_forgetful(&self, name: &str) -> bool {
        [ALL, user_of(name)]
            .iter()
            .any(|user| self.forgot_earlier.contains(*user))
    }

    /// The call `name` is done.
    pub(crate) fn add(&mut self, name: &str) {
        if self.contains(name) {
            return;
        }
        self.make_room(name);
        self.names.push_back(name.to_owned());
    }

    /// The call `name` was done by an earlier service.
    pub(crate) fn add_earlier(&mut self, name: &str) {
        if self.contains(name) {
            return;
        }
        self.make_room(name);
        self.names.insert(self.earlier, name.to_owned());
        self.earlier += 1;
    }

    /// All that another list knows, and what it has forgotten.
    pub(crate) fn absorb(&mut self, other: Self) {
        for (place, name) in other.names.iter().enumerate() {
            match place < other.earlier {
                true => self.add_earlier(name),
                false => self.add(name),
            }
        }
        self.forgot_earlier.extend(other.forgot_earlier);
        self.forgot_own.extend(other.forgot_own);
    }

    /// Forgets an older call where there is no room for the call `name`.
    fn make_room(&mut self, name: &str) {
        let user = user_of(name);
        let is_own = |known: &String| user_of(known) == user;
        if self.names.iter().filter(|known| is_own(known)).count() >= MOST {
            self.forget(self.names.iter().position(is_own));
        }
        if self.names.len() >= MOST_IN_ALL {
            self.forget(self.oldest_of_most());
        }
    }

    /// The place of the oldest name of the user who has most.
    fn oldest_of_most(&self) -> Option<usize> {
        let mut counts = BTreeMap::<&str, usize>::new();
        for known in &self.names {
            *counts.entry(user_of(known)).or_default() += 1;
        }
        let (most, _) = counts.into_iter().max_by_key(|(_, count)| *count)?;
        self.names.iter().position(|known| user_of(known) == most)
    }

    fn forget(&mut self, at: Option<usize>) {
        let Some((at, name)) = at.and_then(|at| Some((at, self.names.remove(at)?))) else {
            return;
        };
        let user = user_of(&name).to_owned();
        if at < self.earlier {
            self.earlier -= 1;
            self.forgot_earlier.insert(user);
        } else {
            self.forgot_own.insert(user);
        }
    }

    /// No client asks for the call `name` any more, or it was undone.
    pub(crate) fn release(&mut self, name: &str) {
        if let Some(at) = self.names.iter().position(|known| known == name) {
            self.names.remove(at);
            if at < self.earlier {
                self.earlier -= 1;
            }
        }
    }

    /// No client asks any more for what it asked an earlier service for. Returns whether the list had to say that such
    /// calls were forgotten.
    pub(crate) fn release_earlier(&mut self) -> bool {
        self.names.drain(..self.earlier);
        self.earlier = 0;
        !std::mem::take(&mut self.forgot_earlier).is_empty()
    }
}

impl From<VecDeque<String>> for CallNames {
    fn from(written: VecDeque<String>) -> Self {
        let stands_for = |text: &String| text.is_empty() || text.ends_with('.');
        let (forgotten, names): (VecDeque<String>, VecDeque<String>) =
            written.into_iter().partition(stands_for);
        let users = forgotten.iter().map(|text| user_of(text).to_owned());
        Self {
            earlier: names.len(),
            forgot_earlier: users.collect(),
            forgot_own: BTreeSet::new(),
            names,
        }
    }
}

impl From<CallNames> for VecDeque<String> {
    fn from(calls: CallNames) -> Self {
        let forgotten = calls.forgot_earlier.union(&calls.forgot_own);
        let forgotten = forgotten.map(|user| match &**user {
            ALL => String::new(),
            user => format!("{user}."),
        });
        forgotten.chain(calls.names).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the next service reads it.
    fn next(calls: &CallNames) -> CallNames {
        serde_json::from_str(&serde_json::to_string(calls).unwrap()).unwrap()
    }

    fn name(user: u32, call: impl std::fmt::Display) -> String {
        format!("{user}.{call}")
    }

    #[test]
    fn the_oldest_call_is_forgotten_and_later_services_know_it_until_it_cannot_matter() {
        let mut calls = CallNames::default();
        let (first, second) = (name(7, 0), name(7, 1));
        for number in 0..MOST {
            calls.add(&name(7, number));
        }
        assert!(calls.contains(&first) && !next(&calls).is_forgetful(&first));
        calls.add(&name(7, "more"));
        assert!(!calls.contains(&first));
        let is_forgetful = |calls: &CallNames| calls.is_forgetful(&first);
        assert!(!is_forgetful(&calls), "the present service knows by itself");
        let mut calls = next(&calls);
        assert!(calls.contains(&second) && calls.contains(&name(7, "more")));
        assert!(is_forgetful(&calls) && is_forgetful(&next(&calls)));
        assert!(calls.release_earlier());
        assert!(calls.is_empty() && !is_forgetful(&next(&calls)));
    }

    #[test]
    fn the_calls_of_one_user_have_no_others_calls_forgotten() {
        let mut calls = CallNames::default();
        let other = name(8, "a");
        calls.add(&other);
        for number in 0..10 * MOST {
            calls.add(&name(7, number));
        }
        assert_eq!(calls.names.len(), MOST + 1);
        for number in 0..20 * MOST {
            let user = 100 + u32::try_from(number / MOST).unwrap();
            calls.add(&name(user, number));
        }
        assert_eq!(calls.names.len(), MOST_IN_ALL);
        let calls = next(&calls);
        assert!(calls.contains(&other) && !calls.is_forgetful(&other));
        assert!(calls.is_forgetful(&name(7, 0)));
        let unknown = next(&CallNames::unknown());
        assert!(unknown.is_forgetful(&other) && unknown.is_forgetful(&name(7, 0)));
    }

    #[test]
    fn a_call_whose_client_has_its_answer_takes_no_room() {
        let mut calls = CallNames::default();
        for number in 0..10 * MOST {
            calls.add(&name(7, number));
            calls.release(&name(7, number));
        }
        assert!(calls.is_empty());
        calls.add(&name(7, "kept"));
        let mut calls = next(&calls);
        calls.add(&name(7, "own"));
        calls.release(&name(7, "kept"));
        calls.add(&name(7, "another"));
        assert!(!calls.release_earlier());
        assert!(calls.contains(&name(7, "own")) && calls.contains(&name(7, "another")));
    }

    #[test]
    fn what_another_list_knows_is_taken_over_with_what_it_forgot() {
        let mut other = CallNames::default();
        other.add(&name(7, "earlier"));
        let mut other = next(&other);
        other.add(&name(7, "own"));
        let mut calls = CallNames::default();
        calls.add(&name(7, "mine"));
        calls.absorb(other);
        calls.absorb(CallNames::unknown());
        assert!(calls.contains(&name(7, "earlier")) && calls.contains(&name(7, "own")));
        assert!(calls.is_forgetful(&name(7, "never")));
        assert!(calls.release_earlier());
        assert!(!calls.contains(&name(7, "earlier")) && calls.contains(&name(7, "own")));
        assert!(calls.contains(&name(7, "mine")) && !calls.is_forgetful(&name(7, "never")));
    }

    #[test]
    fn what_an_earlier_service_wrote_is_forgotten_first() {
        let mut calls = CallNames::default();
        let earlier = name(7, "earlier");
        calls.add(&earlier);
        let mut calls = next(&calls);
        for number in 0..MOST {
            calls.add(&name(7, number));
        }
        assert!(!calls.contains(&earlier) && calls.is_forgetful(&earlier));
        assert!(calls.release_earlier());
        assert!(
            !next(&calls).is_forgetful(&earlier),
            "no own one was forgotten"
        );
    }
}
