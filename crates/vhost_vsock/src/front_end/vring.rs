//! One ring, as the front end has set it up.

use std::{
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use rustix::{
    fs::OFlags,
    io::{Errno, ReadWriteFlags},
};

use crate::{
    memory::Mapped,
    queue::{Direction, Fault, MAX_SIZE, Queue, Ring},
};

/// How much later the driver may hear of what can wait. Each interrupt costs the guest a change of what its processor
/// does, and more where it is emulated; mostly something comes along until then that cannot wait.
const LATE: Duration = Duration::from_millis(10);

/// One ring, as the front end has set it up.
#[derive(Debug)]
pub(crate) struct Vring {
    pub(super) direction: Direction,
    pub(super) size: u16,
    /// Descriptors, available ring, used ring: addresses of the front end.
    pub(super) addresses: [u64; 3],
    pub(super) base: u16,
    pub(super) enabled: bool,
    /// The driver notifies by this; there from start to stop.
    pub(super) kick: Option<OwnedFd>,
    /// The driver is interrupted by this.
    pub(super) call: Signal,
    /// The front end is told of a fault by this.
    pub(super) error: Signal,
    /// Where the ring was when it was stopped.
    pub(super) parked: Option<u16>,
    /// There from start to stop, and until a fault.
    pub(super) queue: Option<Queue>,
    /// When the driver is to hear of what could wait until now.
    late: Option<Instant>,
}

/// Why a ring cannot be started, or given a descriptor.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VringError {
    #[error("a ring of {size} descriptors is not possible; it is a power of two up to {MAX_SIZE}")]
    Size { size: u32 },
    #[error("position {base} is none of a ring")]
    Base { base: u32 },
    #[error("descriptors, available ring and used ring at {parts:#x?} are not aligned")]
    Alignment { parts: [u64; 3] },
    #[error(
        "{length} bytes of a ring at {address:#x} of the front end are not memory of the guest"
    )]
    Outside { address: u64, length: usize },
    #[error("the ring cannot be read: {0}")]
    Fault(#[from] Fault),
    #[error("a descriptor for events is {kind}; an eventfd is needed")]
    NotEvent { kind: String },
    #[error("a descriptor for events cannot be examined: {0}")]
    Examine(Errno),
    #[error("a ring without a descriptor for its notifications would have to be polled")]
    NoKick,
}

impl Vring {
    pub(super) fn new(direction: Direction) -> Self {
        Self {
            direction,
            size: 0,
            addresses: [0; 3],
            base: 0,
            enabled: false,
            kick: None,
            call: Signal::default(),
            error: Signal::default(),
            parked: None,
            queue: None,
            late: None,
        }
    }

    /// Starts the ring where its front end says; `indexed` says that its driver uses event indexes. Returns whether its
    /// driver is another than before.
    pub(super) fn start(&mut self, memory: &Mapped, indexed: bool) -> Result<bool, VringError> {
        let lengths = Ring::lengths(self.size);
        let mut parts = [0; 3];
        for ((part, address), length) in parts.iter_mut().zip(self.addresses).zip(lengths) {
            let found = memory.map().guest_address(address, length);
            *part = found.ok_or(VringError::Outside { address, length })?;
        }
        let [descriptors, available, used] = parts;
        let ring = Ring {
            size: self.size,
            descriptors,
            available,
            used,
        };
        if !ring.is_possible() {
            return Err(VringError::Alignment {
                parts: [descriptors, available, used],
            });
        }
        let queue = Queue::resume(memory, ring, self.direction, self.base, indexed)?;
        self.queue = Some(queue);
        Ok(self.parked.take().is_some_and(|parked| parked != self.base))
    }

    /// Stops the ring. Returns where it is: a ring that broke goes on where it was started.
    pub(super) fn stop(&mut self, memory: &Mapped) -> u16 {
        // Nothing can wait any longer. A ring that breaks is stopped as it is.
        let _broken = self.interrupt(memory, true);
        if let Some(queue) = self.queue.take() {
            self.base = queue.next();
        }
        self.parked = Some(self.base);
        self.base
    }

