//! The network of a container, from its document to its end.
//!
//! A document names a namespace of the Host Compute Network service, or describes endpoints that are made for the
//! container and end with it. Either way its endpoints are attached, with addresses and routes, before its first
//! process.

use std::{net::IpAddr, rc::Rc, sync::Arc};

use hcn::{Changes, Guid, Mac, Object};
use hcs_engine::engine::Machine;
use hcs_schema::{
    Failure, HResult,
    documents::{ComputeSystem, Networking},
    rules::names::is_host_name,
};
use hcs_wire::{environment::is_root, network::ObjectKind};
use serde_json::{Value, json};
use tracing::error;

use super::{
    GuestNames, Held, Networks, Occupant, Turn, calls, clearing, join, machines, ports, private,
    spares,
};
use crate::{
    engines::resolver,
    record::{blocking::blocking, timeline},
    thread::rounds::Who,
};

const NAMESPACE: &str = "/Container/Networking/Namespace";
pub(super) const ENDPOINTS: &str = "/Container/Networking/Endpoints";
const ADAPTERS: &str = "/Container/Networking/NetworkAdapters";
const ALIASES: &str = "/Container/Networking/Aliases";

/// Where a container is in the networks of this service, and what it is called there beside its id.
#[derive(Debug)]
pub(crate) struct Place {
    pub(super) home: Home,
    pub(super) names: Vec<String>,
    /// What a virtual machine has besides, and how names are resolved in it.
    pub(super) machine: Option<(GuestNames, Networking)>,
}

/// A container or a machine that comes into the networks of this service.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tenant<'a> {
    pub(crate) id: &'a str,
    pub(crate) runtime_id: &'a str,
    /// The user who asked for it.
    pub(crate) user: u32,
}

/// An endpoint that a client has made.
#[derive(Clone, Debug)]
pub(super) struct Adapter {
    /// The place in the document that names it.
    pub(super) pointer: String,
    pub(super) endpoint: Guid,
    /// The hardware address that the document expects, with its place.
    pub(super) mac: Option<(String, Mac)>,
}

#[derive(Debug)]
pub(super) enum Home {
    /// In a namespace that a client has made.
    Namespace(Guid),
    /// In one of its own.
    Own {
        /// Documents of the endpoints that are made for it.
        endpoints: Vec<Value>,
        /// The place of these in the document.
        at: &'static str,
        /// Endpoints that a client has made.
        adapters: Vec<Adapter>,
    },
}

/// Takes out of a document what is the service's to do; what is left is the engine's. A name of `ip netns` stays.
///
/// # Errors
/// It asks for what this service does not have, or twice for a network, by JSON pointer.
pub(crate) fn claim(document: &mut ComputeSystem) -> Result<Option<Place>, Failure> {
    if let Some(machine) = &document.virtual_machine {
        return machines::claim(machine);
    }
    let Some(container) = document.container.as_mut() else {
        return Ok(None);
    };
    let Some(networking) = container.networking.as_mut() else {
        return Ok(None);
    };
    let aliases = networking.aliases.take().unwrap_or_default();
    let is_named = networking
        .namespace
        .as_deref()
        .is_some_and(|name| !name.is_empty());
    let own = own(networking)?;
    let (first, own) = match own {
        Some((pointer, own)) => (Some(pointer), Some(own)),
        None => (None, None),
    };
    check_user(own.as_ref())?;
    if let (Some(pointer), true) = (first, is_named) {
        let message = "a container is in the namespace that it names, with the endpoints of that; leave one of both out";
        return Err(refused(pointer, message));
    }
    let guid = networking
        .namespace
        .as_deref()
        .and_then(|name| name.parse().ok());
    let home = match guid.filter(|_| is_root()) {
        Some(id) => {
            networking.namespace = None;
            Some(Home::Namespace(id))
        }
        None => own,
    };
    let Some(home) = home else {
        return without_network(&aliases);
    };
    if let Home::Own { endpoints, .. } = &home {
        resolve(networking, endpoints);
    }
    let guest = container.guest_os.as_ref();
    let names = guest
        .and_then(|guest| guest.host_name.clone())
        .into_iter()
        .chain(aliases);
    Ok(Some(Place {
        home,
        names: names.collect(),
        machine: None,
    }))
}

