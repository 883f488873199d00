//! The documents that clients send, each with the call that reads it.

use crate::{
    Document,
    coverage::Root,
    documents::{
        ComputeSystem, CrashOptions, CrashReport, ExportLayerOptions, LayerData,
        ModificationRequest, ModifySettingRequest, OsLayerOptions, PauseOptions,
        ProcessModifyRequest, ProcessParameters, SaveOptions, ServicePropertyQuery,
        ShutdownOptions, SignalProcessOptions, StartOptions, SystemPropertyQuery, SystemQuery,
    },
};

/// The documents that clients send.
pub const ROOTS: &[Root] = &[
    Root {
        call: "HcsCreateComputeSystem",
        shape: ComputeSystem::shape,
    },
    Root {
        call: "HcsStartComputeSystem",
        shape: StartOptions::shape,
    },
    Root {
        call: "HcsShutDownComputeSystem",
        shape: ShutdownOptions::shape,
    },
    Root {
        call: "HcsPauseComputeSystem",
        shape: PauseOptions::shape,
    },
    Root {
        call: "HcsSaveComputeSystem",
        shape: SaveOptions::shape,
    },
    Root {
        call: "HcsCrashComputeSystem",
        shape: CrashOptions::shape,
    },
    Root {
        call: "HcsEnumerateComputeSystems",
        shape: SystemQuery::shape,
    },
    Root {
        call: "HcsGetComputeSystemProperties",
        shape: SystemPropertyQuery::shape,
    },
    Root {
        call: "HcsModifyComputeSystem",
        shape: ModifySettingRequest::shape,
    },
    Root {
        call: "HcsCreateProcess",
        shape: ProcessParameters::shape,
    },
    Root {
        call: "HcsModifyProcess",
        shape: ProcessModifyRequest::shape,
    },
    Root {
        call: "HcsSignalProcess",
        shape: SignalProcessOptions::shape,
    },
    Root {
        call: "HcsGetServiceProperties",
        shape: ServicePropertyQuery::shape,
    },
    Root {
        call: "HcsModifyServiceSettings",
        shape: ModificationRequest::shape,
    },
    Root {
        call: "HcsSubmitWerReport",
        shape: CrashReport::shape,
    },
    Root {
        call: "HcsAttachLayerStorageFilter",
        shape: LayerData::shape,
    },
    Root {
        call: "HcsExportLayer",
        shape: ExportLayerOptions::shape,
    },
    Root {
        call: "HcsSetupBaseOSLayer",
        shape: OsLayerOptions::shape,
    },
];
