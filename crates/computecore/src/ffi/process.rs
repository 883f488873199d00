//! The functions about processes.

use std::ffi::c_void;

use hcs::raw;
use hcs_schema::HResult;

use crate::{
    abi::{HCS_EVENT_CALLBACK, HRESULT, Handle, PCWSTR, PWSTR, SECURITY_DESCRIPTOR},
    ffi::{
        callback::{self, Strings},
        named::{PROCESSES, SYSTEMS},
        operation::{limit, track},
        out::Out,
        panic::guard,
        string,
        system::{both, reserved},
    },
};

/// A method of [`raw::Process`] that takes an operation and an optional document.
type ProcessFunction = fn(&raw::Process, &raw::Operation, Option<&str>) -> Result<(), HResult>;

/// Starts `call` on `process`.
///
/// # Safety
/// `document` is NULL or a string.
unsafe fn start(
    process: Handle,
    operation: Handle,
    document: PCWSTR,
    call: ProcessFunction,
) -> HRESULT {
    guard(|| {
        both(process, operation)?;
        // SAFETY: the caller's promise is the same.
        let document = unsafe { string::optional(document) };
        let process = PROCESSES.get(process)?;
        track(operation, |operation| {
            call(&process, operation, document.as_deref())
        })
    })
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsCreateProcess(
    compute_system: Handle,
    process_parameters: PCWSTR,
    operation: Handle,
    security_descriptor: *const SECURITY_DESCRIPTOR,
    process: *mut Handle,
) -> HRESULT {
    guard(|| {
        // SAFETY: the caller passes a place for a handle.
        let out = unsafe { Out::new(process) }.required()?;
        reserved(security_descriptor.cast())?;
        both(compute_system, operation)?;
        // SAFETY: the caller passes a string.
        let document = unsafe { string::required(process_parameters) }?;
        let system = SYSTEMS.get(compute_system)?;
        track(operation, |operation| {
            PROCESSES.create(&out, || raw::Process::create(&system, &document, operation))
        })
    })
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsOpenProcess(
    compute_system: Handle,
    process_id: u32,
    requested_access: u32,
    process: *mut Handle,
) -> HRESULT {
    guard(|| {
        // SAFETY: the caller passes a place for a handle.
        let out = unsafe { Out::new(process) }.required()?;
        let system = SYSTEMS.get(compute_system)?;
        let process =
            raw::Process::open(&system, process_id, requested_access).map_err(|f| f.hresult)?;
        PROCESSES.create(&out, || Ok(process))
    })
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsCloseProcess(process: Handle) {
    guard(|| {
        PROCESSES.close(process);
        Ok(())
    });
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsTerminateProcess(
    process: Handle,
    operation: Handle,
    options: PCWSTR,
) -> HRESULT {
    // SAFETY: the caller passes NULL or a string.
    unsafe { start(process, operation, options, raw::Process::terminate) }
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsSignalProcess(
    process: Handle,
    operation: Handle,
    options: PCWSTR,
) -> HRESULT {
    // SAFETY: the caller passes NULL or a string.
    unsafe { start(process, operation, options, raw::Process::signal) }
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsGetProcessProperties(
    process: Handle,
    operation: Handle,
    property_query: PCWSTR,
) -> HRESULT {
    // SAFETY: the caller passes NULL or a string.
    unsafe { start(process, operation, property_query, raw::Process::properties) }
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsGetProcessInfo(process: Handle, operation: Handle) -> HRESULT {
    guard(|| {
        both(process, operation)?;
        let process = PROCESSES.get(process)?;
        track(operation, |operation| process.info(operation))
    })
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsModifyProcess(
    process: Handle,
    operation: Handle,
    settings: PCWSTR,
) -> HRESULT {
    guard(|| {
        both(process, operation)?;
        // SAFETY: the caller passes a string.
        let document = unsafe { string::required(settings) }?;
        let process = PROCESSES.get(process)?;
        track(operation, |operation| process.modify(operation, &document))
    })
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsSetProcessCallback(
    process: Handle,
    callback_options: i32,
    context: *mut c_void,
    callback: HCS_EVENT_CALLBACK,
) -> HRESULT {
    guard(|| {
        let options = callback::options(callback_options)?;
        let callback = callback::events(callback, context, Strings::Narrow);
        PROCESSES.get(process)?.set_callback(options, callback)
    })
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsWaitForProcessExit(
    process: Handle,
    timeout_ms: u32,
    result: *mut PWSTR,
) -> HRESULT {
    guard(|| {
        // SAFETY: the caller passes NULL or a place for a pointer.
        let out = unsafe { Out::new(result) };
        let status = PROCESSES.get(process)?.wait_exit(limit(timeout_ms))?;
        out.document(Some(&status))
    })
}