/// Refuses what a container of an ordinary user cannot have.
fn check_user(own: Option<&Home>) -> Result<(), Failure> {
    match own {
        Some(Home::Own {
            endpoints,
            adapters,
            ..
        }) if !is_root() => {
            private::check_place(endpoints, adapters.first().map(|one| &*one.pointer))
        }
        _ => Ok(()),
    }
}

/// A container that is in no network of this service.
fn without_network(aliases: &[String]) -> Result<Option<Place>, Failure> {
    if aliases.is_empty() {
        return Ok(None);
    }
    let message = "other containers find it by an alias in a network of this service only: name an endpoint, or leave the \
                   aliases out";
    Err(refused(ALIASES, message))
}

/// Names are resolved as the first endpoint says that says it, where the container's document does not.
pub(super) fn resolve(networking: &mut Networking, endpoints: &[Value]) {
    let texts = |key: &str, is_fine: fn(&str) -> bool| -> Option<Vec<String>> {
        let pointer = format!("/Dns/{key}");
        let listed = endpoints.iter().find_map(|one| {
            one.pointer(&pointer)?
                .as_array()
                .filter(|list| !list.is_empty())
        });
        let texts = listed?
            .iter()
            .filter_map(Value::as_str)
            .filter(|text| is_fine(text));
        Some(texts.map(str::to_owned).collect())
    };
    if networking
        .dns_server_list
        .as_ref()
        .is_none_or(Vec::is_empty)
    {
        networking.dns_server_list = texts("ServerList", |text| text.parse::<IpAddr>().is_ok());
    }
    if networking
        .dns_search_list
        .as_ref()
        .is_none_or(String::is_empty)
    {
        networking.dns_search_list = texts("Search", is_host_name).map(|found| found.join(","));
    }
}

/// What the document has of endpoints, and the pointer of the first property about them.
fn own(networking: &mut Networking) -> Result<Option<(&'static str, Home)>, Failure> {
    let endpoints = networking.endpoints.take().unwrap_or_default();
    let named = networking.network_adapters.take().unwrap_or_default();
    let first = match (endpoints.is_empty(), named.is_empty()) {
        (true, true) => return Ok(None),
        (false, _) => ENDPOINTS,
        (true, false) => ADAPTERS,
    };
    let adapters = adapters(ADAPTERS, &named)?;
    Ok(Some((
        first,
        Home::Own {
            endpoints,
            at: ENDPOINTS,
            adapters,
        },
    )))
}

/// The endpoints that a list at `pointer` names.
pub(super) fn adapters(pointer: &str, named: &[String]) -> Result<Vec<Adapter>, Failure> {
    let adapters = named.iter().enumerate().map(|(at, id)| {
        let pointer = format!("{pointer}/{at}");
        match id.parse() {
            Ok(endpoint) => Ok(Adapter {
                pointer,
                endpoint,
                mac: None,
            }),
            Err(_) => Err(refused(&pointer, "the id of an endpoint is expected")),
        }
    });
    adapters.collect()
}

pub(super) fn refused(pointer: &str, message: &'static str) -> Failure {
    Failure::new(HResult::HCS_E_INVALID_JSON, message).cause_at(pointer.to_owned(), message)
}

impl Networks {
    /// Attaches a machine that has not begun to run.
    ///
    /// # Errors
    /// What the model refuses, by JSON pointer, or the host; nothing has changed then.
    pub(crate) async fn move_in(
        self: &Rc<Self>,
        place: Place,
        Tenant {
            id,
            runtime_id,
            user,
        }: Tenant<'_>,
        machine: Arc<dyn Machine>,
    ) -> Result<(), Failure> {
        let machine_names = resolved(place.machine).await?;
        let occupant = Occupant {
            id: id.to_owned(),
            runtime_id: runtime_id.to_owned(),
            user: Some(user),
            names: place.names,
            machine: machine_names,
        };
        let named = runtime_id.to_owned();
        let space = (is_root() && !machine.has_cards()).then(|| machine.network().ok());
        let space = space.flatten();
        self.machines
            .borrow_mut()
            .insert(named, Arc::clone(&machine));
        let turn = self.turn().await;
        let asked_at = match &place.home {
            Home::Namespace(_) => None,
            Home::Own { at, .. } => Some(*at),
        };
        let moved = self.alter(turn, None, move |held, changes| match place.home {
            Home::Namespace(namespace) => enter(held, namespace, occupant, changes),
            Home::Own {
                endpoints,
                at,
                adapters,
            } => {
                let occupant = (occupant, Some(&machine));
                furnish(held, (at, &endpoints), &adapters, occupant, changes)
            }
        });
        let moved = moved.await;
        match &moved {
            Ok(()) => {
                let space = space.map(|space| (runtime_id.to_owned(), space));
                self.spaces.borrow_mut().extend(space);
            }
            Err(_) => drop(self.machines.borrow_mut().remove(runtime_id)),
        }
        // What the host refuses is refused of these.
        moved.map_err(|failure| match asked_at {
            Some(at) if failure.causes.iter().all(|cause| cause.pointer.is_none()) => {
                let message = failure.message.clone();
                failure.cause_at(at, message)
            }
            _ => failure,
        })
    }

