//! What keeps endpoints apart holds for packets that go by the router of their network as well: an endpoint with a
//! route of its own sends them to the host, which could route them back into the network.

use std::net::{IpAddr, UdpSocket};

use serde_json::{Value, json};

use crate::{
    cards::{self, guest},
    traffic::{connects, counter, listen, talk},
    world::{Container, Space, World, can_work},
};

/// A world whose host forwards both families as a whole, with a network of both.
fn world() -> (World, hcn::Guid) {
    let mut world = World::new();
    let forward = "-qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1";
    world.host.program("sysctl", forward);
    let network = world.network(1, both("10.7.0.0/24", "fd00:7::/64"));
    (world, network)
}

fn both(v4: &str, v6: &str) -> Value {
    let subnets = json!([{"IpAddressPrefix": v4}, {"IpAddressPrefix": v6}]);
    json!({"Ipams": [{ "Subnets": subnets }]})
}

/// The addresses of an endpoint: of IPv4, and of IPv6.
fn addresses(world: &World, of: &Container) -> Vec<IpAddr> {
    let endpoint = world.state.endpoint(of.endpoint).unwrap();
    endpoint.leases().iter().map(|one| one.address).collect()
}

/// Has a container send by its router to these addresses, which it believes no word of a shorter way.
fn by_router(world: &World, from: &Space, to: &[IpAddr]) {
    let network = world.state.intent().networks.swap_remove(0);
    for family in ["ipv4", "ipv6"] {
        for link in ["all", "eth0"] {
            let setting = format!("net.{family}.conf.{link}.accept_redirects=0");
            from.program("sysctl", &format!("-qw {setting}"));
        }
    }
    for address in to {
        let mut routers = network.addresses.iter().map(|(router, _)| *router);
        let router = routers.find(|router| router.is_ipv4() == address.is_ipv4());
        let (router, length) = (router.unwrap(), if address.is_ipv4() { 32 } else { 128 });
        from.ip(&format!(
            "route replace {address}/{length} via {router} dev eth0"
        ));
    }
}

/// A server of UDP of both families.
fn server(space: &Space) -> UdpSocket {
    space.run(|| {
        let socket = UdpSocket::bind(("::", 81)).unwrap();
        let limit = std::time::Duration::from_secs(20);
        socket.set_read_timeout(Some(limit)).unwrap();
        socket
    })
}

fn send(from: &Space, to: IpAddr, text: &[u8]) {
    from.run(|| {
        let socket = UdpSocket::bind(("::", 0)).unwrap();
        let to = match to {
            IpAddr::V4(to) => to.to_ipv6_mapped().into(),
            IpAddr::V6(_) => to,
        };
        // Its own rules may refuse it at once.
        let _may_be_refused = socket.send_to(text, (to, 81));
    });
}

/// The next datagram that a server gets.
fn next(server: &UdpSocket) -> Vec<u8> {
    let mut bytes = [0; 16];
    let (length, _) = server.recv_from(&mut bytes).unwrap();
    bytes[..length].to_vec()
}

/// A datagram arrives.
fn is_heard(from: &Space, to: IpAddr, server: &UdpSocket) {
    send(from, to, b"heard");
    assert_eq!(next(server), b"heard", "{to}");
}

/// A datagram does not arrive at a server that hears another, of whom one follows it.
fn is_not_heard(from: &Space, other: &Space, to: IpAddr, server: &UdpSocket) {
    send(from, to, b"dropped");
    send(other, to, b"heard");
    assert_eq!(next(server), b"heard", "{to}");
}

/// Has the kernel show rules nothing of what bridges forward, if it would.
fn hide_bridges(host: &Space) {
    let shown = ["iptables", "ip6tables"].map(|of| format!("net/bridge/bridge-nf-call-{of}"));
    for setting in shown {
        if std::fs::exists(format!("/proc/sys/{setting}")).unwrap() {
            host.program("sysctl", &format!("-qw {setting}=0"));
        }
    }
}

