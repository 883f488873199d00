//! One file per document of the schema. Names are the schema's, in Rust's spelling: `Container_Memory` is
//! [`ContainerMemory`], its `SizeInMB` is `size_in_mb`. Every property is optional, as in the schema.

mod signal;

pub use signal::Signal;

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
    ($($module:ident::$name:ident,)*) => {
        $(
            mod $module;
            pub use $module::$name;
        )*

        /// Every document, in the order of their names.
        #[must_use]
        pub fn types() -> Vec<DocumentType> {
            vec![$(DocumentType { shape: $name::shape(), parse: parse_to_value::<$name> }),*]
        }
    };
}

macro_rules! enumerations {
    ($($module:ident::$name:ident,)*) => {
        $(
            mod $module;
            pub use $module::$name;
        )*

        /// Every enumeration's table, in the order of their names.
        #[must_use]
        pub fn enumerations() -> Vec<&'static Enumeration> {
            vec![$($name::enumeration()),*]
        }
    };
}

documents! {
    attachment::Attachment,
    attribution_record::AttributionRecord,
    basic_information::BasicInformation,
    battery::Battery,
    blackout_exited_event_details::BlackoutExitedEventDetails,
    chipset::Chipset,
    cim_mount::CimMount,
    close_handle::CloseHandle,
    com_port::ComPort,
    combined_layers::CombinedLayers,
    compatibility_info::CompatibilityInfo,
    compute_system::ComputeSystem,
    compute_system_properties::ComputeSystemProperties,
    console_image::ConsoleImage,
    console_image_query::ConsoleImageQuery,
    console_size::ConsoleSize,
    container::Container,
    container_credential_guard_add_instance_request::ContainerCredentialGuardAddInstanceRequest,
    container_credential_guard_hv_socket_service_config::ContainerCredentialGuardHvSocketServiceConfig,
    container_credential_guard_instance::ContainerCredentialGuardInstance,
    container_credential_guard_operation_request::ContainerCredentialGuardOperationRequest,
    container_credential_guard_remove_instance_request::ContainerCredentialGuardRemoveInstanceRequest,
    container_credential_guard_state::ContainerCredentialGuardState,
    container_credential_guard_system_info::ContainerCredentialGuardSystemInfo,
    container_hv_socket::ContainerHvSocket,
    container_memory::ContainerMemory,
    container_processor::ContainerProcessor,
    containers_def_batched_binding::ContainersDefBatchedBinding,
    containers_def_container::ContainersDefContainer,
    containers_def_device::ContainersDefDevice,
    cpu_group::CpuGroup,
    cpu_group_affinity::CpuGroupAffinity,
    cpu_group_config::CpuGroupConfig,
    cpu_group_configurations::CpuGroupConfigurations,
    cpu_group_property::CpuGroupProperty,
    crash_options::CrashOptions,
    crash_report::CrashReport,
    create_group_operation::CreateGroupOperation,
    debug_options::DebugOptions,
    delete_group_operation::DeleteGroupOperation,
    device::Device,
    device2::Device2,
    device_category::DeviceCategory,
    device_extension::DeviceExtension,
    device_instance::DeviceInstance,
    device_namespace::DeviceNamespace,
    devices::Devices,
    enhanced_mode_video::EnhancedModeVideo,
    error_event::ErrorEvent,
    event_data::EventData,
    export_layer_options::ExportLayerOptions,
    filesystem_layer::FilesystemLayer,
    filesystem_namespace::FilesystemNamespace,
    filtered_property_query::FilteredPropertyQuery,
    firmware_file::FirmwareFile,
    flexible_io_device::FlexibleIoDevice,
    gpu_configuration::GpuConfiguration,
    guest_connection::GuestConnection,
    guest_connection_info::GuestConnectionInfo,
    guest_crash::GuestCrash,
    guest_crash_reporting::GuestCrashReporting,
    guest_modify_setting_request::GuestModifySettingRequest,
    guest_os::GuestOs,
    guest_state::GuestState,
    heartbeat::Heartbeat,
    host_files::HostFiles,
    host_processor_modification_request::HostProcessorModificationRequest,
    hosted_system::HostedSystem,
    hv_socket_address::HvSocketAddress,
    hv_socket_service_config::HvSocketServiceConfig,
    hv_socket_system_config::HvSocketSystemConfig,
    idle_processors_request::IdleProcessorsRequest,
    inject_non_maskable_interrupt::InjectNonMaskableInterrupt,
    integration_component_status::IntegrationComponentStatus,
    interface_class::InterfaceClass,
    iov_settings::IovSettings,
    isolation_settings::IsolationSettings,
    job_cpu::JobCpu,
    job_memory::JobMemory,
    job_namespace::JobNamespace,
    job_system_root::JobSystemRoot,
    kernel_integration::KernelIntegration,
    keyboard::Keyboard,
    kvp_exchange::KvpExchange,
    kvp_query::KvpQuery,
    layer::Layer,
    layer_data::LayerData,
    linux_kernel_direct::LinuxKernelDirect,
    logical_processor::LogicalProcessor,
    mapped_directory::MappedDirectory,
    mapped_pipe::MappedPipe,
    mapped_virtual_disk::MappedVirtualDisk,
    memory_information_for_vm::MemoryInformationForVm,
    memory_migration_transfer_throttle_params::MemoryMigrationTransferThrottleParams,
    memory_stats::MemoryStats,
    migration_cancel_options::MigrationCancelOptions,
    migration_compression_settings::MigrationCompressionSettings,
    migration_finalized_options::MigrationFinalizedOptions,
    migration_initialize_options::MigrationInitializeOptions,
    migration_network_settings::MigrationNetworkSettings,
    migration_start_options::MigrationStartOptions,
    migration_transfer_options::MigrationTransferOptions,
    modification_request::ModificationRequest,
    modify_setting_request::ModifySettingRequest,
    mount_manager_mount_point::MountManagerMountPoint,
    mount_manager_namespace::MountManagerNamespace,
    mouse::Mouse,
    named_pipe_namespace::NamedPipeNamespace,
    named_pipe_symlink::NamedPipeSymlink,
    namespace::Namespace,
    network_adapter::NetworkAdapter,
    network_modify_setting_request::NetworkModifySettingRequest,
    network_namespace::NetworkNamespace,
    networking::Networking,
    numa::Numa,
    numa_processors::NumaProcessors,
    numa_range::NumaRange,
    numa_setting::NumaSetting,
    nvram::Nvram,
    nvram_variable::NvramVariable,
    nvram_vendor::NvramVendor,
    object_directory::ObjectDirectory,
    object_namespace::ObjectNamespace,
    object_symlink::ObjectSymlink,
    operation_failure::OperationFailure,
    operation_failure_info::OperationFailureInfo,
    operation_info::OperationInfo,
    operation_system_migration_notification_info::OperationSystemMigrationNotificationInfo,
    os_layer_options::OsLayerOptions,
    pause_notification::PauseNotification,
    pause_options::PauseOptions,
    plan9::Plan9,
    plan9_share::Plan9Share,
    process_details::ProcessDetails,
    process_modify_request::ProcessModifyRequest,
    process_parameters::ProcessParameters,
    process_status::ProcessStatus,
    processor_feature_set::ProcessorFeatureSet,
    processor_limits::ProcessorLimits,
    processor_stats::ProcessorStats,
    processor_topology::ProcessorTopology,
    properties::Properties,
    property_response::PropertyResponse,
    qos_capabilities::QoSCapabilities,
    rdp_connection_options::RdpConnectionOptions,
    registry_changes::RegistryChanges,
    registry_delete_key::RegistryDeleteKey,
    registry_flush_state::RegistryFlushState,
    registry_hive_stack::RegistryHiveStack,
    registry_key::RegistryKey,
    registry_layer::RegistryLayer,
    registry_make_key::RegistryMakeKey,
    registry_make_value::RegistryMakeValue,
    registry_namespace::RegistryNamespace,
    registry_redirection_node::RegistryRedirectionNode,
    registry_symlink::RegistrySymlink,
    registry_value::RegistryValue,
    resource_limit::ResourceLimit,
    restore_state::RestoreState,
    result_error::ResultError,
    rs4_network_modify_setting_request::Rs4NetworkModifySettingRequest,
    runtime_state::RuntimeState,
    save_options::SaveOptions,
    scsi::Scsi,
    security_settings::SecuritySettings,
    service_properties::ServiceProperties,
    service_property_query::ServicePropertyQuery,
    services::Services,
    set_property_operation::SetPropertyOperation,
    shared_memory_configuration::SharedMemoryConfiguration,
    shared_memory_region::SharedMemoryRegion,
    shared_memory_region_info::SharedMemoryRegionInfo,
    shutdown::Shutdown,
    shutdown_options::ShutdownOptions,
    signal_process_options::SignalProcessOptions,
    start_options::StartOptions,
    statistics::Statistics,
    storage::Storage,
    storage_qos::StorageQoS,
    storage_stats::StorageStats,
    subnode::Subnode,
    system_exit::SystemExit,
    system_exit_status::SystemExitStatus,
    system_processor_modification_request::SystemProcessorModificationRequest,
    system_property_query::SystemPropertyQuery,
    system_query::SystemQuery,
    system_time::SystemTime,
    time_zone_information::TimeZoneInformation,
    timesync::Timesync,
    topology::Topology,
    triple_fault::TripleFault,
    uefi::Uefi,
    uefi_boot_entry::UefiBootEntry,
    version::Version,
    video_monitor::VideoMonitor,
    virtio_serial::VirtioSerial,
    virtio_serial_port::VirtioSerialPort,
    virtual_device_failure::VirtualDeviceFailure,
    virtual_machine::VirtualMachine,
    virtual_machine_hv_socket::VirtualMachineHvSocket,
    virtual_machine_memory::VirtualMachineMemory,
    virtual_machine_processor::VirtualMachineProcessor,
    virtual_node_info::VirtualNodeInfo,
    virtual_pci_device::VirtualPciDevice,
    virtual_pci_function::VirtualPciFunction,
    virtual_pmem_controller::VirtualPMemController,
    virtual_pmem_device::VirtualPMemDevice,
    virtual_pmem_mapping::VirtualPMemMapping,
    virtual_smb::VirtualSmb,
    virtual_smb_share::VirtualSmbShare,
    virtual_smb_share_options::VirtualSmbShareOptions,
    vm_memory::VmMemory,
    windows_crash_report::WindowsCrashReport,
    windows_crash_reporting::WindowsCrashReporting,
    worker_exit::WorkerExit,
}

