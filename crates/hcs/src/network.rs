//! Networks, their endpoints, the namespaces that these are in, and load balancers: the functions of
//! `ComputeNetwork.h`.
//!
//! Objects are named by their ids, and described by documents of the Host Compute Network service as text
//! (`HostComputeNetwork`, `HostComputeEndpoint`, and so on). Only a service of root has networks: another
//! one answers `E_NOTIMPL`, with a sentence.
//!
//! ```no_run
//! use hcs::network::{self, ObjectKind};
//!
//! # fn main() -> Result<(), hcs::Failure> {
//! let settings = r#"{"SchemaVersion": {"Major": 2, "Minor": 0}, "Name": "test", "Type": "NAT"}"#;
//! let network = network::create(ObjectKind::Network, "", settings).wait()?;
//! let settings = r#"{"SchemaVersion": {"Major": 2, "Minor": 0}}"#;
//! let endpoint = network::create_endpoint(&network, "", settings).wait()?;
//! println!("{}", network::query(ObjectKind::Endpoint, &endpoint, settings).wait()?);
//! // Its endpoints go with it.
//! network::delete(ObjectKind::Network, &network).wait()?;
//! # Ok(())
//! # }
//! ```

use hcs_schema::{Failure, HResult};
use hcs_wire::network::{Created, DEFAULT_NETWORK, NetworkCall};

pub use hcs_wire::network::ObjectKind;

pub use crate::watcher::{NetworkEvent, SERVICE_DISCONNECT, Watcher};

use crate::{
    Operation,
    operation::{read, refused},
    raw::{self, Document},
};

/// The ids of the objects that a `HostComputeQuery` lets through; "" lets all through.
pub fn enumerate(kind: ObjectKind, query: &str) -> Operation<Vec<String>> {
    let call = NetworkCall::Enumerate {
        kind,
        query: query.to_owned(),
    };
    call_of(call, |document| read("list of ids", document.as_deref()))
}

/// Makes a network, a namespace or a load balancer, and tells its id. With "" for `id`, its document chooses that, or
/// else the service.
///
/// Fails with `HCN_E_NETWORK_ALREADY_EXISTS` for a network whose id or name is taken.
pub fn create(kind: ObjectKind, id: &str, settings: &str) -> Operation<String> {
    made(kind, id, "", settings)
}

/// Makes an endpoint in a network, and tells its id, which is chosen as by [`create`].
pub fn create_endpoint(network: &str, id: &str, settings: &str) -> Operation<String> {
    made(ObjectKind::Endpoint, id, network, settings)
}

fn made(kind: ObjectKind, id: &str, network: &str, settings: &str) -> Operation<String> {
    let call = NetworkCall::Create {
        kind,
        id: id.to_owned(),
        network: network.to_owned(),
        settings: settings.to_owned(),
    };
    call_of(call, |document| id_of(document.as_ref()))
}

/// Whether the object is there: tells its id as the service writes it.
///
/// Fails with `HCN_E_NETWORK_NOT_FOUND`, `HCN_E_ENDPOINT_NOT_FOUND` or, for a namespace,
/// `HRESULT_FROM_WIN32(ERROR_NOT_FOUND)`.
pub fn open(kind: ObjectKind, id: &str) -> Operation<String> {
    let id = id.to_owned();
    call_of(NetworkCall::Open { kind, id }, |document| {
        id_of(document.as_ref())
    })
}

/// The id of the network of containers for which none is named; none where the service's configuration says so.
///
/// Fails with `HCN_E_NETWORK_NOT_FOUND` where the network `nat` is still to be made. Where it could not be made before,
/// that is `HCN_E_REQUEST_UNSUPPORTED`, with the reason.
pub fn open_default() -> Operation<Option<String>> {
    let call = NetworkCall::Open {
        kind: ObjectKind::Network,
        id: DEFAULT_NETWORK.to_owned(),
    };
    call_of(call, |document| {
        id_of(document.as_ref()).map(|id| Some(id).filter(|id| !id.is_empty()))
    })
}

/// Changes an object by a request, such as `ModifyNetworkSettingRequest`. A load balancer is replaced by that of a
/// document.
pub fn modify(kind: ObjectKind, id: &str, settings: &str) -> Operation<()> {
    let call = NetworkCall::Modify {
        kind,
        id: id.to_owned(),
        settings: settings.to_owned(),
    };
    call_of(call, |_| Ok(()))
}

/// The document of an object: of version 2 if the query has that `SchemaVersion`, of version 1 otherwise.
pub fn query(kind: ObjectKind, id: &str, query: &str) -> Operation<String> {
    let call = NetworkCall::Query {
        kind,
        id: id.to_owned(),
        query: query.to_owned(),
    };
    call_of(call, text_of)
}

/// The counters of an endpoint since its link was made: bytes and packets that it received and sent, and packets that
/// were dropped. All are 0 while it is in no running system.
pub fn statistics(endpoint: &str, query: &str) -> Operation<String> {
    let call = NetworkCall::Statistics {
        id: endpoint.to_owned(),
        query: query.to_owned(),
    };
    call_of(call, text_of)
}

fn text_of(document: Option<Document>) -> Result<String, Failure> {
    match document {
        Some(document) => Ok(document.to_string()),
        None => Err(Failure::new(
            HResult::HCS_E_PROTOCOL_ERROR,
            "the service sent no properties",
        )),
    }
}

/// Deletes an object: a network with its endpoints; an endpoint leaves its namespace.
pub fn delete(kind: ObjectKind, id: &str) -> Operation<()> {
    let call = NetworkCall::Delete {
        kind,
        id: id.to_owned(),
        only_unused: false,
    };
    call_of(call, |_| Ok(()))
}

/// Deletes a network, but fails while it has endpoints. A container that comes meanwhile is in it, or finds none.
pub fn delete_unused_network(id: &str) -> Operation<()> {
    let call = NetworkCall::Delete {
        kind: ObjectKind::Network,
        id: id.to_owned(),
        only_unused: true,
    };
    call_of(call, |_| Ok(()))
}

fn id_of(document: Option<&Document>) -> Result<String, Failure> {
    let created: Created = read("id", document.map(|text| &**text))?;
    Ok(created.id)
}

fn call_of<T>(
    call: NetworkCall,
    finish: impl FnOnce(Option<Document>) -> Result<T, Failure> + Send + 'static,
) -> Operation<T> {
    let start = |operation: &raw::Operation| raw::network(call, operation).map_err(refused);
    Operation::new(start, |(), _, document| finish(document))
}
