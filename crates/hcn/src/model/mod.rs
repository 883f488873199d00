//! The objects of the network service: a plain value, and the calls of the API as its functions.
//!
//! ```text
//! network ──< endpoint >── namespace        deleting a network deletes its endpoints,
//!    └──< load balancer >── endpoint        deleting an endpoint takes it out of its namespace
//! ```
//! 1. [`network`], [`endpoint`], [`namespace`], [`load_balancer`]: create and delete; [`fabric`]: what a network stands
//!    on. 2. [`modify`]: requests. 3. [`query`]: properties and enumerations, in the version that the query asks for.
//!    4. [`record`]: what is written down, one record per object, and read again by the next service.
//!
//! A call that is refused changes nothing. Another says what it changed ([`Changes`]): the service writes those
//! records, has the engine make it so, and calls back who asked to be told. When the engine cannot, the service deletes
//! what it created; addresses were taken at once, so no other call has got them in between.

mod endpoint;
mod fabric;
mod led_route;
mod load_balancer;
mod modify;
mod namespace;
mod network;
mod outbound;
mod proxy;
mod query;
mod record;
mod remote;
mod rules;
mod taken;
mod terms;

use std::{collections::BTreeMap, sync::Arc};

use hcs_schema::{Failure, HResult, win32};

use crate::{address::Prefix, guid::Guid, reading::refused};

pub use endpoint::{Endpoint, Lease, Mapping, Protocol, Terms};
pub use fabric::{Fabric, RemoteSubnet, Tunnel};
pub use load_balancer::{BalancedPort, LoadBalancer, MOST_BALANCED_PORTS, MOST_BALANCERS, Spread};
pub use namespace::Namespace;
pub use network::{DEFAULT_SWITCH, Network};
pub use outbound::Outbound;
pub use proxy::Proxy;
pub use record::Record;

/// The most objects of a kind: what a client can make is bounded.
pub const MOST_OBJECTS: usize = 4096;

/// The most endpoints of a network: a bridge of Linux has 1023 ports.
pub const MOST_ENDPOINTS: usize = 1000;

/// The most subnets of a network: the host has an address in each.
const MOST_POOLS: usize = 64;

/// The most rules of an endpoint for what it may send and receive, each combination of its lists counted.
const MOST_ACCESS_RULES: usize = 1024;
/// The same for all endpoints together: each is a rule of the kernel's, in memory that no container is charged for.
pub const MOST_ACCESS_RULES_OF_ALL: usize = 131_072;

/// The most members of the sets that rules name, counted for each endpoint whose rules do.
pub const MOST_MEMBERS_OF_ALL: usize = 131_072;

/// The most addresses of an endpoint, mapped ports of one, and mapped ports of all. Rules are written as one
/// transaction, whose length an engine has to provide for.
const MOST_ADDRESSES: usize = 32;
const MOST_MAPPINGS: usize = 256;
/// Two for each endpoint that there may be. All of them are looked through, and copied, with each change of networks.
pub const MOST_MAPPINGS_OF_ALL: usize = 2 * MOST_OBJECTS;

/// The most peers that policies of all endpoints name for the translation of what they send.
pub const MOST_PEERS_OF_ALL: usize = 8192;

/// All networks, endpoints, namespaces and load balancers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    pub(crate) networks: BTreeMap<Guid, Network>,
    /// Shared by the copies that changes are tried on: most are the same in all of them.
    pub(crate) endpoints: BTreeMap<Guid, Arc<Endpoint>>,
    pub(crate) namespaces: BTreeMap<Guid, Namespace>,
    pub(crate) load_balancers: BTreeMap<Guid, LoadBalancer>,
}

/// What a call needs to know of the host.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// Where the routes of all tables lead, but those of the service's own bridges.
    pub routes: Vec<Prefix>,
    /// Adapters that a network could be on, by name.
    pub adapters: Vec<String>,
}

/// An object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Object {
    /// A network.
    Network(Guid),
    /// An endpoint.
    Endpoint(Guid),
    /// A namespace.
    Namespace(Guid),
    /// A load balancer.
    LoadBalancer(Guid),
}

/// The effect of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The object of the call.
    pub id: Guid,
    /// Objects whose records are to be written.
    pub written: Vec<Object>,
    /// Objects that are gone, those that hung on others first.
    pub removed: Vec<Object>,
    /// What clients with a callback are told, in this order.
    pub notifications: Vec<Notification>,
}

/// What clients with a callback are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notification {
    /// What happened.
    pub kind: NotificationType,
    /// The object.
    pub id: Guid,
    /// For an endpoint that was attached or detached: its namespace.
    pub namespace: Option<Guid>,
}

/// What happened; the numbers are those of `HCN_NOTIFICATIONS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotificationType {
    /// A network is about to be made.
    NetworkPreCreate = 1,
    /// A network was made.
    NetworkCreate = 2,
    /// A network is about to be deleted.
    NetworkPreDelete = 3,
    /// A network was deleted.
    NetworkDelete = 4,
    /// A namespace was made.
    NamespaceCreate = 5,
    /// A namespace was deleted.
    NamespaceDelete = 6,
    /// An endpoint went into a namespace.
    EndpointAttached = 9,
    /// An endpoint left its namespace.
    EndpointDetached = 0x10,
}

