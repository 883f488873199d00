//! From text to a document of this API: as `hcs_schema` reads, with the codes of HCN, and what is refused.

use hcs_schema::{Document, Failure, HResult, parse, parse_optional};
use serde_json::Value;

use crate::coverage::TABLE;

/// Reads a document and refuses what has no effect here.
pub(crate) fn read<T: Document>(text: &str) -> Result<T, Failure> {
    let document = parse(text).map_err(of_hcn)?;
    check(&document)?;
    Ok(document)
}

/// As [`read`], for a document that may be left out.
pub(crate) fn read_optional<T: Document>(text: &str) -> Result<T, Failure> {
    let document = parse_optional(Some(text)).map_err(of_hcn)?;
    check(&document)?;
    Ok(document)
}

/// Refuses what has no effect here.
pub(crate) fn check<T: Document>(document: &T) -> Result<(), Failure> {
    TABLE.check(document).map_err(of_hcn)
}

/// The same failure with HCN's code.
fn of_hcn(mut failure: Failure) -> Failure {
    failure.hresult = match failure.hresult {
        HResult::HCS_E_INVALID_JSON => HResult::HCN_E_INVALID_JSON,
        HResult::NOT_SUPPORTED => HResult::HCN_E_REQUEST_UNSUPPORTED,
        other => other,
    };
    failure
}

/// A failure of the value at `pointer`.
pub(crate) fn refused(
    code: HResult,
    pointer: impl Into<String>,
    what: impl std::fmt::Display,
) -> Failure {
    let pointer = pointer.into();
    let what = what.to_string();
    Failure::new(code, format!("{pointer}: {what}")).cause_at(pointer, what)
}

/// Whether `text` is of version 1: it names no version of the schema, and none of `present`, which only later ones
/// have. A text that is no JSON is not, so that its fault is found where documents are read.
pub(crate) fn is_version_1(text: &str, present: &[&str]) -> bool {
    if text.len() > parse::MAX_BYTES {
        return false;
    }
    let Ok(Value::Object(members)) = serde_json::from_str(text) else {
        return false;
    };
    !members.contains_key("SchemaVersion")
        && !present.iter().any(|name| members.contains_key(*name))
}

/// Refuses flags: those of `table`, each with its bit, name and reason, and bits that no flag has.
pub(crate) fn check_flags(
    flags: Option<u32>,
    known: u32,
    table: &[(u32, &str, &str)],
) -> Result<(), Failure> {
    let flags = flags.unwrap_or(0);
    if flags & !known != 0 {
        let what = format!("{flags} has bits that no flag has; expected at most {known}");
        return Err(refused(HResult::HCN_E_INVALID_JSON, "/Flags", what));
    }
    for (bit, name, reason) in table {
        if flags & bit != 0 {
            let what = format!("the flag {name} ({bit}) is not supported: {reason}");
            return Err(refused(HResult::HCN_E_REQUEST_UNSUPPORTED, "/Flags", what));
        }
    }
    Ok(())
}
