//! The host's side of a virtual machine's card: its link is made by another program, as by a machine's engine.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::{AsRawFd as _, OwnedFd},
    thread,
    time::{Duration, Instant},
};

use engine_network::{
    Card, Host, attach_card, card_rules_are_there, detach, set_card_rules, survey, sweep,
};
use hcn::Guid;
use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, ipproto, recv, sendto,
        socket_with,
        sockopt::{Timeout, set_socket_timeout},
    },
};
use serde_json::{Value, json};

use crate::{
    traffic::{bind, connects, exchange, listen, pings, talk},
    world::{OUTSIDE, Space, World, can_work},
};

fn bridge_of(world: &World, link: &str) -> Value {
    let shown = world.host.ip(&format!("-j -d link show {link}"));
    serde_json::from_str::<Value>(&shown).unwrap()[0].clone()
}

#[test]
fn the_link_of_a_card_is_a_port_like_that_of_a_container_and_is_swept_like_it() {
    if !can_work() {
        return;
    }
    const ISOLATED: u32 = 2;
    let mut world = World::new();
    let network = world.network(1, json!({}));
    let endpoint = world.endpoint(network, 2, json!({ "Flags": ISOLATED }));
    let intent = world.state.endpoint_intent(endpoint).unwrap();
    world.rules();
    let link = intent.link.clone();
    let is_there = || {
        let there = |host: &mut Host| Card(&intent).is_there(host).unwrap();
        world.host.run(|| there(&mut Host::open("hcs").unwrap()))
    };
    let attached = || {
        world
            .host
            .run(|| attach_card(&mut Host::open("hcs").unwrap(), &intent))
    };
    assert!(!is_there());
    attached().unwrap_err();
    world.host.ip(&format!("tuntap add dev {link} mode tap"));
    assert!(is_there());
    attached().unwrap();
    let shown = bridge_of(&world, &link);
    assert_eq!(shown["master"], json!(intent.bridge), "{shown}");
    assert_eq!(shown["ifalias"], json!(format!("hcs:{endpoint}")));
    let port = &shown["linkinfo"]["info_slave_data"];
    assert_eq!(port["isolated"], json!(true), "{shown}");
    let surveyed = |world: &World| {
        let wanted = world.state.intent();
        world
            .host
            .run(|| survey(&mut Host::open("hcs").unwrap(), &wanted).unwrap())
    };
    let found = surveyed(&world);
    assert!(
        found.endpoints.is_empty() && found.strays.is_empty(),
        "{found:?}"
    );
    // Pulled out of its bridge it is found and mended in place.
    world.host.ip(&format!("link set {link} nomaster"));
    assert_eq!(surveyed(&world).endpoints, [endpoint]);
    attached().unwrap();
    assert!(surveyed(&world).endpoints.is_empty());

    world
        .host
        .run(|| detach(&mut Host::open("hcs").unwrap(), &intent))
        .unwrap();
    assert!(!is_there());
    // A link that no record asks for.
    world.host.ip(&format!("tuntap add dev {link} mode tap"));
    attached().unwrap();
    world.state.delete_endpoint(endpoint).unwrap();
    let strays = surveyed(&world).strays;
    assert_eq!(strays.len(), 1, "{strays:?}");
    world
        .host
        .run(|| sweep(&mut Host::open("hcs").unwrap(), &strays))
        .unwrap();
    assert!(!world.host.links().contains(&link));
}

/// A network with a card, for which a pair of links stands: the guest is a namespace at the other end of it.
pub(crate) struct Guest {
    pub(crate) space: Space,
    pub(crate) address: String,
    pub(crate) endpoint: Guid,
}

/// Writes all rules, and then those of the cards.
pub(crate) fn rules(world: &mut World, cards: &[Guid]) {
    world.rules();
    let intent = world.state.intent();
    let cards: Vec<_> = (cards.iter())
        .map(|card| world.state.endpoint_intent(*card).unwrap())
        .collect();
    let cards: Vec<_> = cards.iter().collect();
    let written = || set_card_rules(&mut Host::open("hcs").unwrap(), &intent, &cards);
    world.host.run(written).unwrap();
    let there = || card_rules_are_there(&mut Host::open("hcs").unwrap(), &cards);
    assert!(world.host.run(there).unwrap());
}

