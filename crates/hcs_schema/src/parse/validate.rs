//! The walk of a JSON value along its shape, which notes every fault.

use serde_json::Value;

use super::version1;
use crate::{
    documents::Signal,
    fault::{Faults, Path, quote},
    shape::{Enumeration, Integer, Kind, Shape, Text},
    text,
};

/// Lists of names up to this long are given whole.
const SHORT_LIST: usize = 16;

/// Checks `value` against `shape`.
pub fn document(shape: &Shape, value: &Value, path: &Path<'_>, faults: &mut Faults) {
    let Some(object) = value.as_object() else {
        let expected = format!("an object ({})", shape.name);
        return wrong_type(value, &expected, path, faults);
    };
    for (name, value) in object {
        if faults.is_full() {
            return;
        }
        let path = path.key(name);
        match shape.property(name) {
            // A property that is null is one that was left out.
            Some(_) if value.is_null() => {}
            Some(property) => kind(property.kind, value, &path, faults),
            None => unknown_property(shape, name, &path, faults),
        }
    }
}

fn kind(kind_wanted: Kind, value: &Value, path: &Path<'_>, faults: &mut Faults) {
    match kind_wanted {
        Kind::Any => {}
        Kind::Boolean if value.is_boolean() => {}
        Kind::Boolean => wrong_type(value, "true or false", path, faults),
        Kind::Number if value.is_number() => {}
        Kind::Number => wrong_type(value, "a number", path, faults),
        Kind::Integer(format) => integer(format, value, path, faults),
        Kind::String(format) => string(format, value, path, faults),
        Kind::Document(shape) => document(shape(), value, path, faults),
        Kind::Enumeration(table) => enumeration(table(), value, path, faults),
        Kind::Signal => signal(value, path, faults),
        Kind::Array(inner) => match value.as_array() {
            Some(items) => {
                for (index, item) in items.iter().enumerate() {
                    if faults.is_full() {
                        return;
                    }
                    kind(*inner, item, &path.index(index), faults);
                }
            }
            None => wrong_type(value, "an array", path, faults),
        },
        Kind::Map(inner) => match value.as_object() {
            Some(entries) => {
                for (name, value) in entries {
                    if faults.is_full() {
                        return;
                    }
                    kind(*inner, value, &path.key(name), faults);
                }
            }
            None => wrong_type(value, "an object", path, faults),
        },
    }
}

fn integer(format: Integer, value: &Value, path: &Path<'_>, faults: &mut Faults) {
    let unsigned = value.as_u64().map(i128::from);
    let whole = unsigned.or_else(|| value.as_i64().map(i128::from));
    if whole.is_some_and(|whole| (format.min..=format.max).contains(&whole)) {
        return;
    }
    let expected = format!("a whole number from {} to {}", format.min, format.max);
    match value {
        Value::Number(number) => {
            faults.value(path, format!("{number} is not {expected}"), expected);
        }
        _ => wrong_type(value, &expected, path, faults),
    }
}

fn string(format: Text, value: &Value, path: &Path<'_>, faults: &mut Faults) {
    let expected = text::expected(format);
    let Some(found) = value.as_str() else {
        return wrong_type(value, expected, path, faults);
    };
    if !text::fits(format, found) {
        let message = format!("{} is not {expected}", quote(found));
        faults.value(path, message, expected);
    }
}

fn enumeration(table: &Enumeration, value: &Value, path: &Path<'_>, faults: &mut Faults) {
    let found = value.as_str();
    if table.at(value).is_some() || table.values.iter().any(|known| Some(known.name) == found) {
        return;
    }
    let names: Vec<&str> = table.values.iter().map(|v| v.name).collect();
    let expected = one_of(&names, "values", table.name);
    let Some(found) = found else {
        return wrong_type(value, &expected, path, faults);
    };
    let message = format!("{} is not a value of {}", quote(found), table.name);
    faults.value(
        path,
        with_hint(&message, found, &names, &expected),
        expected,
    );
}

fn signal(value: &Value, path: &Path<'_>, faults: &mut Faults) {
    if let Err(message) = Signal::read(value) {
        faults.rule(path, message, Signal::EXPECTED);
    }
}

fn wrong_type(value: &Value, expected: &str, path: &Path<'_>, faults: &mut Faults) {
    let found = match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(value) => format!("the number {value}"),
        Value::String(value) => format!("the string {}", quote(value)),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    };
    faults.value(
        path,
        format!("found {found} where {expected} is expected"),
        expected,
    );
}

fn unknown_property(shape: &Shape, name: &str, path: &Path<'_>, faults: &mut Faults) {
    let message = format!("{} is not a property of {}", quote(name), shape.name);
    if let Some(advice) = version1::dropped(shape.name, name) {
        return faults.name(path, format!("{message}: {advice}"), advice);
    }
    let names: Vec<&str> = shape.properties.iter().map(|p| p.name).collect();
    let expected = one_of(&names, "properties", shape.name);
    faults.name(path, with_hint(&message, name, &names, &expected), expected);
}

fn with_hint(message: &str, found: &str, names: &[&str], expected: &str) -> String {
    match text::nearest(found, names) {
        Some(name) => format!("{message}; did you mean {}?", quote(name)),
        None => format!("{message}; expected {expected}"),
    }
}

/// The names of something, as far as they are not too many to read.
fn one_of(names: &[&str], what: &str, of: &str) -> String {
    match names {
        [] => format!("none, for {of} has no {what}"),
        [only] => quote(only),
        _ if names.len() > SHORT_LIST => format!("one of the {} {what} of {of}", names.len()),
        _ => {
            let quoted: Vec<String> = names.iter().map(|name| quote(name)).collect();
            format!("one of {}", quoted.join(", "))
        }
    }
}
