//! Closes descriptors aside that take long to be closed: with a mount that is attached nowhere, the last one waits for
//! grace periods of the kernel. A container that is made shall not wait for those.

use std::{
    os::fd::OwnedFd,
    sync::{
        Mutex, PoisonError,
        mpsc::{Receiver, Sender, SyncSender, TrySendError, channel, sync_channel},
    },
    thread,
    time::Duration,
};

/// Descriptors, and what is dropped when they are closed.
type Batch = (Vec<OwnedFd>, Sender<()>);

/// A thread that closes. It begins with the first descriptors, and ends with this.
#[derive(Debug, Default)]
pub(crate) struct Closer(Mutex<Option<SyncSender<Batch>>>);

/// Batches that may wait. Where the kernel closes more slowly than containers are made, or not at all, each creation
/// closes its own.
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
        let mut to = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if to.is_none() {
            *to = start();
        }
        // What cannot be sent comes back.
        let left = match to.as_ref().map(|to| to.try_send((descriptors, closed))) {
            Some(Err(TrySendError::Disconnected(left))) => {
                *to = None;
                Some(left)
            }
            Some(Err(TrySendError::Full(left))) => Some(left),
            Some(Ok(())) | None => None,
        };
        // No other container waits while it is closed here.
        drop(to);
        drop(left);
        Closing(Mutex::new(Some(done)))
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
    /// Returns when all are closed, or after a second: the kernel may never close one.
    pub(crate) fn wait(&self) {
        let done = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(done) = done {
            // Nothing is ever sent: the other end is dropped.
            let _closed = done.recv_timeout(Duration::from_secs(1));
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

    #[test]
    fn what_the_kernel_does_not_close_keeps_no_other_from_being_closed() {
        let (to, _stuck) = sync_channel::<Batch>(MOST_WAITING);
        let closer = Closer(Mutex::new(Some(to)));
        for _ in 0..=MOST_WAITING {
            let (mut end, other) = std::io::pipe().unwrap();
            let closing = closer.close(vec![other.into()]);
            rustix::io::ioctl_fionbio(&end, true).unwrap();
            let is_closed = end.read(&mut [0]).is_ok();
            if is_closed {
                closing.wait();
                return;
            }
        }
        panic!("the last one waits");
    }
}
