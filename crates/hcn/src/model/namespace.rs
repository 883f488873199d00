//! Namespaces: which endpoints belong together, and to which containers.

use std::sync::Arc;

use hcs_schema::{Failure, HResult, documents::Version, win32};

use super::{Changes, Notification, NotificationType, Object, State, chosen, room_for};
use crate::{
    documents::{
        HostComputeNamespace, NamespaceResource, NamespaceResourceData, NamespaceResourceType,
    },
    guid::Guid,
    reading::{check_texts, read_optional, refused},
};

/// The number of the host's own namespace; others have higher ones.
const HOST: u32 = 1;

/// The most containers of a namespace.
const MOST_CONTAINERS: usize = 256;

/// A namespace.
#[derive(Clone, Debug, PartialEq)]
pub struct Namespace {
    pub(crate) document: HostComputeNamespace,
    pub(crate) number: u32,
    /// Where each endpoint is: a place that became free is taken by the next one, and no other moves.
    pub(crate) places: Vec<Option<Guid>>,
    pub(crate) containers: Vec<String>,
}

impl Namespace {
    /// Its endpoints, in the order of their places: their interfaces are named so.
    pub fn endpoints(&self) -> impl Iterator<Item = Guid> {
        self.places.iter().flatten().copied()
    }

    /// The place of an endpoint.
    #[must_use]
    pub fn place(&self, endpoint: Guid) -> Option<usize> {
        self.places.iter().position(|one| *one == Some(endpoint))
    }

    /// Gives an endpoint the first free place.
    pub(super) fn put(&mut self, endpoint: Guid) {
        match self.places.iter_mut().find(|one| one.is_none()) {
            Some(place) => *place = Some(endpoint),
            None => self.places.push(Some(endpoint)),
        }
    }

    /// Frees the places of the endpoints that `leaves` names.
    pub(super) fn free(&mut self, leaves: impl Fn(Guid) -> bool) {
        for place in &mut self.places {
            *place = place.filter(|endpoint| !leaves(*endpoint));
        }
        while self.places.last() == Some(&None) {
            self.places.pop();
        }
    }

    /// The ids of its containers.
    #[must_use]
    pub fn containers(&self) -> &[String] {
        &self.containers
    }

    /// Its document, in version 2, with what is in it now.
    #[must_use]
    pub fn document(&self) -> HostComputeNamespace {
        let resource = |kind, id: String| NamespaceResource {
            kind: Some(kind),
            data: Some(NamespaceResourceData { id: Some(id) }),
        };
        let endpoints = self
            .endpoints()
            .map(|id| resource(NamespaceResourceType::Endpoint, id.to_string()));
        let containers = self.containers.iter().cloned();
        let containers = containers.map(|id| resource(NamespaceResourceType::Container, id));
        let resources: Vec<NamespaceResource> = containers.chain(endpoints).collect();
        HostComputeNamespace {
            namespace_id: Some(self.number),
            resources: (!resources.is_empty()).then_some(resources),
            ..self.document.clone()
        }
    }
}

impl State {
    /// Creates a namespace. `given` is the id that the client gave, or one that the service chose. Its network is made
    /// for its first container.
    ///
    /// # Errors
    /// A refusal by pointer; `HRESULT_FROM_WIN32(ERROR_ALREADY_EXISTS)` for an id that is taken.
    pub fn create_namespace(&mut self, given: Guid, settings: &str) -> Result<Changes, Failure> {
        let mut document: HostComputeNamespace = read_optional(settings)?;
        check_texts(document.name.as_ref(), document.owner.as_ref())?;
        room_for(self.namespaces.len(), "namespaces")?;
        let id = chosen(given, document.id.as_ref())?;
        if self.namespaces.contains_key(&id) {
            let message = format!("there is a namespace with the id {id} already");
            return Err(Failure::new(
                HResult::from_win32(win32::ERROR_ALREADY_EXISTS),
                message,
            ));
        }
        let resources = document.resources.take().unwrap_or_default();
        document.id = Some(id.to_string());
        document.namespace_id = None;
        document.schema_version = Some(Version {
            major: Some(2),
            minor: Some(0),
        });
        let namespace = Namespace {
            document,
            number: self.next_number(),
            places: Vec::new(),
            containers: Vec::new(),
        };
        let mut after = self.clone();
        after.namespaces.insert(id, namespace);
        let mut changes =
            Changes::one(id, Object::Namespace(id)).told(NotificationType::NamespaceCreate, id);
        for (at, resource) in resources.iter().enumerate() {
            after.add_resource(id, resource, &format!("/Resources/{at}"), &mut changes)?;
        }
        *self = after;
        Ok(changes)
    }

