//! One file per document of the schema, in a folder per noun; an enumeration that one document uses stands in its file.
//! Names are the schema's, in Rust's spelling: `Container_Memory` is
//! [`ContainerMemory`], its `SizeInMB` is `size_in_mb`. Every property is optional, as in the schema.

mod container;
mod network;
mod process;
mod service;
mod system;
mod virtual_machine;
mod windows;

pub use container::*;
pub use network::*;
pub use process::*;
pub use service::*;
pub use system::*;
pub use virtual_machine::*;
pub use windows::*;

use serde_json::Value;

use crate::{
    Document, Failure, HResult,
    shape::{Enumeration, Shape},
};

/// One document of the schema as a value, for code that knows its name only at run time.
#[derive(Clone, Copy, Debug)]
pub struct DocumentType {
    /// Its name and properties.
    pub shape: &'static Shape,
    /// [`crate::parse()`] for it; gives the document as JSON again, without values that were `null`.
    pub parse: fn(&str) -> Result<Value, Failure>,
}

/// The document called `name`, by the schema's spelling or Rust's.
#[must_use]
pub fn find(name: &str) -> Option<DocumentType> {
    let plain = |name: &str| name.replace('_', "");
    types()
        .into_iter()
        .find(|t| plain(t.shape.name) == plain(name))
}

fn parse_to_value<T: Document>(text: &str) -> Result<Value, Failure> {
    let document: T = crate::parse(text)?;
    serde_json::to_value(document).map_err(|error| {
        let message = format!("the {} document cannot be written", T::shape().name);
        Failure::new(HResult::E_UNEXPECTED, message).because(&error)
    })
}

macro_rules! documents {
    ($($name:ident,)*) => {
        /// Every document, in the order of their names.
        #[must_use]
        pub fn types() -> Vec<DocumentType> {
            vec![$(DocumentType { shape: $name::shape(), parse: parse_to_value::<$name> }),*]
        }
    };
}

macro_rules! enumerations {
    ($($name:ident,)*) => {
        /// Every enumeration's table, in the order of their names.
        #[must_use]
        pub fn enumerations() -> Vec<&'static Enumeration> {
            vec![$($name::enumeration()),*]
        }
    };
}

