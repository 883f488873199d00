//! Utilities for virtual machines: none is implemented.

use crate::ffi::absent::absent;

absent! {
    /// See `ComputeCore.h`.
    fn HcsCreateEmptyGuestStateFile(guest_state_file_path: text);
    /// See `ComputeCore.h`.
    fn HcsCreateEmptyRuntimeStateFile(runtime_state_file_path: text);
    /// See `ComputeCore.h`.
    fn HcsGrantVmAccess(vm_id: text, file_path: text);
    /// See `ComputeCore.h`.
    fn HcsRevokeVmAccess(vm_id: text, file_path: text);
    /// See `ComputeCore.h`.
    fn HcsGrantVmGroupAccess(file_path: text);
    /// See `ComputeCore.h`.
    fn HcsRevokeVmGroupAccess(file_path: text);
    /// See `ComputeCore.h`.
    fn HcsGetProcessorCompatibilityFromSavedState(
        runtime_file_name: text,
        processor_features_string: any_out,
    );
}
