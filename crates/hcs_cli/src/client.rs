//! What several verbs need of the `hcs` crate.

use hcs::{
    ComputeSystem, Endpoint, ExitStatus, Failure, HResult, Process,
    documents::{self, ProcessParameters, SystemPropertyQuery, SystemPropertyType},
    raw,
};
use serde_json::Value;

use crate::{failure::Stop, options::limit::Limit};

/// Creates a system, starts it and creates a process in it: one journey to the service, as calls on a handle may be
/// made before the call that makes the handle has been answered.
///
/// # Errors
/// The first of the three that failed. What had been made is gone then.
pub(crate) fn launch(
    id: &str,
    document: &documents::ComputeSystem,
    parameters: &ProcessParameters,
) -> Result<(ComputeSystem, Process), Stop> {
    let created = raw::Operation::new();
    let system = raw::System::create(id, &text(document)?, &created)
        .map(ComputeSystem::from)
        .map_err(|hresult| Failure::new(hresult, ""))?;
    let started = system.start();
    let running = system.create_process(parameters);
    // What is answered last is waited for first; what went wrong first is told.
    let process = running.wait().or_else(|failure| {
        created.wait(None).map_err(|error| Failure::from(&error))?;
        started.wait()?;
        Err(Stop::of_command(failure))
    });
    match process {
        Ok(process) => Ok((system, process)),
        Err(mut stop) => {
            // Where nothing was made there is nothing to be removed.
            let made = created.result().is_ok();
            if let (true, Err(also)) = (made, terminate(&system, Limit::default())) {
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
) -> Result<(ComputeSystem, Process), Stop> {
    let opened = raw::Operation::new();
    let system = Endpoint::from_environment()?
        .open_system_by(id, &opened)
        .map(ComputeSystem::from)
        .map_err(|hresult| Failure::new(hresult, ""))?;
    let process = system.create_process(parameters).wait();
    let process = process.or_else(|failure| {
        opened.wait(None).map_err(|error| Failure::from(&error))?;
        Err(Stop::of_command(failure))
    })?;
    Ok((system, process))
}

/// Ends a system; one that has ended already is fine.
///
/// # Errors
/// The service refused.
pub(crate) fn terminate(system: &ComputeSystem, limit: Limit) -> Result<(), Failure> {
    match limit.on(system.terminate()).wait() {
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

/// The exit code of a process, of which Linux knows 8 bits.
pub(crate) fn code(exit: ExitStatus) -> u8 {
    let [code, ..] = exit.code.to_le_bytes();
    code
}

/// A query for these properties.
pub(crate) fn query(wanted: &[SystemPropertyType]) -> SystemPropertyQuery {
    SystemPropertyQuery {
        property_types: Some(wanted.to_vec()),
        ..SystemPropertyQuery::default()
    }
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
