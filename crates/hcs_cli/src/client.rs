//! What several verbs need of the `hcs` crate.

use std::ffi::OsStr;

use hcs::{
    ComputeSystem, Endpoint, ExitStatus, Failure, HResult, Operation, Process,
    documents::{
        self, ProcessParameters, Properties, State, SystemPropertyQuery, SystemPropertyType,
        SystemQuery,
    },
    enumerate, raw,
};
use serde_json::Value;

use crate::{
    advice,
    clock::Clock,
    complain,
    failure::{self, Stop},
    options::systems::{Ending, Systems},
};

/// Verbs that have something to do before they call the service, and always call it.
const CALLING: [&str; 5] = ["create", "exec", "list", "ps", "run"];

/// Verbs that send pipes to the service, and start no program of the host. What `run` may start comes before
/// [`launch`].
const SENDING: [&str; 4] = ["attach", "cp", "exec", "logs"];

/// Connects to the service where `verb`, as it was typed, will call it: it answers while the arguments are read. Where
/// `verb` sends pipes, the limit on open files is raised before: the kernel holds those of others against it.
pub(crate) fn begin(verb: Option<&OsStr>) {
    let is_of = |verbs: &[&str]| verb.is_some_and(|verb| verbs.iter().any(|known| verb == *known));
    if is_of(&SENDING) {
        hcs::raise_limit();
    }
    if is_of(&CALLING)
        && let Ok(endpoint) = Endpoint::from_environment()
    {
        endpoint.begin();
    }
}

/// Creates a system, starts it and creates a process in it: one journey to the service, as calls on a handle may be
/// made before the call that makes the handle has been answered.
///
/// # Errors
/// The first of the three that failed. What had been made is gone then.
pub(crate) fn launch(
    id: &str,
    document: &documents::ComputeSystem,
    parameters: &ProcessParameters,
    clock: Clock,
) -> Result<(ComputeSystem, Process), Stop> {
    hcs::raise_limit();
    let created = raw::Operation::new();
    clock.on_raw(&created);
    let system = raw::System::create(id, &text(document)?, &created)
        .map(ComputeSystem::from)
        .map_err(|hresult| Failure::new(hresult, ""))?;
    let started = clock.on(system.start());
    let running = clock.on(system.create_process(parameters));
    // What is answered last is waited for first; what went wrong first is told.
    let process = running.wait().or_else(|failure| {
        finish(&created, Ok(()))?;
        started.wait()?;
        Err(Stop::of_command(failure))
    });
    match process {
        Ok(process) => Ok((system, process)),
        Err(stop) => {
            let mut stop = advice::of_own_document(clock.stop(id, stop));
            // Where nothing was made there is nothing to be removed.
            let made = created.result().is_ok();
            if made && let Err(also) = terminate(&system, clock.grace()) {
                let message = format!("nor could the container be removed: {also}");
                stop.failure = stop.failure.cause(message);
            }
            Err(stop)
        }
    }
}

/// Opens a system and creates a process in it, in one journey as [`launch`].
///
/// # Errors
/// The first of the two that failed.
pub(crate) fn join(
    id: &str,
    parameters: &ProcessParameters,
    clock: Clock,
) -> Result<(ComputeSystem, Process), Stop> {
    let (system, opened) = open(&Endpoint::from_environment()?, id, clock)?;
    let process = clock.on(system.create_process(parameters)).wait();
    let process = process.or_else(|failure| {
        finish(&opened, Ok(())).map_err(|failure| clock.stop(id, failure))?;
        Err(clock.stop(id, Stop::of_command(failure)))
    });
    match process {
        Ok(process) => Ok((system, process)),
        Err(mut stop) => {
            if let Some(hint) = hint(&system, stop.failure.hresult, clock) {
                stop.failure = stop.failure.cause(hint);
            }
            Err(stop)
        }
    }
}

/// What makes a process possible in a system whose state does not allow it.
fn hint(system: &ComputeSystem, hresult: HResult, clock: Clock) -> Option<String> {
    if hresult != HResult::HCS_E_INVALID_STATE {
        return None;
    }
    let properties = clock.on(system.properties(&SystemPropertyQuery::default()));
    let verb = match properties.wait().ok()?.state.unwrap_or(State::Created) {
        State::Created => "start",
        State::Paused => "resume",
        _ => return None,
    };
    Some(format!("first: hcs {verb} {}", system.id()))
}

/// A handle on which calls can be made at once, and the operation that opens it.
///
/// # Errors
/// The call could not even be made.
pub(crate) fn open(
    endpoint: &Endpoint,
    id: &str,
    clock: Clock,
) -> Result<(ComputeSystem, raw::Operation), Failure> {
    let opened = raw::Operation::new();
    clock.on_raw(&opened);
    let system = endpoint
        .open_system_by(id, &opened)
        .map_err(|hresult| Failure::new(hresult, ""))?;
    Ok((system.into(), opened))
}

/// Does the same to all the systems at the same time, each in one journey.
///
/// # Errors
/// One of those that failed; the others have been told.
pub(crate) fn each(
    systems: &Systems,
    verb: &'static str,
    call: impl Fn(&ComputeSystem) -> Operation<()>,
) -> Result<u8, Stop> {
    each_but(&systems.ids, systems.limit.begin(verb), call, |_| false)
}