pub(crate) fn guest(world: &mut World, network: Guid, id: u128, policies: &Value) -> Guest {
    let endpoint = world.endpoint(network, id, json!({ "Policies": policies }));
    let intent = world.state.endpoint_intent(endpoint).unwrap();
    rules(world, &[endpoint]);
    let guest = Space::new();
    let there = format!("/proc/{}/fd/{}", std::process::id(), guest.0.as_raw_fd());
    let link = &intent.link;
    let host = &world.host;
    host.ip(&format!("link add {link} type veth peer name eth0"));
    host.ip(&format!("link set eth0 netns {there}"));
    let attached = host.run(|| attach_card(&mut Host::open("hcs").unwrap(), &intent));
    attached.unwrap();
    let (address, length) = intent.addresses[0];
    let mac = intent.mac.to_string().replace('-', ":");
    guest.ip(&format!("link set eth0 address {mac}"));
    guest.ip(&format!(
        "addr add {address}/{length} broadcast 255.255.255.255 dev eth0"
    ));
    guest.ip("link set eth0 up");
    match intent.routes.first() {
        Some((_, router, _)) => guest.ip(&format!("route add default via {router} dev eth0")),
        None => guest.ip("route add default dev eth0"),
    };
    Guest {
        space: guest,
        address: address.to_string(),
        endpoint,
    }
}

fn acl(direction: &str, action: &str, priority: u16, more: &Value) -> Value {
    let mut settings = json!({"Direction": direction, "Action": action, "Priority": priority});
    for (name, value) in more.as_object().unwrap() {
        settings[name] = value.clone();
    }
    json!({"Type": "ACL", "Settings": settings})
}

#[test]
fn what_a_guest_may_send_and_receive_is_decided_at_its_port() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let network = world.network(1, json!({}));
    let two = world.container(network, 3, json!({}));
    // Nothing is received but TCP at 80 from `two`; nothing is sent to the outside but UDP at 81.
    let outside = json!({"RemoteAddresses": "198.51.100.0/24"});
    let from_two = json!({"Protocols": "6", "LocalPorts": "80", "RemoteAddresses": two.address});
    let policies = json!([
        acl("In", "Block", 500, &json!({})),
        acl("In", "Allow", 100, &from_two),
        acl("Out", "Block", 300, &outside),
        acl(
            "Out",
            "Allow",
            200,
            &json!({"Protocols": "17", "RemotePorts": "81"})
        ),
    ]);
    let one = guest(&mut world, network, 2, &policies);
    talk(&two.space, (&one.address, 80), &listen(&one.space, 80));
    let _closed = listen(&one.space, 81);
    assert!(!connects(&two.space, (&one.address, 81)));
    let open = listen(&one.space, 80);
    assert!(!connects(&world.host, (&one.address, 80)), "from two only");
    // Answers to what it begins itself pass: of TCP, UDP and echoes, from its network and the outside.
    talk(&one.space, (&two.address, 80), &listen(&two.space, 80));
    exchange(&one.space, (OUTSIDE, 81), &bind(&world.outside, 81));
    assert!(pings(&one.space, &two.address));
    let server = listen(&world.outside, 80);
    assert!(!connects(&one.space, (OUTSIDE, 80)));

    // A change holds at once, and others' changes leave connections alone.
    let talking = connected(&two.space, (&one.address, 80), &open);
    rules(&mut world, &[one.endpoint]);
    said(&talking);
    let more = json!([acl("Out", "Allow", 250, &json!({"Protocols": "TCP"}))]);
    let settings = json!({ "Policies": more });
    let request = json!({"ResourceType": "Policy", "RequestType": "Add", "Settings": settings});
    world
        .state
        .modify_endpoint(one.endpoint, &request.to_string())
        .unwrap();
    rules(&mut world, &[one.endpoint]);
    talk(&one.space, (OUTSIDE, 80), &server);

    // Flushed by another program they are missed and come back; they go with their endpoint.
    let table = format!(
        "hcs_{}",
        world.state.endpoint_intent(one.endpoint).unwrap().link
    );
    world
        .host
        .program("nft", &format!("flush table bridge {table}"));
    let intent = world.state.endpoint_intent(one.endpoint).unwrap();
    let there = || card_rules_are_there(&mut Host::open("hcs").unwrap(), &[&intent]);
    assert!(!world.host.run(there).unwrap());
    rules(&mut world, &[one.endpoint]);
    assert!(!connects(&two.space, (&one.address, 81)));
    world.state.delete_endpoint(one.endpoint).unwrap();
    rules(&mut world, &[]);
    let tables = world.host.program("nft", "list tables");
    assert!(!tables.contains(&table), "{tables}");
}

