//! The functions that concern the service as a whole.

use hcs_schema::HResult;

use super::{Document, Error, Operation};

/// `HcsEnumerateComputeSystems`.
///
/// # Errors
/// As every call that takes an operation (see [`super`]).
pub fn enumerate(_query: Option<&str>, _operation: &Operation) -> Result<(), HResult> {
    Err(HResult::E_NOTIMPL)
}

/// `HcsGetServiceProperties`; waits for the answer.
///
/// # Errors
/// What the service answered, or why it could not be asked.
pub fn service_properties(_query: Option<&str>) -> Result<Option<Document>, Error> {
    Err(HResult::E_NOTIMPL.into())
}

/// `HcsModifyServiceSettings`; waits for the answer.
///
/// # Errors
/// What the service answered, or why it could not be asked.
pub fn modify_service_settings(_settings: &str) -> Result<Option<Document>, Error> {
    Err(HResult::E_NOTIMPL.into())
}

/// `HcsSubmitWerReport`; waits for the answer.
///
/// # Errors
/// What the service answered, or why it could not be asked.
pub fn submit_wer_report(_settings: &str) -> Result<Option<Document>, Error> {
    Err(HResult::E_NOTIMPL.into())
}
