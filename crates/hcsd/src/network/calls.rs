//! The calls of `ComputeNetwork.h`.

use std::{rc::Rc, sync::Arc, time::Instant};

use hcn::{Changes, Counters, Guid, Object, State, Surroundings};
use hcs_schema::{Failure, HResult};
use hcs_wire::{
    environment::is_root,
    network::{Created, DEFAULT_NETWORK, NetworkCall, NetworkNews, ObjectKind},
};

use super::{Held, LIMIT, Networks, Turn, join, kernel, outside, ports, preset, private};
use crate::record::{
    blocking::{blocking, blocking_within},
    failures::unknown,
    timeline,
};

/// A call that may have been made before.
#[derive(Clone, Debug, Default)]
pub(crate) struct Named {
    /// Its name, if it has one.
    pub(crate) name: Option<Rc<str>>,
    /// An earlier connection brought it.
    pub(crate) is_repeat: bool,
    /// This service has done it for that.
    pub(crate) was_done: bool,
}

impl Networks {
    /// Answers a call that changes nothing with its document.
    ///
    /// # Errors
    /// What the model refuses.
    pub(crate) fn look(&self, call: &NetworkCall) -> Result<Option<String>, Failure> {
        match call {
            NetworkCall::Enumerate { kind, query } => self.enumerate(*kind, query).map(Some),
            NetworkCall::Open {
                kind: ObjectKind::Network,
                id,
            } if id == DEFAULT_NETWORK => told(self.preset()?).map(Some),
            NetworkCall::Open { kind, id } => {
                let id = read_id(id)?;
                find(&self.held.borrow().state, *kind, id)?;
                created(id).map(Some)
            }
            NetworkCall::Query { kind, id, query } => {
                let (id, state) = (read_id(id)?, &self.held.borrow().state);
                let told = match kind {
                    ObjectKind::Network => state.query_network(id, query),
                    ObjectKind::Endpoint => state.query_endpoint(id, query),
                    ObjectKind::Namespace => state.query_namespace(id, query),
                    ObjectKind::LoadBalancer => state.query_load_balancer(id, query),
                };
                told.map(Some)
            }
            NetworkCall::Create { .. }
            | NetworkCall::Modify { .. }
            | NetworkCall::Statistics { .. }
            | NetworkCall::Watch { .. }
            | NetworkCall::Delete { .. } => {
                let message =
                    "a call that changes networks, or asks the kernel, is not answered at once";
                Err(Failure::new(HResult::E_UNEXPECTED, message))
            }
        }
    }

    /// Makes a call that changes something, to its end; returns its document.
    ///
    /// # Errors
    /// What the model or the host refuses; `E_NOTIMPL` where the service is an ordinary user's and the call is not
    /// about the one network that this has.
    pub(crate) async fn change_by(
        self: &Rc<Self>,
        turn: Turn,
        call: NetworkCall,
        named: Named,
    ) -> Result<Option<String>, Failure> {
        if !is_root() {
            let checked = private::check(&call).await;
            if let NetworkCall::Create { settings, .. } = &call {
                self.preset
                    .note(settings, checked.as_ref().copied(), Instant::now());
            }
            checked?;
        }
        match call {
            NetworkCall::Enumerate { .. }
            | NetworkCall::Open { .. }
            | NetworkCall::Query { .. }
            | NetworkCall::Watch { .. }
            | NetworkCall::Statistics { .. } => self.look(&call),
            NetworkCall::Create {
                kind,
                id,
                network,
                settings,
            } => {
                let network = match kind {
                    ObjectKind::Endpoint => read_id(&network)?,
                    _ => Guid::NONE,
                };
                self.create(turn, kind, (optional_id(&id)?, network), settings, named)
                    .await
            }
            NetworkCall::Modify { kind, id, settings } => {
                let id = read_id(&id)?;
                self.modify(turn, kind, id, settings, named)
                    .await
                    .map(|()| None)
            }
            NetworkCall::Delete {
                kind,
                id,
                only_unused,
            } => {
                let id = read_id(&id)?;
                self.delete(turn, kind, (id, only_unused), named)
                    .await
                    .map(|()| None)
            }
        }
    }

    /// What happened to networks from a place on, when there is something to tell.
    ///
    /// # Errors
    /// `E_NOTIMPL` where the service is an ordinary user's.
    pub(crate) async fn news(&self, life: &str, since: u64) -> Result<NetworkNews, Failure> {
        if !is_root() {
            return Err(not_for_users());
        }
        Ok(self.chronicle.news(life, since).await)
    }

