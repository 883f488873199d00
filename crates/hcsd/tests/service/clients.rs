//! What clients do to themselves and to each other: leaving, cancelling, not reading, asking for nonsense.

use std::io::{Read as _, Write as _};

use crate::common::{
    Service,
    client::{CONTAINER, Client, create_process, create_system, open_system, shell, start_system},
};
use hcs_schema::{HResult, win32};
use hcs_wire::service::{Call, Kind, Subject, encode};
use serde_json::{Value, json};

const LAST_HANDLE: &str = r#"{"Container":{},"ShouldTerminateOnLastHandleClosed":true}"#;

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
fn a_system_outlives_its_client_and_its_processes_can_be_taken_up_again() {
    let service = Service::new();
    let mut first = service.client();
    first.start_container(1, "outlives");
    let mut process = first.create_process(
        1,
        2,
        &shell("read a; echo got $a; until read b; do sleep 0.01; done; echo got $b; exit 6"),
    );
    process.write("one\n");
    let mut line = [0; 8];
    process
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut line)
        .unwrap();
    assert_eq!(&line, b"got one\n");
    let pid = process.pid;
    drop((first, process));

    let mut second = service.client();
    second.call(&open_system(1, "outlives", None)).ok();
    second
        .call(&Call::OpenProcess {
            system: 1,
            process: 2,
            process_id: pid,
            again: false,
        })
        .ok();
    let info = second.send(&Call::GetProcessInfo { process: 2 });
    let mut again = second.created(info, 2);
    assert_eq!(again.pid, pid);
    let info = second.call(&Call::GetProcessInfo { process: 2 }).ok();
    assert!(info.descriptors.is_empty(), "they are held now");
    again.write("two\n");
    assert_eq!(again.output(), "got two\n");
    assert_eq!(second.exit_code(2), 6);
    second.terminate(1);
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
fn a_system_that_is_to_end_with_its_last_handle_does() {
    let service = Service::new();
    let mut watcher = service.client();
    let mut first = service.client();
    for handle in [1, 2] {
        let id = format!("last-{handle}");
        first.call(&create_system(handle, &id, LAST_HANDLE)).ok();
        first.call(&start_system(handle)).ok();
        watcher.call(&open_system(handle, &id, None)).ok();
    }
    first.create_process(1, 3, &json!({"CommandArgs": ["/bin/sleep", "1000"]}));
    first.call(&Call::CloseSystem { system: 1 }).ok();
    assert_eq!(
        ids(&mut watcher, None),
        ["last-1", "last-2"],
        "the other handle keeps it"
    );
    // The process handle does not.
    watcher.call(&Call::CloseSystem { system: 1 }).ok();
    assert_eq!(first.exit_code(3), 137);
    // To its client it was gone with the handle: the id is free, for calls behind one another too.
    let close = Call::CloseSystem { system: 4 };
    first.call(&create_system(4, "again", LAST_HANDLE)).ok();
    let together = first.send_together([&close, &create_system(5, "again", LAST_HANDLE)]);
    for request in together {
        first.wait(request).ok();
    }
    first.terminate(5);
    // A client that is gone has closed its handles.
    drop(first);
    assert!(ids(&mut watcher, None).contains(&"last-2".to_owned()));
    drop(watcher);
    let mut late = service.client();
    while !ids(&mut late, None).is_empty() {
        // Each round asks the service; it ends when the termination is through.
        std::thread::yield_now();
    }
}

