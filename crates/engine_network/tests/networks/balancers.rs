//! Load balancers: which endpoint a connection gets, and whom it sees.

use std::{
    collections::BTreeSet,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    thread,
    time::Duration,
};

use hcn::Guid;
use serde_json::{Value, json};

use crate::{
    traffic::{connects, listen},
    world::{Container, OUTSIDE, Space, UPLINK, World, can_work},
};

/// An address that is no host's, which the outside routes to the host.
const FRONT: &str = "192.0.2.50";
/// Enough connections that each of two endpoints gets one.
const MANY: usize = 40;

/// Tells each client of port 80 the name and the address that it is seen with.
fn serve(space: &Space, name: char) {
    let listener = listen(space, 80);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let from = stream.peer_addr().unwrap().ip();
            stream
                .write_all(format!("{name} {from}").as_bytes())
                .unwrap();
        }
    });
}

/// What the endpoint that answers says.
fn ask(space: &Space, to: (&str, u16)) -> String {
    let to = SocketAddr::new(to.0.parse().unwrap(), to.1);
    let limit = Duration::from_secs(20);
    let mut stream = space.run(|| TcpStream::connect_timeout(&to, limit).unwrap());
    stream.set_read_timeout(Some(limit)).unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    said
}

/// The endpoints that answer.
fn asked(space: &Space, to: (&str, u16)) -> BTreeSet<char> {
    let all = (0..MANY).map(|_| ask(space, to).chars().next().unwrap());
    all.collect()
}

fn balance(world: &mut World, of: &[&Container], mut document: Value) {
    const ID: Guid = Guid(77);
    document["SchemaVersion"] = json!({"Major": 2});
    let endpoints = of.iter().map(|one| one.endpoint.to_string());
    document["HostComputeEndpoints"] = endpoints.collect();
    let text = document.to_string();
    match world.state.load_balancer(ID).is_ok() {
        true => world.state.modify_load_balancer(ID, &text).unwrap(),
        false => world.state.create_load_balancer(ID, &text).unwrap(),
    };
    world.rules();
    // Its ports let frames out where they came in.
    for one in of {
        world.attach(one.endpoint, &one.space);
    }
}

fn port(external: u16, spread: &str) -> Value {
    json!([{"Protocol": 6, "InternalPort": 80, "ExternalPort": external, "DistributionType": spread}])
}

#[test]
fn connections_are_spread_over_endpoints_as_they_are_to_be() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    world.outside.ip(&format!("route add {FRONT} via {UPLINK}"));
    let network = world.network(1, json!({}));
    let [one, two, third] = [2, 3, 4].map(|id| world.container(network, id, json!({})));
    for (container, name) in [(&one, 'a'), (&two, 'b'), (&third, 'c')] {
        serve(&container.space, name);
    }
    let [of_two, of_one] = [BTreeSet::from(['a', 'b']), BTreeSet::from(['b'])];
    assert!(!connects(&world.outside, (FRONT, 8080)));
    let fronts = json!([FRONT]);
    let each = json!({"FrontendVIPs": fronts, "PortMappings": port(8080, "None")});
    balance(&mut world, &[&one, &two], each.clone());
    for space in [&world.outside, &world.host, &one.space, &third.space] {
        assert_eq!(asked(space, (FRONT, 8080)), of_two);
    }
    assert_eq!(ask(&world.outside, (FRONT, 8080))[2..], *OUTSIDE);
    assert!(!connects(&world.outside, (FRONT, 8081)));
    assert!(!connects(&world.outside, (UPLINK, 8080)));
    assert!(world.survey().rules, "what was written is there");

    for spread in ["SourceIP", "SourceIPProtocol"] {
        let by_source = json!({"FrontendVIPs": fronts, "PortMappings": port(8080, spread)});
        balance(&mut world, &[&one, &two], by_source);
        let first = asked(&world.outside, (FRONT, 8080));
        assert_eq!(first.len(), 1, "{spread}");
        // The rules are written again with each change of networks.
        world.rules();
        assert_eq!(asked(&world.outside, (FRONT, 8080)), first, "{spread}");
    }

    let everywhere = json!({"PortMappings": port(8080, "None"), "SourceVIP": "192.0.2.99"});
    balance(&mut world, &[&one, &two], everywhere);
    assert_eq!(asked(&world.outside, (UPLINK, 8080)), of_two);
    assert_eq!(ask(&world.outside, (UPLINK, 8080))[2..], *"192.0.2.99");
    assert!(!connects(&world.outside, (FRONT, 8080)));

    balance(&mut world, &[&one, &two], each);
    world.state.end_endpoint(one.endpoint).unwrap();
    world.rules();
    assert_eq!(asked(&world.outside, (FRONT, 8080)), of_one);
    world.state.delete_load_balancer(Guid(77)).unwrap();
    world.rules();
    assert!(!connects(&world.outside, (FRONT, 8080)));
}

