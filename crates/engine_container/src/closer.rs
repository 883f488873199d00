//! Closes descriptors aside that take long to be closed: with a mount that is attached nowhere, the last one waits for
//! grace periods of the kernel. A container that is made shall not wait for those.

use std::{
    os::fd::OwnedFd,
    sync::{
        Mutex, PoisonError,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

/// Descriptors, and what is dropped when they are closed.
type Batch = (Vec<OwnedFd>, Sender<()>);

/// A thread that closes. It begins with the first descriptors, and ends with this.
#[derive(Debug, Default)]
pub(crate) struct Closer(Mutex<Option<Sender<Batch>>>);

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
        let mut to = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if to.is_none() {
            *to = start();
        }
        // What cannot be sent comes back, and is dropped.
        let sent = to.as_ref().map(|to| to.send((descriptors, closed)));
        if !matches!(sent, Some(Ok(()))) {
            *to = None;
        }
        Closing(Mutex::new(Some(done)))
    }
}

fn start() -> Option<Sender<Batch>> {
    let (to, from) = channel::<Batch>();
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
