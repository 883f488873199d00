//! What the admitted calls do to a system, and how that is undone.

use std::{
    collections::BTreeSet,
    future::pending,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use hcs_engine::{
    engine::{Guest, Machine},
    modification::Modification,
};
use hcs_lifecycle::system::{Action, State};
use hcs_schema::{
    Failure, HResult,
    documents::{
        ModifyRequestType, ModifySettingRequest, PauseOptions, SaveOptions, ShutdownOptions,
        StartOptions,
    },
};
use hcs_wire::guest::{ENTROPY_BYTES, Renewal};
use hcs_wire::subordinate::holder;
use rustix::rand::{GetRandomFlags, getrandom};
use tracing::{debug, error, info, warn};

use super::{System, SystemRequest, driver::Running, no_guest};
use crate::{
    network::{AdapterChange, EndpointChange, LiveContainer},
    record::{
        blocking::{blocking, blocking_within},
        failures::cancelled,
        ledger::EngineAction,
        operations,
        state::journal::Remembered,
    },
    system::{guest_link::GuestLink, process::Process},
};

/// How long after the end of its stream an agent may take to end itself, before it counts as one that lives on.
pub(super) const AGENT_EXIT_TIME: Duration = Duration::from_millis(500);
/// The longest rest between two attempts to reach an agent.
const LONGEST_REST: Duration = Duration::from_secs(5);

/// Processes of one system that are taken in, or ended, before the other tasks of the service have their turn.
const AT_ONCE: usize = 8;
/// Living processes that one system can have. Its agent has at most 8,192. None is made while there is no link, but as
/// many that are known may have ended meanwhile, which is told later.
const MOST_LIVING: usize = 2 * 8192;

/// What `request` does. The future ends early, and is dropped, when the machine is gone.
pub(super) fn run(system: &Rc<System>, request: &SystemRequest) -> Running {
    let system = Rc::clone(system);
    match request {
        SystemRequest::Start(options) => Box::pin(start(system, options.clone())),
        SystemRequest::Pause(options) => Box::pin(pause(system, options.clone())),
        SystemRequest::Resume => Box::pin(resume(system)),
        SystemRequest::ShutDown(options) => Box::pin(shut_down(system, options.clone())),
        SystemRequest::Terminate => Box::pin(terminate(system)),
        SystemRequest::Modify(request) => Box::pin(modify(system, request.clone())),
        SystemRequest::Save(options) => Box::pin(save(system, options.clone())),
        SystemRequest::CreateProcess => Box::pin(async { Ok(()) }),
    }
}

/// Undoes `action`, which `begun` is doing for the call `name`. Ends with the failure of a cancelled call.
pub(super) fn undo(
    system: &Rc<System>,
    action: Action,
    name: Option<Rc<str>>,
    begun: Running,
) -> Running {
    let system = Rc::clone(system);
    Box::pin(async move {
        let undone = || {
            if let Some(name) = &name {
                system.ledger.borrow_mut().undo(name);
            }
        };
        match action {
            Action::Start => {
                drop(begun);
                undone();
                if let Some(link) = system.set_link(None) {
                    link.close();
                }
                system.write_down(State::Created);
            }
            Action::Pause => {
                if begun.await.is_ok() {
                    undone();
                    resume(Rc::clone(&system)).await?;
                }
            }
            Action::Resume => {
                if begun.await.is_ok() {
                    undone();
                    pause(Rc::clone(&system), PauseOptions::default()).await?;
                }
            }
            // The machine changes a setting as a whole or not at all, and keeps no earlier value.
            Action::Modify => drop(begun.await),
            Action::ShutDown => {
                drop(begun);
                withdraw(&system).await;
            }
            Action::Save { .. } | Action::Terminate | Action::CreateProcess => {}
        }
        Err(cancelled())
    })
}

async fn start(system: Rc<System>, options: StartOptions) -> Result<(), Failure> {
    let limit = system.context()?.config().times.start();
    if system.machine.guest().is_none() {
        return start_alone(&system, options)
            .await
            .map_err(|f| f.while_doing("Start"));
    }
    let link = connect(&system, limit, move |machine| machine.start(&options))
        .await
        .map_err(|unlinked| unlinked.failure.while_doing("Start"))?;
    let announced = link.announce_start(limit).await;
    let name = name();
    if let (Ok(()), Some(name)) = (&announced, &name) {
        system.ledger.borrow_mut().finish(name);
    }
    // A system that the next service took for one that was never started would lose its processes.
    if let Err(failure) = announced.and_then(|()| system.try_write_down(State::Running)) {
        forget_call(&system);
        link.close();
        return Err(failure.while_doing("Start"));
    }
    system.set_link(Some(link));
    Ok(())
}

/// Starts a machine that has no agent to wait for.
async fn start_alone(system: &System, options: StartOptions) -> Result<(), Failure> {
    operations::step("the engine starts the machine");
    let machine = Arc::clone(&system.machine);
    blocking(move || machine.start(&options)).await?;
    if let Some(name) = name() {
        system.ledger.borrow_mut().finish(&name);
    }
    system
        .try_write_down(State::Running)
        .inspect_err(|_| forget_call(system))
}

/// The call that goes on is not done after all.
fn forget_call(system: &System) {
    if let Some(name) = name() {
        system.ledger.borrow_mut().undo(&name);
    }
}

/// Why there is no link to an agent.
struct Unlinked {
    failure: Failure,
    /// The link that came to nothing, if there was one.
    link: Option<Rc<GuestLink>>,
}

impl From<Failure> for Unlinked {
    fn from(failure: Failure) -> Self {
        Self {
            failure,
            link: None,
        }
    }
}

impl Unlinked {
    /// Gives `link` up because of `failure`.
    fn after(link: Rc<GuestLink>, failure: Failure) -> Self {
        // Whether the agent has ended it is known before.
        let ended = link.has_ended();
        link.close();
        Self {
            failure,
            link: ended.then_some(link),
        }
    }
}

/// A negotiated link to the agent, within `limit`; `first` is done with the machine before it is waited for.
async fn connect(
    system: &Rc<System>,
    limit: Duration,
    first: impl FnOnce(&dyn Machine) -> Result<(), Failure> + Send + 'static,
) -> Result<Rc<GuestLink>, Unlinked> {
    operations::step("waits for the machine to be ready");
    let machine = Arc::clone(&system.machine);
    let id = system.id.clone();
    let (stream, renews) = blocking(move || {
        first(&*machine)?;
        let guest = machine.guest().ok_or_else(|| no_guest(&id))?;
        guest.wait_ready(limit)?;
        Ok((guest.connect_guest(limit)?, guest.needs_renewal()))
    })
    .await?;
    operations::step("connected to the guest agent");
    let turns = system.context()?.agent_turns.of(holder(system.uid));
    let link = GuestLink::start(stream, turns)?;
    let renewal = if renews {
        renewal()?
    } else {
        Renewal::default()
    };
    match link.negotiate(renewal, limit).await {
        Ok(()) => Ok(link),
        Err(failure) => Err(Unlinked::after(link, failure)),
    }
}

/// Random bytes that no other machine gets, and the time.
fn renewal() -> Result<Renewal, Failure> {
    let mut bytes = [0; ENTROPY_BYTES];
    let filled = getrandom(&mut bytes, GetRandomFlags::empty());
    if filled == Ok(bytes.len()) {
        return Ok(Renewal::new(bytes, SystemTime::now()));
    }
    let message = "the host has no random bytes for the guest";
    Err(Failure::new(HResult::E_FAIL, message))
}

async fn pause(system: Rc<System>, options: PauseOptions) -> Result<(), Failure> {
    operations::step("the engine pauses the machine");
    let machine = Arc::clone(&system.machine);
    let paused = blocking(move || machine.pause(&options));
    once(&system, EngineAction::Pause, paused)
        .await
        .map_err(|f| f.while_doing("Pause"))?;
    system.write_down(State::Paused);
    Ok(())
}

/// The name of the call that is worked for.
fn name() -> Option<Rc<str>> {
    operations::current()?.name().cloned()
}

/// What an engine does for a call, so that a later service can tell whether it was done. The caller writes down what
/// the system is like afterwards.
async fn once(
    system: &System,
    action: EngineAction,
    work: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    let Some(name) = name() else {
        return work.await;
    };
    system.ledger.borrow_mut().begin(&name, action);
    system.write_down(system.state());
    let done = work.await;
    let mut ledger = system.ledger.borrow_mut();
    match &done {
        Ok(()) => ledger.finish(&name),
        Err(_) => ledger.withdraw(),
    }
    done
}

async fn resume(system: Rc<System>) -> Result<(), Failure> {
    operations::step("the engine resumes the machine");
    let machine = Arc::clone(&system.machine);
    let resumed = blocking(move || machine.resume());
    once(&system, EngineAction::Resume, resumed)
        .await
        .map_err(|f| f.while_doing("Resume"))?;
    // Where it was taken over while it was paused.
    system.unlinked.set(system.lacks_link());
    system.write_down(State::Running);
    set_clock(&system).await;
    Ok(())
}

/// Sets the clock of a guest that has one of its own, which stood still. A guest that cannot be reached is told with
/// its next stream.
async fn set_clock(system: &Rc<System>) {
    let guest = system.machine.guest();
    if !guest.is_some_and(Guest::needs_renewal) || system.lacks_link() {
        return;
    }
    let renewed = async {
        let limit = system.context()?.config().times.guest();
        system.guest().await?.renew(renewal()?, limit).await
    };
    if let Err(failure) = renewed.await {
        warn!("{failure}");
    }
}

async fn save(system: Rc<System>, options: SaveOptions) -> Result<(), Failure> {
    operations::step("the engine saves the machine");
    let machine = Arc::clone(&system.machine);
    blocking(move || machine.save(&options))
        .await
        .map_err(|f| f.while_doing("Save"))
}

/// The host's part is done first: the guest is to use what it then has.
async fn modify(system: Rc<System>, request: ModifySettingRequest) -> Result<(), Failure> {
    let kind = request.request_type.unwrap_or(ModifyRequestType::Update);
    let action = match (kind, &request.guest_request) {
        (ModifyRequestType::Update, None) => EngineAction::Set,
        _ => EngineAction::Change,
    };
    let modified = async {
        let Modification { host, guest } = Modification::read(request, system.coverage())?;
        if let Some(change) = host {
            let machine = Arc::clone(&system.machine);
            let adapter = AdapterChange::of(&change.action)?.filter(|_| machine.has_cards());
            match (adapter, EndpointChange::of(&change.action)?) {
                (Some(change), _) => change_adapter(&system, machine, change).await?,
                (None, Some(change)) => change_endpoint(&system, machine, change).await?,
                (None, None) => {
                    operations::step("the engine changes the machine");
                    blocking(move || machine.modify(&change)).await?;
                }
            }
        }
        if let Some(change) = guest {
            let limit = system.context()?.config().times.guest();
            let link = system.guest().await?;
            link.modify(&system.target, change, limit).await?;
        }
        Ok(())
    };
    once(&system, action, modified)
        .await
        .map_err(|f| f.while_doing("Modify"))?;
    if name().is_some() {
        system.write_down(system.state());
    }
    Ok(())
}

/// Plugs a network adapter in or out, and tells the guest's agent.
async fn change_adapter(
    system: &System,
    machine: Arc<dyn Machine>,
    change: AdapterChange,
) -> Result<(), Failure> {
    let networks = &system.context()?.networks;
    let who = system.tenant();
    networks.change_adapter(who, machine, change).await?;
    operations::step("the network adapter is changed");
    system.follow_names();
    Ok(())
}

/// Puts an endpoint into a running container, or takes one out, and tells its agent of names.
async fn change_endpoint(
    system: &System,
    machine: Arc<dyn Machine>,
    change: EndpointChange,
) -> Result<(), Failure> {
    let live = LiveContainer {
        id: system.id.clone(),
        runtime_id: system.runtime_id.clone(),
        user: system.uid,
        machine,
        document: hcs_schema::parse(system.document())?,
    };
    let networks = &system.context()?.networks;
    networks.change_endpoint(live, change).await?;
    operations::step("the endpoint is changed");
    system.follow_names();
    Ok(())
}

/// Asks, and waits for the end of the system, which settles this from outside.
async fn shut_down(system: Rc<System>, options: ShutdownOptions) -> Result<(), Failure> {
    let limit = system.context()?.config().times.shutdown();
    // Should it end when this service is gone, the next one knows that it was asked to.
    system.write_down(system.state());
    ask_to_stop(&system, options)
        .await
        .map_err(|f| f.while_doing("Shutdown"))?;
    operations::step("waits for the end of the system");
    let ended: Result<(), _> = tokio::time::timeout(limit, pending()).await;
    if ended.is_ok() {
        return Ok(());
    }
    withdraw(&system).await;
    let id = &system.id;
    Err(Failure::new(
        HResult::HCS_E_CONNECTION_TIMEOUT,
        format!("'{id}' did not shut down within {limit:?}; it can be terminated"),
    )
    .while_doing("Shutdown"))
}

/// Asks the machine, or the agent of one that is asked by that.
async fn ask_to_stop(system: &System, options: ShutdownOptions) -> Result<(), Failure> {
    let machine = Arc::clone(&system.machine);
    if blocking(move || machine.shut_down(&options)).await? {
        operations::step("asked the machine to shut down");
        return Ok(());
    }
    operations::step("asks the guest agent to shut down");
    let signal = system.machine.stop_signal();
    loop {
        let link = system.guest().await?;
        match link.shut_down(&system.target, signal) {
            // Its system was ended meanwhile, which settles this from outside, or its guest begins anew.
            Err(failure) if failure.hresult == HResult::HCS_E_CONNECTION_CLOSED => {
                link.ended().await;
            }
            asked => return asked,
        }
    }
}

/// What was asked of the processes cannot be unasked, but those that did not obey may go on, and others be created.
pub(super) async fn withdraw(system: &System) {
    if system.machine.guest().is_none() {
        return;
    }
    let withdrawn = async {
        let limit = system.context()?.config().times.guest();
        let link = system.guest().await?;
        link.withdraw_shut_down(&system.target, limit).await
    };
    if let Err(failure) = withdrawn.await {
        warn!(
            "its agent goes on refusing new processes: {}",
            failure.log_line()
        );
    }
}

/// Kills, and waits for the end of the system, which settles this from outside.
async fn terminate(system: Rc<System>) -> Result<(), Failure> {
    let limit = system.context()?.config().times.kill();
    operations::step("the engine kills the machine; waits for its end");
    let machine = Arc::clone(&system.machine);
    blocking_within(limit, "killing the machine", move || machine.kill())
        .await
        .map_err(|f| f.while_doing("Terminate"))?;
    let ended: Result<(), _> = tokio::time::timeout(limit, pending()).await;
    ended.map_err(|_| {
        Failure::new(
            HResult::HCS_E_CONNECTION_TIMEOUT,
            format!("'{}' was killed but is not gone after {limit:?}", system.id),
        )
        .while_doing("Terminate")
    })
}

/// The link has ended although the machine lives. An agent that went away may be back (the guest of a virtual machine
/// dials again); one that broke the protocol, or goes away again and again, has its system ended.
pub(super) async fn mend(system: Rc<System>) {
    let Some(old) = system.link() else {
        return;
    };
    if let Err(fault) = excuse(&system, &old) {
        system.tell_lost(&old);
        distrust(&system, fault).await;
        return;
    }
    // Nearly always the machine itself is about to be gone, and this future with it.
    tokio::time::sleep(AGENT_EXIT_TIME).await;
    system.tell_lost(&old);
    reach(system).await;
}

/// Connects to the agent of a running system that has no link to it, however long that takes: an agent may be stopped,
/// or not get its turn on a busy host, and that is no reason to end what runs in its system. Meanwhile calls to it
/// fail, and the system can be terminated.
pub(super) async fn reach(system: Rc<System>) {
    let mut rest = AGENT_EXIT_TIME;
    while system.guest_may_be_asked().is_ok() {
        let Err(Unlinked { failure, link }) = relink(&system).await else {
            return;
        };
        if rest == AGENT_EXIT_TIME {
            warn!(
                "its guest agent cannot be reached; that is tried again and again: {}",
                failure.log_line()
            );
        } else {
            debug!(
                "its guest agent still cannot be reached: {}",
                failure.log_line()
            );
        }
        // An agent that is about to be gone with its machine is not at fault.
        tokio::time::sleep(rest).await;
        if let Some(link) = link
            && let Err(fault) = excuse(&system, &link)
        {
            return distrust(&system, fault).await;
        }
        rest = LONGEST_REST.min(rest * 2);
    }
}

/// Whether an agent that ended `link` may have another: if not, why.
fn excuse(system: &System, link: &GuestLink) -> Result<(), String> {
    if let Some(fault) = link.fault() {
        return Err(fault);
    }
    if system.lost_links.lose(Instant::now()) {
        return Err("it closed its stream again and again".to_owned());
    }
    Ok(())
}

/// Ends a system whose agent is not to be believed.
async fn distrust(system: &Rc<System>, fault: String) {
    error!("its guest agent is not to be trusted any more, so it is ended: {fault}");
    system.fault.replace(Some(fault));
    let machine = Arc::clone(&system.machine);
    if let Err(failure) = blocking(move || machine.kill()).await {
        error!("it cannot be killed: {}", failure.log_line());
    }
}

/// Reaches the agent of a running system anew, and asks for the exits of the processes known of.
async fn relink(system: &Rc<System>) -> Result<(), Unlinked> {
    let limit = system.context()?.config().times.guest();
    let link = connect(system, limit, |_| Ok(())).await?;
    // Before anything else: an exit must not come between the list and the look at what is known.
    if let Err(failure) = find_unknown(system, &link, limit).await {
        let unanswered = failure.hresult == HResult::HCS_E_CONNECTION_TIMEOUT;
        if unanswered || link.has_ended() {
            return Err(Unlinked::after(link, failure));
        }
        warn!(
            "processes whose creation was not answered stay unknown: {}",
            failure.log_line()
        );
    }
    let living = system.processes.living();
    info!(
        processes = living.len(),
        "connected to its guest agent again"
    );
    for (done, process) in living.iter().enumerate() {
        link.wait_for_exit(process);
        let_others_run(done + 1).await;
    }
    system.set_link(Some(link));
    Ok(())
}

/// Takes in the processes that the agent has and this service does not know: created on behalf of a service that was
/// gone before it could write that down. A client that lists the processes can open them.
async fn find_unknown(
    system: &Rc<System>,
    link: &Rc<GuestLink>,
    limit: Duration,
) -> Result<(), Failure> {
    let listed = link.process_list(&system.target, limit).await?;
    let known = |pid: &u32| system.processes.get(*pid).is_some();
    let unknown: BTreeSet<u32> = listed.into_iter().filter(|pid| !known(pid)).collect();
    let living = system.processes.living().len();
    if living + unknown.len() > MOST_LIVING {
        let reason = format!(
            "it lists {} processes that were not known beside {living} that live, and can have {MOST_LIVING}",
            unknown.len()
        );
        return Err(link.distrusted(&reason));
    }
    let context = system.context()?;
    let (count, mut found) = (unknown.len(), 0);
    for pid in unknown {
        let Ok(share) = context.process_quota.take(system.uid) else {
            break;
        };
        let process = Process::adopted(system, pid, Remembered::default(), share);
        process.set_unclaimed();
        found += usize::from(system.processes.adopt(&process).is_ok());
        let_others_run(found).await;
    }
    match count {
        0 => {}
        _ if found == count => info!(found, "found processes whose creation was never answered"),
        _ => warn!(
            found,
            left_out = count - found,
            "found more processes whose creation was never answered than its user may have"
        ),
    }
    Ok(())
}

/// Gives the other tasks of the service their turn after each [`AT_ONCE`] processes.
pub(super) async fn let_others_run(done: usize) {
    if done.is_multiple_of(AT_ONCE) {
        tokio::task::yield_now().await;
    }
}
