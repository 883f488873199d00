//! What an earlier service left: systems that live are taken over, systems that ended meanwhile are ended properly,
//! everything else is removed.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use hcs_engine::engine::{CreateRequest, Engine, Found, Machine, Swept};
use hcs_lifecycle::system::State;
use hcs_schema::{Failure, HResult, documents::ComputeSystem, parse};
use serde_json::json;
use tokio::task::JoinSet;
use tracing::{Instrument as _, error, info, info_span, warn};

use crate::{
    network,
    record::{
        blocking::{blocking, blocking_within},
        event_log::Kind,
        files::remove_directory,
        state::{
            Record, StateError,
            journal::{Entry, Journal, Remembered},
        },
    },
    system::{
        Initiator, System,
        context::Context,
        ending,
        gone::GoneMachine,
        making::{Parts, put_together, systems_root},
        process::Process,
    },
    upkeep::cpu_groups,
};

/// How long a machine has to say whether it is paused.
const ANSWER: Duration = Duration::from_secs(2);

/// Takes over all that lives, and removes all that belongs to nothing any more. Called once, before the first client.
///
/// # Errors
/// The state root cannot be read. What concerns one system only is logged.
pub(crate) async fn adopt_all(context: &Rc<Context>) -> Result<(), Failure> {
    context.slots.clear_left();
    let root = systems_root(context);
    let directories = list(&root).map_err(|e| {
        Failure::new(
            HResult::E_FAIL,
            format!("{} cannot be read", root.display()),
        )
        .because(&e)
    })?;
    let mut adoptions = JoinSet::new();
    for (runtime_id, directory) in directories {
        let context = Rc::clone(context);
        let span = info_span!("system", %runtime_id);
        let adopt = async move {
            adopt(&context, &runtime_id, &directory)
                .await
                .then_some(runtime_id)
        };
        adoptions.spawn_local(adopt.instrument(span));
    }
    let mut keep = Vec::new();
    while let Some(adopted) = adoptions.join_next().await {
        match adopted {
            Ok(runtime_id) => keep.extend(runtime_id),
            Err(e) => error!("an adoption broke off: {e}"),
        }
    }
    restore_networks(context, &keep).await;
    sweep(context, keep).await;
    Ok(())
}

/// The service before may have died between writing an exit into the event log and noting that in the journal of the
/// system: then the exit is the last event. Notes it, and so is called before any event is added.
pub(crate) fn note_last_exit(context: &Context) {
    let Some((runtime_id, pid)) = context.log.inherited_exit() else {
        return;
    };
    let directory = systems_root(context).join(runtime_id);
    let told = Journal::read(&directory).unwrap_or_default();
    if told.get(&pid).is_some_and(|process| !process.is_logged) {
        Journal::new(&directory).append(&Entry::Logged { pid });
    }
}

/// Takes over networks, and attaches again what lives and has lost its link.
async fn restore_networks(context: &Context, keep: &[String]) {
    let systems = context.registry.systems().into_iter();
    let living = systems.filter(|system| keep.contains(&system.runtime_id));
    let machine = |system: Rc<System>| (system.runtime_id.clone(), Arc::clone(&system.machine));
    let machines = living.map(machine).collect();
    context.networks.restore(keep, machines).await;
    context.networks.look_after();
}

impl Context {
    /// Leaving: without systems, known or left alone, nothing of ours stays on the host.
    pub(crate) async fn clear_up(self: &Rc<Self>) {
        let limit = self.config().times.kill();
        for system in self.registry.departed() {
            if system.has_told_its_end() {
                ending::forget(&system).await;
            }
        }
        self.removals.finish(limit).await;
        self.slots.close(&self.networks, limit).await;
        let none_left = list(&systems_root(self)).is_ok_and(|found| found.is_empty());
        if none_left && self.registry.is_empty() {
            sweep(self, Vec::new()).await;
            self.removals.finish(limit).await;
        }
    }
}

