//! The host's side of a virtual machine's card: its link is made by another program, as by a machine's engine.

use std::{net::UdpSocket, os::fd::AsRawFd as _};

use engine_network::{Card, Host, Part as _, attach_card, detach, survey, sweep};
use hcs_schema::HResult;
use serde_json::{Value, json};

use crate::world::{Space, World, can_work};

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

#[test]
fn a_card_has_no_rules_that_only_a_containers_namespace_can_keep() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let network = world.network(1, json!({}));
    let rule = json!({"Type": "ACL", "Settings": {"Action": "Block", "Direction": "Out", "Protocols": "6"}});
    let endpoint = world.endpoint(network, 2, json!({ "Policies": [rule] }));
    let intent = world.state.endpoint_intent(endpoint).unwrap();
    let refused = world
        .host
        .run(|| Card(&intent).check(&mut Host::open("hcs").unwrap()));
    let refused = refused.unwrap_err();
    assert_eq!(refused.hresult, HResult::NOT_SUPPORTED, "{refused}");
    assert!(refused.message.contains("ACL"), "{refused}");
}

/// A pair of links stands for the card, so that frames can be sent by the other end of it.
#[test]
fn what_a_guest_sends_too_fast_is_dropped() {
    const DATAGRAMS: usize = 8000;
    const LENGTH: usize = 1300;
    const RATE: u64 = 10_000;
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let network = world.network(1, json!({}));
    let limit = json!({"Type": "QOS", "Settings": {"MaximumOutgoingBandwidthInBytes": RATE}});
    let endpoint = world.endpoint(network, 2, json!({ "Policies": [limit] }));
    let intent = world.state.endpoint_intent(endpoint).unwrap();
    world.rules();
    let guest = Space::new();
    let there = format!("/proc/{}/fd/{}", std::process::id(), guest.0.as_raw_fd());
    let link = &intent.link;
    world
        .host
        .ip(&format!("link add {link} type veth peer name eth0"));
    world.host.ip(&format!("link set eth0 netns {there}"));
    let attached = world
        .host
        .run(|| attach_card(&mut Host::open("hcs").unwrap(), &intent));
    attached.unwrap();
    let (address, length) = intent.addresses[0];
    guest.ip(&format!(
        "link set eth0 address {}",
        intent.mac.to_string().replace('-', ":")
    ));
    guest.ip(&format!(
        "addr add {address}/{length} broadcast 255.255.255.255 dev eth0"
    ));
    guest.ip("link set eth0 up");
    guest.ip("route add default dev eth0");
    let before = bridge_bytes(&world, &intent.bridge);
    guest.run(|| {
        let socket = UdpSocket::bind((address, 0)).unwrap();
        socket.set_broadcast(true).unwrap();
        for _ in 0..DATAGRAMS {
            let datagram = [0; LENGTH];
            socket.send_to(&datagram, "255.255.255.255:9").unwrap();
        }
    });
    let passed = bridge_bytes(&world, &intent.bridge) - before;
    assert!(passed > RATE, "{passed}");
    let half = u64::try_from(DATAGRAMS * LENGTH / 2).unwrap();
    assert!(passed < half, "{passed}");
}

/// Bytes that have come to a bridge itself.
fn bridge_bytes(world: &World, bridge: &str) -> u64 {
    let shown = world.host.ip(&format!("-j -s link show {bridge}"));
    let shown: Value = serde_json::from_str(&shown).unwrap();
    shown[0]["stats64"]["rx"]["bytes"].as_u64().unwrap()
}
