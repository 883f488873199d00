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

use crate::sync::{Mutex, lock};

/// Rung by anybody, heard by one thread. A ring is never lost: one that comes while nobody sleeps is heard by the next
/// who wants to.
#[derive(Debug)]
pub(crate) struct Bell {
    state: Mutex<State>,
    event: OwnedFd,
}

#[derive(Debug, Default)]
struct State {
    rung: bool,
    /// Somebody polls the descriptor, or is about to.
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

    /// Before polling the descriptor for input. False when it has rung since the last time: then nobody is to sleep.
    pub(crate) fn lie_down(&self) -> bool {
        let mut state = lock(&self.state);
        if std::mem::take(&mut state.rung) {
            return false;
        }
        state.asleep = true;
        true
    }

    /// After polling.
    pub(crate) fn get_up(&self) {
        let mut state = lock(&self.state);
        state.asleep = false;
        if std::mem::take(&mut state.rung) {
            // Nothing to be read means that the ring could not be written, which a full counter only refuses.
            let _empty = rustix::io::read(&self.event, &mut [0; 8]);
        }
    }

    /// Wakes who sleeps, or keeps the next from it.
    fn ring(&self) {
        let mut state = lock(&self.state);
        if !std::mem::replace(&mut state.rung, true) && state.asleep {
            // Under the lock: who gets up takes this very ring out again.
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
        assert!(!readable(&bell), "nobody sleeps");
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
