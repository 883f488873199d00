//! Endpoints of containers that are kept ready.

use hcs_schema::HResult;
use hcs_wire::{
    network::{NetworkCall, ObjectKind},
    service::Call,
};
use serde_json::{Value, json};

use super::{
    address, container, create, delete, endpoint, gone, listed, made,
    space::{OUTSIDE, Space, UPLINK, world},
    started,
};
use crate::common::{
    Client, Service, await_that,
    client::{create_system, open_system},
};

/// More containers than it takes in a network until endpoints of it are kept ready.
const OFTEN: u64 = 3;

/// The ports of bridges, each with its number.
fn ports(host: &Space) -> Vec<(String, String)> {
    let said = host.program("ip -o link show");
    let ports = said.lines().filter(|line| line.contains(" master "));
    let named = ports.filter_map(|line| {
        let (number, rest) = line.split_once(": ")?;
        let name = rest.split(['@', ':']).next()?;
        Some((name.to_owned(), number.to_owned()))
    });
    named.collect()
}

/// A network that containers come to again and again, and the one port that is kept ready of it.
fn frequented(host: &Space, service: &Service, client: &mut Client) -> (String, (String, String)) {
    let network = made(
        client,
        &create(ObjectKind::Network, "", json!({ "Name": "nat" })),
    );
    for handle in 1..=OFTEN {
        started(
            service,
            client,
            handle,
            &json!({ "Endpoints": [endpoint(&network, 8080)] }),
        );
        client.terminate(handle);
    }
    let port = ready(host, client);
    (network, port)
}

/// The port that is kept ready where there is no container.
fn ready(host: &Space, client: &mut Client) -> (String, String) {
    assert_eq!(listed(client, ObjectKind::Endpoint), Vec::<String>::new());
    assert_eq!(listed(client, ObjectKind::Namespace), Vec::<String>::new());
    await_that("one is there", || ports(host).len() == 1);
    // Its link is there before its neighbour is told: a change of networks has its turn behind that.
    let id = made(client, &create(ObjectKind::Namespace, "", json!({})));
    client.call(&delete(ObjectKind::Namespace, &id)).ok();
    ports(host).remove(0)
}

/// The number of the link on the host that a container's own leads to.
fn leads_to(space: &Space) -> String {
    let said = space.program("ip -o link show dev eth0");
    let behind = said.split_once("eth0@if").unwrap().1;
    behind.split(':').next().unwrap().to_owned()
}

/// A container that is reached from the host, and ends: the number of the link there that its own leads to, and its
/// address.
fn reached(
    host: &Space,
    service: &Service,
    client: &mut Client,
    (handle, networking): (u64, &Value),
) -> (String, String) {
    let space = started(service, client, handle, networking);
    let (number, address) = (leads_to(&space), address(&space));
    let server = space.listen(80);
    host.talk((&address, 80), &server);
    drop((server, space));
    client.terminate(handle);
    (number, address)
}

#[test]
fn a_container_has_the_endpoint_of_the_one_that_it_is_made_of() {
    let (host, outside) = world();
    let service = host.run(|| Service::with_config("warm_slots = 1\n"));
    let mut client = service.client();
    let (network, (_, number)) = frequented(&host, &service, &mut client);
    let networking = json!({ "Endpoints": [endpoint(&network, 8080)] });
    let space = started(&service, &mut client, 20, &networking);
    assert_eq!(leads_to(&space), number);
    let endpoints = listed(&mut client, ObjectKind::Endpoint);
    assert_eq!(endpoints.len(), 1, "what is ready is no object");
    let own = super::queried(&mut client, ObjectKind::Endpoint, &endpoints[0]);
    assert_eq!(own["IpConfigurations"][0]["IpAddress"], address(&space));
    let server = space.listen(80);
    assert_eq!(outside.talk((UPLINK, 8080), &server), OUTSIDE);
    host.talk((&address(&space), 80), &server);
    space.talk((UPLINK, 8080), &server);
    let far = outside.listen(90);
    assert_eq!(space.talk((OUTSIDE, 90), &far), UPLINK);
    drop((server, far, space));
    client.terminate(20);
    ready(&host, &mut client);
    client.call(&delete(ObjectKind::Network, &network)).ok();
    host.is_cleared();
}

#[test]
fn what_is_kept_ready_goes_where_a_client_wants_its_address() {
    let (host, _outside) = world();
    let service = host.run(|| Service::with_config("warm_slots = 1\n"));
    let mut client = service.client();
    let (network, (name, _)) = frequented(&host, &service, &mut client);
    let known = host.program("ip -4 neigh show");
    let known: Vec<&str> = known
        .lines()
        .filter(|line| line.contains(" dev hcb"))
        .collect();
    let [line] = &*known else {
        panic!("{known:?}");
    };
    let wanted = line.split_whitespace().next().unwrap();
    let settings = json!({ "IpConfigurations": [{ "IpAddress": wanted }] });
    made(
        &mut client,
        &create(ObjectKind::Endpoint, &network, settings),
    );
    assert!(ports(&host).iter().all(|(port, _)| *port != name));
    // The container that it was made for is still of use.
    let networking = json!({ "Endpoints": [endpoint(&network, 8080)] });
    let (_, address) = reached(&host, &service, &mut client, (20, &networking));
    assert_ne!(address, wanted);
    client.call(&delete(ObjectKind::Network, &network)).ok();
    host.is_cleared();
}

