//! The functions about the service.

use hcs::raw::{self, Document, Error};
use hcs_schema::HResult;

use crate::{
    abi::{HRESULT, PCWSTR, PWSTR},
    ffi::{out::Out, panic::guard, string},
};

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsGetServiceProperties(
    property_query: PCWSTR,
    result: *mut PWSTR,
) -> HRESULT {
    guard(|| {
        // SAFETY: the caller passes a place for a pointer.
        let out = unsafe { Out::new(result) }.required()?;
        // SAFETY: the caller passes NULL or a string.
        let query = unsafe { string::optional(property_query) };
        give(raw::service_properties(query.as_deref()), &out)
    })
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsModifyServiceSettings(
    settings: PCWSTR,
    result: *mut PWSTR,
) -> HRESULT {
    guard(|| {
        // SAFETY: the caller passes NULL or a place for a pointer.
        let out = unsafe { Out::new(result) };
        // SAFETY: the caller passes a string.
        let settings = unsafe { string::required(settings) }?;
        give(raw::modify_service_settings(&settings), &out)
    })
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsSubmitWerReport(settings: PCWSTR) -> HRESULT {
    guard(|| {
        // SAFETY: the caller passes a string.
        let settings = unsafe { string::required(settings) }?;
        match raw::submit_wer_report(&settings) {
            Ok(_) => Ok(()),
            Err(error) => Err(error.hresult),
        }
    })
}

fn give(result: Result<Option<Document>, Error>, out: &Out<PWSTR>) -> Result<(), HResult> {
    match result {
        Ok(document) => out.document(document.as_ref()),
        Err(error) => Err(out.failure(&error)),
    }
}
