//! Functions that this service will not have on Linux soon, each answering `E_NOTIMPL`: namespaces of ids, live
//! migration, and exports of the Windows library that no header declares.
//!
//! The latter are there because programs look them up by name; their parameters are not public, and the calling
//! convention lets a callee ignore them.

use hcs_schema::HResult;

use crate::{
    abi::{HRESULT, Handle, PCWSTR},
    ffi::{named::SYSTEMS, operation::track, out::Out, panic::guard, string, system::both},
};

/// Refuses bad arguments, then the call.
///
/// # Safety
/// `id_namespace` and `id` are NULL or strings.
unsafe fn in_namespace(id_namespace: PCWSTR, id: PCWSTR) -> Result<(), HResult> {
    // SAFETY: the caller's promise is the same.
    unsafe { string::required(id_namespace) }?;
    // SAFETY: the caller's promise is the same.
    unsafe { string::id(id) }?;
    Err(HResult::E_NOTIMPL)
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsCreateComputeSystemInNamespace(
    id_namespace: PCWSTR,
    id: PCWSTR,
    configuration: PCWSTR,
    operation: Handle,
    _options: *const i32,
    compute_system: *mut Handle,
) -> HRESULT {
    guard(|| {
        // SAFETY: the caller passes a place for a handle.
        unsafe { Out::new(compute_system) }.required()?;
        both(operation, operation)?;
        // SAFETY: the caller passes a string.
        unsafe { string::required(configuration) }?;
        // SAFETY: the caller passes strings.
        unsafe { in_namespace(id_namespace, id) }
    })
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsOpenComputeSystemInNamespace(
    id_namespace: PCWSTR,
    id: PCWSTR,
    _requested_access: u32,
    compute_system: *mut Handle,
) -> HRESULT {
    guard(|| {
        // SAFETY: the caller passes a place for a handle.
        unsafe { Out::new(compute_system) }.required()?;
        // SAFETY: the caller passes strings.
        unsafe { in_namespace(id_namespace, id) }
    })
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsEnumerateComputeSystemsInNamespace(
    id_namespace: PCWSTR,
    _query: PCWSTR,
    operation: Handle,
) -> HRESULT {
    guard(|| {
        both(operation, operation)?;
        // SAFETY: the caller passes a string.
        unsafe { string::required(id_namespace) }?;
        track(operation, |_| Err(HResult::E_NOTIMPL))
    })
}

fn migration(system: Handle, operation: Handle) -> HRESULT {
    guard(|| {
        both(system, operation)?;
        SYSTEMS.get(system)?;
        track(operation, |_| Err(HResult::E_NOTIMPL))
    })
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsInitializeLiveMigrationOnSource(
    compute_system: Handle,
    operation: Handle,
    _options: PCWSTR,
) -> HRESULT {
    migration(compute_system, operation)
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsStartLiveMigrationOnSource(
    compute_system: Handle,
    operation: Handle,
    _options: PCWSTR,
) -> HRESULT {
    migration(compute_system, operation)
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsStartLiveMigrationTransfer(
    compute_system: Handle,
    operation: Handle,
    _options: PCWSTR,
) -> HRESULT {
    migration(compute_system, operation)
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsFinalizeLiveMigration(
    compute_system: Handle,
    operation: Handle,
    _options: PCWSTR,
) -> HRESULT {
    migration(compute_system, operation)
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsCancelLiveMigration(
    compute_system: Handle,
    operation: Handle,
    _options: PCWSTR,
) -> HRESULT {
    migration(compute_system, operation)
}

/// Exported by the Windows library, declared by no header.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn HcsStartSystemPreservation() -> HRESULT {
    HResult::E_NOTIMPL.0
}

/// Exported by the Windows library, declared by no header.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn HcsAbortSystemPreservation() -> HRESULT {
    HResult::E_NOTIMPL.0
}

/// Exported by the Windows library, declared by no header.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn HcsFinalizeSystemPreservation() -> HRESULT {
    HResult::E_NOTIMPL.0
}

/// Exported by the Windows library, declared by no header.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn HcsSystemControl() -> HRESULT {
    HResult::E_NOTIMPL.0
}

/// Exported by the Windows library, declared by no header.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn HcsEnumerateVmWorkerProcesses() -> HRESULT {
    HResult::E_NOTIMPL.0
}

/// Exported by the Windows library, declared by no header.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn HcsFindVmWorkerProcesses() -> HRESULT {
    HResult::E_NOTIMPL.0
}

/// Exported by the Windows library, declared by no header.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn HcsGetWorkerProcessJob() -> HRESULT {
    HResult::E_NOTIMPL.0
}

/// Exported by the Windows library, declared by no header.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn HcsStartVmWorkerProcess() -> HRESULT {
    HResult::E_NOTIMPL.0
}
