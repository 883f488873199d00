//! Networks on an adapter of the host: endpoints are in its network themselves.

use std::os::fd::AsFd as _;

use engine_network::{
    Host, attach, clear_access, counters_on_adapter, detach_from_adapter, is_on_adapter,
    make_network, survey,
};
use hcn::{Guid, State, Surroundings};
use hcs_schema::{Failure, HResult};
use serde_json::{Value, json};

use crate::{
    traffic::{bind, connects, counter, datagram, exchange, forge, listen, pings, talk},
    world::{Container, FAR, OUTSIDE, Space, UPLINK, World, can_work},
};

/// A network on this adapter, whose router is the outside.
fn on(adapter: &str, kind: &str) -> Value {
    let policy = json!({"Type": "NetAdapterName", "Settings": {"NetworkAdapterName": adapter}});
    let route = json!({"NextHop": OUTSIDE, "DestinationPrefix": "0.0.0.0/0"});
    let subnet = json!({"IpAddressPrefix": "198.51.100.0/24", "Routes": [route]});
    json!({"Type": kind, "Policies": [policy], "Ipams": [{"Subnets": [subnet]}]})
}

fn at(address: &str) -> Value {
    json!({"IpConfigurations": [{"IpAddress": address}]})
}

/// Whether the service finds the endpoint's link as it should be.
fn is_sound(world: &World, of: &Container) -> bool {
    let intent = world.state.endpoint_intent(of.endpoint).unwrap();
    let ask = || is_on_adapter(&Host::open("hcs").unwrap(), &intent, of.space.0.as_fd());
    world.host.run(ask).unwrap()
}

fn attached(world: &World, endpoint: Guid, space: &Space) -> Result<(), Failure> {
    let intent = world.state.endpoint_intent(endpoint).unwrap();
    let act = || attach(&mut Host::open("hcs").unwrap(), &intent, space.0.as_fd());
    world.host.run(act)
}

/// Sends a frame as a program with CAP_NET_RAW makes it up, of the kind `told`; whether the kernel took it. One that
/// rules have dropped it tells as no room (`ENOBUFS`).
fn send_frame(space: &Space, link: &str, told: u16, frame: &[u8]) -> bool {
    let hex: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
    let script = format!(
        "import socket,sys,errno\n\
         s=socket.socket(17,3,socket.htons({told}))\n\
         s.bind(('{link}',{told}))\n\
         try:\n s.send(bytes.fromhex('{hex}'))\n\
         except OSError as e:\n sys.exit(7 if e.errno==errno.ENOBUFS else 1)\n"
    );
    let run = || {
        std::process::Command::new("python3")
            .args(["-c", &script])
            .output()
    };
    let output = space.run(run).unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    match output.status.code() {
        Some(0) => true,
        Some(7) => false,
        _ => panic!("{said}"),
    }
}

/// A datagram in a frame of Ethernet.
fn framed(cards: [&[u8]; 2], addresses: [&str; 2], port: u16, text: &[u8]) -> Vec<u8> {
    let packet = datagram(addresses, port, text);
    [cards[1], cards[0], &[8, 0], &packet].concat()
}

