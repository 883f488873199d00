//! Proxies that connections of containers are led to.

use serde_json::{Value, json};

use crate::{
    traffic::{bind, exchange, listen, talk},
    world::{Container, FAR, OUTSIDE, World, can_work},
};

fn proxy(ip: &str, port: u16, more: &Value) -> Value {
    let mut settings = json!({"IP": ip, "Port": port.to_string()});
    for (name, value) in more.as_object().unwrap() {
        settings[name] = value.clone();
    }
    json!({"Type": "L4Proxy", "Settings": settings})
}

fn request(what: &str, policies: &Value) -> String {
    let settings = json!({ "Policies": policies });
    json!({"ResourceType": "Policy", "RequestType": what, "Settings": settings}).to_string()
}

fn change(world: &mut World, of: &Container, what: &str, policies: &Value) {
    let request = request(what, policies);
    world.state.modify_endpoint(of.endpoint, &request).unwrap();
    world.attach(of.endpoint, &of.space);
}

#[test]
fn connections_are_led_to_the_proxy_but_for_exceptions() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let network = world.network(1, json!({}));
    let there = world.container(network, 3, json!({}));
    let exceptions = json!({"Exceptions": [FAR], "Protocol": 6, "OutboundNAT": true});
    let policies = json!([proxy(&there.address, 8080, &exceptions)]);
    let one = world.container(network, 2, json!({ "Policies": policies }));
    let at_proxy = listen(&there.space, 8080);
    let outside = listen(&world.outside, 80);
    // Nothing listens where it was to go, at this port.
    let from = talk(&one.space, (OUTSIDE, 81), &at_proxy);
    assert_eq!(from.to_string(), one.address, "the proxy sees the endpoint");
    talk(&one.space, (FAR, 80), &outside);
    exchange(&one.space, (OUTSIDE, 81), &bind(&world.outside, 81));
    let own = listen(&one.space, 82);
    talk(&one.space, ("127.0.0.1", 82), &own);
    talk(&there.space, (&one.address, 82), &own);

    // One destination alone, and datagrams.
    let of_udp = json!({"Destination": "198.51.100.0/24", "Protocol": 17});
    change(
        &mut world,
        &one,
        "Update",
        &json!([proxy(&there.address, 53, &of_udp)]),
    );
    talk(&one.space, (OUTSIDE, 80), &outside);
    exchange(&one.space, (OUTSIDE, 81), &bind(&there.space, 53));
    change(&mut world, &one, "Reset", &json!([]));
    exchange(&one.space, (OUTSIDE, 81), &bind(&world.outside, 81));
    assert_eq!(one.space.program("nft", "list tables"), "");
}

#[test]
fn a_proxy_of_a_network_has_the_connections_of_all_its_endpoints_of_its_family() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let subnets = json!([{"Subnets": [{"IpAddressPrefix": "10.9.0.0/16"}, {"IpAddressPrefix": "fd00:9::/64"}]}]);
    let policies = json!([
        proxy("fd00:9::7", 8080, &json!({})),
        proxy("10.9.0.7", 8081, &json!({}))
    ]);
    let network = world.network(1, json!({"Ipams": subnets, "Policies": policies}));
    let addresses = json!([{"IpAddress": "10.9.0.7"}, {"IpAddress": "fd00:9::7"}]);
    let there = world.container(network, 3, json!({"IpConfigurations": addresses}));
    let [one, two] = [2, 4].map(|id| world.container(network, id, json!({})));
    let six = world.state.endpoint(two.endpoint).unwrap().leases()[1].address;
    let everywhere = |port: u16| {
        let bound = || std::net::TcpListener::bind(("::", port)).unwrap();
        there.space.run(bound)
    };
    let at_proxy = everywhere(8080);
    talk(&one.space, (&six.to_string(), 80), &at_proxy);
    let at_other = everywhere(8081);
    talk(&one.space, (&two.address, 80), &at_other);
    talk(&two.space, (OUTSIDE, 80), &at_other);
    // Its own go where it says.
    talk(&there.space, (OUTSIDE, 80), &listen(&world.outside, 80));
    let request = request("Remove", &policies);
    world.state.modify_network(network, &request).unwrap();
    world.attach(one.endpoint, &one.space);
    talk(&one.space, (&two.address, 80), &listen(&two.space, 80));
}
