//! The network of a container whose options name none: `nat`, unless the service's configuration says `none`.
//!
//! It is a convenience, so nothing fails for want of it: what this machine lacks for it is told, and the container has
//! loopback.

use std::io::{IsTerminal as _, stderr};

use hcs::{Failure, HResult, network};
use hcs_schema::documents::{ComputeSystem, Networking};
use hcs_wire::environment::is_root;

use crate::{
    clock::Clock,
    complain,
    failure::Stop,
    networks::{self, nat_settings},
    options::network::NetworkOptions,
    output::printable,
};

/// The part of a document about endpoints, as failures name it.
const ENDPOINTS: &str = "/Container/Networking/Endpoints";

/// Puts the container `id` of `document` into the default network, where there is one. Whether it is in it.
///
/// # Errors
/// The service cannot be asked.
pub(crate) fn furnish(
    document: &mut ComputeSystem,
    options: &NetworkOptions,
    id: &str,
    clock: Clock,
) -> Result<bool, Stop> {
    let Some(container) = document.container.as_mut() else {
        return Ok(false);
    };
    let is_in_another =
        |networking: &Networking| networking.namespace.is_some() || networking.endpoints.is_some();
    if !options.names_none() || container.networking.as_ref().is_some_and(is_in_another) {
        return Ok(false);
    }
    let network = match clock.on(network::open_default()).wait() {
        Ok(None) => return Ok(false),
        Ok(Some(id)) => id,
        Err(failure) => match failure.hresult {
            HResult::HCN_E_NETWORK_NOT_FOUND => match make(clock) {
                Ok(id) => id,
                Err(failure) => return Ok(unavailable(&failure)),
            },
            // Or a service of an earlier version, which has no networks for ordinary users.
            HResult::HCN_E_REQUEST_UNSUPPORTED | HResult::E_NOTIMPL => {
                return Ok(unavailable(&failure));
            }
            // A service of an earlier version has no default, and takes the word for an id.
            HResult::HCN_E_GUID_CONVERSION_FAILURE => return Ok(false),
            _ => return Err(clock.stop(id, failure).unexplained()),
        },
    };
    let networking = container.networking.get_or_insert_default();
    networking.endpoints = Some(vec![options.endpoint(&network)]);
    Ok(true)
}

fn make(clock: Clock) -> Result<String, Failure> {
    let made = clock.on(networks::creation(&nat_settings())).wait();
    match made {
        // Another program was faster.
        Err(failure) if failure.hresult == HResult::HCN_E_NETWORK_ALREADY_EXISTS => {
            let found = clock.on(network::open_default()).wait()?;
            found.ok_or(failure)
        }
        made => made,
    }
}

/// Takes the container of `document` out of the default network again, where that is what it could not be made for.
/// Whether it is worth another try.
pub(crate) fn give_up(document: &mut ComputeSystem, failure: &Failure) -> bool {
    let mut causes = failure.causes.iter();
    let is_at_fault = causes.any(|cause| {
        let pointer = cause.pointer.as_deref().unwrap_or_default();
        pointer.starts_with(ENDPOINTS)
    });
    // What was given up half way says nothing of networks.
    let is_passing = [
        HResult::E_ABORT,
        HResult::E_UNEXPECTED,
        HResult::HCS_E_CONNECTION_TIMEOUT,
        HResult::HCS_E_OPERATION_TIMEOUT,
        HResult::HCS_E_SERVICE_DISCONNECT,
    ]
    .contains(&failure.hresult);
    let networking = document.container.as_mut();
    let networking = networking.and_then(|container| container.networking.as_mut());
    match networking {
        Some(networking) if is_at_fault && !is_passing => {
            networking.endpoints = None;
            without(failure);
            true
        }
        _ => false,
    }
}

/// Tells why there is no network.
fn without(failure: &Failure) -> bool {
    complain(&format!(
        "hcs: no network but loopback: {}; --network none asks for no other\n",
        printable(&failure.message)
    ));
    false
}

/// Tells why there is none on this machine. Many machines have none for ordinary users, so these are told at a
/// terminal.
fn unavailable(failure: &Failure) -> bool {
    if is_root() || stderr().is_terminal() {
        without(failure);
    }
    false
}