#[test]
fn what_is_balanced_at_one_address_comes_before_what_is_published_at_all() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let network = world.network(1, json!({}));
    let settings = json!({"Protocol": 6, "InternalPort": 80, "ExternalPort": 8080});
    let published = json!([{"Type": "PortMapping", "Settings": settings}]);
    let one = world.container(network, 2, json!({"Policies": published}));
    let two = world.container(network, 3, json!({}));
    for (container, name) in [(&one, 'a'), (&two, 'b')] {
        serve(&container.space, name);
    }
    assert_eq!(asked(&world.outside, (UPLINK, 8080)), BTreeSet::from(['a']));
    let at_address = json!({"FrontendVIPs": [UPLINK], "PortMappings": port(8080, "None")});
    balance(&mut world, &[&two], at_address);
    assert_eq!(asked(&world.outside, (UPLINK, 8080)), BTreeSet::from(['b']));
    assert_eq!(
        asked(&world.host, ("127.0.0.1", 8080)),
        BTreeSet::from(['a'])
    );
    // Nor does the source of a load balancer of all addresses come to one of a single address.
    let everywhere = json!({
        "SchemaVersion": {"Major": 2}, "HostComputeEndpoints": [two.endpoint.to_string()],
        "PortMappings": port(9090, "None"), "SourceVIP": "192.0.2.99",
    });
    let everywhere = everywhere.to_string();
    world
        .state
        .create_load_balancer(Guid(78), &everywhere)
        .unwrap();
    let at_address = json!({"FrontendVIPs": [UPLINK], "PortMappings": port(9090, "None")});
    balance(&mut world, &[&two], at_address);
    assert_eq!(ask(&world.outside, (UPLINK, 9090))[2..], *OUTSIDE);
}

#[test]
fn endpoints_of_an_overlay_are_balanced_for_it_and_for_the_host_alone() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    world.outside.ip(&format!("route add {FRONT} via {UPLINK}"));
    let vsid = json!({"Type": "VSID", "Settings": {"IsolationId": 5000}});
    let subnet = json!({"IpAddressPrefix": "10.77.0.0/24", "Policies": [vsid]});
    let network = world.network(
        1,
        json!({"Type": "Overlay", "Ipams": [{"Subnets": [subnet]}]}),
    );
    let [one, two, third] = [2, 3, 4].map(|id| world.container(network, id, json!({})));
    for (container, name) in [(&one, 'a'), (&two, 'b')] {
        serve(&container.space, name);
    }
    let each = json!({"FrontendVIPs": [FRONT], "PortMappings": port(8080, "None")});
    balance(&mut world, &[&one, &two], each);
    for space in [&third.space, &one.space, &world.host] {
        assert_eq!(asked(space, (FRONT, 8080)), BTreeSet::from(['a', 'b']));
    }
    assert!(!connects(&world.outside, (FRONT, 8080)), "nothing comes in");
    assert!(!connects(&third.space, (OUTSIDE, 80)), "nor goes out");
    // One on another host is none to lead to.
    let place = json!({"Type": "ProviderAddress", "Settings": {"ProviderAddress": OUTSIDE}});
    let remote = json!({
        "SchemaVersion": {"Major": 2}, "Flags": 1, "Policies": [place],
        "MacAddress": "00-15-5D-02-00-14", "IpConfigurations": [{"IpAddress": "10.77.0.99"}],
    });
    let remote = remote.to_string();
    let remote = world
        .state
        .create_endpoint(network, Guid(9), &remote)
        .unwrap();
    let balancer = json!({
        "SchemaVersion": {"Major": 2}, "HostComputeEndpoints": [remote.id.to_string()],
        "PortMappings": port(9090, "None"),
    });
    let refused = world
        .state
        .create_load_balancer(Guid(78), &balancer.to_string());
    assert_eq!(
        refused.unwrap_err().hresult,
        hcs_schema::HResult::HCN_E_MAPPING_NOT_SUPPORTED
    );
}
