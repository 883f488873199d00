//! The thread of a watcher against its end.

use std::{sync::Arc, time::Duration};

use shuttle::{check_random, thread};

use super::{
    SCHEDULES,
    inquiry::Inquiry,
    sync::{Condvar, Mutex, lock, wait},
};

/// A question that a service answers, or that is cancelled.
#[derive(Default)]
struct Question {
    is_done: Mutex<bool>,
    done: Condvar,
}

impl Question {
    fn finish(&self) {
        *lock(&self.is_done) = true;
        self.done.notify_all();
    }

    fn wait(&self) {
        let mut is_done = lock(&self.is_done);
        while !*is_done {
            is_done = wait(&self.done, is_done);
        }
    }
}

/// A thread that asks for ever, of whose questions the first few are answered.
fn follow(inquiry: &Inquiry<Arc<Question>>, mut answers: usize) {
    while let Some(question) = inquiry.ask(Arc::default) {
        if answers > 0 {
            answers -= 1;
            let service = Arc::clone(&question);
            thread::spawn(move || service.finish());
        }
        question.wait();
        if !inquiry.answered() || !inquiry.rest(Duration::ZERO) {
            return;
        }
    }
}

#[test]
fn the_end_reaches_a_thread_wherever_it_is() {
    check_random(
        || {
            let inquiry = Arc::new(Inquiry::new());
            let asking = Arc::clone(&inquiry);
            let thread = thread::spawn(move || follow(&asking, 2));
            if let Some(question) = inquiry.end() {
                question.finish();
            }
            thread.join().unwrap();
            assert!(inquiry.ask(Arc::<Question>::default).is_none());
            assert!(!inquiry.rest(Duration::ZERO));
        },
        SCHEDULES,
    );
}
