//! Routes that policies add (SDNRoute): where an endpoint's packets go then, and after.

use hcn::Guid;
use serde_json::{Value, json};

use crate::{
    traffic::{bind, connects, listen, pings, talk},
    world::{Container, FAR, OUTSIDE, Space, World, can_work},
};

fn route(to: &str, router: &str) -> Value {
    json!({"Type": "SDNRoute", "Settings": {"DestinationPrefix": to, "NextHop": router}})
}

fn modify(world: &mut World, of: &Container, what: &str, policies: &[Value]) {
    let settings = json!({ "Policies": policies });
    let request = json!({"ResourceType": "Policy", "RequestType": what, "Settings": settings});
    world
        .state
        .modify_endpoint(of.endpoint, &request.to_string())
        .unwrap();
    world.attach(of.endpoint, &of.space);
}

/// The routes of a container to other networks, as `ip` shows them.
fn routes(space: &Space) -> Vec<(String, String)> {
    let shown = ["-j route show", "-j -6 route show"].map(|command| space.ip(command));
    let shown = shown.map(|text| serde_json::from_str::<Vec<Value>>(&text).unwrap_or_default());
    let route = |route: &Value| {
        let by = route["gateway"].as_str()?;
        Some((route["dst"].as_str()?.to_owned(), by.to_owned()))
    };
    shown.concat().iter().filter_map(route).collect()
}

#[test]
fn a_route_of_a_policy_leads_to_its_next_hop_as_long_as_the_policy_is_there() {
    const TO: &str = "192.0.2.0/24";
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let network = world.network(1, json!({}));
    let [two, three] = [3, 4].map(|id| world.container(network, id, json!({})));
    let document = json!({"Policies": [route(TO, &two.address)]});
    let one = world.container(network, 2, document);
    // Each takes what is for the same address.
    let servers = [&two, &three].map(|container| {
        container.space.ip("addr add 192.0.2.7/32 dev lo");
        bind(&container.space, 9)
    });
    let client = bind(&one.space, 0);
    let arrives = |at: usize, text: &[u8]| {
        client.send_to(text, ("192.0.2.7", 9)).unwrap();
        let mut bytes = [0; 16];
        let (length, from) = servers[at].recv_from(&mut bytes).unwrap();
        assert_eq!(
            (&bytes[..length], from.ip().to_string()),
            (text, one.address.clone())
        );
    };
    arrives(0, b"first");
    // The container keeps what it has added itself.
    one.space
        .ip(&format!("route add 203.0.113.0/25 via {}", two.address));
    modify(&mut world, &one, "Update", &[route(TO, &three.address)]);
    arrives(1, b"other");
    let by = |to: &str, address: &str| (to.to_owned(), address.to_owned());
    let there = routes(&one.space);
    assert!(there.contains(&by(TO, &three.address)), "{there:?}");
    modify(
        &mut world,
        &one,
        "Add",
        &[route("203.0.113.128/25", &two.address)],
    );
    modify(&mut world, &one, "Remove", &[route(TO, &three.address)]);
    let there = routes(&one.space);
    for to in ["203.0.113.0/25", "203.0.113.128/25"] {
        assert!(there.contains(&by(to, &two.address)), "{there:?}");
    }
    assert!(there.iter().all(|(to, _)| to != TO), "{there:?}");
    client.send_to(b"elsewhere", ("192.0.2.7", 9)).unwrap();
    client.send_to(b"direct", (&*three.address, 9)).unwrap();
    let mut bytes = [0; 16];
    let (length, _) = servers[1].recv_from(&mut bytes).unwrap();
    assert_eq!(&bytes[..length], b"direct", "no route leads there any more");
    modify(&mut world, &one, "Reset", &[]);
    assert!(pings(&one.space, OUTSIDE), "the network's route stays");
}

#[test]
fn routes_of_ipv6_and_what_a_killed_service_left_of_others() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let subnets = json!([{"IpAddressPrefix": "10.9.0.0/24"}, {"IpAddressPrefix": "fd00:9::/64"}]);
    let network = world.network(1, json!({"Ipams": [{ "Subnets": subnets }]}));
    let policies = json!([
        route("2001:db8:5::/48", "fd00:9::9"),
        route("192.0.2.0/24", "10.9.0.9")
    ]);
    let one = world.container(network, 2, json!({ "Policies": policies }));
    let led = |space: &Space| {
        let all = routes(space).into_iter();
        let led = all
            .filter(|(to, _)| to != "default")
            .map(|(to, by)| format!("{to} by {by}"));
        led.collect::<Vec<_>>()
    };
    assert_eq!(
        led(&one.space),
        ["192.0.2.0/24 by 10.9.0.9", "2001:db8:5::/48 by fd00:9::9"]
    );
    // One that has written the record, and was killed then: the next attaches what it finds.
    let endpoint = world
        .state
        .endpoint(one.endpoint)
        .unwrap()
        .leases()
        .to_vec();
    world.state.end_endpoint(one.endpoint).unwrap();
    world.state.delete_namespace(Guid(2 << 80 | 2)).unwrap();
    let addresses = endpoint
        .iter()
        .map(|lease| json!({"IpAddress": lease.address.to_string()}));
    let document = json!({"IpConfigurations": addresses.collect::<Vec<_>>()});
    let again = world.endpoint(network, 2, document);
    world.attach(again, &one.space);
    assert_eq!(led(&one.space), [""; 0]);
}

#[test]
fn an_endpoint_on_an_adapter_reaches_what_is_behind_a_router_of_its_network() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let policy = json!({"Type": "NetAdapterName", "Settings": {"NetworkAdapterName": "up0"}});
    let subnet = json!({"IpAddressPrefix": "198.51.100.0/24"});
    let document =
        json!({"Type": "L2Bridge", "Policies": [policy], "Ipams": [{"Subnets": [subnet]}]});
    let network = world.network(1, document);
    let to = format!("{FAR}/32");
    let address = json!([{"IpAddress": "198.51.100.50"}]);
    let document = json!({"IpConfigurations": address, "Policies": [route(&to, OUTSIDE)]});
    let one = world.container(network, 2, document);
    let server = listen(&world.outside, 80);
    let seen = talk(&one.space, (FAR, 80), &server);
    assert_eq!(seen.to_string(), one.address);
    modify(&mut world, &one, "Remove", &[route(&to, OUTSIDE)]);
    assert!(!connects(&one.space, (FAR, 80)));
    talk(&one.space, (OUTSIDE, 80), &server);
}
