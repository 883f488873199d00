//! `HcsGetServiceProperties`.

use std::collections::BTreeMap;

use crate::document::parse_optional;
use hcs_schema::{
    Failure, HResult,
    documents::{
        BasicInformation, GetPropertyType, PropertyResponse, ServiceProperties,
        ServicePropertyQuery, Version,
    },
};
use serde_json::Value;

use crate::properties::{as_result_error, to_text};

/// Minor versions of schema 2 that documents may name.
const MINORS: std::ops::RangeInclusive<u32> = 0..=6;

/// Answers a query; without one, nothing was asked and the answer is empty.
///
/// # Errors
/// The query is wrong, or names a property in `PropertyTypes` that cannot be had.
pub(crate) fn answer(query: Option<&str>) -> Result<String, Failure> {
    let query: ServicePropertyQuery = parse_optional(query)?;
    let mut properties = ServiceProperties::default();
    if let Some(kinds) = query.property_types {
        let values: Result<_, _> = kinds.iter().map(|kind| property(kind.name())).collect();
        properties.properties = Some(values?);
    }
    if let Some(queries) = query.property_queries {
        let mut responses = BTreeMap::new();
        for name in queries.into_keys() {
            let response = match property(&name) {
                Ok(value) => PropertyResponse {
                    response: Some(value),
                    error: None,
                },
                Err(failure) => PropertyResponse {
                    response: None,
                    error: Some(as_result_error(&failure)?),
                },
            };
            responses.insert(name, response);
        }
        properties.property_responses = Some(responses);
    }
    to_text(&properties)
}

fn property(name: &str) -> Result<Value, Failure> {
    if name == GetPropertyType::Basic.name() {
        let basic = BasicInformation {
            supported_schema_versions: Some(
                MINORS
                    .map(|minor| Version {
                        major: Some(2),
                        minor: Some(minor),
                    })
                    .collect(),
            ),
        };
        return serde_json::to_value(basic).map_err(|e| {
            Failure::new(HResult::E_UNEXPECTED, "an answer could not be written").because(&e)
        });
    }
    if GetPropertyType::ALL.iter().any(|kind| kind.name() == name) || name == "Memory" {
        return Err(Failure::new(
            HResult::NOT_SUPPORTED,
            format!("the service property {name} is not available on this host"),
        ));
    }
    Err(Failure::new(
        HResult::E_INVALIDARG,
        format!("there is no service property {name}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_names_the_schema_versions() {
        let answer: Value =
            serde_json::from_str(&answer(Some(r#"{"PropertyTypes":["Basic"]}"#)).unwrap()).unwrap();
        let versions = answer["Properties"][0]["SupportedSchemaVersions"]
            .as_array()
            .unwrap();
        assert_eq!(versions.len(), 7);
        assert_eq!(versions[6], serde_json::json!({"Major": 2, "Minor": 6}));
    }

    #[test]
    fn a_property_that_cannot_be_had_fails_the_call_or_only_itself() {
        let failure = answer(Some(r#"{"PropertyTypes":["Basic","CpuGroup"]}"#)).unwrap_err();
        assert_eq!(failure.hresult, HResult::NOT_SUPPORTED);
        let both = answer(Some(r#"{"PropertyQueries":{"Basic":{},"CpuGroup":{}}}"#)).unwrap();
        let both: Value = serde_json::from_str(&both).unwrap();
        assert!(both["PropertyResponses"]["Basic"]["Response"].is_object());
        assert!(both["PropertyResponses"]["CpuGroup"]["Error"]["ErrorMessage"].is_string());
    }

    #[test]
    fn nothing_asked_is_nothing_answered() {
        assert_eq!(answer(None).unwrap(), "{}");
        assert_eq!(answer(Some("")).unwrap(), "{}");
    }
}
