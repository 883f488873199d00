//! What clients do to themselves and to each other: leaving, cancelling, not reading, asking for nonsense.

use std::io::{Read as _, Write as _};

use crate::common::{
    Service, await_that,
    client::{CONTAINER, Client, create_process, create_system, open_system, shell, start_system},
    log::everything,
};
use hcs_schema::{HResult, win32};
use hcs_wire::service::{Call, Kind, Subject, encode};
use serde_json::json;

fn enumerate(query: Option<&str>) -> Call {
    Call::EnumerateSystems {
        query: query.map(str::to_owned),
    }
}

fn ids(client: &mut Client, query: Option<&str>) -> Vec<String> {
    let listed = client.call(&enumerate(query)).ok().json();
    let systems = listed.as_array().unwrap();
    systems
        .iter()
        .map(|s| s["Id"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_handle_number_is_taken_from_the_call_that_makes_it_on() {
    let service = Service::new();
    let mut client = service.client();
    let first = client.send(&create_system(1, "first", CONTAINER));
    let second = client.send(&create_system(1, "second", CONTAINER));
    client.wait(second).failed(HResult::E_INVALIDARG);
    client.wait(first).ok();
    assert_eq!(ids(&mut client, None), ["first"]);
    // A handle that is to be made by way of itself would wait for itself.
    let itself = Call::OpenProcess {
        system: 9,
        process: 9,
        process_id: 1,
        again: false,
    };
    client.call(&itself).failed(HResult::E_INVALIDARG);
    client.terminate(1);
}

#[test]
fn a_cancelled_creation_leaves_nothing() {
    let service = Service::new();
    let mut client = service.client();
    let create = client.send(&create_system(5, "cancelled", CONTAINER));
    let start = client.send(&start_system(5));
    let made = client.send(&create_process(5, 6, &shell("true")));
    let cancel = client.send(&Call::Cancel { request: create });
    let results: Vec<_> = [create, start, made, cancel]
        .into_iter()
        .map(|request| client.wait(request).reply.result)
        .collect();
    // All four were sent at once: the service reads the cancel before an engine can have made a container.
    assert_eq!(
        results,
        [
            HResult::CANCELLED,
            HResult::CANCELLED,
            HResult::CANCELLED,
            HResult::S_OK
        ]
    );
    // The id is free again when what was begun is undone.
    let again = loop {
        let answer = client.call(&create_system(5, "cancelled", CONTAINER));
        if answer.reply.result != HResult::HCS_E_SYSTEM_ALREADY_EXISTS {
            break answer;
        }
    };
    again.ok();
    client.terminate(5);
}

#[test]
fn ids_are_never_paths() {
    let service = Service::new();
    let mut client = service.client();
    let ids = [
        "../../../../etc",
        "..",
        "a/b",
        "/etc/passwd",
        "\u{1}\u{1b}[2J\n",
        "~",
        "*",
    ];
    for (handle, id) in (1..).zip(ids) {
        client.start_container(handle, id);
        let systems = std::fs::read_dir(service.root().join("systems")).unwrap();
        for entry in systems {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let guid = name.len() == 36 && name.chars().all(|c| c == '-' || c.is_ascii_hexdigit());
            assert!(guid, "{id:?} became {name:?}");
        }
        client.terminate(handle);
    }
    client
        .call(&create_system(99, "../\0", CONTAINER))
        .failed(HResult::E_INVALIDARG);
}

#[test]
fn nonsense_is_refused_and_changes_nothing() {
    let service = Service::new();
    let mut client = service.client();
    client
        .call(&create_system(0, "zero", CONTAINER))
        .failed(HResult::E_INVALIDARG);
    client
        .call(&create_system(1, "", CONTAINER))
        .failed(HResult::E_INVALIDARG);
    client
        .call(&create_system(1, "a\0b", CONTAINER))
        .failed(HResult::E_INVALIDARG);
    for document in [
        "",
        "{",
        "[]",
        "{}",
        &"[".repeat(100_000),
        r#"{"Container":7}"#,
    ] {
        client
            .call(&create_system(1, "bad", document))
            .failed(HResult::HCS_E_INVALID_JSON);
    }
    client
        .call(&create_system(1, "vm", r#"{"VirtualMachine":{}}"#))
        .failed(HResult::HCS_E_INVALID_JSON);
    client.start_container(1, "../../weird id");
    client
        .call(&create_system(1, "again", CONTAINER))
        .failed(HResult::E_INVALIDARG);
    client
        .call(&Call::GetProcessInfo { process: 1 })
        .failed(HResult::E_HANDLE);
    client
        .call(&Call::CloseProcess { process: 1 })
        .failed(HResult::E_HANDLE);
    client.call(&start_system(99)).failed(HResult::E_HANDLE);
    for parameters in [
        json!({}),
        json!({"CommandLine": "x", "CommandArgs": ["x"]}),
        json!({"CommandArgs": 7}),
        json!([]),
    ] {
        client
            .call(&create_process(1, 2, &parameters))
            .failed(HResult::HCS_E_INVALID_JSON);
    }
    client
        .call(&enumerate(Some("{\"Ids\":7}")))
        .failed(HResult::HCS_E_INVALID_JSON);
    client
        .call(&Call::SaveSystem {
            system: 1,
            options: None,
        })
        .failed(HResult::HCS_E_INVALID_STATE);
    let terminate = Call::TerminateSystem {
        system: 1,
        options: Some("{\"A\":1}".to_owned()),
    };
    client.call(&terminate).failed(HResult::E_INVALIDARG);

    // A call of a newer client, then bytes that are no message at all.
    let unknown = encode(Kind::Request, 1000, 0, &json!({"call": "from_the_future"})).unwrap();
    client.stream.write_all(&unknown).unwrap();
    client.wait(1000).failed(HResult::E_NOTIMPL);
    let mut broken = service.client();
    broken.stream.write_all(&[0xff; 64]).unwrap();
    assert!(!broken.receive());
    assert_eq!(ids(&mut client, None), ["../../weird id"]);
    client.terminate(1);
}

#[test]
fn limits_are_kept_per_client() {
    let service = Service::with_config(
        "[limits]\nsystems_per_client = 1\nprocesses_per_client = 1\nhandles_per_connection = 4\npending_per_connection = 3\n",
    );
    let exhausted = HResult::from_win32(win32::ERROR_NO_SYSTEM_RESOURCES);
    let mut client = service.client();
    client.start_container(1, "only");
    client
        .call(&create_system(2, "second", CONTAINER))
        .failed(exhausted);
    let mut process = client.create_process(1, 3, &shell("read x"));
    let sleeper = create_process(1, 4, &json!({"CommandArgs": ["/bin/sleep", "1000"]}));
    client.call(&sleeper).failed(exhausted);
    process.write("go\n");
    assert_eq!(client.exit_code(3), 0);
    client.call(&Call::CloseProcess { process: 3 }).ok();
    let mut process = client.create_process(1, 4, &shell("trap '' TERM; echo ready; read x"));
    process
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut [0; 6])
        .unwrap();
    for handle in [5, 6] {
        client.call(&open_system(handle, "only", None)).ok();
    }
    client.call(&open_system(7, "only", None)).failed(exhausted);
    let pending: Vec<_> = (0..3)
        .map(|_| {
            client.send(&Call::ShutDownSystem {
                system: 1,
                options: None,
            })
        })
        .collect();
    client.call(&enumerate(None)).failed(exhausted);
    // A cancel is no call in this sense: it frees a place.
    client
        .call(&Call::Cancel {
            request: pending[2],
        })
        .ok();
    client.wait(pending[2]).failed(HResult::CANCELLED);
    client.terminate(1);
    client.wait(pending[0]).ok();
    client
        .wait(pending[1])
        .failed(HResult::HCS_E_SYSTEM_ALREADY_STOPPED);
    assert_eq!(client.exit_code(4), 137);
    let exits: Vec<_> = (0..3).map(|_| client.event().0).collect();
    assert_eq!(
        exits,
        [Subject::System(1), Subject::System(5), Subject::System(6)]
    );
    client.call(&Call::CloseSystem { system: 6 }).ok();
    client.start_container(8, "again");
    client.terminate(8);
}

#[test]
fn descriptors_and_memory_of_the_service_do_not_grow() {
    let service = Service::with_config("warm_slots = 0\n");
    let mut client = service.client();
    client.start_container(1, "many");
    let mut handle = 10;
    let mut round = |client: &mut Client, count: u64| {
        for _ in 0..count {
            handle += 1;
            let mut process = client.create_process(1, handle, &shell("exit 1"));
            assert_eq!(process.output(), "");
            assert_eq!(client.exit_code(handle), 1);
            client.call(&Call::CloseProcess { process: handle }).ok();
        }
    };
    round(&mut client, 5);
    let before = service.descriptors();
    round(&mut client, 50);
    assert_eq!(service.descriptors(), before);
    client.terminate(1);
}

/// As `hcs exec` that is killed leaves its command: the exit status is kept for the client that asks, the pipes are
/// not.
#[test]
fn processes_of_clients_that_are_gone_keep_no_descriptors() {
    let service = Service::with_config("warm_slots = 0\n");
    let mut stays = service.client();
    stays.start_container(1, "left");
    let leave = |count: u64| {
        for _ in 0..count {
            let mut client = service.client();
            client.call(&open_system(1, "left", None)).ok();
            // It ends while its pipes are still open here, or after that.
            let mut process = client.create_process(1, 2, &shell("read line; exit 1"));
            drop(client);
            process.write("end\n");
        }
    };
    leave(2);
    let exits = |stays: &mut Client| {
        let events = everything(stays);
        events
            .iter()
            .filter(|event| event.kind == "ProcessExited")
            .count()
    };
    await_that("both have exited", || exits(&mut stays) == 2);
    let before = service.descriptors();
    leave(20);
    await_that("all have exited", || exits(&mut stays) == 22);
    await_that("none of their pipes is kept", || {
        service.descriptors() <= before
    });
    stays.terminate(1);
}