    /// A container of the user `uid` has ended, or will not be. It has its turn among what is that user's: what ends by
    /// itself makes no other user wait for all of it. This returns when the turn has come. What is left to do takes
    /// milliseconds, and later calls about networks find it done.
    pub(crate) async fn leave(self: &Rc<Self>, runtime_id: &str, uid: u32) {
        self.unfollow(runtime_id);
        let had_some = self.machines.borrow_mut().remove(runtime_id).is_some();
        let is_known = {
            let held = self.held.borrow();
            let mut occupants = held.occupants.values();
            occupants.any(|one| one.runtime_id == runtime_id)
                || held.made_for.values().any(|id| id == runtime_id)
                || held.spares.iter().any(|spare| spare.is_of(runtime_id))
        };
        if !had_some && !is_known {
            return;
        }
        let who = timeline::share().map_or(Who::of_user(uid), |share| share.who);
        let turn = self.turn_of(who).await;
        self.leaving.set(self.leaving.get() + 1);
        let (networks, runtime_id) = (Rc::clone(self), runtime_id.to_owned());
        tokio::task::spawn_local(async move {
            networks.leave_in_turn(turn, &runtime_id).await;
            networks.left.set(networks.left.get() + 1);
            networks.has_left.notify_waiters();
        });
    }

    /// Returns when what ended containers had is given back, as far as that has begun.
    pub(crate) async fn settled(&self) {
        let begun = self.leaving.get();
        while self.left.get() < begun {
            self.has_left.notified().await;
        }
    }

    /// Gives back what [`Networks::leave`] has left, in the service's own turn: no user's calls keep others' waiting.
    pub(super) async fn leave_again(self: &Rc<Self>, runtime_id: &str) {
        let turn = self.turn_of(Who::SERVICE).await;
        self.leave_in_turn(turn, runtime_id).await;
    }

    async fn leave_in_turn(self: &Rc<Self>, turn: Turn, runtime_id: &str) {
        let ended = runtime_id.to_owned();
        let left = self.alter(turn, None, move |held, changes| {
            end(held, &ended, changes);
            Ok(())
        });
        if let Err(failure) = left.await {
            error!(
                "its network is left behind, which is tried again: {}",
                failure.log_line()
            );
            self.left_behind.borrow_mut().insert(runtime_id.to_owned());
        }
    }
}

/// What a virtual machine has besides its endpoints, with how names are resolved in it.
async fn resolved(
    machine: Option<(GuestNames, Networking)>,
) -> Result<Option<GuestNames>, Failure> {
    let Some((names, networking)) = machine else {
        return Ok(None);
    };
    let resolver = blocking(move || Ok(resolver(&networking))).await?;
    Ok(Some(GuestNames {
        resolver: resolver.unwrap_or_default(),
        ..names
    }))
}

