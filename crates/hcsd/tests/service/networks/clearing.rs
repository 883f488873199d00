//! What containers that have ended leave in the kernel.

use std::{
    net::{SocketAddr, UdpSocket},
    time::Duration,
};

use hcs_wire::network::ObjectKind;
use serde_json::{Value, json};

use super::{
    address, at, create, delete, gone, listed, made,
    space::{OUTSIDE, Space, world},
    started,
};
use crate::common::{Service, await_that};

/// Where an endpoint sends from, and what it sends to.
const OWN: u16 = 5000;

/// A socket for datagrams there. Longer than this takes nothing that works.
fn bind(space: &Space, port: u16) -> UdpSocket {
    space.run(|| {
        let socket = UdpSocket::bind(("0.0.0.0", port)).unwrap();
        let limit = Duration::from_secs(30);
        socket.set_read_timeout(Some(limit)).unwrap();
        socket
    })
}

/// Two that endpoints talk to, one of which goes on sending to all that it has heard from.
struct Peers {
    goes_on: UdpSocket,
    answers: UdpSocket,
    heard_from: Vec<SocketAddr>,
}

impl Peers {
    fn in_space(outside: &Space) -> Self {
        Self {
            goes_on: bind(outside, 6000),
            answers: bind(outside, 6001),
            heard_from: Vec::new(),
        }
    }

    /// The endpoint in that space hears nothing of the connections of those before.
    fn meet(&mut self, space: &Space) {
        let (own, mut bytes) = (bind(space, OWN), [0; 4]);
        // What goes on from before would be here first.
        for place in &self.heard_from {
            self.goes_on.send_to(b"late", place).unwrap();
        }
        own.send_to(b"ping", (OUTSIDE, 6001)).unwrap();
        let (_, place) = self.answers.recv_from(&mut bytes).unwrap();
        self.answers.send_to(b"pong", place).unwrap();
        own.recv(&mut bytes).unwrap();
        assert_eq!(&bytes, b"pong");
        own.send_to(b"ping", (OUTSIDE, 6000)).unwrap();
        let (_, place) = self.goes_on.recv_from(&mut bytes).unwrap();
        self.heard_from.push(place);
    }
}

/// An endpoint of `network` with this address, and nothing else.
fn only(network: &str, address: &str) -> Value {
    json!({ "Endpoints": [at(network, address)] })
}

#[test]
fn an_address_that_is_given_again_at_once_has_no_connection_of_the_endpoint_before() {
    let (host, outside) = world();
    let service = host.run(Service::new);
    let mut client = service.client();
    let subnets = json!([{ "Subnets": [{ "IpAddressPrefix": "10.9.0.0/24" }] }]);
    let nat = json!({ "Name": "nat", "Ipams": subnets });
    let network = made(&mut client, &create(ObjectKind::Network, "", nat));
    let networking = only(&network, "10.9.0.9");
    let mut peers = Peers::in_space(&outside);
    for handle in 1..=4 {
        let space = started(&service, &mut client, handle, &networking);
        assert_eq!(address(&space), "10.9.0.9");
        peers.meet(&space);
        client.terminate(handle);
    }
    client.call(&delete(ObjectKind::Network, &network)).ok();
    host.is_cleared();
}

#[test]
fn an_endpoint_that_comes_back_under_its_id_has_no_connection_of_the_one_before() {
    let (host, outside) = world();
    let service = host.run(Service::new);
    let mut client = service.client();
    let subnets = json!([{ "Subnets": [{ "IpAddressPrefix": "10.9.0.0/24" }] }]);
    let nat = json!({ "Name": "nat", "Ipams": subnets });
    let network = made(&mut client, &create(ObjectKind::Network, "", nat));
    let mut peers = Peers::in_space(&outside);
    // The same id with the same address, with another one, and again with the first.
    for (handle, address_of) in (1..).zip(["10.9.0.9", "10.9.0.9", "10.9.0.8", "10.9.0.9"]) {
        let mut networking = only(&network, address_of);
        networking["Endpoints"][0]["ID"] = json!("6a1cbbfe-5b4c-4e0c-9d0b-6ad1d3a0c6f1");
        let space = started(&service, &mut client, handle, &networking);
        assert_eq!(address(&space), address_of);
        peers.meet(&space);
        client.terminate(handle);
    }
    client.call(&delete(ObjectKind::Network, &network)).ok();
    host.is_cleared();
}

#[test]
fn links_of_ended_containers_go_and_a_socket_keeps_none() {
    let (host, _outside) = world();
    // None is kept ready, whose link would stay.
    let service = host.run(|| Service::with_config("warm_slots = 0\n"));
    let mut client = service.client();
    let nat = json!({ "Name": "nat" });
    let network = made(&mut client, &create(ObjectKind::Network, "", nat));
    let own = json!({ "Endpoints": [{
        "SchemaVersion": { "Major": 2, "Minor": 0 }, "HostComputeNetwork": network,
    }] });
    // Of the last one the namespace stays.
    let mut kept = None;
    for handle in 1..=5 {
        kept = Some(started(&service, &mut client, handle, &own));
        client.terminate(handle);
        assert_eq!(
            listed(&mut client, ObjectKind::Endpoint),
            Vec::<String>::new()
        );
    }
    gone(&host, "hce");
    await_that("no rule is about them", || {
        !host.program("nft list ruleset").contains("hce")
    });
    let known = host.program("ip neigh show");
    assert!(!known.contains("extern_learn"), "{known}");
    drop(kept);
    client.call(&delete(ObjectKind::Network, &network)).ok();
    host.is_cleared();
}

#[test]
fn an_address_that_was_being_given_back_when_the_service_was_killed_has_no_connection_after() {
    let (host, outside) = world();
    let mut service = host.run(Service::new);
    let mut client = service.client();
    let subnets = json!([{ "Subnets": [{ "IpAddressPrefix": "10.9.0.0/24" }] }]);
    let nat = json!({ "Name": "nat", "Ipams": subnets });
    let network = made(&mut client, &create(ObjectKind::Network, "", nat));
    let networking = only(&network, "10.9.0.9");
    let mut peers = Peers::in_space(&outside);
    for handle in 1..=3 {
        let space = started(&service, &mut client, handle, &networking);
        assert_eq!(address(&space), "10.9.0.9");
        peers.meet(&space);
        client.terminate(handle);
        // Its link lingers now, and no record tells of it.
        service.kill();
        host.run(|| service.run());
        client = service.client();
    }
    client.call(&delete(ObjectKind::Network, &network)).ok();
    host.is_cleared();
}
