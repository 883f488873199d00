//! Waits for processes: of which request, for which process, until when. Pure: the time is an argument.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

/// The most waits of one stream at a time.
pub(crate) const MAX_WAITS: usize = 16 << 10;

/// A `WaitForProcess` not yet answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wait {
    /// Id of the message to answer.
    pub(crate) id: u64,
    /// Echoed in the answer.
    pub(crate) activity_id: String,
    /// When it is answered with a timeout; `None` for never.
    pub(crate) deadline: Option<Instant>,
}

/// All waits of the present stream.
#[derive(Debug, Default)]
pub(crate) struct Waits {
    by_process: BTreeMap<u32, Vec<Wait>>,
    deadlines: BTreeSet<(Instant, u64, u32)>,
    count: usize,
}

impl Waits {
    /// Adds a wait for the process `pid`; `false` when there are [`MAX_WAITS`] already.
    pub(crate) fn add(&mut self, pid: u32, wait: Wait) -> bool {
        if self.is_full() {
            return false;
        }
        if let Some(deadline) = wait.deadline {
            self.deadlines.insert((deadline, wait.id, pid));
        }
        self.by_process.entry(pid).or_default().push(wait);
        self.count += 1;
        true
    }

    /// Whether nothing can be added.
    pub(crate) fn is_full(&self) -> bool {
        self.count >= MAX_WAITS
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Takes all waits for `pid`, in the order they came.
    pub(crate) fn take(&mut self, pid: u32) -> Vec<Wait> {
        let waits = self.by_process.remove(&pid).unwrap_or_default();
        for wait in &waits {
            if let Some(deadline) = wait.deadline {
                self.deadlines.remove(&(deadline, wait.id, pid));
            }
        }
        self.count -= waits.len();
        waits
    }

    /// Takes the waits whose time is up at `now`, earliest first, each with its process.
    pub(crate) fn take_expired(&mut self, now: Instant) -> Vec<(u32, Wait)> {
        let mut expired = Vec::new();
        while let Some(&(deadline, id, pid)) = self.deadlines.first() {
            if deadline > now {
                break;
            }
            self.deadlines.pop_first();
            let Some(waits) = self.by_process.get_mut(&pid) else {
                continue;
            };
            let mine = |wait: &Wait| wait.id == id && wait.deadline == Some(deadline);
            if let Some(index) = waits.iter().position(mine) {
                expired.push((pid, waits.remove(index)));
                self.count -= 1;
            }
            if waits.is_empty() {
                self.by_process.remove(&pid);
            }
        }
        expired
    }

    /// When the next one's time is up.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, ..)| *deadline)
    }

    /// Forgets all: their stream is gone.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn wait(id: u64, deadline: Option<Instant>) -> Wait {
        Wait {
            id,
            activity_id: String::new(),
            deadline,
        }
    }

    #[test]
    fn waits_are_bounded() {
        let mut waits = Waits::default();
        for id in 0..MAX_WAITS as u64 {
            assert!(waits.add(1, wait(id, None)));
        }
        assert!(!waits.add(1, wait(0, None)));
        assert_eq!(waits.take(1).len(), MAX_WAITS);
        assert!(waits.add(1, wait(0, None)));
    }

    proptest! {
        /// Every wait is answered once: by its process, by its time, or it is still there.
        #[test]
        fn no_wait_is_lost_or_answered_twice(
            actions in prop::collection::vec((0..4_u8, 1..5_u32, 0..50_u64), 0..200)
        ) {
            let start = Instant::now();
            let mut waits = Waits::default();
            let mut model: Vec<(u32, Wait)> = Vec::new();
            for (id, (kind, pid, ms)) in (0..).zip(actions) {
                let time = start + Duration::from_millis(ms);
                match kind {
                    0 | 1 => {
                        let added = wait(id, (kind == 0).then_some(time));
                        waits.add(pid, added.clone());
                        model.push((pid, added));
                    }
                    2 => {
                        let expected: Vec<_> =
                            model.iter().filter(|(p, _)| *p == pid).map(|(_, w)| w.clone()).collect();
                        model.retain(|(p, _)| *p != pid);
                        prop_assert_eq!(waits.take(pid), expected);
                    }
                    _ => {
                        let due = |w: &Wait| w.deadline.is_some_and(|d| d <= time);
                        let mut expected: Vec<_> = model.iter().filter(|(_, w)| due(w)).cloned().collect();
                        expected.sort_by_key(|(_, w)| (w.deadline, w.id));
                        model.retain(|(_, w)| !due(w));
                        prop_assert_eq!(waits.take_expired(time), expected);
                    }
                }
                prop_assert_eq!(waits.len(), model.len());
                prop_assert_eq!(waits.next_deadline(), model.iter().filter_map(|(_, w)| w.deadline).min());
            }
        }
    }
}
