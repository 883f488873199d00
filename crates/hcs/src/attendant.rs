//! [`Attendant`]: a thread's own poll loop as the reader of the connection.

use std::{
    os::fd::{AsFd as _, BorrowedFd},
    sync::Arc,
    task::Waker,
};

use hcs_schema::{Failure, HResult};

use crate::{
    Process,
    raw::client::{Client, Reader},
    reading::bell::Bell,
    reading::turn::Attendance,
};

/// Reads the connection on a thread that waits in its own `poll(2)` for its own descriptors, so that no other thread is
/// needed.
///
/// Operations and exits are asked as futures, with [`Attendant::waker`]: whenever [`Attendant::work`] has returned,
/// they may be ready. This thread must not wait for any of them in another way while it has an attendant. Where several
/// threads attend or wait, one of them reads for all.
///
/// ```
/// use std::task::{Context, Poll};
///
/// use hcs::{Attendant, ComputeSystem, documents};
/// use rustix::event::{PollFd, PollFlags, poll};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let id = format!("hcs-doc-attendant-{}", std::process::id());
/// # let document = documents::ComputeSystem {
/// #     container: Some(documents::Container::default()),
/// #     should_terminate_on_last_handle_closed: Some(true),
/// #     ..Default::default()
/// # };
/// # let system = ComputeSystem::create(&id, &document).wait()?;
/// # system.start().wait()?;
/// let parameters = documents::ProcessParameters {
///     command_line: Some("true".to_owned()),
///     ..Default::default()
/// };
/// let process = system.create_process(&parameters).wait()?;
/// let mut attendant = Attendant::new(&process)?;
/// let waker = attendant.waker();
/// let mut exit = std::pin::pin!(process.exit());
/// let status = loop {
///     attendant.work();
///     if let Poll::Ready(status) = exit.as_mut().poll(&mut Context::from_waker(&waker)) {
///         break status?;
///     }
///     if attendant.rests() {
///         let mut polled: Vec<_> = attendant
///             .descriptors()
///             .map(|descriptor| PollFd::from_borrowed_fd(descriptor, PollFlags::IN))
///             .collect();
///         poll(&mut polled, None)?;
///     }
/// };
/// assert!(status.success());
/// // From here on this thread may wait again.
/// drop(attendant);
/// # system.terminate().wait()?;
/// # Ok(())
/// # }
/// ```
pub struct Attendant {
    bell: Arc<Bell>,
    attendance: Attendance<Reader>,
}

impl Attendant {
    /// Attends to the connection that `process` is on.
    ///
    /// # Errors
    /// `E_OUTOFMEMORY` when no descriptors are left.
    pub fn new(process: &Process) -> Result<Self, Failure> {
        let bell = Bell::new().map_err(|errno| {
            let message = "no descriptor is left to be woken by";
            Failure::new(HResult::E_OUTOFMEMORY, message).because(&errno)
        })?;
        let client = Client::of(process.raw().handle().endpoint());
        let waker = Waker::from(Arc::clone(&bell));
        let attendance = Attendance::new(Arc::clone(client.turn()), waker);
        Ok(Self { bell, attendance })
    }

    /// A waker for this thread: it makes one of the [`Attendant::descriptors`] readable.
    #[must_use]
    pub fn waker(&self) -> Waker {
        Waker::from(Arc::clone(&self.bell))
    }

    /// Hands out everything that has come. Never blocks.
    pub fn work(&mut self) {
        self.bell.get_up();
        self.attendance.step();
    }

    /// To be called after all futures were polled, and before the descriptors are. Returns false when something has
    /// happened meanwhile: the caller calls [`Attendant::work`] then.
    #[must_use]
    pub fn rests(&self) -> bool {
        self.bell.lie_down()
    }

    /// The descriptors to poll for input before the next [`Attendant::work`]. They can change each time, so ask again.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let socket = self.attendance.source().map(|reader| reader.link().as_fd());
        [self.bell.as_fd()].into_iter().chain(socket)
    }
}

impl std::fmt::Debug for Attendant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attendant").finish_non_exhaustive()
    }
}
