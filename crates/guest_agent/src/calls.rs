//! What was done for which call of the host's clients. Pure.
//!
//! A host that dies may have asked for something and not have told its client. The client comes back to the next host,
//! which asks by the name of the call whether it was done. A name is remembered until the host says that the client has
//! its answer, which it does along with its next request; so there are about as many as there are calls under way.

use std::collections::BTreeMap;

/// Names that are remembered at most; beyond that the oldest is forgotten. Every process has one for a moment.
pub(crate) const MAX_CALLS: usize = 16384;

/// What was done for a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Done {
    /// The process it made, if it made one.
    pub(crate) pid: Option<u32>,
    /// How that has ended.
    pub(crate) exit: Option<u32>,
}

#[derive(Debug)]
struct Entry {
    done: Done,
    /// Tells older ones from newer ones.
    number: u64,
    /// The stream on which it was asked for.
    stream: u64,
}

/// All calls that a service may still ask for.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    by_name: BTreeMap<String, Entry>,
    by_age: BTreeMap<u64, String>,
    next: u64,
    stream: u64,
    /// The latest stream on which a call was forgotten that had not been released.
    forgot: Option<u64>,
}

impl Calls {
    /// A new stream has taken the place of the one before.
    pub(crate) const fn stream_begins(&mut self) {
        self.stream += 1;
    }

    /// What was done for the call `name`.
    pub(crate) fn get(&self, name: &str) -> Option<Done> {
        self.by_name.get(name).map(|entry| entry.done)
    }

    /// The call `name` is done, and made the process `pid` if it made one. Without a name no service will ask.
    pub(crate) fn done(&mut self, name: &str, pid: Option<u32>) {
        if name.is_empty() {
            return;
        }
        if self.by_name.len() >= MAX_CALLS
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.by_name.remove(&oldest);
            self.forgot = Some(self.stream);
        }
        self.next += 1;
        let entry = Entry {
            done: Done { pid, exit: None },
            number: self.next,
            stream: self.stream,
        };
        self.by_age.insert(self.next, name.to_owned());
        if let Some(former) = self.by_name.insert(name.to_owned(), entry) {
            self.by_age.remove(&former.number);
        }
    }

    /// The process that the call `name` made has ended.
    pub(crate) fn exited(&mut self, name: &str, code: u32) {
        if let Some(entry) = self.by_name.get_mut(name) {
            entry.done.exit = Some(code);
        }
    }

    /// No service will ask for these any more.
    pub(crate) fn release(&mut self, names: &[String]) {
        for name in names {
            if let Some(entry) = self.by_name.remove(name) {
                self.by_age.remove(&entry.number);
            }
        }
    }

    /// No service will ask any more for calls of earlier streams.
    pub(crate) fn release_earlier(&mut self) {
        let stream = self.stream;
        let by_age = &mut self.by_age;
        self.by_name.retain(|_, entry| {
            let stays = entry.stream == stream;
            if !stays {
                by_age.remove(&entry.number);
            }
            stays
        });
        self.forgot = self.forgot.filter(|forgot| *forgot == stream);
    }

    /// The newest that a service may still ask for, `most` of them, and whether there are more.
    pub(crate) fn newest(&self, most: usize) -> (impl Iterator<Item = (&str, Done)>, bool) {
        let names = self.by_age.values().rev().take(most);
        let newest = names.filter_map(|name| Some((name.as_str(), self.get(name)?)));
        (newest, self.by_name.len() > most)
    }

    /// Whether one that is not known may have been done all the same.
    pub(crate) const fn is_forgetful(&self) -> bool {
        self.forgot.is_some()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_oldest_call_is_forgotten_and_that_is_known_until_it_cannot_matter() {
        let mut calls = Calls::default();
        for number in 0..MAX_CALLS {
            calls.done(&number.to_string(), None);
        }
        assert!(!calls.is_forgetful());
        calls.done("one more", Some(7));
        assert!(calls.is_forgetful());
        assert_eq!((calls.get("0"), calls.by_age.len()), (None, MAX_CALLS));
        calls.release_earlier();
        assert!(calls.is_forgetful(), "it was of the present stream");
        calls.stream_begins();
        calls.release_earlier();
        assert!(!calls.is_forgetful());
        assert!(calls.by_name.is_empty() && calls.by_age.is_empty());
    }

    #[test]
    fn the_newest_calls_are_told_first() {
        let mut calls = Calls::default();
        calls.done("1.a", Some(2));
        calls.exited("1.a", 7);
        calls.done("1.b", None);
        let of = |pid, exit| Done { pid, exit };
        let (newest, more) = calls.newest(2);
        let all = [("1.b", of(None, None)), ("1.a", of(Some(2), Some(7)))];
        assert_eq!((newest.collect::<Vec<_>>(), more), (all.to_vec(), false));
        let (newest, more) = calls.newest(1);
        assert_eq!((newest.count(), more), (1, true));
    }

    #[test]
    fn a_call_without_a_name_is_not_kept() {
        let mut calls = Calls::default();
        calls.done("", Some(7));
        assert_eq!(calls.get(""), None);
    }

    #[derive(Clone, Debug)]
    enum Action {
        Done(u8, Option<u32>),
        Exited(u8, u32),
        Release(Vec<u8>),
        Stream,
        ReleaseEarlier,
    }

    fn action() -> impl Strategy<Value = Action> {
        let name = 0..20_u8;
        prop_oneof![
            (name.clone(), prop::option::of(1..9_u32)).prop_map(|(n, p)| Action::Done(n, p)),
            (name.clone(), 0..256_u32).prop_map(|(n, c)| Action::Exited(n, c)),
            prop::collection::vec(name, 0..4).prop_map(Action::Release),
            Just(Action::Stream),
            Just(Action::ReleaseEarlier),
        ]
    }

    proptest! {
        /// The model: what was done, by name, and on which stream.
        #[test]
        fn what_is_not_released_is_remembered(actions in prop::collection::vec(action(), 0..200)) {
            let mut calls = Calls::default();
            let mut model: BTreeMap<u8, (Done, u64)> = BTreeMap::new();
            let mut stream = 0;
            for action in actions {
                match action {
                    Action::Done(name, pid) => {
                        calls.done(&name.to_string(), pid);
                        model.insert(name, (Done { pid, exit: None }, stream));
                    }
                    Action::Exited(name, code) => {
                        calls.exited(&name.to_string(), code);
                        if let Some((done, _)) = model.get_mut(&name) {
                            done.exit = Some(code);
                        }
                    }
                    Action::Release(names) => {
                        let released: Vec<_> = names.iter().map(u8::to_string).collect();
                        calls.release(&released);
                        model.retain(|name, _| !names.contains(name));
                    }
                    Action::Stream => {
                        calls.stream_begins();
                        stream += 1;
                    }
                    Action::ReleaseEarlier => {
                        calls.release_earlier();
                        model.retain(|_, (_, of)| *of == stream);
                    }
                }
                for name in 0..20_u8 {
                    let known = model.get(&name).map(|(done, _)| *done);
                    prop_assert_eq!(calls.get(&name.to_string()), known);
                }
                prop_assert_eq!(calls.by_age.len(), model.len());
            }
        }
    }
}
