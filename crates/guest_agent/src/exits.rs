//! Exit codes kept until the host has asked for them. Pure.
//!
//! A host that comes back after its end asks again for what it may have missed; so a code that was given out is kept a
//! while longer, because it is unknown whether the answer arrived.

use std::collections::VecDeque;

/// Codes that no service has asked for and that are kept at most; beyond that the oldest is forgotten.
pub(crate) const MAX_UNCLAIMED: usize = 4096;
/// Codes already given out that are kept at most.
pub(crate) const MAX_CLAIMED: usize = 256;

/// How one process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Exit {
    pid: u32,
    code: u32,
}

/// The codes, each pid at most once: a newer process of the same number takes the place of the older one.
#[derive(Debug, Default)]
pub(crate) struct Exits {
    unclaimed: VecDeque<Exit>,
    claimed: VecDeque<Exit>,
}

impl Exits {
    /// Keeps that `pid` ended with `code`. `claimed` says that a service was told already.
    pub(crate) fn record(&mut self, pid: u32, code: u32, claimed: bool) {
        self.unclaimed.retain(|exit| exit.pid != pid);
        self.claimed.retain(|exit| exit.pid != pid);
        let (list, limit) = if claimed {
            (&mut self.claimed, MAX_CLAIMED)
        } else {
            (&mut self.unclaimed, MAX_UNCLAIMED)
        };
        if list.len() == limit {
            list.pop_front();
        }
        list.push_back(Exit { pid, code });
    }

    /// The code of `pid`, given out.
    pub(crate) fn claim(&mut self, pid: u32) -> Option<u32> {
        let Some(index) = self.unclaimed.iter().position(|exit| exit.pid == pid) else {
            return self.peek(pid);
        };
        let code = self.unclaimed.remove(index)?.code;
        self.record(pid, code, true);
        Some(code)
    }

    /// The code of `pid`, only looked at.
    pub(crate) fn peek(&self, pid: u32) -> Option<u32> {
        let mut all = self.unclaimed.iter().chain(&self.claimed);
        all.find(|exit| exit.pid == pid).map(|exit| exit.code)
    }

    /// All that are kept, those that were given out first: pid and code.
    pub(crate) fn all(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        let all = self.claimed.iter().chain(&self.unclaimed);
        all.map(|exit| (exit.pid, exit.code))
    }

    /// How many codes no service has asked for, and how many were given out and are still kept.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.unclaimed.len(), self.claimed.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_oldest_unclaimed_code_goes_first() {
        let mut exits = Exits::default();
        for pid in 0..5000 {
            exits.record(pid, pid % 256, false);
        }
        assert_eq!(exits.counts(), (MAX_UNCLAIMED, 0));
        assert_eq!(exits.claim(903), None);
        assert_eq!(exits.claim(904), Some(904 % 256));
        assert_eq!(exits.counts(), (MAX_UNCLAIMED - 1, 1));
    }

    #[test]
    fn claimed_codes_do_not_push_out_unclaimed_ones() {
        let mut exits = Exits::default();
        exits.record(1, 11, false);
        for pid in 2..10_000 {
            exits.record(pid, 0, true);
        }
        assert_eq!(exits.counts(), (1, MAX_CLAIMED));
        assert_eq!(exits.claim(1), Some(11));
    }

    /// The model: every record ever, newest last; the limits are not reached.
    #[derive(Clone, Debug)]
    enum Action {
        Record(u32, u32, bool),
        Claim(u32),
        Peek(u32),
    }

    fn action() -> impl Strategy<Value = Action> {
        let pid = 1..20_u32;
        prop_oneof![
            (pid.clone(), 0..256_u32, any::<bool>()).prop_map(|(p, c, k)| Action::Record(p, c, k)),
            pid.clone().prop_map(Action::Claim),
            pid.prop_map(Action::Peek),
        ]
    }

    proptest! {
        #[test]
        fn the_newest_code_of_a_pid_is_answered(actions in prop::collection::vec(action(), 0..200)) {
            let mut exits = Exits::default();
            let mut history: Vec<(u32, u32)> = Vec::new();
            for action in actions {
                let newest = |pid| history.iter().rev().find(|(p, _)| *p == pid).map(|(_, c)| *c);
                match action {
                    Action::Record(pid, code, claimed) => {
                        exits.record(pid, code, claimed);
                        history.push((pid, code));
                    }
                    Action::Claim(pid) => prop_assert_eq!(exits.claim(pid), newest(pid)),
                    Action::Peek(pid) => prop_assert_eq!(exits.peek(pid), newest(pid)),
                }
                let pids: std::collections::BTreeSet<_> = history.iter().map(|(p, _)| *p).collect();
                let (unclaimed, claimed) = exits.counts();
                prop_assert_eq!(unclaimed + claimed, pids.len());
            }
        }
    }
}
