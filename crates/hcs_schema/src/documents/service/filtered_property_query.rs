//! [`FilteredPropertyQuery`].

use serde_json::Value;

use crate::documents::GetPropertyType;

document! {
    /// A property of the service that is wanted, with a filter. Dropped from the schema.
    FilteredPropertyQuery {
        /// The property.
        property_type: GetPropertyType = "PropertyType", 2.1 until 2.3;
        /// The filter.
        filter: Value = "Filter", 2.1 until 2.3;
    }
}
