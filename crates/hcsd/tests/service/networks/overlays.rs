//! Networks over other hosts, through a service on each of two hosts.

use super::*;

const NUMBER: u32 = 5000;
const ADDRESSES: [&str; 2] = ["10.77.0.10", "10.77.0.20"];
const MACS: [&str; 2] = ["00-15-5D-01-00-0A", "00-15-5D-02-00-14"];
const PROVIDERS: [&str; 2] = [UPLINK, OUTSIDE];

fn overlay() -> Call {
    let vsid = json!({ "Type": "VSID", "Settings": { "IsolationId": NUMBER } });
    let subnet = json!({ "IpAddressPrefix": "10.77.0.0/24", "Policies": [vsid] });
    let network = json!({ "Name": "over", "Type": "Overlay", "Ipams": [{ "Subnets": [subnet] }] });
    create(ObjectKind::Network, "", network)
}

/// An endpoint of the host `at`, for a container there.
fn own(network: &str, at: usize) -> Value {
    json!({
        "SchemaVersion": { "Major": 2, "Minor": 0 },
        "HostComputeNetwork": network, "MacAddress": MACS[at],
        "IpConfigurations": [{ "IpAddress": ADDRESSES[at] }],
    })
}

/// The same, as the other host knows it.
fn remote(network: &str, at: usize) -> Call {
    let place = json!({ "ProviderAddress": PROVIDERS[at] });
    let settings = json!({
        "MacAddress": MACS[at], "Flags": 1,
        "IpConfigurations": [{ "IpAddress": ADDRESSES[at] }],
        "Policies": [{ "Type": "ProviderAddress", "Settings": place }],
    });
    create(ObjectKind::Endpoint, network, settings)
}

/// What the kernel of a host was told of others.
fn told(host: &Space) -> String {
    let links = host.program("ip -o link show");
    let tunnel = links.lines().find_map(|line| {
        let name = line.split(": ").nth(1)?.split('@').next()?;
        name.starts_with("hcv").then(|| name.to_owned())
    });
    match tunnel {
        Some(tunnel) => host.program(&format!("bridge fdb show dev {tunnel}")),
        None => String::new(),
    }
}

#[test]
fn an_overlay_of_two_hosts_outlives_their_services() {
    let (here, there) = world();
    let hosts = [&here, &there];
    let mut services = hosts.map(|host| host.run(Service::new));
    let mut networks = Vec::new();
    let mut inside = Vec::new();
    for (at, service) in services.iter().enumerate() {
        let mut client = service.client();
        let network = made(&mut client, &overlay());
        made(&mut client, &remote(&network, 1 - at));
        let container = json!({ "Endpoints": [own(&network, at)] });
        inside.push(started(service, &mut client, 1, &container));
        networks.push(network);
    }
    let server = inside[1].listen(80);
    let reaches = || inside[0].talk((ADDRESSES[1], 80), &server);
    assert_eq!(reaches(), ADDRESSES[0]);
    let before = hosts.map(told);
    for service in &mut services {
        service.kill();
    }
    assert_eq!(reaches(), ADDRESSES[0]);
    for (service, host) in services.iter_mut().zip(hosts) {
        host.run(|| service.run());
    }
    assert_eq!(reaches(), ADDRESSES[0]);
    assert_eq!(hosts.map(told), before, "it was taken over as it was");

    // A tunnel that another program has removed is there again.
    services[0].kill();
    let links = here.program("ip -o link show type vxlan");
    let tunnel = links.split(": ").nth(1).unwrap().split('@').next().unwrap();
    here.program(&format!("ip link delete {tunnel}"));
    here.run(|| services[0].run());
    assert_eq!(reaches(), ADDRESSES[0]);

    drop(server);
    inside.clear();
    for (at, service) in services.iter().enumerate() {
        let mut client = service.client();
        let open = crate::common::client::open_system(7, "net-1", None);
        client.call(&open).ok();
        client
            .call(&crate::common::client::terminate_system(7))
            .ok();
        await_that("the endpoint of its container is gone", || {
            listed(&mut client, ObjectKind::Endpoint).len() == 1
        });
        client
            .call(&delete(ObjectKind::Network, &networks[at]))
            .ok();
        hosts[at].is_cleared();
    }
}

