//! Records: one per object, which the service writes to a file each, and the state that they make up again.
//!
//! An endpoint's record is its lease: an address is free when no record has it. What was given last stands in the
//! network's, so that the next service goes on upwards from there.

use std::sync::Arc;

use hcs_schema::{Failure, HResult};
use serde::{Deserialize, Serialize};

use super::{
    Endpoint, Lease, Namespace, Network, Object, State,
    fabric::{fabric, has_adapter},
    has_own_name,
    network::NetworkRules,
    remote,
    taken::Taken,
};
use crate::{
    documents::{
        HostComputeEndpoint, HostComputeLoadBalancer, HostComputeNamespace, HostComputeNetwork,
        NetworkType,
    },
    guid::Guid,
    plan::{MacPlan, Pool},
    version1,
};

/// What is written down of one object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Record {
    /// A network: its document, and its plans.
    Network {
        /// In version 2.
        document: HostComputeNetwork,
        /// Its subnets, with what was given last.
        pools: Vec<Pool>,
        /// Its hardware addresses, with what was given last.
        macs: MacPlan,
    },
    /// An endpoint.
    Endpoint {
        /// In version 2, with its addresses and its namespace.
        document: HostComputeEndpoint,
    },
    /// A namespace.
    Namespace {
        /// In version 2.
        document: HostComputeNamespace,
        /// Its number.
        number: u32,
        /// Its endpoints, each at its place.
        places: Vec<Option<Guid>>,
        /// Its containers.
        containers: Vec<String>,
    },
    /// A load balancer.
    LoadBalancer {
        /// In version 2.
        document: HostComputeLoadBalancer,
    },
}

impl Record {
    /// The id of its object; none where the record is damaged.
    #[must_use]
    pub fn id(&self) -> Guid {
        version1::id(match self {
            Self::Network { document, .. } => document.id.as_ref(),
            Self::Endpoint { document } => document.id.as_ref(),
            Self::Namespace { document, .. } => document.id.as_ref(),
            Self::LoadBalancer { document } => document.id.as_ref(),
        })
    }
}

impl State {
    /// The record of an object; `None` when it is gone.
    #[must_use]
    pub fn record(&self, object: Object) -> Option<Record> {
        match object {
            Object::Network(id) => self.networks.get(&id).map(|network| Record::Network {
                document: network.document.clone(),
                pools: network.pools.clone(),
                macs: network.macs.clone(),
            }),
            Object::Endpoint(id) => self.endpoints.get(&id).map(|endpoint| Record::Endpoint {
                document: endpoint.document.clone(),
            }),
            Object::Namespace(id) => self.namespaces.get(&id).map(|namespace| Record::Namespace {
                document: namespace.document.clone(),
                number: namespace.number,
                places: namespace.places.clone(),
                containers: namespace.containers.clone(),
            }),
            Object::LoadBalancer(id) => {
                self.load_balancers
                    .get(&id)
                    .map(|balancer| Record::LoadBalancer {
                        document: balancer.document.clone(),
                    })
            }
        }
    }

    /// All objects that there are.
    #[must_use]
    pub fn objects(&self) -> Vec<Object> {
        let networks = self.networks.keys().map(|id| Object::Network(*id));
        let endpoints = self.endpoints.keys().map(|id| Object::Endpoint(*id));
        let namespaces = self.namespaces.keys().map(|id| Object::Namespace(*id));
        let balancers = self
            .load_balancers
            .keys()
            .map(|id| Object::LoadBalancer(*id));
        networks
            .chain(endpoints)
            .chain(namespaces)
            .chain(balancers)
            .collect()
    }

    /// The state that records make up, in any order. A record that does not fit the others is left out, with the
    /// reason: a service that ended between two files left such ones. Where an endpoint and a namespace disagree, the
    /// endpoint's record counts, as it has the addresses.
    #[must_use]
    pub fn restore(records: Vec<Record>) -> (Self, Vec<Failure>) {
        let mut state = Self::default();
        let mut faults = Vec::new();
        let mut endpoints = Vec::new();
        let mut balancers = Vec::new();
        for record in records {
            if record.id() == Guid::NONE {
                faults.push(unfit("a record has no id".to_owned()));
                continue;
            }
            match record {
                Record::Network {
                    document,
                    pools,
                    macs,
                } => state.restore_network(document, pools, macs, &mut faults),
                Record::Namespace {
                    document,
                    number,
                    places,
                    containers,
                } => {
                    let id = version1::id(document.id.as_ref());
                    let namespace = Namespace {
                        document,
                        number,
                        places,
                        containers,
                    };
                    state.namespaces.insert(id, namespace);
                }
                Record::Endpoint { document } => endpoints.push(document),
                Record::LoadBalancer { document } => balancers.push(document),
            }
        }
        let mut taken = Some(Taken::of_records());
        for document in endpoints {
            let id = version1::id(document.id.as_ref());
            if let Err(failure) = state.restore_endpoint(document, &mut taken) {
                faults.push(failure);
                if let Some(taken) = &mut taken {
                    taken.forget(id);
                }
            }
        }
        state.settle_namespaces();
        for document in balancers {
            let id = version1::id(document.id.as_ref());
            match state.balancer(id, document) {
                Ok(balancer) => drop(state.load_balancers.insert(id, balancer)),
                Err(failure) => faults.push(failure),
            }
        }
        (state, faults)
    }

