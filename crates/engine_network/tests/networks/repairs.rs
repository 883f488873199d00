//! What another program changes of what networks stand on is found, and made again; what another service stands on,
//! too, is left alone.

use engine_network::{Host, Survey, make_network, release};
use serde_json::{Value, json};

use crate::{
    traffic::{connects, listen, pings, talk},
    world::{OUTSIDE, Space, UPLINK, World, can_work},
};

fn mapping(external: u16) -> Value {
    let settings = json!({"Protocol": 6, "InternalPort": 80, "ExternalPort": external});
    json!({"Policies": [{"Type": "PortMapping", "Settings": settings}]})
}

fn forwards(world: &World) -> String {
    let path = "/proc/sys/net/ipv4/conf/up0/forwarding";
    world.host.run(|| std::fs::read_to_string(path).unwrap())
}

#[test]
fn what_differs_from_what_networks_need_is_found_and_made_again() {
    if !can_work() {
        return;
    }
    let sound = Survey {
        rules: true,
        ..Survey::default()
    };
    let mut world = World::new();
    let subnets = json!([{"Subnets": [{"IpAddressPrefix": "10.9.0.0/24"}, {"IpAddressPrefix": "fd00:9::/64"}]}]);
    let network = world.network(1, json!({ "Ipams": subnets }));
    let one = world.container(network, 2, mapping(8080));
    let server = listen(&one.space, 80);
    let bridge = world.state.network_intent(network).unwrap();
    let port = world.state.endpoint_intent(one.endpoint).unwrap().link;
    assert_eq!(world.survey(), sound);
    let name = &bridge.link;
    for change in [
        format!("link set {name} down"),
        format!("addr del 10.9.0.1/24 dev {name}"),
        format!("addr del fd00:9::1/64 dev {name}"),
        format!("link delete {name}"),
    ] {
        world.host.ip(&change);
        assert_eq!(world.survey().networks, [network], "{change}");
        let again = || make_network(&mut Host::open("hcs").unwrap(), &bridge);
        world.host.run(again).unwrap();
        world.attach(one.endpoint, &one.space);
        assert_eq!(world.survey(), sound, "{change}");
        assert!(pings(&one.space, OUTSIDE), "{change}");
    }
    for change in [
        format!("link set {port} down"),
        format!("link set {port} nomaster"),
        format!("link set {port} mtu 1280"),
        format!("link set {port} arp on"),
        format!("link set {port} type bridge_slave hairpin off"),
        format!("link set {port} type bridge_slave isolated on"),
        format!("link delete {port}"),
    ] {
        world.host.ip(&change);
        assert_eq!(world.survey().endpoints, [one.endpoint], "{change}");
        world.attach(one.endpoint, &one.space);
        assert_eq!(world.survey(), sound, "{change}");
        talk(&world.outside, (UPLINK, 8080), &server);
    }
    for setting in [
        format!("ipv4/conf/{name}/forwarding=0"),
        format!("ipv4/conf/{name}/route_localnet=0"),
        "ipv4/conf/up0/forwarding=0".to_owned(),
    ] {
        world.host.program("sysctl", &format!("-qw net/{setting}"));
        assert!(!world.forwarding_holds(), "{setting}");
        world.rules();
        assert!(world.forwarding_holds(), "{setting}");
        talk(&world.outside, (UPLINK, 8080), &server);
    }
    let heard = format!("-qw net/ipv6/conf/{name}/accept_ra=1");
    world.host.program("sysctl", &heard);
    assert_eq!(world.survey().networks, [network]);
}

#[test]
fn an_interface_that_becomes_the_way_out_forwards_from_then_on() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let network = world.network(1, json!({}));
    let one = world.container(network, 2, json!({}));
    world.host.ip("route delete default");
    assert!(world.forwarding_holds());
    world.host.ip("link add up1 type veth peer name out1");
    world
        .host
        .ip("route add default via 198.51.100.2 dev up0 metric 9");
    world.host.ip("link set up1 up");
    world.host.ip("route add default dev up1 metric 1");
    assert!(!world.forwarding_holds());
    world.rules();
    assert!(world.forwarding_holds());
    world.host.ip("route delete default dev up1");
    assert!(pings(&one.space, OUTSIDE));
}

