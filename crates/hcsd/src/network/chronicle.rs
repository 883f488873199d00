//! What happened to networks, for clients with a callback.
//!
//! The last notifications are kept in memory for all readers, each under a number. A reader asks from a number on, and
//! waits where there is nothing to tell. So a reader that is slow delays no other, and one that is so slow that its
//! place is gone is told that it missed something. The numbers are of this service only: the next one counts anew, has
//! another name, and a reader of the former one is told that it may have missed something.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
};

use hcn::{Notification, NotificationType};
use hcs_wire::network::{NetworkNews, NetworkNotification};
use tokio::sync::Notify;

/// Notifications that are kept.
const KEPT: usize = 1024;
/// Notifications in one answer.
const MOST: usize = 256;

/// See the module. Belongs to the service's thread.
#[derive(Debug)]
pub(super) struct Chronicle {
    life: String,
    kept: RefCell<VecDeque<NetworkNotification>>,
    /// The number of the next one.
    next: Cell<u64>,
    grown: Notify,
}

impl Chronicle {
    pub(super) fn new() -> Self {
        Self {
            life: uuid::Uuid::new_v4().to_string(),
            kept: RefCell::default(),
            next: Cell::new(1),
            grown: Notify::new(),
        }
    }

    /// These happened, in this order.
    pub(super) fn tell(&self, notifications: &[Notification]) {
        if notifications.is_empty() {
            return;
        }
        let mut kept = self.kept.borrow_mut();
        for notification in notifications {
            if kept.len() == KEPT {
                kept.pop_front();
            }
            kept.push_back(NetworkNotification {
                kind: notification.kind as u32,
                data: notification.data(),
            });
            self.next.set(self.next.get() + 1);
        }
        self.grown.notify_waiters();
    }

    /// What happened from the number `since` of the service `life` on, when there is something to tell.
    pub(super) async fn news(&self, life: &str, since: u64) -> NetworkNews {
        loop {
            let grown = self.grown.notified();
            if let Some(news) = self.page(life, since) {
                return news;
            }
            grown.await;
        }
    }

    /// `None` where there is nothing to tell yet.
    fn page(&self, life: &str, since: u64) -> Option<NetworkNews> {
        let kept = self.kept.borrow();
        let next = self.next.get();
        let first = next - kept.len() as u64;
        let is_known = life == self.life && (first..=next).contains(&since);
        let from = match (life.is_empty(), is_known) {
            (true, _) => next,
            (false, true) if since == next => return None,
            (false, true) => since,
            (false, false) => first,
        };
        let skipped = usize::try_from(from - first).unwrap_or(usize::MAX);
        let notifications: Vec<_> = kept.iter().skip(skipped).take(MOST).cloned().collect();
        Some(NetworkNews {
            life: self.life.clone(),
            next: from + notifications.len() as u64,
            missed: !life.is_empty() && !is_known,
            notifications,
        })
    }
}

/// What is told before a change is made, and what after it.
pub(super) fn parted(notifications: &[Notification]) -> (Vec<Notification>, Vec<Notification>) {
    let is_before = |one: &&Notification| {
        matches!(
            one.kind,
            NotificationType::NetworkPreCreate | NotificationType::NetworkPreDelete
        )
    };
    notifications.iter().partition(is_before)
}

#[cfg(test)]
mod tests {
    use hcn::Guid;
    use proptest::prelude::*;

    use super::*;

    fn notification(number: u64) -> Notification {
        Notification {
            kind: NotificationType::NetworkCreate,
            id: Guid(number.into()),
            namespace: None,
        }
    }

    fn number_of(told: &NetworkNotification) -> u64 {
        let data: serde_json::Value = serde_json::from_str(&told.data).unwrap();
        let id: Guid = data["ID"].as_str().unwrap().parse().unwrap();
        u64::try_from(id.0).unwrap()
    }

    /// What a reader does in turn: it reads a page, or something happens so often.
    #[derive(Clone, Copy, Debug)]
    enum Step {
        Read,
        Happens(usize),
        NextLife,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => Just(Step::Read),
            4 => (1_usize..600).prop_map(Step::Happens),
            1 => Just(Step::NextLife),
        ];
        prop::collection::vec(step, 1..40)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// A reader hears of everything in its order, each once, or is told that it missed something.
        #[test]
        fn a_reader_misses_nothing_without_being_told(steps in steps()) {
            let mut chronicle = Chronicle::new();
            let began = chronicle.page("", 0).unwrap();
            prop_assert_eq!((began.missed, began.notifications.len()), (false, 0));
            let (mut life, mut since) = (began.life, began.next);
            // What happened, and how much of that the reader heard of.
            let (mut happened, mut heard) = (0_u64, 0_u64);
            for step in steps {
                match step {
                    Step::Happens(times) => {
                        for _ in 0..times {
                            happened += 1;
                            chronicle.tell(&[notification(happened)]);
                        }
                    }
                    Step::NextLife => chronicle = Chronicle::new(),
                    Step::Read => {
                        let Some(news) = chronicle.page(&life, since) else {
                            prop_assert_eq!(heard, happened);
                            continue;
                        };
                        prop_assert!(news.missed || !news.notifications.is_empty());
                        prop_assert!(news.notifications.len() <= MOST);
                        for told in &news.notifications {
                            let number = number_of(told);
                            let is_next = number == heard + 1;
                            prop_assert!(is_next || news.missed && number > heard, "{number} after {heard}");
                            heard = number;
                        }
                        if news.missed && news.notifications.is_empty() {
                            heard = happened;
                        }
                        (life, since) = (news.life, news.next);
                    }
                }
            }
        }
    }

    #[test]
    fn what_precedes_a_change_is_told_before_it() {
        let of = |kind| Notification {
            kind,
            ..notification(1)
        };
        let told = [
            of(NotificationType::NetworkPreDelete),
            of(NotificationType::EndpointDetached),
            of(NotificationType::NetworkDelete),
        ];
        let (before, after) = parted(&told);
        assert_eq!((before, after), (told[..1].to_vec(), told[1..].to_vec()));
    }

    #[test]
    fn a_place_that_never_was_is_one_that_is_gone() {
        let chronicle = Chronicle::new();
        chronicle.tell(&[notification(1)]);
        let news = chronicle.page(&chronicle.life, 7).unwrap();
        assert!(news.missed && news.next == 2 && news.notifications.len() == 1);
        assert_eq!(chronicle.page(&chronicle.life, 2), None);
    }
}
