//! The order in which the launcher takes requests: users after one another, of each user the oldest first.
//!
//! A lock is given to any of the threads that wait for it. A user with many creations under way would have most of
//! them, and another's single one would wait for as long as chance decides.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Turns {
    state: Mutex<State>,
    granted: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The request whose turn it is, if it is that of one.
    at: Option<u64>,
    /// Requests there have been.
    asked: u64,
    /// Users in their order, each with its requests. Those that have none are not there.
    waiting: VecDeque<(u32, VecDeque<u64>)>,
}

impl State {
    /// Lets a request of `user` wait; returns its number.
    fn push(&mut self, user: u32) -> u64 {
        self.asked += 1;
        let own = self.waiting.iter_mut().find(|(other, _)| *other == user);
        match own {
            Some((_, own)) => own.push_back(self.asked),
            None => self.waiting.push_back((user, [self.asked].into())),
        }
        self.asked
    }

    /// Takes the next one out.
    fn pop(&mut self) -> Option<u64> {
        let (user, mut own) = self.waiting.pop_front()?;
        let next = own.pop_front();
        if !own.is_empty() {
            self.waiting.push_back((user, own));
        }
        next
    }
}

/// The right to ask the launcher, given to the next one when it is dropped.
#[derive(Debug)]
pub(super) struct Turn<'a>(&'a Turns);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.at = state.pop();
        self.0.granted.notify_all();
    }
}

impl Turns {
    /// Waits for the turn of a request of `user`.
    pub(super) fn take(&self, user: u32) -> Turn<'_> {
        let mut state = self.lock();
        let number = state.push(user);
        if state.at.is_none() {
            state.at = state.pop();
        }
        let waits = |state: &mut State| state.at != Some(number);
        let waited = self.granted.wait_while(state, waits);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        Turn(self)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in it panics.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Mutex, thread};

    use super::*;

    #[test]
    fn the_many_requests_of_one_user_leave_another_its_turn() {
        let (turns, order) = (Turns::default(), Mutex::new(Vec::new()));
        thread::scope(|scope| {
            let held = turns.take(1);
            let ask = |user: u32, expected: usize| {
                scope.spawn({
                    let (turns, order) = (&turns, &order);
                    move || {
                        let _turn = turns.take(user);
                        order.lock().unwrap().push(user);
                    }
                });
                let count = || -> usize {
                    let state = turns.lock();
                    state.waiting.iter().map(|(_, own)| own.len()).sum()
                };
                while count() < expected {
                    thread::yield_now();
                }
            };
            (1..=20).for_each(|number| ask(1, number));
            ask(2, 21);
            ask(3, 22);
            drop(held);
        });
        let order = order.into_inner().unwrap();
        assert_eq!((order.len(), &order[..4]), (22, &[1, 2, 3, 1][..]));
    }

    #[test]
    fn a_turn_is_free_when_none_waits() {
        let turns = Turns::default();
        for user in 0..3 {
            drop(turns.take(user));
        }
        let state = turns.lock();
        assert!(state.at.is_none() && state.waiting.is_empty());
    }
}
