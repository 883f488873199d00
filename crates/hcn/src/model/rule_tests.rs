//! Sets of networks, and tiers of rules that name them.

use serde_json::{Value, json};

use super::{
    tests::{V2, asked, refuses, v2, with_network},
    *,
};

fn set(id: &str, kind: &str, values: &str) -> Value {
    json!({"Type": "SetPolicy", "Settings": {"Id": id, "Name": id, "PolicyType": kind, "Values": values}})
}

fn modify(state: &mut State, what: &str, policies: &Value) -> Result<Changes, Failure> {
    let settings = json!({ "Policies": policies });
    let request = json!({"ResourceType": "Policy", "RequestType": what, "Settings": settings});
    state.modify_network(Guid(1), &request.to_string())
}

fn endpoint(state: &mut State, id: u128, policies: &Value) -> Result<Changes, Failure> {
    state.create_endpoint(Guid(1), Guid(id), &v2(json!({ "Policies": policies })))
}

fn tier(order: u16, direction: &str, rules: &Value) -> Value {
    let settings =
        json!({"Name": "t", "Direction": direction, "Order": order, "TierAclRules": rules});
    json!({"Type": "TierAcl", "Settings": settings})
}

/// The ranges of a set that rules of an endpoint name.
fn ranges_of(state: &State, id: u128, set: &str) -> Vec<String> {
    let intent = state.endpoint_intent(Guid(id)).unwrap();
    let ranges = intent.sets[set].iter();
    ranges
        .map(|(first, last)| format!("{first}-{last}"))
        .collect()
}

fn attached(state: &mut State, id: u128) {
    let namespace = Guid(id << 32);
    let resources = json!([{"Type": "Endpoint", "Data": {"Id": Guid(id)}}]);
    let settings = json!({ "Resources": resources }).to_string();
    state.create_namespace(namespace, &settings).unwrap();
}

/// Neither one that another set names, nor one that a rule does.
fn none_is_taken_away_that_is_named(state: &State) {
    let not_found = HResult::HCN_E_POLICY_NOT_FOUND;
    refuses(state, not_found, "/Policies/0/Settings/Values", |state| {
        modify(state, "Remove", &json!([set("db", "IPSET", "")]))
    });
    let in_use = HResult::HCN_E_ENTITY_HAS_REFERENCES;
    refuses(state, in_use, "/Settings/Policies", |state| {
        modify(state, "Reset", &json!([]))
    });
    refuses(
        state,
        HResult::HCN_E_POLICY_ALREADY_EXISTS,
        "/Policies/3/Settings/Id",
        |state| modify(state, "Add", &json!([set("db", "IPSET", "")])),
    );
}

#[test]
fn sets_are_made_updated_and_removed_one_by_one() {
    let mut state = with_network();
    let web = set("web", "IPSET", "10.0.0.7");
    modify(
        &mut state,
        "Add",
        &json!([web, set("db", "IPSET", "10.0.0.8")]),
    )
    .unwrap();
    modify(
        &mut state,
        "Add",
        &json!([set("all", "NESTEDIPSET", "web,db")]),
    )
    .unwrap();
    let acl = |set: &str| {
        let settings = json!({"Action": "Allow", "Direction": "In", "RemoteAddresses": set});
        json!({"Type": "ACL", "Settings": settings})
    };
    endpoint(&mut state, 2, &json!([acl("all"), acl("web")])).unwrap();
    attached(&mut state, 2);
    assert_eq!(ranges_of(&state, 2, "all"), ["10.0.0.7-10.0.0.8"]);
    // An update concerns the sets that it names, and what has them in it.
    modify(
        &mut state,
        "Update",
        &json!([set("web", "IPSET", "10.0.0.9,fd00::/64")]),
    )
    .unwrap();
    assert_eq!(
        ranges_of(&state, 2, "all"),
        ["10.0.0.8-10.0.0.9", "fd00::-fd00::ffff:ffff:ffff:ffff"]
    );
    assert_eq!(ranges_of(&state, 2, "web").len(), 2);
    let policies = asked(state.query_network(Guid(1), V2))["Policies"].clone();
    assert_eq!(policies.as_array().unwrap().len(), 3, "{policies}");
    none_is_taken_away_that_is_named(&state);
    state.delete_endpoint(Guid(2)).unwrap();
    // The id tells which one is removed, whatever it holds by now.
    let not_found = HResult::HCN_E_POLICY_NOT_FOUND;
    modify(
        &mut state,
        "Remove",
        &json!([set("all", "NESTEDIPSET", "")]),
    )
    .unwrap();
    modify(&mut state, "Remove", &json!([web, set("db", "IPSET", "")])).unwrap();
    refuses(&state, not_found, "/Settings/Policies/0", |state| {
        modify(state, "Remove", &json!([set("db", "IPSET", "")]))
    });
}

