//! [`Client`]: the connection of one process to the service at one endpoint, and the handles that live on it. The
//! connection is made when it is first needed, and made again when it was lost.
//!
//! **Calls survive the connection.** A call without an answer at the end of a connection is kept and repeated on the
//! next. The repeats go in their order and before any newer call, each under its old number. So the service can tell
//! whether the call was begun before (see [`hcs_wire::service`]). Calls end with `HCS_E_SERVICE_DISCONNECT` only when
//! no service was reached for as long as the client tries.
//!
//! After `fork(2)` the child must neither write to its parent's connection nor wait for its parent's threads. So all of
//! this hangs on a [`World`] that belongs to one pid; a child makes itself a new one, without touching a lock of
//! the old one. Its copies of the parent's handles are opened again on the child's own connection when they are used.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Arc, OnceLock, Weak, mpsc},
    task::Waker,
    time::{Duration, Instant},
};

use hcs_schema::{Failure, HResult};
use hcs_wire::service::{Event, Subject};
use rustix::io::Errno;

use crate::{
    daemon,
    endpoint::Endpoint,
    pool::Pool,
    raw::handle::Handle,
    raw::link::{Greeted, Greeting, LIMIT, Lasting, Link, Receiver, Refused, is_reading},
    reading::sync::{Deadline, Mutex, lock, thread},
    reading::turn::{ReadOutcome, Source, Turn},
    timer::Timer,
};

/// How long a thread that makes the first call waits for a service that is there: it answers at once, or another thread
/// waits on.
const AT_ONCE: Duration = Duration::from_millis(20);

/// With more handles than this, the keeper also reads events that no thread waits for: the service keeps only a limited
/// number of unread events.
const MANY_HANDLES: usize = 64;

/// How often a service is started at once that is gone again before it has greeted.
const STARTS: u32 = 3;
/// How long services are started after that: one that is killed does not make a call fail.
const PATIENCE: Duration = Duration::from_secs(5);
/// The first pause between those, twice as long each time: a service that turns clients away is not flooded.
const PAUSE: Duration = Duration::from_millis(50);

/// How long to wait before each try to reach a service that was lost.
pub(crate) const RECONNECT_PAUSES: [Duration; 7] = [
    Duration::ZERO,
    Duration::from_millis(50),
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(4),
    Duration::from_secs(10),
    Duration::from_secs(15),
];

/// All that belongs to one process of that pid.
#[derive(Debug)]
struct World {
    pid: u32,
    /// Usually few, so a linear search is enough.
    clients: Mutex<Vec<Arc<Client>>>,
    pool: Pool,
    timer: Timer,
    /// The world of a child.
    next: OnceLock<Box<World>>,
}

impl World {
    fn new(pid: u32) -> Self {
        Self {
            pid,
            clients: Mutex::default(),
            pool: Pool::default(),
            timer: Timer::default(),
            next: OnceLock::new(),
        }
    }

    /// This process's. Children of children find theirs at the end of the chain.
    fn current() -> &'static Self {
        static FIRST: OnceLock<World> = OnceLock::new();
        let pid = std::process::id();
        FIRST.get_or_init(|| Self::new(pid)).of(pid)
    }

    fn of(&self, pid: u32) -> &Self {
        let mut world = self;
        while world.pid != pid {
            world = world.next.get_or_init(|| Box::new(Self::new(pid)));
        }
        world
    }
}

/// The threads for callbacks of this process.
pub(crate) fn pool() -> &'static Pool {
    &World::current().pool
}

/// The timer of this process.
pub(crate) fn timer() -> &'static Timer {
    &World::current().timer
}

/// Gets the connection, or the reason why there is none.
type Job = Box<dyn FnOnce(Result<&Arc<Link>, Failure>) + Send>;

