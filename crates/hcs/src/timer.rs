//! One thread that does things later: ends calls that the service does not answer by their deadline.

use std::{
    collections::BTreeMap,
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::reading::sync::{Condvar, Deadline, Mutex, lock, thread};

/// How long the thread stays when there is nothing to do.
const IDLE: Duration = Duration::from_secs(5);

type Job = Box<dyn FnOnce() + Send>;

/// The jobs to run, and their times. Belongs to one process.
#[derive(Default)]
pub(crate) struct Timer {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Timer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Timer").finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// By time, and a number that keeps equal times apart.
    jobs: BTreeMap<(Instant, u64), Job>,
    numbered: u64,
    runs: bool,
}

/// Something that is to be done; dropped before its time, it is not.
#[must_use = "what is to be done is forgotten with it"]
pub(crate) struct Alarm {
    shared: Arc<Shared>,
    key: (Instant, u64),
    /// The process that it belongs to: in a child of it the lock may be held by a thread that is not there.
    pid: u32,
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if self.pid == std::process::id() {
            let job = lock(&self.shared.state).jobs.remove(&self.key);
            drop(job);
        }
    }
}

impl Timer {
    /// Does `job` after `delay`, on the timer's thread: it must not block. `None` when that is later than the clock can
    /// say, which is never.
    ///
    /// # Errors
    /// No thread could be started.
    pub(crate) fn after(
        &self,
        delay: Duration,
        job: impl FnOnce() + Send + 'static,
    ) -> io::Result<Option<Alarm>> {
        let Some(at) = Instant::now().checked_add(delay) else {
            return Ok(None);
        };
        let mut state = lock(&self.shared.state);
        if !state.runs {
            let shared = Arc::clone(&self.shared);
            let named = thread::Builder::new().name("hcs-timer".to_owned());
            named.spawn(move || shared.run())?;
            state.runs = true;
        }
        state.numbered += 1;
        let key = (at, state.numbered);
        state.jobs.insert(key, Box::new(job));
        drop(state);
        self.shared.changed.notify_all();
        Ok(Some(Alarm {
            shared: Arc::clone(&self.shared),
            key,
            pid: std::process::id(),
        }))
    }
}

impl Shared {
    fn run(&self) {
        let mut state = lock(&self.state);
        loop {
            let now = Instant::now();
            let first = state.jobs.first_key_value().map(|((at, _), _)| *at);
            match first {
                Some(at) if at <= now => {
                    let job = state.jobs.pop_first();
                    drop(state);
                    if let Some((_, job)) = job {
                        job();
                    }
                    state = lock(&self.state);
                }
                _ => {
                    let wait = first.map_or(IDLE, |at| at - now);
                    let deadline = Deadline::after(Some(wait));
                    state = match deadline.wait(&self.changed, state) {
                        Ok(state) => state,
                        Err(mut state) => {
                            if state.jobs.is_empty() {
                                state.runs = false;
                                return;
                            }
                            state
                        }
                    };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn things_are_done_in_the_order_of_their_times() {
        let timer = Timer::default();
        let (sender, done) = mpsc::channel();
        let mut alarms = Vec::new();
        for (delay, mark) in [(40, 3), (1, 1), (20, 2)] {
            let sender = sender.clone();
            let delay = Duration::from_millis(delay);
            let alarm = timer.after(delay, move || sender.send(mark).unwrap());
            alarms.push(alarm.unwrap().unwrap());
        }
        drop(sender);
        assert_eq!(done.iter().collect::<Vec<_>>(), [1, 2, 3]);
        assert!(
            timer
                .after(Duration::MAX, || unreachable!())
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn what_is_not_wanted_any_more_is_forgotten_at_once() {
        let timer = Timer::default();
        let (sender, done) = mpsc::channel::<()>();
        let hour = Duration::from_secs(3600);
        let alarm = timer.after(hour, move || sender.send(()).unwrap()).unwrap();
        drop(alarm);
        // The job is gone with all that it held, its sender included.
        assert!(done.recv().is_err());
        assert!(lock(&timer.shared.state).jobs.is_empty());
    }
}
