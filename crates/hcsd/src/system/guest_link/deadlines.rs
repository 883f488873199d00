//! Until when requests have to be answered.
//!
//! Nearly every request is answered long before its deadline, so the runtime is not given a timer for each: one timer
//! is armed for the earliest deadline, and armed again only when it has gone off or an earlier one comes.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
};

use tokio::{sync::Notify, time::Instant};

/// Deadlines of requests, by number. Belongs to one thread.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    open: RefCell<BTreeSet<(Instant, u64)>>,
    /// For when the timer is armed.
    armed: Cell<Option<Instant>>,
    earlier: Notify,
}

impl Deadlines {
    /// The request `id` is to be answered by `deadline`.
    pub(crate) fn add(&self, deadline: Instant, id: u64) {
        self.open.borrow_mut().insert((deadline, id));
        if self.armed.get().is_none_or(|armed| deadline < armed) {
            self.earlier.notify_one();
        }
    }

    /// The request `id` was answered.
    pub(crate) fn remove(&self, deadline: Instant, id: u64) {
        self.open.borrow_mut().remove(&(deadline, id));
    }

    /// The next request that was not answered in time. For one waiter.
    pub(crate) async fn passed(&self) -> u64 {
        loop {
            let first = self.open.borrow().first().copied();
            if let Some((deadline, id)) = first
                && deadline <= Instant::now()
            {
                self.open.borrow_mut().remove(&(deadline, id));
                return id;
            }
            let deadline = first.map(|(deadline, _)| deadline);
            self.armed.set(deadline);
            tokio::select! {
                () = until(deadline) => {}
                () = self.earlier.notified() => {}
            }
        }
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn deadlines_pass_in_their_order_whenever_they_were_added() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let passed = runtime.block_on(async {
            let deadlines = Deadlines::default();
            let now = Instant::now();
            let at = |ms| now + Duration::from_millis(ms);
            deadlines.add(at(60_000), 1);
            deadlines.add(at(20), 2);
            let adding = async {
                tokio::task::yield_now().await;
                // Earlier than what the timer is armed for by now.
                deadlines.add(at(5), 3);
                deadlines.add(at(10), 4);
                deadlines.remove(at(10), 4);
            };
            let passing = async { [deadlines.passed().await, deadlines.passed().await] };
            tokio::join!(passing, adding).0
        });
        assert_eq!(passed, [3, 2]);
    }
}
