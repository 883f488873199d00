//! Networks over other hosts: two hosts, each with an engine of its own, and the link between them.

use engine_network::{Host, make_network, remove_network};
use hcn::Guid;
use hcs_schema::HResult;
use serde_json::{Value, json};

use crate::{
    traffic::{bind, connects, datagram, exchange, forge, listen, pings, talk},
    world::{Container, FAR, OUTSIDE, UPLINK, World, can_work},
};

const NETWORK: u128 = 1;

fn policy(kind: &str, settings: &Value) -> Value {
    json!({"Type": kind, "Settings": settings})
}

/// A network of this subnet and number.
fn overlay(subnet: &str, number: u32, policies: &[Value]) -> Value {
    let vsid = policy("VSID", &json!({ "IsolationId": number }));
    let subnet = json!({"IpAddressPrefix": subnet, "Policies": [vsid]});
    json!({"Type": "Overlay", "Policies": policies, "Ipams": [{"Subnets": [subnet]}]})
}

fn at(address: &str, mac: &str) -> Value {
    json!({"IpConfigurations": [{"IpAddress": address}], "MacAddress": mac})
}

/// An endpoint of another host.
fn remote(address: &str, mac: &str, provider: &str) -> Value {
    let mut document = at(address, mac);
    document["Flags"] = json!(1);
    let place = policy("ProviderAddress", &json!({ "ProviderAddress": provider }));
    document["Policies"] = json!([place]);
    document
}

/// Makes the network again, as after a change.
fn follow(world: &mut World) {
    let network = world.state.network_intent(Guid(NETWORK << 80)).unwrap();
    let make = || make_network(&mut Host::open("hcs").unwrap(), &network);
    world.host.run(make).unwrap();
    world.rules();
}

fn tell(world: &mut World, id: u128, mut document: Value) -> Guid {
    document["SchemaVersion"] = json!({"Major": 2});
    let network = Guid(NETWORK << 80);
    let made = world
        .state
        .create_endpoint(network, Guid(id), &document.to_string());
    let id = made.unwrap().id;
    follow(world);
    id
}

const MACS: [&str; 2] = ["00-15-5D-01-00-0A", "00-15-5D-02-00-14"];
const ADDRESSES: [&str; 2] = ["10.77.0.10", "10.77.0.20"];

/// Two hosts whose networks have one subnet, and an endpoint each that the other knows.
fn two_hosts(policies: &[Value]) -> ([World; 2], [Container; 2]) {
    let mut here = World::new();
    let mut there = here.of_the_outside();
    let document = overlay("10.77.0.0/24", 5000, policies);
    let containers = [&mut here, &mut there].map(|world| world.network(NETWORK, document.clone()));
    let one = here.container(containers[0], 2, at(ADDRESSES[0], MACS[0]));
    let two = there.container(containers[1], 2, at(ADDRESSES[1], MACS[1]));
    tell(&mut here, 3, remote(ADDRESSES[1], MACS[1], OUTSIDE));
    tell(&mut there, 3, remote(ADDRESSES[0], MACS[0], UPLINK));
    ([here, there], [one, two])
}

#[test]
fn endpoints_of_two_hosts_are_in_one_subnet() {
    if !can_work() {
        return;
    }
    let port = policy("VxlanPort", &json!({"Port": 4790}));
    let ([mut here, there], [one, two]) = two_hosts(&[port]);
    assert!(pings(&one.space, &two.address));
    let server = listen(&two.space, 80);
    let seen = talk(&one.space, (&two.address, 80), &server);
    assert_eq!(seen.to_string(), one.address);
    let datagrams = bind(&one.space, 81);
    let seen = exchange(&two.space, (&one.address, 81), &datagrams);
    assert_eq!(seen.to_string(), two.address);
    assert!(
        !connects(&one.space, (OUTSIDE, 80)),
        "nothing leads to the outside"
    );
    for world in [&here, &there] {
        assert!(world.survey().networks.is_empty(), "{:?}", world.survey());
    }
    // What is told no more is reached no more.
    here.state.delete_endpoint(Guid(3)).unwrap();
    follow(&mut here);
    assert!(!connects(&one.space, (&two.address, 80)));
    assert!(here.survey().networks.is_empty());
}

