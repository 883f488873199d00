//! Load balancers: kept, found and deleted. What they are to do is refused by pointer until an engine does it, so one
//! that was created leads nowhere and was not asked to.

use std::collections::BTreeSet;

use hcs_schema::{Failure, HResult, documents::Version};

use super::{Changes, Object, State, chosen, room_for};
use crate::{
    documents::HostComputeLoadBalancer,
    guid::Guid,
    reading::{read, refused},
    version1,
};

/// A load balancer.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadBalancer {
    pub(crate) document: HostComputeLoadBalancer,
    pub(crate) network: Option<Guid>,
    pub(crate) endpoints: BTreeSet<Guid>,
}

impl LoadBalancer {
    /// Its document, in version 2.
    #[must_use]
    pub const fn document(&self) -> &HostComputeLoadBalancer {
        &self.document
    }
}

impl State {
    /// Creates a load balancer. `given` is the id that the client gave, or one that the service chose.
    ///
    /// # Errors
    /// A refusal by pointer; `HCN_E_POLICY_ALREADY_EXISTS` for an id that is taken.
    pub fn create_load_balancer(
        &mut self,
        given: Guid,
        settings: &str,
    ) -> Result<Changes, Failure> {
        let document: HostComputeLoadBalancer = read(settings)?;
        room_for(self.load_balancers.len(), "load balancers")?;
        let id = chosen(given, document.id.as_ref())?;
        if self.load_balancers.contains_key(&id) {
            let message = format!("there is a load balancer with the id {id} already");
            return Err(Failure::new(HResult::HCN_E_POLICY_ALREADY_EXISTS, message));
        }
        let made = self.balancer(id, document)?;
        self.load_balancers.insert(id, made);
        Ok(Changes::one(id, Object::LoadBalancer(id)))
    }

    /// Replaces a load balancer as a whole.
    ///
    /// # Errors
    /// As for its creation; `HRESULT_FROM_WIN32(ERROR_NOT_FOUND)`.
    pub fn modify_load_balancer(&mut self, id: Guid, settings: &str) -> Result<Changes, Failure> {
        self.load_balancer(id)?;
        let made = self.balancer(id, read(settings)?)?;
        self.load_balancers.insert(id, made);
        Ok(Changes::one(id, Object::LoadBalancer(id)))
    }

    pub(super) fn balancer(
        &self,
        id: Guid,
        mut document: HostComputeLoadBalancer,
    ) -> Result<LoadBalancer, Failure> {
        let named = version1::id(document.host_compute_network.as_ref());
        let network = (named != Guid::NONE).then_some(named);
        if let Some(network) = network {
            self.network(network)?;
        }
        let mut endpoints = BTreeSet::new();
        for (at, text) in document.host_compute_endpoints.iter().flatten().enumerate() {
            let endpoint = text.parse().unwrap_or_default();
            if !self.endpoints.contains_key(&endpoint) {
                let pointer = format!("/HostComputeEndpoints/{at}");
                let what = format!("there is no endpoint with the id {endpoint}");
                return Err(refused(HResult::HCN_E_ENDPOINT_NOT_FOUND, pointer, what));
            }
            endpoints.insert(endpoint);
        }
        document.id = Some(id.to_string());
        document.schema_version = Some(Version {
            major: Some(2),
            minor: Some(0),
        });
        Ok(LoadBalancer {
            document,
            network,
            endpoints,
        })
    }

    /// Deletes a load balancer.
    ///
    /// # Errors
    /// `HRESULT_FROM_WIN32(ERROR_NOT_FOUND)`.
    pub fn delete_load_balancer(&mut self, id: Guid) -> Result<Changes, Failure> {
        self.load_balancer(id)?;
        self.load_balancers.remove(&id);
        Ok(Changes {
            id,
            removed: vec![Object::LoadBalancer(id)],
            ..Changes::default()
        })
    }
}