/// A container goes into a namespace.
fn enter(
    held: &mut Held,
    namespace: Guid,
    occupant: Occupant,
    changes: &mut Changes,
) -> Result<(), Failure> {
    let at = |failure: Failure| {
        let message = failure.message.clone();
        failure.cause_at(NAMESPACE, message)
    };
    held.state.namespace(namespace).map_err(at)?;
    if let Some(other) = held.occupants.get(&namespace) {
        let message = format!(
            "the namespace {namespace} has the container '{}'; containers that share one are not supported yet",
            other.id
        );
        return Err(Failure::new(HResult::NOT_SUPPORTED, message.clone())
            .cause_at(NAMESPACE, message)
            .on_record("the namespace has a container"));
    }
    let request = about_container("Add", &occupant.id);
    join(changes, held.state.modify_namespace(namespace, &request)?);
    held.occupants.insert(namespace, occupant);
    Ok(())
}

/// A container gets a namespace of its own, with endpoints that are made for it and such that are there.
pub(super) fn furnish(
    held: &mut Held,
    (place, endpoints): (&str, &[Value]),
    adapters: &[Adapter],
    (occupant, machine): (Occupant, Option<&Arc<dyn Machine>>),
    changes: &mut Changes,
) -> Result<(), Failure> {
    let runtime_id = occupant.runtime_id.clone();
    let namespace: Guid = runtime_id.parse().map_err(|_| {
        Failure::new(
            HResult::E_UNEXPECTED,
            "the runtime id of the container is no GUID",
        )
    })?;
    join(changes, held.state.create_namespace(namespace, "{}")?);
    held.made_for
        .insert(Object::Namespace(namespace), runtime_id.clone());
    let mut spare = spares::take(held, &runtime_id, machine);
    for (at, settings) in endpoints.iter().enumerate() {
        let made = match spare.take() {
            Some(spare) if spares::network_of(settings) == Some(spare.intent().network) => {
                make_endpoint_as(held, &spare.furnished(settings), spare.id(), changes)
            }
            _ => make_endpoint(held, settings, changes),
        };
        let id = made.map_err(|failure| below(failure, &format!("{place}/{at}")))?;
        held.made_for
            .insert(Object::Endpoint(id), runtime_id.clone());
        let request = about_endpoint(id);
        join(changes, held.state.modify_namespace(namespace, &request)?);
    }
    for adapter in adapters {
        put_in(held, namespace, adapter, changes)?;
    }
    if occupant.machine.is_some() {
        machines::each_has_its_own_mac(held, namespace, place)?;
    }
    enter(held, namespace, occupant, changes)
}

/// Puts an endpoint that a client has made into the namespace of a system.
pub(super) fn put_in(
    held: &mut Held,
    namespace: Guid,
    adapter: &Adapter,
    changes: &mut Changes,
) -> Result<(), Failure> {
    let at = |failure: Failure, pointer: &str| {
        let message = failure.message.clone();
        failure.cause_at(pointer.to_owned(), message)
    };
    let request = about_endpoint(adapter.endpoint);
    let attached = held.state.modify_namespace(namespace, &request);
    join(
        changes,
        attached.map_err(|failure| at(failure, &adapter.pointer))?,
    );
    let has = held.state.endpoint(adapter.endpoint)?.mac();
    match &adapter.mac {
        Some((pointer, mac)) if *mac != has => {
            let message = format!(
                "the endpoint {} has the hardware address {has}, not {mac}: leave it out here, or make the endpoint with it",
                adapter.endpoint
            );
            Err(at(Failure::new(HResult::E_INVALIDARG, message), pointer))
        }
        _ => Ok(()),
    }
}

pub(super) fn make_endpoint(
    held: &mut Held,
    settings: &Value,
    changes: &mut Changes,
) -> Result<Guid, Failure> {
    make_endpoint_as(
        held,
        settings,
        Guid(uuid::Uuid::new_v4().as_u128()),
        changes,
    )
}

/// Makes an endpoint, whose id is `chosen` where its document names none.
fn make_endpoint_as(
    held: &mut Held,
    settings: &Value,
    chosen: Guid,
    changes: &mut Changes,
) -> Result<Guid, Failure> {
    let text = |key| settings.get(key).and_then(Value::as_str);
    let network = text("HostComputeNetwork").and_then(|id| id.parse().ok());
    let network: Guid = network.ok_or_else(|| {
        let message = "expected the id of a network";
        Failure::new(HResult::HCN_E_INVALID_JSON, message).cause_at("/HostComputeNetwork", message)
    })?;
    let named = text("ID").and_then(|id| id.parse::<Guid>().ok());
    let given = match named.filter(|id| *id != Guid::NONE) {
        Some(_) => Guid::NONE,
        None => chosen,
    };
    let settings = ports::choose(&held.state, settings.to_string())?;
    let made = held.state.create_endpoint(network, given, &settings)?;
    let id = made.id;
    join(changes, made);
    Ok(id)
}