#[test]
fn only_hosts_that_a_network_was_told_of_speak_to_it() {
    if !can_work() {
        return;
    }
    let ([here, there], [one, _two]) = two_hosts(&[]);
    let server = bind(&one.space, 80);
    // A datagram for the endpoint, as a host sends it: the header of VXLAN, then a frame.
    let mac = |text: &str| text.parse::<hcn::Mac>().unwrap().0;
    let packet = |text: &[u8], number: u32, from: &str| {
        let packet = datagram([ADDRESSES[1], ADDRESSES[0]], 80, text);
        let head = [&[8, 0, 0, 0][..], &(number << 8).to_be_bytes()].concat();
        [&head[..], &mac(MACS[0]), &mac(from), &[8, 0], &packet].concat()
    };
    let mut bytes = [0; 16];
    let own = "00-15-5D-01-00-0A";
    for (what, source, number, from) in [
        ("another host", FAR, 5000, MACS[1]),
        ("another number", OUTSIDE, 5001, MACS[1]),
        ("the card of an endpoint here", OUTSIDE, 5000, own),
    ] {
        forge(
            &there.host,
            source,
            (UPLINK, 4789),
            &packet(b"forged", number, from),
        );
        forge(
            &there.host,
            OUTSIDE,
            (UPLINK, 4789),
            &packet(b"told", 5000, MACS[1]),
        );
        let (length, _) = server.recv_from(&mut bytes).unwrap();
        assert_eq!(&bytes[..length], b"told", "{what}");
    }
    drop(here);
}

/// Each host has a subnet of its own, and routes to that of the other.
#[test]
fn subnets_of_other_hosts_are_reached_by_their_routers() {
    if !can_work() {
        return;
    }
    let routers = ["02-00-00-00-00-01", "02-00-00-00-00-02"];
    let subnets = ["10.78.1.0/24", "10.78.2.0/24"];
    let providers = [UPLINK, OUTSIDE];
    let mut here = World::new();
    let mut there = here.of_the_outside();
    let document = |own: usize, other: usize| {
        let route = json!({
            "DestinationPrefix": subnets[other], "IsolationId": 6000, "ProviderAddress": providers[other],
            "DistributedRouterMacAddress": routers[other],
        });
        let policies = [
            policy("DrMacAddress", &json!({"Address": routers[own]})),
            policy(
                "ProviderAddress",
                &json!({"ProviderAddress": providers[own]}),
            ),
            policy("RemoteSubnetRoute", &route),
        ];
        overlay(subnets[own], 6000, &policies)
    };
    let network = here.network(NETWORK, document(0, 1));
    let one = here.container(network, 2, json!({}));
    let beside = here.container(network, 3, json!({}));
    let network = there.network(NETWORK, document(1, 0));
    let two = there.container(network, 2, json!({}));
    assert!(pings(&one.space, &two.address));
    let server = listen(&one.space, 80);
    let seen = talk(&two.space, (&one.address, 80), &server);
    assert_eq!(seen.to_string(), two.address, "nothing is translated");
    // The second time as well: no endpoint was told of another router.
    assert!(pings(&one.space, &two.address));
    talk(&two.space, (&one.address, 80), &server);
    talk(&beside.space, (&one.address, 80), &server);
    assert!(here.forwarding_holds() && here.survey().networks.is_empty());
    // A request takes the route away.
    let route = here
        .state
        .network(network)
        .unwrap()
        .document()
        .policies
        .clone()
        .unwrap();
    let route = serde_json::to_value(&route[2]).unwrap();
    let request = json!({"ResourceType": "Policy", "RequestType": "Remove", "Settings": {"Policies": [route]}});
    here.state
        .modify_network(network, &request.to_string())
        .unwrap();
    follow(&mut here);
    assert!(!connects(&one.space, (&two.address, 80)));
    assert!(here.survey().networks.is_empty());
    here.remove_all();
    let left = here.host.links();
    let mut left = left.iter();
    assert!(
        !left.any(|name| name.starts_with("hcb") || name.starts_with("hcv")),
        "links of containers go with them"
    );
}

