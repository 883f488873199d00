//! [`SetPropertyOperation`].

use crate::shape::format::Guid;

document! {
    /// Sets a property of a group of host processors.
    SetPropertyOperation {
        /// Id of the group.
        group_id: String as Guid = "GroupId", 2.1;
        /// Which property.
        property_code: u32 = "PropertyCode", 2.1;
        /// Its value.
        property_value: u64 = "PropertyValue", 2.1;
    }
}
