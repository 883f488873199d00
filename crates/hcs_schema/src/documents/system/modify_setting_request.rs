//! [`ModifySettingRequest`].

use serde_json::Value;

use crate::documents::ModifyRequestType;

document! {
    /// A change to a compute system. Read by `HcsModifyComputeSystem`.
    ModifySettingRequest, checked by crate::rules::system::modify {
        /// Which resource of the system's document, for example `Container/Memory/SizeInMB`.
        resource_path: String = "ResourcePath", 2.1;
        /// The action on it; absent means `Add` or, for a resource that always exists, `Update`.
        request_type: ModifyRequestType = "RequestType", 2.0;
        /// The resource's document.
        settings: Value = "Settings", 2.0;
        /// A request to the guest agent, which is done as well.
        guest_request: Value = "GuestRequest", 2.1;
    }
}
