//! Steps of work, reported to the watcher of the thread that does the work.
//!
//! An engine notes each finished step ([`note`]) and needs no argument for that. The service calls the engine on a
//! thread that may wait, and watches that thread meanwhile ([`Watch`]). It shows the steps in the time line of the
//! operation, also while the work goes on. Without a watcher, a note costs one look at a thread-local variable.

use std::{
    borrow::Cow,
    cell::RefCell,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

/// The most steps of one piece of work that are told; later ones are not.
pub const MOST: usize = 48;

/// Something that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// When it was done.
    pub at: Instant,
    /// The action.
    pub what: Cow<'static, str>,
}

thread_local! {
    /// The watcher of the running work of this thread.
    static WATCHING: RefCell<Option<Watch>> = const { RefCell::new(None) };
}

/// A watcher of work: hears the steps that are noted for it. Clones hear the same.
#[derive(Clone, Debug, Default)]
pub struct Watch(Arc<Mutex<Vec<Step>>>);

impl Watch {
    /// Does `work` and hears the steps that this thread notes meanwhile, except those of inner work with another
    /// watcher.
    pub fn over<T>(&self, work: impl FnOnce() -> T) -> T {
        /// Restores the previous watcher, however the work ends.
        struct Back(Option<Watch>);
        impl Drop for Back {
            fn drop(&mut self) {
                WATCHING.with(|watching| watching.replace(self.0.take()));
            }
        }
        let _back = Back(WATCHING.with(|watching| watching.replace(Some(self.clone()))));
        work()
    }

    /// The steps heard so far, in the order they were noted.
    #[must_use]
    pub fn heard(&self) -> Vec<Step> {
        self.steps().clone()
    }

    fn steps(&self) -> std::sync::MutexGuard<'_, Vec<Step>> {
        // A step is pushed as a whole, or not at all.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does `work`. Returns its result and the steps it noted on this thread, in the order they were noted.
pub fn watch<T>(work: impl FnOnce() -> T) -> (T, Vec<Step>) {
    let watch = Watch::default();
    let result = watch.over(work);
    (result, watch.heard())
}

/// Notes a step, if this thread has a watcher: calls `step` only then.
pub fn note(step: impl FnOnce() -> Step) {
    let watching = WATCHING.with(|watching| watching.borrow().clone());
    if let Some(watch) = watching {
        let mut steps = watch.steps();
        if steps.len() < MOST {
            steps.push(step());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(what: &'static str) {
        note(|| Step {
            at: Instant::now(),
            what: what.into(),
        });
    }

    fn names(steps: &[Step]) -> Vec<&str> {
        steps.iter().map(|step| &*step.what).collect()
    }

    #[test]
    fn what_is_heard_can_be_looked_at_meanwhile_and_after_a_panic() {
        let watch = Watch::default();
        let looking = watch.clone();
        let work = std::panic::AssertUnwindSafe(|| {
            watch.over(|| {
                done("one");
                assert_eq!(names(&looking.heard()), ["one"]);
                done("two");
                panic!("it breaks off");
            });
        });
        assert!(std::panic::catch_unwind(work).is_err());
        note(|| panic!("there is no watcher any more"));
        assert_eq!(names(&looking.heard()), ["one", "two"]);
    }

    #[test]
    fn steps_are_heard_by_the_watcher_and_their_number_is_bounded() {
        note(|| panic!("there is no watcher"));
        let ((inner, seven), outer) = watch(|| {
            done("before");
            let inner = watch(|| done("within")).1;
            done("after");
            (inner, 7)
        });
        assert_eq!(seven, 7);
        assert_eq!(names(&outer), ["before", "after"]);
        assert_eq!(names(&inner), ["within"]);
        let many = watch(|| (0..2 * MOST).for_each(|_| done("again"))).1;
        assert_eq!(many.len(), MOST);
    }
}
