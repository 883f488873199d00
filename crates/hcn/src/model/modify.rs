//! Requests that modify objects. A resource that is added is added to what is there; one that is removed has to be
//! there.

use std::sync::Arc;

use hcs_schema::{Document, Failure, HResult};
use serde_json::Value;

use super::{
    Changes, Network, Object, State,
    fabric::{fabric, has_adapter},
    network::NetworkRules,
    remote,
};
use crate::{
    documents::{
        ContainerRequest, Dns, EndpointPolicy, EndpointPolicyRequest, ModifyEndpointRequest,
        ModifyNamespaceRequest, ModifyNetworkRequest, NamespaceEndpointRequest,
        NamespaceResourceKind, NetworkPolicy, NetworkPolicyRequest, NetworkResourceType,
        RequestType, policy::settings_of,
    },
    guid::Guid,
    reading::{check, read, refused},
    sets::set_id,
};

impl State {
    /// Modifies a network: its policies, or how its new endpoints resolve names.
    ///
    /// # Errors
    /// A refusal by pointer; `HCN_E_NETWORK_NOT_FOUND`.
    pub fn modify_network(&mut self, id: Guid, request: &str) -> Result<Changes, Failure> {
        self.network(id)?;
        let request: ModifyNetworkRequest = read(request)?;
        let what = request.request_type.unwrap_or(RequestType::Add);
        let mut document = self.network(id)?.document.clone();
        match request.resource_type {
            Some(NetworkResourceType::Dns) => {
                let dns: Dns = settings(request.settings.as_ref())?;
                document.dns = match what {
                    RequestType::Add | RequestType::Update => Some(dns),
                    RequestType::Remove | RequestType::Reset => None,
                    RequestType::Refresh => document.dns,
                };
            }
            Some(NetworkResourceType::Policy) => {
                let asked: NetworkPolicyRequest = settings(request.settings.as_ref())?;
                let there = document.policies.take().unwrap_or_default();
                let asked = asked.policies.unwrap_or_default();
                // Each set is one of its own.
                let alike = |a: &NetworkPolicy, b: &NetworkPolicy| {
                    a.kind == b.kind && set_id(a) == set_id(b)
                };
                let same = |a: &NetworkPolicy, b: &NetworkPolicy| match set_id(a) {
                    Some(id) => set_id(b) == Some(id),
                    None => a == b,
                };
                document.policies = Some(changed(what, there, asked, (alike, same))?);
            }
            _ => return Err(not_this()),
        }
        let fabric = fabric(&document)?;
        has_adapter(self.network(id)?.kind(), &fabric, &[])?;
        if !self.network(id)?.fabric.can_become(&fabric) {
            let what = "a network stays on what it was made on; make another one";
            let pointer = "/Settings/Policies";
            return Err(refused(HResult::HCN_E_REQUEST_UNSUPPORTED, pointer, what));
        }
        let taken: Vec<_> = self.prefixes_but_of(id).collect();
        Self::lead_nowhere_else(&document, &fabric, &self.network(id)?.pools, &taken)?;
        self.routers_are_no_cards(id, &fabric)?;
        let NetworkRules {
            sets,
            proxies,
            access,
        } = NetworkRules::read(&document)?;
        let after = Network {
            document,
            fabric,
            sets,
            proxies,
            access,
            ..self.network(id)?.clone()
        };
        self.endpoints_can_have(id, &after)?;
        self.networks.insert(id, after);
        Ok(Changes::one(id, Object::Network(id)))
    }

    /// Modifies an endpoint: its policies.
    ///
    /// # Errors
    /// A refusal by pointer; `HCN_E_ENDPOINT_NOT_FOUND`.
    pub fn modify_endpoint(&mut self, id: Guid, request: &str) -> Result<Changes, Failure> {
        self.endpoint(id)?;
        let request: ModifyEndpointRequest = read(request)?;
        let asked: EndpointPolicyRequest = settings(request.settings.as_ref())?;
        let what = request.request_type.unwrap_or(RequestType::Add);
        let endpoint = self.endpoint(id)?;
        let mut document = endpoint.document.clone();
        let there = document.policies.take().unwrap_or_default();
        let alike = |a: &EndpointPolicy, b: &EndpointPolicy| a.kind == b.kind;
        document.policies = Some(changed(
            what,
            there,
            asked.policies.unwrap_or_default(),
            (alike, PartialEq::eq),
        )?);
        let network = self.network(endpoint.network)?;
        remote::check(network, &document)?;
        let terms = self.terms(id, network, &document)?;
        terms.have_somewhere_to_lead(&endpoint.leases)?;
        terms.have_proxies_elsewhere(&endpoint.leases)?;
        terms.have_routers_beside(&endpoint.leases, &document)?;
        remote::is_no_router(network, endpoint.mac, &terms)?;
        if let Some(endpoint) = self.endpoints.get_mut(&id).map(Arc::make_mut) {
            endpoint.document = document;
            endpoint.terms = terms;
        }
        Ok(Changes::one(id, Object::Endpoint(id)))
    }

