//! The functions about compute systems.

use std::ffi::c_void;

use hcs::raw;
use hcs_schema::HResult;

use crate::{
    abi::{HANDLE, HCS_EVENT_CALLBACK, HRESULT, Handle, PCWSTR, PWSTR, SECURITY_DESCRIPTOR},
    ffi::{
        callback::{self, Strings},
        named::SYSTEMS,
        operation::{limit, track},
        out::Out,
        panic::guard,
        string,
    },
};

/// A method of [`raw::System`] that takes an operation and an optional document.
type SystemFunction = fn(&raw::System, &raw::Operation, Option<&str>) -> Result<(), HResult>;

/// Starts `call` on `system`.
///
/// # Safety
/// `document` is NULL or a string.
unsafe fn start(
    system: Handle,
    operation: Handle,
    document: PCWSTR,
    call: SystemFunction,
) -> HRESULT {
    guard(|| {
        both(system, operation)?;
        // SAFETY: the caller's promise is the same.
        let document = unsafe { string::optional(document) };
        let system = SYSTEMS.get(system)?;
        track(operation, |operation| {
            call(&system, operation, document.as_deref())
        })
    })
}

/// Refuses NULL before anything is said about either handle.
///
/// # Errors
/// `E_INVALIDARG`.
pub(crate) fn both(target: Handle, operation: Handle) -> Result<(), HResult> {
    if target.is_null() || operation.is_null() {
        return Err(HResult::E_INVALIDARG);
    }
    Ok(())
}

/// Refuses an argument that has no meaning on Linux.
///
/// # Errors
/// `E_INVALIDARG` unless it is NULL.
pub(crate) fn reserved(pointer: *const c_void) -> Result<(), HResult> {
    if pointer.is_null() {
        return Ok(());
    }
    Err(HResult::E_INVALIDARG)
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsCreateComputeSystem(
    id: PCWSTR,
    configuration: PCWSTR,
    operation: Handle,
    security_descriptor: *const SECURITY_DESCRIPTOR,
    compute_system: *mut Handle,
) -> HRESULT {
    guard(|| {
        // SAFETY: the caller passes a place for a handle.
        let out = unsafe { Out::new(compute_system) }.required()?;
        reserved(security_descriptor.cast())?;
        both(operation, operation)?;
        // SAFETY: the caller passes a string.
        let id = unsafe { string::id(id) }?;
        // SAFETY: the caller passes a string.
        let document = unsafe { string::required(configuration) }?;
        track(operation, |operation| {
            SYSTEMS.create(&out, || raw::System::create(&id, &document, operation))
        })
    })
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsOpenComputeSystem(
    id: PCWSTR,
    requested_access: u32,
    compute_system: *mut Handle,
) -> HRESULT {
    guard(|| {
        // SAFETY: the caller passes a place for a handle.
        let out = unsafe { Out::new(compute_system) }.required()?;
        // SAFETY: the caller passes a string.
        let id = unsafe { string::id(id) }?;
        let system = raw::System::open(&id, requested_access).map_err(|f| f.hresult)?;
        SYSTEMS.create(&out, || Ok(system))
    })
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsCloseComputeSystem(compute_system: Handle) {
    guard(|| {
        SYSTEMS.close(compute_system);
        Ok(())
    });
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsStartComputeSystem(
    compute_system: Handle,
    operation: Handle,
    options: PCWSTR,
) -> HRESULT {
    // SAFETY: the caller passes NULL or a string.
    unsafe { start(compute_system, operation, options, raw::System::start) }
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsShutDownComputeSystem(
    compute_system: Handle,
    operation: Handle,
    options: PCWSTR,
) -> HRESULT {
    // SAFETY: the caller passes NULL or a string.
    unsafe { start(compute_system, operation, options, raw::System::shut_down) }
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsTerminateComputeSystem(
    compute_system: Handle,
    operation: Handle,
    options: PCWSTR,
) -> HRESULT {
    // SAFETY: the caller passes NULL or a string.
    unsafe { start(compute_system, operation, options, raw::System::terminate) }
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsCrashComputeSystem(
    compute_system: Handle,
    operation: Handle,
    options: PCWSTR,
) -> HRESULT {
    // SAFETY: the caller passes NULL or a string.
    unsafe { start(compute_system, operation, options, raw::System::crash) }
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsPauseComputeSystem(
    compute_system: Handle,
    operation: Handle,
    options: PCWSTR,
) -> HRESULT {
    // SAFETY: the caller passes NULL or a string.
    unsafe { start(compute_system, operation, options, raw::System::pause) }
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsResumeComputeSystem(
    compute_system: Handle,
    operation: Handle,
    options: PCWSTR,
) -> HRESULT {
    // SAFETY: the caller passes NULL or a string.
    unsafe { start(compute_system, operation, options, raw::System::resume) }
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsSaveComputeSystem(
    compute_system: Handle,
    operation: Handle,
    options: PCWSTR,
) -> HRESULT {
    // SAFETY: the caller passes NULL or a string.
    unsafe { start(compute_system, operation, options, raw::System::save) }
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsGetComputeSystemProperties(
    compute_system: Handle,
    operation: Handle,
    property_query: PCWSTR,
) -> HRESULT {
    // SAFETY: the caller passes NULL or a string.
    unsafe {
        start(
            compute_system,
            operation,
            property_query,
            raw::System::properties,
        )
    }
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsModifyComputeSystem(
    compute_system: Handle,
    operation: Handle,
    configuration: PCWSTR,
    identity: HANDLE,
) -> HRESULT {
    guard(|| {
        reserved(identity)?;
        both(compute_system, operation)?;
        // SAFETY: the caller passes a string.
        let document = unsafe { string::required(configuration) }?;
        let system = SYSTEMS.get(compute_system)?;
        track(operation, |operation| system.modify(operation, &document))
    })
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsWaitForComputeSystemExit(
    compute_system: Handle,
    timeout_ms: u32,
    result: *mut PWSTR,
) -> HRESULT {
    guard(|| {
        // SAFETY: the caller passes NULL or a place for a pointer.
        let out = unsafe { Out::new(result) };
        let status = SYSTEMS.get(compute_system)?.wait_exit(limit(timeout_ms))?;
        out.document(Some(&status))
    })
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsSetComputeSystemCallback(
    compute_system: Handle,
    callback_options: i32,
    context: *const c_void,
    callback: HCS_EVENT_CALLBACK,
) -> HRESULT {
    guard(|| {
        let options = callback::options(callback_options)?;
        let callback = callback::events(callback, context, Strings::Narrow);
        SYSTEMS.get(compute_system)?.set_callback(options, callback)
    })
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsEnumerateComputeSystems(
    query: PCWSTR,
    operation: Handle,
) -> HRESULT {
    guard(|| {
        // SAFETY: the caller passes NULL or a string.
        let query = unsafe { string::optional(query) };
        track(operation, |operation| {
            raw::enumerate(query.as_deref(), operation)
        })
    })
}
