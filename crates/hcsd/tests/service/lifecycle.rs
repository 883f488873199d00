//! What calls on systems and processes mean, where containers alone are concerned or no system at all. What holds for
//! each engine is in `tests/engines/shared`.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    os::unix::net::UnixStream,
    time::Duration,
};

use crate::common::{
    Client, Service,
    client::{create_process, create_system, open_system, shell, start_system},
};
use hcs_schema::HResult;
use hcs_wire::service::Call;
use serde_json::json;

#[test]
fn calls_on_a_handle_that_could_not_be_made_end_as_the_making_did() {
    let service = Service::new();
    let mut client = service.client();
    let create = create_process(1, 2, &shell("true"));
    let info = Call::GetProcessInfo { process: 2 };
    let close = [
        Call::CloseProcess { process: 2 },
        Call::CloseSystem { system: 1 },
    ];
    // In one go, and one after the other.
    let together = client.send_together([&open_system(1, "nosuch", None), &create, &info]);
    let mut said: Vec<String> = together
        .into_iter()
        .map(|request| client.wait(request).failed(HResult::HCS_E_SYSTEM_NOT_FOUND))
        .collect();
    for call in [&create, &info] {
        said.push(client.call(call).failed(HResult::HCS_E_SYSTEM_NOT_FOUND));
    }
    for sentence in said {
        assert!(sentence.contains("'nosuch'"), "{sentence}");
    }
    for call in &close {
        client.call(call).ok();
        client.call(call).failed(HResult::E_HANDLE);
    }
}

#[test]
fn calls_behind_a_failed_creation_fail_with_it() {
    let service = Service::new();
    let mut client = service.client();
    let [create, start, process, info] = client.send_together([
        &create_system(1, "broken", "{\"Container\":{\"Nonsense\":1}}"),
        &start_system(1),
        &create_process(1, 2, &shell("true")),
        &Call::GetProcessInfo { process: 2 },
    ]);
    client.wait(create).failed(HResult::HCS_E_INVALID_JSON);
    client.wait(start).failed(HResult::HCS_E_INVALID_JSON);
    client.wait(process).failed(HResult::HCS_E_INVALID_JSON);
    client.wait(info).failed(HResult::HCS_E_INVALID_JSON);
    // The numbers are free again, and so is the id.
    client.start_container(1, "broken");
    client.terminate(1);
}

