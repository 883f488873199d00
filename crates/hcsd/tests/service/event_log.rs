//! The numbered event log: complete, in order, and kept through the end of the service.

use hcs_schema::HResult;
use hcs_wire::{
    log::{LogPage, LogQuery},
    service::Call,
};

use crate::common::{
    Client, Service,
    client::{CONTAINER, create_process, create_system, open_system, shell, start_system},
    log::{everything, read, since},
};

fn follow(since: u64, system: &str) -> Call {
    Call::ReadEvents(LogQuery {
        since,
        follow: true,
        system: Some(system.to_owned()),
        limit: None,
    })
}

#[test]
fn a_follower_waits_for_its_system_and_holds_no_client_up() {
    let service = Service::new();
    let mut follower = service.client();
    let waiting = follower.send(&follow(0, "wanted"));
    let mut client = service.client();
    client.start_container(1, "other");
    client.terminate(1);
    client.call(&create_system(2, "wanted", CONTAINER)).ok();
    let answer = follower.wait(waiting).ok();
    let page: LogPage = serde_json::from_value(answer.json()).unwrap();
    assert_eq!(page.events[0].kind, "SystemCreated");
    assert_eq!(page.events[0].system.as_deref(), Some("wanted"));
    let waiting = follower.send(&follow(page.next, "wanted"));
    let cancel = Call::Cancel { request: waiting };
    follower.call(&cancel).ok();
    follower.wait(waiting).failed(HResult::CANCELLED);
    // A follower that leaves while it waits is no burden, and is not waited for.
    follower.send(&follow(page.next, "never"));
    drop(follower);
    client.call(&start_system(2)).ok();
    client.terminate(2);
}

#[test]
fn dropped_events_are_told_with_the_first_that_is_there() {
    let service = Service::with_config("[limits]\nevent_log_bytes = 65536\n");
    let mut client = service.client();
    client.start_container(1, "many");
    let first = |client: &mut Client| read(client, &since(0)).first;
    let mut handle = 2;
    while first(&mut client) == 1 {
        for _ in 0..20 {
            client.create_process(1, handle, &shell("exit 0"));
            client.exit_code(handle);
            handle += 1;
        }
    }
    let message = client.call(&since(1)).failed(HResult::ENTRY_DELETED);
    assert!(message.contains("event 1 "), "{message}");
    client.call(&since(1 << 40)).failed(HResult::NOT_FOUND);
    client.terminate(1);
}

fn explain(operation: &str) -> Call {
    Call::ExplainOperation {
        operation: operation.to_owned(),
    }
}

#[test]
fn a_failed_operation_is_explained_also_by_the_next_service() {
    let mut service = Service::new();
    let mut client = service.client();
    client.start_container(1, "box");
    let missing = serde_json::json!({ "CommandArgs": ["/no/such/program"] });
    let request = client.send(&create_process(1, 2, &missing));
    let answer = client.wait(request);
    let document = answer.json();
    let operation = document["ErrorEvents"][0]["Data"][0]["Value"].as_str();
    let operation = operation.unwrap().strip_prefix("operation ").unwrap();
    assert_eq!(operation, format!("{}-{request}", std::process::id()));
    let before = client.call(&explain(operation)).ok().json();
    assert_eq!(before["Call"], "CreateProcess");
    assert_eq!(before["System"], "box");
    assert_eq!(before["Error"]["Error"], document["Error"]);
    let steps: Vec<&str> = before["Steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["Step"].as_str().unwrap())
        .collect();
    assert!(steps[9].starts_with("failed: "), "{steps:?}");
    assert_eq!(
        steps,
        [
            "asked the guest agent: ExecuteProcess",
            "agent: took the request up",
            "agent: looked up the user",
            "agent: read what to run",
            "agent: has its standard streams ready",
            "process: cloned from the agent",
            "process: has its session, streams and user",
            "process: entered its working directory",
            "the guest agent answered",
            steps[9],
            "answered"
        ]
    );
    service.kill();
    service.run();
    let mut client = service.client();
    let after = client.call(&explain(operation)).ok().json();
    // The next service knows no more than what is written down, which quotes no client.
    assert_eq!(
        (&after["Result"], &after["Steps"]),
        (&before["Result"], &before["Steps"])
    );
    assert!(before.to_string().contains("/no/such/program"));
    assert!(!after.to_string().contains("/no/such/program"), "{after}");
    client.call(&explain("1-1")).failed(HResult::NOT_FOUND);
    client.call(&explain("box")).failed(HResult::E_INVALIDARG);
    let open = open_system(1, "box", None);
    client.call(&open).ok();
    client.terminate(1);
}

#[test]
fn a_call_that_waits_says_behind_what() {
    let service = Service::new();
    let mut client = service.client();
    client.start_container(1, "box");
    // A process that refuses to end keeps the shutdown waiting.
    let _deaf = client.create_deaf_process(1, 2);
    let shut_down = client.send(&Call::ShutDownSystem {
        system: 1,
        options: None,
    });
    let pause = client.send(&Call::PauseSystem {
        system: 1,
        options: None,
    });
    let name = |request: u64| format!("{}-{request}", std::process::id());
    let report = client.call(&explain(&name(pause))).ok().json();
    assert_eq!(report["Done"], false);
    let behind = format!("queued behind shut down ({})", name(shut_down));
    assert_eq!(report["Steps"][0]["Step"], behind, "{report}");
    client.terminate(1);
    client.wait(shut_down);
    client
        .wait(pause)
        .failed(HResult::HCS_E_SYSTEM_ALREADY_STOPPED);
}

#[test]
fn an_open_of_nothing_is_one_event_and_the_next_service_explains_it() {
    let mut service = Service::new();
    let mut client = service.client();
    let open = client.send(&open_system(1, "nobox", None));
    // Whether it waits for the handle or comes after it failed: it ends as the open does, and is no event.
    let terminate = Call::TerminateSystem {
        system: 1,
        options: None,
    };
    let waiting = client.send(&terminate);
    for request in [open, waiting, client.send(&terminate)] {
        client.wait(request).failed(HResult::HCS_E_SYSTEM_NOT_FOUND);
    }
    client.call(&Call::CloseSystem { system: 1 }).ok();
    client.call(&terminate).failed(HResult::E_HANDLE);
    let again = open_system(2, "nobox", Some("00000000-0000-0000-0000-000000000000"));
    client.call(&again).failed(HResult::HCS_E_SYSTEM_NOT_FOUND);
    let operation = format!("{}-{open}", std::process::id());
    let events = everything(&mut client);
    let failed: Vec<_> = events
        .iter()
        .filter(|entry| entry.kind == "OperationFailed")
        .map(|entry| (entry.system.as_deref(), entry.operation.as_deref()))
        .collect();
    assert_eq!(failed, [(Some("nobox"), Some(operation.as_str()))]);
    let before = client.call(&explain(&operation)).ok().json();
    assert_eq!(before["Call"], "OpenSystem");
    service.kill();
    service.run();
    let mut client = service.client();
    let after = client.call(&explain(&operation)).ok().json();
    assert_eq!(
        (&after["Result"], &after["Steps"]),
        (&before["Result"], &before["Steps"])
    );
    let unknown = client.call(&explain("1-1")).failed(HResult::NOT_FOUND);
    assert!(unknown.contains("begun anew"), "{unknown}");
}
