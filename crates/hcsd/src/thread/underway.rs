//! What is under way in a lane, so that a call which waits for a place can say what it waits for.
//!
//! A path of a file system that does not answer keeps its call, and the place of that, for as long as the file system
//! does so: no service can end it, and not the client either. Where all places are kept so, others must not wait
//! without an end. They wait as long as places come free; after a time without any they fail and name what is stuck.
//! Releasing such places would cost threads instead, of which exec and list need some.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    pin::pin,
    rc::Rc,
    time::Duration,
};

use hcs_schema::{Failure, HResult, shown, win32};
use tokio::time::{Instant, timeout_at};

/// How many of them a failure names, and how much of each.
const NAMED: (usize, usize) = (5, 100);

/// See the module.
#[derive(Debug)]
pub(crate) struct Underway {
    /// Their owner, as the failure says it.
    whose: &'static str,
    /// How long a call waits while no place comes free.
    limit: Duration,
    /// When one came free last.
    moved: Cell<Instant>,
    /// In the order of their beginning.
    all: RefCell<BTreeMap<u64, (Instant, String)>>,
    /// The number of the next one.
    next: Cell<u64>,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub(crate) struct Going {
    of: Rc<Underway>,
    number: u64,
}

impl Drop for Going {
    fn drop(&mut self) {
        self.of.all.borrow_mut().remove(&self.number);
        self.of.moved.set(Instant::now());
    }
}

impl Underway {
    pub(crate) fn new(whose: &'static str, limit: Duration) -> Rc<Self> {
        Rc::new(Self {
            whose,
            limit,
            moved: Cell::new(Instant::now()),
            all: RefCell::default(),
            next: Cell::new(0),
        })
    }

    /// Notes that `id` has its place.
    pub(crate) fn begin(self: &Rc<Self>, id: &str) -> Going {
        let number = self.next.get();
        self.next.set(number + 1);
        let begun = (Instant::now(), id.chars().take(NAMED.1).collect());
        self.all.borrow_mut().insert(number, begun);
        Going {
            of: Rc::clone(self),
            number,
        }
    }

    /// How long a call waits while no place comes free.
    pub(crate) const fn limit(&self) -> Duration {
        self.limit
    }

    /// Waits for a `place`, for as long as places come free, here or in a lane `behind` that those here wait for.
    ///
    /// # Errors
    /// None did for the limit.
    pub(crate) async fn wait<T>(
        &self,
        behind: Option<&Self>,
        place: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        let (asked, mut place) = (Instant::now(), pin!(place));
        let moved = || {
            let behind = behind.map_or(asked, |lane| lane.moved.get());
            asked.max(self.moved.get()).max(behind)
        };
        loop {
            let end = moved() + self.limit;
            if let Ok(place) = timeout_at(end, &mut place).await {
                return Ok(place);
            }
            if moved() + self.limit <= end {
                return Err(self.stuck());
            }
        }
    }

    fn stuck(&self) -> Failure {
        let all = self.all.borrow();
        let named = all.values().take(NAMED.0).map(|(begun, id)| {
            let seconds = begun.elapsed().as_secs();
            format!("{} for {seconds} s", shown(id))
        });
        let mut named = named.collect::<Vec<_>>().join(", ");
        if all.len() > NAMED.0 {
            named.push_str(", ...");
        }
        let message = format!(
            "{} compute systems of {} are being created ({named}), which are as many as may, and none was done for {} s: \
             look whether the file systems of the paths in their documents answer",
            all.len(),
            self.whose,
            self.limit.as_secs(),
        );
        Failure::new(
            HResult::from_win32(win32::ERROR_NO_SYSTEM_RESOURCES),
            message,
        )
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::Notify;

    use super::*;

    fn in_runtime(work: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().unwrap();
        runtime.block_on(work);
    }

    #[test]
    fn where_no_place_comes_free_a_call_fails_and_names_what_is_stuck() {
        in_runtime(async {
            let lane = Underway::new("this user", Duration::ZERO);
            let all: Vec<_> = (0..7).map(|n| lane.begin(&format!("box-{n}\n"))).collect();
            let refused = lane
                .wait(None, std::future::pending::<()>())
                .await
                .unwrap_err();
            let text = refused.to_string();
            assert!(text.contains("7 compute systems of this user"), "{text}");
            for one in 0..NAMED.0 {
                assert!(text.contains(&format!("box-{one}\\n for 0 s")), "{text}");
            }
            assert!(!text.contains("box-5"), "{text}");
            drop(all);
            assert!(lane.all.borrow().is_empty());
        });
    }

    #[test]
    fn a_place_that_is_free_is_had_and_those_that_come_free_are_waited_for() {
        in_runtime(async {
            let at_once = Underway::new("this user", Duration::ZERO);
            assert_eq!(at_once.wait(None, async { 1 }).await.unwrap(), 1);
            let lane = Underway::new("this user", Duration::from_secs(3600));
            let (freed, first) = (Notify::new(), lane.begin("first"));
            let (had, ()) = tokio::join!(lane.wait(None, freed.notified()), async {
                drop(first);
                freed.notify_one();
            });
            had.unwrap();
        });
    }
}
