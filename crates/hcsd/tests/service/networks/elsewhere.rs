//! What a service leaves in one network namespace while the next one runs in another.

use hcs_wire::network::ObjectKind;
use serde_json::json;

use super::{
    create, delete, listed, made,
    space::{Space, world},
};
use crate::common::Service;

#[test]
fn what_was_left_in_another_network_namespace_goes_when_a_service_starts_there() {
    let (host, _outside) = world();
    let elsewhere = Space::new();
    let mut service = host.run(Service::new);
    let nat = create(ObjectKind::Network, "", json!({ "Name": "nat" }));
    let network = made(&mut service.client(), &nat);
    let left = host.ours();
    assert!(left[0].starts_with("hcb"), "{left:?}");
    service.kill();
    // There it is made again, and removed. What is here is out of reach.
    elsewhere.run(|| service.run());
    assert_eq!(elsewhere.ours(), left);
    let gone = delete(ObjectKind::Network, &network);
    service.client().call(&gone).ok();
    assert_eq!(host.ours(), left);
    service.kill();

    // While a container is attached there, a service with the same names lives: one in a container of its own.
    let shown = host.program("ip -o link show");
    let alias = shown.split("alias ").nth(1).unwrap();
    let alias = alias.split_whitespace().next().unwrap();
    let port = left[0].replace("hcb", "hce");
    host.program(&format!("ip link add {port} type veth peer name living"));
    host.program(&format!("ip link set {port} alias {alias}"));
    let living = host.ours();
    host.run(|| service.run());
    assert!(listed(&mut service.client(), ObjectKind::Network).is_empty());
    assert_eq!(host.ours(), living);
    service.kill();
    host.program("ip link delete living");

    host.run(|| service.run());
    let mut client = service.client();
    assert!(listed(&mut client, ObjectKind::Network).is_empty());
    host.is_cleared();
    made(&mut client, &nat);
}
