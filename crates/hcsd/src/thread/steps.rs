//! Work of which there may be very much at one moment: a little is done at once, so that the usual case waits for
//! nothing, and the rest in turns with all that others want.

use std::cell::Cell;

use super::share::Turns;

/// Whether such work goes on, of one kind and one owner.
#[derive(Debug, Default)]
pub(crate) struct Steps(Cell<bool>);

/// What has such work.
pub(crate) trait Stepping: 'static {
    /// Whether it goes on.
    fn steps(&self) -> &Steps;

    /// The turns that it takes.
    fn turns(&self) -> &Turns;

    /// A step, which takes about as long as any other turn; `false` when nothing was left to do.
    fn step(&self) -> bool;
}

/// Has the work of `owner` done, unless it goes on already: the first step at once. To be called whenever there is more
/// of it.
pub(crate) fn go_on<T: Stepping>(owner: T) {
    if owner.steps().0.replace(true) {
        return;
    }
    if !owner.step() {
        owner.steps().0.set(false);
        return;
    }
    tokio::task::spawn_local(async move {
        loop {
            owner.turns().take().await;
            if !owner.turns().charge(|| owner.step()) {
                // What came during that step has been seen by it, as there is one thread.
                owner.steps().0.set(false);
                return;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, rc::Rc};

    use tokio::task::{LocalSet, yield_now};

    use super::*;
    use crate::thread::share::Giving;

    struct Work {
        left: Cell<usize>,
        steps: Steps,
        turns: Turns,
        _giving: Giving,
        order: RefCell<Vec<usize>>,
    }

    impl Stepping for Rc<Work> {
        fn steps(&self) -> &Steps {
            &self.steps
        }

        fn turns(&self) -> &Turns {
            &self.turns
        }

        fn step(&self) -> bool {
            let left = self.left.get();
            self.left.set(left.saturating_sub(1));
            if left > 0 {
                self.order.borrow_mut().push(left);
                // More of it while it goes on is not done in between.
                go_on(Self::clone(self));
            }
            left > 0
        }
    }

    #[test]
    fn much_of_it_leaves_others_their_turn_and_little_is_done_at_once() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        LocalSet::new().block_on(&runtime, async {
            let (turns, giving) = Turns::begin();
            let work = Rc::new(Work {
                left: Cell::new(10_000),
                steps: Steps::default(),
                turns,
                _giving: giving,
                order: RefCell::default(),
            });
            go_on(Rc::clone(&work));
            assert_eq!(work.left.get(), 9_999);
            let watched = Rc::clone(&work);
            // A task as all others.
            let watching = tokio::task::spawn_local(async move {
                let mut most = 0;
                while watched.left.get() > 0 {
                    let before = watched.left.get();
                    yield_now().await;
                    most = most.max(before - watched.left.get());
                }
                most
            });
            let most = watching.await.unwrap();
            assert!(most <= 64, "{most} steps in one round");
            while work.steps.0.get() {
                yield_now().await;
            }
            let order = work.order.take();
            assert!(order.len() == 10_000 && order.is_sorted_by(|one, next| one > next));
            work.left.set(1);
            go_on(Rc::clone(&work));
            assert_eq!(work.left.get(), 0);
        });
    }
}
