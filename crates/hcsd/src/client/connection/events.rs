//! What a client hears of its handles.
//!
//! A client may have very many handles of one system or process. A few of them hear of an event at once. The others
//! follow in the turns of the client that has them. What a client is told is told in the order in which it happened,
//! whatever it is about.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
};

use hcs_wire::service::{Event, Kind, Subject, encode};
use tracing::warn;

use super::Connection;
use crate::{
    system::events::{News, Subscriber},
    thread::{
        share::Turns,
        steps::{self, Stepping, Steps},
    },
};

/// Handles that hear of an event in one step.
const AT_ONCE: usize = 16;

/// What a client was told, and is to be told.
#[derive(Debug, Default)]
pub(super) struct EventQueue {
    sent: Cell<u64>,
    /// With the number of the first handle that has not heard of it, the oldest first.
    queue: RefCell<VecDeque<(Rc<News>, u64)>>,
    steps: Steps,
}

/// The telling of a connection.
struct EventDelivery(Rc<Connection>);

impl Stepping for EventDelivery {
    fn steps(&self) -> &Steps {
        &self.0.told.steps
    }

    fn turns(&self) -> &Turns {
        &self.0.share.turns
    }

    fn step(&self) -> bool {
        self.0.tell_some()
    }
}

impl Connection {
    /// Tells some of what is to be told; `false` when nothing was left.
    fn tell_some(&self) -> bool {
        let told = &self.told;
        if self.is_closed() {
            told.queue.borrow_mut().clear();
        }
        let mut room = AT_ONCE;
        while room > 0 {
            let first = told.queue.borrow().front().cloned();
            let Some((news, from)) = first else {
                return false;
            };
            let looked = news.handles(self.number, from, room);
            room -= looked.count;
            for handle in looked.concerned {
                self.push_event(
                    (news.subject)(handle),
                    news.event_type,
                    news.data.as_deref(),
                );
            }
            // Nothing is put before it.
            let mut queue = told.queue.borrow_mut();
            match (looked.next, queue.front_mut()) {
                (Some(next), Some((_, cursor))) => *cursor = next,
                _ => drop(queue.pop_front()),
            }
        }
        true
    }
}

impl Subscriber for Connection {
    fn number(&self) -> u64 {
        self.number
    }

    fn is_closed(&self) -> bool {
        self.outgoing.is_closed()
    }

    fn has_heard(&self) -> bool {
        let is_told = self.told.queue.borrow().is_empty() && self.outgoing.has_sent_all();
        is_told || self.is_closed()
    }

    fn hear(self: Rc<Self>, news: &Rc<News>) {
        let news = Rc::clone(news);
        self.told.queue.borrow_mut().push_back((news, 0));
        steps::go_on(EventDelivery(self));
    }

    fn push_event(&self, subject: Subject, event_type: u32, data: Option<&str>) {
        let number = self.told.sent.get() + 1;
        self.told.sent.set(number);
        let event = Event {
            subject,
            event_type,
            data: data.map(str::to_owned),
        };
        match encode(Kind::Event, number, 0, &event) {
            Ok(bytes) => {
                let _closed = self.write(bytes, Vec::new());
            }
            Err(e) => warn!(number, "an event could not be written: {e}"),
        }
    }
}
