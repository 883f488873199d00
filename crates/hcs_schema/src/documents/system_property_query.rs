//! [`SystemPropertyQuery`], `System_PropertyQuery` in the schema.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::documents::SystemPropertyType;

document! {
    /// Which properties of a compute system are wanted; the basic ones always come. Read by
    /// `HcsGetComputeSystemProperties`.
    SystemPropertyQuery = "System_PropertyQuery" {
        /// Properties wanted.
        property_types: Vec<SystemPropertyType> = "PropertyTypes", 2.1;
        /// Properties wanted, each with a document that says more.
        queries: BTreeMap<String, Value> = "Queries", 2.5;
        /// The name that clients give to `Queries`.
        property_queries: BTreeMap<String, Value> = "PropertyQueries", 2.7;
    }
}
