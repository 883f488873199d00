//! The calls that the verbs make: each waited for, documents as types, errors as [`Failure`].

use hcs::raw::{
    Error, Operation, Process, ProcessInformation, System, enumerate, service_properties,
};
use hcs_schema::{
    Document, Failure, HResult,
    documents::{
        ComputeSystem, ProcessModifyRequest, ProcessParameters, ProcessStatus, Properties,
        SignalProcessOptions, SystemPropertyQuery, SystemPropertyType,
    },
};
use serde_json::Value;

use crate::failure::Stop;

/// Every right there is.
const ALL_ACCESS: u32 = 0x1000_0000;

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

/// Makes a call and waits for its result document.
///
/// # Errors
/// What the call ended with.
pub(crate) fn call(
    start: impl FnOnce(&Operation) -> Result<(), HResult>,
) -> Result<Option<hcs::raw::Document>, Failure> {
    let operation = Operation::new();
    start(&operation).map_err(plain)?;
    finish(&operation)
}

fn finish(operation: &Operation) -> Result<Option<hcs::raw::Document>, Failure> {
    operation.wait(None).map_err(|error| failure(&error))
}

fn failure(error: &Error) -> Failure {
    error.into()
}

fn plain(hresult: HResult) -> Failure {
    Failure::new(hresult, "")
}

/// A handle to the system `id`.
///
/// # Errors
/// There is none, or the service cannot be asked.
pub(crate) fn open(id: &str) -> Result<System, Failure> {
    System::open(id, ALL_ACCESS)
}

/// A handle to the process `pid` of a system.
///
/// # Errors
/// There is none, or the service cannot be asked.
pub(crate) fn open_process(system: &System, pid: u32) -> Result<Process, Failure> {
    Process::open(system, pid, ALL_ACCESS)
}

/// Creates a system from the text of its document.
///
/// # Errors
/// What the service refused.
pub(crate) fn create(id: &str, document: &str) -> Result<System, Failure> {
    let operation = Operation::new();
    let system = System::create(id, document, &operation).map_err(plain)?;
    finish(&operation)?;
    Ok(system)
}

/// Creates a process.
///
/// # Errors
/// Why there is none, with the exit code that tells a missing command from other failures.
pub(crate) fn create_process(
    system: &System,
    parameters: &ProcessParameters,
) -> Result<(Process, ProcessInformation), Stop> {
    let operation = Operation::new();
    let process = Process::create(system, &text(parameters)?, &operation).map_err(plain)?;
    let (_, information) = operation
        .wait_and_process_info(None, true)
        .map_err(|error| Stop::of_command(failure(&error)))?;
    Ok((process, information))
}

/// Creates a system, starts it and creates a process in it: one journey to the service, as a call on a handle may be
/// made before the call that makes the handle has been answered.
///
/// # Errors
/// The first of the three that failed. What had been made is gone then.
pub(crate) fn launch(
    id: &str,
    document: &ComputeSystem,
    parameters: &ProcessParameters,
) -> Result<(System, Process, ProcessInformation), Stop> {
    let (created, started, running) = (Operation::new(), Operation::new(), Operation::new());
    let system = System::create(id, &text(document)?, &created).map_err(plain)?;
    let launched = system.start(&started, None).and_then(|()| {
        Process::create(&system, &text(parameters).map_err(|f| f.hresult)?, &running)
    });
    finish(&created)?;
    let rest = || {
        finish(&started)?;
        let process = launched.map_err(plain)?;
        let (_, information) = running
            .wait_and_process_info(None, true)
            .map_err(|error| Stop::of_command(failure(&error)))?;
        Ok::<_, Stop>((process, information))
    };
    match rest() {
        Ok((process, information)) => Ok((system, process, information)),
        Err(mut stop) => {
            if let Err(also) = terminate(&system) {
                stop.failure = stop
                    .failure
                    .cause(format!("nor could the container be removed: {also}"));
            }
            Err(stop)
        }
    }
}

