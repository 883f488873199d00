//! Documents of clients: read, checked, and refused where this host cannot do what they ask for.

use hcs_schema::{Document, Failure, coverage};

use crate::{
    record::{blocking::blocking, operations},
    thread::share::place,
};

/// [`parse()`], then what [`coverage`] says of each property.
///
/// # Errors
/// `HCS_E_INVALID_JSON` for a document that is none; `ERROR_NOT_SUPPORTED`, with the JSON pointer, for a property that
/// must not be ignored.
pub(crate) fn parse<T: Document>(text: &str) -> Result<T, Failure> {
    let document = hcs_schema::parse(text)?;
    coverage::check(&document)?;
    Ok(document)
}

/// [`parse`] for a document that may be left out.
///
/// # Errors
/// As [`parse`].
pub(crate) fn parse_optional<T: Document>(text: Option<&str>) -> Result<T, Failure> {
    let document = hcs_schema::parse_optional(text)?;
    coverage::check(&document)?;
    Ok(document)
}

/// Length up to which a document is read at once; longer ones are read aside, so that nobody waits for them.
const SHORT: usize = 64 << 10;

/// [`parse`] for documents that may be long. Answers the text as well.
///
/// # Errors
/// As [`parse`].
pub(crate) async fn parse_long<T: Document + Send + 'static>(
    text: String,
) -> Result<(T, String), Failure> {
    if text.len() <= SHORT {
        return Ok((parse(&text)?, text));
    }
    let _place = match operations::share() {
        Some(share) => place(&share.parsing).await,
        None => None,
    };
    blocking(move || Ok((parse(&text)?, text))).await
}

#[cfg(test)]
mod tests {
    use hcs_schema::{HResult, documents::ComputeSystem};

    use super::*;

    #[test]
    fn what_must_not_be_ignored_is_refused() {
        let text = r#"{"SchemaVersion":{"Major":2,"Minor":1},"Container":{"AssignedDevices":[{"LocationPath":"PCI"}]}}"#;
        let failure = parse::<ComputeSystem>(text).unwrap_err();
        assert_eq!(failure.hresult, HResult::NOT_SUPPORTED);
        let pointer = failure
            .causes
            .iter()
            .find_map(|cause| cause.pointer.as_deref());
        assert!(
            pointer.is_some_and(|p| p.starts_with("/Container/AssignedDevices")),
            "{pointer:?}"
        );
    }
}
