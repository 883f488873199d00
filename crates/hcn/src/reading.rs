//! From text to a document of this API: as `hcs_schema` reads, with the codes of HCN, and what is refused.

use hcs_schema::{Document, Failure, HResult, parse, parse_optional};
use serde_json::Value;

use crate::{coverage::TABLE, documents::HostComputeNetwork};

/// Reads a document and refuses what has no effect here.
pub(crate) fn read<T: Document>(text: &str) -> Result<T, Failure> {
    let document = parse(text).map_err(of_hcn::<T>)?;
    check(&document)?;
    Ok(document)
}

/// As [`read`], for a document that may be left out.
pub(crate) fn read_optional<T: Document>(text: &str) -> Result<T, Failure> {
    let document = parse_optional(Some(text)).map_err(of_hcn::<T>)?;
    check(&document)?;
    Ok(document)
}

/// Refuses what has no effect here.
pub(crate) fn check<T: Document>(document: &T) -> Result<(), Failure> {
    TABLE.check(document).map_err(of_hcn::<T>)
}

/// The most bytes of a name, and of what a client calls itself.
const MOST_TEXT: usize = 256;

/// Refuses texts of a new object that no list could show.
pub(crate) fn check_texts(name: Option<&String>, owner: Option<&String>) -> Result<(), Failure> {
    for (pointer, text) in [("/Name", name), ("/Owner", owner)] {
        let length = text.map_or(0, String::len);
        if length > MOST_TEXT {
            let what = format!("{length} bytes are too many; expected at most {MOST_TEXT}");
            return Err(refused(HResult::E_INVALIDARG, pointer, what));
        }
    }
    Ok(())
}

/// The code for a type that this service has not, where a refusal is about nothing else.
fn of_types<T: Document>(failure: &Failure) -> Option<HResult> {
    let is_network = T::shape().name == HostComputeNetwork::shape().name;
    let code = |pointer: &str| {
        let mut steps = pointer.rsplit('/');
        let place = [(); 4].map(|()| steps.next());
        match place {
            [Some("Type"), Some(_), Some("Policies"), _] => {
                Some(HResult::HCN_E_INVALID_POLICY_TYPE)
            }
            [Some("Type"), Some(""), None, None] if is_network => {
                Some(HResult::HCN_E_INVALID_NETWORK_TYPE)
            }
            _ => None,
        }
    };
    let mut codes = failure
        .causes
        .iter()
        .map(|cause| code(cause.pointer.as_deref()?));
    let first = codes.next()??;
    codes.all(|code| code == Some(first)).then_some(first)
}

/// The same failure with HCN's code.
fn of_hcn<T: Document>(mut failure: Failure) -> Failure {
    failure.hresult = match failure.hresult {
        HResult::HCS_E_INVALID_JSON => HResult::HCN_E_INVALID_JSON,
        HResult::NOT_SUPPORTED => {
            of_types::<T>(&failure).unwrap_or(HResult::HCN_E_REQUEST_UNSUPPORTED)
        }
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
