//! Rules of endpoints for what they may send and receive.

use serde_json::{Value, json};

use crate::{
    traffic::{bind, connects, exchange, listen, pings, talk},
    world::{Container, OUTSIDE, Space, World, can_work},
};

fn acl(direction: &str, action: &str, priority: u16, more: &Value) -> Value {
    let mut settings = json!({"Direction": direction, "Action": action, "Priority": priority});
    for (name, value) in more.as_object().unwrap() {
        settings[name] = value.clone();
    }
    json!({"Type": "ACL", "Settings": settings})
}

fn modify(world: &mut World, of: &Container, what: &str, policies: &Value) {
    let settings = json!({ "Policies": policies });
    let request = json!({"ResourceType": "Policy", "RequestType": what, "Settings": settings});
    world
        .state
        .modify_endpoint(of.endpoint, &request.to_string())
        .unwrap();
    world.attach(of.endpoint, &of.space);
}

#[test]
fn what_may_be_sent_and_received_is_decided_by_the_first_rule_that_fits() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let network = world.network(1, json!({}));
    let two = world.container(network, 3, json!({}));
    // Nothing is received but TCP at 80 and 8000 to 8010 from `two`; nothing is sent to the outside but UDP.
    let policies = json!([
        acl("In", "Block", 500, &json!({})),
        acl(
            "In",
            "Allow",
            100,
            &json!({
                "Protocols": "6", "LocalPorts": "80,8000-8010", "RemoteAddresses": two.address,
            })
        ),
        acl(
            "Out",
            "Block",
            300,
            &json!({"RemoteAddresses": "198.51.100.0/24"})
        ),
        acl(
            "Out",
            "Allow",
            200,
            &json!({"Protocols": "17", "RemotePorts": "81"})
        ),
    ]);
    let one = world.container(network, 2, json!({ "Policies": policies }));
    for port in [80, 8000, 8010] {
        talk(&two.space, (&one.address, port), &listen(&one.space, port));
    }
    let _closed = [listen(&one.space, 81), listen(&one.space, 8011)];
    assert!(!connects(&two.space, (&one.address, 81)));
    assert!(!connects(&two.space, (&one.address, 8011)));
    let _open = listen(&one.space, 80);
    assert!(!connects(&world.host, (&one.address, 80)), "from two only");
    // Answers to what it begins itself pass.
    talk(&one.space, (&two.address, 80), &listen(&two.space, 80));
    exchange(&one.space, (OUTSIDE, 81), &bind(&world.outside, 81));
    let server = listen(&world.outside, 80);
    assert!(!connects(&one.space, (OUTSIDE, 80)));
    assert!(pings(&one.space, "127.0.0.1"), "loopback is not concerned");

    // Changes hold at once, and without rules everything passes.
    modify(
        &mut world,
        &one,
        "Add",
        &json!([acl("Out", "Allow", 250, &json!({"Protocols": "TCP"}))]),
    );
    talk(&one.space, (OUTSIDE, 80), &server);
    modify(&mut world, &one, "Reset", &json!([]));
    assert!(connects(&two.space, (&one.address, 81)));
    assert!(pings(&one.space, OUTSIDE));
    assert_eq!(one.space.program("nft", "list tables"), "");
}

#[test]
fn rules_are_of_their_endpoint_and_of_both_families() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let subnets = json!([{"Subnets": [{"IpAddressPrefix": "10.9.0.0/16"}, {"IpAddressPrefix": "fd00:9::/64"}]}]);
    let network = world.network(1, json!({"Ipams": subnets}));
    let policies = json!([acl(
        "In",
        "Block",
        1,
        &json!({
            "Protocols": "6", "LocalPorts": "80", "RemoteAddresses": "fd00:9::/64",
        })
    )]);
    let one = world.container(network, 2, json!({ "Policies": policies }));
    let two = world.container(network, 3, json!({}));
    let everywhere = |space: &Space| space.run(|| std::net::TcpListener::bind("[::]:80").unwrap());
    let server = everywhere(&one.space);
    let six = world.state.endpoint(one.endpoint).unwrap().leases()[1].address;
    talk(&two.space, (&one.address, 80), &server);
    assert!(!connects(&two.space, (&six.to_string(), 80)));
    // With all but one blocked, addresses of IPv6 are found all the same.
    let policies = json!([
        acl("In", "Block", 2, &json!({})),
        acl("Out", "Block", 2, &json!({})),
        acl(
            "In",
            "Allow",
            1,
            &json!({"Protocols": "6", "LocalPorts": "80"})
        ),
    ]);
    let three = world.container(network, 4, json!({ "Policies": policies }));
    let server = everywhere(&three.space);
    let address = world.state.endpoint(three.endpoint).unwrap().leases()[1].address;
    talk(&two.space, (&address.to_string(), 80), &server);
    assert!(!connects(&three.space, (&two.address, 80)));
    let server = everywhere(&two.space);
    let other = world.state.endpoint(two.endpoint).unwrap().leases()[1].address;
    talk(&one.space, (&other.to_string(), 80), &server);
}

#[test]
fn rules_of_a_network_are_those_of_all_its_endpoints() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let mut block = acl("In", "Block", 5, &json!({"Protocols": "6"}));
    block["Type"] = json!("NetworkACL");
    let network = world.network(1, json!({ "Policies": [block] }));
    let allow = acl(
        "In",
        "Allow",
        4,
        &json!({"Protocols": "6", "LocalPorts": "80"}),
    );
    let one = world.container(network, 2, json!({ "Policies": [allow] }));
    let two = world.container(network, 3, json!({}));
    talk(&two.space, (&one.address, 80), &listen(&one.space, 80));
    let server = listen(&two.space, 80);
    assert!(!connects(&one.space, (&two.address, 80)));
    assert!(pings(&one.space, &two.address));
    let settings = json!({ "Policies": [] });
    let request = json!({"ResourceType": "Policy", "RequestType": "Reset", "Settings": settings});
    world
        .state
        .modify_network(network, &request.to_string())
        .unwrap();
    world.attach(two.endpoint, &two.space);
    talk(&one.space, (&two.address, 80), &server);
}