/// One process's connection to one endpoint, and its handles there.
///
/// ```text
///          first call                connected, queue empty
///   Idle ------------> Connecting(queue) ---------------> Up(link)
///     ^                    | no service                     |
///     +--------------------+--------------------------------+
///            every queued call learns why            connection lost
///
///          begin                      first call
///   Idle ----------> Begun(greeting) ------------> Connecting(queue)
/// ```
///
/// Calls made while it connects are queued and then sent in their order, before any later one. The thread that reads a
/// connection reports its end ([`Client::lost`]) before the next one is made.
#[derive(Debug)]
pub(crate) struct Client {
    /// The process it belongs to.
    pid: u32,
    endpoint: Endpoint,
    /// Names this client to the services of the endpoint, one after the other. No other program knows it.
    instance: String,
    state: Mutex<State>,
    handles: Mutex<HashMap<u64, Weak<Handle>>>,
    kept: Mutex<Kept>,
    turn: Arc<Turn<Reader>>,
}

/// The calls to make again on the next connection.
#[derive(Default)]
struct Kept {
    calls: Vec<Box<dyn Lasting>>,
    /// A thread is making that connection.
    coming_back: bool,
    /// That thread has to start over afterwards: another connection was lost since.
    once_more: bool,
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept")
            .field("calls", &self.calls.len())
            .finish_non_exhaustive()
    }
}

/// The reading end of a connection, held by the thread that reads.
pub(crate) struct Reader {
    client: Arc<Client>,
    link: Arc<Link>,
    receiver: Receiver,
}

impl Source for Reader {
    fn bell(&self) -> Waker {
        self.link.bell()
    }

    fn step(&mut self, deadline: Deadline) -> ReadOutcome {
        let event = |event| self.client.event(event);
        self.link.step(&mut self.receiver, deadline, event)
    }

    fn over(self) {
        self.client.lost(&self.link);
    }

    fn owes(&self) -> bool {
        self.link.owes() || lock(&self.client.handles).len() > MANY_HANDLES
    }
}

impl Reader {
    /// The connection.
    pub(crate) fn link(&self) -> &Link {
        &self.link
    }
}

/// A watcher of the [`Turn`] for as long as this exists: it hears the messages of the service without waiting.
pub(crate) struct Watch {
    turn: Arc<Turn<Reader>>,
}

impl Watch {
    pub(crate) fn new(client: &Client) -> Self {
        let turn = Arc::clone(&client.turn);
        turn.watch();
        Self { turn }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.turn.unwatch();
    }
}

enum State {
    Idle,
    /// Connected before there was a call; the answer to our greeting was not waited for. Or why no call can be made: a
    /// listener that is not to be trusted is not tried twice.
    Begun(Result<Box<Greeting>, Failure>),
    Connecting(Connecting),
    Up(Arc<Link>),
}

/// A connection in the making, up to where all that waited for it is sent.
#[derive(Default)]
struct Connecting {
    queue: VecDeque<Job>,
    /// It was there, and is over already.
    lost: bool,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Idle => f.write_str("Idle"),
            Self::Begun(_) => f.write_str("Begun"),
            Self::Connecting(connecting) => write!(f, "Connecting({})", connecting.queue.len()),
            Self::Up(link) => link.fmt(f),
        }
    }
}

impl Client {
    /// The one of this process for `endpoint`.
    pub(crate) fn of(endpoint: &Endpoint) -> Arc<Self> {
        let world = World::current();
        let mut clients = lock(&world.clients);
        if let Some(client) = clients.iter().find(|client| client.endpoint == *endpoint) {
            return Arc::clone(client);
        }
        let client = Arc::new_cyclic(|client: &Weak<Self>| {
            let client = Weak::clone(client);
            Self {
                pid: world.pid,
                endpoint: endpoint.clone(),
                instance: uuid::Uuid::new_v4().to_string(),
                state: Mutex::new(State::Idle),
                handles: Mutex::default(),
                kept: Mutex::default(),
                turn: Arc::new(Turn::new(move || start_keeper(&client))),
            }
        });
        clients.push(Arc::clone(&client));
        client
    }

    /// The process it belongs to.
    pub(crate) const fn pid(&self) -> u32 {
        self.pid
    }

    /// Where the service is.
    pub(crate) const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Decides which thread reads the connection.
    pub(crate) fn turn(&self) -> &Arc<Turn<Reader>> {
        &self.turn
    }

