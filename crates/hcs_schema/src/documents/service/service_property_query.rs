//! [`ServicePropertyQuery`], `Service_PropertyQuery` in the schema.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::documents::{FilteredPropertyQuery, GetPropertyType};

document! {
    /// Which properties of the service are wanted. Read by `HcsGetServiceProperties`.
    ServicePropertyQuery = "Service_PropertyQuery" {
        /// Properties wanted.
        property_types: Vec<GetPropertyType> = "PropertyTypes", 2.1;
        /// Properties wanted, each with a document that says more.
        property_queries: BTreeMap<String, Value> = "PropertyQueries", 2.5;
        /// The older form of `PropertyQueries`.
        filtered_queries: Vec<FilteredPropertyQuery> = "FilteredQueries", 2.1 until 2.3;
    }
}
