//! Load balancers of IPv6: which endpoint a connection gets, whom it sees, and what stays closed.

use std::{
    collections::BTreeSet,
    io::{Read as _, Write as _},
    net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    thread,
    time::Duration,
};

use hcn::Guid;
use serde_json::{Value, json};

use crate::{
    traffic::{connects, pings},
    world::{Container, Space, World, can_work},
};

/// An address that is no host's, which the outside routes to the host.
const FRONT: &str = "fd99::50";
/// The addresses of the host and of the outside on the link between them.
const UPLINK: &str = "2001:db8::1";
const OUTSIDE: &str = "2001:db8::2";
/// The host's address in the network, which endpoints reach without a route.
const GATEWAY: &str = "fd00:7::1";
/// Enough connections that each of two endpoints gets one.
const MANY: usize = 40;
const LIMIT: Duration = Duration::from_secs(20);
const ID: Guid = Guid(77);

/// A world with addresses of IPv6, and a network of both families.
fn world() -> (World, Guid) {
    let mut world = World::new();
    world
        .host
        .ip(&format!("addr add {UPLINK}/64 dev up0 nodad"));
    world
        .host
        .ip(&format!("-6 route add default via {OUTSIDE}"));
    world
        .outside
        .ip(&format!("addr add {OUTSIDE}/64 dev out0 nodad"));
    world
        .outside
        .ip(&format!("-6 route add fd99::/64 via {UPLINK}"));
    let subnets = json!([{"IpAddressPrefix": "10.7.0.0/24"}, {"IpAddressPrefix": "fd00:7::/64"}]);
    let network = world.network(1, json!({"Ipams": [{ "Subnets": subnets }]}));
    (world, network)
}

/// A route of a container to all addresses of IPv6.
fn with_a_way_out() -> Value {
    json!({"Routes": [{"NextHop": GATEWAY, "DestinationPrefix": "::/0"}]})
}

fn listen(space: &Space, port: u16) -> TcpListener {
    space.run(|| TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).unwrap())
}

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
    let mut stream = space.run(|| TcpStream::connect_timeout(&to, LIMIT).unwrap());
    stream.set_read_timeout(Some(LIMIT)).unwrap();
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
    document["SchemaVersion"] = json!({"Major": 2});
    document["Flags"] = json!(2);
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

fn forced(world: &World, link: &str) -> String {
    let path = format!("/proc/sys/net/ipv6/conf/{link}/force_forwarding");
    let read = || std::fs::read_to_string(path).unwrap().trim().to_owned();
    world.host.run(read)
}

/// The host forwards what comes in from the outside, as its administrator wants it to.
fn forward_from_outside(world: &World) {
    let path = "/proc/sys/net/ipv6/conf/up0/force_forwarding";
    world.host.run(|| std::fs::write(path, "1").unwrap());
}

#[test]
fn connections_of_ipv6_are_spread_over_endpoints_as_they_are_to_be() {
    if !can_work() {
        return;
    }
    let (mut world, network) = world();
    let [one, two] = [2, 3].map(|id| world.container(network, id, json!({})));
    let third = world.container(network, 4, with_a_way_out());
    for (container, name) in [(&one, 'a'), (&two, 'b')] {
        serve(&container.space, name);
    }
    let bridge = world.state.network_intent(network).unwrap().link;
    let both = BTreeSet::from(['a', 'b']);
    let fronts = json!([FRONT, GATEWAY]);
    let each = json!({"FrontendVIPs": fronts, "PortMappings": port(8080, "None")});
    assert_eq!(forced(&world, &bridge), "0");
    balance(&mut world, &[&one, &two], each.clone());
    for space in [&world.host, &one.space, &third.space] {
        assert_eq!(asked(space, (GATEWAY, 8080)), both);
    }
    for space in [&world.host, &third.space] {
        assert_eq!(asked(space, (FRONT, 8080)), both);
    }
    assert!(!connects(&third.space, (GATEWAY, 8081)));
    assert!(
        !connects(&third.space, (UPLINK, 8080)),
        "that is no address of it"
    );
    assert!(world.survey().rules && world.forwarding_holds());
    assert_eq!(
        (
            forced(&world, &bridge).as_str(),
            forced(&world, "up0").as_str()
        ),
        ("1", "0")
    );

    let by_source = |spread| json!({"FrontendVIPs": fronts, "PortMappings": port(8080, spread)});
    for spread in ["SourceIP", "SourceIPProtocol"] {
        balance(&mut world, &[&one, &two], by_source(spread));
        let first = asked(&third.space, (GATEWAY, 8080));
        assert_eq!(first.len(), 1, "{spread}");
        // The rules are written again with each change of networks.
        world.rules();
        assert_eq!(asked(&third.space, (GATEWAY, 8080)), first, "{spread}");
    }

    // At all addresses of the host, but not at its loopback.
    let everywhere = json!({"PortMappings": port(8080, "None")});
    balance(&mut world, &[&one, &two], everywhere);
    for space in [&world.host, &third.space] {
        assert_eq!(asked(space, (UPLINK, 8080)), both);
    }
    assert!(!connects(&world.host, ("::1", 8080)));
    assert!(!connects(&third.space, (FRONT, 8080)));

    balance(&mut world, &[&one, &two], each);
    world.state.end_endpoint(one.endpoint).unwrap();
    world.rules();
    assert_eq!(asked(&third.space, (GATEWAY, 8080)), BTreeSet::from(['b']));
    world.state.delete_load_balancer(ID).unwrap();
    world.rules();
    assert!(!connects(&third.space, (GATEWAY, 8080)));
    assert_eq!(forced(&world, &bridge), "0", "as it was");
    assert!(world.survey().rules && world.forwarding_holds());
}