    /// Modifies a namespace: its endpoints and containers.
    ///
    /// # Errors
    /// A refusal by pointer; `HCN_E_ENDPOINT_NAMESPACE_ALREADY_EXISTS` for an endpoint that is in one;
    /// `HCN_E_ENDPOINT_NOT_ATTACHED` for one that is not in this.
    pub fn modify_namespace(&mut self, id: Guid, request: &str) -> Result<Changes, Failure> {
        self.namespace(id)?;
        let request: ModifyNamespaceRequest = read(request)?;
        let add = match request.request_type.unwrap_or(RequestType::Add) {
            RequestType::Add => true,
            RequestType::Remove => false,
            other => {
                let what = format!("{other} is not supported here; expected \"Add\" or \"Remove\"");
                return Err(refused(
                    HResult::HCN_E_REQUEST_UNSUPPORTED,
                    "/RequestType",
                    what,
                ));
            }
        };
        let mut changes = Changes {
            id,
            ..Changes::default()
        };
        if request.resource_type == Some(NamespaceResourceKind::Container) {
            let asked: ContainerRequest = settings(request.settings.as_ref())?;
            let container = asked.container_id.unwrap_or_default();
            let pointer = "/Settings/ContainerId";
            if add {
                self.add_container(id, &container, pointer, &mut changes)?;
            } else if let Some(namespace) = self.namespaces.get_mut(&id) {
                let before = namespace.containers.len();
                namespace.containers.retain(|other| *other != container);
                if namespace.containers.len() == before {
                    let what = "no such container is in the namespace";
                    return Err(refused(HResult::NOT_FOUND, pointer, what));
                }
                changes.written.push(Object::Namespace(id));
            }
            return Ok(changes);
        }
        let asked: NamespaceEndpointRequest = settings(request.settings.as_ref())?;
        let endpoint = crate::version1::id(asked.endpoint_id.as_ref());
        let pointer = "/Settings/EndpointId";
        if add {
            self.attach(id, endpoint, pointer, &mut changes)?;
        } else if self.endpoint(endpoint)?.namespace == Some(id) {
            self.take_out(endpoint, &mut changes);
        } else {
            let what = format!("the endpoint {endpoint} is not in the namespace {id}");
            return Err(refused(HResult::HCN_E_ENDPOINT_NOT_ATTACHED, pointer, what));
        }
        Ok(changes)
    }
}

/// The settings of a request, checked for what has no effect here; pointers begin at the request.
fn settings<T: Document>(value: Option<&Value>) -> Result<T, Failure> {
    let settings: T = settings_of(value);
    check(&settings).map_err(|mut failure| {
        for cause in &mut failure.causes {
            if let Some(pointer) = &mut cause.pointer {
                *pointer = format!("/Settings{pointer}");
            }
        }
        failure
    })?;
    Ok(settings)
}

fn not_this() -> Failure {
    refused(
        HResult::HCN_E_REQUEST_UNSUPPORTED,
        "/ResourceType",
        "this cannot be modified",
    )
}

/// The list after the request. An update replaces what is `alike`; a removal takes away one that is the `same`, for
/// each item.
fn changed<T>(
    what: RequestType,
    mut there: Vec<T>,
    asked: Vec<T>,
    (alike, same): (impl Fn(&T, &T) -> bool, impl Fn(&T, &T) -> bool),
) -> Result<Vec<T>, Failure> {
    match what {
        RequestType::Add => there.extend(asked),
        RequestType::Update => {
            there.retain(|one| !asked.iter().any(|other| alike(one, other)));
            there.extend(asked);
        }
        RequestType::Remove => {
            for (at, item) in asked.iter().enumerate() {
                let Some(found) = there.iter().position(|one| same(one, item)) else {
                    let pointer = format!("/Settings/Policies/{at}");
                    return Err(refused(
                        HResult::HCN_E_POLICY_NOT_FOUND,
                        pointer,
                        "there is no such policy",
                    ));
                };
                there.remove(found);
            }
        }
        RequestType::Refresh => {}
        RequestType::Reset => there.clear(),
    }
    Ok(there)
}