#[test]
fn packets_of_ipv4_with_the_number_of_icmpv6_are_no_exception() {
    /// A neighbour is asked for, where it is ICMPv6.
    const SOLICITATION: [u8; 8] = [135, 0, 0, 0, 0, 0, 0, 0];
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let network = world.network(1, json!({}));
    let two = world.container(network, 3, json!({}));
    let outside = json!({"RemoteAddresses": "198.51.100.0/24"});
    let only_81 = json!({"Protocols": "17", "RemotePorts": "81"});
    let policies = json!([
        acl("Out", "Block", 300, &outside),
        acl("Out", "Allow", 200, &only_81),
    ]);
    let one = guest(&mut world, network, 2, &policies);
    let send = |to: &str| {
        let to = SocketAddr::new(to.parse().unwrap(), 0);
        let sent = || sendto(protocol_58(), &SOLICITATION, SendFlags::empty(), &to).unwrap();
        assert_eq!(one.space.run(sent), SOLICITATION.len());
    };
    let [there, outside] = [&two.space, &world.outside].map(|space| space.run(protocol_58));
    let mut bytes = [0; 64];
    send(&two.address);
    recv(&there, &mut bytes[..], RecvFlags::empty()).unwrap();
    send(OUTSIDE);
    // When this is there, the first would have been.
    exchange(&one.space, (OUTSIDE, 81), &bind(&world.outside, 81));
    let missed = recv(&outside, &mut bytes[..], RecvFlags::DONTWAIT).map(|_| ());
    assert_eq!(missed, Err(Errno::AGAIN));
}

/// A socket for packets of IPv4 with the number of ICMPv6.
fn protocol_58() -> OwnedFd {
    let (flags, protocol) = (SocketFlags::CLOEXEC, Some(ipproto::ICMPV6));
    let socket = socket_with(AddressFamily::INET, SocketType::RAW, flags, protocol).unwrap();
    let patience = Some(Duration::from_secs(20));
    set_socket_timeout(&socket, Timeout::Recv, patience).unwrap();
    socket
}

#[test]
fn a_connection_counts_for_long_only_while_it_is_open() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let network = world.network(1, json!({}));
    let two = world.container(network, 3, json!({}));
    let policies = json!([acl("In", "Allow", 100, &json!({"Protocols": "6"}))]);
    let one = guest(&mut world, network, 2, &policies);
    let link = world.state.endpoint_intent(one.endpoint).unwrap().link;
    // How long each connection that is known has yet, in seconds.
    let left = || {
        let said = world
            .host
            .program("nft", &format!("-j list set bridge hcs_{link} flows"));
        let said: Value = serde_json::from_str(&said).unwrap();
        let sets = said["nftables"].as_array().unwrap().iter();
        let elements = sets.filter_map(|item| item["set"]["elem"].as_array());
        let left = elements
            .flatten()
            .map(|one| one["elem"]["expires"].as_u64().unwrap());
        left.collect::<Vec<_>>()
    };
    let server = listen(&one.space, 80);
    let connection = connected(&two.space, (&one.address, 80), &server);
    said(&connection);
    let open = left();
    assert!(matches!(open[..], [left] if left > 3000), "{open:?}");
    drop(connection);
    let since = Instant::now();
    loop {
        let closed = left();
        if closed.iter().all(|left| *left <= 120) {
            break;
        }
        assert!(since.elapsed() < Duration::from_secs(20), "{closed:?}");
        thread::sleep(Duration::from_millis(20));
    }
    // The next one is not taken for the former.
    let again = connected(&two.space, (&one.address, 80), &server);
    said(&again);
    assert!(left().iter().any(|left| *left > 3000));
}

