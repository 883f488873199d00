//! The life of a system: what its states allow, who may end it, and that nothing stays.

use hcs_schema::HResult;
use hcs_wire::service::{Call, Subject};
use serde_json::json;

use super::{ids, line};
use crate::{
    common::{
        Client, await_that,
        client::{
            create_process, create_system, open_system, shell, start_system, terminate_system,
        },
    },
    kinds::{Kind, pause, resume},
};

pub(super) fn a_process_runs_in_a_system_and_everything_ends(kind: &Kind) {
    let service = kind.service();
    let mut client = service.client();
    let made = client
        .call(&create_system(1, "main job", kind.document))
        .ok();
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

pub(super) fn calls_may_be_sent_before_their_handles_are_there(kind: &Kind) {
    let service = kind.service();
    let mut client = service.client();
    let create = client.send(&create_system(1, "pipelined", kind.document));
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

pub(super) fn states_allow_what_they_allow(kind: &Kind) {
    let service = kind.service();
    let mut client = service.client();
    client.call(&create_system(1, "states", kind.document)).ok();
    client
        .call(&create_system(2, "states", kind.document))
        .failed(HResult::HCS_E_SYSTEM_ALREADY_EXISTS);
    client.call(&pause(1)).failed(HResult::HCS_E_INVALID_STATE);
    client
        .call(&create_process(1, 3, &shell("true")))
        .failed(HResult::HCS_E_INVALID_STATE);
    client.call(&start_system(1)).ok();
    client
        .call(&start_system(1))
        .failed(HResult::HCS_E_INVALID_STATE);
    if kind.pause(&mut client, 1) {
        client
            .call(&create_process(1, 3, &shell("true")))
            .failed(HResult::HCS_E_INVALID_STATE);
        client.call(&resume(1)).ok();
    }
    let mut process = client.create_process(1, 3, &shell("echo awake"));
    assert_eq!(process.output(), "awake\n");
    assert_eq!(client.exit_code(3), 0);
    kind.pause(&mut client, 1);
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
    kind.run(&mut client, 6, "states");
    client.terminate(6);
}

pub(super) fn a_shutdown_asks_and_a_terminate_kills(kind: &Kind) {
    let service = kind.service();
    let mut client = service.client();
    kind.run(&mut client, 1, "polite");
    let script = "trap 'exit 5' TERM; echo ready; while :; do sleep 0.01; done";
    let mut process = client.create_process(1, 2, &shell(script));
    line(&mut process, "ready\n");
    client
        .call(&Call::ShutDownSystem {
            system: 1,
            options: None,
        })
        .ok();
    assert_eq!(client.exit_code(2), 5);
    assert_eq!(client.system_exit(1), "GracefulExit");

    kind.run(&mut client, 3, "stubborn");
    let mut process = client.create_process(3, 4, &shell("trap '' TERM; echo ready; sleep 1000"));
    line(&mut process, "ready\n");
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

pub(super) fn two_clients_see_the_same_system(kind: &Kind) {
    let service = kind.service();
    let (mut one, mut two) = (service.client(), service.client());
    kind.run(&mut one, 1, "shared");
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

pub(super) fn systems_come_and_go_without_a_trace(kind: &Kind) {
    let service = kind.service_with("warm_slots = 0\n");
    let mut client = service.client();
    let cycle = |client: &mut Client, handle: u64| {
        kind.run(client, handle, "cycle");
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

pub(super) fn a_system_that_is_to_end_with_its_last_handle_does(kind: &Kind) {
    let last_handle = kind.document_with(&json!({ "ShouldTerminateOnLastHandleClosed": true }));
    let service = kind.service();
    let mut watcher = service.client();
    let mut first = service.client();
    for handle in [1, 2] {
        let id = format!("last-{handle}");
        first.call(&create_system(handle, &id, &last_handle)).ok();
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
    first.call(&create_system(4, "again", &last_handle)).ok();
    let together = first.send_together([&close, &create_system(5, "again", &last_handle)]);
    for request in together {
        first.wait(request).ok();
    }
    first.terminate(5);
    // A client that is gone has closed its handles.
    drop(first);
    assert!(ids(&mut watcher, None).contains(&"last-2".to_owned()));
    drop(watcher);
    // A client that leaves while its system is made has closed the handle that it never had.
    for number in 0..8 {
        let mut hasty = service.client();
        let id = format!("hasty-{number}");
        hasty.send(&create_system(1, &id, &last_handle));
    }
    let mut late = service.client();
    // Made after them, so each of them is there by then, or is never made.
    late.call(&create_system(9, "late", &last_handle)).ok();
    late.call(&Call::CloseSystem { system: 9 }).ok();
    while !ids(&mut late, None).is_empty() {
        // Each round asks the service; it ends when the termination is through.
        std::thread::yield_now();
    }
}

pub(super) fn a_cancelled_shutdown_ends_and_leaves_the_system_running(kind: &Kind) {
    let service = kind.service();
    let mut client = service.client();
    kind.run(&mut client, 1, "cancels");
    let mut process =
        client.create_process(1, 2, &shell("trap '' TERM; echo ready; read x; exit 3"));
    line(&mut process, "ready\n");
    let shutdown = client.send(&Call::ShutDownSystem {
        system: 1,
        options: None,
    });
    let behind = client.send(&pause(1));
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
