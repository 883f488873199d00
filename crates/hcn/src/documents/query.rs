//! [`HostComputeQuery`]: what to tell, and in which version.

use hcs_schema::{
    Document as _, document,
    fault::{Faults, Path, quote},
    shape::Shape,
};
use serde_json::Value;

document! {
    /// What to tell, and in which version.
    HostComputeQuery, checked by filter {
        /// The version of the answer: with major 2 or above a document of version 2, without it one of version 1.
        schema_version: hcs_schema::documents::Version = "SchemaVersion", 2.0;
        /// Flags.
        flags: u32 = "Flags", 2.0;
        /// Which objects: a [`QueryFilter`] as text, or as an object.
        filter: Value = "Filter", 2.0;
    }
}

document! {
    /// Which objects an enumeration tells of; all conditions have to hold.
    QueryFilter {
        /// The id.
        id: String = "ID", 2.0;
        /// The name.
        name: String = "Name", 2.0;
        /// The network of an endpoint.
        virtual_network: String = "VirtualNetwork", 2.0;
        /// The network of an endpoint, as version 2 spells it.
        host_compute_network: String = "HostComputeNetwork", 2.0;
        /// The machine that has an endpoint.
        virtual_machine: String = "VirtualMachine", 2.0;
    }
}

impl HostComputeQuery {
    /// Whether the answer is to be of version 2.
    #[must_use]
    pub fn wants_version_2(&self) -> bool {
        let version = self.schema_version.as_ref();
        version.and_then(|version| version.major).unwrap_or(0) >= 2
    }

    /// The filter; empty where there is none. It was checked with the document.
    #[must_use]
    pub fn filter(&self) -> QueryFilter {
        let value = self.filter.as_ref().and_then(filter_value);
        let filter = value.map(serde_json::from_value);
        filter.and_then(Result::ok).unwrap_or_default()
    }
}

/// The filter as an object; `None` for an empty text. A text that is no JSON is a string, which fits no shape.
fn filter_value(filter: &Value) -> Option<Value> {
    match filter.as_str() {
        Some(text) if text.trim().is_empty() => None,
        Some(text) => Some(serde_json::from_str(text).unwrap_or_else(|_| filter.clone())),
        None => Some(filter.clone()),
    }
}

fn filter(query: &HostComputeQuery, path: &Path<'_>, faults: &mut Faults) {
    let Some(found) = &query.filter else { return };
    let shape: &'static Shape = QueryFilter::shape();
    let path = path.key("Filter");
    match filter_value(found) {
        None => {}
        Some(Value::String(text)) => {
            let found = format!("{} is not JSON", quote(&text));
            faults.rule(&path, found, "a JSON object, or its text");
        }
        Some(value) => hcs_schema::parse::check_shape(shape, &value, &path, faults),
    }
}
