//! Adapters of a machine whose service is killed, and whose endpoints are deleted.

use std::{thread::sleep, time::Duration};

use super::*;

/// Moments after the request at which the service is killed: while it reads, writes records, makes the link, asks QEMU,
/// and after it has answered.
const MOMENTS: u32 = 8;
const FIRST_MOMENT: Duration = Duration::from_micros(500);

const UNTIL_GONE: &str = "while busybox ip link show eth0; do sleep 0.1; done";

fn links(host: &Space) -> usize {
    let ours = host.ours();
    ours.iter().filter(|name| name.starts_with("hce")).count()
}

fn until_addressed(address: &str) -> String {
    format!("until busybox ip addr show | busybox grep -q 'inet {address}/'; do sleep 0.1; done")
}

#[test]
fn an_adapter_is_whole_or_not_there_when_its_service_is_killed_or_its_endpoint_deleted() {
    let (host, _outside) = world();
    let mut service = host.run(Service::new);
    let mut client = service.client();
    let guest = Guest::new();
    let network = network(&mut client);
    let (one, address) = endpoint_of(&mut client, &network, json!({}));
    let runtime_id = start(&mut client, &guest, 1, &json!({}));
    let settings = json!({ "EndpointId": one });
    let add = modify(1, "a", "Add", &settings);
    let remove = modify(1, "a", "Remove", &json!({}));
    // The guest has its driver, and its agent answers.
    run(&mut client, 1, 10, "true");
    for moment in 0..MOMENTS {
        client.send(&add);
        sleep(FIRST_MOMENT * 2_u32.pow(moment));
        service.kill();
        host.run(|| service.run());
        client = service.client();
        client
            .call(&open_system(1, "guest-1", Some(&runtime_id)))
            .ok();
        assert!(links(&host) <= 1, "{:?}", host.ours());
        // Whatever was done of it, a client that repeats its call has its adapter.
        client.call(&add).ok();
        assert_eq!(links(&host), 1);
        let process = 100 + 10 * u64::from(moment);
        run(&mut client, 1, process, &until_addressed(&address));
        client.call(&remove).ok();
        assert_eq!(links(&host), 0);
        run(&mut client, 1, process + 1, UNTIL_GONE);
    }

    // An endpoint that is deleted is out of the machine at once.
    client.call(&add).ok();
    run(&mut client, 1, 20, &until_addressed(&address));
    client.call(&delete(ObjectKind::Endpoint, &one)).ok();
    assert_eq!(links(&host), 0);
    run(&mut client, 1, 21, UNTIL_GONE);
    // Its name is free for another, and the machine can still be relieved of it.
    let (two, address) = endpoint_of(&mut client, &network, json!({}));
    let other = json!({ "EndpointId": two });
    client.call(&modify(1, "a", "Add", &other)).ok();
    run(&mut client, 1, 22, &until_addressed(&address));
    client.call(&delete(ObjectKind::Endpoint, &two)).ok();
    client.call(&remove).ok();
    assert_eq!(links(&host), 0);
    client.terminate(1);
    nothing_is_left(&mut client, &host, &network, &[]);
}
