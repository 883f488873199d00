//! The threads that callbacks run on.
//!
//! A callback may block for as long as it likes and call every function, so a job never waits for another: when all
//! threads are busy, one more is started. Idle threads leave after some seconds, except one from the moment on that a
//! callback was registered: a completion must not be lost because no thread can be started later.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use crate::reading::sync::{Condvar, Deadline, Mutex, lock, thread};

/// How long a thread without work stays.
const IDLE: Duration = Duration::from_secs(5);

type Job = Box<dyn FnOnce() + Send>;

/// A set of threads that grows with the work.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    threads: usize,
    idle: usize,
    keep: usize,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Pool {
    /// Makes sure that at least one thread is there from now on.
    ///
    /// # Errors
    /// No thread could be started.
    pub(crate) fn ensure(&self) -> std::io::Result<()> {
        let mut state = lock(&self.shared.state);
        if state.threads == 0 {
            self.grow(&mut state)?;
        }
        state.keep = 1;
        Ok(())
    }

    /// Has `job` run by one of the threads. If no thread can be started, an existing one takes the job when it is free.
    pub(crate) fn submit(&self, job: impl FnOnce() + Send + 'static) {
        let mut state = lock(&self.shared.state);
        state.queue.push_back(Box::new(job));
        if state.idle < state.queue.len() && self.grow(&mut state).is_err() && state.threads == 0 {
            // No thread is there to run it before the next job comes and a thread can be started again.
            // `Pool::ensure` at registration keeps callbacks from ever getting here.
            return;
        }
        drop(state);
        self.shared.work.notify_one();
    }

    fn grow(&self, state: &mut State) -> std::io::Result<()> {
        let shared = Arc::clone(&self.shared);
        thread::Builder::new()
            .name("hcs-callback".to_owned())
            .spawn(move || shared.run())?;
        state.threads += 1;
        Ok(())
    }
}

impl Shared {
    fn run(&self) {
        let mut state = lock(&self.state);
        loop {
            if let Some(job) = state.queue.pop_front() {
                drop(state);
                // The panic was reported by the panic hook where it happened; it must not end this thread.
                let _reported = catch_unwind(AssertUnwindSafe(job));
                state = lock(&self.state);
                continue;
            }
            state.idle += 1;
            let deadline = Deadline::after(Some(IDLE));
            let timed_out = loop {
                if !state.queue.is_empty() {
                    break false;
                }
                match deadline.wait(&self.work, state) {
                    Ok(guard) => state = guard,
                    Err(guard) => {
                        state = guard;
                        break state.queue.is_empty();
                    }
                }
            };
            state.idle -= 1;
            if timed_out && state.threads > state.keep {
                state.threads -= 1;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn jobs_that_wait_for_each_other_all_run() {
        let pool = Pool::default();
        pool.ensure().unwrap();
        let (done, all) = mpsc::channel();
        let barrier = Arc::new(std::sync::Barrier::new(16));
        for _ in 0..16 {
            let (barrier, done) = (Arc::clone(&barrier), done.clone());
            pool.submit(move || {
                barrier.wait();
                done.send(()).unwrap();
            });
        }
        assert_eq!(all.iter().take(16).count(), 16);
    }

    #[test]
    fn a_panicking_job_does_not_take_its_thread_along() {
        let pool = Pool::default();
        pool.ensure().unwrap();
        let (done, finished) = mpsc::channel();
        for _ in 0..4 {
            pool.submit(|| panic!("a callback panics on purpose"));
        }
        pool.submit(move || done.send(()).unwrap());
        assert!(finished.recv().is_ok());
    }
}
