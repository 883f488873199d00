//! Policies whose effect is in containers that live: sets of a network, tiers of rules, proxies.

use super::*;

fn modify(client: &mut Client, kind: ObjectKind, id: &str, what: &str, policies: &Value) {
    let settings = json!({
        "ResourceType": "Policy", "RequestType": what, "Settings": { "Policies": policies },
    });
    let call = Call::Network(NetworkCall::Modify {
        kind,
        id: id.to_owned(),
        settings: settings.to_string(),
    });
    client.call(&call).ok();
}

fn peers(values: &str) -> Value {
    let settings =
        json!({ "Id": "peers", "Name": "peers", "PolicyType": "IPSET", "Values": values });
    json!([{ "Type": "SetPolicy", "Settings": settings }])
}

/// An endpoint that is reached from the set of peers alone.
fn guarded(network: &str) -> Value {
    let rules = json!([
        { "TierAclRuleAction": "Allow", "Priority": 1, "RemoteAddresses": "peers" },
        { "TierAclRuleAction": "Block", "Priority": 2 },
    ]);
    let tier = json!({ "Name": "in", "Direction": "In", "Order": 1, "TierAclRules": rules });
    let mut document = endpoint(network, 8080);
    let policies = document["Policies"].as_array_mut().unwrap();
    policies.push(json!({ "Type": "TierAcl", "Settings": tier }));
    document
}

#[test]
fn a_set_that_changes_reaches_containers_that_live_and_outlives_the_service() {
    let (host, outside) = world();
    let mut service = host.run(Service::new);
    let mut client = service.client();
    let network = json!({ "Name": "nat", "Policies": peers("") });
    let network = made(&mut client, &create(ObjectKind::Network, "", network));
    let own = json!({ "Endpoints": [guarded(&network)] });
    let inside = started(&service, &mut client, 1, &own);
    let server = inside.listen(80);
    assert!(!outside.connects((UPLINK, 8080)), "the set is empty");
    modify(
        &mut client,
        ObjectKind::Network,
        &network,
        "Update",
        &peers(OUTSIDE),
    );
    assert_eq!(outside.talk((UPLINK, 8080), &server), OUTSIDE);

    // While the rule names it, the set stays; and the next service knows both.
    let remove = json!({
        "ResourceType": "Policy", "RequestType": "Remove", "Settings": { "Policies": peers("") },
    });
    let remove = Call::Network(NetworkCall::Modify {
        kind: ObjectKind::Network,
        id: network.clone(),
        settings: remove.to_string(),
    });
    client
        .call(&remove)
        .failed(HResult::HCN_E_ENTITY_HAS_REFERENCES);
    service.kill();
    host.run(|| service.run());
    let mut client = service.client();
    outside.talk((UPLINK, 8080), &server);
    modify(
        &mut client,
        ObjectKind::Network,
        &network,
        "Update",
        &peers("192.0.2.1"),
    );
    assert!(!outside.connects((UPLINK, 8080)));
    let id = listed(&mut client, ObjectKind::Endpoint).remove(0);
    let tier = guarded(&network)["Policies"][1].clone();
    modify(
        &mut client,
        ObjectKind::Endpoint,
        &id,
        "Remove",
        &json!([tier]),
    );
    outside.talk((UPLINK, 8080), &server);
    assert_eq!(inside.program("nft list tables"), "");
    client.call(&remove).ok();
    let open = crate::common::client::open_system(7, "net-1", None);
    client.call(&open).ok();
    client
        .call(&crate::common::client::terminate_system(7))
        .ok();
}

#[test]
fn a_proxy_of_a_network_comes_and_goes_under_a_container_that_lives() {
    let (host, outside) = world();
    let service = host.run(Service::new);
    let mut client = service.client();
    let network = json!({ "Name": "nat" });
    let network = made(&mut client, &create(ObjectKind::Network, "", network));
    let own = |port| json!({ "Endpoints": [endpoint(&network, port)] });
    let one = started(&service, &mut client, 1, &own(8080));
    let two = started(&service, &mut client, 2, &own(8081));
    let proxy = json!({ "IP": address(&two), "Port": "3128", "Destination": OUTSIDE });
    let proxy = json!([{ "Type": "L4Proxy", "Settings": proxy }]);
    modify(&mut client, ObjectKind::Network, &network, "Add", &proxy);
    let at_proxy = two.listen(3128);
    assert_eq!(one.talk((OUTSIDE, 80), &at_proxy), address(&one));
    let server = outside.listen(80);
    assert_eq!(two.talk((OUTSIDE, 80), &server), UPLINK, "its own go on");
    modify(&mut client, ObjectKind::Network, &network, "Remove", &proxy);
    assert_eq!(one.talk((OUTSIDE, 80), &server), UPLINK);
    for handle in [1, 2] {
        client.terminate(handle);
    }
}
