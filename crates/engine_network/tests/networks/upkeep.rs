//! What networks promise when others change what is around them, and when they are changed themselves.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::fd::AsFd,
};

use engine_network::{Host, Rules, attach, detach, make_network, survey, write_rules};
use hcn::{
    BalancedPort, Guid, Mac, Mapping, Protocol, Spread,
    intent::{BalancerIntent, Intent},
};
use serde_json::{Value, json};

use crate::{
    traffic::{Messages, bind, connects, forge_icmp6, listen, pings, talk},
    world::{Container, OUTSIDE, Space, UPLINK, World, can_work},
};

fn mapping(external: u16) -> Value {
    let settings = json!({"Protocol": 6, "InternalPort": 80, "ExternalPort": external});
    json!({"Type": "PortMapping", "Settings": settings})
}

pub(crate) fn address_6(world: &World, of: &Container) -> Ipv6Addr {
    let leases = world.state.endpoint(of.endpoint).unwrap().leases();
    let mut addresses = leases.iter().map(|lease| lease.address);
    let found = addresses.find_map(|address| match address {
        IpAddr::V6(address) => Some(address),
        IpAddr::V4(_) => None,
    });
    found.unwrap()
}

fn link_local(world: &World, of: &Container) -> Ipv6Addr {
    world
        .state
        .endpoint(of.endpoint)
        .unwrap()
        .mac()
        .link_local()
}

/// An advertisement of a neighbour, or the question for one: that of `target`.
fn about(kind: u8, target: Ipv6Addr) -> Vec<u8> {
    const OVERRIDE: u8 = 0x20;
    [&[kind, 0, 0, 0, OVERRIDE, 0, 0, 0][..], &target.octets()].concat()
}

#[test]
fn routers_and_neighbours_that_a_container_plays_are_held_back() {
    if !can_work() {
        return;
    }
    const ECHO: u8 = 128;
    let mut world = World::new();
    let subnets = json!([{"Subnets": [{"IpAddressPrefix": "10.9.0.0/16"}, {"IpAddressPrefix": "fd00:9::/64"}]}]);
    let network = world.network(1, json!({"Ipams": subnets}));
    let [one, two, three] = [2, 3, 4].map(|id| world.container(network, id, json!({})));
    let [own, target, victim] = [&one, &two, &three].map(|of| address_6(&world, of));
    let own_link = link_local(&world, &one);
    let gateway = "fd00:9::1".parse().unwrap();
    let mut router = vec![134, 0, 0, 0, 64, 0, 0xff, 0xff];
    router.extend([0; 8]);
    let redirect = [&about(137, own)[..], &victim.octets()].concat();
    let nothing = Ipv6Addr::UNSPECIFIED;
    let forged = [
        ("a router", own_link, router),
        ("a redirect", own_link, redirect),
        ("a neighbour's address", own, about(136, victim)),
        ("the host's address", own, about(136, gateway)),
        (
            "a neighbour's own",
            own,
            about(136, link_local(&world, &three)),
        ),
        ("a question for a neighbour's", nothing, about(135, victim)),
        (
            "another's link",
            link_local(&world, &three),
            about(136, own),
        ),
        (
            "a made up link",
            "fe80::dead".parse().unwrap(),
            about(136, own),
        ),
    ];
    let messages = Messages::of(&two.space);
    for (what, source, message) in forged {
        forge_icmp6(&one.space, source, target, &message);
        // What is sent next arrives, and nothing that was sent before it.
        forge_icmp6(&one.space, own, target, &about(136, own));
        let mark = [&[ECHO, 0, 0, 0][..], what.as_bytes()].concat();
        forge_icmp6(&one.space, own, target, &mark);
        let mut allowed = 0;
        loop {
            let (from, seen) = messages.next();
            if seen[0] == ECHO && seen.ends_with(what.as_bytes()) {
                break;
            }
            let same = seen[0] == message[0] && seen[4..] == message[4..];
            assert!(
                !same || from != IpAddr::from(source),
                "{what} came from {from}"
            );
            allowed += u32::from(seen[4..] == about(136, own)[4..]);
        }
        assert!(allowed >= 1, "what it says of itself arrives");
    }
    // The host listens to no router on its bridges.
    let bridge = world.state.network_intent(network).unwrap().link;
    for setting in ["accept_ra", "accept_redirects"] {
        let path = format!("/proc/sys/net/ipv6/conf/{bridge}/{setting}");
        let value = world.host.run(|| std::fs::read_to_string(path).unwrap());
        assert_eq!(value, "0\n", "{setting}");
    }
}