#[test]
fn endpoints_on_an_adapter_are_in_its_network_under_addresses_of_their_own() {
    if !can_work() {
        return;
    }
    for kind in ["Transparent", "L2Bridge"] {
        let mut world = World::new();
        let before = world.host.links();
        let network = world.network(1, on("up0", kind));
        let one = world.container(network, 2, at("198.51.100.50"));
        let two = world.container(network, 3, at("198.51.100.51"));
        let server = listen(&world.outside, 80);
        let seen = talk(&one.space, (OUTSIDE, 80), &server);
        assert_eq!(seen.to_string(), one.address, "nothing is translated");
        let server = listen(&one.space, 80);
        let seen = talk(&world.outside, (&one.address, 80), &server);
        assert_eq!(seen.to_string(), OUTSIDE, "nothing is published");
        talk(&two.space, (&one.address, 80), &server);
        let datagrams = bind(&two.space, 81);
        assert_eq!(
            exchange(&world.outside, (&two.address, 81), &datagrams).to_string(),
            OUTSIDE
        );
        assert!(pings(&one.space, FAR), "by the router of the subnet");
        assert!(
            !connects(&one.space, (UPLINK, 80)),
            "the kernel passes nothing between the host and what is on its adapter"
        );
        assert_eq!(
            world.host.links(),
            before,
            "nothing of them is in the host's namespace"
        );
        assert!(is_sound(&world, &one) && is_sound(&world, &two));

        let intent = world.state.endpoint_intent(one.endpoint).unwrap();
        let count =
            || counters_on_adapter(&Host::open("hcs").unwrap(), &intent, one.space.0.as_fd());
        let counted = world.host.run(count).unwrap();
        assert!(
            counted.packets_sent > 4 && counted.packets_received > 4,
            "{counted:?}"
        );
    }
}

#[test]
fn what_a_container_on_an_adapter_forges_is_dropped() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let network = world.network(1, on("up0", "Transparent"));
    let one = world.container(network, 2, at("198.51.100.50"));
    let two = world.container(network, 3, at("198.51.100.51"));
    let server = bind(&world.outside, 80);
    let next_is_own = |what: &str| {
        let mut bytes = [0; 16];
        forge(&one.space, &one.address, (OUTSIDE, 80), b"own");
        let (length, from) = server.recv_from(&mut bytes).unwrap();
        assert_eq!(&bytes[..length], b"own", "{what}");
        assert_eq!(from.ip().to_string(), one.address);
    };
    for source in [two.address.as_str(), OUTSIDE, UPLINK, FAR] {
        forge(&one.space, source, (OUTSIDE, 80), b"forged");
        next_is_own(source);
    }
    // Frames that a program makes up, with the address of another and any kind beside them.
    let card = |of: &Container| world.state.endpoint(of.endpoint).unwrap().mac().0;
    let shown: Value = serde_json::from_str(&world.outside.ip("-j link show out0")).unwrap();
    let outside = shown[0]["address"].as_str().unwrap().replace(':', "-");
    let outside = outside.parse::<hcn::Mac>().unwrap().0;
    let (own, other) = (card(&one), card(&two));
    let to = [two.address.as_str(), OUTSIDE];
    for told in [0x0800, 0x0806, 0x86dd, 0x88cc, 3] {
        let frame = framed([&own, &outside], to, 80, b"forged");
        assert!(!send_frame(&one.space, "eth0", told, &frame), "{told:#x}");
        let frame = framed([&other, &outside], [&one.address, OUTSIDE], 80, b"forged");
        assert!(!send_frame(&one.space, "eth0", told, &frame), "{told:#x}");
        next_is_own(&format!("of kind {told:#x}"));
    }
    // So that the rules are what has dropped them: the same frame of its own passes.
    let frame = framed([&own, &outside], [&one.address, OUTSIDE], 80, b"raw");
    assert!(send_frame(&one.space, "eth0", 0x0800, &frame));
    let mut bytes = [0; 16];
    let (length, _) = server.recv_from(&mut bytes).unwrap();
    assert_eq!(&bytes[..length], b"raw");
    // It tells no card but its own: what others know of the address of another stays.
    assert!(pings(&world.outside, &two.address));
    let answer = |card: [u8; 6], address: &str| {
        let address: std::net::Ipv4Addr = address.parse().unwrap();
        let mut frame = [&outside[..], &own, &[8, 6, 0, 1, 8, 0, 6, 4, 0, 2]].concat();
        frame.extend(card);
        frame.extend(address.octets());
        frame.extend(outside);
        frame.extend(OUTSIDE.parse::<std::net::Ipv4Addr>().unwrap().octets());
        frame
    };
    for (card, address) in [(own, two.address.as_str()), (other, one.address.as_str())] {
        for told in [0x0806, 0x0800] {
            assert!(!send_frame(
                &one.space,
                "eth0",
                told,
                &answer(card, address)
            ));
        }
    }
    next_is_own("ARP");
    let known = world.outside.ip(&format!("neigh show {}", two.address));
    let mac = world
        .state
        .endpoint(two.endpoint)
        .unwrap()
        .mac()
        .to_string();
    assert!(
        known.to_uppercase().replace(':', "-").contains(&mac),
        "{known}"
    );
    let before = counter(&world.outside, "snmp", "Udp", "InDatagrams");
    next_is_own("the last");
    assert_eq!(
        counter(&world.outside, "snmp", "Udp", "InDatagrams"),
        before + 1
    );
}