    /// The queue, if the ring is started, enabled and whole.
    pub(crate) fn running(&mut self) -> Option<&mut Queue> {
        self.queue.as_mut().filter(|_| self.enabled)
    }

    /// Interrupts the driver for what was published, if it wants that: now if it `is_urgent`, or else maybe later.
    pub(crate) fn interrupt(&mut self, memory: &Mapped, is_urgent: bool) -> Result<(), Fault> {
        let Some(queue) = &mut self.queue else {
            return Ok(());
        };
        if !queue.has_untold() {
            return Ok(());
        }
        if !is_urgent && queue.can_wait() {
            self.late.get_or_insert_with(|| Instant::now() + LATE);
            return Ok(());
        }
        self.late = None;
        if queue.wants_interrupt(memory)? {
            self.call.raise();
        }
        Ok(())
    }

    /// When the driver is to hear of what could wait, if there is something.
    pub(crate) const fn late(&self) -> Option<Instant> {
        self.late
    }

    /// Interrupts the driver for what could wait until `now`.
    pub(crate) fn interrupt_late(&mut self, memory: &Mapped, now: Instant) -> Result<(), Fault> {
        match self.late {
            Some(late) if late <= now => self.interrupt(memory, true),
            _ => Ok(()),
        }
    }

    /// The driver broke the ring: it is not looked at until the front end starts it again.
    pub(crate) fn fail(&mut self) {
        self.late = None;
        if let Some(queue) = self.queue.take() {
            self.base = queue.next();
            self.error.raise();
        }
    }

    /// Where to unblock the device's thread, see [`Signal`].
    pub(crate) fn signals(&self) -> [Signal; 2] {
        [self.call.clone(), self.error.clone()]
    }
}

/// An eventfd of the front end that the device raises. Clones are the same one.
///
/// Its count may be full, if the front end never reads it, and then a write blocks unless the descriptor is
/// non-blocking. That is set, but a hostile front end can unset it. So the thread that stops the device empties it.
#[derive(Debug, Default, Clone)]
pub(crate) struct Signal(Arc<Mutex<Option<Arc<OwnedFd>>>>);

impl Signal {
    /// Takes the descriptor, in place of the one before.
    pub(super) fn set(&self, descriptor: Option<OwnedFd>) -> Result<(), VringError> {
        if let Some(descriptor) = &descriptor {
            examine(descriptor)?;
            let flags = rustix::fs::fcntl_getfl(descriptor).map_err(VringError::Examine)?;
            rustix::fs::fcntl_setfl(descriptor, flags | OFlags::NONBLOCK)
                .map_err(VringError::Examine)?;
        }
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = descriptor.map(Arc::new);
        Ok(())
    }

    fn get(&self) -> Option<Arc<OwnedFd>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Raises the event. An event that is full is raised already.
    fn raise(&self) {
        if let Some(descriptor) = self.get() {
            let _full = rustix::io::write(&*descriptor, &1_u64.to_ne_bytes());
        }
    }

    /// Empties the event, so that a write to it goes on.
    pub(crate) fn empty(&self) {
        if let Some(descriptor) = self.get() {
            let mut count = [0; 8];
            let mut count = [std::io::IoSliceMut::new(&mut count)];
            let at_position = u64::MAX;
            let _empty = rustix::io::preadv2(
                descriptor.as_fd(),
                &mut count,
                at_position,
                ReadWriteFlags::NOWAIT,
            );
        }
    }
}

/// Refuses what is not an eventfd. Other files may block when they are polled or written.
pub(super) fn examine(descriptor: &OwnedFd) -> Result<(), VringError> {
    let path = format!(
        "/proc/self/fd/{}",
        std::os::fd::AsRawFd::as_raw_fd(descriptor)
    );
    let link = rustix::fs::readlink(path, Vec::new()).map_err(VringError::Examine)?;
    let kind = link.to_string_lossy();
    if kind == "anon_inode:[eventfd]" {
        Ok(())
    } else {
        Err(VringError::NotEvent {
            kind: kind.into_owned(),
        })
    }
}
