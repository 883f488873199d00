//! Holds every document against the published schema files, where these are at hand.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::collections::BTreeMap;

use hcs_schema::{
    documents::{enumerations, types},
    shape::{Enumeration, Kind, Property, Shape, Since, Text},
};
use serde_json::{Value, json};

/// Definitions whose names changed with schema 2.4: the old name, and that of the type which now has its properties.
const RENAMED: &[(&str, &str)] = &[
    ("HvSocket", "Container_HvSocket"),
    ("HvSocket_2", "VirtualMachine_HvSocket"),
    ("Memory", "Container_Memory"),
    ("Memory_2", "VirtualMachine_Memory"),
    ("Processor", "Container_Processor"),
    ("Processor_2", "VirtualMachine_Processor"),
    ("PropertyQuery", "Service_PropertyQuery"),
    ("PropertyQuery_2", "System_PropertyQuery"),
    ("PropertyType", "GetPropertyType"),
    ("PropertyType_2", "System_PropertyType"),
];

/// Properties whose type changed in a later release than the one that has them: the last release counts.
const RETYPED: &[(&str, &str)] = &[
    // One enumeration for query and modification became two.
    ("ModificationRequest", "PropertyType"),
    // The release writes a C++ type where a map is meant.
    ("NvramVendor", "Variables"),
];

/// In the reference pages of schema 2.5, and in none of the files. The property of the service is in neither: clients
/// name it, and the pages have what it answers.
const REFERENCE_ONLY: &[(&str, &str)] = &[
    ("VirtualMachine_Processor", "EnablePageShattering"),
    ("VirtualMachine_Processor", "DisableSpeculationControls"),
    ("VirtualMachine_Processor", "ProcessorFeatureSet"),
    ("ProcessorFeatureSet", "ProcessorFeatures"),
    ("ProcessorFeatureSet", "XsaveProcessorFeatures"),
    ("ProcessorFeatureSet", "ProcessorFeatureSetMode"),
    ("ProcessorFeatureSetMode", "Strict"),
    ("ProcessorFeatureSetMode", "Permissive"),
    ("GetPropertyType", "ProcessorCapabilities"),
    ("ProcessorCapabilitiesInfo", "ProcessorFeatures"),
    ("ProcessorCapabilitiesInfo", "XsaveProcessorFeatures"),
    ("ProcessorCapabilitiesInfo", "CacheLineFlushSize"),
    (
        "ProcessorCapabilitiesInfo",
        "ImplementedPhysicalAddressBits",
    ),
    ("ProcessorCapabilitiesInfo", "NonArchitecturalCoreSharing"),
    ("NonArchitecturalCoreSharing", "Unreported"),
    ("NonArchitecturalCoreSharing", "Off"),
    ("NonArchitecturalCoreSharing", "On"),
];

/// The release that came last with a definition or property wins.
const RELEASES: &[(&str, u8)] = &[
    ("1809", 1),
    ("1903", 2),
    ("2004", 3),
    ("2104", 5),
    ("21H2", 6),
];

#[test]
fn documents_are_those_of_the_schema() {
    let Some(directory) = common::reference("HCS_SCHEMA_DIR", "schema") else {
        return;
    };
    let mut seen = BTreeMap::new();
    for (release, minor) in RELEASES {
        let text =
            std::fs::read_to_string(directory.join(format!("hcs-schema-{release}.json"))).unwrap();
        let file: Value = serde_json::from_str(&text).unwrap();
        let definitions = file["definitions"].as_object().unwrap();
        if *release == "21H2" {
            assert_eq!(definitions.len(), 243);
        }
        for (name, definition) in definitions {
            compare(release, *minor, renamed(name), definition, &mut seen);
        }
    }
    nothing_invented(&seen);
}

/// Whether our type has all that `definition` has, with the same types; what was seen is noted with its last release.
fn compare(
    release: &str,
    minor: u8,
    name: &str,
    definition: &Value,
    seen: &mut BTreeMap<(String, String), u8>,
) {
    seen.insert((name.to_owned(), String::new()), minor);
    if let Some(values) = definition["enum"].as_array() {
        let table = enumeration(name).unwrap_or_else(|| panic!("{release}: no enumeration {name}"));
        for value in values {
            let value = value.as_str().unwrap();
            let ours = table.values.iter().find(|v| v.name == value);
            let ours = ours.unwrap_or_else(|| panic!("{release}: {name} has no value {value:?}"));
            lasts(
                release,
                minor,
                ours.since,
                ours.until,
                &format!("{name} {value}"),
            );
            seen.insert((name.to_owned(), value.to_owned()), minor);
        }
        return;
    }
    let shape = document(name).unwrap_or_else(|| panic!("{release}: no document {name}"));
    for (property_name, wanted) in definition["properties"].as_object().unwrap() {
        let ours = shape.property(property_name);
        let ours =
            ours.unwrap_or_else(|| panic!("{release}: {name} has no property {property_name}"));
        if !RETYPED.contains(&(name, property_name)) || minor >= 5 {
            assert_eq!(
                describe(ours),
                normal(wanted),
                "{release}: {name}.{property_name}"
            );
        }
        lasts(
            release,
            minor,
            ours.since,
            ours.until,
            &format!("{name}.{property_name}"),
        );
        seen.insert((name.to_owned(), property_name.clone()), minor);
    }
}