/// The host forwards for it from then on, though no network has changed.
#[test]
fn a_load_balancer_of_an_overlay_is_reached_as_soon_as_it_is_made() {
    const FRONT: &str = "192.0.2.50";
    let (host, _outside) = world();
    let service = host.run(Service::new);
    let mut client = service.client();
    let network = made(&mut client, &overlay());
    let own = json!({ "HostComputeNetwork": network, "SchemaVersion": { "Major": 2, "Minor": 0 } });
    let own = json!({ "Endpoints": [own] });
    let one = started(&service, &mut client, 1, &own);
    let endpoints = listed(&mut client, ObjectKind::Endpoint);
    let other = started(&service, &mut client, 2, &own);
    let port = json!({ "Protocol": 6, "InternalPort": 80, "ExternalPort": 8080 });
    let balancer = json!({
        "HostComputeEndpoints": endpoints, "FrontendVIPs": [FRONT], "PortMappings": [port],
    });
    let server = one.listen(80);
    let balancer = create(ObjectKind::LoadBalancer, "", balancer);
    let balancer = made(&mut client, &balancer);
    other.talk((FRONT, 8080), &server);
    client
        .call(&delete(ObjectKind::LoadBalancer, &balancer))
        .ok();
    drop((server, one, other));
    for handle in [1, 2] {
        client.terminate(handle);
    }
    gone(&host, "hce");
    client.call(&delete(ObjectKind::Network, &network)).ok();
    host.is_cleared();
}

/// Kills at moments that the kernel's scheduler chooses, in the midst of what makes and removes an overlay.
#[test]
fn kills_at_any_moment_leave_nothing_of_an_overlay() {
    let (host, _outside) = world();
    let mut service = host.run(Service::new);
    const NETWORK: &str = "0C6EC6A2-7F5D-4D29-9D17-3C4A7B0E0001";
    let with_id = |call: Call| match call {
        Call::Network(NetworkCall::Create {
            kind,
            network,
            settings,
            ..
        }) => Call::Network(NetworkCall::Create {
            kind,
            id: NETWORK.to_owned(),
            network,
            settings,
        }),
        other => other,
    };
    for round in 0..12_usize {
        let id = format!("killed-{round}");
        let container = container(&json!({ "Endpoints": [own(NETWORK, 0)] }));
        let calls = [
            with_id(overlay()),
            remote(NETWORK, 1),
            create_system(1, &id, &container),
            Call::TerminateSystem {
                system: 1,
                options: None,
            },
            delete(ObjectKind::Network, NETWORK),
        ];
        // All but the last that are sent have been done; that one may be at any step.
        let sent = 1 + round % calls.len();
        let mut client = service.client();
        for call in &calls[..sent - 1] {
            client.call(call).ok();
        }
        client.send_together([&calls[sent - 1]]);
        service.kill();
        host.run(|| service.run());
        let mut client = service.client();
        let opened = client.call(&crate::common::client::open_system(7, &id, None));
        if opened.reply.result == HResult::S_OK {
            client.call(&crate::common::client::terminate_system(7));
        }
        await_that("the container has left nothing", || {
            listed(&mut client, ObjectKind::Namespace).is_empty()
                && host.ours().iter().all(|name| !name.starts_with("hce"))
        });
        match listed(&mut client, ObjectKind::Network).is_empty() {
            // What is not known of is not there.
            true => assert_eq!(
                listed(&mut client, ObjectKind::Endpoint),
                Vec::<String>::new()
            ),
            // What is known of is whole: it is told of the other host, and goes as a whole.
            false => {
                assert!(
                    host.ours().iter().any(|name| name.starts_with("hcv")),
                    "round {round}"
                );
                if !listed(&mut client, ObjectKind::Endpoint).is_empty() {
                    assert!(told(&host).contains(PROVIDERS[1]), "round {round}");
                }
                client.call(&delete(ObjectKind::Network, NETWORK)).ok();
            }
        }
        host.is_cleared();
        assert!(told(&host).is_empty());
    }
}
