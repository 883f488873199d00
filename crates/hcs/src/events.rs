//! [`Events`]: the events of a system or process, as a stream.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures_lite::Stream;
use hcs_schema::Failure;

use crate::{
    operation::refused,
    raw::handle::Handle,
    raw::{Event, event_type},
    reading::sync::{Condvar, Deadline, Mutex, lock},
};

/// The events of one handle from the moment this was made, in order, as a stream for any executor or one by one.
///
/// The exit always comes, also when it happened before, and is the last: the stream ends after it. Dropping this ends
/// the listening. A handle has one listener: a later one replaces the former, whose stream ends.
///
/// ```
/// use futures_lite::StreamExt as _;
/// use hcs::{ComputeSystem, documents, raw::event_type};
///
/// # fn main() -> Result<(), hcs::Failure> {
/// # let id = format!("hcs-doc-events-{}", std::process::id());
/// # let document = documents::ComputeSystem {
/// #     container: Some(documents::Container::default()),
/// #     should_terminate_on_last_handle_closed: Some(true),
/// #     ..Default::default()
/// # };
/// let system = ComputeSystem::create(&id, &document).wait()?;
/// let mut events = system.events()?;
/// futures_lite::future::block_on(async {
///     system.start().await?;
///     system.terminate().await?;
///     while let Some(event) = events.next().await {
///         if event.event_type == event_type::SYSTEM_EXITED {
///             println!("{:?}", event.data);
///         }
///     }
///     Ok(())
/// })
/// # }
/// ```
pub struct Events {
    handle: Arc<Handle>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Event>,
    ended: bool,
    waker: Option<Waker>,
}

impl Shared {
    fn push(&self, event: Option<Event>) {
        let mut state = lock(&self.state);
        let exit = |e: &Event| {
            matches!(
                e.event_type,
                event_type::SYSTEM_EXITED | event_type::PROCESS_EXITED
            )
        };
        state.ended |= event.as_ref().is_none_or(exit);
        state.queue.extend(event);
        let waker = state.waker.take();
        drop(state);
        self.changed.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The callback's hold on the stream; dropped when the callback is replaced or the handle closed.
struct Source(Arc<Shared>);

impl Drop for Source {
    fn drop(&mut self) {
        self.0.push(None);
    }
}

impl Events {
    pub(crate) fn new(handle: &Arc<Handle>) -> Result<Self, Failure> {
        let shared = Arc::new(Shared::default());
        let source = Source(Arc::clone(&shared));
        let callback = Arc::new(move |event: &Event| source.0.push(Some(event.clone())));
        handle
            .set_callback(false, Some(callback))
            .map_err(refused)?;
        Ok(Self {
            handle: Arc::clone(handle),
            shared,
        })
    }

    /// Blocks until something happens, at most for `limit` (`None`: without limit). `None` when the time is over or the
    /// last event was given.
    pub fn next_for(&mut self, limit: Option<Duration>) -> Option<Event> {
        let deadline = Deadline::after(limit);
        let mut state = lock(&self.shared.state);
        loop {
            if let Some(event) = state.queue.pop_front() {
                return Some(event);
            }
            if state.ended {
                return None;
            }
            state = deadline.wait(&self.shared.changed, state).ok()?;
        }
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        let mut state = lock(&self.shared.state);
        if let Some(event) = state.queue.pop_front() {
            return Poll::Ready(Some(event));
        }
        if state.ended {
            return Poll::Ready(None);
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let replaced = lock(&self.shared.state).ended;
        if !replaced {
            // Refused only when the handle is closed, and then nothing is listened to.
            let _closed = self.handle.set_callback(false, None);
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events")
            .field("of", &self.handle)
            .finish_non_exhaustive()
    }
}