    /// Calls `job` once with the connection. If there is one or a service answers at once, `job` runs on this thread;
    /// otherwise on another thread once the connection is made. A service is started if none is there.
    ///
    /// The failure is `HCS_E_SERVICE_NOT_AVAILABLE`, `HCS_E_ACCESS_DENIED` or `HCS_E_UNSUPPORTED_PROTOCOL_VERSION`,
    /// with its causes.
    pub(crate) fn with_link(
        self: &Arc<Self>,
        job: impl FnOnce(Result<&Arc<Link>, Failure>) + Send + 'static,
    ) {
        self.with_state(job, true);
    }

    /// [`Client::with_link`] where a connection is there or being made; else `job` is dropped.
    pub(crate) fn with_present_link(
        self: &Arc<Self>,
        job: impl FnOnce(Result<&Arc<Link>, Failure>) + Send + 'static,
    ) {
        self.with_state(job, false);
    }

    fn with_state(
        self: &Arc<Self>,
        job: impl FnOnce(Result<&Arc<Link>, Failure>) + Send + 'static,
        connect: bool,
    ) {
        if connect && !is_reading() {
            // A connection that ended while no thread read it is made again, not written to.
            self.turn.catch_up();
        }
        let mut state = lock(&self.state);
        match &mut *state {
            State::Up(link) => {
                let link = Arc::clone(link);
                drop(state);
                job(Ok(&link));
            }
            State::Connecting(connecting) => connecting.queue.push_back(Box::new(job)),
            State::Idle | State::Begun(_) if !connect => {}
            State::Idle | State::Begun(_) => {
                let mut connecting = Connecting::default();
                connecting.queue.push_back(Box::new(job));
                let before = std::mem::replace(&mut *state, State::Connecting(connecting));
                drop(state);
                match before {
                    State::Begun(begun) => self.connect(begun.map(Some).map_err(Refused::Final)),
                    _ if is_reading() => self.connect(Ok(None)),
                    _ => self.connect(self.greet()),
                }
            }
        }
    }

    /// Connects to a service that is there, without waiting for its answer: the first call has that much less to wait
    /// for. What goes wrong is left to that call.
    pub(crate) fn begin(self: &Arc<Self>) {
        let mut state = lock(&self.state);
        if !matches!(*state, State::Idle) {
            return;
        }
        *state = State::Connecting(Connecting::default());
        drop(state);
        let greeting = self.greet();
        let mut state = lock(&self.state);
        match &*state {
            State::Connecting(connecting) if connecting.queue.is_empty() => {
                *state = match greeting {
                    Ok(Some(greeting)) => State::Begun(Ok(greeting)),
                    Err(Refused::Final(failure)) => State::Begun(Err(failure)),
                    Ok(None) | Err(Refused::NotThere(_)) => State::Idle,
                };
            }
            // Other threads have made calls meanwhile.
            _ => {
                drop(state);
                self.connect(greeting);
            }
        }
    }

    /// Connects to a service that takes the connection at once, and sends our greeting.
    fn greet(&self) -> Result<Option<Box<Greeting>>, Refused> {
        Link::connect(&self.endpoint, &self.instance, None)
    }

    /// Makes the connection, which `begun` may be on its way to: here, where that is a matter of a moment, else on a
    /// thread.
    fn connect(self: &Arc<Self>, begun: Result<Option<Box<Greeting>>, Refused>) {
        let begun = begun.and_then(|greeting| match greeting {
            Some(greeting) if is_reading() => Ok(Some(Greeted::Waiting(greeting))),
            Some(greeting) => greeting.wait(AT_ONCE).map(Some),
            None => Ok(None),
        });
        let greeting = match begun {
            Ok(Some(Greeted::Ready(link, receiver))) => return self.connected(link, receiver),
            Err(Refused::Final(failure)) => return self.refuse(&failure),
            Ok(Some(Greeted::Waiting(greeting))) => Some(greeting),
            Ok(None) | Err(Refused::NotThere(_)) => None,
        };
        let client = Arc::clone(self);
        let started = spawn("hcs-connect", move || match client.reach(greeting) {
            Ok((link, receiver)) => client.connected(link, receiver),
            Err(failure) => client.refuse(&failure),
        });
        if let Err(failure) = started {
            self.refuse(&failure);
        }
    }

