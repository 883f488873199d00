//! [`Bell`]: wakes a thread that waits in `poll(2)`, and costs a system call only when it does.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
    task::Wake,
};

use rustix::{
    event::{EventfdFlags, eventfd},
    io::Errno,
};

use crate::reading::sync::{Mutex, lock};

/// Any thread rings it; one thread hears it. A ring is never lost: when no thread sleeps, the next thread that wants to
/// sleep hears it.
#[derive(Debug)]
pub(crate) struct Bell {
    state: Mutex<State>,
    event: OwnedFd,
}

#[derive(Debug, Default)]
struct State {
    rung: bool,
    /// A thread polls the descriptor, or is about to.
    asleep: bool,
}

impl Bell {
    /// A bell that has not rung.
    ///
    /// # Errors
    /// No descriptors are left.
    pub(crate) fn new() -> Result<Arc<Self>, Errno> {
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Arc::new(Self {
            state: Mutex::default(),
            event,
        }))
    }

    /// To be called before the descriptor is polled for input. Returns false when the bell has rung since the last
    /// time: the caller must not sleep then.
    pub(crate) fn lie_down(&self) -> bool {
        let mut state = lock(&self.state);
        if std::mem::take(&mut state.rung) {
            return false;
        }
        state.asleep = true;
        true
    }

    /// To be called after polling.
    pub(crate) fn get_up(&self) {
        let mut state = lock(&self.state);
        state.asleep = false;
        if std::mem::take(&mut state.rung) {
            // Nothing to be read means that the ring could not be written, which a full counter only refuses.
            let _empty = rustix::io::read(&self.event, &mut [0; 8]);
        }
    }

    /// Wakes the sleeping thread, or keeps the next thread from sleeping.
    fn ring(&self) {
        let mut state = lock(&self.state);
        if !std::mem::replace(&mut state.rung, true) && state.asleep {
            // Written under the lock: the thread that wakes up reads this very ring.
            let _full = rustix::io::write(&self.event, &1_u64.to_ne_bytes());
        }
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ring();
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    use super::*;

    fn readable(bell: &Bell) -> bool {
        let mut polled = [PollFd::new(bell, PollFlags::IN)];
        poll(&mut polled, Some(&Timespec::default())).unwrap() == 1
    }

    #[test]
    fn a_ring_is_heard_once_whenever_it_comes() {
        let bell = Bell::new().unwrap();
        let ringer = Waker::from(Arc::clone(&bell));
        ringer.wake_by_ref();
        assert!(!readable(&bell), "no thread sleeps");
        assert!(!bell.lie_down());
        assert!(bell.lie_down());
        ringer.wake_by_ref();
        ringer.wake_by_ref();
        assert!(readable(&bell));
        bell.get_up();
        assert!(!readable(&bell));
        assert!(bell.lie_down());
    }
}
