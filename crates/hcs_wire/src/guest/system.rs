//! Messages about the whole system.

use serde::{Deserialize, Serialize};

use super::{Naming, RequestBase, ResponseBase};

/// `ShutdownGraceful` and `ShutdownForced` requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ShutDown {
    /// Base.
    #[serde(flatten)]
    pub base: RequestBase,
    /// Ours: the call this is done for. For one that was done already no signals are sent again.
    #[serde(flatten)]
    pub naming: Naming,
    /// Ours: the signal that processes of a container get, 1 to 64; `SIGTERM` without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<u8>,
}

/// `UpdateNames` request, ours: for an agent that says `NamesSupported`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UpdateNames {
    /// Base.
    #[serde(flatten)]
    pub base: RequestBase,
    /// Lines as in `hosts(5)`, in place of those of the request before; at most [`super::MAX_NAMES_BYTES`].
    #[serde(default)]
    pub hosts: String,
}

/// `GetProperties` request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetProperties {
    /// Base.
    #[serde(flatten)]
    pub base: RequestBase,
    /// A property query document as a string.
    #[serde(default)]
    pub query: String,
}

/// `GetProperties` response.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetPropertiesResponse {
    /// Base.
    #[serde(flatten)]
    pub base: ResponseBase,
    /// A `Properties` document as a string.
    #[serde(default)]
    pub properties: String,
}

/// `ModifySettings` request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ModifySettings {
    /// Base.
    #[serde(flatten)]
    pub base: RequestBase,
    /// A `ModifySettingRequest` of the guest.
    pub request: serde_json::Value,
}

/// `DumpStacks` response.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DumpStacksResponse {
    /// Base.
    #[serde(flatten)]
    pub base: ResponseBase,
    /// Text for people: the current work of the agent.
    #[serde(default)]
    pub guest_stacks: String,
}

/// The notification of a container's end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ContainerNotification {
    /// Base.
    #[serde(flatten)]
    pub base: RequestBase,
    /// `GracefulExit`, `ForcedExit`, `UnexpectedExit`.
    #[serde(rename = "Type")]
    pub notification_type: String,
    /// "None".
    #[serde(default)]
    pub operation: String,
    /// HRESULT.
    #[serde(default)]
    pub result: i32,
}
