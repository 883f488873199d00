//! Failures that several parts of the service end a call with.

use hcs_schema::{Failure, HResult};

/// The failure of a cancelled call.
pub(crate) fn cancelled() -> Failure {
    Failure::new(HResult::CANCELLED, "the operation was cancelled")
}

/// The failure of a repeated call that may have been done before, or not: the service cannot tell.
pub(crate) fn unknown(why: &'static str) -> Failure {
    Failure::new(
        HResult::HCS_E_SERVICE_DISCONNECT,
        "the service that was asked is gone, and whether it did what was asked is not known",
    )
    .cause(why)
}