documents! {
    Archive,
    Attachment,
    AttributionRecord,
    BasicInformation,
    Battery,
    BlackoutExitedEventDetails,
    Chipset,
    CimMount,
    CloseHandle,
    ComPort,
    CombinedLayers,
    CompatibilityInfo,
    ComputeSystem,
    ComputeSystemProperties,
    ConsoleImage,
    ConsoleImageQuery,
    ConsoleSize,
    Container,
    ContainerCredentialGuardAddInstanceRequest,
    ContainerCredentialGuardHvSocketServiceConfig,
    ContainerCredentialGuardInstance,
    ContainerCredentialGuardOperationRequest,
    ContainerCredentialGuardRemoveInstanceRequest,
    ContainerCredentialGuardState,
    ContainerCredentialGuardSystemInfo,
    ContainerHvSocket,
    ContainerImage,
    ContainerMemory,
    ContainerProcessor,
    ContainersDefBatchedBinding,
    ContainersDefContainer,
    ContainersDefDevice,
    CpuGroup,
    CpuGroupAffinity,
    CpuGroupConfig,
    CpuGroupConfigurations,
    CpuGroupProperty,
    CrashOptions,
    CrashReport,
    CreateGroupOperation,
    DebugOptions,
    DeleteGroupOperation,
    Device,
    Device2,
    DeviceCategory,
    DeviceExtension,
    DeviceInstance,
    DeviceNamespace,
    Devices,
    EnhancedModeVideo,
    ErrorEvent,
    EventData,
    ExportLayerOptions,
    FilesystemLayer,
    FilesystemNamespace,
    FilteredPropertyQuery,
    FirmwareFile,
    FlexibleIoDevice,
    GpuConfiguration,
    GuestConnection,
    GuestConnectionInfo,
    GuestCrash,
    GuestCrashReporting,
    GuestCrashSaveInfo,
    GuestModifySettingRequest,
    GuestOs,
    GuestState,
    Heartbeat,
    HostEntry,
    HostFiles,
    HostProcessorModificationRequest,
    HostedSystem,
    HvSocketAddress,
    HvSocketServiceConfig,
    HvSocketSystemConfig,
    IdleProcessorsRequest,
    InjectNonMaskableInterrupt,
    IntegrationComponentStatus,
    InterfaceClass,
    IovSettings,
    IsolationSettings,
    JobCpu,
    JobMemory,
    JobNamespace,
    JobSystemRoot,
    KernelIntegration,
    Keyboard,
    KvpExchange,
    KvpQuery,
    Layer,
    LayerData,
    LinuxKernelDirect,
    LogicalProcessor,
    MappedDevice,
    MappedDirectory,
    MappedPipe,
    MappedVirtualDisk,
    MemoryInformationForVm,
    MemoryMigrationTransferThrottleParams,
    MemoryStats,
    MigrationCancelOptions,
    MigrationCompressionSettings,
    MigrationFinalizedOptions,
    MigrationInitializeOptions,
    MigrationNetworkSettings,
    MigrationStartOptions,
    MigrationTransferOptions,
    ModificationRequest,
    ModifySettingRequest,
    MountManagerMountPoint,
    MountManagerNamespace,
    Mouse,
    NamedPipeNamespace,
    NamedPipeSymlink,
    Namespace,
    NetworkAdapter,
    NetworkModifySettingRequest,
    NetworkNamespace,
    NetworkStats,
    Networking,
    Numa,
    NumaProcessors,
    NumaRange,
    NumaSetting,
    Nvram,
    NvramVariable,
    NvramVendor,
    ObjectDirectory,
    ObjectNamespace,
    ObjectSymlink,
    OperationFailure,
    OperationFailureInfo,
    OperationInfo,
    OperationSystemMigrationNotificationInfo,
    OsLayerOptions,
    PauseNotification,
    PauseOptions,
    Plan9,
    Plan9Share,
    ProcessDefaults,
    ProcessDetails,
    ProcessModifyRequest,
    ProcessParameters,
    ProcessStatus,
    ProcessorCapabilitiesInfo,
    ProcessorFeatureSet,
    ProcessorLimits,
    ProcessorStats,
    ProcessorTopology,
    Properties,
    PropertyResponse,
    QoSCapabilities,
    RdpConnectionOptions,
    RegistryChanges,
    RegistryDeleteKey,
    RegistryFlushState,
    RegistryHiveStack,
    RegistryKey,
    RegistryLayer,
    RegistryMakeKey,
    RegistryMakeValue,
    RegistryNamespace,
    RegistryRedirectionNode,
    RegistrySymlink,
    RegistryValue,
    ResourceLimit,
    RestoreState,
    ResultError,
    Rs4NetworkModifySettingRequest,
    RuntimeState,
    SaveOptions,
    Scsi,
    SecuritySettings,
    ServiceProperties,
    ServicePropertyQuery,
    Services,
    SetPropertyOperation,
    SharedMemoryConfiguration,
    SharedMemoryRegion,
    SharedMemoryRegionInfo,
    Shutdown,
    ShutdownOptions,
    SignalProcessOptions,
    StartOptions,
    Statistics,
    Storage,
    StorageQoS,
    StorageStats,
    Subnode,
    SystemExit,
    SystemExitStatus,
    SystemProcessorModificationRequest,
    SystemPropertyQuery,
    SystemQuery,
    SystemTime,
    TemporaryDirectory,
    TimeZoneInformation,
    Timesync,
    Topology,
    TripleFault,
    Uefi,
    UefiBootEntry,
    Version,
    VideoMonitor,
    VirtioSerial,
    VirtioSerialPort,
    VirtualDeviceFailure,
    VirtualMachine,
    VirtualMachineHvSocket,
    VirtualMachineMemory,
    VirtualMachineProcessor,
    VirtualNodeInfo,
    VirtualPciDevice,
    VirtualPciFunction,
    VirtualPMemController,
    VirtualPMemDevice,
    VirtualPMemMapping,
    VirtualSmb,
    VirtualSmbShare,
    VirtualSmbShareOptions,
    VmMemory,
    WindowsCrashReport,
    WindowsCrashReporting,
    WorkerExit,
}

enumerations! {
    ApplySecureBootTemplateType,
    ArchiveOperation,
    AttachmentType,
    CacheMode,
    CachingMode,
    ContainerCredentialGuardModifyOperation,
    ContainerCredentialGuardTransport,
    CrashType,
    DeviceType,
    EventDataType,
    ExitInitiator,
    FilesystemIsolationMode,
    FilesystemNestingMode,
    FlexibleIoDeviceHostingModel,
    GetPropertyType,
    GpuAssignmentMode,
    IntegrationComponentOperatingStateReason,
    IntegrationComponentOperationalState,
    InterfaceClassType,
    InterruptModerationMode,
    JobTerminationPolicy,
    KvpSource,
    MappedPipePathType,
    MemoryBackingPageSize,
    MemoryBackingType,
    MigrationEvent,
    MigrationFinalOperation,
    MigrationMemoryTransport,
    MigrationOrigin,
    MigrationResult,
    ModifyOperation,
    ModifyPropertyType,
    ModifyRequestType,
    ModifyResourceType,
    ModifyServiceOperation,
    NetworkModifyRequestType,
    NonArchitecturalCoreSharing,
    NotificationType,
    ObjectDirectoryShadow,
    ObjectSymlinkScope,
    OperationFailureDetail,
    OperationType,
    OsLayerType,
    OsType,
    PathType,
    PauseReason,
    PauseSuspensionLevel,
    ProcessSignal,
    ProcessorFeatureSetMode,
    RegistryHive,
    RegistryValueType,
    SaveType,
    SerialConsole,
    ShutdownMechanism,
    ShutdownType,
    State,
    StateOverride,
    StdHandle,
    SubnodeType,
    SystemExitDetail,
    SystemPropertyType,
    SystemType,
    UefiBootDevice,
    VirtualDeviceFailureDetail,
    VirtualPMemBackingType,
    VirtualPMemImageFormat,
    VirtualSlitType,
    WindowsCrashPhase,
    WorkerExitDetail,
    WorkerExitType,
}
