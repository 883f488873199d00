//! Spares: endpoints of containers that are kept ready. In the kernel a spare is an endpoint like others, with a link
//! in the network namespace of such a container, addresses and elements in the sets of rules. So of a container that is
//! made of it and asks for an endpoint of that network, nothing is left to do there but the ports of the host.
//!
//! A spare is no object: no client sees it, no record has it, and no limit counts it. What a client asks for takes
//! nothing from clients: a spare goes when its address is given to an endpoint, or when its network changes. The link
//! of a spare ends with the container that is kept ready, as that does with the service; what is left of it has no
//! record, so the next service removes it.

use std::{
    os::fd::OwnedFd,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use hcn::{
    Guid, State,
    intent::{EndpointIntent, NetworkIntent},
};
use hcs_engine::engine::Machine;
use hcs_schema::{Failure, HResult};
use hcs_wire::environment::is_root;
use rustix::{fs::fstat, io::Errno};
use serde_json::{Value, json};

use super::{
    Held, Networks,
    containers::{Home, Place, about_endpoint},
};
use crate::thread::rounds::Who;

/// What a document of an endpoint may say for which a spare will do.
const WORDS: [&str; 6] = [
    "SchemaVersion",
    "HostComputeNetwork",
    "Name",
    "Owner",
    "Dns",
    "Policies",
];

/// So many containers have to ask for endpoints of one network, each within a minute of the one before: of networks
/// that are asked for in turn nothing is kept ready, as each would take the place of another.
const OFTEN: u32 = 2;
const WITHIN: Duration = Duration::from_secs(60);

/// The network that containers have asked for last, how often, and when.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asked(Option<(Guid, u32, Instant)>);

impl Asked {
    /// One more container asks for `network`.
    fn and_one(self, network: Guid, now: Instant) -> Self {
        let before = self.0.filter(|(last, _, at)| {
            *last == network && now.saturating_duration_since(*at) <= WITHIN
        });
        let count = before.map_or(0, |(_, count, _)| count);
        Self(Some((network, count.saturating_add(1), now)))
    }

    fn is_frequent(self) -> bool {
        self.0.is_some_and(|(_, count, _)| count >= OFTEN)
    }
}

/// The only policy that it may have.
const POLICY: &str = "PortMapping";

/// After a failure none is made for so long.
const AGAIN: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Spare {
    /// Of the container that is kept ready.
    runtime_id: String,
    /// Its network namespace. As long as this is open, no other one can be taken for it.
    space: Arc<OwnedFd>,
    /// The network as it was when the spare was made.
    network: NetworkIntent,
    /// What is in the kernel.
    intent: EndpointIntent,
}

impl Spare {
    /// Its id.
    pub(super) const fn id(&self) -> Guid {
        self.intent.id
    }

    /// What is in the kernel.
    pub(super) const fn intent(&self) -> &EndpointIntent {
        &self.intent
    }

    /// The network as it was when the spare was made.
    pub(super) const fn network(&self) -> &NetworkIntent {
        &self.network
    }

    /// The namespace, with the network namespace that stands for it.
    pub(super) fn space(&self) -> (Guid, Arc<OwnedFd>) {
        (self.namespace(), Arc::clone(&self.space))
    }

    /// Whether it is that of the container with this runtime id.
    pub(super) fn is_of(&self, runtime_id: &str) -> bool {
        self.runtime_id == runtime_id
    }

    /// Whether it stands in no client's way.
    pub(super) fn is_free(&self, state: &State) -> bool {
        is_free(state, &self.network, &self.intent)
    }

    /// The namespace.
    pub(super) const fn namespace(&self) -> Guid {
        self.intent.namespace
    }

    /// Whether it is in the network namespace `space`.
    fn is_in(&self, space: &OwnedFd) -> bool {
        let same = || -> Result<bool, Errno> {
            let [here, there] = [fstat(&*self.space)?, fstat(space)?];
            Ok((here.st_dev, here.st_ino) == (there.st_dev, there.st_ino))
        };
        same().unwrap_or(false)
    }

    /// The document `settings` of an endpoint, for which this will do.
    pub(super) fn furnished(&self, settings: &Value) -> Value {
        let mut settings = settings.clone();
        let addresses = self.intent.addresses.iter();
        let addresses = addresses.map(
            |(address, length)| json!({ "IpAddress": address.to_string(), "PrefixLength": length }),
        );
        settings["IpConfigurations"] = addresses.collect();
        settings["MacAddress"] = self.intent.mac.to_string().into();
        settings
    }
}

/// Whether something that is in the kernel and no object stands in no client's way: its network is as it was, and
/// nothing of it is an endpoint's.
pub(super) fn is_free(state: &State, network: &NetworkIntent, intent: &EndpointIntent) -> bool {
    if state.network_intent(network.id).as_ref() != Some(network) {
        return false;
    }
    let mut addresses = intent.addresses.iter().map(|(address, _)| *address);
    let used = |address| {
        let mut endpoints = state.endpoints_of(network.id);
        endpoints.any(|(_, one)| one.leases().iter().any(|lease| lease.address == address))
    };
    let mut endpoints = state.endpoints_of(network.id);
    let is_met = endpoints.any(|(id, one)| id == intent.id || one.mac() == intent.mac);
    !is_met && !addresses.any(used)
}

/// The network of which a spare will do for the endpoint that `settings` describe.
pub(super) fn network_of(settings: &Value) -> Option<Guid> {
    let words = settings.as_object()?;
    let is_version_2 = settings.pointer("/SchemaVersion/Major") == Some(&json!(2));
    if !is_version_2 || !words.keys().all(|word| WORDS.contains(&word.as_str())) {
        return None;
    }
    let mut policies = (settings.get("Policies").and_then(Value::as_array))
        .into_iter()
        .flatten();
    if !policies.all(|policy| policy.get("Type").and_then(Value::as_str) == Some(POLICY)) {
        return None;
    }
    settings.get("HostComputeNetwork")?.as_str()?.parse().ok()
}

impl Place {
    /// The network of which a spare will do for it.
    pub(crate) fn spare_network(&self) -> Option<Guid> {
        let Home::Own {
            endpoints,
            adapters,
            ..
        } = &self.home
        else {
            return None;
        };
        let [endpoint] = &**endpoints else {
            return None;
        };
        let may_be = is_root() && adapters.is_empty() && self.machine.is_none();
        may_be.then(|| network_of(endpoint))?
    }
}

/// The spare of the container `runtime_id` that is being made as `machine`, if it is to be had: it is that no more. One
/// whose container was made otherwise than was expected, with another network namespace, is gone.
pub(super) fn take(
    held: &mut Held,
    runtime_id: &str,
    machine: Option<&Arc<dyn Machine>>,
) -> Option<Spare> {
    let at = held.spares.iter().position(|one| one.is_of(runtime_id))?;
    let spare = held.spares.remove(at);
    let space = machine?.network().ok()?;
    spare.is_in(&space).then_some(spare)
}

/// Whether endpoints of a network are kept ready: those whose links have a bridge of the host between them.
const fn is_kept_ready(network: &NetworkIntent) -> bool {
    network.adapter.is_none() && network.tunnel.is_none()
}

/// Adds a spare of a network for the container that is kept ready as `runtime_id`. The address is given: the next
/// endpoint gets another one.
fn add(held: &mut Held, runtime_id: &str, network: Guid, space: OwnedFd) -> Result<(), Failure> {
    let namespace: Guid = runtime_id.parse().map_err(|_| {
        Failure::new(
            HResult::E_UNEXPECTED,
            "the runtime id of the container is no GUID",
        )
    })?;
    let of = held.state.network_intent(network);
    let of = of.filter(is_kept_ready).ok_or_else(|| {
        Failure::new(
            HResult::NOT_SUPPORTED,
            "nothing is kept ready of such a network",
        )
    })?;
    let mut trial = held.state.clone();
    let id = Guid(uuid::Uuid::new_v4().as_u128());
    let settings = json!({ "SchemaVersion": { "Major": 2, "Minor": 0 } });
    trial.create_namespace(namespace, "{}")?;
    trial.create_endpoint(network, id, &settings.to_string())?;
    trial.modify_namespace(namespace, &about_endpoint(id))?;
    let intent = trial.endpoint_intent(id).ok_or_else(|| {
        Failure::new(
            HResult::E_UNEXPECTED,
            "the endpoint that is kept ready is in no namespace",
        )
    })?;
    trial.end_endpoint(id)?;
    trial.delete_namespace(namespace)?;
    held.state = trial;
    held.spares.push(Spare {
        runtime_id: runtime_id.to_owned(),
        space: Arc::new(space),
        network: of,
        intent,
    });
    Ok(())
}

impl Networks {
    /// Whether endpoints of a network are kept ready, for which one more container asks: where containers come to it
    /// again and again. Where that has failed lately, they are not.
    pub(crate) fn keeps_spares(&self, network: Guid) -> bool {
        let asked = self.asked.get().and_one(network, Instant::now());
        self.asked.set(asked);
        let failed = self.spares_failed.get();
        let is_worth_it = asked.is_frequent() && failed.is_none_or(|at| at.elapsed() >= AGAIN);
        let wanted = || self.held.borrow().state.network_intent(network);
        is_worth_it && wanted().is_some_and(|one| is_kept_ready(&one))
    }

    /// Puts an endpoint of a network into the network namespace `space` of the container that is kept ready as
    /// `runtime_id`. When that is discarded, [`Networks::leave`] takes it out.
    ///
    /// # Errors
    /// The network is gone or has no room, or the host refused; there is no spare then.
    pub(crate) async fn prepare_spare(
        self: &Rc<Self>,
        runtime_id: &str,
        network: Guid,
        space: OwnedFd,
    ) -> Result<(), Failure> {
        let turn = self.turn_of(Who::SERVICE).await;
        let runtime_id = runtime_id.to_owned();
        let added = self.alter(turn, None, move |held, _| {
            add(held, &runtime_id, network, space)
        });
        let added = added.await;
        if added.is_err() {
            self.spares_failed.set(Some(Instant::now()));
        }
        added
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs::File};

    use hcn::{Object, Surroundings};

    use super::*;

    const NETWORK: Guid = Guid(1);
    const RUNTIME_ID: &str = "00000000-0000-4000-8000-000000000001";

    fn settings(more: &Value) -> Value {
        let mut settings = json!({
            "SchemaVersion": { "Major": 2, "Minor": 0 }, "HostComputeNetwork": NETWORK,
        });
        for (key, value) in more.as_object().unwrap() {
            settings[key] = value.clone();
        }
        settings
    }

    /// A network with a spare.
    fn held() -> Held {
        let mut held = Held::default();
        let document = json!({ "SchemaVersion": { "Major": 2, "Minor": 0 }, "Name": "nat" });
        let made =
            held.state
                .create_network(NETWORK, &document.to_string(), &Surroundings::default());
        made.unwrap();
        let space = File::open("/proc/self/ns/net").unwrap();
        add(&mut held, RUNTIME_ID, NETWORK, space.into()).unwrap();
        held
    }

    #[test]
    fn a_spare_will_do_for_what_asks_for_any_endpoint_of_a_network_and_ports() {
        let of = |more: &Value| network_of(&settings(more));
        let mapping = |kind| json!({ "Policies": [{ "Type": kind, "Settings": {} }] });
        assert_eq!(of(&json!({})), Some(NETWORK));
        assert_eq!(of(&mapping("PortMapping")), Some(NETWORK));
        for other in [
            mapping("ACL"),
            json!({ "ID": NETWORK }),
            json!({ "MacAddress": "00-15-5D-00-00-01" }),
            json!({ "IpConfigurations": [{ "IpAddress": "10.0.0.9" }] }),
            json!({ "Flags": 1 }),
            json!({ "SchemaVersion": null }),
            json!({ "HostComputeNetwork": "nat" }),
        ] {
            assert_eq!(of(&other), None, "{other}");
        }
    }

    #[test]
    fn an_endpoint_that_is_made_of_a_spare_is_what_is_in_the_kernel() {
        let mut held = held();
        held.settle();
        let spare = held.spares[0].clone();
        assert!(
            held.state.objects() == [Object::Network(NETWORK)],
            "no client sees it"
        );
        assert_eq!(held.wanted(), BTreeSet::from([spare.id()]));
        let namespace: Guid = RUNTIME_ID.parse().unwrap();
        held.state.create_namespace(namespace, "{}").unwrap();
        let furnished = spare.furnished(&settings(&json!({}))).to_string();
        held.state
            .create_endpoint(NETWORK, spare.id(), &furnished)
            .unwrap();
        let request = about_endpoint(spare.id());
        held.state.modify_namespace(namespace, &request).unwrap();
        assert_eq!(
            held.state.endpoint_intent(spare.id()).as_ref(),
            Some(spare.intent())
        );
    }

    #[test]
    fn a_spare_goes_when_it_is_in_the_way() {
        let spare = held().spares.remove(0);
        let address = spare.intent().addresses[0].0;
        let create = |held: &mut Held, more: &Value| {
            let settings = settings(more).to_string();
            held.state
                .create_endpoint(NETWORK, Guid(9), &settings)
                .unwrap();
            held.settle();
            held.spares.len()
        };
        assert_eq!(
            create(&mut held(), &json!({})),
            1,
            "it gets another address"
        );
        let same = json!({ "IpConfigurations": [{ "IpAddress": address.to_string() }] });
        assert_eq!(create(&mut held(), &same), 0);
        let mac = spare.intent().mac.to_string();
        assert_eq!(create(&mut held(), &json!({ "MacAddress": mac })), 0);
        let mut without = held();
        without.state.delete_network(NETWORK).unwrap();
        without.settle();
        assert!(without.spares.is_empty());
    }

    #[test]
    fn endpoints_are_kept_ready_of_a_network_that_is_asked_for_often() {
        let now = Instant::now();
        let often = (0..OFTEN).fold(Asked::default(), |asked, _| asked.and_one(NETWORK, now));
        assert!(often.is_frequent() && !Asked::default().is_frequent());
        assert!(often.and_one(NETWORK, now + WITHIN).is_frequent());
        assert!(!often.and_one(NETWORK, now + 2 * WITHIN).is_frequent());
        assert!(!often.and_one(Guid(2), now).is_frequent());
    }
}
