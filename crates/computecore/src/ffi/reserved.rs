//! Functions that this service will not have on Linux soon: namespaces of ids, live migration, and exports of the
//! Windows library that no header declares.
//!
//! The latter are there because programs look them up by name; their parameters are not public, and the calling
//! convention lets a callee ignore them.

use crate::ffi::absent::absent;

absent! {
    /// See `ComputeCore.h`.
    fn HcsCreateComputeSystemInNamespace(
        id_namespace: text,
        id: id,
        configuration: text,
        operation: operation,
        options: any_options,
        compute_system: system_out,
    );
    /// See `ComputeCore.h`.
    fn HcsOpenComputeSystemInNamespace(
        id_namespace: text,
        id: id,
        requested_access: access,
        compute_system: system_out,
    );
    /// See `ComputeCore.h`.
    fn HcsEnumerateComputeSystemsInNamespace(
        id_namespace: text,
        query: any_text,
        operation: operation,
    );
    /// See `ComputeCore.h`.
    fn HcsInitializeLiveMigrationOnSource(
        compute_system: system,
        operation: operation,
        options: any_text,
    );
    /// See `ComputeCore.h`.
    fn HcsStartLiveMigrationOnSource(
        compute_system: system,
        operation: operation,
        options: any_text,
    );
    /// See `ComputeCore.h`.
    fn HcsStartLiveMigrationTransfer(
        compute_system: system,
        operation: operation,
        options: any_text,
    );
    /// See `ComputeCore.h`.
    fn HcsFinalizeLiveMigration(compute_system: system, operation: operation, options: any_text);
    /// See `ComputeCore.h`.
    fn HcsCancelLiveMigration(compute_system: system, operation: operation, options: any_text);
    /// Exported by the Windows library, declared by no header.
    fn HcsStartSystemPreservation();
    /// Exported by the Windows library, declared by no header.
    fn HcsAbortSystemPreservation();
    /// Exported by the Windows library, declared by no header.
    fn HcsFinalizeSystemPreservation();
    /// Exported by the Windows library, declared by no header.
    fn HcsSystemControl();
    /// Exported by the Windows library, declared by no header.
    fn HcsEnumerateVmWorkerProcesses();
    /// Exported by the Windows library, declared by no header.
    fn HcsFindVmWorkerProcesses();
    /// Exported by the Windows library, declared by no header.
    fn HcsGetWorkerProcessJob();
    /// Exported by the Windows library, declared by no header.
    fn HcsStartVmWorkerProcess();
}
