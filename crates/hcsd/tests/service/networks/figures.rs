//! What went through the endpoints of a container, as its statistics tell it.

use super::*;

#[test]
fn what_goes_through_its_endpoints_is_in_the_statistics_of_a_container() {
    let (host, outside) = world();
    let service = host.run(Service::new);
    let mut client = service.client();
    let network = json!({ "Name": "nat" });
    let network = made(&mut client, &create(ObjectKind::Network, "", network));
    let own = json!({ "Endpoints": [endpoint(&network, 8080), endpoint(&network, 8081)] });
    let inside = started(&service, &mut client, 1, &own);
    started(&service, &mut client, 2, &json!({}));
    outside.talk((UPLINK, 8080), &inside.listen(80));
    let mut statistics = |system: u64| {
        let query = json!({ "PropertyTypes": ["Statistics"] }).to_string();
        let call = Call::GetSystemProperties {
            system,
            query: Some(query),
        };
        client.call(&call).ok().json()["Statistics"].take()
    };
    let told = statistics(1);
    let of = told["Network"].as_array().unwrap();
    assert_eq!(of.len(), 2, "{told}");
    for name in [
        "BytesReceived",
        "BytesSent",
        "PacketsReceived",
        "PacketsSent",
    ] {
        assert!(of[0][name].as_u64() > Some(3), "{told}");
    }
    assert_eq!(of[0]["DroppedPacketsIncoming"], 0, "{told}");
    let told = statistics(2);
    assert!(
        told["Uptime100ns"].is_u64() && told.get("Network").is_none(),
        "{told}"
    );
    let mut ids: Vec<String> = of
        .iter()
        .map(|one| one["EndpointId"].as_str().unwrap().to_owned())
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, listed(&mut client, ObjectKind::Endpoint));
    for handle in [1, 2] {
        client.terminate(handle);
    }
}
