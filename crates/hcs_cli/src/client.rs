//! What several verbs need of the `hcs` crate.

use hcs::{
    ComputeSystem, Failure, HResult, Process,
    documents::{self, ProcessParameters, SystemPropertyQuery, SystemPropertyType},
    raw,
};
use serde_json::Value;

use crate::failure::Stop;

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
    created.wait(None).map_err(|error| Failure::from(&error))?;
    let process = started
        .wait()
        .map_err(Stop::from)
        .and_then(|()| running.wait().map_err(Stop::of_command));
    match process {
        Ok(process) => Ok((system, process)),
        Err(mut stop) => {
            if let Err(also) = terminate(&system) {
                let message = format!("nor could the container be removed: {also}");
                stop.failure = stop.failure.cause(message);
            }
            Err(stop)
        }
    }
}

/// Ends a system; one that has ended already is fine.
///
/// # Errors
/// The service refused.
pub(crate) fn terminate(system: &ComputeSystem) -> Result<(), Failure> {
    match system.terminate().wait() {
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

/// Waits for the end of a process; its exit code.
///
/// # Errors
/// The service went away, or could not learn how the process ended.
pub(crate) fn wait(process: &Process) -> Result<u8, Failure> {
    // Linux knows 8 bits of an exit code.
    let [code, ..] = process.wait()?.code.to_le_bytes();
    Ok(code)
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
