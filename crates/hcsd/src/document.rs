//! Documents of clients: read, checked, and refused where this host cannot do what they ask for.

use std::sync::Arc;

use hcs_engine::engine::Engine;
use hcs_schema::{Document, Failure, HResult, coverage::Table, documents::ComputeSystem};

use crate::record::{blocking::blocking, operations};

/// [`hcs_schema::parse()`], then what `table` says of each property: that of the engine whose system the document is
/// about, or of the service.
///
/// # Errors
/// `HCS_E_INVALID_JSON` for a document that is none; `ERROR_NOT_SUPPORTED`, with the JSON pointer, for a property that
/// must not be ignored.
pub(crate) fn parse<T: Document>(table: &Table, text: &str) -> Result<T, Failure> {
    let document = hcs_schema::parse(text)?;
    table.check(&document)?;
    Ok(document)
}

/// [`parse`] for a document that may be left out.
///
/// # Errors
/// As [`parse`].
pub(crate) fn parse_optional<T: Document>(table: &Table, text: Option<&str>) -> Result<T, Failure> {
    let document = hcs_schema::parse_optional(text)?;
    table.check(&document)?;
    Ok(document)
}

/// [`parse`] for documents that may be long. Returns the text as well.
///
/// # Errors
/// As [`parse`].
pub(crate) async fn parse_long<T: Document + Send + 'static>(
    table: &'static Table,
    text: String,
) -> Result<(T, String), Failure> {
    read(text, |text| parse(table, text)).await
}

/// Reads the document of a system to be made, finds the engine for it, and has that engine's table checked. Returns the
/// text as well.
///
/// # Errors
/// As [`parse`], or there is no engine for it.
pub(crate) async fn parse_system(
    engines: &[Arc<dyn Engine>],
    text: String,
) -> Result<(ComputeSystem, Arc<dyn Engine>, String), Failure> {
    let engines = engines.to_vec();
    let checked = read(text, move |text| {
        let document = hcs_schema::parse(text)?;
        let engine = engine_for(&engines, &document)?;
        engine.coverage().check(&document)?;
        Ok((document, engine))
    });
    let ((document, engine), text) = checked.await?;
    Ok((document, engine, text))
}

/// The engine for a document. Where there is none, the engines there are know best why.
fn engine_for(
    engines: &[Arc<dyn Engine>],
    document: &ComputeSystem,
) -> Result<Arc<dyn Engine>, Failure> {
    if let Some(engine) = engines.iter().find(|engine| engine.accepts(document)) {
        return Ok(Arc::clone(engine));
    }
    for engine in engines {
        engine.coverage().check(document)?;
    }
    Err(Failure::new(
        HResult::HCS_E_INVALID_JSON,
        "the document describes no compute system: it needs Container or VirtualMachine",
    )
    .cause_at("", "expected one of Container, VirtualMachine"))
}

/// Length up to which a document is read at once; longer ones are read aside, so that no call waits for them.
const SHORT: usize = 64 << 10;

async fn read<T: Send + 'static>(
    text: String,
    reader: impl FnOnce(&str) -> Result<T, Failure> + Send + 'static,
) -> Result<(T, String), Failure> {
    if text.len() <= SHORT {
        return Ok((reader(&text)?, text));
    }
    let _place = match operations::share() {
        Some(share) => Some(share.parsing().await),
        None => None,
    };
    blocking(move || Ok((reader(&text)?, text))).await
}

#[cfg(test)]
mod tests {
    use hcs_schema::coverage::CONTAINER;

    use super::*;

    #[test]
    fn what_must_not_be_ignored_is_refused() {
        let text = r#"{"SchemaVersion":{"Major":2,"Minor":1},"Container":{"AssignedDevices":[{"LocationPath":"PCI"}]}}"#;
        let failure = parse::<ComputeSystem>(&CONTAINER, text).unwrap_err();
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
