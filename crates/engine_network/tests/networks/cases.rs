//! What networks promise.

use std::os::fd::AsFd;

use engine_network::{
    Forwarding, Host, Rules, detach, forget, forget_misled, make_network, remove_network, survey,
    sweep, write_rules,
};
use hcn::{Guid, intent::Intent};
use serde_json::{Value, json};

use crate::{
    traffic::{bind, connects, counter, exchange, forge, listen, pings, talk},
    world::{FAR, OUTSIDE, Space, UPLINK, World, can_work},
};

/// A port of the host that leads to port 80.
fn mapping(protocol: u8, external: u16) -> Value {
    let settings = json!({"Protocol": protocol, "InternalPort": 80, "ExternalPort": external});
    json!({"Type": "PortMapping", "Settings": settings})
}

#[test]
fn containers_of_a_nat_network_reach_each_other_the_host_and_the_outside() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let network = world.network(1, json!({"Name": "nat"}));
    let one = world.container(network, 2, json!({}));
    let two = world.container(network, 3, json!({}));
    let server = listen(&two.space, 80);
    let seen = talk(&one.space, (&two.address, 80), &server);
    assert_eq!(
        seen.to_string(),
        one.address,
        "within a network nothing is translated"
    );
    assert_eq!(
        exchange(&one.space, (&two.address, 81), &bind(&two.space, 81)).to_string(),
        one.address
    );
    assert!(pings(&one.space, &two.address));
    assert!(pings(&one.space, "127.0.0.1"), "loopback is up");

    let server = listen(&world.outside, 80);
    let seen = talk(&one.space, (OUTSIDE, 80), &server);
    assert_eq!(
        seen.to_string(),
        UPLINK,
        "the outside sees the host's address"
    );
    assert_eq!(
        exchange(&one.space, (OUTSIDE, 81), &bind(&world.outside, 81)).to_string(),
        UPLINK
    );
    assert!(pings(&one.space, FAR));

    let server = listen(&world.host, 90);
    let seen = talk(&one.space, (UPLINK, 90), &server);
    assert_eq!(seen.to_string(), one.address);
    assert!(pings(&world.host, &one.address));

    world
        .outside
        .ip(&format!("route add 10.231.0.0/24 via {UPLINK}"));
    assert!(
        !connects(&world.outside, (&two.address, 80)),
        "the outside reaches published ports only"
    );
}

#[test]
fn a_published_port_is_reached_from_everywhere() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let network = world.network(1, json!({}));
    let policies = json!([mapping(6, 8080), mapping(17, 8081)]);
    let one = world.container(network, 2, json!({"Policies": policies}));
    let two = world.container(network, 3, json!({}));
    let server = listen(&one.space, 80);
    let seen = talk(&world.outside, (UPLINK, 8080), &server);
    assert_eq!(seen.to_string(), OUTSIDE, "the container sees who connects");
    talk(&world.host, (UPLINK, 8080), &server);
    talk(&two.space, (UPLINK, 8080), &server);
    talk(&one.space, (UPLINK, 8080), &server);
    talk(&world.host, ("127.0.0.1", 8080), &server);
    let datagrams = bind(&one.space, 80);
    assert_eq!(
        exchange(&world.outside, (UPLINK, 8081), &datagrams).to_string(),
        OUTSIDE
    );
    assert!(!connects(&world.outside, (UPLINK, 8082)));

    // It is published until its endpoint is gone.
    world.state.delete_endpoint(one.endpoint).unwrap();
    world.rules();
    assert!(!connects(&world.outside, (UPLINK, 8080)));
}

/// A peer that goes on sending reaches the endpoint that has the port now, though the kernel remembers the former one.
#[test]
fn a_peer_of_a_former_endpoint_reaches_the_new_one() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let network = world.network(1, json!({}));
    let document = json!({"Policies": [mapping(17, 8081)]});
    let one = world.container(network, 2, document.clone());
    let client = bind(&world.outside, 0);
    let mut bytes = [0; 16];
    let mut reaches = |server: &std::net::UdpSocket| {
        client.send_to(b"ping", (UPLINK, 8081)).unwrap();
        server.recv(&mut bytes).unwrap();
    };
    let former = bind(&one.space, 80);
    reaches(&former);
    let addresses: Vec<_> = world
        .state
        .endpoint(one.endpoint)
        .unwrap()
        .leases()
        .iter()
        .map(|lease| lease.address)
        .collect();
    world.state.delete_endpoint(one.endpoint).unwrap();
    let two = world.container(network, 3, document);
    let server = bind(&two.space, 80);
    world
        .host
        .run(|| forget(&mut Host::open("hcs").unwrap(), &addresses))
        .unwrap();
    reaches(&server);
}

