//! Steps of work, told to whoever watches the thread that does it.
//!
//! An engine notes what it has done ([`note`]) without being handed anything; the service, which calls it on a thread
//! that may wait, watches that thread meanwhile ([`Watch`]) and shows what it heard in the time line of the operation,
//! also while the work goes on. Where nobody watches, a note costs a look at a thread's own variable.

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
    /// What.
    pub what: Cow<'static, str>,
}

thread_local! {
    /// Who watches the running work of this thread.
    static WATCHING: RefCell<Option<Watch>> = const { RefCell::new(None) };
}

/// Somebody who watches work: hears the steps that are noted for it. Clones hear the same.
#[derive(Clone, Debug, Default)]
pub struct Watch(Arc<Mutex<Vec<Step>>>);

impl Watch {
    /// Does `work`, watched; it hears the steps that this thread notes meanwhile, except those of work within that is
    /// watched by others.
    pub fn over<T>(&self, work: impl FnOnce() -> T) -> T {
        /// Puts back who watched before, however the work ends.
        struct Back(Option<Watch>);
        impl Drop for Back {
            fn drop(&mut self) {
                WATCHING.with(|watching| watching.replace(self.0.take()));
            }
        }
        let _back = Back(WATCHING.with(|watching| watching.replace(Some(self.clone()))));
        work()
    }

    /// What was heard so far, in the order it was noted.
    #[must_use]
    pub fn heard(&self) -> Vec<Step> {
        self.steps().clone()
    }

    fn steps(&self) -> std::sync::MutexGuard<'_, Vec<Step>> {
        // A step is pushed as a whole, or not at all.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does `work`, and answers with its result the steps it noted on this thread, in the order they were noted.
pub fn watch<T>(work: impl FnOnce() -> T) -> (T, Vec<Step>) {
    let watch = Watch::default();
    let result = watch.over(work);
    (result, watch.heard())
}

/// Notes a step, if somebody watches this thread: asks `step` for it only then.
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
        note(|| panic!("nobody watches any more"));
        assert_eq!(names(&looking.heard()), ["one", "two"]);
    }

    #[test]
    fn steps_are_heard_by_who_watches_and_their_number_is_bounded() {
        note(|| panic!("nobody watches"));
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
