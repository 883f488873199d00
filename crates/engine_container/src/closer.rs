//! Closes descriptors aside that take long to be closed: with a mount that is attached nowhere, the last one waits for
//! grace periods of the kernel. A container that is made shall not wait for those.

use std::{
    os::fd::OwnedFd,
    sync::{
        Mutex, PoisonError,
        mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    },
    thread,
};

/// Descriptors, and what is dropped when they are closed.
type Batch = (Vec<OwnedFd>, Sender<()>);

/// A thread that closes. It begins with the first descriptors, and ends with this.
#[derive(Debug, Default)]
pub(crate) struct Closer(Mutex<Option<SyncSender<Batch>>>);

/// Batches that may wait. A creation waits where the kernel closes more slowly than containers are made.
const MOST_WAITING: usize = 16;

/// Descriptors on their way to be closed.
#[derive(Debug, Default)]
pub(crate) struct Closing(Mutex<Option<Receiver<()>>>);

impl Closer {
    /// Closes them soon; now, where there is no thread to be had.
    pub(crate) fn close(&self, descriptors: Vec<OwnedFd>) -> Closing {
        if descriptors.is_empty() {
            return Closing::default();
        }
        let (closed, done) = channel();
        // What cannot be sent comes back, and is dropped.
        let sent = self.thread().map(|to| to.send((descriptors, closed)));
        if !matches!(sent, Some(Ok(()))) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
        Closing(Mutex::new(Some(done)))
    }

    /// The way to the thread. No lock is held while a batch waits for room.
    fn thread(&self) -> Option<SyncSender<Batch>> {
        let mut to = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if to.is_none() {
            *to = start();
        }
        to.clone()
    }
}

fn start() -> Option<SyncSender<Batch>> {
    let (to, from) = sync_channel::<Batch>(MOST_WAITING);
    let close = move || from.into_iter().for_each(drop);
    let started = thread::Builder::new()
        .name("hcsd-closer".to_owned())
        .spawn(close);
    started.ok().map(|_goes_on| to)
}

impl Closing {
    /// Returns when all are closed.
    pub(crate) fn wait(&self) {
        let done = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(done) = done {
            // Nothing is ever sent: the other end is dropped.
            let _closed = done.recv();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn what_is_closed_aside_is_closed_when_it_was_waited_for() {
        let closer = Closer::default();
        let (ends, others): (Vec<_>, Vec<_>) = (0..3).map(|_| std::io::pipe().unwrap()).unzip();
        let closing = closer.close(others.into_iter().map(OwnedFd::from).collect());
        closing.wait();
        closing.wait();
        for mut end in ends {
            rustix::io::ioctl_fionbio(&end, true).unwrap();
            // It would block, were another end open.
            assert_eq!(end.read(&mut [0]).unwrap(), 0);
        }
        closer.close(Vec::new()).wait();
    }
}