#[test]
fn an_isolated_endpoint_on_an_adapter_reaches_the_outside_alone() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let network = world.network(1, on("up0", "Transparent"));
    let apart = |address: &str| {
        let mut document = at(address);
        document["Flags"] = json!(2);
        document
    };
    let one = world.container(network, 2, apart("198.51.100.50"));
    let two = world.container(network, 3, apart("198.51.100.51"));
    let _server = listen(&two.space, 80);
    assert!(!connects(&one.space, (&two.address, 80)));
    assert!(pings(&one.space, OUTSIDE));
}

#[test]
fn an_adapter_that_goes_takes_its_endpoints_along_and_they_come_back_with_it() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let network = world.network(1, on("up0", "Transparent"));
    let one = world.container(network, 2, at("198.51.100.50"));
    assert!(is_sound(&world, &one));
    world.host.ip("link delete up0");
    assert_eq!(
        one.space.links(),
        [] as [&str; 0],
        "it went with the adapter"
    );
    assert!(!is_sound(&world, &one));
    assert_eq!(world.survey().networks, [network]);
    let again = |world: &World| {
        let intent = world.state.network_intent(network).unwrap();
        world
            .host
            .run(|| make_network(&mut Host::open("hcs").unwrap(), &intent))
    };
    assert_eq!(
        again(&world).unwrap_err().hresult,
        HResult::HCN_E_ADAPTER_NOT_FOUND
    );
    let refused = attached(&world, one.endpoint, &one.space).unwrap_err();
    assert_eq!(refused.hresult, HResult::HCN_E_ADAPTER_NOT_FOUND);
    world.host.ip("link add up0 type veth peer name out1");
    world.host.ip("link set out1 up");
    world.host.ip("link set up0 up");
    again(&world).unwrap();
    attached(&world, one.endpoint, &one.space).unwrap();
    assert!(is_sound(&world, &one));
    assert!(world.survey().networks.is_empty());
}

#[test]
fn rules_that_are_removed_in_a_namespace_are_missed_and_written_again() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let network = world.network(1, on("up0", "Transparent"));
    let one = world.container(network, 2, at("198.51.100.50"));
    for change in [
        "flush ruleset",
        "delete table netdev hcs_eth0",
        "flush set netdev hcs_eth0 cards",
    ] {
        one.space.program("nft", change);
        assert!(!is_sound(&world, &one), "{change}");
        attached(&world, one.endpoint, &one.space).unwrap();
        assert!(is_sound(&world, &one), "{change}");
        assert!(pings(&one.space, OUTSIDE));
    }
}

#[test]
fn an_endpoint_that_leaves_an_adapter_leaves_nothing_in_a_namespace_that_stays() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let network = world.network(1, on("up0", "Transparent"));
    let one = world.container(network, 2, at("198.51.100.50"));
    let intent = world.state.endpoint_intent(one.endpoint).unwrap();
    world
        .host
        .run(|| {
            let host = Host::open("hcs").unwrap();
            detach_from_adapter(&host, &intent, one.space.0.as_fd())?;
            clear_access(&host, one.space.0.as_fd(), &[])
        })
        .unwrap();
    assert_eq!(one.space.links(), [] as [&str; 0]);
    assert_eq!(one.space.program("nft", "list ruleset"), "");
}

