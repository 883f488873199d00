//! What one user does with networks leaves others theirs.

use hcs_schema::{HResult, win32};

use super::*;
use crate::flood::{OTHERS, client_of};

/// A user who makes endpoints until no more are given, and one who then makes containers.
#[test]
fn the_addresses_of_one_user_leave_enough_for_others() {
    const NO_MORE: HResult = HResult::from_win32(win32::ERROR_NO_SYSTEM_RESOURCES);
    let (host, _outside) = world();
    let mut service = host.run(|| Service::with_config(OTHERS));
    let mut client = client_of(&service, 64_221);
    let nat = create(ObjectKind::Network, "", json!({ "Name": "nat" }));
    let network = made(&mut client, &nat);
    let one = create(ObjectKind::Endpoint, &network, json!({}));
    let mut taken = 0;
    let refused = loop {
        let answer = client.call(&one);
        if !answer.reply.result.is_success() {
            break answer.failed(NO_MORE);
        }
        taken += 1;
        assert!(taken < 253, "all addresses of the network");
    };
    assert!(refused.contains("64221"), "{refused}");
    assert!(taken > 100, "{taken}");
    let in_nat = json!({ "Endpoints": [{
        "SchemaVersion": { "Major": 2, "Minor": 0 }, "HostComputeNetwork": network,
    }] });
    // A container of that user is refused at what is to blame for it.
    let call = create_system(9, "net-refused", &container(&in_nat));
    let refused = client.call(&call).failed(NO_MORE);
    assert!(refused.contains("addresses"), "{refused}");
    // The next service knows who has them.
    drop(client);
    service.kill();
    host.run(|| service.run());
    client_of(&service, 64_221).call(&one).failed(NO_MORE);
    let mut other = client_of(&service, 64_222);
    let mut own = service.client();
    for (client, handle) in [(&mut other, 1), (&mut own, 2)] {
        let space = started(&service, client, handle, &in_nat);
        assert!(address(&space).starts_with("10.231.0."));
        client.terminate(handle);
    }
    // Root has no such share.
    for _ in 0..64 {
        made(&mut own, &one);
    }
    own.call(&delete(ObjectKind::Network, &network)).ok();
    host.is_cleared();
}

/// The network of all containers is no other than they expect, whichever user makes it.
#[test]
fn root_alone_says_what_the_network_of_all_containers_is() {
    let (host, _outside) = world();
    let service = host.run(|| Service::with_config(OTHERS));
    let mut client = client_of(&service, 64_221);
    for other in [
        json!({ "Name": "nat", "Type": "Private" }),
        json!({ "Name": "nat", "Dns": { "ServerList": ["192.0.2.1"] } }),
    ] {
        let call = create(ObjectKind::Network, "", other);
        client.call(&call).failed(HResult::E_ACCESSDENIED);
    }
    let network = made(
        &mut client,
        &create(ObjectKind::Network, "", json!({ "Name": "nat" })),
    );
    let dns = json!({ "ServerList": ["192.0.2.1"] });
    let settings = json!({ "ResourceType": "DNS", "RequestType": "Add", "Settings": dns });
    let change = Call::Network(NetworkCall::Modify {
        kind: ObjectKind::Network,
        id: network.clone(),
        settings: settings.to_string(),
    });
    client.call(&change).failed(HResult::E_ACCESSDENIED);
    let mut own = service.client();
    own.call(&change).ok();
    own.call(&delete(ObjectKind::Network, &network)).ok();

    // Of another type it is no network for containers that name none, which is told.
    let private = json!({ "Name": "nat", "Type": "Private" });
    let network = made(&mut own, &create(ObjectKind::Network, "", private));
    let open = Call::Network(NetworkCall::Open {
        kind: ObjectKind::Network,
        id: hcs_wire::network::DEFAULT_NETWORK.to_owned(),
    });
    let told = own.call(&open).failed(HResult::HCN_E_REQUEST_UNSUPPORTED);
    assert!(told.contains("Private"), "{told}");
    own.call(&delete(ObjectKind::Network, &network)).ok();
}
