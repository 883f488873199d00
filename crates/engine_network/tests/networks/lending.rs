//! Which ports of the host endpoints get, and how many: none of them leaves the host or another endpoint without.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    ops::RangeInclusive,
    time::Instant,
};

use engine_network::{Forwarding, Host, Rules, forget_misled, survey, write_rules};
use rustix::net::{
    AddressFamily, SocketType, bind, connect, socket, sockopt::set_socket_reuseaddr,
};
use serde_json::json;

use crate::{
    traffic::{self, exchange, listen, pings, talk},
    world::{Container, OUTSIDE, Space, UPLINK, World, can_work},
};

/// Ports that endpoints get where the kernel gives 32768 to 60999 to programs, as in every new network namespace. The
/// first half is for endpoints with few connections.
const LENT: RangeInclusive<u16> = 1024..=32767;
const SECOND_HALF: u16 = 16896;

/// A datagram is remembered until the test is over.
fn remember(world: &World) {
    set(&world.host, "netfilter/nf_conntrack_udp_timeout", "3600");
}

fn set(space: &Space, setting: &str, value: &str) {
    space.run(|| fs::write(format!("/proc/sys/net/{setting}"), value).unwrap());
}

/// The connections that the host remembers.
fn connections(host: &Space) -> usize {
    let read = || fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_count");
    host.run(read).unwrap().trim().parse().unwrap()
}

/// Sends a datagram from each port that a container has, one socket after the other, until no more of them get through.
fn take_all_ports(world: &World, of: &Container, to: (&str, u16)) {
    const AT_ONCE: usize = 512;
    let ports: Vec<u16> = (1024..=u16::MAX).collect();
    let mut before = connections(&world.host);
    for some in ports.chunks(AT_ONCE) {
        of.space.run(|| {
            for port in some {
                let socket = UdpSocket::bind(("0.0.0.0", *port)).unwrap();
                // A report that there is no server is one that it was sent.
                let _sent = socket.send_to(b"x", to);
            }
        });
        let now = connections(&world.host);
        if now < before + AT_ONCE / 8 {
            return;
        }
        before = now;
    }
}

/// One container can have the kernel remember tens of thousands of peers of a port that it publishes, and all changes
/// of networks wait while they are forgotten: a round trip of each would take half a minute.
#[test]
fn all_of_very_many_peers_of_a_port_are_forgotten() {
    if !can_work() {
        return;
    }
    const PEERS: u16 = 5000;
    let mut world = World::new();
    remember(&world);
    let network = world.network(1, json!({}));
    let mapping = json!({
        "Type": "PortMapping",
        "Settings": {"Protocol": 17, "InternalPort": 80, "ExternalPort": 8081},
    });
    let one = world.container(network, 2, json!({"Policies": [mapping]}));
    let send = |ports: RangeInclusive<u16>| {
        for port in ports {
            let socket = UdpSocket::bind(("0.0.0.0", port)).unwrap();
            let _sent = socket.send_to(b"x", (UPLINK, 8081));
        }
    };
    let before = connections(&world.host);
    world.outside.run(|| send(10_000..=9_999 + PEERS));
    let remembered = connections(&world.host);
    assert!(
        remembered >= before + usize::from(PEERS),
        "{before}, {remembered}"
    );
    let published = world.state.intent();
    world.state.delete_endpoint(one.endpoint).unwrap();
    world.rules();
    let after = world.state.intent();
    let forget = || forget_misled(&mut Host::open("hcs").unwrap(), &published, &after);
    world.host.run(forget).unwrap();
    let left = connections(&world.host);
    assert!(left <= before + 10, "{before}, {remembered}, {left}");
}

/// The port of a connection of TCP as the server sees it, with whose port it began.
fn seen_port(from: &Space, own: u16, to: (&str, u16), server: &TcpListener) -> u16 {
    let to: SocketAddr = format!("{}:{}", to.0, to.1).parse().unwrap();
    let client = from.run(|| {
        let client = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        // A former connection of the port may not be forgotten.
        set_socket_reuseaddr(&client, true).unwrap();
        bind(&client, &SocketAddr::from(([0, 0, 0, 0], own))).unwrap();
        connect(&client, &to).unwrap();
        TcpStream::from(client)
    });
    let (_accepted, seen) = server.accept().unwrap();
    drop(client);
    seen.port()
}

#[test]
fn an_endpoint_that_takes_all_ports_leaves_the_host_and_others_theirs() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let network = world.network(1, json!({}));
    let one = world.container(network, 2, json!({}));
    let other = world.container(network, 3, json!({}));
    remember(&world);
    take_all_ports(&world, &one, (OUTSIDE, 53));
    let server = traffic::bind(&world.outside, 53);
    for _ in 0..20 {
        exchange(&other.space, (OUTSIDE, 53), &server);
        exchange(&world.host, (OUTSIDE, 53), &server);
    }
    // Nor is it kept from what it takes no ports of.
    talk(&one.space, (OUTSIDE, 80), &listen(&world.outside, 80));
    assert!(pings(&one.space, OUTSIDE));
    let survey = world.survey();
    assert!(survey.rules, "what rules noted is no change of them");
}