#[test]
fn what_another_program_takes_away_of_what_is_kept_ready_is_there_for_a_container() {
    let (host, outside) = world();
    let service = host.run(|| Service::with_config("warm_slots = 1\n"));
    let mut client = service.client();
    let (network, (port, _)) = frequented(&host, &service, &mut client);
    let own = |port| json!({ "Endpoints": [endpoint(&network, port)] });
    let without_port = json!({ "Endpoints": [{
        "SchemaVersion": { "Major": 2, "Minor": 0 }, "HostComputeNetwork": network,
    }] });
    // At once: no check has been made of it.
    host.program(&format!("ip link delete {port}"));
    let space = started(&service, &mut client, 20, &own(8080));
    let server = space.listen(80);
    assert_eq!(outside.talk((UPLINK, 8080), &server), OUTSIDE);
    host.talk((&address(&space), 80), &server);

    // The link of a container that lives is made again when its ports change.
    let end = leads_to(&space);
    let mut live = ports(&host).into_iter();
    let (live, _) = live.find(|(_, number)| *number == end).unwrap();
    host.program(&format!("ip link delete {live}"));
    let endpoints = listed(&mut client, ObjectKind::Endpoint);
    let more = json!({ "Policies": endpoint(&network, 8081)["Policies"] });
    let change = json!({ "ResourceType": "Policy", "RequestType": "Add", "Settings": more });
    client
        .call(&Call::Network(NetworkCall::Modify {
            kind: ObjectKind::Endpoint,
            id: endpoints[0].clone(),
            settings: change.to_string(),
        }))
        .ok();
    assert_eq!(outside.talk((UPLINK, 8081), &server), OUTSIDE);
    drop((server, space));
    client.terminate(20);

    let (port, _) = ready(&host, &mut client);
    host.program(&format!("ip link delete {port}"));
    reached(&host, &service, &mut client, (21, &without_port));

    // The check that makes the bridge again makes its ports again.
    let (port, number) = ready(&host, &mut client);
    let links = host.ours().into_iter();
    let mut names = links.map(|name| name.split('@').next().unwrap_or_default().to_owned());
    let bridge = names.find(|name| name.starts_with("hcb")).unwrap();
    host.program(&format!("ip link delete {bridge}"));
    await_that("its port is one of the bridge again", || {
        host.program(&format!("ip -o link show dev {port}"))
            .contains(&bridge)
    });
    let (led, _) = reached(&host, &service, &mut client, (22, &without_port));
    assert_eq!(led, number);
    client.call(&delete(ObjectKind::Network, &network)).ok();
    host.is_cleared();
}

#[test]
fn nothing_that_was_kept_ready_outlives_the_service() {
    let (host, _outside) = world();
    let mut service = host.run(|| Service::with_config("warm_slots = 1\n"));
    let mut client = service.client();
    let (network, (_, number)) = frequented(&host, &service, &mut client);
    service.kill();
    gone(&host, "hce");
    host.run(|| service.run());
    let mut client = service.client();
    let networking = json!({ "Endpoints": [endpoint(&network, 8080)] });
    let (led, _) = reached(&host, &service, &mut client, (20, &networking));
    assert_ne!(led, number);
    client.call(&delete(ObjectKind::Network, &network)).ok();
    host.is_cleared();
}

#[test]
fn kills_while_endpoints_come_and_go_by_themselves_leave_nothing() {
    let (host, _outside) = world();
    let mut service = host.run(|| Service::with_config("warm_slots = 2\n"));
    let mut client = service.client();
    let network = made(
        &mut client,
        &create(ObjectKind::Network, "", json!({ "Name": "nat" })),
    );
    let networking = json!({ "Endpoints": [endpoint(&network, 8080)] });
    for round in 0..5 {
        for handle in 1..=OFTEN {
            started(&service, &mut client, handle, &networking);
            client.terminate(handle);
        }
        // Ends while one is taken, and another is put into a container that is kept ready.
        client.send(&create_system(20, "taken", &container(&networking)));
        for _ in 0..round * 100 {
            std::thread::yield_now();
        }
        service.kill();
        host.run(|| service.run());
        client = service.client();
        let opened = client.call(&open_system(20, "taken", None));
        if opened.reply.result == HResult::S_OK {
            client.terminate(20);
        }
        assert_eq!(
            listed(&mut client, ObjectKind::Endpoint),
            Vec::<String>::new()
        );
        gone(&host, "hce");
    }
    client.call(&delete(ObjectKind::Network, &network)).ok();
    host.is_cleared();
}
