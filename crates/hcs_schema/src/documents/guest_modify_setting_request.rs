//! [`GuestModifySettingRequest`].

use serde_json::Value;

use crate::documents::{ModifyRequestType, ModifyResourceType};

document! {
    /// A change that the guest agent is to make.
    GuestModifySettingRequest {
        /// The kind of thing to change.
        resource_type: ModifyResourceType = "ResourceType", 2.1;
        /// The action on it.
        request_type: ModifyRequestType = "RequestType", 2.1;
        /// The thing's document.
        settings: Value = "Settings", 2.1;
    }
}
