//! Endpoints that go into a container, or out of it, while it runs.
//!
//! A container that was in no network gets a namespace of its own then, as one has whose document names endpoints. An
//! endpoint that is made for a container ends with it, or when it is taken out.

use std::{rc::Rc, sync::Arc};

use hcn::{Changes, Guid, Object};
use hcs_engine::{
    engine::Machine,
    modification::{Action, SETTINGS},
};
use hcs_schema::{Failure, HResult, documents::ComputeSystem};
use hcs_wire::environment::is_root;
use serde_json::Value;

use super::{
    Held, Networks, Occupant, calls,
    containers::{self, Adapter, about_endpoint_as, below, refused},
    join,
};

/// A change of what a container has of networks.
#[derive(Debug)]
pub(crate) enum EndpointChange {
    /// One that a client has made goes in.
    Attach(Guid),
    /// One is made and goes in.
    Make(Value),
    /// One goes out.
    Detach(Guid),
}

impl EndpointChange {
    /// The change that an engine would be asked for; `None` where it is another one.
    ///
    /// # Errors
    /// It names no endpoint, by JSON pointer.
    pub(crate) fn of(action: &Action) -> Result<Option<Self>, Failure> {
        let id = |text: &String| {
            let id = text.parse().ok().filter(|id| *id != Guid::NONE);
            id.ok_or_else(|| {
                let message = "the id of an endpoint is expected, which HcnCreateEndpoint has made";
                refused(SETTINGS, message)
            })
        };
        Ok(Some(match action {
            Action::AttachEndpoint(endpoint) => Self::Attach(id(endpoint)?),
            Action::MakeEndpoint(settings) => Self::Make(settings.clone()),
            Action::DetachEndpoint(endpoint) => Self::Detach(id(endpoint)?),
            _ => return Ok(None),
        }))
    }
}

/// A container whose endpoints change.
#[derive(Debug)]
pub(crate) struct LiveContainer {
    pub(crate) id: String,
    pub(crate) runtime_id: String,
    /// The user who asked for it.
    pub(crate) user: u32,
    pub(crate) machine: Arc<dyn Machine>,
    /// The document that it was made from.
    pub(crate) document: ComputeSystem,
}

impl Networks {
    /// Changes what a running container has of networks.
    ///
    /// # Errors
    /// What the model refuses, or the host, by JSON pointer; nothing has changed then.
    pub(crate) async fn change_endpoint(
        self: &Rc<Self>,
        live: LiveContainer,
        change: EndpointChange,
    ) -> Result<(), Failure> {
        if !is_root() {
            return Err(calls::not_for_users());
        }
        is_its_own(&live.document)?;
        let LiveContainer {
            id,
            runtime_id,
            user,
            machine,
            document,
        } = live;
        let was_known = self
            .machines
            .borrow_mut()
            .insert(runtime_id.clone(), machine);
        let occupant = Occupant {
            id,
            runtime_id: runtime_id.clone(),
            user: Some(user),
            names: names(document),
            machine: None,
        };
        let turn = self.turn().await;
        let changed = self.alter(turn, None, move |held, changes| match change {
            EndpointChange::Attach(endpoint) => {
                let namespace = home(held, &occupant, changes)?;
                let adapter = Adapter {
                    pointer: SETTINGS.to_owned(),
                    endpoint,
                    mac: None,
                };
                containers::put_in(held, namespace, &adapter, changes)
            }
            EndpointChange::Make(settings) => {
                let namespace = home(held, &occupant, changes)?;
                make(held, namespace, &settings, changes)
            }
            EndpointChange::Detach(endpoint) => take(held, &occupant, endpoint, changes),
        });
        let changed = changed.await;
        if changed.is_err() && was_known.is_none() {
            self.machines.borrow_mut().remove(&runtime_id);
        }
        changed
    }
}

/// Refuses a container that is in a network namespace which is not the service's to change.
///
/// # Errors
/// Its document names one, by JSON pointer.
fn is_its_own(document: &ComputeSystem) -> Result<(), Failure> {
    let container = document.container.as_ref();
    let networking = container.and_then(|container| container.networking.as_ref());
    let named = networking.and_then(|networking| networking.namespace.as_deref());
    match named.filter(|name| !name.is_empty() && name.parse::<Guid>().is_err()) {
        None => Ok(()),
        Some(name) => {
            let message = format!(
                "the container is in the network namespace {name:?}, which others have, too: what is in that is changed there"
            );
            Err(Failure::new(HResult::NOT_SUPPORTED, message.clone())
                .cause_at("/ResourcePath", message))
        }
    }
}

/// What a container is called beside its id.
fn names(document: ComputeSystem) -> Vec<String> {
    let container = document.container.unwrap_or_default();
    let host_name = container.guest_os.and_then(|guest| guest.host_name);
    host_name.into_iter().collect()
}

/// The namespace that a container is in.
fn found(held: &Held, occupant: &Occupant) -> Option<Guid> {
    let mut all = held.occupants.iter();
    let found = all.find(|(_, one)| one.runtime_id == occupant.runtime_id);
    found.map(|(id, _)| *id)
}

/// The namespace that a container is in; one is made where there is none.
fn home(held: &mut Held, occupant: &Occupant, changes: &mut Changes) -> Result<Guid, Failure> {
    if let Some(namespace) = found(held, occupant) {
        return Ok(namespace);
    }
    containers::furnish(
        held,
        (SETTINGS, &[]),
        &[],
        (occupant.clone(), None),
        changes,
    )?;
    found(held, occupant).ok_or_else(|| {
        let message = "the namespace of the container is not there";
        Failure::new(HResult::E_UNEXPECTED, message)
    })
}

fn make(
    held: &mut Held,
    namespace: Guid,
    settings: &Value,
    changes: &mut Changes,
) -> Result<(), Failure> {
    let Some(occupant) = held.occupants.get(&namespace) else {
        return Err(Failure::new(
            HResult::E_UNEXPECTED,
            "the container is in no namespace",
        ));
    };
    let runtime_id = occupant.runtime_id.clone();
    let made = containers::make_endpoint(held, settings, changes);
    let id = made.map_err(|failure| below(failure, SETTINGS))?;
    held.made_for.insert(Object::Endpoint(id), runtime_id);
    let request = about_endpoint_as("Add", id);
    join(changes, held.state.modify_namespace(namespace, &request)?);
    Ok(())
}

fn take(
    held: &mut Held,
    occupant: &Occupant,
    endpoint: Guid,
    changes: &mut Changes,
) -> Result<(), Failure> {
    let namespace = found(held, occupant).filter(|namespace| {
        let endpoints = held.state.namespace_intent(*namespace);
        endpoints.iter().any(|one| one.id == endpoint)
    });
    let Some(namespace) = namespace else {
        let message = format!(
            "the container {:?} does not have the endpoint {endpoint}",
            occupant.id
        );
        return Err(
            Failure::new(HResult::HCN_E_ENDPOINT_NOT_FOUND, message.clone())
                .cause_at(SETTINGS, message),
        );
    };
    let request = about_endpoint_as("Remove", endpoint);
    join(changes, held.state.modify_namespace(namespace, &request)?);
    let object = Object::Endpoint(endpoint);
    if held.made_for.get(&object) == Some(&occupant.runtime_id) {
        join(changes, held.state.end_endpoint(endpoint)?);
    }
    Ok(())
}
