//! Reports that a packet was too large, and packets in parts: what one endpoint makes of them is not what others have.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::json;

use crate::{
    traffic::{checksum, forge_icmp6, forge_packet, listen, talk},
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
    forge_packet(&from.space, to, &whole);
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
