//! Networks by their names.

use std::time::Duration;

use hcs::{
    Failure, HResult, Operation,
    network::{self, ObjectKind},
};
use hcs_schema::{documents::ComputeSystem, rules::names::is_host_name};
use serde_json::{Value, json};

use crate::{
    clock::Clock,
    complain,
    options::network::{Choice, NAT, NetworkOptions},
};

/// How long a call about networks may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A query of version 2, for what fits the filter.
pub(crate) fn query(filter: &Value) -> String {
    let filter = match filter.as_object().is_none_or(serde_json::Map::is_empty) {
        true => String::new(),
        false => filter.to_string(),
    };
    json!({ "SchemaVersion": { "Major": 2, "Minor": 0 }, "Filter": filter }).to_string()
}

/// How long a call about networks may take of the time that is `left`.
fn limit(left: Option<Duration>) -> Duration {
    left.map_or(LIMIT, |left| left.min(LIMIT))
}

/// The operation, to be done within the time of the verb.
pub(crate) fn on<T>(clock: Clock, operation: Operation<T>) -> Operation<T> {
    operation.deadline(limit(clock.left()))
}

/// The clock of what has no time of its own.
fn unlimited() -> Clock {
    Clock::new("network", None)
}

/// The ids of networks with this name.
fn named(name: &str, clock: Clock) -> Result<Vec<String>, Failure> {
    let query = query(&json!({ "Name": name }));
    on(clock, network::enumerate(ObjectKind::Network, &query)).wait()
}

/// The id of a network, by its name or its id.
///
/// # Errors
/// There is none.
pub(crate) fn find(name: &str) -> Result<String, Failure> {
    find_within(name, unlimited())
}

/// [`find`] within the time of the verb.
///
/// # Errors
/// As [`find`], or the time is over.
pub(crate) fn find_within(name: &str, clock: Clock) -> Result<String, Failure> {
    let opened = || on(clock, network::open(ObjectKind::Network, name)).wait();
    // What is the id of one network is never taken for the name of another.
    let is_id = uuid::Uuid::try_parse(name).is_ok();
    if is_id && let Ok(id) = opened() {
        return Ok(id);
    }
    if let Some(id) = named(name, clock)?.pop() {
        return Ok(id);
    }
    opened().map_err(|failure| {
        let is_about_more = [HResult::E_NOTIMPL, HResult::HCS_E_OPERATION_TIMEOUT];
        if is_about_more.contains(&failure.hresult) {
            return failure;
        }
        let message = format!(
            "there is no network {name:?}; `hcs network list` shows all, `hcs network create {name}` makes it"
        );
        Failure::new(HResult::HCN_E_NETWORK_NOT_FOUND, message)
    })
}

/// Makes a network; returns its id.
///
/// # Errors
/// The service refuses it.
pub(crate) fn create(settings: &Value) -> Result<String, Failure> {
    creation(settings).deadline(LIMIT).wait()
}

/// The operation of [`create`].
pub(crate) fn creation(settings: &Value) -> Operation<String> {
    network::create(ObjectKind::Network, "", &settings.to_string())
}

/// The document of the network that is made when it is first used.
pub(crate) fn nat_settings() -> Value {
    json!({
        "SchemaVersion": { "Major": 2, "Minor": 0 }, "Owner": "hcs", "Name": NAT, "Type": "NAT",
    })
}

/// [`find`], but the network `nat` is made where it is not there.
///
/// # Errors
/// As [`find`], or the service refuses to make it.
pub(crate) fn find_or_make(name: &str) -> Result<String, Failure> {
    find_or_make_within(name, unlimited())
}

/// [`find_or_make`] within the time of the verb.
///
/// # Errors
/// As [`find_or_make`], or the time is over.
pub(crate) fn find_or_make_within(name: &str, clock: Clock) -> Result<String, Failure> {
    if name != NAT {
        return find_within(name, clock);
    }
    if let Some(id) = named(name, clock)?.pop() {
        return Ok(id);
    }
    match on(clock, creation(&nat_settings())).wait() {
        // Another program was faster.
        Err(failure) if failure.hresult == HResult::HCN_E_NETWORK_ALREADY_EXISTS => {
            find_within(name, clock)
        }
        made => made,
    }
}

/// The ports that the image of a container exposes; none where it is made of no image.
fn exposed(document: &ComputeSystem) -> Option<Vec<String>> {
    let storage = document.container.as_ref()?.storage.as_ref()?;
    let image = storage.image.as_ref()?;
    Some(image.exposed_ports.clone().unwrap_or_default())
}

/// Adds to the document of a system what the options say of networks. `host_name` is a further name of a virtual
/// machine, whose document says it to its kernel alone.
///
/// # Errors
/// There is no such network, or no networks at all; ports are published in none.
pub(crate) fn furnish(
    document: &mut ComputeSystem,
    options: &NetworkOptions,
    host_name: Option<&str>,
) -> Result<(), Failure> {
    let is_machine = document.virtual_machine.is_some();
    let refused = |message| Failure::new(HResult::E_INVALIDARG, message);
    let exposed = exposed(document);
    let options = &options.with_exposed(exposed.as_deref()).map_err(refused)?;
    if options.publishes_nothing() {
        complain(
            "hcs: --publish-all publishes no port: the image exposes none; -p 8080:80 publishes a port\n",
        );
    }
    let networking = match &mut document.virtual_machine {
        Some(machine) => &mut machine.networking,
        None => &mut document.container.get_or_insert_default().networking,
    };
    options.name(networking);
    let choice = options.choice().map_err(refused)?;
    let Choice::Named(names) = choice else {
        if let Some(option) = options.only_in_network() {
            let what = if is_machine {
                "virtual machine"
            } else {
                "container"
            };
            let message = format!("{option} is for a {what} that is in a network: --network nat");
            return Err(refused(message));
        }
        return match choice {
            Choice::Namespace(_) if is_machine => Err(refused(
                "a virtual machine has a network of its own: --network host and --network ns:PATH are for containers; \
                 expected the name of a network, as --network nat"
                    .to_owned(),
            )),
            Choice::Namespace(path) => {
                networking.get_or_insert_default().namespace = Some(path);
                Ok(())
            }
            // The default network comes last, as its service has to be asked for it.
            _ => Ok(()),
        };
    };
    let mut endpoints = Vec::new();
    for name in names {
        let network = find_or_make(name)?;
        endpoints.push(match endpoints.is_empty() {
            true => options.endpoint(&network),
            false => NetworkOptions::further_endpoint(&network),
        });
    }
    let networking = networking.get_or_insert_default();
    networking.endpoints = Some(endpoints);
    if let Some(name) = host_name.filter(|name| is_machine && is_host_name(name)) {
        let aliases = networking.aliases.get_or_insert_default();
        aliases.push(name.to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_takes_no_longer_than_what_is_left_of_the_verbs_time() {
        assert_eq!(
            limit(Some(Duration::from_millis(5))),
            Duration::from_millis(5)
        );
        assert_eq!(limit(Some(Duration::ZERO)), Duration::ZERO);
        assert_eq!(limit(Some(LIMIT + Duration::from_secs(1))), LIMIT);
        assert_eq!(limit(None), LIMIT);
    }
}
