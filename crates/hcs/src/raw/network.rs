//! The functions of `ComputeNetwork.h`. They take no operation there; here each can be tracked by one, or waited for.

use hcs_schema::HResult;
use hcs_wire::{network::NetworkCall, service::Call};

use super::{Document, Error, Operation, OperationKind, request::PendingCall};
use crate::endpoint::Endpoint;

/// A function of `ComputeNetwork.h`, tracked by an operation. See [`NetworkCall`] for what it is answered with.
///
/// # Errors
/// As every call that takes an operation (see [`super`]).
pub fn network(call: NetworkCall, operation: &Operation) -> Result<(), HResult> {
    let endpoint = Endpoint::from_environment();
    let failure = endpoint.as_ref().err().cloned();
    let endpoint = endpoint.unwrap_or_else(|_| Endpoint::at(""));
    request(endpoint, call).refusing(failure).start(operation)
}

/// [`network`], waited for.
///
/// # Errors
/// The failure that the service answered, or the reason why it could not be asked.
pub fn run_network(call: NetworkCall) -> Result<Option<Document>, Error> {
    request(Endpoint::from_environment()?, call).run()
}

/// The same function for a service at a place of the caller's choice.
impl Endpoint {
    /// [`network`] there.
    ///
    /// # Errors
    /// As [`network`].
    pub fn network(&self, call: NetworkCall, operation: &Operation) -> Result<(), HResult> {
        request(self.clone(), call).start(operation)
    }
}

fn request(endpoint: Endpoint, call: NetworkCall) -> PendingCall {
    let document = match &call {
        NetworkCall::Enumerate { query, .. }
        | NetworkCall::Query { query, .. }
        | NetworkCall::Statistics { query, .. } => query.clone(),
        NetworkCall::Create { settings, .. } | NetworkCall::Modify { settings, .. } => {
            settings.clone()
        }
        NetworkCall::Open { .. } | NetworkCall::Delete { .. } | NetworkCall::Watch { .. } => {
            String::new()
        }
    };
    PendingCall::on_service(endpoint, OperationKind::None, Call::Network(call)).checking(&document)
}
