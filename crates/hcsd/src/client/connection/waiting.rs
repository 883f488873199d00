//! Calls that waited for a handle: they are taken up when it is there, and refused when it will never be.
//!
//! A client may have as many of them as it may have unanswered calls. So a few are done at once, and the others in
//! turns with all that others want, in their order.

use std::{cell::RefCell, collections::VecDeque, rc::Rc};

use hcs_schema::Failure;
use hcs_wire::service::Call;

use super::{Connection, handles::WaitingCalls};
use crate::thread::{
    share::Turns,
    steps::{self, Stepping, Steps},
};

/// Calls that are taken up or refused in one step.
const AT_ONCE: usize = 8;

/// Calls that have waited.
#[derive(Debug)]
enum Settling {
    /// Those for this handle, which is there.
    Resumed(u64),
    /// Those for a handle that was there and was closed by a call before them.
    Closed(WaitingCalls),
    /// Those for a handle that will never be there.
    Refused(WaitingCalls, Failure),
}

/// What is to be settled, first things first.
#[derive(Debug, Default)]
pub(super) struct ToSettle {
    queue: RefCell<VecDeque<Settling>>,
    steps: Steps,
}

/// The settling of a connection.
struct OfConnection(Rc<Connection>);

impl Stepping for OfConnection {
    fn steps(&self) -> &Steps {
        &self.0.to_settle.steps
    }

    fn turns(&self) -> &Turns {
        &self.0.share.turns
    }

    fn step(&self) -> bool {
        (0..AT_ONCE).all(|_| self.0.settle_next())
    }
}

impl Connection {
    /// The calls that waited for a handle that will never be there.
    pub(crate) fn refuse(self: &Rc<Self>, waiting: WaitingCalls, failure: &Failure) {
        if !waiting.is_empty() {
            self.settle_waiting(Settling::Refused(waiting, failure.clone()));
        }
    }

    /// The calls that waited for the handle `number`, now that it is there.
    pub(crate) fn resume(self: &Rc<Self>, number: u64) {
        if self.handles.is_opening(number) {
            self.settle_waiting(Settling::Resumed(number));
        }
    }

    /// The calls that still waited for a handle when it was closed.
    pub(crate) fn resume_closed(self: &Rc<Self>, waiting: WaitingCalls) {
        if !waiting.is_empty() {
            self.settle_waiting(Settling::Closed(waiting));
        }
    }

    fn settle_waiting(self: &Rc<Self>, settling: Settling) {
        self.to_settle.queue.borrow_mut().push_back(settling);
        steps::go_on(OfConnection(Rc::clone(self)));
    }

    /// Takes the next call up, or refuses it; `false` when there was none.
    fn settle_next(self: &Rc<Self>) -> bool {
        loop {
            let mut queue = self.to_settle.queue.borrow_mut();
            let Some(first) = queue.front_mut() else {
                return false;
            };
            let (next, why) = match first {
                Settling::Resumed(number) => (self.handles.next_waiting(*number), None),
                Settling::Closed(waiting) => (self.waited(waiting), None),
                Settling::Refused(waiting, why) => (self.waited(waiting), Some(why.clone())),
            };
            let Some((request, call)) = next else {
                queue.pop_front();
                continue;
            };
            drop(queue);
            match why {
                Some(why) => self.dispatch.refused(self, request, &call, &why),
                None => self.take_up(request, call),
            }
            return true;
        }
    }

    fn waited(&self, waiting: &mut WaitingCalls) -> Option<(u64, Call)> {
        let (_, (request, call)) = waiting.pop_first()?;
        self.handles.has_waited(request);
        Some((request, call))
    }

    fn take_up(self: &Rc<Self>, request: u64, call: Call) {
        let pending = self.pending.borrow().get(&request).cloned();
        if let Some(pending) = pending {
            self.dispatch.take_up(self, request, call, pending);
        }
    }
}