#[test]
fn what_others_change_of_an_overlay_is_found_and_made_again() {
    if !can_work() {
        return;
    }
    let ([mut here, _there], [one, two]) = two_hosts(&[]);
    let intent = here.state.network_intent(Guid(NETWORK << 80)).unwrap();
    let link = &intent.tunnel.as_ref().unwrap().link;
    let card = MACS[1].replace('-', ":");
    for (program, change) in [
        ("ip", format!("link delete {link}")),
        ("ip", format!("link set {link} down")),
        ("ip", format!("link set {link} nomaster")),
        ("ip", format!("neigh delete {} dev {link}", ADDRESSES[1])),
        (
            "bridge",
            format!("fdb delete {card} dev {link} self dst {OUTSIDE}"),
        ),
        ("bridge", format!("fdb delete {card} dev {link} master")),
    ] {
        here.host.program(program, &change);
        assert_eq!(here.survey().networks, [Guid(NETWORK << 80)], "{change}");
        follow(&mut here);
        assert!(here.survey().networks.is_empty(), "{change}");
        assert!(pings(&one.space, &two.address), "{change}");
    }
    // What another program tells it is not believed.
    here.host.program(
        "bridge",
        &format!("fdb add 02:00:00:00:00:99 dev {link} dst {FAR} self"),
    );
    assert_eq!(here.survey().networks, [Guid(NETWORK << 80)]);
    follow(&mut here);
    assert!(here.survey().networks.is_empty());
}

#[test]
fn an_overlay_that_cannot_be_made_leaves_nothing() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    world
        .host
        .ip("link add other0 type vxlan id 5000 dstport 4789");
    let mut document = overlay("10.77.0.0/24", 5000, &[]);
    document["SchemaVersion"] = json!({"Major": 2});
    let surroundings = hcn::Surroundings::default();
    world
        .state
        .create_network(Guid(7), &document.to_string(), &surroundings)
        .unwrap();
    let intent = world.state.network_intent(Guid(7)).unwrap();
    let before = world.host.links();
    let made = world
        .host
        .run(|| make_network(&mut Host::open("hcs").unwrap(), &intent));
    assert_eq!(
        made.unwrap_err().hresult,
        HResult::HCN_E_NETWORK_ALREADY_EXISTS
    );
    assert_eq!(world.host.links(), before);
    world.host.ip("link delete other0");
    world
        .host
        .run(|| {
            let mut host = Host::open("hcs").unwrap();
            make_network(&mut host, &intent)?;
            remove_network(&mut host, &intent)
        })
        .unwrap();
    assert_eq!(world.host.links(), ["up0"]);
}

#[test]
fn a_route_of_another_program_is_not_replaced() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let to = "10.78.2.0/24";
    let route = json!({
        "DestinationPrefix": to, "IsolationId": 5000, "ProviderAddress": OUTSIDE,
        "DistributedRouterMacAddress": "02-00-00-00-00-02",
    });
    let policies = [policy("RemoteSubnetRoute", &route)];
    let mut document = overlay("10.77.0.0/24", 5000, &policies);
    document["SchemaVersion"] = json!({"Major": 2});
    // The route comes after the network was asked for.
    let surroundings = hcn::Surroundings::default();
    let made = world
        .state
        .create_network(Guid(7), &document.to_string(), &surroundings);
    let intent = world.state.network_intent(made.unwrap().id).unwrap();
    world.host.ip(&format!("route add {to} via {OUTSIDE}"));
    let links = world.host.links();
    let make = || make_network(&mut Host::open("hcs").unwrap(), &intent);
    let refused = world.host.run(make).unwrap_err();
    assert_eq!(refused.hresult, HResult::HCN_E_INVALID_SUBNET);
    assert!(refused.message.contains(to), "{}", refused.message);
    let routes = world.host.ip(&format!("route show {to}"));
    assert!(routes.contains(&format!("via {OUTSIDE}")), "{routes}");
    assert_eq!(world.host.links(), links);
    world.host.ip(&format!("route delete {to}"));
    // The second time it is the network's own.
    for _ in 0..2 {
        world.host.run(make).unwrap();
    }
}