fn forwards(world: &World, interface: &str) -> String {
    let path = format!("/proc/sys/net/ipv4/conf/{interface}/forwarding");
    world.host.run(|| std::fs::read_to_string(path).unwrap())
}

fn rules_are_there(world: &World) -> bool {
    let intent = world.state.intent();
    world.host.run(|| {
        survey(&mut Host::open("hcs").unwrap(), &intent)
            .unwrap()
            .rules
    })
}

#[test]
fn a_host_that_another_program_has_forward_goes_on_forwarding() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let neighbour = Space::new();
    world.host.ip("link add side0 type veth peer name near0");
    let there = std::os::fd::AsRawFd::as_raw_fd(&neighbour.0);
    let there = format!("/proc/{}/fd/{there}", std::process::id());
    world.host.ip(&format!("link set near0 netns {there}"));
    world.host.ip("addr add 192.0.2.1/24 dev side0");
    world.host.ip("link set side0 up");
    neighbour.ip("addr add 192.0.2.2/24 dev near0");
    neighbour.ip("link set near0 up");
    neighbour.ip("route add default via 192.0.2.1");
    world
        .outside
        .ip(&format!("route add 192.0.2.0/24 via {UPLINK}"));
    let server = listen(&neighbour, 80);

    let network = world.network(1, json!({}));
    let one = world.container(network, 2, json!({}));
    assert!(!connects(&world.outside, ("192.0.2.2", 80)));
    assert!(rules_are_there(&world));
    world
        .host
        .run(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap());
    assert!(!rules_are_there(&world), "the next check notices");
    world.rules();
    assert!(rules_are_there(&world));
    talk(&world.outside, ("192.0.2.2", 80), &server);
    assert!(pings(&one.space, OUTSIDE));
    world.undo_forwarding();
    assert_eq!(forwards(&world, "up0"), "1\n", "it is not ours to undo");
    talk(&world.outside, ("192.0.2.2", 80), &server);

    // A program that ends forwarding leaves us to turn it on again, and to put that back.
    world
        .host
        .run(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap());
    world.rules();
    assert!(pings(&one.space, OUTSIDE));
    assert!(!connects(&world.outside, ("192.0.2.2", 80)));
    world.undo_forwarding();
    assert_eq!(forwards(&world, "up0"), "0\n");
}

/// Attaches again, as for a change of policies.
fn again(world: &mut World, of: &Container) {
    world.attach(of.endpoint, &of.space);
}

fn index(world: &World, of: &Container) -> u64 {
    let name = world.state.endpoint_intent(of.endpoint).unwrap().link;
    let shown: Value =
        serde_json::from_str(&world.host.ip(&format!("-j link show {name}"))).unwrap();
    shown[0]["ifindex"].as_u64().unwrap()
}

#[test]
fn a_live_endpoint_is_brought_up_to_date_and_its_link_stays() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let network = world.network(1, json!({}));
    let one = world.container(network, 2, json!({}));
    let before = index(&world, &one);
    let mtu = |space: &Space, link: &str| {
        let shown: Value =
            serde_json::from_str(&space.ip(&format!("-j link show {link}"))).unwrap();
        shown[0]["mtu"].as_u64().unwrap()
    };
    let policies =
        json!([mapping(8080), {"Type": "InterfaceParameters", "Settings": {"Mtu": 1400}}]);
    let modify = |world: &mut World, what: &str| {
        let settings = json!({ "Policies": policies });
        let request = json!({"ResourceType": "Policy", "RequestType": what, "Settings": settings});
        world
            .state
            .modify_endpoint(one.endpoint, &request.to_string())
            .unwrap();
        again(world, &one);
    };
    let link = world.state.endpoint_intent(one.endpoint).unwrap().link;
    modify(&mut world, "Add");
    assert_eq!(
        (mtu(&one.space, "eth0"), mtu(&world.host, &link)),
        (1400, 1400)
    );
    // It reaches itself by its port of the host only if frames go out where they came in.
    let server = listen(&one.space, 80);
    talk(&one.space, (UPLINK, 8080), &server);
    modify(&mut world, "Remove");
    assert_eq!(
        (mtu(&one.space, "eth0"), mtu(&world.host, &link)),
        (1500, 1500)
    );
    assert_eq!(index(&world, &one), before);

    // A bridge that was removed and made again has its ports back.
    let bridge = world.state.network_intent(network).unwrap();
    world.host.ip(&format!("link delete {}", bridge.link));
    world
        .host
        .run(|| make_network(&mut Host::open("hcs").unwrap(), &bridge))
        .unwrap();
    again(&mut world, &one);
    assert!(pings(&one.space, OUTSIDE));
    assert_eq!(index(&world, &one), before);
}