/// Removes what machines that are not in `keep` left on the host; what takes long is removed while clients are served.
async fn sweep(context: &Rc<Context>, keep: Vec<String>) {
    for engine in &context.engines {
        let (engine, keep) = (Arc::clone(engine), keep.clone());
        let name = engine.name();
        let swept = blocking(move || Ok(engine.sweep(&keep))).await;
        let swept = swept.unwrap_or_else(|failure| Swept {
            failure: Some(failure),
            ..Swept::default()
        });
        if let Some(failure) = swept.failure {
            let why = failure.log_line();
            error!(
                engine = name,
                "something of systems that are gone is left behind: {why}"
            );
        }
        context.removals.remove_remains(swept.later);
    }
}

fn list(root: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        if let Ok(name) = entry.file_name().into_string() {
            found.push((name, entry.path()));
        }
    }
    Ok(found)
}

/// What is done with the remains of a system that is not taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Remains {
    /// They are left alone, for another service or a later attempt.
    Kept,
    /// No client can name the system: they are removed.
    Removed,
}

/// Reads what an earlier service wrote down of a system.
fn read_record(context: &Context, directory: &Path) -> Result<Record, Remains> {
    match Record::read(directory) {
        Ok(record) => Ok(record),
        Err(StateError::Newer { path, version, id }) => {
            let why = format!(
                "a newer service made it ({} has version {version})",
                path.display()
            );
            error!("{why}; it is left alone");
            if let Some(id) = id {
                context.registry.set_aside(id, why);
            }
            Err(Remains::Kept)
        }
        Err(StateError::Read { path, source })
            if !matches!(source.kind(), ErrorKind::NotFound | ErrorKind::InvalidData) =>
        {
            let path = path.display();
            error!(
                "{path} cannot be read for now ({source}); the system is left alone until the next start"
            );
            Err(Remains::Kept)
        }
        Err(e) => {
            // Nothing was written down yet, or what was cannot be used: no client can name this system.
            let reason = Failure::new(HResult::E_FAIL, "its record cannot be read").because(&e);
            warn!(reason = reason.log_line(), "it is removed");
            for engine in &context.engines {
                engine.end_unrecorded(directory);
            }
            remove_directory(directory);
            Err(Remains::Removed)
        }
    }
}

/// Takes over one system. Returns whether what belongs to it on the host is to be kept.
async fn adopt(context: &Rc<Context>, runtime_id: &str, directory: &Path) -> bool {
    let record = match read_record(context, directory) {
        Ok(record) => record,
        Err(remains) => return remains == Remains::Kept,
    };
    let Some(engine) = context
        .engines
        .iter()
        .find(|engine| engine.name() == record.engine)
    else {
        error!(
            engine = record.engine,
            "this service has no such engine; it is left alone"
        );
        return true;
    };
    let mut document: ComputeSystem = match parse(&record.document) {
        Ok(document) => document,
        Err(failure) => {
            error!(
                "what it was made from cannot be read, so it is removed: {}",
                failure.log_line()
            );
            remove_directory(directory);
            return false;
        }
    };
    // It has its place, which is written down apart.
    let _place = network::claim(&mut document);
    let id = record.id.clone();
    let request = CreateRequest {
        id: record.id.clone(),
        runtime_id: runtime_id.to_owned(),
        document,
        directory: directory.to_owned(),
        user: record.uid,
    };
    match take_over(context, Arc::clone(engine), request, record).await {
        Ok(lives) => lives,
        Err(failure) => {
            error!(
                "it cannot be taken over for now; it is left alone: {}",
                failure.log_line()
            );
            context.registry.set_aside(id, failure.to_string());
            true
        }
    }
}

/// A machine that an earlier service recorded.
struct Recorded {
    /// It, or what stands for one that is gone.
    machine: Arc<dyn Machine>,
    lives: bool,
    /// `None` when it does not tell.
    is_paused: Option<bool>,
}

/// Looks for the machine that an earlier service recorded.
async fn find_machine(
    context: &Context,
    engine: &Arc<dyn Engine>,
    request: &CreateRequest,
    recorded: String,
) -> Result<Recorded, Failure> {
    let limit = context.config().times.start();
    let (engine, asked) = (Arc::clone(engine), request.clone());
    let found = blocking_within(limit, "finding the machine", move || {
        engine.adopt(&asked, &recorded)
    })
    .await?;
    match found {
        Found::Living(machine) => Ok(Recorded {
            is_paused: is_paused(&machine, &request.id).await,
            machine,
            lives: true,
        }),
        Found::Gone { why, exit, guest } => {
            info!(
                id = request.id,
                "it ended while no service was there: {why}"
            );
            Ok(Recorded {
                machine: Arc::new(GoneMachine::new(exit, guest)?),
                lives: false,
                is_paused: None,
            })
        }
    }
}