    /// The counters of an endpoint, as a document.
    ///
    /// # Errors
    /// What the model refuses, or the kernel; `E_NOTIMPL` where the service is an ordinary user's.
    pub(crate) async fn statistics(&self, id: &str, query: &str) -> Result<String, Failure> {
        if !is_root() {
            return Err(not_for_users());
        }
        let id = read_id(id)?;
        let (attached, machine) = {
            let held = self.held.borrow();
            held.state.check_query(id, query)?;
            let endpoint = held.state.endpoint_intent(id);
            let endpoint = endpoint.filter(|_| held.attached.contains(&id));
            let occupant = endpoint
                .as_ref()
                .map(|one| held.occupants.get(&one.namespace));
            let machines = self.machines.borrow();
            let machine = occupant
                .flatten()
                .and_then(|one| machines.get(&one.runtime_id));
            (endpoint, machine.cloned())
        };
        let hosts = Arc::clone(&self.hosts);
        let counters = match attached {
            Some(endpoint) => {
                blocking(move || kernel::counters(&hosts, &endpoint, machine.as_deref())).await?
            }
            None => Counters::default(),
        };
        Ok(counters.document(id))
    }

    fn enumerate(&self, kind: ObjectKind, query: &str) -> Result<String, Failure> {
        let state = &self.held.borrow().state;
        match kind {
            ObjectKind::Network => state.enumerate_networks(query),
            ObjectKind::Endpoint => state.enumerate_endpoints(query),
            ObjectKind::Namespace => state.enumerate_namespaces(query),
            ObjectKind::LoadBalancer => state.enumerate_load_balancers(query),
        }
    }

    /// The adapters and routes of the host. Others wait for who has the turn, so this is no work of the call: it waits
    /// for no thread that the call's client has not got.
    async fn surroundings(&self) -> Result<Surroundings, Failure> {
        let hosts = Arc::clone(&self.hosts);
        let known = {
            let held = self.held.borrow();
            held.state.networks().map(|(id, _)| id).collect()
        };
        let listing = blocking_within(LIMIT, "listing routes", move || {
            kernel::surroundings(&hosts, &known)
        });
        match tokio::task::spawn_local(listing).await {
            Ok(found) => found,
            Err(error) => {
                let message = "listing the host's routes broke off";
                Err(Failure::new(HResult::E_UNEXPECTED, message).because(&error))
            }
        }
    }

    async fn create(
        self: &Rc<Self>,
        turn: Turn,
        kind: ObjectKind,
        (given, network): (Guid, Guid),
        settings: String,
        named: Named,
    ) -> Result<Option<String>, Failure> {
        let surroundings = match kind {
            ObjectKind::Network => self.surroundings().await?,
            _ => Surroundings::default(),
        };
        if kind == ObjectKind::Network {
            preset::check_new(&settings, timeline::who())?;
        }
        let (repeat, who) = (named.clone(), timeline::who());
        let asked = settings.clone();
        let id = self.alter(turn, named.name, move |held, changes| {
            if let Some(id) = repeat.made(held, kind) {
                return Ok(id);
            }
            repeat.check(held)?;
            let chosen = match (given, names_itself(&settings)) {
                (Guid::NONE, false) => Guid(uuid::Uuid::new_v4().as_u128()),
                (given, _) => given,
            };
            let state = &mut held.state;
            let settings = match kind {
                ObjectKind::Endpoint => ports::choose(state, settings)?,
                _ => settings,
            };
            let made = match kind {
                ObjectKind::Network => {
                    let made = state.create_network(chosen, &settings, &surroundings)?;
                    outside::check_routes(held, made.id, &surroundings.routes, who)?;
                    Ok(made)
                }
                ObjectKind::Endpoint => state.create_endpoint(network, chosen, &settings),
                ObjectKind::Namespace => state.create_namespace(chosen, &settings),
                ObjectKind::LoadBalancer => state.create_load_balancer(chosen, &settings),
            }?;
            let id = made.id;
            join(changes, made);
            Ok(id)
        });
        let id = id.await;
        if kind == ObjectKind::Network {
            self.preset
                .note(&asked, id.as_ref().map(drop), Instant::now());
        }
        created(id?).map(Some)
    }

    async fn modify(
        self: &Rc<Self>,
        turn: Turn,
        kind: ObjectKind,
        id: Guid,
        settings: String,
        named: Named,
    ) -> Result<(), Failure> {
        let (repeat, who) = (named.clone(), timeline::who());
        self.alter(turn, named.name, move |held, changes| {
            if repeat.was_done(held) {
                return Ok(());
            }
            repeat.check(held)?;
            if kind == ObjectKind::Network {
                preset::check_change(held, id, who)?;
            }
            let state = &mut held.state;
            let settings = match kind {
                ObjectKind::Endpoint => ports::choose_for_change(state, id, settings)?,
                _ => settings,
            };
            let made = match kind {
                ObjectKind::Network => state.modify_network(id, &settings),
                ObjectKind::Endpoint => state.modify_endpoint(id, &settings),
                ObjectKind::Namespace => state.modify_namespace(id, &settings),
                ObjectKind::LoadBalancer => state.modify_load_balancer(id, &settings),
            }?;
            join(changes, made);
            Ok(())
        })
        .await
    }

