//! [`Rs4NetworkModifySettingRequest`].

use serde_json::Value;

use crate::{documents::NetworkModifyRequestType, shape::format::Guid};

document! {
    /// A change to an old guest's network adapter. Dropped from the schema.
    Rs4NetworkModifySettingRequest {
        /// The action.
        request_type: NetworkModifyRequestType = "RequestType", 2.1 until 2.3;
        /// The adapter.
        adapter_instance_id: String as Guid = "AdapterInstanceID", 2.1 until 2.3;
        /// Its document.
        settings: Value = "Settings", 2.1 until 2.3;
    }
}
