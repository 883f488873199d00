//! `NegotiateProtocol`: the first message of every stream.

use serde::{Deserialize, Serialize};

use super::{Renewal, RequestBase, ResponseBase};

/// `NegotiateProtocol` request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct NegotiateProtocol {
    /// Base.
    #[serde(flatten)]
    pub base: RequestBase,
    /// Oldest version the host speaks.
    pub minimum_version: u32,
    /// Newest version the host speaks.
    pub maximum_version: u32,
    /// Ours: for a virtual machine, whose agent uses it before it answers.
    #[serde(flatten)]
    pub renewal: Renewal,
}

/// `NegotiateProtocol` response.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct NegotiateProtocolResponse {
    /// Base.
    #[serde(flatten)]
    pub base: ResponseBase,
    /// Version chosen.
    #[serde(default)]
    pub version: u32,
    /// The abilities of the guest.
    #[serde(default)]
    pub capabilities: GcsCapabilities,
}

/// What the guest can do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GcsCapabilities {
    /// The host must send `Create` for the system itself.
    #[serde(default)]
    pub send_host_create_message: bool,
    /// The host must send `Start` for the system itself.
    #[serde(default)]
    pub send_host_start_message: bool,
    /// Schema versions the guest takes documents of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub supported_schema_versions: Vec<SchemaVersion>,
    /// "Linux".
    #[serde(default)]
    pub runtime_os_type: String,
    /// More of it.
    #[serde(default)]
    pub guest_defined_capabilities: GuestDefinedCapabilities,
}

/// A version of the schema.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SchemaVersion {
    /// Major part.
    pub major: u32,
    /// Minor part.
    pub minor: u32,
}

/// Capabilities named by the guest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[expect(clippy::struct_excessive_bools, reason = "a list of flags by nature")]
pub struct GuestDefinedCapabilities {
    /// `SignalProcess` works.
    pub signal_process_supported: bool,
    /// `DumpStacks` works.
    pub dump_stacks_supported: bool,
    /// `DeleteContainerState` works.
    pub delete_container_state_supported: bool,
    /// Ours: stdio comes as descriptors with the request.
    pub descriptor_stdio_supported: bool,
    /// Ours: `ExecuteProcess` may carry `WaitMessageId`.
    pub execute_and_wait_supported: bool,
    /// Ours: `SignalProcess`, `ResizeConsole`, `GetProperties` take [`super::NULL_ID`].
    pub system_process_calls_supported: bool,
    /// Ours: requests of up to [`super::MAX_REQUEST_BYTES`] are taken.
    pub large_messages_supported: bool,
    /// Ours: [`super::Rpc::FetchStdio`] works.
    pub fetch_stdio_supported: bool,
    /// Ours: calls are remembered by their names, and [`super::Rpc::RecallCall`] works.
    pub named_calls_supported: bool,
    /// Ours: a process may be [`Detached`](crate::guest#detached-processes), and [`super::Rpc::ReadOutput`] works.
    pub detached_processes_supported: bool,
    /// Ours: the agent of a virtual machine takes a [`Renewal`], with `NegotiateProtocol` and by [`super::Rpc::Renew`].
    pub renewal_supported: bool,
    /// Ours: [`super::Rpc::UpdateNames`] works.
    pub names_supported: bool,
}
