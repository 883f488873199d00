//! Utilities for virtual machines.

use std::path::Path;

use hcs::raw;
use hcs_schema::Failure;

use crate::{
    abi::{HRESULT, PCWSTR},
    ffi::{absent::absent, panic::guard, string},
};

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsCreateEmptyGuestStateFile(
    guest_state_file_path: PCWSTR,
) -> HRESULT {
    // SAFETY: the caller passes NULL or a string.
    unsafe { with_path(guest_state_file_path, raw::create_empty_state_file) }
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsCreateEmptyRuntimeStateFile(
    runtime_state_file_path: PCWSTR,
) -> HRESULT {
    // SAFETY: the caller passes NULL or a string.
    unsafe { with_path(runtime_state_file_path, raw::create_empty_state_file) }
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsGrantVmAccess(vm_id: PCWSTR, file_path: PCWSTR) -> HRESULT {
    // SAFETY: the caller passes NULL or strings.
    unsafe { with_id(vm_id, file_path, raw::grant_vm_access) }
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsRevokeVmAccess(vm_id: PCWSTR, file_path: PCWSTR) -> HRESULT {
    // SAFETY: the caller passes NULL or strings.
    unsafe { with_id(vm_id, file_path, raw::revoke_vm_access) }
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsGrantVmGroupAccess(file_path: PCWSTR) -> HRESULT {
    // SAFETY: the caller passes NULL or a string.
    unsafe { with_path(file_path, raw::grant_vm_group_access) }
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsRevokeVmGroupAccess(file_path: PCWSTR) -> HRESULT {
    // SAFETY: the caller passes NULL or a string.
    unsafe { with_path(file_path, raw::revoke_vm_group_access) }
}

absent! {
    /// See `ComputeCore.h`.
    fn HcsGetProcessorCompatibilityFromSavedState(
        runtime_file_name: text,
        processor_features_string: any_out,
    );
}

/// Calls a function on a file.
///
/// # Safety
/// `path` is NULL or a string.
unsafe fn with_path(path: PCWSTR, call: fn(&Path) -> Result<(), Failure>) -> HRESULT {
    guard(|| {
        // SAFETY: what the caller of this function promises.
        let path = unsafe { string::required(path) }?;
        call(Path::new(&*path)).map_err(|failure| failure.hresult)
    })
}

/// Calls a function on a virtual machine and a file.
///
/// # Safety
/// `id` and `path` are NULL or strings.
unsafe fn with_id(
    id: PCWSTR,
    path: PCWSTR,
    call: fn(&str, &Path) -> Result<(), Failure>,
) -> HRESULT {
    guard(|| {
        // SAFETY: what the caller of this function promises.
        let id = unsafe { string::id(id) }?;
        // SAFETY: the same.
        let path = unsafe { string::required(path) }?;
        call(&id, Path::new(&*path)).map_err(|failure| failure.hresult)
    })
}
