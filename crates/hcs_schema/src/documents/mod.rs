//! One file per document of the schema. Names are the schema's, in Rust's spelling: `Container_Memory` is
//! [`ContainerMemory`], its `SizeInMB` is `size_in_mb`. Every property is optional, as in the schema.

mod signal;

pub use signal::Signal;

use crate::{
    Document,
    shape::{Enumeration, Shape},
};

macro_rules! documents {
    ($($module:ident::$name:ident,)*) => {
        $(
            mod $module;
            pub use $module::$name;
        )*

        /// Every document's shape, in the order of their names.
        #[must_use]
        pub fn shapes() -> Vec<&'static Shape> {
            vec![$($name::shape()),*]
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
    basic_information::BasicInformation,
    close_handle::CloseHandle,
    compute_system::ComputeSystem,
    console_size::ConsoleSize,
    container::Container,
    container_memory::ContainerMemory,
    container_processor::ContainerProcessor,
    guest_os::GuestOs,
    layer::Layer,
    mapped_directory::MappedDirectory,
    mapped_pipe::MappedPipe,
    memory_stats::MemoryStats,
    modify_setting_request::ModifySettingRequest,
    networking::Networking,
    pause_notification::PauseNotification,
    pause_options::PauseOptions,
    process_details::ProcessDetails,
    process_modify_request::ProcessModifyRequest,
    process_parameters::ProcessParameters,
    process_status::ProcessStatus,
    processor_stats::ProcessorStats,
    properties::Properties,
    save_options::SaveOptions,
    service_properties::ServiceProperties,
    service_property_query::ServicePropertyQuery,
    shutdown_options::ShutdownOptions,
    signal_process_options::SignalProcessOptions,
    statistics::Statistics,
    storage::Storage,
    storage_qos::StorageQoS,
    storage_stats::StorageStats,
    system_exit_status::SystemExitStatus,
    system_property_query::SystemPropertyQuery,
    system_query::SystemQuery,
    version::Version,
}

enumerations! {
    cache_mode::CacheMode,
    get_property_type::GetPropertyType,
    mapped_pipe_path_type::MappedPipePathType,
    modify_operation::ModifyOperation,
    modify_request_type::ModifyRequestType,
    notification_type::NotificationType,
    os_type::OsType,
    path_type::PathType,
    pause_reason::PauseReason,
    pause_suspension_level::PauseSuspensionLevel,
    process_signal::ProcessSignal,
    save_type::SaveType,
    shutdown_mechanism::ShutdownMechanism,
    shutdown_type::ShutdownType,
    state::State,
    std_handle::StdHandle,
    system_property_type::SystemPropertyType,
    system_type::SystemType,
}
