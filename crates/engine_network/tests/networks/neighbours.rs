//! What endpoints can do to the kernel's table of neighbours, which is one for all network namespaces.

use std::{
    net::{IpAddr, Ipv6Addr, UdpSocket},
    time::{Duration, Instant},
};

use engine_network::{Host, detach};
use serde_json::{Value, json};

use crate::{
    traffic::{Messages, bind, exchange, forge_icmp6, listen, talk},
    world::{Container, FAR, OUTSIDE, Space, World, can_work},
};

/// The entries of the host's table for a link.
fn entries(host: &Space, link: &str) -> Vec<Value> {
    let listed = host.ip(&format!("-j neigh show dev {link}"));
    serde_json::from_str(&listed).unwrap()
}

#[test]
fn the_host_keeps_the_cards_of_endpoints_for_as_long_as_they_are_there() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let network = world.network(1, json!({}));
    let one = world.container(network, 2, json!({}));
    let intent = world.state.endpoint_intent(one.endpoint).unwrap();
    let entry = |world: &World| {
        let all = entries(&world.host, &intent.bridge);
        let mut all = all.into_iter();
        all.find(|entry| entry["dst"] == json!(one.address))
    };
    let kept = |mac: hcn::Mac, world: &World| {
        let entry = entry(world).unwrap();
        let told = mac.to_string().replace('-', ":").to_lowercase();
        assert_eq!(entry["lladdr"], json!(told));
        // The kernel does not count such an entry, and removes none.
        assert!(entry.get("extern_learn").is_some(), "{entry}");
        // Nor does it ask for it: of IPv6 it could not, and a connection by a load balancer would end after seconds.
        assert_eq!(entry["state"], json!(["NOARP"]), "{entry}");
    };
    kept(intent.mac, &world);
    // What is learned of it afterwards does not change that.
    talk(&world.host, (&one.address, 80), &listen(&one.space, 80));
    kept(intent.mac, &world);

    world
        .host
        .run(|| detach(&mut Host::open("hcs").unwrap(), &intent))
        .unwrap();
    assert_eq!(entry(&world), None);
    world.state.delete_endpoint(one.endpoint).unwrap();
    let addresses = json!([{"IpAddress": one.address}]);
    let next = world.container(network, 3, json!({"IpConfigurations": addresses}));
    let mac = world.state.endpoint_intent(next.endpoint).unwrap().mac;
    assert_ne!(mac, intent.mac);
    kept(mac, &world);
    talk(&world.host, (&next.address, 80), &listen(&next.space, 80));
}

#[test]
fn an_endpoint_that_sends_to_all_neighbours_of_the_host_does_not_fill_its_table() {
    /// The kernel's table takes a thousand or so.
    const NEIGHBOURS: u16 = 900;
    /// What an endpoint may do at once, and in each second.
    const AT_ONCE: u64 = 512;
    const A_SECOND: u64 = 100;
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let network = world.network(1, json!({}));
    let one = world.container(network, 2, json!({}));
    let other = world.container(network, 3, json!({}));
    world.host.ip("addr add 10.50.0.1/16 dev up0");
    world.rules();
    let open = bind(&world.outside, 81);
    exchange(&one.space, (OUTSIDE, 81), &open);
    let since = Instant::now();
    one.space.run(|| {
        // A socket may have few packets that wait for an answer of ARP.
        let sockets: Vec<_> = (0..64)
            .map(|_| UdpSocket::bind("0.0.0.0:0").unwrap())
            .collect();
        for number in 0..NEIGHBOURS {
            let [high, low] = number.to_be_bytes();
            let to = ([10, 50, 1 + high, low], 9);
            let socket = &sockets[usize::from(number) % sockets.len()];
            socket
                .send_to(b"x", std::net::SocketAddr::from(to))
                .unwrap();
        }
    });
    let asked = entries(&world.host, "up0");
    let most = AT_ONCE + A_SECOND * (since.elapsed().as_secs() + 1) + 2;
    assert!(asked.len() as u64 <= most, "{} of {most}", asked.len());
    assert!(asked.len() > 100, "{}", asked.len());
    // The other one has all that it may do, and what goes by a router is one neighbour, however much it is.
    let server = listen(&world.outside, 80);
    world.outside.ip("route add local 203.0.113.0/24 dev lo");
    for number in 1..=254 {
        let far = format!("203.0.113.{number}");
        talk(&other.space, (&far, 80), &server);
    }
    // It goes on itself, too.
    talk(&one.space, (FAR, 80), &server);
    let survey = world.survey();
    assert!(survey.rules, "what rules noted is no change of them");
}

#[test]
fn an_endpoint_without_an_address_of_ipv6_speaks_none() {
    const ECHO: u8 = 128;
    const REPORT: u8 = 143;
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let network = world.network(1, json!({}));
    let [one, two] = [2, 3].map(|id| world.container(network, id, json!({})));
    for space in [&one.space, &two.space] {
        let shown = space.ip("-6 -j addr show dev eth0");
        assert!(!shown.contains("fe80"), "{shown}");
        assert!(!space.ip("-6 route show").contains("fe80"));
    }
    // Nor by an address that root of it gives the link, or by none: the other one has one that may be spoken to.
    let card = |of: &Container| world.state.endpoint_intent(of.endpoint).unwrap().mac;
    let [own, target] = [&one, &two].map(|of| card(of).link_local());
    for (of, address) in [(&one, own), (&two, target)] {
        of.space
            .ip(&format!("addr add {address}/64 dev eth0 nodad"));
    }
    let mac = card(&two).to_string().replace('-', ":");
    one.space
        .ip(&format!("neigh replace {target} lladdr {mac} dev eth0"));
    let messages = Messages::of(&two.space);
    let mark = |text: &[u8]| [&[ECHO, 0, 0, 0][..], text].concat();
    forge_icmp6(&one.space, own, target, &mark(b"from its link"));
    let nothing = Ipv6Addr::UNSPECIFIED;
    forge_icmp6(&one.space, nothing, target, &[REPORT, 0, 0, 0, 0, 0, 0, 0]);
    // This is there when those would have been, on the same way.
    talk(&one.space, (&two.address, 80), &listen(&two.space, 80));
    let came = messages.all_so_far();
    let from_one = |(from, message): &(IpAddr, Vec<u8>)| {
        *from == IpAddr::from(own) || message.first() == Some(&REPORT)
    };
    assert!(!came.iter().any(from_one), "{came:?}");
    // What is forged does arrive where no rule keeps it back.
    world.host.program("nft", "delete table bridge hcs");
    forge_icmp6(&one.space, own, target, &mark(b"from its link"));
    let end = Instant::now() + Duration::from_secs(60);
    while !messages.all_so_far().iter().any(from_one) {
        assert!(Instant::now() < end, "it does not arrive");
        std::thread::sleep(Duration::from_millis(10));
    }
}