/// A connection, both ends of it.
fn connected(space: &Space, to: (&str, u16), server: &TcpListener) -> [TcpStream; 2] {
    let stream = space.run(|| TcpStream::connect(to)).unwrap();
    [stream, server.accept().unwrap().0]
}

/// Something goes each way.
fn said([one, other]: &[TcpStream; 2]) {
    for (mut from, mut to) in [(one, other), (other, one)] {
        // Only so that a failure does not hang.
        to.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        from.write_all(b"x").unwrap();
        to.read_exact(&mut [0]).unwrap();
    }
}

#[test]
fn what_a_guest_sends_too_fast_is_dropped_and_rules_of_others_change_nothing_about_it() {
    const DATAGRAMS: usize = 8000;
    const LENGTH: usize = 1300;
    const RATE: u64 = 10_000;
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let network = world.network(1, json!({}));
    let limit = json!({"Type": "QOS", "Settings": {"MaximumOutgoingBandwidthInBytes": RATE}});
    let guest = guest(&mut world, network, 2, &json!([limit]));
    let bridge = world.state.endpoint_intent(guest.endpoint).unwrap().bridge;
    let sent = |world: &World| {
        let before = bridge_bytes(world, &bridge);
        guest.space.run(|| {
            let socket = UdpSocket::bind((&*guest.address, 0)).unwrap();
            socket.set_broadcast(true).unwrap();
            for _ in 0..DATAGRAMS {
                let datagram = [0; LENGTH];
                socket.send_to(&datagram, "255.255.255.255:9").unwrap();
            }
        });
        bridge_bytes(world, &bridge) - before
    };
    let passed = sent(&world);
    assert!(passed > RATE, "{passed}");
    let half = u64::try_from(DATAGRAMS * LENGTH / 2).unwrap();
    assert!(passed < half, "{passed}");
    // The bucket is empty, and is not filled because another endpoint comes.
    world.endpoint(network, 5, json!({}));
    rules(&mut world, &[guest.endpoint]);
    let again = sent(&world);
    assert!(again < passed / 2, "{again} after {passed}");
}

/// Bytes that have come to a bridge itself.
fn bridge_bytes(world: &World, bridge: &str) -> u64 {
    let shown = world.host.ip(&format!("-j -s link show {bridge}"));
    let shown: Value = serde_json::from_str(&shown).unwrap();
    shown[0]["stats64"]["rx"]["bytes"].as_u64().unwrap()
}

#[test]
fn a_host_that_knows_of_no_rules_of_cards_writes_those_of_the_first() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let network = world.network(1, json!({}));
    let limit = json!({"Type": "QOS", "Settings": {"MaximumOutgoingBandwidthInBytes": 1_000_000}});
    let card = world.endpoint(network, 2, json!({"Policies": [limit]}));
    let (mut without, with) = (world.state.intent(), world.state.intent());
    without.endpoints.clear();
    let card = world.state.endpoint_intent(card).unwrap();
    let there: Vec<bool> = world.host.run(|| {
        let mut host = Host::open("hcs").unwrap();
        let mut there = |intent, cards: &[_]| {
            set_card_rules(&mut host, intent, cards).unwrap();
            card_rules_are_there(&mut host, &[&card]).unwrap()
        };
        let none = &without;
        [
            there(none, &[]),
            there(none, &[]),
            there(&with, &[&card]),
            there(none, &[]),
            there(none, &[]),
            there(&with, &[&card]),
        ]
        .to_vec()
    });
    assert_eq!(there, [false, false, true, false, false, true]);
}
