//! Reports that a packet was too large, and packets in parts: what one endpoint makes of them is not what others have.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Instant,
};

use serde_json::{Value, json};

use crate::{
    traffic::{bind, checksum, forge_icmp6, forge_packets, forge_packets_6, listen, talk},
    upkeep::address_6,
    world::{Container, OUTSIDE, Space, UPLINK, World, can_work},
};

/// The largest packet that a forged report allows.
const SMALL: u16 = 600;
const SMALL_6: u16 = 1300;

/// A packet of IPv4: its protocol, its number and place, its addresses, what it has.
fn packet(protocol: u8, part: [u8; 4], addresses: [Ipv4Addr; 2], text: &[u8]) -> Vec<u8> {
    let length = u16::try_from(20 + text.len()).unwrap();
    let mut packet = vec![0x45, 0];
    packet.extend(length.to_be_bytes());
    packet.extend(part);
    packet.extend([64, protocol, 0, 0]);
    addresses.iter().for_each(|one| packet.extend(one.octets()));
    let sum = checksum(&packet);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend(text);
    packet
}

/// Tells the sender of a packet from `about[0]` to `about[1]` that it was too large.
fn report(from: &Container, to: Ipv4Addr, about: [Ipv4Addr; 2]) {
    const ICMP: u8 = 1;
    const ECHO_REPLY: [u8; 8] = [0; 8];
    let inner = packet(ICMP, [0; 4], about, &ECHO_REPLY);
    let [high, low] = SMALL.to_be_bytes();
    let mut message = [&[3, 4, 0, 0, 0, 0, high, low][..], &inner].concat();
    let sum = checksum(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let own = from.address.parse().unwrap();
    let whole = packet(ICMP, [0, 1, 0, 0], [own, to], &message);
    forge_packets(&from.space, to, std::iter::once(whole));
}

fn is_narrow(space: &Space, to: &str, most: u16) -> bool {
    let route = space.ip(&format!("route get {to}"));
    route.contains(&format!("mtu {most}"))
}

#[test]
fn an_endpoint_reports_too_large_packets_to_itself_alone() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let network = world.network(1, json!({}));
    let [one, two] = [2, 3].map(|id| world.container(network, id, json!({})));
    let [own, other] = [&one, &two].map(|of| of.address.parse::<Ipv4Addr>().unwrap());
    let gateway = world.state.network_intent(network).unwrap().addresses[0].0;
    let IpAddr::V4(gateway) = gateway else {
        panic!("{gateway}")
    };
    let [host, outside] = [UPLINK, OUTSIDE].map(|one| one.parse::<Ipv4Addr>().unwrap());
    report(&one, gateway, [host, outside]);
    report(&one, gateway, [gateway, other]);
    report(&one, host, [host, outside]);
    report(&one, other, [other, outside]);
    report(&one, other, [other, gateway]);
    // On the same ways, so that those would have been there.
    talk(&one.space, (&two.address, 80), &listen(&two.space, 80));
    let to_host = gateway.to_string();
    talk(&one.space, (&to_host, 80), &listen(&world.host, 80));
    assert!(!is_narrow(&world.host, OUTSIDE, SMALL));
    assert!(!is_narrow(&world.host, &two.address, SMALL));
    assert!(!is_narrow(&two.space, OUTSIDE, SMALL));
    assert!(!is_narrow(&two.space, &to_host, SMALL));
    // What it says of the way to itself counts.
    report(&one, gateway, [gateway, own]);
    report(&one, other, [other, own]);
    talk(&one.space, (&two.address, 81), &listen(&two.space, 81));
    talk(&one.space, (&to_host, 81), &listen(&world.host, 81));
    assert!(is_narrow(&world.host, &one.address, SMALL));
    assert!(is_narrow(&two.space, &one.address, SMALL));
}

#[test]
fn an_endpoint_reports_too_large_packets_of_ipv6_to_itself_alone() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let subnets = json!([{"Subnets": [{"IpAddressPrefix": "10.9.0.0/16"}, {"IpAddressPrefix": "fd00:9::/64"}]}]);
    let network = world.network(1, json!({"Ipams": subnets}));
    let [one, two] = [2, 3].map(|id| world.container(network, id, json!({})));
    let [own, other] = [&one, &two].map(|of| address_6(&world, of));
    let gateway: Ipv6Addr = "fd00:9::1".parse().unwrap();
    let report = |about: [Ipv6Addr; 2]| {
        let [high, low] = SMALL_6.to_be_bytes();
        let mut message = vec![2, 0, 0, 0, 0, 0, high, low];
        message.extend([0x60, 0, 0, 0, 0, 8, 58, 64]);
        about.iter().for_each(|one| message.extend(one.octets()));
        message.extend([129, 0, 0, 0, 0, 0, 0, 0]);
        forge_icmp6(&one.space, own, gateway, &message);
    };
    report([gateway, other]);
    report([gateway, own]);
    talk(&one.space, ("10.9.0.1", 80), &listen(&world.host, 80));
    assert!(!is_narrow(&world.host, &other.to_string(), SMALL_6));
    assert!(is_narrow(&world.host, &own.to_string(), SMALL_6));
}

