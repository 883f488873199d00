//! Networks as compute systems name them. The documents of the Host Compute Network are not here.

mod iov_settings;
mod network_adapter;
mod network_modify_request_type;
mod network_modify_setting_request;
mod network_namespace;
mod networking;
mod rs4_network_modify_setting_request;

pub use iov_settings::{InterruptModerationMode, IovSettings};
pub use network_adapter::NetworkAdapter;
pub use network_modify_request_type::NetworkModifyRequestType;
pub use network_modify_setting_request::NetworkModifySettingRequest;
pub use network_namespace::NetworkNamespace;
pub use networking::{HostEntry, Networking};
pub use rs4_network_modify_setting_request::Rs4NetworkModifySettingRequest;
