//! Names of calls that were done, so that none is done twice for a client that comes back after the death of a service.
//! A bounded list that is written down with what the calls have changed. Pure.
//!
//! A name is kept until its client has the answer, so there are about as many as there are calls under way. Where there
//! is no room, the oldest is forgotten, and the list says so: what is not in it may have been done all the same. That
//! matters to later services only. The present one knows by itself what it has answered (`client/calls.rs`).
//!
//! Written down it is a list of texts. An empty one, which names no call, stands for all that were forgotten: so an
//! older service can read the list, too.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Names that are remembered at most.
pub(crate) const MOST: usize = 256;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "VecDeque<String>", into = "VecDeque<String>")]
pub(crate) struct CallNames {
    /// Oldest first.
    names: VecDeque<String>,
    /// How many of them an earlier service has written down: the first ones.
    earlier: usize,
    /// Names of calls to earlier services were forgotten.
    forgot_earlier: bool,
    /// Names of calls to this service were forgotten.
    forgot_own: bool,
}

impl CallNames {
    /// What earlier services wrote down is not known.
    pub(crate) fn unknown() -> Self {
        Self {
            forgot_earlier: true,
            ..Self::default()
        }
    }

    /// Whether there is nothing to be written down.
    pub(crate) fn is_empty(&self) -> bool {
        self.names.is_empty() && !self.has_forgotten()
    }

    /// Whether the call `name` is remembered.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }

    /// Whether a call to an earlier service may have been done though it is not remembered.
    pub(crate) const fn is_forgetful(&self) -> bool {
        self.forgot_earlier
    }

    /// Whether it says that calls were forgotten.
    const fn has_forgotten(&self) -> bool {
        self.forgot_earlier || self.forgot_own
    }

    /// The call `name` is done.
    pub(crate) fn add(&mut self, name: &str) {
        if self.contains(name) {
            return;
        }
        while self.names.len() >= MOST {
            self.names.pop_front();
            match self.earlier.checked_sub(1) {
                Some(earlier) => {
                    self.earlier = earlier;
                    self.forgot_earlier = true;
                }
                None => self.forgot_own = true,
            }
        }
        self.names.push_back(name.to_owned());
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

    /// No client asks any more for what it asked an earlier service for. Answers whether the list had to say that such
    /// calls were forgotten.
    pub(crate) fn release_earlier(&mut self) -> bool {
        self.names.drain(..self.earlier);
        self.earlier = 0;
        std::mem::take(&mut self.forgot_earlier)
    }
}

impl From<VecDeque<String>> for CallNames {
    fn from(mut names: VecDeque<String>) -> Self {
        let written = names.len();
        names.retain(|name| !name.is_empty());
        Self {
            earlier: names.len(),
            forgot_earlier: names.len() < written,
            forgot_own: false,
            names,
        }
    }
}

impl From<CallNames> for VecDeque<String> {
    fn from(calls: CallNames) -> Self {
        let forgotten = calls.has_forgotten().then(String::new);
        forgotten.into_iter().chain(calls.names).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the next service reads it.
    fn next(calls: &CallNames) -> CallNames {
        serde_json::from_str(&serde_json::to_string(calls).unwrap()).unwrap()
    }

    #[test]
    fn the_oldest_call_is_forgotten_and_later_services_know_it_until_it_cannot_matter() {
        let mut calls = CallNames::default();
        for number in 0..MOST {
            calls.add(&number.to_string());
        }
        assert!(calls.contains("0") && !next(&calls).is_forgetful());
        calls.add("one more");
        assert!(!calls.contains("0"));
        assert!(!calls.is_forgetful(), "the present service knows by itself");
        let mut calls = next(&calls);
        assert!(calls.contains("1") && calls.contains("one more") && calls.is_forgetful());
        assert!(next(&calls).is_forgetful(), "nor does its death matter");
        assert!(calls.release_earlier());
        assert!(calls.is_empty() && !next(&calls).is_forgetful());
    }

    #[test]
    fn a_call_whose_client_has_its_answer_takes_no_room() {
        let mut calls = CallNames::default();
        for number in 0..10 * MOST {
            calls.add(&number.to_string());
            calls.release(&number.to_string());
        }
        assert!(calls.is_empty());
        calls.add("kept");
        let mut calls = next(&calls);
        calls.add("own");
        calls.release("kept");
        calls.add("own, too");
        assert!(!calls.release_earlier());
        assert!(calls.contains("own") && calls.contains("own, too"));
    }

    #[test]
    fn what_an_earlier_service_wrote_is_forgotten_first() {
        let mut calls = CallNames::default();
        calls.add("earlier");
        let mut calls = next(&calls);
        for number in 0..MOST {
            calls.add(&number.to_string());
        }
        assert!(!calls.contains("earlier") && calls.is_forgetful());
        assert!(calls.release_earlier());
        assert!(!next(&calls).is_forgetful(), "no own one was forgotten");
    }
}