#[test]
fn an_adapter_that_cannot_be_used_is_refused_by_name() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    world.host.ip("link add port0 type veth peer name port1");
    world.host.ip("link add bridge0 type bridge");
    world.host.ip("link set port0 master bridge0");
    for adapter in ["none0", "lo", "port0"] {
        let (state, refused) = refusal(&world, adapter, "Transparent");
        assert!(refused.message.contains(adapter), "{}", refused.message);
        let survey = world
            .host
            .run(|| survey(&mut Host::open("hcs").unwrap(), &state.intent()))
            .unwrap();
        assert_eq!(survey.networks.is_empty(), adapter != "none0", "{adapter}");
    }
    // An address of the host is not given to an endpoint in the same network.
    let network = world.network(1, on("up0", "Transparent"));
    let endpoint = world.endpoint(network, 2, at(UPLINK));
    let refused = attached(&world, endpoint, &Space::new()).unwrap_err();
    assert_eq!(refused.hresult, HResult::HCN_E_ADDR_INVALID_OR_RESERVED);
}

/// No network of that type is made on `adapter`: what is known of it, and why.
fn refusal(world: &World, adapter: &str, kind: &str) -> (State, Failure) {
    let (mut state, mut document) = (State::default(), on(adapter, kind));
    document["SchemaVersion"] = json!({"Major": 2});
    let made = state
        .create_network(Guid(1), &document.to_string(), &Surroundings::default())
        .unwrap();
    let intent = state.network_intent(made.id).unwrap();
    let made = || make_network(&mut Host::open("hcs").unwrap(), &intent);
    let refused = world.host.run(made).unwrap_err();
    let hresult = refused.hresult;
    assert_eq!(hresult, HResult::HCN_E_ADAPTER_NOT_FOUND, "{adapter}");
    (state, refused)
}

/// No network is made on any of these, as they are of a service.
fn refuses(world: &World, adapters: &[&str]) {
    for adapter in adapters {
        let (_, refused) = refusal(world, adapter, "L2Bridge");
        let message = &refused.message;
        assert!(message.contains("another one of the host"), "{message}");
    }
}

#[test]
fn no_link_of_another_service_is_an_adapter() {
    if !can_work() {
        return;
    }
    let world = World::new();
    let mut other = world.of_another_service();
    let network = other.network(3, json!({"Type": "Private"}));
    let one = other.container(network, 4, json!({}));
    let bridge = other.state.network_intent(network).unwrap().link;
    let port = other.state.endpoint_intent(one.endpoint).unwrap().link;
    world
        .host
        .ip(&format!("link property add dev {bridge} altname plain"));
    // A port that its bridge has lost is none of the bridge any more, and still the container's.
    world.host.ip(&format!("link set {port} nomaster"));
    refuses(&world, &[&bridge, "plain", &port]);
    // Nor by its alias alone.
    world.host.ip(&format!("link set {bridge} down"));
    world.host.ip(&format!("link set {bridge} name renamed"));
    refuses(&world, &["renamed"]);
    // What only looks like it is an adapter as others.
    world.host.ip("link add hcx0 type bridge");
    world.host.ip("link set hcx0 alias office:2");
    let mut world = world;
    world.network(5, on("hcx0", "L2Bridge"));
}

#[test]
fn an_endpoint_on_an_adapter_moves_out_of_a_namespace_that_ends() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let network = world.network(1, on("up0", "Transparent"));
    let endpoint = world.endpoint(network, 2, at("198.51.100.50"));
    for _ in 0..8 {
        // The kernel takes the link of the one before away some time after that has ended.
        let space = Space::new();
        attached(&world, endpoint, &space).unwrap();
    }
}
