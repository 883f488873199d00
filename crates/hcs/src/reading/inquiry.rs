//! [`Inquiry`]: a question that is asked again and again by one thread, until another thread ends it.
//!
//! The end either finds the question that is open, and has it cancelled by its caller, or comes before the next one is
//! asked: both are under the lock. So the asking thread never waits for an answer that no thread cancels.

use std::time::Duration;

use super::sync::{Condvar, Deadline, Mutex, lock};

/// `Q` is a question that can be cancelled.
#[derive(Debug)]
pub(crate) struct Inquiry<Q> {
    state: Mutex<State<Q>>,
    ended: Condvar,
}

#[derive(Debug)]
struct State<Q> {
    open: Option<Q>,
    is_over: bool,
}

impl<Q: Clone> Inquiry<Q> {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                open: None,
                is_over: false,
            }),
            ended: Condvar::new(),
        }
    }

    /// Asks; `None` after the end. `ask` must not wait for the answer.
    pub(crate) fn ask(&self, ask: impl FnOnce() -> Q) -> Option<Q> {
        let mut state = lock(&self.state);
        if state.is_over {
            return None;
        }
        let question = ask();
        state.open = Some(question.clone());
        Some(question)
    }

    /// The question has its answer; `false` after the end.
    pub(crate) fn answered(&self) -> bool {
        let mut state = lock(&self.state);
        let open = state.open.take();
        let goes_on = !state.is_over;
        drop(state);
        drop(open);
        goes_on
    }

    /// Rests before the next question; `false` after the end.
    pub(crate) fn rest(&self, pause: Duration) -> bool {
        let deadline = Deadline::after(Some(pause));
        let mut state = lock(&self.state);
        while !state.is_over {
            match deadline.wait(&self.ended, state) {
                Ok(guard) => state = guard,
                Err(_) => return true,
            }
        }
        false
    }

    /// No question is asked any more. Returns the one that is open.
    pub(crate) fn end(&self) -> Option<Q> {
        let mut state = lock(&self.state);
        state.is_over = true;
        let open = state.open.take();
        drop(state);
        self.ended.notify_all();
        open
    }
}