    /// The connection, if there is one.
    pub(crate) fn current_link(&self) -> Option<Arc<Link>> {
        match &*lock(&self.state) {
            State::Up(link) => Some(Arc::clone(link)),
            State::Idle | State::Begun(_) | State::Connecting(_) => None,
        }
    }

    /// Reopens the handles of a former connection, repeats the calls that it left unanswered, and sends the calls
    /// queued meanwhile.
    fn connected(self: &Arc<Self>, link: Link, receiver: Receiver) {
        let link = Arc::new(link);
        self.turn.put(Reader {
            client: Arc::clone(self),
            link: Arc::clone(&link),
            receiver,
        });
        for handle in self.handles() {
            // A handle whose creation failed has reported that; one that is still being made comes with its own call.
            let _told = handle.attach(self, &link);
        }
        loop {
            self.make_again(&link);
            let mut state = lock(&self.state);
            let State::Connecting(connecting) = &mut *state else {
                return;
            };
            let queued = std::mem::take(&mut connecting.queue);
            if queued.is_empty() {
                // A closed link stays current until its reader reports it.
                *state = match connecting.lost {
                    true => State::Idle,
                    false => State::Up(link),
                };
                return;
            }
            drop(state);
            for job in queued {
                job(Ok(&link));
            }
        }
    }

    /// Returns a greeted connection. `greeting` is a connection that still waits for its greeting, if there is one.
    fn reach(&self, mut greeting: Option<Box<Greeting>>) -> Result<(Link, Receiver), Failure> {
        let mut starts = 0;
        let begun = Instant::now();
        loop {
            match self.greeted(greeting.take()) {
                Ok(connected) => return Ok(connected),
                Err(Refused::NotThere(_)) if starts < STARTS || begun.elapsed() < PATIENCE => {
                    starts += 1;
                    if let Some(pauses) = starts.checked_sub(STARTS + 1) {
                        thread::sleep(PAUSE * 2_u32.saturating_pow(pauses));
                    }
                    daemon::start(&self.endpoint)?;
                }
                Err(refused) => return Err(refused.into_failure()),
            }
        }
    }

    fn greeted(&self, greeting: Option<Box<Greeting>>) -> Result<(Link, Receiver), Refused> {
        let greeting = match greeting {
            Some(greeting) => greeting,
            // Only an impatient try ends without either.
            None => Link::connect(&self.endpoint, &self.instance, Some(LIMIT))?
                .ok_or_else(|| Refused::from_connect(&self.endpoint, Errno::AGAIN))?,
        };
        match greeting.wait(LIMIT)? {
            Greeted::Ready(link, receiver) => Ok((link, receiver)),
            Greeted::Waiting(greeting) => Err(Refused::Final(greeting.silent())),
        }
    }

    /// There will be no connection: passes the failure to every call that waits for it.
    fn refuse(&self, failure: &Failure) {
        let state = std::mem::replace(&mut *lock(&self.state), State::Idle);
        if let State::Connecting(connecting) = state {
            for job in connecting.queue {
                job(Err(failure.clone()));
            }
        }
    }

    /// Events of `handle` are handed to it from now on.
    pub(crate) fn register(&self, handle: &Arc<Handle>) {
        lock(&self.handles).insert(handle.number(), Arc::downgrade(handle));
    }

    /// No more events for it.
    pub(crate) fn unregister(&self, number: u64) {
        lock(&self.handles).remove(&number);
    }

    fn handles(&self) -> Vec<Arc<Handle>> {
        let handles = lock(&self.handles);
        handles.values().filter_map(Weak::upgrade).collect()
    }

    fn event(&self, event: Event) {
        let (Subject::System(number) | Subject::Process(number)) = event.subject else {
            return;
        };
        // The event is dropped if the handle was closed while the event was under way.
        let handle = lock(&self.handles).get(&number).and_then(Weak::upgrade);
        if let Some(handle) = handle {
            handle.event(event.event_type, event.data.map(Into::into));
        }
    }

    /// Repeats the calls that a former connection left unanswered.
    fn make_again(self: &Arc<Self>, link: &Arc<Link>) {
        if link.is_over() {
            // The reader of this link makes the next connection.
            return;
        }
        let mut calls = std::mem::take(&mut lock(&self.kept).calls);
        calls.sort_by_key(|call| call.order());
        for call in calls {
            call.again(self, link);
        }
    }

