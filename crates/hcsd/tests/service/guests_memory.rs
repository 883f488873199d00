//! The memory of Linux guests while they run.

use hcs_schema::HResult;
use hcs_wire::service::Call;
use serde_json::{Value, json};

use crate::{
    common::{Client, Service, client::open_system},
    guests::{Guest, said},
};

fn resize(megabytes: u64) -> Call {
    let path = "VirtualMachine/ComputeTopology/Memory/SizeInMB";
    let request = json!({"ResourcePath": path, "RequestType": "Update", "Settings": megabytes});
    Call::ModifySystem {
        system: 1,
        settings: request.to_string(),
    }
}

/// The memory that the guest's kernel has, in megabytes.
fn seen(client: &mut Client) -> u64 {
    let total = said(client, "root", "read a b c < /proc/meminfo; echo $b");
    total.trim().parse::<u64>().unwrap() / 1024
}

/// What the service tells of it, in megabytes.
fn told(client: &mut Client) -> Value {
    let call = Call::GetSystemProperties {
        system: 1,
        query: Some(r#"{"PropertyTypes":["Memory"]}"#.to_owned()),
    };
    let memory = client.call(&call).ok().json();
    let pages = &memory["Memory"]["VirtualMachineMemory"]["AssignedMemory"];
    json!(pages.as_u64().unwrap() / 256)
}

#[test]
fn memory_of_a_guest_grows_and_shrinks_while_it_runs() {
    let guest = Guest::new();
    let mut service = Service::new();
    let mut client = service.client();
    guest.start_with(&mut client, |_| ());
    let (before, told_before) = (seen(&mut client), told(&mut client));
    assert_eq!(told_before, 256);

    client.call(&resize(512)).ok();
    assert_eq!(told(&mut client), 512);
    let grown = seen(&mut client);
    assert_eq!(grown - before, 256, "{before} MB, and {grown} MB");
    // The guest can use it.
    let fill = "busybox dd if=/dev/zero of=/tmp/big bs=1M count=300 2>/dev/null && busybox rm /tmp/big && echo done";
    let room = "busybox mount -o remount,size=400m /tmp; ";
    assert_eq!(
        said(&mut client, "root", &format!("{room}{fill}")),
        "done\n"
    );

    let refused = client.call(&resize(255));
    let causes = refused.json()["ErrorEvents"].to_string();
    let message = refused.failed(HResult::E_INVALIDARG);
    assert!(message.contains("began with 256 MB"), "{message}");
    assert!(causes.contains("/Settings"), "{causes}");

    // A service that comes later knows the device, and has the guest give back.
    service.kill();
    service.run();
    let mut client = service.client();
    client.call(&open_system(1, "guest", None)).ok();
    client.call(&resize(256)).ok();
    assert_eq!(told(&mut client), 256);
    assert_eq!(seen(&mut client), before);
    client.terminate(1);
    assert_eq!(client.system_exit(1), "ForcedExit");
}