    async fn delete(
        self: &Rc<Self>,
        turn: Turn,
        kind: ObjectKind,
        (id, only_unused): (Guid, bool),
        named: Named,
    ) -> Result<(), Failure> {
        let repeat = named.clone();
        self.alter(turn, named.name, move |held, changes| {
            let is_gone = repeat.is_repeat && find(&held.state, kind, id).is_err();
            if is_gone || repeat.was_done(held) {
                return Ok(());
            }
            repeat.check(held)?;
            let state = &mut held.state;
            if only_unused {
                is_unused(state, id)?;
            }
            join(changes, delete(state, kind, id)?);
            Ok(())
        })
        .await
    }
}

impl Named {
    /// The object of this kind that the call has made before. It may be gone since.
    fn made(&self, held: &Held, kind: ObjectKind) -> Option<Guid> {
        let name = self.name.as_ref().filter(|_| self.is_repeat)?;
        if let Some(id) = held.gone.object(name) {
            return Some(id);
        }
        let mut calls = held.calls.iter().filter(|(_, calls)| calls.contains(name));
        calls.find_map(|(object, _)| match (kind, object) {
            (ObjectKind::Network, Object::Network(id))
            | (ObjectKind::Endpoint, Object::Endpoint(id))
            | (ObjectKind::Namespace, Object::Namespace(id))
            | (ObjectKind::LoadBalancer, Object::LoadBalancer(id)) => Some(*id),
            _ => None,
        })
    }

    /// For a call that is not known to have changed something before.
    ///
    /// # Errors
    /// It is unknown whether it has.
    fn check(&self, held: &Held) -> Result<(), Failure> {
        if self.was_done {
            return Err(unknown("it was done, and what it made is known no more"));
        }
        let name = self.name.as_ref().filter(|_| self.is_repeat);
        let is_known = !name.is_some_and(|name| held.is_forgetful(name));
        let why = "the service had to forget calls on networks";
        is_known.then_some(()).ok_or_else(|| unknown(why))
    }

    /// Whether the call has changed something before.
    fn was_done(&self, held: &Held) -> bool {
        let name = self.name.as_ref().filter(|_| self.is_repeat);
        self.was_done || name.is_some_and(|name| held.knows(name))
    }
}

/// Most of networks takes rights that an ordinary user has not.
pub(super) fn not_for_users() -> Failure {
    let message = "the service of an ordinary user has the network nat only, for endpoints in documents of containers, as \
                   bridges and rules of the host take the rights of root: ask a service of root, or leave this out";
    Failure::new(HResult::E_NOTIMPL, message)
}

pub(super) fn delete(state: &mut State, kind: ObjectKind, id: Guid) -> Result<Changes, Failure> {
    match kind {
        ObjectKind::Network => state.delete_network(id),
        ObjectKind::Endpoint => state.delete_endpoint(id),
        ObjectKind::Namespace => state.delete_namespace(id),
        ObjectKind::LoadBalancer => state.delete_load_balancer(id),
    }
}

fn is_unused(state: &State, network: Guid) -> Result<(), Failure> {
    match state.endpoints_of(network).count() {
        0 => Ok(()),
        count => {
            let message = format!(
                "the network {network} still has {count} of its endpoints; end the containers that are in it first"
            );
            Err(Failure::new(HResult::HCN_E_ENTITY_HAS_REFERENCES, message))
        }
    }
}

fn find(state: &State, kind: ObjectKind, id: Guid) -> Result<(), Failure> {
    match kind {
        ObjectKind::Network => state.network(id).map(drop),
        ObjectKind::Endpoint => state.endpoint(id).map(drop),
        ObjectKind::Namespace => state.namespace(id).map(drop),
        ObjectKind::LoadBalancer => state.load_balancer(id).map(drop),
    }
}

fn created(id: Guid) -> Result<String, Failure> {
    told(id.to_string())
}

fn told(id: String) -> Result<String, Failure> {
    let created = Created { id };
    serde_json::to_string(&created).map_err(|error| {
        Failure::new(HResult::E_UNEXPECTED, "the id cannot be written").because(&error)
    })
}

fn read_id(text: &str) -> Result<Guid, Failure> {
    text.parse().map_err(|_| {
        let message = format!("expected a GUID as the id of an object, found {text:?}");
        Failure::new(HResult::HCN_E_GUID_CONVERSION_FAILURE, message)
            .on_record("expected a GUID as the id of an object")
    })
}

fn optional_id(text: &str) -> Result<Guid, Failure> {
    match text {
        "" => Ok(Guid::NONE),
        text => read_id(text),
    }
}

/// Whether a document says the id of its object. A document that cannot be read is refused where it is used.
fn names_itself(settings: &str) -> bool {
    let document: serde_json::Value = serde_json::from_str(settings).unwrap_or_default();
    let id = document.get("ID").and_then(serde_json::Value::as_str);
    id.and_then(|id| id.parse::<Guid>().ok())
        .is_some_and(|id| id != Guid::NONE)
}
