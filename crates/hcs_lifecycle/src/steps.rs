//! Steps of work, told to whoever watches the thread that does it.
//!
//! An engine notes what it has done ([`note`]) without being handed anything; the service, which calls it on a thread
//! that may wait, watches that thread meanwhile ([`watch`]) and puts what it heard into the time line of the operation.
//! Where nobody watches, a note costs a look at a thread's own variable.

use std::{borrow::Cow, cell::RefCell, time::Instant};

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
    /// What the running work of this thread has noted; `None` while nobody watches.
    static NOTED: RefCell<Option<Vec<Step>>> = const { RefCell::new(None) };
}

/// Does `work`, and answers with its result the steps it noted on this thread, in the order they were noted. Work
/// within work keeps its steps to itself.
pub fn watch<T>(work: impl FnOnce() -> T) -> (T, Vec<Step>) {
    let outer = NOTED.with(|noted| noted.replace(Some(Vec::new())));
    let result = work();
    let steps = NOTED.with(|noted| noted.replace(outer));
    (result, steps.unwrap_or_default())
}

/// Notes a step, if somebody watches this thread: asks `step` for it only then.
pub fn note(step: impl FnOnce() -> Step) {
    NOTED.with(|noted| {
        if let Ok(mut noted) = noted.try_borrow_mut()
            && let Some(steps) = &mut *noted
            && steps.len() < MOST
        {
            steps.push(step());
        }
    });
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