/// A peer that sent before a port was published reaches the endpoint, and the host itself when it is published no more.
#[test]
fn a_peer_that_goes_on_sending_follows_a_port_that_comes_and_goes() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    // So that the kernel remembers connections at all.
    let network = world.network(1, json!({}));
    let client = bind(&world.outside, 0);
    let other = bind(&world.outside, 0);
    let here = bind(&world.host, 8081);
    let mut bytes = [0; 16];
    let mut reaches = |server: &std::net::UdpSocket, client: &std::net::UdpSocket| {
        client.send_to(b"ping", (UPLINK, 8081)).unwrap();
        let (length, from) = server.recv_from(&mut bytes).unwrap();
        server.send_to(&bytes[..length], from).unwrap();
        client.recv(&mut bytes).unwrap();
    };
    reaches(&here, &client);
    let change = |world: &World, before: &Intent| {
        let after = world.state.intent();
        let forget = || forget_misled(&mut Host::open("hcs").unwrap(), before, &after);
        world.host.run(forget).unwrap();
        after
    };
    let before = world.state.intent();
    let one = world.container(network, 2, json!({"Policies": [mapping(17, 8081)]}));
    let published = change(&world, &before);
    let server = bind(&one.space, 80);
    reaches(&server, &client);
    reaches(&server, &other);
    world.state.delete_endpoint(one.endpoint).unwrap();
    world.rules();
    change(&world, &published);
    reaches(&here, &client);
    reaches(&here, &other);
}

/// The host goes on with what it knows of an address for some seconds, which belongs to a link that is gone.
#[test]
fn an_address_that_is_given_again_is_reached_at_once() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let network = world.network(1, json!({}));
    let document = json!({"IpConfigurations": [{"IpAddress": "10.231.0.9"}]});
    let one = world.container(network, 2, document.clone());
    assert!(pings(&world.host, &one.address));
    let former = world.state.endpoint(one.endpoint).unwrap().mac();
    world.state.delete_endpoint(one.endpoint).unwrap();
    let two = world.container(network, 3, document);
    let mac = world.state.endpoint(two.endpoint).unwrap().mac();
    assert_ne!(mac, former);
    let known = world
        .host
        .ip("neigh show 10.231.0.9")
        .to_uppercase()
        .replace(':', "-");
    assert!(known.contains(&mac.to_string()), "{known}");
    assert!(pings(&world.host, &two.address));
}

#[test]
fn a_port_of_one_address_is_published_there_only() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    world.host.ip("addr add 198.51.100.7/24 dev up0");
    let network = world.network(1, json!({}));
    let at = |address: &str| {
        let mut mapping = mapping(6, 8080);
        mapping["Settings"]["VIP"] = json!(address);
        json!({"Policies": [mapping]})
    };
    let one = world.container(network, 2, at("198.51.100.7"));
    let two = world.container(network, 3, at(UPLINK));
    let (first, second) = (listen(&one.space, 80), listen(&two.space, 80));
    talk(&world.outside, ("198.51.100.7", 8080), &first);
    talk(&world.outside, (UPLINK, 8080), &second);
}

#[test]
fn what_a_container_forges_is_dropped() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let network = world.network(1, json!({}));
    let one = world.container(network, 2, json!({}));
    let two = world.container(network, 3, json!({}));
    let three = world.container(network, 4, json!({}));
    let server = bind(&two.space, 80);
    let mut bytes = [0; 16];
    // What is sent next arrives, and nothing that was sent before it.
    for source in [three.address.as_str(), "10.231.0.1", OUTSIDE] {
        forge(&one.space, source, (&two.address, 80), b"forged");
        forge(&one.space, &one.address, (&two.address, 80), b"own");
        let (length, from) = server.recv_from(&mut bytes).unwrap();
        assert_eq!(&bytes[..length], b"own", "{source}");
        assert_eq!(from.ip().to_string(), one.address);
    }
    // With another hardware address nothing passes: not even to be asked for.
    let inner = world.state.endpoint_intent(one.endpoint).unwrap().inner;
    let own = world
        .state
        .endpoint(one.endpoint)
        .unwrap()
        .mac()
        .to_string()
        .replace('-', ":");
    one.space
        .ip(&format!("link set {inner} address 02:00:00:00:00:01"));
    assert!(!connects(&one.space, (&two.address, 9)));
    let before = counter(&two.space, "snmp", "Udp", "InDatagrams");
    forge(&one.space, &one.address, (&two.address, 80), b"forged");
    one.space.ip(&format!("link set {inner} address {own}"));
    forge(&one.space, &one.address, (&two.address, 80), b"own");
    let (length, _) = server.recv_from(&mut bytes).unwrap();
    assert_eq!(&bytes[..length], b"own");
    assert_eq!(
        counter(&two.space, "snmp", "Udp", "InDatagrams"),
        before + 1
    );
}

