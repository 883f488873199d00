//! Policies of type OutBoundNAT, as the model knows them.

use serde_json::{Value, json};

use super::*;

fn v2(mut document: Value) -> String {
    document["SchemaVersion"] = json!({"Major": 2, "Minor": 0});
    document.to_string()
}

fn with(kind: &str, settings: &[Value]) -> Result<Outbound, (HResult, String)> {
    let mut state = State::default();
    let network = v2(json!({ "Type": kind }));
    state
        .create_network(Guid(1), &network, &Surroundings::default())
        .unwrap();
    let policies = settings
        .iter()
        .map(|one| json!({"Type": "OutBoundNAT", "Settings": one}));
    let document = json!({"Policies": policies.collect::<Vec<_>>()});
    state
        .create_endpoint(Guid(1), Guid(2), &v2(document))
        .map_err(|failure| {
            let pointer = failure.causes[0].pointer.clone();
            (failure.hresult, pointer.unwrap_or_default())
        })?;
    Ok(state.endpoint(Guid(2)).unwrap().terms().outbound.clone())
}

#[test]
fn policies_of_one_endpoint_count_together() {
    let found = with(
        "NAT",
        &[
            json!({"Exceptions": ["10.0.0.1", "10.0.0.0/8"], "VirtualIP": "192.0.2.1"}),
            json!({"Exceptions": ["10.0.0.1"], "Destinations": ["198.51.100.9/24"], "VirtualIP": "192.0.2.1"}),
        ],
    );
    let found = found.unwrap();
    assert_eq!(found.address, Some("192.0.2.1".parse().unwrap()));
    assert_eq!(found.exceptions.len(), 3);
    assert_eq!(found.destinations[0].to_string(), "198.51.100.0/24");
}

#[test]
fn what_cannot_be_translated_is_refused_by_pointer() {
    let many: Vec<String> = (0..200).map(|at| format!("10.0.{at}.0/24")).collect();
    let unsupported = HResult::HCN_E_REQUEST_UNSUPPORTED;
    for (kind, settings, code, place) in [
        ("Internal", json!({}), unsupported, ""),
        ("NAT", json!({"Flags": 2}), unsupported, "/Flags"),
        (
            "NAT",
            json!({"MaxPortPoolUsage": 5}),
            unsupported,
            "/MaxPortPoolUsage",
        ),
        (
            "NAT",
            json!({"VirtualIP": "::1"}),
            HResult::HCN_E_INVALID_IP,
            "/VirtualIP",
        ),
        (
            "NAT",
            json!({"VirtualIP": "127.0.0.1"}),
            HResult::HCN_E_INVALID_IP,
            "/VirtualIP",
        ),
        (
            "NAT",
            json!({"Exceptions": ["all"]}),
            HResult::HCN_E_INVALID_PREFIX,
            "/Exceptions/0",
        ),
        (
            "NAT",
            json!({"Destinations": ["10.0.0.1", "10.0.0.0/40"]}),
            HResult::HCN_E_INVALID_PREFIX,
            "/Destinations/1",
        ),
        (
            "NAT",
            json!({ "Exceptions": many }),
            HResult::HCN_E_INVALID_POLICY,
            "",
        ),
    ] {
        let refused = with(kind, std::slice::from_ref(&settings)).unwrap_err();
        assert_eq!(
            refused,
            (code, format!("/Policies/0/Settings{place}")),
            "{settings}"
        );
    }
    let two = [
        json!({"VirtualIP": "192.0.2.1"}),
        json!({"VirtualIP": "192.0.2.2"}),
    ];
    let refused = with("NAT", &two).unwrap_err();
    assert_eq!(refused.1, "/Policies/1/Settings/VirtualIP");
}