impl Notification {
    /// The document that a callback gets.
    #[must_use]
    pub fn data(&self) -> String {
        let data = self
            .namespace
            .map(|id| serde_json::json!({ "NamespaceID": id }).to_string());
        serde_json::json!({ "ID": self.id, "Flags": 0, "Data": data.unwrap_or_default() })
            .to_string()
    }
}

impl Changes {
    /// One object that was written.
    fn one(id: Guid, object: Object) -> Self {
        Self {
            id,
            written: vec![object],
            ..Self::default()
        }
    }

    fn told(mut self, kind: NotificationType, id: Guid) -> Self {
        self.notifications.push(Notification {
            kind,
            id,
            namespace: None,
        });
        self
    }
}

impl State {
    /// The network with this id.
    ///
    /// # Errors
    /// `HCN_E_NETWORK_NOT_FOUND`.
    pub fn network(&self, id: Guid) -> Result<&Network, Failure> {
        self.networks
            .get(&id)
            .ok_or_else(|| missing(HResult::HCN_E_NETWORK_NOT_FOUND, "network", id))
    }

    /// The endpoint with this id.
    ///
    /// # Errors
    /// `HCN_E_ENDPOINT_NOT_FOUND`.
    pub fn endpoint(&self, id: Guid) -> Result<&Endpoint, Failure> {
        let found = self.endpoints.get(&id);
        found
            .map(|endpoint| &**endpoint)
            .ok_or_else(|| missing(HResult::HCN_E_ENDPOINT_NOT_FOUND, "endpoint", id))
    }

    /// The namespace with this id.
    ///
    /// # Errors
    /// `HRESULT_FROM_WIN32(ERROR_NOT_FOUND)`, which clients test for.
    pub fn namespace(&self, id: Guid) -> Result<&Namespace, Failure> {
        self.namespaces
            .get(&id)
            .ok_or_else(|| missing(HResult::NOT_FOUND, "namespace", id))
    }

    /// The load balancer with this id.
    ///
    /// # Errors
    /// `HRESULT_FROM_WIN32(ERROR_NOT_FOUND)`.
    pub fn load_balancer(&self, id: Guid) -> Result<&LoadBalancer, Failure> {
        self.load_balancers
            .get(&id)
            .ok_or_else(|| missing(HResult::NOT_FOUND, "load balancer", id))
    }

    /// The networks.
    pub fn networks(&self) -> impl Iterator<Item = (Guid, &Network)> {
        self.networks.iter().map(|(id, network)| (*id, network))
    }

    /// The endpoints of a network.
    pub fn endpoints_of(&self, network: Guid) -> impl Iterator<Item = (Guid, &Endpoint)> {
        let all = self.endpoints.iter().map(|(id, one)| (*id, &**one));
        all.filter(move |(_, endpoint)| endpoint.network == network)
    }

    /// The namespaces.
    pub fn namespaces(&self) -> impl Iterator<Item = (Guid, &Namespace)> {
        self.namespaces
            .iter()
            .map(|(id, namespace)| (*id, namespace))
    }
}

fn missing(code: HResult, what: &str, id: Guid) -> Failure {
    Failure::new(code, format!("there is no {what} with the id {id}"))
        .on_record(format!("there is no {what} with this id"))
}

/// Refuses one more object of a kind.
fn room_for(count: usize, what: &str) -> Result<(), Failure> {
    if count < MOST_OBJECTS {
        return Ok(());
    }
    let message = format!("there are {count} {what}, and no more are made; delete some");
    let code = HResult::from_win32(win32::ERROR_NO_SYSTEM_RESOURCES);
    Err(Failure::new(code, message.clone()).on_record(message))
}

/// Refuses an id whose links would have the names of another object's.
fn has_own_name<'a>(id: Guid, others: impl Iterator<Item = &'a Guid>) -> Result<(), Failure> {
    let short = id.short();
    let mut others = others.filter(|other| **other != id);
    match others.find(|other| other.short() == short) {
        None => Ok(()),
        Some(other) => {
            let what = format!(
                "links of {id} would have the names of those of {other}, as a name has room for 60 bits of an id only; \
                 choose another id"
            );
            Err(refused(HResult::E_INVALIDARG, "/ID", what))
        }
    }
}

/// The id of a new object: that of the call, else that of its document.
fn chosen(given: Guid, named: Option<&String>) -> Result<Guid, Failure> {
    let named = crate::version1::id(named);
    match (given, named) {
        (Guid::NONE, Guid::NONE) => {
            let message = "no id was chosen: the service fills in one of its own where a client leaves it open";
            Err(Failure::new(HResult::E_UNEXPECTED, message))
        }
        (Guid::NONE, named) => Ok(named),
        (given, _) => Ok(given),
    }
}

#[cfg(test)]
mod balancer_tests;
#[cfg(test)]
mod bounds_tests;
#[cfg(test)]
mod fabric_tests;
#[cfg(test)]
mod led_route_tests;
#[cfg(test)]
mod outbound_tests;
#[cfg(test)]
mod overlay_tests;
#[cfg(test)]
mod random_tests;
#[cfg(test)]
mod rule_tests;
#[cfg(test)]
mod tests;