#[test]
fn an_isolated_endpoint_is_kept_from_others_and_not_from_the_outside() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let network = world.network(1, json!({}));
    let one = world.container(network, 2, json!({"Flags": 2}));
    let two = world.container(network, 3, json!({"Flags": 2}));
    let free = world.container(network, 4, json!({}));
    let server = listen(&two.space, 80);
    assert!(!connects(&one.space, (&two.address, 80)));
    talk(&free.space, (&two.address, 80), &server);
    assert!(pings(&one.space, OUTSIDE));
}

#[test]
fn networks_are_apart_and_private_ones_do_not_reach_the_host() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let nat = world.network(1, json!({}));
    let private = world.network(2, json!({"Type": "Private"}));
    let internal = world.network(3, json!({"Type": "Internal"}));
    let outer = world.container(nat, 4, json!({}));
    let [one, two] = [5, 6].map(|id| world.container(private, id, json!({})));
    let inner = world.container(internal, 7, json!({}));
    assert!(pings(&one.space, &two.address));
    assert!(pings(&world.host, &inner.address));
    let gateway = |address: &str| format!("{}.1", address.rsplit_once('.').unwrap().0);
    let _listener = listen(&outer.space, 80);
    let _host = listen(&world.host, 90);
    // Even with a route of its own, and the hardware address of the bridge, a container comes no further.
    let bridge = world.state.network_intent(private).unwrap().link;
    let card = world.host.ip(&format!("-j link show {bridge}"));
    let card: Value = serde_json::from_str(&card).unwrap();
    let card = card[0]["address"].as_str().unwrap();
    let router = gateway(&one.address);
    one.space
        .ip(&format!("neigh add {router} lladdr {card} dev eth0"));
    one.space.ip(&format!("route add default via {router}"));
    inner.space.ip(&format!(
        "route add default via {}",
        gateway(&inner.address)
    ));
    assert!(!connects(&one.space, (UPLINK, 90)));
    assert!(!connects(&one.space, (&outer.address, 80)));
    assert!(!connects(&inner.space, (&outer.address, 80)));
    assert!(!connects(&outer.space, (&inner.address, 80)));
    let server = listen(&world.host, 91);
    talk(&inner.space, (&gateway(&inner.address), 91), &server);
}

/// A bridge hands frames to the addresses that are reserved for bridges to the port that they came in by: no rule of
/// bridges sees them.
#[test]
fn frames_for_bridges_reach_no_host() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let private = world.network(1, json!({"Type": "Private"}));
    let internal = world.network(2, json!({"Type": "Internal"}));
    let one = world.container(private, 3, json!({}));
    let inner = world.container(internal, 4, json!({}));
    let server = bind(&world.host, 91);
    let host = format!("{}.1", inner.address.rsplit_once('.').unwrap().0);
    let mut bytes = [0; 16];
    one.space.ip(&format!("route replace {UPLINK} dev eth0"));
    for last in 0..16 {
        one.space.ip(&format!(
            "neigh replace {UPLINK} lladdr 01:80:c2:00:00:{last:02x} dev eth0"
        ));
        for source in [&one.address, OUTSIDE] {
            forge(&one.space, source, (UPLINK, 91), b"forged");
        }
        forge(&inner.space, &inner.address, (&host, 91), b"own");
        let (length, from) = server.recv_from(&mut bytes).unwrap();
        assert_eq!(&bytes[..length], b"own", "by the address {last:#x}");
        assert_eq!(from.ip().to_string(), inner.address);
    }
    // Nor is a question answered that comes by such a frame.
    let port = world.state.endpoint_intent(one.endpoint).unwrap().link;
    let port = world.host.ip(&format!("link show {port}"));
    assert!(port.contains("NOARP"), "{port}");
}