    fn restore_network(
        &mut self,
        document: HostComputeNetwork,
        pools: Vec<Pool>,
        macs: MacPlan,
        faults: &mut Vec<Failure>,
    ) {
        let id = version1::id(document.id.as_ref());
        let taken = self.networks.values().flat_map(|network| &network.pools);
        let mut taken = taken.map(|pool| pool.prefix);
        if taken.any(|prefix| pools.iter().any(|pool| pool.prefix.overlaps(prefix))) {
            faults.push(unfit(format!(
                "the record of the network {id} has a subnet of another network"
            )));
            return;
        }
        if let Err(failure) = has_own_name(id, self.networks.keys()) {
            faults.push(failure);
            return;
        }
        let kind = document.kind.unwrap_or(NetworkType::Nat);
        let fabric = fabric(&document).and_then(|fabric| {
            has_adapter(kind, &fabric, &[])?;
            Ok(fabric)
        });
        let read = fabric.and_then(|fabric| Ok((fabric, NetworkRules::read(&document)?)));
        match read {
            Ok((fabric, rules)) => {
                let NetworkRules {
                    sets,
                    proxies,
                    access,
                } = rules;
                let network = Network {
                    document,
                    pools,
                    macs,
                    fabric,
                    sets,
                    proxies,
                    access,
                };
                self.networks.insert(id, network);
            }
            Err(failure) => faults.push(failure),
        }
    }

    fn restore_endpoint(
        &mut self,
        document: HostComputeEndpoint,
        taken: &mut Option<Taken>,
    ) -> Result<(), Failure> {
        let id = version1::id(document.id.as_ref());
        let network_id = version1::id(document.host_compute_network.as_ref());
        let network = self.network(network_id)?;
        has_own_name(id, self.endpoints.keys())?;
        let mut leases: Vec<Lease> = Vec::new();
        for one in document.ip_configurations.iter().flatten() {
            let address = one.ip_address.as_deref().and_then(|text| text.parse().ok());
            let lease = address
                .zip(one.prefix_length)
                .map(|(address, length)| Lease { address, length });
            let lease = lease.filter(|lease| {
                let pool = network.pool_of(lease.address);
                let is_elsewhere = pool.is_none() && remote::is_remote(&document);
                (is_elsewhere || pool.is_some_and(|pool| pool.allows(lease.address)))
                    && leases.iter().all(|other| other.address != lease.address)
            });
            leases.push(lease.ok_or_else(|| {
                unfit(format!(
                    "the record of the endpoint {id} has an address that its network cannot give"
                ))
            })?);
        }
        let others: Vec<&Endpoint> = self
            .endpoints_of(network_id)
            .map(|(_, endpoint)| endpoint)
            .collect();
        let twice = others
            .iter()
            .flat_map(|other| &other.leases)
            .any(|theirs| leases.iter().any(|own| own.address == theirs.address));
        let mac = document
            .mac_address
            .as_deref()
            .and_then(|text| text.parse().ok());
        let mac = mac.filter(|mac| !twice && others.iter().all(|other| other.mac != *mac));
        let mac = mac.ok_or_else(|| {
            unfit(format!(
                "the record of the endpoint {id} has an address of another endpoint, or none"
            ))
        })?;
        let terms = self.terms_beside(id, network, &document, taken)?;
        let namespace = version1::id(document.host_compute_namespace.as_ref());
        let endpoint = Endpoint {
            namespace: (namespace != Guid::NONE).then_some(namespace),
            document,
            network: network_id,
            leases,
            mac,
            terms,
        };
        self.endpoints.insert(id, Arc::new(endpoint));
        Ok(())
    }

    /// Makes namespaces and endpoints agree.
    fn settle_namespaces(&mut self) {
        let Self {
            endpoints,
            namespaces,
            ..
        } = self;
        for (id, namespace) in namespaces.iter_mut() {
            let here = |other: Guid| {
                endpoints
                    .get(&other)
                    .is_some_and(|one| one.namespace == Some(*id))
            };
            namespace.free(|other| !here(other));
            for (other, endpoint) in endpoints.iter() {
                if endpoint.namespace == Some(*id) && namespace.place(*other).is_none() {
                    namespace.put(*other);
                }
            }
        }
        for endpoint in endpoints.values_mut() {
            if endpoint
                .namespace
                .is_some_and(|id| !namespaces.contains_key(&id))
            {
                let endpoint = Arc::make_mut(endpoint);
                endpoint.namespace = None;
                endpoint.document.host_compute_namespace = None;
            }
        }
    }
}

fn unfit(message: String) -> Failure {
    Failure::new(HResult::HCN_E_INVALID_JSON_REFERENCE, message)
}
