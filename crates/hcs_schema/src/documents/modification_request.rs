//! [`ModificationRequest`].

use serde_json::Value;

use crate::documents::ModifyPropertyType;

document! {
    /// A change to the service. Read by `HcsModifyServiceSettings`.
    ModificationRequest {
        /// The thing to change.
        property_type: ModifyPropertyType = "PropertyType", 2.1;
        /// The change's document.
        settings: Value = "Settings", 2.1;
    }
}
