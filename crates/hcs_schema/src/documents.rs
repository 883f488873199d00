//! Documents. (First cut; being replaced by one file per document.)
#![expect(missing_docs, reason = "first cut")]

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

macro_rules! documents {
    ($($name:ident { $($field:ident: $type:ty = $json:literal),* $(,)? })*) => {
        $(#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name { $(#[serde(rename = $json, skip_serializing_if = "Option::is_none")] pub $field: Option<$type>,)* })*
    };
}

documents! {
    Version { major: u32 = "Major", minor: u32 = "Minor" }
    ComputeSystem { owner: String = "Owner", schema_version: Version = "SchemaVersion", hosting_system_id: String = "HostingSystemId",
        container: Container = "Container", virtual_machine: serde_json::Value = "VirtualMachine",
        should_terminate_on_last_handle_closed: bool = "ShouldTerminateOnLastHandleClosed" }
    Container { guest_os: GuestOs = "GuestOs", storage: Storage = "Storage", mapped_directories: Vec<MappedDirectory> = "MappedDirectories",
        mapped_pipes: Vec<MappedPipe> = "MappedPipes", memory: ContainerMemory = "Memory", processor: ContainerProcessor = "Processor",
        networking: Networking = "Networking" }
    GuestOs { host_name: String = "HostName" }
    Storage { layers: Vec<Layer> = "Layers", path: String = "Path" }
    Layer { id: String = "Id", path: String = "Path" }
    MappedDirectory { host_path: String = "HostPath", container_path: String = "ContainerPath", read_only: bool = "ReadOnly" }
    MappedPipe { container_pipe_name: String = "ContainerPipeName", host_path: String = "HostPath" }
    ContainerMemory { size_in_mb: u64 = "SizeInMB" }
    ContainerProcessor { count: u32 = "Count", weight: i64 = "Weight", maximum: i64 = "Maximum" }
    Networking { namespace: String = "Namespace" }
    ProcessParameters { application_name: String = "ApplicationName", command_line: String = "CommandLine", command_args: Vec<String> = "CommandArgs",
        user: String = "User", working_directory: String = "WorkingDirectory", environment: BTreeMap<String, String> = "Environment",
        restricted_token: bool = "RestrictedToken", emulate_console: bool = "EmulateConsole", create_std_in_pipe: bool = "CreateStdInPipe",
        create_std_out_pipe: bool = "CreateStdOutPipe", create_std_err_pipe: bool = "CreateStdErrPipe", console_size: Vec<u16> = "ConsoleSize",
        use_existing_login: bool = "UseExistingLogin", use_legacy_console: bool = "UseLegacyConsole" }
    Statistics { uptime100ns: u64 = "Uptime100ns", processor: ProcessorStats = "Processor", memory: MemoryStats = "Memory", storage: StorageStats = "Storage",
        timestamp: String = "Timestamp", container_start_time: String = "ContainerStartTime" }
    ProcessorStats { total_runtime100ns: u64 = "TotalRuntime100ns", runtime_user100ns: u64 = "RuntimeUser100ns", runtime_kernel100ns: u64 = "RuntimeKernel100ns" }
    MemoryStats { memory_usage_commit_bytes: u64 = "MemoryUsageCommitBytes", memory_usage_commit_peak_bytes: u64 = "MemoryUsageCommitPeakBytes",
        memory_usage_private_working_set_bytes: u64 = "MemoryUsagePrivateWorkingSetBytes" }
    StorageStats { read_count_normalized: u64 = "ReadCountNormalized", read_size_bytes: u64 = "ReadSizeBytes",
        write_count_normalized: u64 = "WriteCountNormalized", write_size_bytes: u64 = "WriteSizeBytes" }
}
