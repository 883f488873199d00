//! Ports of this machine that lead to systems.

use std::fmt;

use hcs::{
    ComputeSystem, Failure, HResult,
    network::{self, ObjectKind},
};
use serde_json::{Value, json};

use crate::{client, clock::Clock, networks};

/// A port of this machine that leads to one of a system.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Port {
    /// That of the system.
    number: u16,
    is_udp: bool,
    /// The address of this machine.
    address: String,
    /// The port of this machine.
    host: u16,
}

/// The protocol and the port of the system, as an image exposes it.
impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.protocol())
    }
}

impl Port {
    /// The port mapped by a policy of an endpoint; none where the policy is another one.
    fn of(policy: &Value) -> Option<Self> {
        let settings = policy.get("Settings")?;
        let port = |key: &str| u16::try_from(settings[key].as_u64()?).ok();
        (policy["Type"] == "PortMapping").then_some(())?;
        let address = settings["VIP"].as_str().filter(|text| !text.is_empty());
        Some(Self {
            number: port("InternalPort")?,
            is_udp: settings["Protocol"] == 17,
            address: address.unwrap_or("0.0.0.0").to_owned(),
            host: port("ExternalPort")?,
        })
    }

    const fn protocol(&self) -> &'static str {
        if self.is_udp { "udp" } else { "tcp" }
    }

    /// Whether `text` means it: 80/tcp, or 80 for TCP.
    pub(crate) fn is(&self, text: &str) -> bool {
        let is_short = !self.is_udp && text == self.number.to_string();
        is_short || text == self.to_string()
    }

    /// The address and port of this machine.
    pub(crate) fn at(&self) -> String {
        format!("{}:{}", self.address, self.host)
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "Protocol": self.protocol(), "Port": self.number, "HostAddress": self.address, "HostPort": self.host,
        })
    }
}

/// The ports of this machine that lead to a system, in the order of its ports. A system that is in no network of the
/// service has none.
///
/// # Errors
/// The service does not tell.
pub(crate) fn of(system: &ComputeSystem, clock: Clock) -> Result<Vec<Port>, Failure> {
    let id = namespace_of(system, clock)?;
    let Some(namespace) = document(ObjectKind::Namespace, &id, clock)? else {
        return Ok(Vec::new());
    };
    let mut ports = Vec::new();
    let resources = namespace["Resources"].as_array().into_iter().flatten();
    for resource in resources.filter(|resource| resource["Type"] == "Endpoint") {
        let Some(id) = resource.pointer("/Data/Id").and_then(Value::as_str) else {
            continue;
        };
        // An endpoint may have been taken out meanwhile.
        if let Some(endpoint) = document(ObjectKind::Endpoint, id, clock)? {
            let policies = endpoint["Policies"].as_array().into_iter().flatten();
            ports.extend(policies.filter_map(Port::of));
        }
    }
    ports.sort();
    Ok(ports)
}

/// The id of the namespace of networks that a system is in: that which its document names, else its own.
///
/// # Errors
/// The service does not tell what it was made from.
pub(crate) fn namespace_of(system: &ComputeSystem, clock: Clock) -> Result<String, Failure> {
    let document = client::made_from(system, clock)?;
    let named = document
        .container
        .and_then(|container| container.networking)
        .and_then(|networking| networking.namespace);
    // One that `ip netns` made has a name.
    let named = named.filter(|named| uuid::Uuid::try_parse(named).is_ok());
    Ok(named.unwrap_or_else(|| system.runtime_id().unwrap_or_default().to_owned()))
}

/// The document of an object; none where there is none, or no networks at all.
fn document(kind: ObjectKind, id: &str, clock: Clock) -> Result<Option<Value>, Failure> {
    const NONE: [HResult; 3] = [
        HResult::NOT_FOUND,
        HResult::E_NOTIMPL,
        HResult::HCN_E_ENDPOINT_NOT_FOUND,
    ];
    let asked = network::query(kind, id, &networks::query(&Value::Null));
    match networks::on(clock, asked).wait() {
        Ok(text) => serde_json::from_str(&text).map(Some).map_err(|error| {
            let message = format!("the service sent a document of {id} that cannot be read");
            Failure::new(HResult::HCS_E_PROTOCOL_ERROR, message).because(&error)
        }),
        Err(failure) if NONE.contains(&failure.hresult) => Ok(None),
        Err(failure) => Err(failure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_that_maps_a_port_is_one() {
        let settings =
            json!({"Protocol": 17, "InternalPort": 53, "ExternalPort": 61000, "VIP": "127.0.0.1"});
        let port = Port::of(&json!({"Type": "PortMapping", "Settings": settings})).unwrap();
        assert_eq!(
            (port.to_string(), port.at()),
            ("53/udp".to_owned(), "127.0.0.1:61000".to_owned())
        );
        assert!(port.is("53/udp") && !port.is("53") && !port.is("53/tcp"));
        let settings = json!({"Protocol": 6, "InternalPort": 80, "ExternalPort": 8080});
        let port = Port::of(&json!({"Type": "PortMapping", "Settings": settings})).unwrap();
        assert_eq!(port.at(), "0.0.0.0:8080");
        assert!(port.is("80") && port.is("80/tcp") && !port.is("8080"));
        assert_eq!(
            Port::of(&json!({"Type": "ACL", "Settings": settings})),
            None
        );
        assert_eq!(Port::of(&json!({"Type": "PortMapping"})), None);
    }
}
