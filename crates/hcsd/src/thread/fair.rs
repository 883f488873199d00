//! Places that several connections want at one time: each in its turn.
//!
//! What one process does in order, like a guest agent that makes processes, has a queue. A connection that fills it
//! makes all others wait for the whole of it. So only a few requests are on their way at one time. Of those that wait
//! the next is that of the user whose last turn is the longest ago, and of the same among that user's connections
//! ([`super::rounds`]). How many calls the others have made does not matter.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    rc::{Rc, Weak},
    task::{Context, Poll},
};

use super::{
    rounds::{Waiting, Who},
    share::Ticket,
};

/// See the module.
#[derive(Debug)]
pub(crate) struct FairLane {
    free: Cell<usize>,
    waiting: RefCell<Waiting<Weak<Ticket>>>,
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

/// A call that asks. Dropped while it waits, it leaves; dropped with a place that it did not take, it gives that to the
/// next.
struct Asking {
    lane: Rc<FairLane>,
    who: Who,
    /// Its ticket, and its number among those that wait.
    waiting: Option<(Rc<Ticket>, u64)>,
}

impl Drop for Asking {
    fn drop(&mut self) {
        let Some((ticket, number)) = self.waiting.take() else {
            return;
        };
        if ticket.is_granted() {
            drop(FairPlace(Rc::clone(&self.lane)));
        } else {
            self.lane.waiting.borrow_mut().remove(self.who, number);
        }
    }
}

impl FairLane {
    /// A lane of `places`.
    pub(crate) fn new(places: usize) -> Rc<Self> {
        Rc::new(Self {
            free: Cell::new(places),
            waiting: RefCell::default(),
        })
    }

    /// A place for a call of `who`.
    pub(crate) async fn place(self: &Rc<Self>, who: Who) -> FairPlace {
        let mut asking = Asking {
            lane: Rc::clone(self),
            who,
            waiting: None,
        };
        poll_fn(|context| asking.poll(context)).await
    }

    /// How many calls wait for a place.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.borrow().len()
    }

    /// Gives the free places out.
    fn grant(&self) {
        while self.free.get() > 0 {
            let Some(next) = self.waiting.borrow_mut().pop() else {
                return;
            };
            if let Some(next) = next.upgrade() {
                self.free.set(self.free.get() - 1);
                next.grant();
            }
        }
    }
}

impl Asking {
    fn poll(&mut self, context: &Context<'_>) -> Poll<FairPlace> {
        let lane = &self.lane;
        if let Some((ticket, _)) = &self.waiting {
            if !ticket.is_granted_or_wakes(context) {
                return Poll::Pending;
            }
            self.waiting = None;
            return Poll::Ready(FairPlace(Rc::clone(lane)));
        }
        let mut waiting = lane.waiting.borrow_mut();
        // Nothing overtakes what waits.
        if lane.free.get() > 0 && waiting.is_empty() {
            lane.free.set(lane.free.get() - 1);
            return Poll::Ready(FairPlace(Rc::clone(lane)));
        }
        let ticket = Ticket::new(context);
        let number = waiting.push(self.who, Rc::downgrade(&ticket));
        self.waiting = Some((ticket, number));
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::task::{JoinSet, LocalSet, yield_now};

    use super::*;

    /// A connection of a user of its own.
    fn alone(connection: u64) -> Who {
        Who {
            uid: u32::try_from(connection).unwrap(),
            connection,
        }
    }

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
                    let _place = lane.place(alone(connection)).await;
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

    #[test]
    fn what_gives_up_leaves_nothing_in_the_lane() {
        in_runtime(async {
            let lane = FairLane::new(1);
            let _held = lane.place(alone(1)).await;
            for _ in 0..1000 {
                let lane = Rc::clone(&lane);
                let asking =
                    tokio::task::spawn_local(async move { drop(lane.place(alone(2)).await) });
                yield_now().await;
                asking.abort();
                assert!(asking.await.unwrap_err().is_cancelled());
            }
            assert!(lane.waiting.borrow().is_empty());
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
                                let _place = lane.place(alone(connection)).await;
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