#[test]
fn the_outside_comes_by_a_load_balancer_of_ipv6_where_the_host_forwards_and_no_other_way() {
    if !can_work() {
        return;
    }
    let (mut world, network) = world();
    let one = world.container(network, 2, json!({}));
    let two = world.container(network, 3, with_a_way_out());
    for (container, name) in [(&one, 'a'), (&two, 'b')] {
        serve(&container.space, name);
    }
    world
        .outside
        .ip(&format!("-6 route add fd00:7::/64 via {UPLINK}"));
    let each = json!({"FrontendVIPs": [FRONT], "PortMappings": port(8080, "None")});
    balance(&mut world, &[&one, &two], each);
    assert!(
        !connects(&world.outside, (FRONT, 8080)),
        "the host forwards nothing from there"
    );
    forward_from_outside(&world);
    let seen: BTreeSet<String> = (0..MANY)
        .map(|_| ask(&world.outside, (FRONT, 8080)))
        .collect();
    // One that has no way back sees the host.
    let expected = [format!("a {GATEWAY}"), format!("b {OUTSIDE}")];
    assert_eq!(seen, BTreeSet::from(expected));
    // Nothing else passes, in either direction.
    assert!(!connects(&world.outside, ("fd00:7::2", 80)));
    let server = listen(&world.outside, 80);
    assert!(!connects(&two.space, (OUTSIDE, 80)));
    assert!(pings(&two.space, "10.7.0.1"), "IPv4 goes on");
    drop(server);
}

#[test]
fn datagrams_of_ipv6_are_balanced_and_a_source_of_its_own_is_seen() {
    if !can_work() {
        return;
    }
    let (mut world, network) = world();
    let one = world.container(network, 2, json!({}));
    let third = world.container(network, 4, json!({}));
    let bind = |space: &Space, port: u16| {
        let socket = space.run(|| UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port)).unwrap());
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        socket
    };
    let server = bind(&one.space, 53);
    let ports = json!([{"Protocol": 17, "InternalPort": 53, "ExternalPort": 5353}]);
    // The host's own address there is one that endpoints answer.
    let document = json!({"FrontendVIPs": [GATEWAY], "PortMappings": ports, "SourceVIP": GATEWAY});
    balance(&mut world, &[&one], document);
    for space in [&third.space, &world.host] {
        let client = bind(space, 0);
        client.send_to(b"ping", (GATEWAY, 5353)).unwrap();
        let mut bytes = [0; 16];
        let (length, from) = server.recv_from(&mut bytes).unwrap();
        assert_eq!(from.ip().to_string(), GATEWAY);
        server.send_to(&bytes[..length], from).unwrap();
        let (length, answered) = client.recv_from(&mut bytes).unwrap();
        assert_eq!(
            (&bytes[..length], answered.ip().to_string().as_str()),
            (&b"ping"[..], GATEWAY)
        );
    }
}

#[test]
fn who_is_blocked_by_address_does_not_come_by_a_load_balancer_of_ipv6() {
    if !can_work() {
        return;
    }
    let (mut world, network) = world();
    let [two, three] = [3, 4].map(|id| world.container(network, id, json!({})));
    let of_two = world.state.endpoint(two.endpoint).unwrap().leases()[1].address;
    let tier = |remote: &str, order: u16| {
        let rule = json!({"TierAclRuleAction": "Block", "Priority": 1, "RemoteAddresses": remote});
        let settings =
            json!({"Name": "tier", "Direction": "In", "Order": order, "TierAclRules": [rule]});
        json!({"Type": "TierAcl", "Settings": settings})
    };
    let policies = json!([tier(&of_two.to_string(), 1), tier(OUTSIDE, 2)]);
    let one = world.container(network, 2, json!({ "Policies": policies }));
    serve(&one.space, 'a');
    let each = json!({"FrontendVIPs": [FRONT, GATEWAY], "PortMappings": port(8080, "None")});
    balance(&mut world, &[&one], each);
    assert_eq!(ask(&three.space, (GATEWAY, 8080))[..1], *"a");
    assert!(!connects(&two.space, (GATEWAY, 8080)));
    // It has no way back, so it sees all clients elsewhere as the host.
    forward_from_outside(&world);
    assert!(!connects(&world.outside, (FRONT, 8080)));
    world.outside.ip("addr add 2001:db8::3/64 dev out0 nodad");
    world.outside.ip(&format!("addr del {OUTSIDE}/64 dev out0"));
    assert_eq!(ask(&world.outside, (FRONT, 8080)), format!("a {GATEWAY}"));
    assert!(world.survey().rules, "what was written is there");
}

#[test]
fn endpoints_of_an_overlay_are_balanced_with_ipv6_for_it_and_for_the_host() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let vsid = json!({"Type": "VSID", "Settings": {"IsolationId": 5000}});
    let subnets = json!([
        {"IpAddressPrefix": "10.77.0.0/24", "Policies": [vsid]}, {"IpAddressPrefix": "fd00:7::/64", "Policies": [vsid]},
    ]);
    let document = json!({"Type": "Overlay", "Ipams": [{ "Subnets": subnets }]});
    let network = world.network(1, document);
    let [one, two, third] = [2, 3, 4].map(|id| world.container(network, id, json!({})));
    for (container, name) in [(&one, 'a'), (&two, 'b')] {
        serve(&container.space, name);
    }
    let each = json!({"FrontendVIPs": [GATEWAY], "PortMappings": port(8080, "None")});
    balance(&mut world, &[&one, &two], each);
    for space in [&third.space, &one.space, &world.host] {
        assert_eq!(asked(space, (GATEWAY, 8080)), BTreeSet::from(['a', 'b']));
    }
}