#[test]
fn a_cancelled_shutdown_ends_and_leaves_the_system_running() {
    let service = Service::new();
    let mut client = service.client();
    client.start_container(1, "cancels");
    let mut process =
        client.create_process(1, 2, &shell("trap '' TERM; echo ready; read x; exit 3"));
    process
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut [0; 6])
        .unwrap();
    let shutdown = client.send(&Call::ShutDownSystem {
        system: 1,
        options: None,
    });
    let behind = client.send(&Call::PauseSystem {
        system: 1,
        options: None,
    });
    client.call(&Call::Cancel { request: behind }).ok();
    client.wait(behind).failed(HResult::CANCELLED);
    client.call(&Call::Cancel { request: shutdown }).ok();
    client.wait(shutdown).failed(HResult::CANCELLED);
    client.call(&Call::Cancel { request: shutdown }).ok();
    // The process that did not obey runs on, and others may be created.
    let mut other = client.create_process(1, 3, &shell("echo other"));
    assert_eq!(other.output(), "other\n");
    assert_eq!(client.exit_code(3), 0);
    client.terminate(1);
    assert_eq!(client.exit_code(2), 137);
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
fn a_cancelled_process_is_killed() {
    let service = Service::new();
    let mut client = service.client();
    client.start_container(1, "cancels");
    let made = client.send(&create_process(
        1,
        2,
        &json!({"CommandArgs": ["/bin/sleep", "1000"]}),
    ));
    client.call(&Call::Cancel { request: made }).ok();
    let created = client.wait(made).reply.result;
    assert!([HResult::CANCELLED, HResult::S_OK].contains(&created));
    if created == HResult::S_OK {
        client
            .call(&Call::TerminateProcess {
                process: 2,
                options: None,
            })
            .ok();
    }
    let list = Call::GetSystemProperties {
        system: 1,
        query: Some(r#"{"PropertyTypes":["ProcessList"]}"#.to_owned()),
    };
    let names = |list: &Value| -> Vec<String> {
        let list = list["ProcessList"].as_array().unwrap();
        list.iter()
            .map(|p| p["ImageName"].as_str().unwrap().to_owned())
            .collect()
    };
    while names(&client.call(&list).ok().json())
        .iter()
        .any(|name| name.contains("sleep"))
    {
        std::thread::yield_now();
    }
    client.terminate(1);
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
fn enumeration_and_properties_say_what_is_there() {
    let service = Service::new();
    let mut client = service.client();
    let document = r#"{"Owner":"an owner","Container":{}}"#;
    client.call(&create_system(1, "one", document)).ok();
    client.start_container(2, "two");
    assert_eq!(ids(&mut client, Some("")), ["one", "two"]);
    assert_eq!(
        ids(&mut client, Some(r#"{"Owners":["an owner"]}"#)),
        ["one"]
    );
    assert_eq!(
        ids(&mut client, Some(r#"{"Ids":["two","three"]}"#)),
        ["two"]
    );
    assert_eq!(
        ids(&mut client, Some(r#"{"Types":["VirtualMachine"]}"#)),
        Vec::<String>::new()
    );

    let mut properties = |system: u64, query: &str| {
        let query = Some(query.to_owned());
        client
            .call(&Call::GetSystemProperties { system, query })
            .ok()
            .json()
    };
    let basic = properties(1, "");
    assert_eq!(basic["Id"], "one");
    assert_eq!(basic["State"], Value::Null, "it has not run");
    assert_eq!(basic["Owner"], "an owner");
    assert_eq!(basic["SystemType"], "Container");
    assert_eq!(basic["RuntimeOsType"], "Linux");
    let all = properties(
        2,
        r#"{"PropertyTypes":["Statistics","Memory","ProcessList","TerminateOnLastHandleClosed","GuestConnection"]}"#,
    );
    assert_eq!(all["State"], "Running");
    assert_eq!(all["TerminateOnLastHandleClosed"], false);
    assert!(
        all["Statistics"]["Processor"]["TotalRuntime100ns"]
            .as_u64()
            .is_some(),
        "{all}"
    );
    assert!(all["ProcessList"].is_array(), "{all}");
    assert_eq!(all["GuestConnectionInfo"]["ProtocolVersion"], 4);
    let named = properties(
        2,
        r#"{"PropertyQueries":{"Statistics":{},"SharedMemoryRegion":{},"Wishes":{}}}"#,
    );
    let responses = &named["PropertyResponses"];
    assert!(
        responses["Statistics"]["Response"]["Memory"].is_object(),
        "{named}"
    );
    for missing in ["SharedMemoryRegion", "Wishes"] {
        assert!(
            responses[missing]["Error"]["ErrorMessage"].is_string(),
            "{named}"
        );
    }
    for way in ["Queries", "PropertyQueries"] {
        let named: serde_json::Map<_, _> = (0..65).map(|n| (format!("No{n}"), json!({}))).collect();
        let query = Some(json!({ way: named }).to_string());
        let answer = client.call(&Call::GetSystemProperties { system: 2, query });
        let document = answer.reply.document.clone().unwrap();
        assert!(document.contains(&format!("\"/{way}\"")), "{document}");
        answer.failed(HResult::E_INVALIDARG);
    }
    let query = Some(r#"{"PropertyTypes":["ProcessList"]}"#.to_owned());
    client
        .call(&Call::GetSystemProperties { system: 1, query })
        .failed(HResult::HCS_E_INVALID_STATE);
    client.terminate(1);
    client.terminate(2);
}

#[test]
fn a_console_has_a_size_and_stdin_can_be_ended() {
    let service = Service::new();
    let mut client = service.client();
    client.start_container(1, "console");
    let mut parameters = shell("stty size; read x; stty size; read y; exit 8");
    parameters["EmulateConsole"] = json!(true);
    parameters["ConsoleSize"] = json!([20, 60]);
    let mut console = client.create_process(1, 2, &parameters);
    assert!(console.stderr.is_none(), "a console has one output");
    let mut modify = |settings: Value| {
        client.call(&Call::ModifyProcess {
            process: 2,
            settings: settings.to_string(),
        })
    };
    modify(json!({"Operation": "ConsoleSize", "ConsoleSize": {"Height": 31, "Width": 97}})).ok();
    modify(json!({"Operation": "CloseHandle"})).failed(HResult::HCS_E_INVALID_JSON);
    console.write("a\nb\n");
    let output = console.output();
    assert!(output.contains("31 97"), "{output}");
    assert_eq!(client.exit_code(2), 8);
    let settings =
        json!({"Operation": "CloseHandle", "CloseHandle": {"Handle": "StdIn"}}).to_string();
    client
        .call(&Call::ModifyProcess {
            process: 2,
            settings: settings.clone(),
        })
        .failed(HResult::HCS_E_PROCESS_ALREADY_STOPPED);

    let plain = client.create_process(1, 3, &shell("cat; exit 2"));
    client
        .call(&Call::ModifyProcess {
            process: 3,
            settings: json!({"Operation": "ConsoleSize", "ConsoleSize": {"Height": 1, "Width": 1}})
                .to_string(),
        })
        .reply
        .result
        .is_success()
        .then(|| panic!("a process without a console has no size"));
    client
        .call(&Call::ModifyProcess {
            process: 3,
            settings,
        })
        .ok();
    // The service holds no end of the pipe: the client's own is the last.
    drop(plain);
    assert_eq!(client.exit_code(3), 2);
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
