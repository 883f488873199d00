//! One connection's share of the service: of its thread, of its threads that wait, and of what is begun at one time.
//!
//! The service is one thread with one queue of tasks. A user would take as many turns of that thread as that user's
//! connections have calls; so the turns are counted. The streams of the agents of one user's systems have turns, too.
//!
//! 1. [`Turns`]: a message that is read and a step of a call that runs are a turn each, and as many more as they took
//!    time; where nothing of another user waits, that time is owed to none. After [`TURNS`] of them the connections of
//!    the user wait until each other task that was ready has run, and then have theirs one after the other. So what
//!    another user waits for is a small number of turns per busy user, however many connections that one has, and
//!    whatever they have sent. A connection of which nothing waits has a few turns ahead of the others of its user: one
//!    that asks for little does not wait for one that has asked for much.
//! 2. [`Lane`]: only so many calls of one kind are worked on at one time; the others wait in order, at no cost.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    future::poll_fn,
    pin::pin,
    rc::{Rc, Weak},
    sync::Arc,
    task::{Context, Poll, Waker},
    thread::LocalKey,
    time::{Duration, Instant},
};

use hcs_schema::{Failure, HResult, win32};
use tokio::{
    sync::{AcquireError, Notify, OwnedSemaphorePermit, Semaphore},
    task::AbortHandle,
};

use super::{
    fair::FairLane,
    outgoing::Unread,
    rounds::{Waiting, Who},
    underway::Underway,
};

/// Engine calls that may block at the same time: threads that may wait.
pub(crate) const WAITING_THREADS: usize = 512;
/// Turns that the connections of a user have before they wait for the others.
const TURNS: i64 = 4;
/// Turns besides, in which connections that had fewer in this round go ahead of what waits of their user: a call is
/// read in one, and done in another.
const AHEAD: i64 = 2;
/// How long a turn takes; what took longer has taken several.
const TURN: Duration = Duration::from_micros(20);
/// How long the turns of a round take together, where several are as short.
const ROUND: Duration = Duration::from_micros(10);
/// Turns that a user owes at most: those of a second.
const MOST_OWED: i64 = -50_000;
/// Calls of one connection that are on threads that may wait, at one time.
const THREADS: usize = 32;
/// Systems that one connection has created at one time. The launcher makes one after the other in any case.
const CREATIONS: usize = 8;
/// Systems that one user has created at one time.
const CREATIONS_OF_USER: usize = 4 * CREATIONS;
/// Long messages of one user that are received and parsed at one time: each is held in memory, whole or not.
const LONG: usize = 8;
/// Long documents of one user that are read at one time: while it is read, one takes some fifty times its size.
const PARSED: usize = 2;
/// Readers of one user that follow the event log, and as many that follow networks.
const FOLLOWERS: usize = 128;

/// What a reader follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Followed {
    Events,
    Networks,
}

/// A bounded number of places, taken in the order of asking.
pub(crate) type Lane = Arc<Semaphore>;

/// A task that waits for a turn, or for a place in a [`fair`](super::fair) lane.
#[derive(Debug)]
pub(super) struct Ticket {
    granted: Cell<bool>,
    waker: RefCell<Waker>,
}

impl Ticket {
    pub(super) fn new(context: &Context<'_>) -> Rc<Self> {
        Rc::new(Self {
            granted: Cell::new(false),
            waker: RefCell::new(context.waker().clone()),
        })
    }

    /// Whether it was granted; if not, its task is woken when it is.
    pub(super) fn is_granted_or_wakes(&self, context: &Context<'_>) -> bool {
        if !self.granted.get() {
            self.waker.borrow_mut().clone_from(context.waker());
        }
        self.granted.get()
    }

    pub(super) fn is_granted(&self) -> bool {
        self.granted.get()
    }

    pub(super) fn grant(&self) {
        self.granted.set(true);
        self.waker.borrow().wake_by_ref();
    }
}