enumerations! {
    apply_secure_boot_template_type::ApplySecureBootTemplateType,
    attachment_type::AttachmentType,
    cache_mode::CacheMode,
    caching_mode::CachingMode,
    container_credential_guard_modify_operation::ContainerCredentialGuardModifyOperation,
    container_credential_guard_transport::ContainerCredentialGuardTransport,
    crash_type::CrashType,
    device_type::DeviceType,
    event_data_type::EventDataType,
    exit_initiator::ExitInitiator,
    filesystem_isolation_mode::FilesystemIsolationMode,
    filesystem_nesting_mode::FilesystemNestingMode,
    flexible_io_device_hosting_model::FlexibleIoDeviceHostingModel,
    get_property_type::GetPropertyType,
    gpu_assignment_mode::GpuAssignmentMode,
    integration_component_operating_state_reason::IntegrationComponentOperatingStateReason,
    integration_component_operational_state::IntegrationComponentOperationalState,
    interface_class_type::InterfaceClassType,
    interrupt_moderation_mode::InterruptModerationMode,
    job_termination_policy::JobTerminationPolicy,
    kvp_source::KvpSource,
    mapped_pipe_path_type::MappedPipePathType,
    memory_backing_page_size::MemoryBackingPageSize,
    memory_backing_type::MemoryBackingType,
    migration_event::MigrationEvent,
    migration_final_operation::MigrationFinalOperation,
    migration_memory_transport::MigrationMemoryTransport,
    migration_origin::MigrationOrigin,
    migration_result::MigrationResult,
    modify_operation::ModifyOperation,
    modify_property_type::ModifyPropertyType,
    modify_request_type::ModifyRequestType,
    modify_resource_type::ModifyResourceType,
    modify_service_operation::ModifyServiceOperation,
    network_modify_request_type::NetworkModifyRequestType,
    notification_type::NotificationType,
    object_directory_shadow::ObjectDirectoryShadow,
    object_symlink_scope::ObjectSymlinkScope,
    operation_failure_detail::OperationFailureDetail,
    operation_type::OperationType,
    os_layer_type::OsLayerType,
    os_type::OsType,
    path_type::PathType,
    pause_reason::PauseReason,
    pause_suspension_level::PauseSuspensionLevel,
    process_signal::ProcessSignal,
    processor_feature_set_mode::ProcessorFeatureSetMode,
    registry_hive::RegistryHive,
    registry_value_type::RegistryValueType,
    save_type::SaveType,
    serial_console::SerialConsole,
    shutdown_mechanism::ShutdownMechanism,
    shutdown_type::ShutdownType,
    state::State,
    state_override::StateOverride,
    std_handle::StdHandle,
    subnode_type::SubnodeType,
    system_exit_detail::SystemExitDetail,
    system_property_type::SystemPropertyType,
    system_type::SystemType,
    uefi_boot_device::UefiBootDevice,
    virtual_device_failure_detail::VirtualDeviceFailureDetail,
    virtual_pmem_backing_type::VirtualPMemBackingType,
    virtual_pmem_image_format::VirtualPMemImageFormat,
    virtual_slit_type::VirtualSlitType,
    windows_crash_phase::WindowsCrashPhase,
    worker_exit_detail::WorkerExitDetail,
    worker_exit_type::WorkerExitType,
}