/// Ends a system; one that has ended already is fine.
///
/// # Errors
/// The service refused.
pub(crate) fn terminate(system: &System) -> Result<(), Failure> {
    match call(|operation| system.terminate(operation, None)) {
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

/// Sends a signal by its Linux number.
///
/// # Errors
/// The process is gone, or the service refused.
pub(crate) fn signal(process: &Process, number: u8) -> Result<(), Failure> {
    let options = text(&SignalProcessOptions {
        signal: Some(hcs_schema::documents::Signal::Linux(number)),
    })?;
    call(|operation| process.signal(operation, Some(&options))).map(drop)
}

/// Applies a change to a process.
///
/// # Errors
/// The process is gone, or the service refused.
pub(crate) fn modify(process: &Process, request: &ProcessModifyRequest) -> Result<(), Failure> {
    let request = text(request)?;
    call(|operation| process.modify(operation, &request)).map(drop)
}

/// Waits for the end of a process; its exit code.
///
/// # Errors
/// The service went away, or could not wait for the process itself.
pub(crate) fn wait(process: &Process) -> Result<u8, Failure> {
    let status = process.wait_exit(None).map_err(|hresult| {
        Failure::new(hresult, "the end of the process could not be waited for")
            .cause(hresult.message())
    })?;
    let status: ProcessStatus = read(&status)?;
    let result = HResult(status.last_wait_result.unwrap_or_default());
    if !result.is_success() {
        let message = "the service could not learn how the process ended";
        return Err(Failure::new(result, message).cause(result.message()));
    }
    // Linux knows 8 bits of an exit code.
    let [code, ..] = status.exit_code.unwrap_or_default().to_le_bytes();
    Ok(code)
}

/// Waits for the end of a system; its status document.
///
/// # Errors
/// The service went away.
pub(crate) fn wait_system(system: &System) -> Result<hcs::raw::Document, Failure> {
    system.wait_exit(None).map_err(|hresult| {
        Failure::new(hresult, "the end of the system could not be waited for")
            .cause(hresult.message())
    })
}

/// What is known of a system, with the properties asked for.
///
/// # Errors
/// The system is gone, or the service refused.
pub(crate) fn properties(
    system: &System,
    wanted: &[SystemPropertyType],
) -> Result<hcs::raw::Document, Failure> {
    let query = text(&SystemPropertyQuery {
        property_types: Some(wanted.to_vec()),
        ..SystemPropertyQuery::default()
    })?;
    let document = call(|operation| system.properties(operation, Some(&query)))?;
    document.ok_or_else(|| Failure::new(HResult::E_UNEXPECTED, "the service sent no properties"))
}

/// All systems the service has.
///
/// # Errors
/// The service cannot be asked.
pub(crate) fn list() -> Result<Vec<Properties>, Failure> {
    let document = call(|operation| enumerate(None, operation))?;
    let document = document.as_deref().unwrap_or("[]");
    let items: Vec<Value> = serde_json::from_str(document).map_err(|e| unreadable(&e))?;
    items.iter().map(|item| read(&item.to_string())).collect()
}

/// What the service says of itself.
///
/// # Errors
/// The service cannot be asked.
pub(crate) fn service(query: Option<&str>) -> Result<Option<hcs::raw::Document>, Failure> {
    service_properties(query).map_err(|error| failure(&error))
}

/// Reads a document the service sent. Properties that this program does not know yet are left out.
///
/// # Errors
/// It is not such a document.
pub(crate) fn read<T: Document>(text: &str) -> Result<T, Failure> {
    serde_json::from_str(text).map_err(|error| unreadable(&error))
}

/// Reads whatever JSON the service sent.
///
/// # Errors
/// It is not JSON.
pub(crate) fn read_value(text: &str) -> Result<Value, Failure> {
    serde_json::from_str(text).map_err(|error| unreadable(&error))
}

fn unreadable(error: &serde_json::Error) -> Failure {
    Failure::new(
        HResult::HCS_E_PROTOCOL_ERROR,
        "the service sent a document that cannot be read",
    )
    .because(error)
}
