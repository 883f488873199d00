//! `HcsEnumerateComputeSystems`: which systems a query lets through. Answered from the registry alone.

use hcs_schema::{
    Failure,
    coverage::SERVICE,
    documents::{Properties, SystemQuery},
};

use crate::{
    client::{
        properties::{basic, to_text},
        service::Service,
    },
    document::parse_optional,
};

/// The array of `Properties` documents, by id.
///
/// # Errors
/// The query is wrong.
pub(crate) fn answer(service: &Service, query: Option<&str>) -> Result<String, Failure> {
    let query: SystemQuery = parse_optional(&SERVICE, query)?;
    let systems: Vec<Properties> = service
        .context
        .registry
        .systems()
        .iter()
        .map(|system| Properties {
            detached_process: system.detached(),
            detached_command: system.detached_command(),
            ..basic(system)
        })
        .filter(|properties| lets_through(&query, properties))
        .collect();
    to_text(&systems)
}

/// A list that is absent or empty lets all through.
fn lets_through(query: &SystemQuery, properties: &Properties) -> bool {
    fn listed<T: PartialEq>(list: Option<&Vec<T>>, value: Option<&T>) -> bool {
        list.is_none_or(|list| list.is_empty() || value.is_some_and(|value| list.contains(value)))
    }
    listed(query.ids.as_ref(), properties.id.as_ref())
        // A system has no other name than its id.
        && listed(query.names.as_ref(), properties.id.as_ref())
        && listed(query.types.as_ref(), properties.system_type.as_ref())
        && listed(query.owners.as_ref(), properties.owner.as_ref())
}

#[cfg(test)]
mod tests {
    use hcs_schema::documents::SystemType;

    use super::*;

    #[test]
    fn every_list_has_to_let_a_system_through() {
        let system = Properties {
            id: Some("a".to_owned()),
            owner: Some("me".to_owned()),
            system_type: Some(SystemType::Container),
            ..Properties::default()
        };
        for (query, expected) in [
            ("{}", true),
            (r#"{"Ids":[]}"#, true),
            (r#"{"Ids":["b","a"]}"#, true),
            (r#"{"Ids":["b"]}"#, false),
            (r#"{"Names":["a"],"Owners":["me"]}"#, true),
            (r#"{"Names":["a"],"Owners":["you"]}"#, false),
            (r#"{"Types":["Container"]}"#, true),
            (r#"{"Types":["VirtualMachine"]}"#, false),
        ] {
            let parsed = parse_optional(&SERVICE, Some(query)).unwrap();
            assert_eq!(lets_through(&parsed, &system), expected, "{query}");
        }
        let ownerless = Properties {
            owner: None,
            ..system
        };
        let query = parse_optional(&SERVICE, Some(r#"{"Owners":["me"]}"#)).unwrap();
        assert!(!lets_through(&query, &ownerless));
    }
}