    /// `call` was not answered, or not even sent, on a connection that is over.
    pub(crate) fn keep(self: &Arc<Self>, call: Box<dyn Lasting>) {
        lock(&self.kept).calls.push(call);
        self.come_back();
    }

    /// Makes the connection again, on a thread of its own.
    fn come_back(self: &Arc<Self>) {
        let mut kept = lock(&self.kept);
        kept.once_more = true;
        if std::mem::replace(&mut kept.coming_back, true) {
            return;
        }
        drop(kept);
        let client = Arc::clone(self);
        if let Err(failure) = spawn("hcs-reconnect", move || client.reconnect()) {
            lock(&self.kept).coming_back = false;
            self.give_up(&failure);
        }
    }

    /// The connection is over: tells all handles. If an exit or an answer is still awaited, the connection is made
    /// again at once.
    fn lost(self: &Arc<Self>, link: &Link) {
        // Before another connection can be made.
        lock(&self.kept).calls.extend(link.take_left());
        let mut state = lock(&self.state);
        match &mut *state {
            State::Up(up) if up.serial() == link.serial() => *state = State::Idle,
            State::Connecting(connecting) => connecting.lost = true,
            State::Idle | State::Begun(_) | State::Up(_) => {}
        }
        drop(state);
        let handles = self.handles();
        for handle in &handles {
            handle.disconnected();
        }
        let kept = !lock(&self.kept).calls.is_empty();
        if kept || handles.iter().any(|handle| handle.hub().awaits_exit()) {
            self.come_back();
        }
    }

    fn reconnect(self: &Arc<Self>) {
        loop {
            lock(&self.kept).once_more = false;
            self.try_to_reconnect();
            let mut kept = lock(&self.kept);
            if !kept.once_more {
                kept.coming_back = false;
                return;
            }
        }
    }

    /// Tries to reach the service again, with growing pauses. If every try fails, the waits for an exit or an answer
    /// end with the failure.
    fn try_to_reconnect(self: &Arc<Self>) {
        let mut failed = None;
        for pause in RECONNECT_PAUSES {
            thread::sleep(pause);
            let (sender, reached) = mpsc::channel();
            let client = Arc::clone(self);
            self.with_link(move |link| {
                if let Ok(link) = link {
                    client.make_again(link);
                }
                // The receiver waits below. A connection that is over was perhaps lost before this was begun; if it is
                // lost later, another thread begins.
                let _waits = sender.send(link.map(|link| !link.is_over()));
            });
            match reached.recv() {
                Ok(Ok(true)) => return,
                Ok(Err(failure)) => failed = Some(failure),
                // One was there.
                Ok(Ok(false)) => failed = None,
                Err(mpsc::RecvError) => {}
            }
        }
        if let Some(failure) = failed {
            self.give_up(&failure);
        }
    }

    fn give_up(&self, failure: &Failure) {
        let calls = std::mem::take(&mut lock(&self.kept).calls);
        for call in calls {
            call.lost(failure);
        }
        for handle in self.handles() {
            handle.hub().give_up(failure.hresult);
        }
    }
}

/// Starts the keeper, the thread that reads while no thread waits.
fn start_keeper(client: &Weak<Client>) -> bool {
    let Some(client) = client.upgrade() else {
        return false;
    };
    spawn("hcs-reader", move || client.turn.keep()).is_ok()
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    let started = thread::Builder::new().name(name.to_owned()).spawn(run);
    started.map(drop).map_err(|error| {
        Failure::new(
            HResult::E_OUTOFMEMORY,
            "no thread could be started for the connection to the host compute service",
        )
        .because(&error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_process_of_a_line_of_forks_has_a_world_of_its_own() {
        let first = World::new(1);
        assert!(std::ptr::eq(first.of(1), &raw const first));
        let child = first.of(2);
        assert_eq!(child.pid, 2);
        assert!(std::ptr::eq(first.of(2), child));
        assert_eq!(first.of(3).pid, 3);
        assert!(std::ptr::eq(first.of(2), child));
    }
}
