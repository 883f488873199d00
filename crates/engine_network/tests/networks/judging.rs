//! Rules of an endpoint hold for others that reach it by a port of the host, where it sees the host's address.

use hcn::Guid;
use serde_json::{Value, json};

use crate::{
    traffic::{connects, listen, talk},
    world::{UPLINK, World, can_work},
};

fn acl(action: &str, priority: u16, remote: &str) -> Value {
    let settings = json!({
        "Direction": "In", "Action": action, "Priority": priority, "RemoteAddresses": remote,
    });
    json!({"Type": "ACL", "Settings": settings})
}

fn published(rules: &[Value]) -> Value {
    let mapping = json!({"Protocol": 6, "InternalPort": 80, "ExternalPort": 8080});
    let mut policies = vec![json!({"Type": "PortMapping", "Settings": mapping})];
    policies.extend(rules.iter().cloned());
    json!({ "Policies": policies })
}

#[test]
fn who_is_blocked_by_address_does_not_come_by_a_published_port() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let network = world.network(1, json!({}));
    let elsewhere = world.network(9, json!({}));
    let [two, three] = [3, 4].map(|id| world.container(network, id, json!({})));
    let [far, farther] = [5, 6].map(|id| world.container(elsewhere, id, json!({})));
    let blocked = [&two.address, &far.address].map(|address| acl("Block", 1, address));
    let one = world.container(network, 2, published(&blocked));
    let server = listen(&one.space, 80);
    let intent = world.state.intent();
    let gateways = intent
        .networks
        .iter()
        .map(|one| one.addresses[0].0.to_string());
    let by: Vec<String> = gateways.chain([UPLINK.to_owned()]).collect();
    assert_eq!(by.len(), 3);
    for address in &by {
        let by = (address.as_str(), 8080);
        for from in [&three, &farther, &one] {
            talk(&from.space, by, &server);
        }
        talk(&world.host, by, &server);
        for from in [&two, &far] {
            assert!(!connects(&from.space, by), "{} by {by:?}", from.address);
        }
    }
    talk(&world.outside, (UPLINK, 8080), &server);
    assert!(!connects(&two.space, (&one.address, 80)));
    assert!(world.survey().rules, "what was written is there");
    // Rules that are taken away count no more.
    let request = json!({
        "ResourceType": "Policy", "RequestType": "Remove", "Settings": {"Policies": blocked},
    });
    world
        .state
        .modify_endpoint(one.endpoint, &request.to_string())
        .unwrap();
    world.attach(one.endpoint, &one.space);
    talk(&two.space, (UPLINK, 8080), &server);
}

#[test]
fn tiers_and_sets_hold_for_a_published_port() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let set = json!({"Id": "web", "Name": "web", "PolicyType": "IPSET", "Values": ""});
    let sets = json!([{"Type": "SetPolicy", "Settings": set}]);
    let network = world.network(1, json!({ "Policies": sets }));
    let [two, three] = [3, 4].map(|id| world.container(network, id, json!({})));
    let gateway = world.state.network_intent(network).unwrap().addresses[0].0;
    let tier = |order: u16, rules: &Value| {
        let settings = json!({
            "Name": "tier", "Direction": "In", "Order": order, "TierAclRules": rules,
        });
        json!({"Type": "TierAcl", "Settings": settings})
    };
    let rules = [
        tier(
            1,
            &json!([
                {"TierAclRuleAction": "Pass", "Priority": 1, "RemoteAddresses": "web"},
                {"TierAclRuleAction": "Allow", "Priority": 2, "RemoteAddresses": gateway.to_string()},
                {"TierAclRuleAction": "Block", "Priority": 3},
            ]),
        ),
        tier(
            2,
            &json!([
                {"TierAclRuleAction": "Allow", "Priority": 1, "Protocols": "6", "LocalPorts": "80"},
                {"TierAclRuleAction": "Block", "Priority": 2},
            ]),
        ),
    ];
    let one = world.container(network, 2, published(&rules));
    let server = listen(&one.space, 80);
    let by = (&*gateway.to_string(), 8080);
    talk(&world.host, by, &server);
    assert!(!connects(&two.space, by) && !connects(&three.space, by));
    let set = json!({"Id": "web", "Name": "web", "PolicyType": "IPSET", "Values": two.address});
    let settings = json!({"Policies": [{"Type": "SetPolicy", "Settings": set}]});
    let request = json!({"ResourceType": "Policy", "RequestType": "Update", "Settings": settings});
    world
        .state
        .modify_network(network, &request.to_string())
        .unwrap();
    world.attach(one.endpoint, &one.space);
    talk(&two.space, by, &server);
    assert!(!connects(&three.space, by));
    assert!(world.survey().rules, "what was written is there");
}