#[test]
fn a_client_that_greets_wrongly_is_turned_away() {
    let service = Service::new();
    let mut silent = Client::connect_silently(&service.endpoint());
    silent.send(&start_system(1));
    assert!(!silent.receive(), "the first message must be a greeting");
    let mut old = Client::connect_silently(&service.endpoint());
    let answer = old.call(&Call::Hello {
        minimum: 7,
        maximum: 9,
        instance: None,
    });
    answer.failed(HResult::HCS_E_UNSUPPORTED_PROTOCOL_VERSION);
    assert!(!old.receive());
    // A megabyte is announced, and is not waited for.
    let mut long = UnixStream::connect(service.endpoint()).unwrap();
    let header = [0, 0, 16, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
    long.write_all(&[&header[..], &[b' '; 100]].concat())
        .unwrap();
    long.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let waited = long.read(&mut [0]).map_err(|error| error.kind());
    assert_ne!(waited, Err(ErrorKind::WouldBlock), "it is served on");
}

#[test]
fn a_container_that_cannot_be_says_why() {
    let service = Service::new();
    let mut client = service.client();
    let document = json!({"Container": {"Storage": {"Layers": [
        {"Id": "0b7a2f6e-0000-4000-8000-000000000001", "Path": "/nonexistent/layer"}
    ]}}});
    let create = client.call(&create_system(1, "layerless", &document.to_string()));
    let failed = if create.reply.result.is_success() {
        client.call(&start_system(1))
    } else {
        create
    };
    let said = failed.reply.document.clone().unwrap();
    assert!(!failed.reply.result.is_success());
    assert!(said.contains("/nonexistent/layer"), "{said}");
    let listed = client.call(&Call::EnumerateSystems { query: None }).ok();
    assert_eq!(listed.json(), json!([]));
}

#[test]
fn a_service_that_leaves_removes_first_what_ended_systems_left() {
    let mut service = Service::new();
    let mut client = service.client();
    let mut written = Vec::new();
    for system in 1..5 {
        client.start_container(system, &format!("writer {system}"));
        let script = "cd /tmp && for i in 1 2 3 4 5 6 7 8 9; do mkdir -p $i/$i/$i && echo $i > $i/$i/$i/file; done";
        let mut process = client.create_process(system, 10 + system, &shell(script));
        assert_eq!(process.output(), "");
        assert_eq!(client.exit_code(10 + system), 0);
        written.push(system);
    }
    for system in written {
        client.terminate(system);
    }
    service.stop();
    assert_eq!(service.left_behind(), Vec::<String>::new());
}

#[test]
fn a_kept_scratch_can_be_used_again_at_once() {
    let scratch = tempfile::tempdir().unwrap();
    let service = Service::new();
    let mut client = service.client();
    let document = json!({"Container": {"Storage": {"Path": scratch.path()}}}).to_string();
    for (system, said) in [(1, ""), (2, "1\n"), (3, "1\n2\n")] {
        // The handles of those before stay open.
        client
            .call(&create_system(system, "keeper", &document))
            .ok();
        client.call(&start_system(system)).ok();
        let script = format!("cat /kept 2>/dev/null; echo {system} >> /kept");
        let mut process = client.create_process(system, 10 + system, &shell(&script));
        assert_eq!(process.output(), said);
        assert_eq!(client.exit_code(10 + system), 0);
        client.terminate(system);
        assert_eq!(client.system_exit(system), "ForcedExit");
    }
}

/// Row S12: the limit of the configuration holds for each document that says nothing, and only for those.
#[test]
fn a_configured_size_of_scratches_holds_unless_the_document_says_another() {
    let limits = "[container]\nscratch_size_in_mb = 8\nscratch_inodes = 200\n";
    let service = Service::with_config(limits);
    let mut client = service.client();
    let document = |storage| json!({ "Container": { "Storage": storage } }).to_string();
    let (bytes, files) = ("bytes refused\n", "files refused\n");
    let script = "head -c 20M /dev/zero > /etc/full 2> /dev/null || echo bytes refused; rm -f /etc/full; mkdir /etc/many; \
                  for n in $(seq 500); do true > /etc/many/$n || break; done 2> /dev/null; \
                  test -e /etc/many/500 || echo files refused";
    let cases = [
        (json!({}), format!("{bytes}{files}")),
        (json!({ "ScratchSizeInMB": 8 }), bytes.to_owned()),
        (
            json!({ "ScratchSizeInMB": 64, "ScratchInodes": 200 }),
            files.to_owned(),
        ),
        (json!({ "ScratchSizeInMB": 64 }), String::new()),
        (json!({ "ScratchSizeInMB": 0 }), String::new()),
    ];
    for (handle, (storage, expected)) in (1..).zip(cases) {
        let case = storage.to_string();
        client
            .call(&create_system(handle, "sized", &document(storage)))
            .ok();
        client.call(&start_system(handle)).ok();
        let said = client
            .create_process(handle, 100 + handle, &shell(script))
            .output();
        assert_eq!(said, expected, "{case}");
        client.terminate(handle);
    }
}

#[test]
fn documents_may_be_large_within_limits() {
    let service = Service::new();
    let mut client = service.client();
    let huge = format!(r#"{{"Owner":"{}","Container":{{}}}}"#, "x".repeat(10 << 20));
    client
        .call(&create_system(1, "huge", &huge))
        .failed(HResult::HCS_E_INVALID_JSON);
    client.start_container(1, "large");
    let mut parameters = shell("printf %s \"$BIG\" | wc -c");
    parameters["Environment"] = json!({"BIG": "y".repeat(100_000), "PATH": "/usr/bin:/bin"});
    let mut process = client.create_process(1, 2, &parameters);
    assert_eq!(process.output().trim(), "100000");
    assert_eq!(client.exit_code(2), 0);
    client.terminate(1);
}

#[test]
fn what_containers_do_not_have_is_refused_with_the_reason() {
    let service = Service::new();
    let mut client = service.client();
    client.start_container(1, "box");
    let query = |query: &str| Call::GetSystemProperties {
        system: 1,
        query: Some(query.to_owned()),
    };
    let request = client.send(&query(
        r#"{"PropertyTypes":["Memory","ICHeartbeatStatus"]}"#,
    ));
    let answer = client.wait(request);
    let document = answer.json().to_string();
    assert!(document.contains("/PropertyTypes/1"), "{document}");
    let message = answer.failed(HResult::NOT_SUPPORTED);
    assert!(
        message.ends_with("it is about virtual machines"),
        "{message}"
    );
    let newer = client.call(&query(r#"{"PropertyQueries":{"GuestMemory":{}}}"#));
    let error = newer.ok().json()["PropertyResponses"]["GuestMemory"]["Error"].to_string();
    assert!(error.contains("it is about virtual machines"), "{error}");
    let save = Call::SaveSystem {
        system: 1,
        options: None,
    };
    let message = client.call(&save).failed(HResult::HCS_E_INVALID_STATE);
    assert!(
        message.contains("in other states neither: machines of this kind cannot be saved"),
        "{message}"
    );
    let crash = Call::CrashSystem {
        system: 1,
        options: None,
    };
    let message = client.call(&crash).failed(HResult::E_NOTIMPL);
    assert!(
        message.contains("no guest system that could crash"),
        "{message}"
    );
    client.terminate(1);
}
