//! A call and its ErrorRecord.

use std::ptr;

use c_border::{
    out::Out,
    panic::guard_or,
    types::{HRESULT, PWSTR},
};
use hcn::error_record::error_record;
use hcs_schema::{Failure, HResult};

/// Runs a call. `record` gets what failed, and is NULL otherwise: clients take any text there for a failure.
///
/// # Safety
/// `record` is NULL, or a place for a pointer that no other code uses during the call.
pub(super) unsafe fn answer(
    record: *mut PWSTR,
    call: impl FnOnce() -> Result<(), Failure>,
) -> HRESULT {
    guard_or(HResult::E_UNEXPECTED.0, || {
        // SAFETY: the caller's promise is the same.
        let record = unsafe { Out::new(record) };
        match call() {
            Ok(()) => HResult::S_OK.0,
            Err(failure) => {
                let text = record.is_wanted().then(|| error_record(&failure));
                // The code says enough where memory for more is missing.
                let text = text.and_then(|text| c_border::string::give(&text).ok());
                record.set(text.unwrap_or(ptr::null_mut()));
                failure.hresult.0
            }
        }
    })
}

/// A parameter that must not be NULL is.
pub(super) fn missing(parameter: &str) -> Failure {
    let message = format!("the parameter {parameter} is NULL, and has to be given");
    Failure::new(HResult::E_INVALIDARG, message)
}

/// A function is not implemented.
pub(super) fn not_implemented(function: &str, reason: &str) -> Failure {
    Failure::new(
        HResult::E_NOTIMPL,
        format!("{function} is not implemented: {reason}"),
    )
}
