//! The life of systems and processes, through a real service with real containers.

use crate::common::{
    Client, Service, await_that,
    client::{
        CONTAINER, create_process, create_system, open_system, shell, start_system,
        terminate_system,
    },
};
use hcs_schema::HResult;
use hcs_wire::service::{Call, Subject};
use serde_json::json;

#[test]
fn a_process_runs_in_a_container_and_everything_ends() {
    let service = Service::new();
    let mut client = service.client();
    let made = client.call(&create_system(1, "main job", CONTAINER)).ok();
    assert_eq!(made.reply.runtime_id.unwrap().len(), 36);
    client.call(&start_system(1)).ok();
    let mut process = client.create_process(1, 2, &shell("cat; echo done; exit 7"));
    assert!(process.pid > 1);
    process.write("hello\n");
    drop(process.stdin.take());
    assert_eq!(process.output(), "hello\ndone\n");
    assert_eq!(client.exit_code(2), 7);
    client.call(&Call::CloseProcess { process: 2 }).ok();
    client.terminate(1);
    assert_eq!(client.system_exit(1), "ForcedExit");
    client.call(&Call::CloseSystem { system: 1 }).ok();
}

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
fn calls_may_be_sent_before_their_handles_are_there() {
    let service = Service::new();
    let mut client = service.client();
    let create = client.send(&create_system(1, "pipelined", CONTAINER));
    let start = client.send(&start_system(1));
    let process = client.send(&create_process(1, 2, &shell("echo one")));
    let info = client.send(&Call::GetProcessInfo { process: 2 });
    let second = client.send(&create_process(1, 3, &shell("exit 3")));
    let terminate_early = client.send(&Call::TerminateProcess {
        process: 4,
        options: None,
    });
    client.wait(terminate_early).failed(HResult::E_HANDLE);
    client.wait(create).ok();
    client.wait(start).ok();
    let mut process = client.created(process, 2);
    let mut second = client.created(second, 3);
    // The process may have exited before its information was asked for.
    let info = client.wait(info);
    assert!(
        [HResult::S_OK, HResult::HCS_E_PROCESS_ALREADY_STOPPED].contains(&info.reply.result),
        "{info:?}"
    );
    assert_eq!(process.output(), "one\n");
    assert_eq!(second.output(), "");
    let mut exits = [client.event(), client.event()];
    exits.sort_by_key(|(subject, ..)| *subject == Subject::Process(3));
    assert_eq!(exits[0].2["ExitCode"], 0);
    assert_eq!(exits[1].2["ExitCode"], 3);
    client.terminate(1);
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
fn states_allow_what_they_allow() {
    let service = Service::new();
    let mut client = service.client();
    client.call(&create_system(1, "states", CONTAINER)).ok();
    client
        .call(&create_system(2, "states", CONTAINER))
        .failed(HResult::HCS_E_SYSTEM_ALREADY_EXISTS);
    let pause = Call::PauseSystem {
        system: 1,
        options: None,
    };
    let resume = Call::ResumeSystem {
        system: 1,
        options: None,
    };
    client.call(&pause).failed(HResult::HCS_E_INVALID_STATE);
    client
        .call(&create_process(1, 3, &shell("true")))
        .failed(HResult::HCS_E_INVALID_STATE);
    client.call(&start_system(1)).ok();
    client
        .call(&start_system(1))
        .failed(HResult::HCS_E_INVALID_STATE);
    client.call(&pause).ok();
    client
        .call(&create_process(1, 3, &shell("true")))
        .failed(HResult::HCS_E_INVALID_STATE);
    client.call(&resume).ok();
    let mut process = client.create_process(1, 3, &shell("echo awake"));
    assert_eq!(process.output(), "awake\n");
    assert_eq!(client.exit_code(3), 0);
    client.call(&pause).ok();
    client.terminate(1);
    assert_eq!(client.system_exit(1), "ForcedExit");
    client
        .call(&start_system(1))
        .failed(HResult::HCS_E_SYSTEM_ALREADY_STOPPED);
    client
        .call(&terminate_system(1))
        .failed(HResult::HCS_E_SYSTEM_ALREADY_STOPPED);
    client
        .call(&Call::GetSystemProperties {
            system: 1,
            query: None,
        })
        .failed(HResult::HCS_E_SYSTEM_ALREADY_STOPPED);
    let open = open_system(5, "states", None);
    client.call(&open).failed(HResult::HCS_E_SYSTEM_NOT_FOUND);
    // The id is free although handle 1 is still open.
    client.start_container(6, "states");
    client.terminate(6);
}

#[test]
fn a_shutdown_asks_and_a_terminate_kills() {
    let service = Service::new();
    let mut client = service.client();
    client.start_container(1, "polite");
    let script = "trap 'exit 5' TERM; echo ready; while :; do sleep 0.01; done";
    let mut process = client.create_process(1, 2, &shell(script));
    wait_for(&mut process, "ready\n");
    client
        .call(&Call::ShutDownSystem {
            system: 1,
            options: None,
        })
        .ok();
    assert_eq!(client.exit_code(2), 5);
    assert_eq!(client.system_exit(1), "GracefulExit");

    client.start_container(3, "stubborn");
    let mut process = client.create_process(3, 4, &shell("trap '' TERM; echo ready; sleep 1000"));
    wait_for(&mut process, "ready\n");
    let shutdown = client.send(&Call::ShutDownSystem {
        system: 3,
        options: None,
    });
    let refused = client.send(&create_process(3, 5, &shell("true")));
    client.wait(refused).failed(HResult::HCS_E_INVALID_STATE);
    client.terminate(3);
    client.wait(shutdown).ok();
    assert_eq!(client.exit_code(4), 137);
    assert_eq!(client.system_exit(3), "ForcedExit");
}

#[test]
fn processes_are_signalled_terminated_and_opened() {
    let service = Service::new();
    let mut client = service.client();
    client.start_container(1, "signals");
    let process = client.create_process(1, 2, &json!({"CommandArgs": ["/bin/sleep", "1000"]}));
    let signal = |options: Option<&str>| Call::SignalProcess {
        process: 2,
        options: options.map(str::to_owned),
    };
    client
        .call(&signal(Some(r#"{"Signal":"Nonsense"}"#)))
        .failed(HResult::HCS_E_INVALID_JSON);
    client.call(&signal(Some(r#"{"Signal":15}"#))).ok();
    assert_eq!(client.exit_code(2), 143);
    client
        .call(&signal(None))
        .failed(HResult::HCS_E_PROCESS_ALREADY_STOPPED);
    let properties = client
        .call(&Call::GetProcessProperties {
            process: 2,
            query: None,
        })
        .ok()
        .json();
    assert_eq!(properties["ExitCode"], 143);
    let open = Call::OpenProcess {
        system: 1,
        process: 3,
        process_id: process.pid,
        again: false,
    };
    client.call(&open).failed(HResult::NOT_FOUND);

    client.create_process(1, 4, &json!({"CommandArgs": ["/bin/sleep", "1000"]}));
    let terminate = Call::TerminateProcess {
        process: 4,
        options: None,
    };
    client.call(&terminate).ok();
    client
        .call(&terminate)
        .failed(HResult::HCS_E_PROCESS_ALREADY_STOPPED);
    assert_eq!(client.exit_code(4), 137);
    client
        .call(&create_process(
            1,
            5,
            &json!({"CommandArgs": ["/nonexistent/program"]}),
        ))
        .failed(HResult::FILE_NOT_FOUND);
    client.terminate(1);
}

#[test]
fn an_exit_status_is_kept_until_a_client_was_told() {
    let service = Service::new();
    let mut client = service.client();
    client.start_container(1, "kept");
    let mut process = client.create_process(1, 2, &shell("read x; exit 9"));
    client.call(&Call::CloseProcess { process: 2 }).ok();
    process.write("go\n");
    // Its end of stdout is closed by its end.
    assert_eq!(process.output(), "");
    let open = |handle| Call::OpenProcess {
        system: 1,
        process: handle,
        process_id: process.pid,
        again: false,
    };
    let opened = client.call(&open(3)).ok();
    assert_eq!(opened.reply.process.unwrap().process_id, process.pid);
    assert_eq!(client.exit_code(3), 9);
    client.call(&open(4)).failed(HResult::NOT_FOUND);
    client.terminate(1);
}

#[test]
fn two_clients_see_the_same_system() {
    let service = Service::new();
    let (mut one, mut two) = (service.client(), service.client());
    one.start_container(1, "shared");
    let open = open_system(10, "shared", None);
    let opened = two.call(&open).ok();
    let wrong = open_system(11, "shared", Some("another"));
    two.call(&wrong).failed(HResult::HCS_E_SYSTEM_NOT_FOUND);
    assert!(opened.reply.runtime_id.is_some());
    let mut process = one.create_process(1, 2, &shell("read x; exit 4"));
    two.call(&Call::OpenProcess {
        system: 10,
        process: 12,
        process_id: process.pid,
        again: false,
    })
    .ok();
    let info = two.call(&Call::GetProcessInfo { process: 12 }).ok();
    assert!(info.descriptors.is_empty(), "the other client holds them");
    process.write("go\n");
    assert_eq!(one.exit_code(2), 4);
    assert_eq!(two.exit_code(12), 4);
    two.call(&Call::CloseSystem { system: 10 }).ok();
    one.terminate(1);
    assert_eq!(one.system_exit(1), "ForcedExit");
    assert!(two.events.is_empty(), "a closed handle hears nothing");
}

fn wait_for(process: &mut crate::common::client::Created, text: &str) {
    use std::io::Read as _;
    let mut read = vec![0; text.len()];
    process
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut read)
        .unwrap();
    assert_eq!(String::from_utf8(read).unwrap(), text);
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
fn systems_come_and_go_without_a_trace() {
    let service = Service::with_config("warm_slots = 0\n");
    let mut client = service.client();
    let cycle = |client: &mut Client, handle: u64| {
        client.start_container(handle, "cycle");
        let mut process = client.create_process(handle, handle + 1, &shell("echo x"));
        assert_eq!(process.output(), "x\n");
        assert_eq!(client.exit_code(handle + 1), 0);
        client.terminate(handle);
        assert_eq!(client.system_exit(handle), "ForcedExit");
        client
            .call(&Call::CloseProcess {
                process: handle + 1,
            })
            .ok();
        client.call(&Call::CloseSystem { system: handle }).ok();
    };
    cycle(&mut client, 10);
    let before = service.descriptors();
    for handle in 2..20 {
        cycle(&mut client, handle * 10);
    }
    // What they left is removed in the background; there is nothing else to wait for.
    await_that("no descriptor is left", || service.descriptors() <= before);
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
