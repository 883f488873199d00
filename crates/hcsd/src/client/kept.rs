//! Calls that were answered to connections that were gone: what remembers them is told when their clients do not come
//! back any more.
//!
//! One task waits for all of them, for the next one each time. All have the same time, until that is configured anew:
//! then later ones may wait for those before them. Of each user so many are kept as there may be that matter. Of more,
//! the oldest is not told of: what remembers that call goes on remembering it, for as long as there is room.

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, VecDeque},
    rc::Rc,
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

use crate::record::operations::Keepers;

/// Calls of one user that are kept.
const MOST: usize = 1024;
/// Calls that are let go in one turn of all tasks.
const AT_ONCE: usize = 64;

/// A call that was answered.
#[derive(Debug)]
struct Kept {
    until: Instant,
    name: Rc<str>,
    keepers: Keepers,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct KeptCalls {
    /// By user, the oldest first.
    of_users: RefCell<HashMap<u32, VecDeque<Kept>>>,
    /// The task is there.
    is_waited_for: Cell<bool>,
}

impl KeptCalls {
    /// Keeps the call `name` of the user `uid` for as long as its client may come back.
    pub(crate) fn keep(
        self: &Rc<Self>,
        uid: u32,
        name: Rc<str>,
        keepers: Keepers,
        limit: Duration,
    ) {
        let mut of_users = self.of_users.borrow_mut();
        let own = of_users.entry(uid).or_default();
        if own.len() >= MOST {
            own.pop_front();
        }
        own.push_back(Kept {
            until: Instant::now() + limit,
            name,
            keepers,
        });
        drop(of_users);
        if !self.is_waited_for.replace(true) {
            tokio::task::spawn_local(Rc::clone(self).let_go_in_time());
        }
    }

    async fn let_go_in_time(self: Rc<Self>) {
        while let Some(next) = self.next() {
            sleep_until(next).await;
            for over in self.take_over(Instant::now()) {
                over.keepers.release(&over.name);
            }
            tokio::task::yield_now().await;
        }
        self.is_waited_for.set(false);
    }

    /// When the next one is over.
    fn next(&self) -> Option<Instant> {
        let of_users = self.of_users.borrow();
        let first = of_users.values().filter_map(VecDeque::front);
        first.map(|kept| kept.until).min()
    }

    /// Takes some out that are over.
    fn take_over(&self, now: Instant) -> Vec<Kept> {
        let mut of_users = self.of_users.borrow_mut();
        let mut over = Vec::new();
        for own in of_users.values_mut() {
            let is_over = |kept: &Kept| kept.until <= now;
            while over.len() < AT_ONCE && own.front().is_some_and(is_over) {
                over.extend(own.pop_front());
            }
        }
        of_users.retain(|_, own| !own.is_empty());
        over
    }
}

#[cfg(test)]
mod tests {
    use hcs_wire::{operation::OperationId, service::Call};
    use tokio::task::{LocalSet, yield_now};

    use super::*;
    use crate::record::operations::{CallKeeper, Timeline};

    #[derive(Debug, Default)]
    struct Record(RefCell<Vec<String>>);

    impl CallKeeper for Record {
        fn release(&self, name: &str) {
            self.0.borrow_mut().push(name.to_owned());
        }
    }

    fn keepers(record: &Rc<Record>) -> Keepers {
        let call = Call::StartSystem {
            system: 1,
            options: None,
        };
        let timeline = Timeline::new(OperationId::of_request(7, 1), &call, 0, None, false);
        timeline.set_record(record);
        timeline.take_keepers()
    }

    #[test]
    fn very_many_calls_of_a_client_that_left_take_bounded_memory_and_one_task() {
        const LONG: Duration = Duration::from_secs(3600);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let tasks = LocalSet::new();
        tasks.block_on(&runtime, async {
            let (kept, record) = (Rc::<KeptCalls>::default(), Rc::<Record>::default());
            for number in 0..2 * AT_ONCE {
                let name = format!("2.a.{number}").into();
                kept.keep(2, name, keepers(&record), Duration::ZERO);
            }
            for number in 0..100 * MOST {
                let name = format!("1.a.{number}").into();
                kept.keep(1, name, keepers(&record), LONG);
            }
            assert_eq!(kept.of_users.borrow()[&1].len(), MOST);
            assert_eq!(Rc::strong_count(&kept), 2, "one task has it");
            while record.0.borrow().len() < 2 * AT_ONCE {
                yield_now().await;
            }
            assert_eq!(record.0.borrow()[0], "2.a.0");
            assert_eq!(kept.of_users.borrow().len(), 1);
        });
    }
}
