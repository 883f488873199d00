//! Places that several connections want at one time: each in its turn.
//!
//! What one process does in order, like a guest agent that makes processes, has a queue. A connection that fills it
//! makes all others wait for the whole of it. So only a few requests are on their way at one time. Of those that wait
//! the next is that of the connection whose last turn is the longest ago, however many calls the others have made.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::poll_fn,
    rc::{Rc, Weak},
    task::{Context, Poll},
};

use super::share::Ticket;

/// The waiting calls of one connection, in the order of asking. Those that gave up are gone.
type OfConnection = VecDeque<Weak<Ticket>>;

/// See the module.
#[derive(Debug)]
pub(crate) struct FairLane {
    free: Cell<usize>,
    /// The next connection first.
    connections: RefCell<VecDeque<(u64, OfConnection)>>,
}

/// A place, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct FairPlace(Rc<FairLane>);

impl Drop for FairPlace {
    fn drop(&mut self) {
        self.0.free.set(self.0.free.get() + 1);
        self.0.grant();
    }
}

/// A call that asks. Dropped with a place that it did not take, it gives that to the next.
struct Asking {
    lane: Rc<FairLane>,
    waiting: Option<Rc<Ticket>>,
}

impl Drop for Asking {
    fn drop(&mut self) {
        if self
            .waiting
            .take()
            .is_some_and(|waiting| waiting.is_granted())
        {
            drop(FairPlace(Rc::clone(&self.lane)));
        }
    }
}

impl FairLane {
    /// A lane of `places`.
    pub(crate) fn new(places: usize) -> Rc<Self> {
        Rc::new(Self {
            free: Cell::new(places),
            connections: RefCell::default(),
        })
    }

    /// A place for a call of `connection`.
    pub(crate) async fn place(self: &Rc<Self>, connection: u64) -> FairPlace {
        let mut asking = Asking {
            lane: Rc::clone(self),
            waiting: None,
        };
        poll_fn(|context| asking.poll(connection, context)).await
    }

    /// Gives the free places out.
    fn grant(&self) {
        while self.free.get() > 0 {
            let Some((number, mut calls)) = self.connections.borrow_mut().pop_front() else {
                return;
            };
            let next = std::iter::from_fn(|| calls.pop_front()).find_map(|call| call.upgrade());
            if !calls.is_empty() {
                self.connections.borrow_mut().push_back((number, calls));
            }
            if let Some(next) = next {
                self.free.set(self.free.get() - 1);
                next.grant();
            }
        }
    }
}

impl Asking {
    fn poll(&mut self, connection: u64, context: &Context<'_>) -> Poll<FairPlace> {
        if let Some(waiting) = &self.waiting {
            if !waiting.is_granted_or_wakes(context) {
                return Poll::Pending;
            }
            self.waiting = None;
            return Poll::Ready(FairPlace(Rc::clone(&self.lane)));
        }
        let lane = &self.lane;
        let mut connections = lane.connections.borrow_mut();
        // Nothing overtakes what waits.
        if lane.free.get() > 0 && connections.is_empty() {
            lane.free.set(lane.free.get() - 1);
            return Poll::Ready(FairPlace(Rc::clone(lane)));
        }
        let waiting = Ticket::new(context);
        let weak = Rc::downgrade(&waiting);
        match connections
            .iter_mut()
            .find(|(number, _)| *number == connection)
        {
            Some((_, calls)) => calls.push_back(weak),
            None => connections.push_back((connection, VecDeque::from([weak]))),
        }
        self.waiting = Some(waiting);
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::task::{JoinSet, LocalSet, yield_now};

    use super::*;

    fn in_runtime(work: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        LocalSet::new().block_on(&runtime, work);
    }

    #[test]
    fn a_connection_waits_for_one_call_of_each_other_whatever_they_ask_for() {
        in_runtime(async {
            let lane = FairLane::new(2);
            let order = Rc::new(RefCell::new(Vec::new()));
            let mut all = JoinSet::new();
            let mut ask = |connection: u64| {
                let (lane, order) = (Rc::clone(&lane), Rc::clone(&order));
                all.spawn_local(async move {
                    let _place = lane.place(connection).await;
                    order.borrow_mut().push(connection);
                    yield_now().await;
                });
            };
            (0..1000).for_each(|_| ask(1));
            yield_now().await;
            (0..3).for_each(|_| ask(2));
            ask(3);
            while all.join_next().await.is_some() {}
            let order = order.take();
            assert_eq!(order.len(), 1004);
            let at = |connection| order.iter().position(|one| *one == connection).unwrap();
            assert!(at(2) <= 6 && at(3) <= 8, "{order:?}");
        });
    }

    /// What happens to a lane: a call of a connection asks, or the call with that number, if it is there, ends or gives
    /// up.
    #[derive(Clone, Debug)]
    enum Happens {
        Asks(u64),
        Ends(usize),
    }

    fn happens() -> impl Strategy<Value = Happens> {
        prop_oneof![
            (0..4_u64).prop_map(Happens::Asks),
            (0..64_usize).prop_map(Happens::Ends),
        ]
    }

    proptest! {
        /// No place is lost or given out twice, and none is free while a call waits.
        #[test]
        fn places_are_neither_lost_nor_given_twice(steps in prop::collection::vec(happens(), 1..80)) {
            const PLACES: usize = 3;
            in_runtime(async {
                let lane = FairLane::new(PLACES);
                let held = Rc::new(Cell::new(0_usize));
                let mut calls = Vec::new();
                for step in steps {
                    match step {
                        Happens::Asks(connection) => {
                            let (lane, held) = (Rc::clone(&lane), Rc::clone(&held));
                            calls.push(tokio::task::spawn_local(async move {
                                let _place = lane.place(connection).await;
                                let _counted = Counted::new(held);
                                std::future::pending::<()>().await;
                            }));
                        }
                        Happens::Ends(number) if !calls.is_empty() => {
                            let call = calls.swap_remove(number % calls.len());
                            call.abort();
                        }
                        Happens::Ends(_) => {}
                    }
                    for _ in 0..4 {
                        yield_now().await;
                    }
                    assert_eq!(held.get(), calls.len().min(PLACES));
                    assert_eq!(lane.free.get(), PLACES - held.get());
                }
            });
        }
    }

    /// Counts a held place.
    struct Counted(Rc<Cell<usize>>);

    impl Counted {
        fn new(held: Rc<Cell<usize>>) -> Self {
            held.set(held.get() + 1);
            Self(held)
        }
    }

    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.set(self.0.get() - 1);
        }
    }
}
