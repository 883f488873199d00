//! Answers on their way: a call whose answer the client's socket has taken is forgotten; one whose answer it has not
//! taken may be asked for again.

use std::rc::Rc;

use hcs_wire::subordinate::holder;

use super::Connection;
use crate::record::operations::Keepers;

/// A call that was answered, whose answer may not have reached the client yet.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) name: Rc<str>,
    /// What remembers it.
    pub(super) keepers: Keepers,
    /// It was done, and no other part knows.
    pub(super) is_done: bool,
}

impl Connection {
    /// The client is gone. It may come back and ask for what it was not answered.
    pub(super) fn leave_calls(&self) {
        let Some(instance) = self.instance.borrow().clone() else {
            return;
        };
        let untaken = self.untaken.take();
        if untaken.is_empty() && self.pending.borrow().is_empty() {
            return;
        }
        self.service.calls.lose(self.peer.uid, &instance);
        for answered in untaken {
            self.keep_answered(answered);
        }
    }

    /// Keeps what became of a call whose answer did not reach its client, for as long as that may come back.
    fn keep_answered(&self, answered: Answered) {
        let Answered {
            name,
            keepers,
            is_done,
        } = answered;
        if is_done {
            let calls = &self.service.calls;
            calls.remember_untold(self.peer.uid, Rc::clone(&name));
        }
        if !keepers.are_gone() {
            let limit = self.service.context.config().times.reconnect() * 2;
            let kept = &self.service.kept;
            kept.keep(holder(self.peer.uid), name, keepers, limit);
        }
    }

    /// A call was answered: once the client's socket has the answer, the client does not ask for it again.
    pub(super) fn settle(&self, answered: Answered) {
        if self.outgoing.is_closed() {
            self.keep_answered(answered);
            return;
        }
        self.untaken.borrow_mut().push(answered);
        if self.outgoing.has_sent_all() {
            for Answered { name, keepers, .. } in self.untaken.take() {
                keepers.release(&name);
            }
        }
    }
}
