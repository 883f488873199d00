//! Tiers of rules, and sets of addresses that rules name: of containers, and of cards of virtual machines.

use engine_network::{Host, card_rules_are_there};
use hcn::Guid;
use serde_json::{Value, json};

use crate::{
    cards::{guest, rules},
    traffic::{connects, exchange, listen, pings, talk},
    world::{Container, OUTSIDE, World, can_work},
};

fn set(id: &str, kind: &str, values: &str) -> Value {
    json!({"Type": "SetPolicy", "Settings": {"Id": id, "Name": id, "PolicyType": kind, "Values": values}})
}

fn change_sets(world: &mut World, network: Guid, what: &str, sets: &Value) {
    let settings = json!({ "Policies": sets });
    let request = json!({"ResourceType": "Policy", "RequestType": what, "Settings": settings});
    let request = request.to_string();
    world.state.modify_network(network, &request).unwrap();
}

fn tier(direction: &str, order: u16, rules: &Value) -> Value {
    let settings = json!({
        "Name": "tier", "Direction": direction, "Order": order, "TierAclRules": rules,
    });
    json!({"Type": "TierAcl", "Settings": settings})
}

/// Of a set of peers TCP at 80 is received, of others nothing; what is sent to the outside is dropped by a rule of no
/// tier, unless the tier before it allows it.
fn policies(set: &str) -> Value {
    let outside = "198.51.100.0/24";
    let block =
        json!({"Direction": "Out", "Action": "Block", "Priority": 1, "RemoteAddresses": outside});
    json!([
        {"Type": "ACL", "Settings": block},
        // Written behind the other, and deciding after it.
        tier("In", 200, &json!([
            {"TierAclRuleAction": "Block", "Priority": 500},
            {"TierAclRuleAction": "Allow", "Priority": 100, "Protocols": "6", "LocalPorts": "80"},
        ])),
        tier("In", 100, &json!([
            {"TierAclRuleAction": "Pass", "Priority": 1, "RemoteAddresses": set},
            {"TierAclRuleAction": "Block", "Priority": 2},
        ])),
        tier("Out", 100, &json!([
            {"TierAclRuleAction": "Allow", "Protocols": "17", "RemotePorts": "81"},
        ])),
    ])
}

/// A network with a set of sets, and two containers without rules.
fn network(world: &mut World) -> (Guid, [Container; 2]) {
    let sets = json!([
        set("web", "IPSET", ""),
        set("far", "IPSET", "192.0.2.0/24,192.0.2.7,fd00:7::/64"),
        set("peers", "NESTEDIPSET", "web,far"),
    ]);
    let network = world.network(1, json!({ "Policies": sets }));
    let peers = [3, 4].map(|id| world.container(network, id, json!({})));
    (network, peers)
}

#[test]
fn tiers_decide_in_their_order_and_a_set_as_it_is_now() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let (network, [two, three]) = network(&mut world);
    let one = world.container(network, 2, json!({ "Policies": policies("peers") }));
    let server = listen(&one.space, 80);
    let other = listen(&one.space, 81);
    assert!(
        !connects(&two.space, (&one.address, 80)),
        "the set has not this one"
    );
    let with = |address: &str| json!([set("web", "IPSET", address)]);
    change_sets(&mut world, network, "Update", &with(&two.address));
    world.attach(one.endpoint, &one.space);
    talk(&two.space, (&one.address, 80), &server);
    assert!(
        !connects(&two.space, (&one.address, 81)),
        "the first tier passes it on"
    );
    assert!(
        !connects(&three.space, (&one.address, 80)),
        "the first tier drops it"
    );
    // What a tier allows no rule behind it drops; what no tier says anything of is left to those.
    exchange(
        &one.space,
        (OUTSIDE, 81),
        &crate::traffic::bind(&world.outside, 81),
    );
    let outside = listen(&world.outside, 80);
    assert!(!connects(&one.space, (OUTSIDE, 80)));
    talk(&one.space, (&two.address, 80), &listen(&two.space, 80));
    assert!(pings(&one.space, "127.0.0.1"), "loopback is not concerned");

    change_sets(&mut world, network, "Update", &with(&three.address));
    world.attach(one.endpoint, &one.space);
    assert!(!connects(&two.space, (&one.address, 80)));
    talk(&three.space, (&one.address, 80), &server);

    let settings = json!({ "Policies": [] });
    let request = json!({"ResourceType": "Policy", "RequestType": "Reset", "Settings": settings});
    let request = request.to_string();
    world.state.modify_endpoint(one.endpoint, &request).unwrap();
    world.attach(one.endpoint, &one.space);
    talk(&two.space, (&one.address, 81), &other);
    talk(&one.space, (OUTSIDE, 80), &outside);
    assert_eq!(one.space.program("nft", "list tables"), "");
}

#[test]
fn tiers_and_sets_of_a_card_decide_at_its_port() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let (network, [two, three]) = network(&mut world);
    let one = guest(&mut world, network, 2, &policies("peers"));
    let server = listen(&one.space, 80);
    let _other = listen(&one.space, 81);
    assert!(
        !connects(&two.space, (&one.address, 80)),
        "the set has not this one"
    );
    change_sets(
        &mut world,
        network,
        "Update",
        &json!([set("web", "IPSET", &two.address)]),
    );
    rules(&mut world, &[one.endpoint]);
    talk(&two.space, (&one.address, 80), &server);
    assert!(
        !connects(&two.space, (&one.address, 81)),
        "the first tier passes it on"
    );
    assert!(
        !connects(&three.space, (&one.address, 80)),
        "the first tier drops it"
    );
    exchange(
        &one.space,
        (OUTSIDE, 81),
        &crate::traffic::bind(&world.outside, 81),
    );
    let _outside = listen(&world.outside, 80);
    assert!(!connects(&one.space, (OUTSIDE, 80)));
    talk(&one.space, (&two.address, 80), &listen(&two.space, 80));

    // A set that another program has emptied is missed.
    let intent = world.state.endpoint_intent(one.endpoint).unwrap();
    let there = || card_rules_are_there(&mut Host::open("hcs").unwrap(), &[&intent]);
    let place = intent.sets.keys().position(|id| id == "peers").unwrap();
    let emptied = format!("flush set bridge hcs_{} members_{place}", intent.link);
    world.host.program("nft", &emptied);
    assert!(!world.host.run(there).unwrap());
    rules(&mut world, &[one.endpoint]);
    talk(&two.space, (&one.address, 80), &server);
}