#[test]
fn isolated_endpoints_do_not_meet_by_their_router() {
    if !can_work() {
        return;
    }
    let (mut world, network) = world();
    let one = world.container(network, 2, json!({"Flags": 2}));
    let mapping = json!({"Protocol": 6, "InternalPort": 80, "ExternalPort": 8080});
    let mapping = json!([{"Type": "PortMapping", "Settings": mapping}]);
    let two = world.container(network, 3, json!({"Flags": 2, "Policies": mapping}));
    let free = world.container(network, 4, json!({}));
    let [ours, theirs, others] = [&one, &two, &free].map(|of| addresses(&world, of));
    assert_eq!(ours.len(), 2, "{ours:?}");
    by_router(&world, &one.space, &[&theirs[..], &others].concat());
    by_router(&world, &two.space, &ours);
    by_router(&world, &free.space, &theirs);
    let [at_two, at_free] = [&two, &free].map(|of| server(&of.space));
    let open = listen(&two.space, 80);
    // One that is not isolated is reached so, as it is without a router.
    let forwarded = || counter(&world.host, "snmp", "Ip", "ForwDatagrams");
    let before = forwarded();
    for address in others {
        is_heard(&one.space, address, &at_free);
    }
    assert!(forwarded() > before, "the router has sent them back");
    // With rules that see what bridges forward, where the kernel has that, and without.
    for _ in 0..2 {
        for address in &theirs {
            is_not_heard(&one.space, &free.space, *address, &at_two);
        }
        assert!(!connects(&one.space, (&two.address, 80)));
        hide_bridges(&world.host);
    }
    // A published port is for all. Rules that see bridges have those of a network reach it by the bridge.
    talk(&one.space, ("10.7.0.1", 8080), &open);
    assert!(world.survey().rules, "what was written is there");
}

#[test]
fn an_address_is_isolated_for_as_long_as_its_endpoint() {
    if !can_work() {
        return;
    }
    let (mut world, network) = world();
    let at = |flags: u32| json!({"Flags": flags, "IpConfigurations": [{"IpAddress": "10.7.0.9"}]});
    let one = world.container(network, 2, json!({"Flags": 2}));
    let free = world.container(network, 3, json!({}));
    let to = "10.7.0.9".parse().unwrap();
    for from in [&one, &free] {
        by_router(&world, &from.space, &[to]);
    }
    for (id, flags) in [(4, 2), (5, 0), (6, 2)] {
        let two = world.container(network, id, at(flags));
        let server = server(&two.space);
        match flags {
            0 => is_heard(&one.space, to, &server),
            _ => is_not_heard(&one.space, &free.space, to, &server),
        }
        world.state.delete_endpoint(two.endpoint).unwrap();
        world.rules();
        drop(two);
    }
}

#[test]
fn rules_of_endpoints_and_networks_hold_for_what_comes_by_a_router() {
    if !can_work() {
        return;
    }
    let (mut world, network) = world();
    let elsewhere = world.network(9, both("10.8.0.0/24", "fd00:8::/64"));
    let [one, free] = [2, 3].map(|id| world.container(network, id, json!({})));
    let far = world.container(elsewhere, 4, json!({}));
    let acl = |direction: &str, of: &Container| {
        let remote: Vec<_> = addresses(&world, of)
            .iter()
            .map(IpAddr::to_string)
            .collect();
        let settings = json!({
            "Direction": direction, "Action": "Block", "Priority": 1, "RemoteAddresses": remote.join(","),
        });
        json!({"Type": "ACL", "Settings": settings})
    };
    let blocking = json!({"Policies": [acl("In", &one), acl("Out", &one)]});
    let two = world.container(network, 5, blocking.clone());
    let [ours, theirs] = [&one, &two].map(|of| addresses(&world, of));
    by_router(&world, &one.space, &theirs);
    by_router(&world, &two.space, &ours);
    by_router(&world, &free.space, &theirs);
    let [at_one, at_two, at_far] = [&one, &two, &far].map(|of| server(&of.space));
    for address in theirs {
        for from in [&one, &far] {
            is_not_heard(&from.space, &free.space, address, &at_two);
        }
    }
    for address in ours {
        is_not_heard(&two.space, &free.space, address, &at_one);
    }
    // Another network is reached by a router alone, and not at all.
    for address in addresses(&world, &far) {
        for from in [&one, &free] {
            is_not_heard(&from.space, &world.host, address, &at_far);
        }
    }
    // A guest has its rules at its port, where all comes by.
    let three = guest(&mut world, network, 6, &blocking["Policies"]);
    let to: IpAddr = three.address.parse().unwrap();
    cards::rules(&mut world, &[three.endpoint]);
    by_router(&world, &one.space, &[to]);
    by_router(&world, &three.space, &[one.address.parse().unwrap()]);
    let at_three = server(&three.space);
    is_not_heard(&one.space, &free.space, to, &at_three);
    let to = one.address.parse().unwrap();
    is_not_heard(&three.space, &free.space, to, &at_one);
}