/// How often the router's hardware address was asked for. The kernel counts on from those requests that it would send
/// to an address it knows, of which there are three.
fn requests(space: &Space) -> u64 {
    let shown: Value = serde_json::from_str(&space.ip("-s -j neigh show dev eth0")).unwrap();
    shown[0]["probes"].as_u64().unwrap() - 3
}

/// The kernel settles a link's carrier from a queue, and drops what is sent before: a connection then waits for a
/// second request for the hardware address, one second later.
#[test]
fn first_connections_never_lose_their_first_packet() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let server = listen(&world.host, 90);
    let mut repeated = 0;
    // Namespaces stay until the end: the kernel makes none while it removes one.
    let mut all = Vec::new();
    // A bridge copies each broadcast to all of its ports. On one bridge with all of them, a few at once are more than
    // the kernel's queue of a processor holds (net.core.netdev_max_backlog), and what it drops then is any packet.
    for number in 1..=10 {
        let prefix = format!("10.9.{number}.0/24");
        let subnets = json!([{"Subnets": [{"IpAddressPrefix": prefix}]}]);
        let network = world.network(number, json!({"Ipams": subnets}));
        let gateway = format!("10.9.{number}.1");
        for id in 0..30 {
            let one = world.container(network, 100 * number + id, json!({}));
            talk(&one.space, (&gateway, 90), &server);
            repeated += counter(&one.space, "netstat", "TcpExt", "TCPSynRetrans");
            repeated += requests(&one.space) - 1;
            all.push(one);
        }
    }
    assert_eq!(
        repeated, 0,
        "first packets were sent again in 300 connections"
    );
}

#[test]
fn mtu_mac_and_addresses_are_those_asked_for() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let subnets = json!([{"Subnets": [{"IpAddressPrefix": "10.9.0.0/16"}, {"IpAddressPrefix": "fd00:9::/64"}]}]);
    let network = world.network(1, json!({"Ipams": subnets}));
    let document = json!({
        "MacAddress": "00-15-5D-00-00-07",
        "IpConfigurations": [{"IpAddress": "10.9.7.7"}, {"IpAddress": "fd00:9::7"}],
        "Policies": [{"Type": "InterfaceParameters", "Settings": {"Mtu": 1400}}],
    });
    let one = world.container(network, 2, document);
    let two = world.container(network, 3, json!({}));
    let shown: Value = serde_json::from_str(&one.space.ip("-j addr show eth0")).unwrap();
    assert_eq!(shown[0]["mtu"], 1400);
    assert_eq!(shown[0]["address"], "00:15:5d:00:00:07");
    let addresses: Vec<_> = shown[0]["addr_info"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["local"])
        .collect();
    assert!(
        addresses.contains(&&json!("10.9.7.7")) && addresses.contains(&&json!("fd00:9::7")),
        "{shown}"
    );
    let server = two
        .space
        .run(|| std::net::TcpListener::bind("[::]:80").unwrap());
    let other = world.state.endpoint(two.endpoint).unwrap().leases()[1].address;
    let seen = talk(&one.space, (&other.to_string(), 80), &server);
    assert_eq!(seen.to_string(), "fd00:9::7");
    talk(&one.space, ("10.9.0.2", 80), &server);
}