#[test]
fn a_rule_names_sets_that_are_there() {
    let acl = |set: &str| {
        let settings = json!({"Action": "Allow", "Direction": "In", "RemoteAddresses": set});
        json!({"Type": "ACL", "Settings": settings})
    };
    let state = with_network();
    let unknown = HResult::HCN_E_INVALID_POLICY;
    refuses(
        &state,
        unknown,
        "/Policies/0/Settings/RemoteAddresses",
        |state| endpoint(state, 3, &json!([acl("web")])),
    );
}

#[test]
fn tiers_are_in_their_order_and_their_rules_count() {
    let mut state = with_network();
    modify(&mut state, "Add", &json!([set("web", "IPSET", "10.0.0.7")])).unwrap();
    let pass = json!([{"TierAclRuleAction": "Pass", "RemoteAddresses": "web"}]);
    let block = json!([{"TierAclRuleAction": "Block", "Priority": 2}]);
    let policies = json!([
        tier(9, "Out", &block),
        tier(3, "In", &pass),
        tier(9, "In", &block)
    ]);
    endpoint(&mut state, 2, &policies).unwrap();
    attached(&mut state, 2);
    let intent = state.endpoint_intent(Guid(2)).unwrap();
    let order: Vec<_> = intent
        .tiers
        .iter()
        .map(|one| (one.order, one.is_outgoing))
        .collect();
    assert_eq!(order, [(3, false), (9, true), (9, false)]);
    assert!(intent.has_access_rules() && intent.access.is_empty());
    assert_eq!(ranges_of(&state, 2, "web"), ["10.0.0.7-10.0.0.7"]);
    // Records bring back sets before the rules that name them.
    let records = state.objects().into_iter().rev();
    let records = records.filter_map(|object| state.record(object)).collect();
    let (restored, faults) = State::restore(records);
    assert!(restored == state && faults.is_empty(), "{faults:?}");

    let ports: Vec<String> = (1..=256).map(|port| port.to_string()).collect();
    let rule =
        json!({"TierAclRuleAction": "Allow", "Protocols": "6", "LocalPorts": ports.join(",")});
    let full = tier(1, "In", &json!([rule, rule, rule, rule]));
    endpoint(&mut state, 3, &json!([full])).unwrap();
    let many = json!([full, tier(2, "In", &block)]);
    let invalid = HResult::HCN_E_INVALID_POLICY;
    refuses(&state, invalid, "/Policies/1/Settings", |state| {
        endpoint(state, 4, &many)
    });
    let wrong = json!([tier(
        2,
        "In",
        &json!([{"TierAclRuleAction": "Allow", "RemotePorts": "1"}])
    )]);
    refuses(
        &state,
        invalid,
        "/Policies/0/Settings/TierAclRules/0/Protocols",
        |state| endpoint(state, 4, &wrong),
    );
}

