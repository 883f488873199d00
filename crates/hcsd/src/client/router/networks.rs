//! Calls of `ComputeNetwork.h`.

use hcs_schema::{Failure, HResult};
use hcs_wire::network::NetworkCall;

use super::Errand;

/// Answers such a call.
pub(super) fn answer(errand: &Errand, _call: &NetworkCall) {
    let message = "this service has no networks yet";
    errand.answer(Err(Failure::new(HResult::E_NOTIMPL, message)));
}
