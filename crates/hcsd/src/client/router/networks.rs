//! Calls of `ComputeNetwork.h`.

use std::rc::Rc;

use hcs_schema::{Failure, HResult};
use hcs_wire::network::{NetworkCall, ObjectKind};

use super::RoutedCall;
use crate::{
    client::connection::CallAnswer, network::Named, record::operations, thread::share::Followed,
};

/// The longest id that is looked at, in bytes: a GUID has 38 with its braces.
const MOST_ID: usize = 64;

/// Makes such a call.
pub(super) fn answer(routed: RoutedCall, call: NetworkCall) {
    if let Err(failure) = check(&call) {
        return routed.answer(Err(failure));
    }
    let connection = Rc::clone(&routed.connection);
    let networks = Rc::clone(&connection.service.context.networks);
    if let NetworkCall::Statistics { id, query } = call {
        return routed.look(async move {
            networks.settled().await;
            let told = networks.statistics(&id, &query).await;
            told.map(|text| CallAnswer::document(Some(text)))
        });
    }
    if let NetworkCall::Watch { life, since } = call {
        return watch(routed, life, since);
    }
    if !call.has_effect() {
        if is_of_containers(&call) {
            return routed.look(async move {
                networks.settled().await;
                networks.look(&call).map(CallAnswer::document)
            });
        }
        let found = networks.look(&call);
        return routed.answer(found.map(CallAnswer::document));
    }
    connection.spawn(async move {
        let timeline = &routed.pending.timeline;
        let mut named = Named {
            name: timeline.name().cloned(),
            is_repeat: timeline.repeated().is_some(),
            was_done: false,
        };
        timeline.set_record(&networks);
        let turn = routed.in_its_turn(networks.turn());
        let turn = match routed.was_done().await {
            // What is known of it is with the objects themselves, so they are asked, whether it is cancelled or not.
            Ok(true) => {
                named.was_done = true;
                operations::carry(Some(Rc::clone(timeline)), turn).await
            }
            Ok(false) => routed.until_cancelled(turn).await,
            Err(failure) => Err(failure),
        };
        let answer = match turn {
            Ok(turn) => {
                // A change is made to its end, so its answer is waited for: a client that cancels would not know what
                // is there.
                let called = networks.change_by(turn, call, named);
                operations::carry(Some(Rc::clone(timeline)), called)
                    .await
                    .map(CallAnswer::document)
            }
            Err(failure) => Err(failure),
        };
        routed.answer(answer);
    });
}

/// Tells what happened to networks. A client that waits for it holds a place among its user's readers, and no other.
fn watch(routed: RoutedCall, life: String, since: u64) {
    let connection = Rc::clone(&routed.connection);
    let place = match life.is_empty() {
        true => Ok(None),
        false => connection.share.follow(Followed::Networks).map(Some),
    };
    let place = match place {
        Ok(place) => place,
        Err(failure) => return routed.answer(Err(failure)),
    };
    routed.look(async move {
        let _place = place;
        let networks = &connection.service.context.networks;
        connection.room().await;
        let news = networks.news(&life, since).await?;
        let text = serde_json::to_string(&news).map_err(|error| {
            Failure::new(HResult::E_UNEXPECTED, "an answer could not be written").because(&error)
        })?;
        Ok(CallAnswer::document(Some(text)))
    });
}

/// Whether a call looks at what goes with containers.
fn is_of_containers(call: &NetworkCall) -> bool {
    let (NetworkCall::Enumerate { kind, .. }
    | NetworkCall::Open { kind, .. }
    | NetworkCall::Query { kind, .. }) = call
    else {
        return false;
    };
    match kind {
        ObjectKind::Endpoint | ObjectKind::Namespace | ObjectKind::LoadBalancer => true,
        ObjectKind::Network => false,
    }
}

fn check(call: &NetworkCall) -> Result<(), Failure> {
    let (id, other) = match call {
        NetworkCall::Enumerate { .. } => ("", ""),
        NetworkCall::Create { id, network, .. } => (id.as_str(), network.as_str()),
        NetworkCall::Open { id, .. }
        | NetworkCall::Modify { id, .. }
        | NetworkCall::Query { id, .. }
        | NetworkCall::Statistics { id, .. }
        | NetworkCall::Watch { life: id, .. }
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