/// Asks a machine whether it is paused. All clients wait for adoptions, and a machine may be in the hands of its guest:
/// of one that does not answer soon, what the earlier service wrote down holds.
async fn is_paused(machine: &Arc<dyn Machine>, id: &str) -> Option<bool> {
    let asked = Arc::clone(machine);
    let answer = blocking_within(ANSWER, "asking whether it is paused", move || {
        Ok(asked.is_paused())
    });
    answer.await.unwrap_or_else(|failure| {
        warn!(id, "{}", failure.log_line());
        None
    })
}

/// Gives a system its recorded processes.
fn adopt_processes(
    context: &Context,
    system: &Rc<System>,
    uid: u32,
    remembered: BTreeMap<u32, Remembered>,
) {
    for (pid, remembered) in remembered {
        let share = context.process_quota.count(uid);
        let process = Process::adopted(system, pid, remembered, share);
        if remembered.is_logged {
            process.set_exit_is_told();
        }
        if let Err(reason) = system.processes.adopt(&process) {
            warn!(pid, %reason, "a recorded process is left out");
        }
        if let Some(ending) = remembered.exit {
            process.ended(ending);
        }
    }
}

/// The state of a system that was recorded in `state`.
const fn found_in(state: State, is_paused: Option<bool>) -> State {
    match (state, is_paused) {
        // The service before died while it paused or resumed it.
        (State::Running, Some(true)) => State::Paused,
        (State::Paused, Some(false)) => State::Running,
        (recorded, _) => recorded,
    }
}

/// Writes into the event log that a system is taken over, unless its end is there.
fn tell_adoption(context: &Context, system: &System, lives: bool, state: State) {
    if !lives && context.log.tells_end(&system.runtime_id) {
        system.set_end_told();
    } else {
        let about = json!({ "State": state.name(), "Lives": lives });
        system.note(Kind::SystemAdopted, None, Initiator::Service, Some(about));
    }
}

/// Takes over the system of `request`, or what is left of it. Returns whether it lives.
async fn take_over(
    context: &Rc<Context>,
    engine: Arc<dyn Engine>,
    request: CreateRequest,
    record: Record,
) -> Result<bool, Failure> {
    let directory = request.directory.clone();
    let state = State::from_name(&record.state).unwrap_or(State::Running);
    let remembered = Journal::read(&directory).unwrap_or_else(|e| {
        error!("its processes are not known: {e}");
        BTreeMap::new()
    });
    if let Err(e) = Journal::compact(&directory, &remembered) {
        warn!("its journal goes on growing: {e}");
    }
    let cpu_group = cpu_groups::asked_for(&*engine, &request.document);
    let Recorded {
        machine,
        lives,
        is_paused,
    } = find_machine(context, &engine, &request, record.machine).await?;
    let state = found_in(state, is_paused);
    // A system that has ended owns its id no more: another may have been created under it since.
    let reservation = lives
        .then(|| context.registry.reserve(&request.id))
        .transpose()?;
    let parts = Parts {
        cpu_group,
        request,
        text: record.document,
        uid: record.uid,
        engine,
        state,
        asked_to_stop: record.asked_to_stop,
        terminate_on_last_handle_closed: Some(record.terminate_on_last_handle_closed),
        memory_kills: record.memory_kills,
        ledger: record.calls.settle(state),
    };
    let share = context.system_quota.count(record.uid);
    let system = put_together(context, parts, machine, share);
    system.adopt_detached(record.detached_command);
    adopt_processes(context, &system, record.uid, remembered);
    tell_adoption(context, &system, lives, state);
    if !lives {
        system.learn_of_gone().await;
    }
    system.start_adopted(lives, context.config().times.reconnect())?;
    if !lives {
        // From now on clients that come back find it, and what has become of their calls.
        context.registry.remember_departed(&system);
    }
    if let Some(reservation) = reservation {
        reservation.fill(&system);
    }
    info!(id = system.id, lives, state = state.name(), "taken over");
    Ok(lives)
}
