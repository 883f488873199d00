//! Utilities for virtual machines: none is implemented, each refuses bad arguments and answers `E_NOTIMPL`.

use hcs_schema::HResult;

use crate::{
    abi::{HRESULT, PCWSTR},
    ffi::{out::Out, panic::guard, string},
};

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsCreateEmptyGuestStateFile(
    guest_state_file_path: PCWSTR,
) -> HRESULT {
    guard(|| {
        // SAFETY: the caller passes a string.
        unsafe { string::required(guest_state_file_path) }?;
        Err(HResult::E_NOTIMPL)
    })
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsCreateEmptyRuntimeStateFile(
    runtime_state_file_path: PCWSTR,
) -> HRESULT {
    guard(|| {
        // SAFETY: the caller passes a string.
        unsafe { string::required(runtime_state_file_path) }?;
        Err(HResult::E_NOTIMPL)
    })
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsGrantVmAccess(vm_id: PCWSTR, file_path: PCWSTR) -> HRESULT {
    guard(|| {
        // SAFETY: the caller passes a string.
        unsafe { string::required(vm_id) }?;
        // SAFETY: the caller passes a string.
        unsafe { string::required(file_path) }?;
        Err(HResult::E_NOTIMPL)
    })
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsRevokeVmAccess(vm_id: PCWSTR, file_path: PCWSTR) -> HRESULT {
    guard(|| {
        // SAFETY: the caller passes a string.
        unsafe { string::required(vm_id) }?;
        // SAFETY: the caller passes a string.
        unsafe { string::required(file_path) }?;
        Err(HResult::E_NOTIMPL)
    })
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsGrantVmGroupAccess(file_path: PCWSTR) -> HRESULT {
    guard(|| {
        // SAFETY: the caller passes a string.
        unsafe { string::required(file_path) }?;
        Err(HResult::E_NOTIMPL)
    })
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsRevokeVmGroupAccess(file_path: PCWSTR) -> HRESULT {
    guard(|| {
        // SAFETY: the caller passes a string.
        unsafe { string::required(file_path) }?;
        Err(HResult::E_NOTIMPL)
    })
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsGetProcessorCompatibilityFromSavedState(
    runtime_file_name: PCWSTR,
    processor_features_string: *mut PCWSTR,
) -> HRESULT {
    guard(|| {
        // SAFETY: the caller passes NULL or a place for a pointer.
        unsafe { Out::new(processor_features_string) };
        // SAFETY: the caller passes a string.
        unsafe { string::required(runtime_file_name) }?;
        Err(HResult::E_NOTIMPL)
    })
}
