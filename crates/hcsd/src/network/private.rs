//! The network `nat` of an ordinary user's service, which has no right to make links, rules and settings of the host.
//!
//! To clients it is what it is elsewhere: a network with addresses that are given out, and endpoints with ports. In the
//! kernel there is a program for each of its containers that passes on what goes out and comes in
//! ([`hcs_engine::engine::Machine::connect`]). So containers do not reach each other, but by published ports. The
//! program ends with its container; a service that takes one over has nothing to do.

use std::net::IpAddr;

use hcn::{Outbound, documents::NetworkType, intent::EndpointIntent};
use hcs_engine::engine::{Outside, OutsidePort};
use hcs_schema::{Failure, HResult};
use hcs_wire::network::{NAT, NetworkCall, ObjectKind};
use serde_json::Value;

use super::{
    calls::not_for_users,
    containers::{ENDPOINTS, refused},
};
use crate::{engines::check_outside, record::blocking::blocking};

/// Whether an ordinary user's service makes a call that changes networks.
///
/// # Errors
/// It does not, or the host lacks what it takes.
pub(super) async fn check(call: &NetworkCall) -> Result<(), Failure> {
    match call {
        NetworkCall::Create {
            kind: ObjectKind::Network,
            settings,
            ..
        } if is_nat(settings) => blocking(check_outside).await,
        NetworkCall::Delete {
            kind: ObjectKind::Network,
            ..
        } => Ok(()),
        _ => Err(not_for_users()),
    }
}

/// Whether these are the settings of the network `nat`. What else is in them is for the model to judge.
fn is_nat(settings: &str) -> bool {
    let document: Value = serde_json::from_str(settings).unwrap_or_default();
    let text = |property: &str| document.get(property).and_then(Value::as_str);
    let kind = serde_json::to_value(NetworkType::Nat).unwrap_or_default();
    let is_kind = |said: &str| {
        kind.as_str()
            .is_some_and(|kind| kind.eq_ignore_ascii_case(said))
    };
    text("Name") == Some(NAT) && text("Type").is_none_or(is_kind)
}

/// Refuses what a container of an ordinary user cannot have of networks: `endpoints` are the documents that its own
/// document has, `adapters` whether it names others.
///
/// # Errors
/// By JSON pointer.
pub(super) fn check_place(endpoints: &[Value], adapters: Option<&str>) -> Result<(), Failure> {
    if let Some(pointer) = adapters {
        return Err(
            not_for_users().cause_at(pointer.to_owned(), "it has no endpoints that a client made")
        );
    }
    match endpoints.len() {
        0 | 1 => Ok(()),
        _ => Err(refused(
            &format!("{ENDPOINTS}/1"),
            "a container of an ordinary user has one endpoint at most; leave the others out",
        )),
    }
}

/// How a container with this endpoint is connected.
///
/// # Errors
/// The endpoint has what takes rights that the user has not.
pub(super) fn outside(endpoint: &EndpointIntent) -> Result<Outside, Failure> {
    let limited = endpoint.has_rules()
        || endpoint.bandwidth.is_some()
        || endpoint.isolated
        || !endpoint.led_routes.is_empty()
        || endpoint.outbound != Outbound::default();
    if limited {
        let message = "an endpoint of an ordinary user has policies of the type PortMapping only; others take rules or \
                       routes that the service of root makes: leave them out, or ask a service of root";
        return Err(Failure::new(HResult::NOT_SUPPORTED, message));
    }
    let v4 = |address: IpAddr| match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    };
    let mut addresses = endpoint.addresses.iter();
    let address = addresses.find_map(|(address, length)| Some((v4(*address)?, *length)));
    let mut routes = endpoint.routes.iter();
    let router = routes.find_map(|(to, router, _)| to.is_all().then(|| v4(*router))?);
    let Some(((address, length), router)) = address.zip(router) else {
        let message = "an endpoint of an ordinary user has an address of IPv4 and a router: give the network a subnet of IPv4";
        return Err(Failure::new(HResult::NOT_SUPPORTED, message));
    };
    let ports = endpoint.mappings.iter().map(|mapping| OutsidePort {
        is_udp: mapping.protocol == hcn::Protocol::Udp,
        address: mapping.address,
        external: mapping.external,
        internal: mapping.internal,
    });
    Ok(Outside {
        link: endpoint.inner.clone(),
        mac: endpoint.mac.0,
        address,
        length,
        router,
        mtu: endpoint.mtu,
        ports: ports.collect(),
    })
}

