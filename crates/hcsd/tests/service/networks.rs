//! Networks, through a real service in a network namespace of the test's own, with real traffic.

mod clearing;
mod elsewhere;
mod fabrics;
mod figures;
mod kills;
mod machines;
mod once;
mod overlays;
mod policies;
mod shares;
mod space;
mod spares;

use hcs_schema::HResult;
use hcs_wire::{
    network::{NetworkCall, ObjectKind},
    service::{Call, Kind},
};
use serde_json::{Value, json};

use crate::common::{
    Client, Service, await_that,
    client::{create_system, start_system},
};
use space::{OUTSIDE, Space, UPLINK, world};

/// A document of version 2 with these properties.
fn document(mut properties: Value) -> String {
    properties["SchemaVersion"] = json!({ "Major": 2, "Minor": 0 });
    properties.to_string()
}

fn create(kind: ObjectKind, network: &str, properties: Value) -> Call {
    Call::Network(NetworkCall::Create {
        kind,
        id: String::new(),
        network: network.to_owned(),
        settings: document(properties),
    })
}

fn delete(kind: ObjectKind, id: &str) -> Call {
    let id = id.to_owned();
    let only_unused = false;
    Call::Network(NetworkCall::Delete {
        kind,
        id,
        only_unused,
    })
}