#[test]
fn who_is_blocked_by_address_does_not_come_by_a_load_balancer() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let network = world.network(1, json!({}));
    let [two, three] = [3, 4].map(|id| world.container(network, id, json!({})));
    let rules = json!({"Policies": [acl("Block", 1, &two.address)]});
    let one = world.container(network, 2, rules);
    let server = listen(&one.space, 80);
    let ports = json!([{"Protocol": 6, "InternalPort": 80, "ExternalPort": 8080}]);
    let mut balance = |source: Option<&str>| {
        let mut document = json!({
            "SchemaVersion": {"Major": 2}, "HostComputeEndpoints": [one.endpoint.to_string()],
            "PortMappings": ports,
        });
        document["SourceVIP"] = json!(source);
        let text = document.to_string();
        match world.state.load_balancer(Guid(77)).is_ok() {
            true => world.state.modify_load_balancer(Guid(77), &text).unwrap(),
            false => world.state.create_load_balancer(Guid(77), &text).unwrap(),
        };
        world.rules();
        world.attach(one.endpoint, &one.space);
    };
    balance(None);
    talk(&three.space, (UPLINK, 8080), &server);
    assert!(!connects(&two.space, (UPLINK, 8080)));
    // With a source of its own it is the only peer that the endpoint sees.
    balance(Some("192.0.2.99"));
    let seen = talk(&two.space, (UPLINK, 8080), &server);
    assert_eq!(seen.to_string(), "192.0.2.99");
    talk(&world.outside, (UPLINK, 8080), &server);
}

#[test]
fn who_has_more_rules_than_there_is_room_for_is_not_reached_by_a_published_port() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let network = world.network(1, json!({}));
    let two = world.container(network, 3, json!({}));
    // Of four policies with as many combinations as each may have.
    let ports: Vec<String> = (1..=256).map(|port| port.to_string()).collect();
    let mut block = acl("Block", 1, "192.0.2.1");
    block["Settings"]["Protocols"] = json!("6");
    block["Settings"]["LocalPorts"] = json!(ports.join(","));
    let many = vec![block; 4];
    let mut filling = Vec::new();
    for id in 10..18 {
        let mut document = published(&many);
        document["Policies"][0]["Settings"]["ExternalPort"] = json!(9000 + id);
        filling.push(world.endpoint(network, id, document));
    }
    let one = world.container(network, 30, published(&many));
    let server = listen(&one.space, 80);
    // Of few rules, though its id comes last.
    let mut light = published(&[acl("Block", 1, "192.0.2.1")]);
    light["Policies"][0]["Settings"]["ExternalPort"] = json!(8081);
    let light = world.container(network, 31, light);
    let light_server = listen(&light.space, 80);
    talk(&two.space, (UPLINK, 8081), &light_server);
    assert!(!connects(&two.space, (UPLINK, 8080)));
    talk(&two.space, (&one.address, 80), &server);
    talk(&world.outside, (UPLINK, 8080), &server);
    talk(&world.host, (UPLINK, 8080), &server);
    for endpoint in &filling[..2] {
        world.state.delete_endpoint(*endpoint).unwrap();
    }
    world.rules();
    talk(&two.space, (UPLINK, 8080), &server);
}
