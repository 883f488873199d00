//! Networks on an adapter of the host, and over other hosts.

use std::net::TcpListener;

use super::*;

/// The network of the adapter that leads to the outside.
fn on_adapter() -> Value {
    let adapter = json!({ "NetworkAdapterName": "up0" });
    json!({
        "Name": "lan", "Type": "Transparent",
        "Policies": [{ "Type": "NetAdapterName", "Settings": adapter }],
        "Ipams": [{ "Subnets": [{ "IpAddressPrefix": "198.51.100.0/24" }] }],
    })
}

const INSIDE: &str = "198.51.100.50";

/// The number of the container's link, which is another one where it was made again.
fn index(space: &Space) -> String {
    let said = space.program("ip -o link show eth0");
    said.split(':').next().unwrap().to_owned()
}

fn reaches(outside: &Space, server: &TcpListener) {
    assert_eq!(outside.talk((INSIDE, 80), server), OUTSIDE);
}

#[test]
fn containers_on_an_adapter_outlive_the_service_and_come_back_with_their_adapter() {
    let (host, outside) = world();
    let mut service = host.run(Service::new);
    let mut client = service.client();
    let network = made(&mut client, &create(ObjectKind::Network, "", on_adapter()));
    let own = json!({ "Endpoints": [at(&network, INSIDE)] });
    let inside = started(&service, &mut client, 1, &own);
    let server = inside.listen(80);
    reaches(&outside, &server);
    let endpoint = listed(&mut client, ObjectKind::Endpoint).remove(0);
    assert!(counted(&mut client, &endpoint)["BytesReceived"].as_u64() > Some(0));
    let former = index(&inside);
    service.kill();
    host.run(|| service.run());
    reaches(&outside, &server);
    assert_eq!(index(&inside), former, "it was taken over as it was");

    // What the next service does not find is made again: rules in the container, and the link.
    inside.program("nft flush ruleset");
    await_that("the rules are there again", || {
        inside.program("nft list tables").contains("netdev")
    });
    host.program("ip link delete up0");
    assert!(!inside.program("ip -o link show").contains("eth0"));
    space::connect(&host, &outside);
    await_that("the link is there again", || {
        inside.program("ip -o -4 addr show").contains(INSIDE)
    });
    reaches(&outside, &server);

    let mut client = service.client();
    client
        .call(&crate::common::client::open_system(7, "net-1", None))
        .ok();
    client
        .call(&crate::common::client::terminate_system(7))
        .ok();
    await_that("its endpoint is gone", || {
        listed(&mut client, ObjectKind::Endpoint).is_empty()
    });
    client.call(&delete(ObjectKind::Network, &network)).ok();
    host.is_cleared();
}

#[test]
fn an_adapter_that_is_not_there_refuses_its_network_and_leaves_nothing() {
    let (host, _outside) = world();
    let service = host.run(Service::new);
    let mut client = service.client();
    let mut missing = on_adapter();
    missing["Policies"][0]["Settings"]["NetworkAdapterName"] = json!("none0");
    let refused = client.call(&create(ObjectKind::Network, "", missing));
    assert_eq!(refused.reply.result, HResult::HCN_E_ADAPTER_NOT_FOUND);
    assert_eq!(
        listed(&mut client, ObjectKind::Network),
        Vec::<String>::new()
    );
    // A virtual machine takes endpoints of other networks, and an address of the host is none for an endpoint.
    let network = made(&mut client, &create(ObjectKind::Network, "", on_adapter()));
    let own = json!({ "Endpoints": [at(&network, UPLINK)] });
    let refused = client.call(&create_system(1, "net-1", &container(&own)));
    assert_eq!(
        refused.reply.result,
        HResult::HCN_E_ADDR_INVALID_OR_RESERVED
    );
    assert_eq!(
        listed(&mut client, ObjectKind::Endpoint),
        Vec::<String>::new()
    );
    client.call(&delete(ObjectKind::Network, &network)).ok();
    host.is_cleared();
}

/// Kills a service while it makes and ends a container with this endpoint. What it leaves the next one finds, or
/// removes.
fn killed(host: &Space, service: &mut Service, own: &Value) {
    for round in 0..6_u32 {
        let id = format!("killed-{round}");
        let create = create_system(1, &id, &container(&json!({ "Endpoints": [own] })));
        let end = Call::TerminateSystem {
            system: 1,
            options: None,
        };
        let mut client = service.client();
        match round % 2 {
            0 => drop(client.send_together([&create, &end])),
            _ => {
                let [made, _ended] = client.send_together([&create, &end]);
                client.wait(made).ok();
            }
        }
        service.kill();
        host.run(|| service.run());
        let mut client = service.client();
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
}

#[test]
fn kills_leave_nothing_of_endpoints_on_an_adapter() {
    let (host, _outside) = world();
    let mut service = host.run(Service::new);
    let network = made(
        &mut service.client(),
        &create(ObjectKind::Network, "", on_adapter()),
    );
    killed(&host, &mut service, &at(&network, INSIDE));
    let mut client = service.client();
    client.call(&delete(ObjectKind::Network, &network)).ok();
    host.is_cleared();
}
