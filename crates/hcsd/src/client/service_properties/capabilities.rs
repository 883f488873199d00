//! The capability answer, which is ours: what this service and this host honour of the documents that clients send, and
//! why they do not honour the rest. Made of the tables that also refuse documents (`Engine::coverage`), and of what the
//! engines found on the host (`Engine::offers`).

use std::{collections::BTreeMap, sync::Arc};

use hcs_engine::engine::Engine;
use hcs_schema::coverage::{Coverage, Resource, SERVICE, Table};
use serde_json::{Map, Value, json};

/// The answer, of a service with these engines. What two of them name alike, the first one says.
pub(super) fn answer(engines: &[Arc<dyn Engine>]) -> Value {
    let mut answer = Map::new();
    for engine in engines.iter().rev() {
        answer.extend(engine.offers().members);
    }
    let tables: Vec<&Table> = engines.iter().map(|engine| engine.coverage()).collect();
    answer.insert("Properties".to_owned(), properties(&tables));
    answer.insert("ModifyPaths".to_owned(), modify_paths(&tables));
    Value::Object(answer)
}

/// Whether processor time can be limited, of any system.
pub(super) fn limits_processors(engines: &[Arc<dyn Engine>]) -> bool {
    engines
        .iter()
        .any(|engine| engine.offers().limits_processors)
}

fn described(coverage: Coverage) -> Value {
    let support = match coverage {
        Coverage::Supported => "Supported",
        Coverage::WithoutEffect(_) => "WithoutEffect",
        Coverage::Refused(_) => "Refused",
    };
    match coverage.reason() {
        Some(reason) => json!({ "Support": support, "Reason": reason }),
        None => json!({ "Support": support }),
    }
}

/// By function, then by JSON pointer (`*` stands for any index or key); what a property above decides is left out.
fn properties(engines: &[&Table]) -> Value {
    let mut functions: BTreeMap<&str, BTreeMap<String, Value>> = BTreeMap::new();
    let tables = [&SERVICE].into_iter().chain(engines.iter().copied());
    let rows = tables.flat_map(Table::rows);
    for row in rows.filter(|row| !row.inherited) {
        let place = match row.value {
            Some(value) => format!("{}={value}", row.pointer),
            None => row.pointer,
        };
        let function = functions.entry(row.call).or_default();
        function
            .entry(place)
            .or_insert_with(|| described(row.coverage));
    }
    json!(functions)
}

/// What `HcsModifyComputeSystem` can change, by resource path.
fn modify_paths(engines: &[&Table]) -> Value {
    let all = engines.iter().flat_map(|table| table.resources);
    let paths = all.map(|resource: &Resource| {
        let mut described = described(resource.coverage);
        if let Some(object) = described.as_object_mut() {
            let requests: Vec<&str> = resource.requests.iter().map(|r| r.name()).collect();
            object.insert("Requests".to_owned(), json!(requests));
        }
        (resource.path, described)
    });
    json!(paths.collect::<BTreeMap<_, _>>())
}

#[cfg(test)]
mod tests {
    use hcs_schema::coverage::CONTAINER;

    use super::*;

    #[test]
    fn what_is_honoured_is_said_and_why_not() {
        let create = &properties(&[&CONTAINER])["HcsCreateComputeSystem"];
        assert_eq!(create["/Container/Memory/SizeInMB"]["Support"], "Supported");
        let refused = &create["/Container/AssignedDevices"];
        assert_eq!(refused["Support"], "Refused");
        assert!(
            refused["Reason"]
                .as_str()
                .is_some_and(|why| !why.is_empty())
        );
        let paths = modify_paths(&[&CONTAINER]);
        assert_eq!(
            paths["Container/MappedPipes"]["Requests"],
            json!(["Add", "Remove"])
        );
        assert_eq!(
            paths["Container/Networking/Namespace"]["Support"],
            "Refused"
        );
    }
}
