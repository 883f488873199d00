//! [`ServiceProperties`].

use std::collections::BTreeMap;

use serde_json::Value;

use crate::documents::PropertyResponse;

document! {
    /// The properties of the service. Written by `HcsGetServiceProperties`.
    ServiceProperties {
        /// Answers in the order of the query's `PropertyTypes`.
        properties: Vec<Value> = "Properties", 2.1;
        /// Answers to a query with `PropertyQueries`, by property.
        property_responses: BTreeMap<String, PropertyResponse> = "PropertyResponses", 2.5;
    }
}