/// The turns of all connections of one user, or of the agents of all systems of one.
#[derive(Debug)]
pub(crate) struct CommonTurns {
    /// Less than none after a step that took long.
    left: Cell<i64>,
    /// Of those, how many are of this round.
    room: Cell<i64>,
    /// Turns ahead of what waits, of this round; less than none after a step that took long.
    ahead: Cell<i64>,
    /// How often turns were given out.
    round: Cell<u64>,
    /// What steps took of late, in microseconds: about the most.
    cost: Cell<i64>,
    /// In turns of the connections. Those that gave up are gone.
    waiting: RefCell<Waiting<Weak<Ticket>>>,
    /// Told when something waits for the next round.
    wanted: Notify,
    /// What steps are measured by.
    clock: Clock,
}

thread_local! {
    /// How many of them on this thread have something that waits.
    static WAITING: Cell<usize> = const { Cell::new(0) };
}

/// Counts one more, until it is dropped.
struct OneMore(&'static LocalKey<Cell<usize>>);

impl OneMore {
    fn new(count: &'static LocalKey<Cell<usize>>) -> Self {
        count.set(count.get() + 1);
        Self(count)
    }
}

impl Drop for OneMore {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// Tells the time. A test has one that stands still: what the processor does beside it takes no turns.
type Clock = fn() -> Instant;

/// The turns of one connection, or of the stream of one agent.
#[derive(Debug)]
pub(crate) struct Turns {
    common: Rc<CommonTurns>,
    who: Who,
    /// The last round in which it had turns, and how many in that.
    had: Cell<(u64, i64)>,
    /// Whether the last one was ahead of others.
    is_ahead: Cell<bool>,
}

/// The turns of the streams of all agents: those of one user's systems share them, however many there are.
#[derive(Debug)]
pub(crate) struct AgentTurns {
    users: RefCell<HashMap<u32, AgentsOfUser>>,
    /// Streams there have been.
    numbered: Cell<u64>,
    clock: Clock,
}

impl Default for AgentTurns {
    fn default() -> Self {
        Self::by(Instant::now)
    }
}

/// The turns of one user's, for as long as they are given out.
#[derive(Debug)]
struct AgentsOfUser {
    common: Rc<CommonTurns>,
    giving: Weak<Giving>,
}

impl AgentTurns {
    /// Turns that are measured by `clock`.
    pub(crate) fn by(clock: Clock) -> Self {
        Self {
            users: RefCell::default(),
            numbered: Cell::new(0),
            clock,
        }
    }

    /// Turns of a further stream, of a system of the user `uid`, and what gives them out.
    pub(crate) fn of(&self, uid: u32) -> (Turns, Rc<Giving>) {
        self.numbered.set(self.numbered.get() + 1);
        let who = Who {
            uid,
            connection: self.numbered.get(),
        };
        let mut users = self.users.borrow_mut();
        let known = users.get(&uid);
        let known = known.and_then(|own| Some((Rc::clone(&own.common), own.giving.upgrade()?)));
        let (common, giving) = known.unwrap_or_else(|| {
            users.retain(|_, own| own.giving.strong_count() > 0);
            let (common, giving) = CommonTurns::begin(self.clock);
            let giving = Rc::new(giving);
            let own = AgentsOfUser {
                common: Rc::clone(&common),
                giving: Rc::downgrade(&giving),
            };
            users.insert(uid, own);
            (common, giving)
        });
        (Turns::new(common, who), giving)
    }
}

/// Has turns given out, by a task of its own, for as long as it is held.
#[derive(Debug)]
pub(crate) struct Giving(AbortHandle);

impl Drop for Giving {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl CommonTurns {
    /// Turns that are measured by `clock`, and what gives them out.
    fn begin(clock: Clock) -> (Rc<Self>, Giving) {
        let turns = Rc::new(Self {
            left: Cell::new(TURNS),
            room: Cell::new(TURNS),
            ahead: Cell::new(AHEAD),
            round: Cell::new(0),
            cost: Cell::new(1),
            waiting: RefCell::default(),
            wanted: Notify::new(),
            clock,
        });
        let giving = tokio::task::spawn_local(Rc::clone(&turns).run());
        (turns, Giving(giving.abort_handle()))
    }

    /// Gives out the turns of the next round. All that have one run before what comes from outside is seen, so steps
    /// that take long come one by one.
    fn refill(&self) {
        self.round.set(self.round.get() + 1);
        if WAITING.get() <= 1 {
            // There is none to whom the time is owed that steps took: it would be spent on waiting.
            self.left.set(self.left.get().max(0));
        }
        self.left.set((self.left.get() + TURNS).min(TURNS));
        self.ahead.set((self.ahead.get() + AHEAD).min(AHEAD));
        self.room
            .set((micros(ROUND) / self.cost.get()).clamp(1, TURNS));
        while self.has_left() {
            let Some(next) = self.waiting.borrow_mut().pop() else {
                break;
            };
            if let Some(ticket) = next.upgrade() {
                self.spend();
                ticket.grant();
            }
        }
    }

    /// Whether there is a turn in this round.
    fn has_left(&self) -> bool {
        self.left.get() > 0 && self.room.get() > 0
    }

    fn spend(&self) {
        self.left.set(self.left.get() - 1);
        self.room.set(self.room.get() - 1);
    }

    /// Gives out turns for as long as it is polled: as a task of its own, which gets behind all others that are ready
    /// each time it is woken.
    async fn run(self: Rc<Self>) {
        loop {
            self.wanted.notified().await;
            let waiting = OneMore::new(&WAITING);
            while !self.waiting.borrow().is_empty() {
                self.refill();
                // Those that have a turn now run first, and what has come from outside meanwhile is seen.
                tokio::task::yield_now().await;
            }
            drop(waiting);
        }
    }
}

impl Turns {
    /// Turns of no user's, and what gives them out.
    #[cfg(test)]
    pub(crate) fn begin() -> (Self, Giving) {
        let (common, giving) = CommonTurns::begin(Instant::now);
        (Self::new(common, Who::SERVICE), giving)
    }

    const fn new(common: Rc<CommonTurns>, who: Who) -> Self {
        Self {
            common,
            who,
            had: Cell::new((0, 0)),
            is_ahead: Cell::new(false),
        }
    }

    /// Whether there is a turn for the holder of `ticket`; if not, it is woken when there is.
    fn admits(&self, ticket: &mut Option<Rc<Ticket>>, context: &Context<'_>) -> bool {
        let common = &self.common;
        if let Some(held) = ticket {
            let granted = held.is_granted_or_wakes(context);
            if granted {
                *ticket = None;
                self.count(false);
            }
            return granted;
        }
        if common.has_left() && common.waiting.borrow().is_empty() {
            common.spend();
            self.count(false);
            return true;
        }
        if self.may_go_ahead() {
            common.ahead.set(common.ahead.get() - 1);
            self.count(true);
            return true;
        }
        let waiting = Ticket::new(context);
        let mut others = common.waiting.borrow_mut();
        others.push(self.who, Rc::downgrade(&waiting));
        *ticket = Some(waiting);
        common.wanted.notify_one();
        false
    }

    /// Whether it has had so few turns in this round that it goes ahead of what waits. Nothing overtakes what waits of
    /// the same connection.
    fn may_go_ahead(&self) -> bool {
        let common = &self.common;
        common.ahead.get() > 0
            && self.had_in_round() < AHEAD
            && !common.waiting.borrow().has(self.who)
    }

    fn had_in_round(&self) -> i64 {
        match self.had.get() {
            (round, had) if round == self.common.round.get() => had,
            _ => 0,
        }
    }

    /// Counts a turn that it has.
    fn count(&self, is_ahead: bool) {
        let had = self.had_in_round();
        self.had.set((self.common.round.get(), had + 1));
        self.is_ahead.set(is_ahead);
    }

    /// Takes a turn.
    pub(crate) async fn take(&self) {
        let mut ticket = None;
        poll_fn(|context| match self.admits(&mut ticket, context) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    }

    /// Does `work`, which counts as the turns that it takes the time of.
    pub(crate) fn charge<T>(&self, work: impl FnOnce() -> T) -> T {
        let clock = self.common.clock;
        let begun = clock();
        let done = work();
        let took = clock() - begun;
        let cost = &self.common.cost;
        let less = cost.get() - (cost.get() + 3) / 4;
        cost.set(micros(took).max(less).clamp(1, micros(TURN)));
        let turns = micros(took) / micros(TURN);
        let left = match self.is_ahead.get() {
            true => &self.common.ahead,
            false => &self.common.left,
        };
        // A service that stood still for long owes no more than a second.
        left.set(left.get().saturating_sub(turns).max(MOST_OWED));
        // What asks for a long step does not ask for little: it is no more ahead of others in this round.
        let (round, had) = self.had.get();
        self.had.set((round, had.saturating_add(turns)));
        done
    }

    /// `work`, each step of which takes a turn.
    pub(crate) async fn spread<F: Future>(&self, work: F) -> F::Output {
        let mut work = pin!(work);
        let mut ticket = None;
        poll_fn(|context| match self.admits(&mut ticket, context) {
            true => self.charge(|| work.as_mut().poll(context)),
            false => Poll::Pending,
        })
        .await
    }
}

/// What all connections of one user may take at one time.
#[derive(Debug)]
pub(crate) struct UserShare {
    uid: u32,
    turns: Rc<CommonTurns>,
    _giving: Giving,
    /// For calls that may block: a path of a file system that never answers keeps a thread.
    threads: Lane,
    /// The threads that its own are among.
    threads_of_all: Option<Lane>,
    /// What its connections have not read.
    pub(crate) unread: Rc<Unread>,
    /// For long messages while they are received and parsed.
    pub(crate) long: Lane,
    /// For long documents: they keep memory.
    parsing: Lane,
    /// For systems that are created.
    systems: Rc<FairLane>,
    /// Those systems.
    created: Rc<Underway>,
    /// For readers that follow the event log: each is woken by each event.
    following_events: Lane,
    /// For those that follow networks, however many follow the event log.
    following_networks: Lane,
}

impl UserShare {
    /// For the user `uid`, who may have `threads` and leave `unread` bytes unread. `stuck` is how long a system waits
    /// for the creation of others, of which none is done meanwhile.
    pub(crate) fn new(uid: u32, threads: usize, unread: usize, stuck: Duration) -> Rc<Self> {
        Self::with((uid, threads), None, unread, stuck)
    }

    /// [`UserShare::new`] for a user whose threads are among those of `all`.
    pub(crate) fn among(
        all: &Lane,
        (uid, threads): (u32, usize),
        unread: usize,
        stuck: Duration,
    ) -> Rc<Self> {
        Self::with((uid, threads), Some(Arc::clone(all)), unread, stuck)
    }

    fn with(
        (uid, threads): (u32, usize),
        threads_of_all: Option<Lane>,
        unread: usize,
        stuck: Duration,
    ) -> Rc<Self> {
        let (turns, giving) = CommonTurns::begin(Instant::now);
        Rc::new(Self {
            uid,
            turns,
            _giving: giving,
            threads: Arc::new(Semaphore::new(threads)),
            threads_of_all,
            unread: Unread::new(unread),
            long: Arc::new(Semaphore::new(LONG)),
            parsing: Arc::new(Semaphore::new(PARSED)),
            systems: FairLane::new(CREATIONS_OF_USER),
            created: Underway::new("this user", stuck),
            following_events: Arc::new(Semaphore::new(FOLLOWERS)),
            following_networks: Arc::new(Semaphore::new(FOLLOWERS)),
        })
    }
}

/// What one connection may take at one time.
#[derive(Debug)]
pub(crate) struct Share {
    pub(crate) who: Who,
    pub(crate) turns: Turns,
    /// For calls that may block.
    threads: Lane,
    /// For long documents: they keep a processor busy.
    parsing: Lane,
    /// For pages of the event log and for what it tells of operations.
    pub(crate) reading: Lane,
    /// For systems that are created.
    systems: Lane,
    /// Those systems.
    created: Rc<Underway>,
    pub(crate) user: Rc<UserShare>,
}

impl Share {
    /// The share of that connection of that user.
    pub(crate) fn new(user: Rc<UserShare>, connection: u64) -> Rc<Self> {
        let who = Who {
            uid: user.uid,
            connection,
        };
        let common = Rc::clone(&user.turns);
        Rc::new(Self {
            who,
            turns: Turns::new(common, who),
            threads: Arc::new(Semaphore::new(THREADS)),
            parsing: Arc::new(Semaphore::new(1)),
            reading: Arc::new(Semaphore::new(1)),
            systems: Arc::new(Semaphore::new(CREATIONS)),
            created: Underway::new("this connection", user.created.limit()),
            user,
        })
    }

    /// A place on a thread that may wait, to be given back when that is done.
    pub(crate) async fn thread(&self) -> impl Send + 'static + use<> {
        let own = place(&self.threads).await;
        let of_user = place(&self.user.threads).await;
        let of_all = match &self.user.threads_of_all {
            Some(all) => place(all).await,
            None => None,
        };
        (own, of_user, of_all)
    }

    /// A place for a long document while it is read, to be given back when that is done. At most one of each connection
    /// waits for those of the user, so they come in turns of the connections.
    pub(crate) async fn parsing(&self) -> impl Send + 'static + use<> {
        let own = place(&self.parsing).await;
        (own, place(&self.user.parsing).await)
    }

    /// A place for the system `id` that is created.
    ///
    /// # Errors
    /// Those that are created hang.
    pub(crate) async fn creation(&self, id: &str) -> Result<impl Sized + use<>, Failure> {
        let user = &self.user;
        let behind = Some(&*user.created);
        let own = self.created.wait(behind, place(&self.systems)).await?;
        // Those that wait for the user's places are in the way of this connection's own calls, too.
        let noted = self.created.begin(id);
        let common = user
            .created
            .wait(None, user.systems.place(self.who))
            .await?;
        Ok((noted, user.created.begin(id), common, own))
    }

    /// A place for a reader that follows something.
    ///
    /// # Errors
    /// There are too many.
    pub(crate) fn follow(&self, followed: Followed) -> Result<OwnedSemaphorePermit, Failure> {
        let (lane, what) = match followed {
            Followed::Events => (&self.user.following_events, "the event log"),
            Followed::Networks => (&self.user.following_networks, "networks"),
        };
        Arc::clone(lane).try_acquire_owned().map_err(|_full| {
            let message =
                format!("{FOLLOWERS} readers of this user follow {what}, which are as many as may");
            Failure::new(
                HResult::from_win32(win32::ERROR_NO_SYSTEM_RESOURCES),
                message,
            )
        })
    }
}

/// Whole microseconds.
fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

/// A lane of `places`.
pub(crate) fn lane(places: usize) -> Lane {
    Arc::new(Semaphore::new(places))
}

/// A place in `lane`; it is given back when it is dropped.
pub(crate) async fn place(lane: &Lane) -> Option<OwnedSemaphorePermit> {
    let place: Result<_, AcquireError> = Arc::clone(lane).acquire_owned().await;
    // Lanes are never closed.
    place.ok()
}

#[cfg(test)]
mod lane_tests;
#[cfg(test)]
mod tests {
    use tokio::task::{JoinSet, LocalSet};

    use super::*;

    pub(super) const STUCK: Duration = Duration::from_secs(60);

    pub(super) fn share() -> Rc<Share> {
        Share::new(UserShare::new(1, WAITING_THREADS, usize::MAX, STUCK), 1)
    }

    pub(super) fn in_runtime(work: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        LocalSet::new().block_on(&runtime, work);
    }

    #[test]
    fn ten_thousand_steps_of_one_let_another_have_its_turn_in_between() {
        in_runtime(async {
            let done = Rc::new(Cell::new(0_usize));
            let flood = share();
            let mut all = JoinSet::new();
            for _ in 0..10_000 {
                let (share, done) = (Rc::clone(&flood), Rc::clone(&done));
                all.spawn_local(async move {
                    let step = async {
                        tokio::task::yield_now().await;
                        done.set(done.get() + 1);
                    };
                    share.turns.spread(step).await;
                });
            }
            // The first round is spent on asking alone.
            tokio::task::yield_now().await;
            let counted = Rc::clone(&done);
            let other = async move {
                let mut most = 0;
                for _ in 0..50 {
                    let before = counted.get();
                    tokio::task::yield_now().await;
                    most = most.max(counted.get() - before);
                }
                most
            };
            let most = tokio::task::spawn_local(other).await.unwrap();
            assert!(most <= 12, "{most} steps in one round");
            assert!(done.get() < 5000, "{}", done.get());
            while all.join_next().await.is_some() {}
            assert_eq!(done.get(), 10_000, "all are done in the end");
        });
    }

    #[test]
    fn a_user_of_fifty_connections_has_no_more_turns_than_one_of_a_single_one() {
        in_runtime(async {
            const CONNECTIONS: u64 = 50;
            let busy = |uid, connections: u64| {
                let done = Rc::new(Cell::new(0_u64));
                let user = UserShare::new(uid, WAITING_THREADS, usize::MAX, STUCK);
                for connection in 0..connections {
                    let share = Share::new(Rc::clone(&user), connection);
                    let done = Rc::clone(&done);
                    tokio::task::spawn_local(async move {
                        loop {
                            share.turns.take().await;
                            done.set(done.get() + 1);
                        }
                    });
                }
                done
            };
            let (many, single) = (busy(1, CONNECTIONS), busy(2, 1));
            while single.get() < 1000 {
                tokio::task::yield_now().await;
            }
            assert!(many.get() < 2 * single.get(), "{}", many.get());
        });
    }

    #[test]
    fn a_connection_that_asks_for_little_waits_for_none_of_what_another_one_asks() {
        in_runtime(async {
            let user = UserShare::new(1, WAITING_THREADS, usize::MAX, STUCK);
            let (flood, other) = (Share::new(Rc::clone(&user), 1), Share::new(user, 2));
            let done = Rc::new(Cell::new(0_usize));
            let mut all = JoinSet::new();
            for _ in 0..1000 {
                let (flood, done) = (Rc::clone(&flood), Rc::clone(&done));
                all.spawn_local(async move {
                    flood.turns.take().await;
                    done.set(done.get() + 1);
                });
            }
            tokio::task::yield_now().await;
            let mut rounds = 0;
            while done.get() < 1000 {
                let before = done.get();
                for _ in 0..AHEAD {
                    other.turns.take().await;
                }
                assert_eq!(done.get(), before, "after {rounds} rounds");
                while done.get() == before {
                    tokio::task::yield_now().await;
                }
                rounds += 1;
            }
            assert!(rounds > 100, "{rounds}");
            while all.join_next().await.is_some() {}
        });
    }

    #[test]
    fn time_that_a_step_took_is_owed_to_none_where_no_other_waits() {
        in_runtime(async {
            let share = share();
            let rounds = |share: &Share| share.turns.common.round.get();
            for _ in 0..=TURNS {
                share.turns.take().await;
            }
            share.turns.common.left.set(-1000);
            let before = rounds(&share);
            for _ in 0..10 * TURNS {
                share.turns.take().await;
            }
            assert!(rounds(&share) - before < 50, "{}", rounds(&share) - before);
        });
    }

    #[test]
    fn turns_are_given_in_order_and_none_is_lost_by_what_gives_up() {
        in_runtime(async {
            let share = share();
            for _ in 0..TURNS {
                share.turns.take().await;
            }
            let order = Rc::new(RefCell::new(Vec::new()));
            let mut all = JoinSet::new();
            for number in 0..100 {
                let (share, order) = (Rc::clone(&share), Rc::clone(&order));
                let asked = all.spawn_local(async move {
                    share.turns.take().await;
                    order.borrow_mut().push(number);
                });
                if number % 3 == 0 {
                    tokio::task::yield_now().await;
                    asked.abort();
                }
            }
            while all.join_next().await.is_some() {}
            let order = order.take();
            assert!(order.is_sorted(), "{order:?}");
            assert!(order.len() >= 66, "{}", order.len());
            for _ in 0..10 * TURNS {
                share.turns.take().await;
            }
        });
    }

    /// Steps that take long, by many connections of one user at once.
    #[test]
    fn long_steps_of_many_connections_come_one_by_one() {
        in_runtime(async {
            let done = Rc::new(Cell::new(0_u32));
            let user = UserShare::new(1, WAITING_THREADS, usize::MAX, STUCK);
            for connection in 0..50 {
                let (share, done) = (Share::new(Rc::clone(&user), connection), Rc::clone(&done));
                tokio::task::spawn_local(async move {
                    loop {
                        share.turns.take().await;
                        share.turns.charge(|| {
                            std::thread::sleep(10 * TURN);
                            done.set(done.get() + 1);
                        });
                    }
                });
            }
            let other = Share::new(UserShare::new(2, WAITING_THREADS, usize::MAX, STUCK), 1);
            let mut most = 0;
            for round in 0..50 {
                let before = done.get();
                other.turns.take().await;
                tokio::task::yield_now().await;
                // What steps cost is known from the first ones.
                if round > 2 {
                    most = most.max(done.get() - before);
                }
            }
            assert!(done.get() > 4, "{}", done.get());
            assert!(most <= 2, "{most} long steps at once");
        });
    }
}
