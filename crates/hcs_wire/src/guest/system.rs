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
    /// To the agent of a virtual machine: what its network is to be, in place of that of the request before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<GuestNetwork>,
}

/// The network of a virtual machine, as its agent sets it up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GuestNetwork {
    /// Its network cards. Some may not be there yet, and come later.
    #[serde(default)]
    pub cards: Vec<GuestCard>,
    /// The text of its `/etc/resolv.conf`; empty where that is to stay.
    #[serde(default)]
    pub resolver: String,
}

/// A network card of a virtual machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GuestCard {
    /// Its hardware address, by which it is found.
    pub mac: String,
    /// The largest packet, in bytes.
    pub mtu: u32,
    /// Its addresses with the lengths of their prefixes, as `10.0.0.2/24`.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// Routes by it.
    #[serde(default)]
    pub routes: Vec<GuestRoute>,
}

/// A route of a virtual machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GuestRoute {
    /// Where it leads, as `0.0.0.0/0`.
    pub to: String,
    /// The address of the router.
    pub router: String,
    /// The one with the lowest is taken.
    #[serde(default)]
    pub metric: u16,
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