#[test]
fn two_services_share_the_way_out_and_neither_ends_it_for_the_other() {
    if !can_work() {
        return;
    }
    let mut first = World::new();
    let network = first.network(1, json!({}));
    let one = first.container(network, 2, mapping(8081));
    let mut second = first.of_another_service();
    let network = second.network(3, json!({}));
    let two = second.container(network, 4, mapping(8082));
    let servers = [listen(&one.space, 80), listen(&two.space, 80)];
    assert!(first.forwarding_holds() && second.forwarding_holds());
    // The guard of the first lets pass what is for the second, and the other way round.
    for (container, port, server) in [(&one, 8081, &servers[0]), (&two, 8082, &servers[1])] {
        assert!(pings(&container.space, OUTSIDE));
        talk(&first.outside, (UPLINK, port), server);
    }
    // Neither leads to the addresses of the other's containers, nor does the outside.
    first
        .outside
        .ip(&format!("route add 10.0.0.0/8 via {UPLINK}"));
    for container in [&one, &two] {
        assert!(!connects(&first.outside, (&container.address, 80)));
    }
    assert!(!connects(&one.space, (&two.address, 80)));

    first.remove_all();
    assert_eq!(forwards(&first), "1\n", "the second needs it");
    assert!(pings(&two.space, OUTSIDE));
    talk(&first.outside, (UPLINK, 8082), &servers[1]);
    second.remove_all();
    assert_eq!(forwards(&first), "0\n", "as before the first");
}

#[test]
fn a_bridge_that_was_left_without_a_record_is_in_the_way_of_a_subnet() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let left = world.network(1, json!({}));
    let subnets = |world: &World, network| world.state.network_intent(network).unwrap().subnets;
    let before = subnets(&world, left);
    // As a service does not know it that has lost its records.
    world.state = hcn::State::default();
    let next = world.network(2, json!({}));
    assert_ne!(subnets(&world, next), before);
    let one = world.container(next, 3, json!({}));
    assert!(pings(&one.space, OUTSIDE));
}

#[test]
fn a_subnet_of_another_service_is_not_chosen_though_no_route_leads_there() {
    if !can_work() {
        return;
    }
    let mut first = World::new();
    let mut second = first.of_another_service();
    let subnets = |world: &World, network| world.state.network_intent(network).unwrap().subnets;
    let private = || json!({"Type": "Private"});
    let one = first.network(1, private());
    let two = second.network(2, private());
    let three = first.network(3, private());
    let all =
        [(&first, one), (&second, two), (&first, three)].map(|(world, id)| subnets(world, id));
    assert_eq!(
        all.map(|one| one[0].to_string()),
        ["10.231.0.0/24", "10.231.1.0/24", "10.231.2.0/24",]
    );
    // It is made again as it was.
    let intent = first.state.network_intent(one).unwrap();
    let again = || make_network(&mut Host::open("hcs").unwrap(), &intent);
    first.host.run(again).unwrap();
    assert_eq!(first.survey().networks, [] as [hcn::Guid; 0]);
}

#[test]
fn an_endpoint_comes_to_another_container_while_the_namespace_of_the_ended_one_is_kept() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let network = world.network(1, json!({}));
    let ended = world.container(network, 2, mapping(8080));
    let endpoint = world.state.endpoint_intent(ended.endpoint).unwrap();
    let released = || release(&mut Host::open("hcs").unwrap(), &endpoint);
    assert!(world.host.run(released).unwrap().is_some());
    let next = Space::new();
    world.attach(ended.endpoint, &next);
    let server = listen(&next, 80);
    talk(&world.outside, (UPLINK, 8080), &server);
    assert_eq!(ended.space.links(), Vec::<String>::new());
}