    /// The lowest number that no namespace has.
    fn next_number(&self) -> u32 {
        let used: Vec<u32> = self
            .namespaces
            .values()
            .map(|namespace| namespace.number)
            .collect();
        let mut free = (HOST + 1..).filter(|number| !used.contains(number));
        free.next().unwrap_or(u32::MAX)
    }

    fn add_resource(
        &mut self,
        id: Guid,
        resource: &NamespaceResource,
        pointer: &str,
        changes: &mut Changes,
    ) -> Result<(), Failure> {
        let which = resource
            .data
            .as_ref()
            .and_then(|data| data.id.as_deref())
            .unwrap_or_default();
        let place = format!("{pointer}/Data/Id");
        match resource.kind {
            Some(NamespaceResourceType::Container) => {
                self.add_container(id, which, &place, changes)
            }
            Some(NamespaceResourceType::Endpoint) => {
                let endpoint = which.parse().map_err(|_| {
                    refused(
                        HResult::HCN_E_GUID_CONVERSION_FAILURE,
                        &*place,
                        "the id of an endpoint is expected",
                    )
                })?;
                self.attach(id, endpoint, &place, changes)
            }
            None => {
                let what = "\"Container\" or \"Endpoint\" is expected";
                Err(refused(
                    HResult::HCN_E_INVALID_JSON,
                    format!("{pointer}/Type"),
                    what,
                ))
            }
        }
    }

    /// Puts an endpoint into a namespace.
    pub(super) fn attach(
        &mut self,
        id: Guid,
        endpoint_id: Guid,
        pointer: &str,
        changes: &mut Changes,
    ) -> Result<(), Failure> {
        self.namespace(id)?;
        let endpoint = self.endpoint(endpoint_id).map_err(|mut failure| {
            failure.message = format!("{pointer}: {}", failure.message);
            failure.cause_at(pointer, "no endpoint has this id")
        })?;
        if endpoint.is_remote() {
            let what =
                format!("the endpoint {endpoint_id} is on another host, where its namespace is");
            return Err(refused(HResult::HCN_E_ENDPOINT_NOT_LOCAL, pointer, what));
        }
        if let Some(other) = endpoint.namespace {
            let what = format!(
                "the endpoint {endpoint_id} is in the namespace {other}; take it out first"
            );
            return Err(refused(
                HResult::HCN_E_ENDPOINT_NAMESPACE_ALREADY_EXISTS,
                pointer,
                what,
            ));
        }
        if let Some(endpoint) = self.endpoints.get_mut(&endpoint_id).map(Arc::make_mut) {
            endpoint.namespace = Some(id);
            endpoint.document.host_compute_namespace = Some(id.to_string());
        }
        if let Some(namespace) = self.namespaces.get_mut(&id) {
            namespace.put(endpoint_id);
        }
        for object in [Object::Endpoint(endpoint_id), Object::Namespace(id)] {
            if !changes.written.contains(&object) {
                changes.written.push(object);
            }
        }
        changes.notifications.push(Notification {
            kind: NotificationType::EndpointAttached,
            id: endpoint_id,
            namespace: Some(id),
        });
        Ok(())
    }

    /// Notes that a container is in a namespace.
    pub(super) fn add_container(
        &mut self,
        id: Guid,
        container: &str,
        pointer: &str,
        changes: &mut Changes,
    ) -> Result<(), Failure> {
        hcs_schema::check_id(container)
            .map_err(|failure| refused(HResult::HCN_E_INVALID_JSON, pointer, failure.message))?;
        let Some(namespace) = self.namespaces.get_mut(&id) else {
            return self.namespace(id).map(drop);
        };
        if namespace.containers.len() >= MOST_CONTAINERS {
            let what =
                format!("the namespace {id} has {MOST_CONTAINERS} containers, and takes no more");
            return Err(refused(
                HResult::from_win32(win32::ERROR_NO_SYSTEM_RESOURCES),
                pointer,
                what,
            ));
        }
        if !namespace.containers.iter().any(|other| other == container) {
            namespace.containers.push(container.to_owned());
        }
        if !changes.written.contains(&Object::Namespace(id)) {
            changes.written.push(Object::Namespace(id));
        }
        Ok(())
    }

    /// Deletes a namespace; its endpoints stay, in none.
    ///
    /// # Errors
    /// `HRESULT_FROM_WIN32(ERROR_NOT_FOUND)`.
    pub fn delete_namespace(&mut self, id: Guid) -> Result<Changes, Failure> {
        let endpoints: Vec<Guid> = self.namespace(id)?.endpoints().collect();
        let mut changes = Changes {
            id,
            ..Changes::default()
        };
        for endpoint in endpoints {
            self.take_out(endpoint, &mut changes);
        }
        self.namespaces.remove(&id);
        changes
            .written
            .retain(|object| *object != Object::Namespace(id));
        changes.removed.push(Object::Namespace(id));
        Ok(changes.told(NotificationType::NamespaceDelete, id))
    }
}