/// [`each_but`] for what ends systems: those that were named, or all there are. Of all, one that another client ends at
/// the same time is no failure.
///
/// # Errors
/// As [`each`].
pub(crate) fn end(
    ending: &Ending,
    verb: &'static str,
    call: impl Fn(&ComputeSystem) -> Operation<()>,
    is_fine: impl Fn(HResult) -> bool,
) -> Result<u8, Stop> {
    let clock = ending.limit.begin(verb);
    if !ending.all {
        return each_but(&ending.ids, clock, call, is_fine);
    }
    let systems = clock.wait("", enumerate(&SystemQuery::default()))?;
    let ids: Vec<String> = systems.into_iter().filter_map(|system| system.id).collect();
    each_but(&ids, clock, call, is_gone)
}

/// [`each`], where some results are as good as success.
///
/// # Errors
/// As [`each`].
fn each_but(
    ids: &[String],
    clock: Clock,
    call: impl Fn(&ComputeSystem) -> Operation<()>,
    is_fine: impl Fn(HResult) -> bool,
) -> Result<u8, Stop> {
    let endpoint = Endpoint::from_environment()?;
    let mut begun = Vec::with_capacity(ids.len());
    for id in ids {
        let (system, opened) = open(&endpoint, id, clock)?;
        begun.push((id, opened, clock.on(call(&system))));
    }
    let mut failed = None;
    for (id, opened, called) in begun {
        let ended = called.wait().or_else(|failure| {
            finish(&opened, Ok(()))?;
            if is_fine(failure.hresult) {
                Ok(())
            } else {
                Err(failure)
            }
        });
        if let Err(failure) = ended
            && let Some(before) = failed.replace(clock.stop(id, failure))
        {
            complain(&failure::text(&before.failure));
        }
    }
    failed.map_or(Ok(0), Err)
}

/// What an operation ended with, once the call is done that was `made` with it.
///
/// # Errors
/// The call could not even be made, or failed.
pub(crate) fn finish(
    operation: &raw::Operation,
    made: Result<(), HResult>,
) -> Result<Option<raw::Document>, Failure> {
    made.map_err(|hresult| Failure::new(hresult, ""))?;
    operation.wait(None).map_err(|error| Failure::from(&error))
}

/// Ends a system; one that has ended already is fine.
///
/// # Errors
/// The service refused.
pub(crate) fn terminate(system: &ComputeSystem, clock: Clock) -> Result<(), Failure> {
    match clock.on(system.terminate()).wait() {
        Err(failure) if !is_gone(failure.hresult) => Err(failure),
        _ => Ok(()),
    }
}

/// Whether a call failed because its system or process has ended.
pub(crate) fn is_gone(hresult: HResult) -> bool {
    [
        HResult::HCS_E_SYSTEM_ALREADY_STOPPED,
        HResult::HCS_E_SYSTEM_NOT_FOUND,
        HResult::HCS_E_PROCESS_ALREADY_STOPPED,
        HResult::NOT_FOUND,
    ]
    .iter()
    .any(|gone| hresult.same_error(*gone))
}

/// The exit code of a process, of which Linux knows 8 bits. Where that does not say why it ended, standard error does.
pub(crate) fn code(exit: ExitStatus) -> u8 {
    if let Some(why) = exit.out_of_memory {
        complain(&format!("hcs: killed: {why}\n"));
    }
    if let Some(limit) = exit.process_limit {
        complain(&format!(
            "hcs: failed: a process or thread more was refused, as there may be {limit} in the container: `hcs run --pids-limit` \
             says how many\n"
        ));
    }
    let [code, ..] = exit.code.to_le_bytes();
    code
}

/// A property of a system.
///
/// # Errors
/// Why it is not known.
pub(crate) fn property(
    id: &str,
    wanted: SystemPropertyType,
    clock: Clock,
) -> Result<Properties, Stop> {
    let system = clock.open(id)?;
    clock.wait(id, system.properties(&query(&[wanted])))
}

/// A query for these properties.
pub(crate) fn query(wanted: &[SystemPropertyType]) -> SystemPropertyQuery {
    SystemPropertyQuery {
        property_types: Some(wanted.to_vec()),
        ..SystemPropertyQuery::default()
    }
}

/// The document that `system` was made from.
///
/// # Errors
/// The service does not tell it.
pub(crate) fn made_from(
    system: &ComputeSystem,
    clock: Clock,
) -> Result<documents::ComputeSystem, Failure> {
    const DOCUMENT: &str = "Document";
    let asked = SystemPropertyQuery {
        property_queries: Some(
            [(DOCUMENT.to_owned(), Value::Object(serde_json::Map::new()))].into(),
        ),
        ..SystemPropertyQuery::default()
    };
    let told = clock.on(system.properties(&asked)).wait()?;
    let answer = told
        .property_responses
        .and_then(|mut all| all.remove(DOCUMENT));
    let answer = answer
        .and_then(|answer| answer.response)
        .unwrap_or_default();
    serde_json::from_value(answer).map_err(|error| {
        let message = "the service does not tell what the system was made from";
        Failure::new(HResult::E_UNEXPECTED, message).because(&error)
    })
}

/// The text of a document of ours.
///
/// # Errors
/// It cannot be written as JSON, which no document of ours can cause.
pub(crate) fn text(document: &impl serde::Serialize) -> Result<String, Failure> {
    serde_json::to_string(document).map_err(|error| {
        Failure::new(
            HResult::E_UNEXPECTED,
            "the document cannot be written as JSON",
        )
        .because(&error)
    })
}

/// Reads whatever JSON the service sent, with what this program does not know yet.
///
/// # Errors
/// It is not JSON.
pub(crate) fn read(document: Option<&str>) -> Result<Value, Failure> {
    serde_json::from_str(document.unwrap_or("{}")).map_err(|error| {
        let message = "the service sent a document that cannot be read";
        Failure::new(HResult::HCS_E_PROTOCOL_ERROR, message).because(&error)
    })
}
