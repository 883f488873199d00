//! [`NetworkModifySettingRequest`].

use serde_json::Value;

use crate::documents::NetworkModifyRequestType;

document! {
    /// A change to a guest's network adapter. Dropped from the schema.
    NetworkModifySettingRequest {
        /// The action.
        request_type: NetworkModifyRequestType = "RequestType", 2.1 until 2.3;
        /// The adapter.
        adapter_id: String = "AdapterId", 2.1 until 2.3;
        /// Its document.
        settings: Value = "Settings", 2.1 until 2.3;
    }
}