fn made(client: &mut Client, call: &Call) -> String {
    client.call(call).ok().json()["ID"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn listed(client: &mut Client, kind: ObjectKind) -> Vec<String> {
    let query = String::new();
    let call = Call::Network(NetworkCall::Enumerate { kind, query });
    serde_json::from_value(client.call(&call).ok().json()).unwrap()
}

fn queried(client: &mut Client, kind: ObjectKind, id: &str) -> Value {
    let (id, query) = (id.to_owned(), document(json!({})));
    let call = Call::Network(NetworkCall::Query { kind, id, query });
    client.call(&call).ok().json()
}

/// What went through an endpoint.
fn counted(client: &mut Client, id: &str) -> Value {
    let (id, query) = (id.to_owned(), String::new());
    let call = Call::Network(NetworkCall::Statistics { id, query });
    client.call(&call).ok().json()
}

/// A document of a container with this network.
fn container(networking: &Value) -> String {
    json!({
        "SchemaVersion": { "Major": 2, "Minor": 1 },
        "Owner": "test",
        "Container": { "Networking": networking },
    })
    .to_string()
}

/// An endpoint of `network` with this address.
fn at(network: &str, address: &str) -> Value {
    json!({
        "SchemaVersion": { "Major": 2, "Minor": 0 },
        "HostComputeNetwork": network,
        "IpConfigurations": [{ "IpAddress": address }],
    })
}

/// An endpoint of `network`, with a port of the host that leads to its port 80.
fn endpoint(network: &str, published: u16) -> Value {
    let mapping = json!({ "Protocol": 6, "InternalPort": 80, "ExternalPort": published });
    json!({
        "SchemaVersion": { "Major": 2, "Minor": 0 },
        "HostComputeNetwork": network,
        "Policies": [{ "Type": "PortMapping", "Settings": mapping }],
    })
}

/// Starts a container; its network namespace.
fn started(service: &Service, client: &mut Client, handle: u64, networking: &Value) -> Space {
    let id = format!("net-{handle}");
    let call = create_system(handle, &id, &container(networking));
    let runtime_id = client.call(&call).ok().reply.runtime_id.unwrap();
    client.call(&start_system(handle)).ok();
    space_of(service, &runtime_id)
}

/// The network namespace of a container.
fn space_of(service: &Service, runtime_id: &str) -> Space {
    Space::of(pid_of(service, runtime_id))
}

/// The first process of a container, as its record names it.
fn pid_of(service: &Service, runtime_id: &str) -> i32 {
    let directory = service.root().join("systems").join(runtime_id);
    let text = std::fs::read_to_string(directory.join("state.json")).unwrap();
    let record: Value = serde_json::from_str(&text).unwrap();
    let machine: Value = serde_json::from_str(record["machine"].as_str().unwrap()).unwrap();
    i32::try_from(machine["Pid"].as_i64().unwrap()).unwrap()
}

/// The first address of a container.
fn address(space: &Space) -> String {
    let said = space.program("ip -o -4 addr show dev eth0");
    let address = said
        .split_whitespace()
        .skip_while(|word| *word != "inet")
        .nth(1);
    address.unwrap().split('/').next().unwrap().to_owned()
}

fn gone(host: &Space, prefix: &str) {
    await_that("its links are gone", || {
        host.ours().iter().all(|name| !name.starts_with(prefix))
    });
}

#[test]
fn containers_of_a_network_reach_each_other_and_the_outside_a_published_port() {
    let (host, outside) = world();
    // None is kept ready, whose link would stay.
    let service = host.run(|| Service::with_config("warm_slots = 0\n"));
    let mut client = service.client();
    let network = made(
        &mut client,
        &create(ObjectKind::Network, "", json!({ "Name": "nat" })),
    );
    let own = |port| json!({ "Endpoints": [endpoint(&network, port)] });
    // Containers remember their router, which stays what it is when others come and go.
    let router = || {
        let said = host.program("ip -o link show type bridge");
        said.split_once("link/").unwrap().1.to_owned()
    };
    let mac = router();
    let one = started(&service, &mut client, 1, &own(8080));
    let two = started(&service, &mut client, 2, &own(8081));
    assert_eq!(router(), mac);
    let (first, second) = (address(&one), address(&two));
    assert_ne!(first, second);

    let server = two.listen(80);
    assert_eq!(one.talk((&second, 80), &server), first);
    assert_eq!(outside.talk((UPLINK, 8081), &server), OUTSIDE);
    host.talk(("127.0.0.1", 8081), &server);
    assert!(outside.is_refused((UPLINK, 8082)));
    let far = outside.listen(90);
    assert_eq!(one.talk((OUTSIDE, 90), &far), UPLINK, "it is translated");

    // A port belongs to its container, until that ends.
    let again = create_system(3, "net-3", &container(&own(8081)));
    let said = client
        .call(&again)
        .failed(HResult::HCN_E_PORT_ALREADY_EXISTS);
    assert!(said.contains("8081"), "{said}");
    // Nor is one taken from a program of the host.
    let program = host.listen(8083);
    let said = client
        .call(&create_system(5, "net-5", &container(&own(8083))))
        .failed(HResult::HCN_E_PORT_ALREADY_EXISTS);
    assert!(said.contains("8083"), "{said}");
    host.talk(("127.0.0.1", 8083), &program);
    drop(server);
    client.terminate(2);
    assert_eq!(listed(&mut client, ObjectKind::Endpoint).len(), 1);
    assert!(outside.is_refused((UPLINK, 8081)));
    started(&service, &mut client, 4, &own(8081));

    for handle in [1, 4] {
        client.terminate(handle);
    }
    drop((one, two));
    for kind in [ObjectKind::Endpoint, ObjectKind::Namespace] {
        assert_eq!(listed(&mut client, kind), Vec::<String>::new());
    }
    gone(&host, "hce");
    client.call(&delete(ObjectKind::Network, &network)).ok();
    host.is_cleared();
    assert_eq!(
        host.program("sysctl -n net.ipv4.conf.up0.forwarding"),
        "0\n"
    );
}

#[test]
fn a_namespace_is_the_network_of_a_container_and_stays_without_it() {
    let (host, _outside) = world();
    let service = host.run(Service::new);
    let mut client = service.client();
    let network = made(
        &mut client,
        &create(ObjectKind::Network, "", json!({ "Name": "a" })),
    );
    let lonely = made(
        &mut client,
        &create(ObjectKind::Endpoint, &network, json!({})),
    );
    let resources = json!([{ "Type": "Endpoint", "Data": { "Id": lonely } }]);
    let namespace = json!({ "Resources": resources });
    let namespace = made(&mut client, &create(ObjectKind::Namespace, "", namespace));
    let inside = started(&service, &mut client, 1, &json!({ "Namespace": namespace }));
    let first = address(&inside);
    let told = queried(&mut client, ObjectKind::Endpoint, &lonely);
    assert_eq!(told["IpConfigurations"][0]["IpAddress"], json!(first));
    let server = inside.listen(80);
    let before = counted(&mut client, &lonely);
    host.talk((&first, 80), &server);
    let after = counted(&mut client, &lonely);
    for (count, least) in [
        ("BytesSent", 160),
        ("BytesReceived", 160),
        ("PacketsSent", 3),
        ("PacketsReceived", 4),
    ] {
        let more = after[count].as_u64().unwrap() - before[count].as_u64().unwrap();
        assert!(more >= least, "{count}: {before}, {after}");
    }

    // An endpoint comes while it runs, and another goes. Nothing of it stays, and what was there does.
    let routes = inside.program("ip route");
    let block = json!({ "Direction": "In", "Action": "Block", "Priority": 1, "Protocols": "6" });
    let block = json!({ "Policies": [{ "Type": "ACL", "Settings": block }] });
    let more = made(&mut client, &create(ObjectKind::Endpoint, &network, block));
    let change = |kind: &str, endpoint: &str| {
        let settings = json!({ "EndpointId": endpoint });
        let request =
            json!({ "ResourceType": "Endpoint", "RequestType": kind, "Settings": settings });
        Call::Network(NetworkCall::Modify {
            kind: ObjectKind::Namespace,
            id: namespace.clone(),
            settings: request.to_string(),
        })
    };
    client.call(&change("Add", &more)).ok();
    assert!(inside.program("ip -o link show").contains("eth1"));
    assert!(inside.program("nft list tables").contains("eth1"));
    client.call(&change("Remove", &more)).ok();
    assert!(!inside.program("ip -o link show").contains("eth1"));
    assert_eq!(inside.program("nft list tables"), "");
    assert_eq!(inside.program("ip route"), routes);

    // One container at a time.
    let other = create_system(2, "net-2", &container(&json!({ "Namespace": namespace })));
    client.call(&other).failed(HResult::NOT_SUPPORTED);
    drop((server, inside));
    client.terminate(1);
    assert_eq!(listed(&mut client, ObjectKind::Endpoint).len(), 2);
    assert_eq!(counted(&mut client, &lonely)["PacketsSent"], 0);
    let told = queried(&mut client, ObjectKind::Namespace, &namespace);
    assert!(!told.to_string().contains("Container"), "{told}");
    let inside = started(&service, &mut client, 3, &json!({ "Namespace": namespace }));
    assert_eq!(address(&inside), first);
    drop(inside);
    client.terminate(3);

    let none = json!({ "Namespace": "00000000-0000-0000-0000-000000000001" });
    let none = create_system(4, "net-4", &container(&none));
    client.call(&none).failed(HResult::NOT_FOUND);
    client.call(&delete(ObjectKind::Namespace, &namespace)).ok();
    client.call(&delete(ObjectKind::Network, &network)).ok();
    assert_eq!(
        listed(&mut client, ObjectKind::Endpoint),
        Vec::<String>::new()
    );
    host.is_cleared();
}

#[test]
fn what_changes_of_an_attached_endpoint_holds_at_once() {
    let (host, outside) = world();
    let service = host.run(Service::new);
    let mut client = service.client();
    let network = made(
        &mut client,
        &create(ObjectKind::Network, "", json!({ "Name": "nat" })),
    );
    let own = json!({ "Endpoints": [endpoint(&network, 8080)] });
    let one = started(&service, &mut client, 1, &own);
    let server = one.listen(80);
    assert_eq!(outside.talk((UPLINK, 8080), &server), OUTSIDE);

    let id = listed(&mut client, ObjectKind::Endpoint).remove(0);
    let mut policies = |what: &str, policies: Value| {
        let settings = json!({
            "ResourceType": "Policy", "RequestType": what, "Settings": { "Policies": policies },
        });
        let call = Call::Network(NetworkCall::Modify {
            kind: ObjectKind::Endpoint,
            id: id.clone(),
            settings: settings.to_string(),
        });
        client.call(&call).ok();
    };
    let block = json!({ "Direction": "In", "Action": "Block", "Priority": 1, "Protocols": "6" });
    let block = json!([{ "Type": "ACL", "Settings": block }]);
    assert_eq!(one.program("nft list tables"), "");
    policies("Add", block.clone());
    assert_ne!(one.program("nft list tables"), "");
    assert!(!outside.connects((UPLINK, 8080)));
    policies("Remove", block);
    assert_eq!(one.program("nft list tables"), "");
    assert_eq!(outside.talk((UPLINK, 8080), &server), OUTSIDE);
    client.terminate(1);
    gone(&host, "hce");
}

#[test]
fn a_service_that_is_killed_leaves_its_networks_to_the_next() {
    let (host, outside) = world();
    let mut service = host.run(Service::new);
    let mut client = service.client();
    let network = made(
        &mut client,
        &create(ObjectKind::Network, "", json!({ "Name": "nat" })),
    );
    let own = json!({ "Endpoints": [endpoint(&network, 8080)] });
    let inside = started(&service, &mut client, 1, &own);
    let server = inside.listen(80);
    service.kill();
    outside.talk((UPLINK, 8080), &server);
    // What others have flushed is there again.
    host.program("nft flush ruleset");
    host.run(|| service.run());
    outside.talk((UPLINK, 8080), &server);
    assert_eq!(listed(&mut service.client(), ObjectKind::Endpoint).len(), 1);
    host.program("nft flush ruleset");
    await_that("the service writes its rules again", || {
        !host.program("nft list tables").is_empty()
    });
    outside.talk((UPLINK, 8080), &server);

    // A container that ends while no service is there takes what it has along.
    service.kill();
    drop(server);
    let links = host.program("ip -o link show");
    assert!(links.contains("hce"), "{links}");
    drop(inside);
    let systems = std::fs::read_dir(service.root().join("systems"));
    let only = systems.unwrap().next().unwrap().unwrap().file_name();
    crate::common::kill(pid_of(&service, only.to_str().unwrap()));
    host.run(|| service.run());
    let mut client = service.client();
    assert_eq!(
        listed(&mut client, ObjectKind::Endpoint),
        Vec::<String>::new()
    );
    gone(&host, "hce");
    assert!(outside.is_refused((UPLINK, 8080)));
    client.call(&delete(ObjectKind::Network, &network)).ok();
    host.is_cleared();
}

#[test]
fn what_another_program_changes_of_a_network_is_as_it_was_soon() {
    let (host, outside) = world();
    let service = host.run(Service::new);
    let mut client = service.client();
    let network = made(
        &mut client,
        &create(ObjectKind::Network, "", json!({ "Name": "nat" })),
    );
    let own = json!({ "Endpoints": [endpoint(&network, 8080)] });
    let one = started(&service, &mut client, 1, &own);
    let server = one.listen(80);
    outside.talk((UPLINK, 8080), &server);
    let of = |prefix: &str| {
        let ours = host.ours().into_iter();
        let mut names = ours.map(|name| name.split('@').next().unwrap_or_default().to_owned());
        names.find(|name| name.starts_with(prefix))
    };
    let (bridge, port) = (of("hcb").unwrap(), of("hce").unwrap());
    let forwards = || host.program("sysctl -n net.ipv4.conf.up0.forwarding") == "1\n";

    host.program(&format!("ip link delete {bridge}"));
    host.program("sysctl -qw net.ipv4.conf.up0.forwarding=0");
    await_that("the bridge is there, and forwards", || {
        of("hcb").is_some() && forwards()
    });
    await_that("its port is one of it", || {
        host.program(&format!("ip -o link show {port}"))
            .contains(&bridge)
    });
    outside.talk((UPLINK, 8080), &server);

    host.program(&format!("ip link delete {port}"));
    await_that("the link is there", || of("hce").is_some());
    outside.talk((UPLINK, 8080), &server);
    client.terminate(1);
    client.call(&delete(ObjectKind::Network, &network)).ok();
    host.is_cleared();
    assert!(!forwards());
}

#[test]
fn a_service_that_goes_leaves_the_way_out_to_another() {
    let (host, outside) = world();
    let forwards = || host.program("sysctl -n net.ipv4.conf.up0.forwarding") == "1\n";
    let services = [(); 2].map(|()| host.run(Service::new));
    let mut clients = services.each_ref().map(Service::client);
    let networks = clients.each_mut().map(|client| {
        let call = create(ObjectKind::Network, "", json!({ "Name": "nat" }));
        made(client, &call)
    });
    let mut servers = Vec::new();
    for (at, port) in [(0, 8081), (1, 8082)] {
        let own = json!({ "Endpoints": [endpoint(&networks[at], port)] });
        let space = started(&services[at], &mut clients[at], 1, &own);
        servers.push(space.listen(80));
        outside.talk((UPLINK, port), &servers[at]);
    }
    outside.talk((UPLINK, 8081), &servers[0]);
    clients[0].terminate(1);
    clients[0]
        .call(&delete(ObjectKind::Network, &networks[0]))
        .ok();
    assert!(forwards(), "the other one needs it");
    outside.talk((UPLINK, 8082), &servers[1]);
    clients[1].terminate(1);
    clients[1]
        .call(&delete(ObjectKind::Network, &networks[1]))
        .ok();
    assert!(!forwards(), "as before the first");
    host.is_cleared();
}

#[test]
fn a_peer_that_sends_before_a_port_is_published_reaches_it_afterwards() {
    let (host, outside) = world();
    let service = host.run(Service::new);
    let mut client = service.client();
    let network = made(
        &mut client,
        &create(ObjectKind::Network, "", json!({ "Name": "nat" })),
    );
    let bind = |space: &Space, port: u16| {
        space.run(|| {
            let socket = std::net::UdpSocket::bind(("0.0.0.0", port)).unwrap();
            let limit = std::time::Duration::from_secs(30);
            socket.set_read_timeout(Some(limit)).unwrap();
            socket
        })
    };
    let peer = bind(&outside, 0);
    let mut bytes = [0; 4];
    {
        let here = bind(&host, 8080);
        peer.send_to(b"ping", (UPLINK, 8080)).unwrap();
        here.recv(&mut bytes).unwrap();
    }
    let mut published = endpoint(&network, 8080);
    published["Policies"][0]["Settings"]["Protocol"] = json!(17);
    let one = started(
        &service,
        &mut client,
        1,
        &json!({ "Endpoints": [published] }),
    );
    let server = bind(&one, 80);
    peer.send_to(b"pong", (UPLINK, 8080)).unwrap();
    server.recv(&mut bytes).unwrap();
    assert_eq!(&bytes, b"pong");
    client.terminate(1);
    client.call(&delete(ObjectKind::Network, &network)).ok();
}

#[test]
fn a_load_balancer_leads_to_containers_as_long_as_they_live_and_outlives_the_service() {
    let (host, outside) = world();
    let mut service = host.run(Service::new);
    let mut client = service.client();
    let network = made(
        &mut client,
        &create(ObjectKind::Network, "", json!({ "Name": "nat" })),
    );
    let own = json!({ "HostComputeNetwork": network, "SchemaVersion": { "Major": 2, "Minor": 0 } });
    let own = json!({ "Endpoints": [own] });
    let one = started(&service, &mut client, 1, &own);
    let endpoints = listed(&mut client, ObjectKind::Endpoint);
    let port = json!({ "Protocol": 6, "InternalPort": 80, "ExternalPort": 8080 });
    let balancer = json!({ "HostComputeEndpoints": endpoints, "PortMappings": [port] });
    let balancer = create(ObjectKind::LoadBalancer, "", balancer);
    let balancer = made(&mut client, &balancer);
    let server = one.listen(80);
    outside.talk((UPLINK, 8080), &server);
    service.kill();
    host.run(|| service.run());
    let mut client = service.client();
    outside.talk((UPLINK, 8080), &server);
    let told = queried(&mut client, ObjectKind::LoadBalancer, &balancer);
    assert_eq!(told["HostComputeEndpoints"], json!(endpoints));
    client
        .call(&crate::common::client::open_system(1, "net-1", None))
        .ok();
    drop((server, one));
    client.terminate(1);
    let told = queried(&mut client, ObjectKind::LoadBalancer, &balancer);
    assert_eq!(told["HostComputeEndpoints"], json!([]));
    // That answer waited for what the container had to be given back.
    assert!(outside.is_refused((UPLINK, 8080)));
    gone(&host, "hce");
    client
        .call(&delete(ObjectKind::LoadBalancer, &balancer))
        .ok();
    client.call(&delete(ObjectKind::Network, &network)).ok();
    host.is_cleared();
}

/// Kills at moments that the kernel's scheduler chooses, in the midst of what makes and removes.
#[test]
fn kills_at_any_moment_leave_nothing() {
    let (host, _outside) = world();
    let mut service = host.run(Service::new);
    let mut client = service.client();
    let network = made(
        &mut client,
        &create(ObjectKind::Network, "", json!({ "Name": "nat" })),
    );
    for round in 0..12_u32 {
        let id = format!("killed-{round}");
        let own = container(&json!({ "Endpoints": [endpoint(&network, 8080)] }));
        let create = create_system(1, &id, &own);
        let end = Call::TerminateSystem {
            system: 1,
            options: None,
        };
        match round % 3 {
            0 => drop(client.send_together([&create, &end])),
            // The first records of it are there.
            1 => {
                client.send_together([&create]);
                await_that("a record", || {
                    let files = std::fs::read_dir(service.root().join("networks"));
                    files.unwrap().flatten().any(|file| {
                        let name = file.file_name().into_string().unwrap();
                        name.starts_with("endpoint.") && name.ends_with(".json")
                    })
                });
            }
            _ => {
                let [made, _ended] = client.send_together([&create, &end]);
                client.wait(made).ok();
            }
        }
        service.kill();
        host.run(|| service.run());
        client = service.client();
        // What lives is found, and ended; nothing else is left.
        let opened = client.call(&crate::common::client::open_system(7, &id, None));
        if opened.reply.result == HResult::S_OK {
            client.call(&crate::common::client::terminate_system(7));
        }
        await_that("nothing is left of it", || {
            listed(&mut client, ObjectKind::Endpoint).is_empty()
                && listed(&mut client, ObjectKind::Namespace).is_empty()
                && host.ours().iter().all(|name| !name.starts_with("hce"))
        });
    }
    client.call(&delete(ObjectKind::Network, &network)).ok();
    host.is_cleared();
}

#[test]
fn a_call_that_is_made_again_is_done_once() {
    let (host, _outside) = world();
    let mut service = host.run(Service::new);
    let instance = Some("c0ffee00-0000-4000-8000-000000000013");
    let mut client = Client::connect_as(&service.endpoint(), instance);
    let create = create(ObjectKind::Network, "", json!({ "Name": "once" }));
    client.send_as(Kind::Request, 40, &create, &[]);
    let first = client.wait(40).ok().json();
    let id = first["ID"].as_str().unwrap();
    service.kill();
    host.run(|| service.run());
    let mut client = Client::connect_as(&service.endpoint(), instance);
    client.send_as(Kind::Repeat, 40, &create, &[]);
    assert_eq!(client.wait(40).ok().json(), first);
    // Many calls whose clients have their answers do not make the last one unknown.
    let other = Some("c0ffee00-0000-4000-8000-000000000014");
    let mut other = Client::connect_as(&service.endpoint(), other);
    for number in 50..90 {
        let endpoint = self::create(ObjectKind::Endpoint, id, json!({}));
        other.send_as(Kind::Request, number, &endpoint, &[]);
        other.wait(number).ok();
    }
    let last = self::create(ObjectKind::Endpoint, id, json!({}));
    client.send_as(Kind::Request, 42, &last, &[]);
    let made = client.wait(42).ok().json();
    service.kill();
    host.run(|| service.run());
    let mut client = Client::connect_as(&service.endpoint(), instance);
    client.send_as(Kind::Repeat, 42, &last, &[]);
    assert_eq!(client.wait(42).ok().json(), made);
    assert_eq!(listed(&mut client, ObjectKind::Endpoint).len(), 41);
    let unused = Call::Network(NetworkCall::Delete {
        kind: ObjectKind::Network,
        id: id.to_owned(),
        only_unused: true,
    });
    let said = client
        .call(&unused)
        .failed(HResult::HCN_E_ENTITY_HAS_REFERENCES);
    assert!(said.contains("still has 41 of its endpoints"), "{said}");
    let delete = delete(ObjectKind::Network, id);
    client.send_as(Kind::Request, 41, &delete, &[]);
    client.wait(41).ok();
    service.kill();
    host.run(|| service.run());
    let mut client = Client::connect_as(&service.endpoint(), instance);
    client.send_as(Kind::Repeat, 41, &delete, &[]);
    client.wait(41).ok();
    client
        .call(&delete)
        .failed(HResult::HCN_E_NETWORK_NOT_FOUND);
    host.is_cleared();
}

#[test]
fn what_the_host_refuses_is_taken_back() {
    let (host, _outside) = world();
    let service = host.run(Service::new);
    let mut client = service.client();
    let id = "ABCDEF01-2345-4000-8000-000000000001";
    let create = Call::Network(NetworkCall::Create {
        kind: ObjectKind::Network,
        id: id.to_lowercase(),
        network: String::new(),
        settings: document(json!({ "Name": "a" })),
    });
    assert_eq!(made(&mut client, &create), id);
    let bridge = host.ours().into_iter().find(|name| name.starts_with("hcb"));
    let bridge = bridge.unwrap();
    client.call(&delete(ObjectKind::Network, id)).ok();
    // A link of another program has the name that the bridge is to have.
    host.program(&format!("ip link add {bridge} type bridge"));
    let said = client
        .call(&create)
        .failed(HResult::HCN_E_ADAPTER_NOT_FOUND);
    assert!(said.contains(&bridge), "{said}");
    assert_eq!(
        listed(&mut client, ObjectKind::Network),
        Vec::<String>::new()
    );
    let records = std::fs::read_dir(service.root().join("networks")).unwrap();
    assert_eq!(records.count(), 0, "its record is gone");
    assert_eq!(
        host.ours(),
        std::slice::from_ref(&bridge),
        "and no link is ours"
    );
    host.program(&format!("ip link del {bridge}"));
    assert_eq!(made(&mut client, &create), id);
    client.call(&delete(ObjectKind::Network, id)).ok();
    host.is_cleared();
}

#[test]
fn a_flood_of_changes_leaves_another_client_its_turn_and_ends_with_its_client() {
    const CHANGES: usize = 60;
    let (host, _outside) = world();
    let service = host.run(Service::new);
    let mut other = service.client();
    let network = |name: &str| create(ObjectKind::Network, "", json!({ "Name": name }));
    let mut flooding = service.client();
    for number in 0..CHANGES {
        flooding.send(&network(&format!("flood-{number}")));
    }
    // Answered when all of them have been taken up.
    listed(&mut flooding, ObjectKind::Network);
    made(&mut other, &network("other"));
    let there = listed(&mut other, ObjectKind::Network).len();
    assert!(there < CHANGES / 2, "{there} are there");
    // What waits is not begun any more.
    drop(flooding);
    made(&mut other, &network("last"));
    let there = listed(&mut other, ObjectKind::Network);
    assert!(there.len() < CHANGES / 2, "{} are there", there.len());
    for id in there {
        other.call(&delete(ObjectKind::Network, &id)).ok();
    }
    assert_eq!(
        listed(&mut other, ObjectKind::Network),
        Vec::<String>::new()
    );
    host.is_cleared();
}