#[test]
fn ports_that_need_a_right_are_the_hosts_own() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let network = world.network(1, json!({}));
    let mapping = json!({"Protocol": 6, "InternalPort": 80, "ExternalPort": 8080});
    let published = json!([{"Type": "PortMapping", "Settings": mapping}]);
    let named = json!([{"Type": "OutBoundNAT", "Settings": {"VirtualIP": UPLINK}}]);
    let plain = world.container(network, 2, json!({}));
    let other = world.container(network, 3, json!({"Policies": published}));
    let own = world.container(network, 4, json!({"Policies": named}));
    let servers = [listen(&world.outside, 2049), listen(&other.space, 80)];
    for port in [22, 700, 1000] {
        for (from, to, server) in [
            (&plain, (OUTSIDE, 2049), &servers[0]),
            (&own, (OUTSIDE, 2049), &servers[0]),
            (&plain, (UPLINK, 8080), &servers[1]),
        ] {
            let seen = seen_port(&from.space, port, to, server);
            assert!(LENT.contains(&seen), "{seen} for {port} to {to:?}");
        }
        let seen = seen_port(&world.host, port, (OUTSIDE, 2049), &servers[0]);
        assert_eq!(seen, port, "the host has what it asks for");
    }
    // A port that is lent stays as it is.
    assert_eq!(
        seen_port(&plain.space, 5000, (OUTSIDE, 2049), &servers[0]),
        5000
    );
}

#[test]
fn an_endpoint_with_many_connections_gets_ports_beside_those_of_others() {
    /// What an endpoint may begin at once, and in each second.
    const AT_ONCE: u64 = 512;
    const A_SECOND: u64 = 8;
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let network = world.network(1, json!({}));
    let [one, other] = [2, 3].map(|id| world.container(network, id, json!({})));
    let server = listen(&world.outside, 80);
    let since = Instant::now();
    let mut seen = Vec::new();
    while seen.last().is_none_or(|port| *port < SECOND_HALF) {
        seen.push(seen_port(&one.space, 0, (OUTSIDE, 80), &server));
        let most = AT_ONCE + A_SECOND * (since.elapsed().as_secs() + 1) + 1;
        assert!(seen.len() as u64 <= most, "{} of {most}", seen.len());
    }
    assert!(seen.len() as u64 > AT_ONCE, "{}", seen.len());
    assert!(seen.iter().all(|port| LENT.contains(port)), "{seen:?}");
    let port = seen_port(&other.space, 0, (OUTSIDE, 80), &server);
    assert!(LENT.contains(&port) && port < SECOND_HALF, "{port}");
    // With other peers it has as few as before.
    world.outside.ip("addr add 198.51.100.19/32 dev lo");
    let port = seen_port(&one.space, 0, ("198.51.100.19", 80), &server);
    assert!(port < SECOND_HALF, "{port}");
}

/// Any user can have the rules written anew, by a network.
#[test]
fn connections_of_an_endpoint_are_counted_on_when_rules_are_written_anew() {
    /// More than an endpoint may have with ports of the first half.
    const MANY: u16 = 520;
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let network = world.network(1, json!({}));
    let one = world.container(network, 2, json!({}));
    remember(&world);
    let server = listen(&world.outside, 80);
    one.space.run(|| {
        for port in 2000..2000 + MANY {
            let socket = UdpSocket::bind(("0.0.0.0", port)).unwrap();
            // A report that there is no server is one that it was sent.
            let _sent = socket.send_to(b"x", (OUTSIDE, 80));
        }
    });
    let port = |world: &World| {
        let port = seen_port(&one.space, 0, (OUTSIDE, 80), &server);
        assert!(world.survey().rules);
        port
    };
    assert!(port(&world) >= SECOND_HALF);
    for more in 10..13 {
        world.network(more, json!({}));
        assert!(port(&world) >= SECOND_HALF, "with the network {more}");
    }
}

#[test]
fn ports_are_lent_beside_those_that_an_administrator_gives_to_programs() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let network = world.network(1, json!({}));
    let one = world.container(network, 2, json!({}));
    let server = listen(&world.outside, 80);
    let intent = world.state.intent();
    let mut host = world.host.run(|| Host::open("hcs").unwrap());
    let write = |host: &mut Host| {
        world.host.run(|| {
            let guarded = Forwarding::default().guarded(&world.former);
            write_rules(host, &intent, &Rules::of(&intent, guarded)).unwrap();
        });
    };
    let holds = |host: &mut Host| {
        let found = world.host.run(|| survey(host, &intent).unwrap());
        found.rules
    };
    write(&mut host);
    assert!(holds(&mut host));
    set(&world.host, "ipv4/ip_local_port_range", "10000 40000");
    assert!(!holds(&mut host), "other ports are programs' now");
    write(&mut host);
    assert!(holds(&mut host));
    let port = seen_port(&one.space, 0, (OUTSIDE, 80), &server);
    assert!(port > 40000, "{port}");
}