#[test]
fn an_attachment_that_fails_leaves_the_link_that_was_there() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let network = world.network(1, json!({}));
    let one = world.container(network, 2, json!({}));
    let before = index(&world, &one);
    let mut intent = world.state.endpoint_intent(one.endpoint).unwrap();
    let attempt = |world: &World, intent: &hcn::intent::EndpointIntent, space: &Space| {
        world
            .host
            .run(|| attach(&mut Host::open("hcs").unwrap(), intent, space.0.as_fd()))
    };
    // Into another namespace than it is in.
    let other = Space::new();
    let failure = attempt(&world, &intent, &other).unwrap_err();
    assert!(failure.message.contains("another namespace"), "{failure}");
    assert_eq!(other.links(), [""; 0]);
    // With a prefix that is too long for the kernel.
    intent.addresses.push(("10.231.0.200".parse().unwrap(), 33));
    attempt(&world, &intent, &one.space).unwrap_err();
    assert_eq!(index(&world, &one), before);
    assert!(pings(&one.space, OUTSIDE));

    // Detached first, it goes.
    intent.addresses.pop();
    world
        .host
        .run(|| detach(&mut Host::open("hcs").unwrap(), &intent))
        .unwrap();
    attempt(&world, &intent, &other).unwrap();
    assert!(pings(&other, OUTSIDE));
}

/// The kernel removes the links of a namespace that ended some time later.
#[test]
fn an_endpoint_goes_from_a_namespace_that_just_ended_to_the_next() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let network = world.network(1, json!({}));
    let one = world.container(network, 2, json!({}));
    let mut space = one.space;
    for _ in 0..10 {
        drop(space);
        space = Space::new();
        world.attach(one.endpoint, &space);
        assert!(pings(&space, OUTSIDE));
    }
}

#[test]
fn a_private_network_reaches_no_published_port_even_if_the_host_forwards() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    world
        .host
        .run(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap());
    let nat = world.network(1, json!({}));
    let mut policy = mapping(8080);
    policy["Settings"]["Protocol"] = json!(17);
    let outer = world.container(nat, 2, json!({ "Policies": [policy] }));
    let server = bind(&outer.space, 80);
    for (number, kind) in [(3, "Private"), (4, "Internal")] {
        let network = world.network(number, json!({"Type": kind}));
        let one = world.container(network, 10 + number, json!({}));
        let bridge = world.state.network_intent(network).unwrap().link;
        let card = world.host.ip(&format!("-j link show {bridge}"));
        let card: Value = serde_json::from_str(&card).unwrap();
        let card = card[0]["address"].as_str().unwrap();
        let router = format!("{}.1", one.address.rsplit_once('.').unwrap().0);
        one.space
            .ip(&format!("neigh replace {router} lladdr {card} dev eth0"));
        one.space.ip(&format!("route add default via {router}"));
        // The host's way back, which an administrator may have made.
        world
            .host
            .ip(&format!("route replace {} dev {bridge}", one.address));
        // No answer would come back anyway; what counts is what arrives.
        for target in [UPLINK, &router] {
            bind(&one.space, 0)
                .send_to(b"within", (target, 8080))
                .unwrap();
        }
        bind(&world.outside, 0)
            .send_to(b"outside", (UPLINK, 8080))
            .unwrap();
        let mut bytes = [0; 16];
        let length = server.recv(&mut bytes).unwrap();
        assert_eq!(&bytes[..length], b"outside", "{kind}");
    }
}

#[test]
fn rules_that_others_changed_are_noticed_and_come_back() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let network = world.network(1, json!({}));
    // Beside it, so that two subnets touch.
    world.network(3, json!({}));
    let one = world.container(network, 2, json!({"Policies": [mapping(8080)]}));
    let server = listen(&one.space, 80);
    let handle = |world: &World| {
        let shown = world
            .host
            .program("nft", "-a list chain inet hcs forwarding");
        let line = shown.lines().find(|line| line.contains("guarded")).unwrap();
        line.rsplit(' ').next().unwrap().to_owned()
    };
    assert!(rules_are_there(&world));
    let all: [&dyn Fn(&World) -> String; 7] = [
        &|_| "flush table inet hcs".to_owned(),
        &|_| "flush chain bridge hcs holding".to_owned(),
        &|_| "flush set bridge hcs cards".to_owned(),
        &|_| "delete element inet hcs ports { tcp . 8080 }".to_owned(),
        &|_| "add table inet hcs { flags dormant; }".to_owned(),
        &|_| "chain inet hcs forwarding { policy drop; }".to_owned(),
        &|world| {
            format!(
                "replace rule inet hcs forwarding handle {} accept",
                handle(world)
            )
        },
    ];
    for change in all {
        let change = change(&world);
        world.host.program("nft", &change);
        assert!(!rules_are_there(&world), "{change}");
        world.rules();
        assert!(rules_are_there(&world), "{change}");
        talk(&world.outside, (UPLINK, 8080), &server);
    }
    // Rules of others are none of ours.
    world.host.program("nft", "add table inet other");
    world.host.program("nft", "add chain inet other hcs");
    assert!(rules_are_there(&world));
}

