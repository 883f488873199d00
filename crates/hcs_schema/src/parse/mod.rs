//! From text to a document: limits, syntax, shape, then the rules beyond shape. Every fault is reported with its JSON
//! pointer, line and column.

mod load;
mod place;
mod validate;
mod version1;

use serde_json::Value;

pub use load::{MAX_BYTES, MAX_DEPTH};
pub use place::Place;
pub use validate::document as check_shape;

use crate::{
    Document, Failure, HResult,
    fault::{Fault, Faults, Path},
    shape::Shape,
};

/// Reads and checks one document.
///
/// # Errors
/// `HCS_E_INVALID_JSON`: the text is too long or too deep, is not JSON, or does not fit `T`; up to 20 faults are
/// reported as causes.
pub fn parse<T: Document>(text: &str) -> Result<T, Failure> {
    let value = parse_value(T::shape(), text)?;
    let document = T::read(value).map_err(|error| {
        let name = T::shape().name;
        Failure::new(
            HResult::HCS_E_INVALID_JSON,
            format!("the {name} document cannot be read: {error}"),
        )
    })?;
    let mut faults = Faults::default();
    document.check_at(&Path::ROOT, &mut faults);
    faults.into_result(T::shape().name, |faults| places(text, faults))?;
    Ok(document)
}

/// Like [`parse()`], for documents that may be left out: none, the empty string and `{}` mean the same.
///
/// # Errors
/// As [`parse()`].
pub fn parse_optional<T: Document>(text: Option<&str>) -> Result<T, Failure> {
    match text {
        Some(text) if !text.trim().is_empty() => parse(text),
        _ => Ok(T::default()),
    }
}

/// Reads text and checks it against `shape`, without the rules beyond shape.
///
/// # Errors
/// As [`parse()`].
pub fn parse_value(shape: &'static Shape, text: &str) -> Result<Value, Failure> {
    let value = load::load(shape.name, text)?;
    let mut faults = Faults::default();
    match version1::recognise(shape.name, &value) {
        Some((property, message, expected)) => {
            faults.name(&Path::ROOT.key(property), message, expected);
        }
        None => validate::document(shape, &value, &Path::ROOT, &mut faults),
    }
    faults.into_result(shape.name, |faults| places(text, faults))?;
    Ok(value)
}

fn places(text: &str, faults: &[Fault]) -> Vec<Option<Place>> {
    let wanted: Vec<_> = faults
        .iter()
        .map(|f| (f.steps.as_slice(), f.at_name))
        .collect();
    place::find(text, &wanted)
}
