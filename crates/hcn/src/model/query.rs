//! Properties and enumerations.
//!
//! The version that a query asks for chooses the answer: with major 2 a document of version 2, without a version one of
//! version 1. An answer is never empty, and never `null`.

use hcs_schema::{Document, Failure, HResult};
use serde_json::Value;

use super::State;
use crate::{
    documents::{HostComputeQuery, QueryFilter},
    guid::Guid,
    reading::read_optional,
    version1,
};

impl State {
    /// The properties of a network.
    ///
    /// # Errors
    /// `HCN_E_NETWORK_NOT_FOUND`; a refusal of the query by pointer.
    pub fn query_network(&self, id: Guid, query: &str) -> Result<String, Failure> {
        let network = self.network(id)?;
        let query: HostComputeQuery = read_optional(query)?;
        match query.wants_version_2() {
            true => written(&network.document),
            false => written(&version1::network(&network.document)),
        }
    }

    /// The properties of an endpoint.
    ///
    /// # Errors
    /// `HCN_E_ENDPOINT_NOT_FOUND`; a refusal of the query by pointer.
    pub fn query_endpoint(&self, id: Guid, query: &str) -> Result<String, Failure> {
        let endpoint = self.endpoint(id)?;
        let query: HostComputeQuery = read_optional(query)?;
        if query.wants_version_2() {
            return written(&endpoint.document);
        }
        let network = self
            .networks
            .get(&endpoint.network)
            .map(|network| &network.document);
        written(&version1::endpoint(&endpoint.document, network))
    }

    /// Whether a query about the counters of an endpoint can be answered; it changes nothing of the answer.
    ///
    /// # Errors
    /// `HCN_E_ENDPOINT_NOT_FOUND`; a refusal of the query by pointer.
    pub fn check_query(&self, endpoint: Guid, query: &str) -> Result<(), Failure> {
        self.endpoint(endpoint)?;
        let _query: HostComputeQuery = read_optional(query)?;
        Ok(())
    }

    /// The properties of a namespace; version 1 has none, so its document is that of version 2 always.
    ///
    /// # Errors
    /// `HRESULT_FROM_WIN32(ERROR_NOT_FOUND)`; a refusal of the query by pointer.
    pub fn query_namespace(&self, id: Guid, query: &str) -> Result<String, Failure> {
        let namespace = self.namespace(id)?;
        let _query: HostComputeQuery = read_optional(query)?;
        written(&namespace.document())
    }

    /// The properties of a load balancer, in version 2.
    ///
    /// # Errors
    /// `HRESULT_FROM_WIN32(ERROR_NOT_FOUND)`; a refusal of the query by pointer.
    pub fn query_load_balancer(&self, id: Guid, query: &str) -> Result<String, Failure> {
        let balancer = self.load_balancer(id)?;
        let _query: HostComputeQuery = read_optional(query)?;
        written(&balancer.document)
    }

    /// The ids of networks, as a JSON array.
    ///
    /// # Errors
    /// A refusal of the query by pointer.
    pub fn enumerate_networks(&self, query: &str) -> Result<String, Failure> {
        let filter = filter(query)?;
        let all = self
            .networks
            .iter()
            .map(|(id, network)| (*id, network.name(), None));
        Ok(listed(all, &filter))
    }

    /// The ids of endpoints, as a JSON array.
    ///
    /// # Errors
    /// A refusal of the query by pointer.
    pub fn enumerate_endpoints(&self, query: &str) -> Result<String, Failure> {
        let filter = filter(query)?;
        let all = self.endpoints.iter();
        let all = all.map(|(id, endpoint)| (*id, endpoint.name(), Some(endpoint.network)));
        Ok(listed(all, &filter))
    }

    /// The ids of namespaces, as a JSON array.
    ///
    /// # Errors
    /// A refusal of the query by pointer.
    pub fn enumerate_namespaces(&self, query: &str) -> Result<String, Failure> {
        let filter = filter(query)?;
        let name = |text: &'_ Option<String>| text.clone().unwrap_or_default();
        let all = self
            .namespaces
            .iter()
            .map(|(id, one)| (*id, name(&one.document.name), None));
        let all: Vec<(Guid, String, Option<Guid>)> = all.collect();
        Ok(listed(
            all.iter()
                .map(|(id, name, network)| (*id, name.as_str(), *network)),
            &filter,
        ))
    }

    /// The ids of load balancers, as a JSON array.
    ///
    /// # Errors
    /// A refusal of the query by pointer.
    pub fn enumerate_load_balancers(&self, query: &str) -> Result<String, Failure> {
        let filter = filter(query)?;
        let all = self.load_balancers.iter();
        let all = all.map(|(id, one)| {
            (
                *id,
                one.document.name.as_deref().unwrap_or_default(),
                one.network,
            )
        });
        Ok(listed(all, &filter))
    }
}

fn filter(query: &str) -> Result<QueryFilter, Failure> {
    let query: HostComputeQuery = read_optional(query)?;
    Ok(query.filter())
}

/// The ids of what fits the filter. A condition that can never hold, such as a machine's id where no machine has an
/// endpoint, leaves nothing.
fn listed<'n>(
    all: impl Iterator<Item = (Guid, &'n str, Option<Guid>)>,
    filter: &QueryFilter,
) -> String {
    let id = |text: &Option<String>| text.as_deref().map(|text| text.parse::<Guid>().ok());
    let (wanted, network) = (id(&filter.id), id(&filter.virtual_network));
    let network_2 = id(&filter.host_compute_network);
    let fits = |(id, name, of): &(Guid, &str, Option<Guid>)| {
        wanted.is_none_or(|wanted| wanted == Some(*id))
            && filter.name.as_deref().is_none_or(|wanted| wanted == *name)
            && network.is_none_or(|wanted| wanted.is_some() && wanted == *of)
            && network_2.is_none_or(|wanted| wanted.is_some() && wanted == *of)
            && filter.virtual_machine.is_none()
    };
    let ids = all
        .filter(fits)
        .map(|(id, _, _)| Value::String(id.to_string()));
    Value::Array(ids.collect()).to_string()
}

fn written<T: Document>(document: &T) -> Result<String, Failure> {
    serde_json::to_string(document).map_err(|error| {
        let message = format!("the {} document cannot be written", T::shape().name);
        Failure::new(HResult::E_UNEXPECTED, message).because(&error)
    })
}