#[test]
fn a_host_that_did_not_forward_does_not_become_a_router() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    // A neighbour behind another card of the host.
    let neighbour = Space::new();
    let there = format!(
        "/proc/{}/fd/{}",
        std::process::id(),
        std::os::fd::AsRawFd::as_raw_fd(&neighbour.0)
    );
    world.host.ip("link add side0 type veth peer name near0");
    world.host.ip(&format!("link set near0 netns {there}"));
    world.host.ip("addr add 192.0.2.1/24 dev side0");
    world.host.ip("link set side0 up");
    neighbour.ip("addr add 192.0.2.2/24 dev near0");
    neighbour.ip("link set near0 up");
    neighbour.ip("route add default via 192.0.2.1");
    world
        .outside
        .ip(&format!("route add 192.0.2.0/24 via {UPLINK}"));
    let server = bind(&neighbour, 80);
    // The neighbour's answers would be dropped anyway, as its card does not forward; what counts is what arrives.
    let arrives = |world: &World| {
        for (space, text) in [(&world.outside, &b"far"[..]), (&world.host, b"near")] {
            bind(space, 0).send_to(text, ("192.0.2.2", 80)).unwrap();
        }
        let mut bytes = [0; 16];
        let length = server.recv(&mut bytes).unwrap();
        bytes[..length] == *b"far"
    };
    assert!(!arrives(&world));
    let network = world.network(1, json!({}));
    let one = world.container(network, 2, json!({}));
    assert!(pings(&one.space, OUTSIDE), "the uplink forwards now");
    assert!(!arrives(&world), "and leads to our networks only");
    let forwards = |world: &World| {
        world
            .host
            .run(|| std::fs::read_to_string("/proc/sys/net/ipv4/conf/up0/forwarding").unwrap())
    };
    assert_eq!(forwards(&world), "1\n");
    world.undo_forwarding();
    assert_eq!(forwards(&world), "0\n");
    // A host that forwards anyway goes on doing so, for others, too.
    let mut world = World::new();
    world
        .host
        .run(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap());
    world.network(1, json!({}));
    assert!(
        world.former.iter().all(|former| former.interface != "up0"),
        "{:?}",
        world.former
    );
}

#[test]
fn what_is_there_is_found_again_and_what_nothing_asks_for_is_swept() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let network = world.network(1, json!({}));
    let kept = world.container(network, 2, json!({}));
    let lost = world.container(network, 3, json!({}));
    let other = world.network(4, json!({"Type": "Private"}));
    // A link of an administrator, with an alias that looks like ours.
    world.host.ip("link add admin0 type bridge");
    world
        .host
        .ip(&format!("link set admin0 alias hcs:{}", Guid(77)));
    let look = |world: &World| {
        let intent = world.state.intent();
        world
            .host
            .run(|| survey(&mut Host::open("hcs").unwrap(), &intent).unwrap())
    };
    let found = look(&world);
    assert!(
        found.rules
            && found.strays.is_empty()
            && found.networks.is_empty()
            && found.endpoints.is_empty(),
        "{found:?}"
    );

    world.state.delete_endpoint(lost.endpoint).unwrap();
    world.state.delete_network(other).unwrap();
    let found = look(&world);
    let mut objects: Vec<Guid> = found.strays.iter().map(|stray| stray.object).collect();
    objects.sort();
    assert_eq!(objects, [lost.endpoint, other]);
    world
        .host
        .run(|| sweep(&mut Host::open("hcs").unwrap(), &found.strays))
        .unwrap();
    let found = look(&world);
    assert!(found.strays.is_empty(), "{found:?}");
    assert!(world.host.links().contains(&"admin0".to_owned()));
    assert!(pings(&kept.space, OUTSIDE));

    // A container whose namespace ended, a bridge that an administrator removed.
    let intent = world.state.endpoint_intent(kept.endpoint).unwrap();
    world
        .host
        .run(|| detach(&mut Host::open("hcs").unwrap(), &intent))
        .unwrap();
    assert_eq!(look(&world).endpoints, [kept.endpoint]);
    let bridge = world.state.network_intent(network).unwrap();
    world.host.ip(&format!("link delete {}", bridge.link));
    assert_eq!(look(&world).networks, [network]);
    world
        .host
        .run(|| make_network(&mut Host::open("hcs").unwrap(), &bridge))
        .unwrap();
    let space = Space::new();
    world.attach(kept.endpoint, &space);
    assert!(pings(&space, OUTSIDE));
    assert_eq!(
        look(&world),
        engine_network::Survey {
            rules: true,
            ..Default::default()
        }
    );

    // Another service of the same host sees nothing of ours, and none of ours sees its.
    let foreign = world
        .host
        .run(|| survey(&mut Host::open("other").unwrap(), &world.state.intent()).unwrap());
    assert_eq!(
        (foreign.networks.len(), foreign.strays.len(), foreign.rules),
        (1, 0, false)
    );
}