#[cfg(test)]
mod tests {
    use hcn::{Guid, State, Surroundings};
    use serde_json::json;

    use super::*;

    #[test]
    fn the_network_nat_alone_is_made() {
        let settings = |name: &str, kind: Value| json!({"Name": name, "Type": kind}).to_string();
        assert!(is_nat(&settings("nat", json!("NAT"))) && is_nat(r#"{"Name": "nat"}"#));
        assert!(!is_nat(&settings("nat", json!("Overlay"))));
        assert!(!is_nat(&settings("web", json!("NAT"))) && !is_nat("{}") && !is_nat("x"));
    }

    #[test]
    fn an_endpoint_is_told_with_its_ports_and_refused_with_other_policies() {
        let mut state = State::default();
        let version = json!({"Major": 2, "Minor": 0});
        let network = json!({"SchemaVersion": version, "Name": "nat"}).to_string();
        let mapping = json!({"Type": "PortMapping", "Settings": {
            "Protocol": 17, "InternalPort": 53, "ExternalPort": 5353, "VIP": "127.0.0.1",
        }});
        let endpoint = json!({"SchemaVersion": version, "Policies": [mapping]}).to_string();
        state
            .create_network(Guid(1), &network, &Surroundings::default())
            .unwrap();
        state.create_endpoint(Guid(1), Guid(2), &endpoint).unwrap();
        let resources = json!([{"Type": "Endpoint", "Data": {"Id": Guid(2)}}]);
        let namespace = json!({"Resources": resources}).to_string();
        state.create_namespace(Guid(3), &namespace).unwrap();
        let intent = state.endpoint_intent(Guid(2)).unwrap();
        let told = outside(&intent).unwrap();
        let here = Some([127, 0, 0, 1].into());
        let port = OutsidePort {
            is_udp: true,
            address: here,
            external: 5353,
            internal: 53,
        };
        assert_eq!(told.ports, [port]);
        assert!(IpAddr::V4(told.address) == intent.addresses[0].0 && told.router != told.address);
        let isolated = EndpointIntent {
            isolated: true,
            ..intent.clone()
        };
        let rules = |kind: &str, settings: Value| {
            let mut state = state.clone();
            let policy = json!({"Type": kind, "Settings": settings});
            let request = json!({"ResourceType": "Policy", "RequestType": "Add", "Settings": {"Policies": [policy]}});
            let request = request.to_string();
            state.modify_endpoint(Guid(2), &request).unwrap();
            state.endpoint_intent(Guid(2)).unwrap()
        };
        let limited = [
            isolated,
            rules(
                "ACL",
                json!({"Action": "Block", "Direction": "Out", "Priority": 9}),
            ),
            rules(
                "TierAcl",
                json!({"Name": "t", "Direction": "Out", "Order": 1, "TierAclRules": [{"TierAclRuleAction": "Block"}]}),
            ),
            rules("L4Proxy", json!({"IP": "10.231.0.9", "Port": "15001"})),
            rules(
                "SDNRoute",
                json!({"DestinationPrefix": "192.0.2.0/24", "NextHop": "10.231.0.9"}),
            ),
        ];
        for intent in limited {
            let refused = outside(&intent).unwrap_err();
            assert_eq!(refused.hresult, HResult::NOT_SUPPORTED, "{intent:?}");
        }
    }

    #[test]
    fn a_container_has_one_endpoint_of_its_own_document() {
        let one = [json!({})];
        check_place(&one, None).unwrap();
        for (endpoints, adapters) in [
            (2, None),
            (0, Some("/Container/Networking/NetworkAdapters")),
        ] {
            let endpoints = vec![json!({}); endpoints];
            let failure = check_place(&endpoints, adapters).unwrap_err();
            assert!(failure.causes.iter().any(|cause| cause.pointer.is_some()));
        }
    }
}