/// A failure whose pointers begin at `pointer`.
pub(super) fn below(mut failure: Failure, pointer: &str) -> Failure {
    if failure.causes.iter().all(|cause| cause.pointer.is_none()) {
        let message = failure.message.clone();
        return failure.cause_at(pointer, message);
    }
    for cause in &mut failure.causes {
        if let Some(inner) = &mut cause.pointer {
            *inner = format!("{pointer}{inner}");
        }
    }
    failure
}

/// Takes out what a container has of networks, and what was made for it.
pub(super) fn end(held: &mut Held, runtime_id: &str, changes: &mut Changes) {
    clearing::linger_spares(held, runtime_id);
    let left = held.occupants.iter();
    let left = left.filter(|(_, occupant)| occupant.runtime_id == runtime_id);
    let left: Vec<(Guid, Occupant)> = left.map(|(id, one)| (*id, one.clone())).collect();
    for (namespace, occupant) in left {
        clearing::linger(held, namespace, &occupant);
        held.occupants.remove(&namespace);
        let request = about_container("Remove", &occupant.id);
        // It is as well if a client has taken it out before.
        if let Ok(more) = held.state.modify_namespace(namespace, &request) {
            join(changes, more);
        }
    }
    let made = held.made_for.iter().filter(|(_, id)| *id == runtime_id);
    let mut made: Vec<Object> = made.map(|(object, _)| *object).collect();
    made.sort_by_key(|object| matches!(object, Object::Namespace(_)));
    for object in made {
        let deleted = match object {
            // A load balancer that leads to it leads to the others from now on.
            Object::Endpoint(id) => held.state.end_endpoint(id),
            Object::Namespace(id) => calls::delete(&mut held.state, ObjectKind::Namespace, id),
            Object::Network(_) | Object::LoadBalancer(_) => continue,
        };
        match deleted {
            Ok(more) => join(changes, more),
            Err(failure) => error!("{object:?} stays: {}", failure.log_line()),
        }
    }
}

fn about_container(request: &str, id: &str) -> String {
    let settings = json!({ "ContainerId": id });
    json!({ "ResourceType": "Container", "RequestType": request, "Settings": settings }).to_string()
}

/// A request of a namespace that puts an endpoint in.
pub(super) fn about_endpoint(id: Guid) -> String {
    about_endpoint_as("Add", id)
}

/// A request of a namespace about an endpoint.
pub(super) fn about_endpoint_as(request: &str, id: Guid) -> String {
    let settings = json!({ "EndpointId": id });
    json!({ "ResourceType": "Endpoint", "RequestType": request, "Settings": settings }).to_string()
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use hcs_engine::engine::Exit;
    use tokio::task::{JoinSet, LocalSet, yield_now};

    use super::*;
    use crate::system::gone::GoneMachine;

    #[test]
    fn what_ends_by_itself_gives_its_networks_back_in_turns_of_the_users() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        LocalSet::new().block_on(&runtime, async {
            let root = tempfile::tempdir().unwrap();
            let networks = Rc::new(Networks::open(root.path(), "test".to_owned(), false));
            let held = networks.turn().await;
            let order = Rc::new(RefCell::new(Vec::new()));
            let mut all = JoinSet::new();
            for number in 0..30 {
                let uid = if number < 29 { 1 } else { 2 };
                let machine = Arc::new(GoneMachine::new(Exit::Unknown, None).unwrap());
                let id = number.to_string();
                networks.machines.borrow_mut().insert(id.clone(), machine);
                let (networks, order) = (Rc::clone(&networks), Rc::clone(&order));
                all.spawn_local(async move {
                    networks.leave(&id, uid).await;
                    order.borrow_mut().push(uid);
                });
                yield_now().await;
            }
            drop(held);
            while all.join_next().await.is_some() {}
            let order = order.take();
            let at = order.iter().position(|uid| *uid == 2).unwrap();
            assert!(order.len() == 30 && at <= 3, "{order:?}");
        });
    }
}