#[test]
fn making_something_twice_changes_nothing_and_undoing_leaves_nothing() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let before = world.host.links();
    let network = world.network(1, json!({}));
    let one = world.container(network, 2, json!({"Policies": [mapping(6, 8080)]}));
    let links = world.host.ip("-j link show");
    let bridge = world.state.network_intent(network).unwrap();
    world
        .host
        .run(|| make_network(&mut Host::open("hcs").unwrap(), &bridge))
        .unwrap();
    let endpoint = one.endpoint;
    world.attach(endpoint, &one.space);
    assert_eq!(world.host.ip("-j link show"), links);
    assert!(pings(&one.space, OUTSIDE));

    let intent = world.state.endpoint_intent(endpoint).unwrap();
    world.host.run(|| {
        let mut host = Host::open("hcs").unwrap();
        detach(&mut host, &intent).unwrap();
        detach(&mut host, &intent).unwrap();
        remove_network(&mut host, &bridge).unwrap();
        remove_network(&mut host, &bridge).unwrap();
        let nothing = Intent::default();
        write_rules(&mut host, &nothing, &Rules::default()).unwrap();
        write_rules(&mut host, &nothing, &Rules::default()).unwrap();
        let empty = survey(&mut host, &world.state.intent()).unwrap();
        assert!(!empty.rules, "no table is left");
        Forwarding::undo(&mut host, &world.former).unwrap();
    });
    assert_eq!(world.host.links(), before);
    assert_eq!(one.space.links(), [""; 0]);
}

#[test]
fn a_link_of_another_is_never_taken_or_removed() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let settings = json!({"SchemaVersion": {"Major": 2}}).to_string();
    let network = world
        .state
        .create_network(Guid(1 << 80), &settings, &hcn::Surroundings::default())
        .unwrap()
        .id;
    let bridge = world.state.network_intent(network).unwrap();
    world
        .host
        .ip(&format!("link add {} type bridge", bridge.link));
    let (made, removed) = world.host.run(|| {
        let mut host = Host::open("hcs").unwrap();
        (
            make_network(&mut host, &bridge),
            remove_network(&mut host, &bridge),
        )
    });
    assert!(made.unwrap_err().message.contains(&bridge.link));
    // Of this service nothing is there, so nothing is to be removed.
    removed.unwrap();
    assert!(world.host.links().contains(&bridge.link));
    world.host.ip(&format!("link delete {}", bridge.link));

    // An endpoint that cannot be made leaves nothing: its link's name is taken in the namespace.
    world
        .host
        .run(|| make_network(&mut Host::open("hcs").unwrap(), &bridge))
        .unwrap();
    let endpoint = world.endpoint(network, 2, json!({}));
    let space = Space::new();
    space.ip("link add eth0 type bridge");
    let intent = world.state.endpoint_intent(endpoint).unwrap();
    let before = world.host.links();
    let failure = world.host.run(|| {
        engine_network::attach(&mut Host::open("hcs").unwrap(), &intent, space.0.as_fd())
            .unwrap_err()
    });
    assert!(failure.message.contains("eth0"), "{failure}");
    assert_eq!(world.host.links(), before);
}

#[test]
fn rules_that_others_flushed_come_back() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let network = world.network(1, json!({}));
    let one = world.container(network, 2, json!({"Policies": [mapping(6, 8080)]}));
    let server = listen(&one.space, 80);
    talk(&world.outside, (UPLINK, 8080), &server);
    let intent = world.state.intent();
    let there = |world: &World| {
        world.host.run(|| {
            survey(&mut Host::open("hcs").unwrap(), &intent)
                .unwrap()
                .rules
        })
    };
    assert!(there(&world));
    world.host.run(|| {
        let nothing = Intent::default();
        write_rules(&mut Host::open("hcs").unwrap(), &nothing, &Rules::default()).unwrap();
    });
    assert!(!there(&world));
    assert!(!connects(&world.outside, (UPLINK, 8080)));
    world.rules();
    talk(&world.outside, (UPLINK, 8080), &server);
}

/// A batch with more rules than one message holds.
#[test]
fn rules_for_many_endpoints_are_one_transaction() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let subnets = json!([{"Subnets": [{"IpAddressPrefix": "10.9.0.0/16"}, {"IpAddressPrefix": "fd00:9::/64"}]}]);
    let network = world.network(1, json!({"Ipams": subnets}));
    for id in 0..999 {
        let external = u16::try_from(10_000 + id).unwrap();
        world.endpoint(
            network,
            100 + id,
            json!({"Policies": [mapping(6, external)]}),
        );
    }
    world.rules();
    let one = world.container(network, 2, json!({"Policies": [mapping(6, 8080)]}));
    let server = listen(&one.space, 80);
    talk(&world.outside, (UPLINK, 8080), &server);
}