#[test]
fn a_proxy_of_a_network_is_that_of_its_endpoints_but_for_itself() {
    let mut state = with_network();
    let proxy = |ip: &str, port: &str| json!({"Type": "L4Proxy", "Settings": {"IP": ip, "Port": port, "OutboundNAT": true}});
    modify(&mut state, "Add", &json!([proxy("10.0.0.3", "8080")])).unwrap();
    let own = |state: &State, id: u128| -> Vec<u16> {
        let intent = state.endpoint_intent(Guid(id)).unwrap();
        intent.proxies.iter().map(|proxy| proxy.port).collect()
    };
    for (id, policies) in [(2, json!([proxy("10.0.0.9", "81")])), (3, json!([]))] {
        endpoint(&mut state, id, &policies).unwrap();
        attached(&mut state, id);
    }
    assert_eq!(own(&state, 2), [81, 8080]);
    assert_eq!(
        state.endpoint(Guid(3)).unwrap().leases()[0]
            .address
            .to_string(),
        "10.0.0.3"
    );
    assert!(own(&state, 3).is_empty());
    refuses(&state, HResult::HCN_E_INVALID_IP, "/Policies", |state| {
        endpoint(state, 4, &json!([proxy("10.0.0.4", "81")]))
    });
    let many = vec![proxy("10.0.0.3", "8080"); 17];
    refuses(
        &state,
        HResult::HCN_E_INVALID_POLICY,
        "/Policies/16/Settings",
        |state| modify(state, "Update", &json!(many)),
    );
    modify(&mut state, "Reset", &json!([])).unwrap();
    assert_eq!(own(&state, 2), [81]);
}

#[test]
fn rules_of_a_network_are_those_of_its_endpoints_by_priority() {
    let mut state = with_network();
    let acl = |kind: &str, priority: u16, remote: &str| {
        let settings = json!({
            "Action": "Allow", "Direction": "In", "Priority": priority, "RemoteAddresses": remote,
        });
        json!({"Type": kind, "Settings": settings})
    };
    let of_network = json!([
        set("web", "IPSET", "10.0.0.7"),
        acl("NetworkACL", 9, "web"),
        acl("NetworkACL", 2, ""),
    ]);
    modify(&mut state, "Add", &of_network).unwrap();
    endpoint(&mut state, 2, &json!([acl("ACL", 5, "")])).unwrap();
    attached(&mut state, 2);
    let intent = state.endpoint_intent(Guid(2)).unwrap();
    let order: Vec<u16> = intent.access.iter().map(|rule| rule.priority).collect();
    assert_eq!(order, [2, 5, 9]);
    assert_eq!(ranges_of(&state, 2, "web"), ["10.0.0.7-10.0.0.7"]);
    let invalid = HResult::HCN_E_INVALID_POLICY;
    refuses(
        &state,
        invalid,
        "/Policies/0/Settings/RemoteAddresses",
        |state| modify(state, "Remove", &json!([set("web", "IPSET", "")])),
    );
    modify(&mut state, "Reset", &json!([])).unwrap();
    let intent = state.endpoint_intent(Guid(2)).unwrap();
    assert_eq!((intent.access.len(), intent.sets.len()), (1, 0));
}

#[test]
fn members_that_rules_name_are_bounded_over_all_endpoints() {
    let mut state = with_network();
    let members: Vec<String> = (0..14_000)
        .map(|at| format!("10.{}.{}.0/24", at / 256, at % 256))
        .collect();
    modify(
        &mut state,
        "Add",
        &json!([set("web", "IPSET", &members.join(","))]),
    )
    .unwrap();
    let rule = json!([{"TierAclRuleAction": "Pass", "RemoteAddresses": "web"}]);
    let policies = json!([tier(1, "In", &rule), tier(1, "Out", &rule)]);
    for id in 2..11 {
        endpoint(&mut state, id, &policies).unwrap();
    }
    let none_left = HResult::from_win32(win32::ERROR_NO_SYSTEM_RESOURCES);
    refuses(&state, none_left, "/Policies", |state| {
        endpoint(state, 11, &policies)
    });
    let more = set(
        "web",
        "IPSET",
        &[&members[..], &members[..1000]].concat().join(","),
    );
    refuses(&state, none_left, "/Settings/Policies", |state| {
        modify(state, "Update", &json!([more]))
    });
}
