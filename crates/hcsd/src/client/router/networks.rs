//! Calls of `ComputeNetwork.h`.

use std::rc::Rc;

use hcs_schema::{Failure, HResult};
use hcs_wire::network::NetworkCall;

use super::Errand;
use crate::{client::connection::CallAnswer, network::Named, record::operations};

/// The longest id that is looked at, in bytes: a GUID has 38 with its braces.
const MOST_ID: usize = 64;

/// Makes such a call.
pub(super) fn answer(errand: Errand, call: NetworkCall) {
    if let Err(failure) = check(&call) {
        return errand.answer(Err(failure));
    }
    let connection = Rc::clone(&errand.connection);
    let networks = Rc::clone(&connection.service.context.networks);
    if !call.has_effect() {
        let named = Named::default();
        return errand
            .look(async move { networks.call(call, named).await.map(CallAnswer::document) });
    }
    connection.spawn(async move {
        let timeline = &errand.pending.timeline;
        let named = Named {
            name: timeline.name().cloned(),
            is_repeat: timeline.repeated().is_some(),
        };
        // What is known of it is with the objects themselves.
        let answer = match errand.was_done().await {
            Ok(_) => {
                // A change is made to its end, so its answer is waited for: a client that cancels would not know what
                // is there.
                let called = async { networks.call(call, named).await.map(CallAnswer::document) };
                operations::carry(Some(Rc::clone(&errand.pending.timeline)), called).await
            }
            Err(failure) => Err(failure),
        };
        errand.answer(answer);
    });
}

fn check(call: &NetworkCall) -> Result<(), Failure> {
    let (id, other) = match call {
        NetworkCall::Enumerate { .. } => ("", ""),
        NetworkCall::Create { id, network, .. } => (id.as_str(), network.as_str()),
        NetworkCall::Open { id, .. }
        | NetworkCall::Modify { id, .. }
        | NetworkCall::Query { id, .. }
        | NetworkCall::Delete { id, .. } => (id.as_str(), ""),
    };
    if id.len().max(other.len()) <= MOST_ID {
        return Ok(());
    }
    let message = format!("an id has at most {MOST_ID} bytes, so there is no such object");
    Err(Failure::new(
        HResult::HCN_E_GUID_CONVERSION_FAILURE,
        message,
    ))
}