/// As many endpoints, addresses, mapped ports and load balancers as there can be.
#[test]
fn rules_for_all_that_can_be_are_one_transaction() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let network = world.network(1, json!({}));
    let id = world.endpoint(network, 2, json!({}));
    let one = world.state.endpoint_intent(id).unwrap();
    let ports = (1..=u16::MAX).map(|external| Mapping {
        protocol: Protocol::Tcp,
        external,
        address: None,
        internal: 80,
    });
    let mut ports = ports.collect::<Vec<_>>().into_iter();
    let endpoints = (1..=4096_u64).map(|number| {
        let mut endpoint = one.clone();
        endpoint.id = Guid(number.into());
        endpoint.link = hcn::intent::port_name(endpoint.id);
        endpoint.mac = Mac::of(number << 4);
        let addresses = (0..31).map(|at| Ipv6Addr::from(u128::from(number) << 64 | at));
        endpoint
            .addresses
            .extend(addresses.map(|address| (IpAddr::from(address), 64)));
        endpoint.mappings = ports.by_ref().take(256).collect();
        endpoint
    });
    let intent = Intent {
        endpoints: endpoints.collect(),
        balancers: (0..256).map(balancer).collect(),
        ..world.state.intent()
    };
    world.host.run(|| {
        let mut host = Host::open("hcs").unwrap();
        let rules = Rules::of(&intent, BTreeSet::new());
        write_rules(&mut host, &intent, &rules).unwrap();
    });
    let listed = world.host.program("nft", "list map inet hcs ports");
    assert_eq!(listed.matches("tcp . ").count(), usize::from(u16::MAX));
    assert!(rules_are_there(&world), "all of it is read back");
}

/// A load balancer with 256 endpoints and 4 ports: with 256 such, these are all that there can be.
fn balancer(number: u16) -> BalancerIntent {
    let address = |at: u32| IpAddr::V4(Ipv4Addr::from_bits((10 << 24) + at));
    let ports = (0..4).map(|port| BalancedPort {
        is_ipv4: true,
        address: (port > 0).then(|| address(number.into())),
        protocol: Protocol::Tcp,
        external: number * 4 + port + 1,
        internal: 80,
        spread: Spread::SourceAndProtocol,
    });
    BalancerIntent {
        id: Guid(number.into()),
        is_ipv4: true,
        ports: ports.collect(),
        source: Some(address(number.into())),
        targets: (0..256).map(address).collect(),
        one_way: Vec::new(),
    }
}

#[test]
fn what_an_endpoint_sends_is_limited_as_long_as_its_policy_is_there() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let network = world.network(1, json!({}));
    let of = |bytes: u64| json!({"Policies": [{"Type": "QOS", "Settings": {"MaximumOutgoingBandwidthInBytes": bytes}}]});
    let one = world.container(network, 2, of(1_000_000));
    let queue = |space: &Space| {
        let shown: Value =
            serde_json::from_str(&space.program("tc", "-j qdisc show dev eth0")).unwrap();
        (
            shown[0]["kind"].clone(),
            shown[0]["options"]["rate"].clone(),
        )
    };
    assert_eq!(queue(&one.space), (json!("tbf"), json!(1_000_000)));
    // What goes out beyond it waits, and comes to be dropped where it would wait for too long.
    let sender = bind(&one.space, 0);
    for _ in 0..2000 {
        let _none_is_dropped_here = sender.send_to(&[0; 1400], (OUTSIDE, 9));
    }
    let shown = one.space.program("tc", "-s -j qdisc show dev eth0");
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert!(shown[0]["overlimits"].as_u64().unwrap() > 0, "{shown}");
    let modify = |world: &mut World, what: &str, policies: Value| {
        let request = json!({"ResourceType": "Policy", "RequestType": what, "Settings": policies});
        world
            .state
            .modify_endpoint(one.endpoint, &request.to_string())
            .unwrap();
        again(world, &one);
    };
    modify(&mut world, "Update", of(10_000_000_000));
    assert_eq!(queue(&one.space), (json!("tbf"), json!(10_000_000_000_u64)));
    modify(&mut world, "Reset", json!({"Policies": []}));
    assert_ne!(queue(&one.space).0, "tbf");
    assert!(pings(&one.space, OUTSIDE));
}