/// A part of a release is not newer than the release, and was not dropped before.
fn lasts(release: &str, minor: u8, since: Since, until: Option<Since>, what: &str) {
    assert!(
        since <= Since::Version(2, minor),
        "{what} is since {since:?} but in release {release}"
    );
    assert!(
        until.is_none_or(|until| until >= Since::Version(2, minor)),
        "{what} is until {until:?} but in release {release}"
    );
}

/// Whatever we have beyond the files is marked so, and what they dropped is marked as dropped.
fn nothing_invented(seen: &BTreeMap<(String, String), u8>) {
    let check = |name: &str, member: &str, since: Since, until: Option<Since>| match seen
        .get(&(name.to_owned(), member.to_owned()))
    {
        Some(6) => assert_eq!(until, None, "{name} {member} is in the last release"),
        Some(_) => assert!(
            until.is_some(),
            "{name} {member} is not in the last release"
        ),
        None if REFERENCE_ONLY.contains(&(name, member)) => {}
        None => assert!(
            since.is_beyond_published(),
            "{name} {member} is in no release"
        ),
    };
    for shape in types().iter().map(|t| t.shape) {
        for property in shape.properties {
            check(shape.name, property.name, property.since, property.until);
        }
    }
    for table in enumerations() {
        for value in table.values {
            check(table.name, value.name, value.since, value.until);
        }
    }
}

fn renamed(name: &str) -> &str {
    RENAMED
        .iter()
        .find(|(old, _)| *old == name)
        .map_or(name, |(_, new)| *new)
}

fn document(name: &str) -> Option<&'static Shape> {
    types()
        .iter()
        .map(|t| t.shape)
        .find(|shape| shape.name == name)
}

fn enumeration(name: &str) -> Option<&'static Enumeration> {
    enumerations().into_iter().find(|table| table.name == name)
}

/// A property as the schema files would describe it.
fn describe(property: &Property) -> Value {
    describe_kind(property.kind)
}

fn describe_kind(kind: Kind) -> Value {
    match kind {
        Kind::Boolean => json!({"type": "boolean"}),
        Kind::Number => json!({"type": "number"}),
        Kind::Integer(integer) => json!({"type": "integer", "format": integer.format}),
        Kind::String(Text::Plain) => json!({"type": "string"}),
        Kind::String(Text::Guid | Text::LooseGuid) => {
            json!({"type": "string", "pattern": "^[0-9A-Fa-f]{8}-([0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}$"})
        }
        Kind::String(Text::DateTime) => json!({"type": "string", "format": "date-time"}),
        Kind::String(Text::Base64) => json!({"type": "string", "format": "byte"}),
        Kind::String(Text::Binary) => json!({"type": "string", "format": "binary"}),
        Kind::String(Text::MacAddress) => json!({"type": "string", "format": "mac-address"}),
        Kind::Any => json!({"type": "object"}),
        Kind::Array(inner) => json!({"type": "array", "items": describe_kind(*inner)}),
        Kind::Map(inner) => {
            json!({"type": "object", "additionalProperties": describe_kind(*inner)})
        }
        Kind::Document(shape) => json!({"$ref": format!("#/definitions/{}", shape().name)}),
        Kind::Enumeration(table) => {
            json!({"type": "string", "$ref": format!("#/definitions/{}", table().name)})
        }
        Kind::Signal => json!({"type": "string", "$ref": "#/definitions/ProcessSignal"}),
    }
}

/// A description of the files without its text and with today's names.
fn normal(wanted: &Value) -> Value {
    let mut normal = wanted.as_object().unwrap().clone();
    normal.remove("description");
    for inner in ["items", "additionalProperties"] {
        if let Some(value) = normal.get_mut(inner) {
            *value = self::normal(value);
        }
    }
    if let Some(reference) = normal.get("$ref").and_then(Value::as_str) {
        let name = reference.strip_prefix("#/definitions/").unwrap();
        let today = format!("#/definitions/{}", renamed(name));
        normal.insert("$ref".to_owned(), json!(today));
    }
    Value::Object(normal)
}
