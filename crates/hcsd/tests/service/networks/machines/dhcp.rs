//! A guest without an agent, which takes its address by DHCP.

use std::{
    io::{BufRead as _, BufReader},
    os::unix::net::UnixStream,
    time::Duration,
};

use serde_json::json;

use super::{super::space::world, MAC, adapter, endpoint_of, heard, network, nothing_is_left};
use crate::{
    common::{
        Service,
        client::{create_system, start_system},
    },
    guests::Guest,
};

#[test]
fn a_guest_without_an_agent_gets_the_address_of_its_endpoint_and_keeps_it() {
    let (host, _outside) = world();
    let service = host.run(Service::new);
    let mut client = service.client();
    let guest = Guest::new();
    let network = network(&mut client);
    let (endpoint, address) = endpoint_of(&mut client, &network, json!({ "MacAddress": MAC }));
    let document = guest.document_with(|machine| {
        machine.as_object_mut().unwrap().remove("GuestConnection");
        machine["Devices"]["NetworkAdapters"] = adapter(&endpoint);
        let boot = &mut machine["Chipset"]["LinuxKernelDirect"]["KernelCmdLine"];
        *boot = json!(format!("{} rdinit=/bin/dhcp", boot.as_str().unwrap()));
    });
    client
        .call(&create_system(1, "guest", &document.to_string()))
        .ok();
    client.call(&start_system(1)).ok();
    let console = UnixStream::connect(service.root().join("pipes/console")).unwrap();
    // Only so that a failure does not hang.
    console
        .set_read_timeout(Some(Duration::from_secs(120)))
        .unwrap();
    let mut lines = BufReader::new(console).lines();
    let mut until = |word: &str| {
        let mut said = String::new();
        for line in lines.by_ref() {
            let line = line.unwrap_or_else(|error| panic!("{error} after {said}"));
            if line.starts_with(word) {
                return line.trim_end().to_owned();
            }
            said.push_str(&line);
        }
        panic!("no {word:?} after {said}");
    };
    let router = format!("{}.1", address.rsplit_once('.').unwrap().0);
    let expected = format!("leased {address}/24, router {router}, for 86400 s");
    assert_eq!(until("leased "), expected);
    assert_eq!(
        until("renewed "),
        format!("renewed {address}/24, for 86400 s")
    );
    assert_eq!(heard(&host, (&address, 80)), "here\n");

    client.terminate(1);
    assert_eq!(client.system_exit(1), "ForcedExit");
    nothing_is_left(&mut client, &host, &network, &[&endpoint]);
}