/// Packets of IPv4 in pieces that the host waits for the rest of.
fn waiting(host: &Space) -> u64 {
    let path = "/proc/thread-self/net/sockstat";
    let text = host.run(|| std::fs::read_to_string(path).unwrap());
    let line = text.lines().find_map(|line| line.strip_prefix("FRAG:"));
    let count = line.unwrap().split_whitespace().nth(1).unwrap();
    count.parse().unwrap()
}

/// The network's bridge.
fn bridge(world: &World) -> Value {
    let bridge = &world.state.intent().networks[0].link;
    let shown = world.host.ip(&format!("-j -s link show {bridge}"));
    serde_json::from_str::<Value>(&shown).unwrap()[0].clone()
}

/// Pieces of packets of IPv6 that the rules of networks have let pass, once `first` has had them counted.
fn passed(host: &Space, first: bool) -> u64 {
    if first {
        let chain = "{ type filter hook prerouting priority -299 ; }";
        host.program("nft", "add table bridge counting");
        host.program("nft", &format!("add chain bridge counting pieces {chain}"));
        let rule = "add rule bridge counting pieces exthdr frag exists counter";
        host.program("nft", rule);
    }
    let listed = host.program("nft", "list table bridge counting");
    let mut words = listed.split_whitespace();
    words.find(|word| *word == "packets");
    words.next().unwrap().parse().unwrap()
}

#[test]
fn an_endpoint_that_sends_pieces_alone_leaves_others_room_for_theirs() {
    /// More than there is room for, before some is made.
    const PIECES: u16 = 3000;
    /// What a port may send at once, and in each second.
    const AT_ONCE: u64 = 1000;
    const A_SECOND: u64 = 500;
    const UDP: u8 = 17;
    const MORE: u8 = 0x20;
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let subnets = json!([{"Subnets": [{"IpAddressPrefix": "10.9.0.0/16"}, {"IpAddressPrefix": "fd00:9::/64"}]}]);
    let network = world.network(1, json!({"Ipams": subnets}));
    let [one, six, other] = [2, 3, 4].map(|id| world.container(network, id, json!({})));
    let (own, outside) = (one.address.parse().unwrap(), OUTSIDE.parse().unwrap());
    let most = |since: Instant| AT_ONCE + A_SECOND * (since.elapsed().as_secs() + 1);
    let since = Instant::now();
    let pieces = (1..=PIECES).map(|number| {
        let [high, low] = number.to_be_bytes();
        packet(UDP, [high, low, MORE, 0], [own, outside], &[0; 64])
    });
    forge_packets(&one.space, outside, pieces);
    let count = waiting(&world.host);
    assert!((100..=most(since)).contains(&count), "{count}");
    let own = address_6(&world, &six);
    let gateway: Ipv6Addr = "fd00:9::1".parse().unwrap();
    let mac = bridge(&world)["address"].as_str().unwrap().to_owned();
    let known = format!("neigh replace {gateway} lladdr {mac} dev eth0");
    six.space.ip(&known);
    let (before, since) = (passed(&world.host, true), Instant::now());
    let pieces = (1..=PIECES).map(|number| {
        let mut packet = vec![0x60, 0, 0, 0, 0, 72, 44, 64];
        [own, gateway]
            .iter()
            .for_each(|one| packet.extend(one.octets()));
        let [high, low] = number.to_be_bytes();
        packet.extend([UDP, 0, 0, 1, 0, 0, high, low]);
        packet.extend([0; 64]);
        packet
    });
    forge_packets_6(&six.space, gateway, pieces);
    let count = passed(&world.host, false) - before;
    assert!((100..=most(since)).contains(&count), "{count}");

    // Those of the other one are put together: each of its datagrams is one of three packets.
    let server = bind(&world.outside, 81);
    let client = bind(&other.space, 0);
    for _ in 0..20 {
        client.send_to(&[7; 3000], (OUTSIDE, 81)).unwrap();
        let mut bytes = [0; 4000];
        assert_eq!(server.recv_from(&mut bytes).unwrap().0, 3000);
    }
}
