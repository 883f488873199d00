//! Random JSON, with and without a shape.

use hcs_schema::shape::{Integer, Kind, Shape, Text};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Documents in documents stop here.
const DEEPEST: usize = 7;

/// Any JSON.
pub(crate) fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(name(), inner, 0..5)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// Names that a document may have, and others.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("Container".to_owned()),
        Just("SchemaVersion".to_owned()),
        Just("a/b~c".to_owned()),
        any::<String>()
    ]
}

/// A document of `shape`, about half of its properties given.
pub(crate) fn document(shape: &'static Shape, depth: usize) -> BoxedStrategy<Value> {
    if depth > DEEPEST {
        return Just(json!({})).boxed();
    }
    let property = |p: &'static hcs_schema::shape::Property| {
        prop::option::of(value(p.kind, depth)).prop_map(move |value| (p.name.to_owned(), value))
    };
    let properties: Vec<_> = shape.properties.iter().map(property).collect();
    properties
        .prop_map(|given| {
            let present = given
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?)));
            Value::Object(present.collect::<Map<_, _>>())
        })
        .boxed()
}

fn value(kind: Kind, depth: usize) -> BoxedStrategy<Value> {
    match kind {
        Kind::Boolean => any::<bool>().prop_map(Value::from).boxed(),
        Kind::Number => any::<i32>().prop_map(|n| json!(f64::from(n) / 8.0)).boxed(),
        Kind::Integer(integer) => number(integer),
        Kind::String(text) => string(text).prop_map(Value::from).boxed(),
        Kind::Any => prop_oneof![
            Just(json!({"a": [1, null]})),
            Just(json!(5)),
            Just(json!("x"))
        ]
        .boxed(),
        Kind::Array(inner) => prop::collection::vec(value(*inner, depth + 1), 0..3)
            .prop_map(Value::from)
            .boxed(),
        Kind::Map(inner) => {
            prop::collection::btree_map(any::<String>(), value(*inner, depth + 1), 0..3)
                .prop_map(|entries| Value::Object(entries.into_iter().collect()))
                .boxed()
        }
        Kind::Document(shape) => document(shape(), depth + 1),
        Kind::Enumeration(table) => {
            let names: Vec<_> = table().values.iter().map(|v| v.name).collect();
            prop::sample::select(names).prop_map(Value::from).boxed()
        }
        Kind::Signal => {
            prop_oneof![(0_u8..=64).prop_map(Value::from), Just(json!("CtrlC"))].boxed()
        }
    }
}

fn number(integer: Integer) -> BoxedStrategy<Value> {
    let json = |n: i128| {
        u64::try_from(n).map_or_else(|_| json!(i64::try_from(n).unwrap_or(0)), |n| json!(n))
    };
    prop_oneof![
        Just(integer.min),
        Just(integer.max),
        integer.min..=integer.max
    ]
    .prop_map(json)
    .boxed()
}

fn string(text: Text) -> BoxedStrategy<String> {
    match text {
        Text::Plain | Text::Binary => any::<String>().boxed(),
        Text::Guid | Text::LooseGuid => "[0-9A-Fa-f]{8}-([0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}".boxed(),
        Text::DateTime => {
            "[0-9]{4}-0[1-9]-[12][0-9]T[01][0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?(Z|[+-]0[0-9]:30)".boxed()
        }
        Text::Base64 => "([A-Za-z0-9+/]{4}){0,3}([A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)?".boxed(),
        Text::MacAddress => "([0-9A-F]{2}-){5}[0-9A-F]{2}".boxed(),
    }
}

/// A pointer to every value within `value`, itself included.
pub(crate) fn pointers(value: &Value) -> Vec<String> {
    let mut found = vec![String::new()];
    let mut below = |step: &str, inner: &Value| {
        found.extend(pointers(inner).into_iter().map(|p| format!("/{step}{p}")));
    };
    match value {
        Value::Array(items) => items
            .iter()
            .enumerate()
            .for_each(|(at, item)| below(&at.to_string(), item)),
        Value::Object(entries) => {
            entries
                .iter()
                .for_each(|(name, v)| below(&name.replace('~', "~0").replace('/', "~1"), v));
        }
        _ => {}
    }
    found
}
