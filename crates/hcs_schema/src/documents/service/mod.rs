//! The service itself: its properties and how they change.

mod basic_information;
mod cpu_group;
mod cpu_group_affinity;
mod cpu_group_config;
mod cpu_group_configurations;
mod cpu_group_property;
mod create_group_operation;
mod delete_group_operation;
mod filtered_property_query;
mod get_property_type;
mod host_files;
mod host_processor_modification_request;
mod idle_processors_request;
mod logical_processor;
mod memory_information_for_vm;
mod modification_request;
mod processor_capabilities_info;
mod processor_feature_set;
mod property_response;
mod qos_capabilities;
mod service_properties;
mod service_property_query;
mod set_property_operation;
mod virtual_node_info;

pub use basic_information::BasicInformation;
pub use cpu_group::CpuGroup;
pub use cpu_group_affinity::CpuGroupAffinity;
pub use cpu_group_config::CpuGroupConfig;
pub use cpu_group_configurations::CpuGroupConfigurations;
pub use cpu_group_property::CpuGroupProperty;
pub use create_group_operation::CreateGroupOperation;
pub use delete_group_operation::DeleteGroupOperation;
pub use filtered_property_query::FilteredPropertyQuery;
pub use get_property_type::GetPropertyType;
pub use host_files::HostFiles;
pub use host_processor_modification_request::{
    HostProcessorModificationRequest, ModifyServiceOperation,
};
pub use idle_processors_request::IdleProcessorsRequest;
pub use logical_processor::LogicalProcessor;
pub use memory_information_for_vm::MemoryInformationForVm;
pub use modification_request::{ModificationRequest, ModifyPropertyType};
pub use processor_capabilities_info::{NonArchitecturalCoreSharing, ProcessorCapabilitiesInfo};
pub use processor_feature_set::{ProcessorFeatureSet, ProcessorFeatureSetMode};
pub use property_response::PropertyResponse;
pub use qos_capabilities::QoSCapabilities;
pub use service_properties::ServiceProperties;
pub use service_property_query::ServicePropertyQuery;
pub use set_property_operation::SetPropertyOperation;
pub use virtual_node_info::VirtualNodeInfo;
