//! How the end of a system is told: asked for or not, while a service was there or not.

use hcs_schema::HResult;
use hcs_wire::service::{Call, Subject};
use serde_json::json;

use super::{line, open_process};
use crate::{
    common::client::{create_system, open_system, shell, start_system},
    kinds::Kind,
};

pub(super) fn a_system_that_ended_while_no_service_was_there_tells_its_end_once_clients_are_back(
    kind: &Kind,
) {
    let mut service = kind.service_with("[times]\nreconnect_seconds = 5\n");
    let mut client = service.client();
    let made = client.call(&create_system(1, "gone", kind.document)).ok();
    let runtime_id = made.reply.runtime_id.unwrap();
    client.call(&start_system(1)).ok();
    let process = client.create_process(1, 2, &json!({"CommandArgs": ["/bin/sleep", "1000"]}));
    service.kill();
    kind.kill_agent(&service);
    service.run();
    let mut client = service.client();
    client
        .call(&open_system(1, "gone", None))
        .failed(HResult::HCS_E_SYSTEM_NOT_FOUND);
    client.call(&open_system(1, "gone", Some(&runtime_id))).ok();
    assert_eq!(client.system_exit(1), "UnexpectedExit");
    client.call(&open_process(1, 2, process.pid)).ok();
    let (_, _, status) = client.event();
    assert_eq!(status["Exited"], true);
    assert_ne!(status["LastWaitResult"], 0, "its exit code is unknown");
    // Its id is free.
    kind.run(&mut client, 5, "gone");
    client.terminate(5);
}

pub(super) fn an_end_that_was_asked_for_before_the_service_died_is_no_surprise_to_the_next(
    kind: &Kind,
) {
    let mut service = kind.service_with("[times]\nreconnect_seconds = 5\n");
    let mut client = service.client();
    let made = client.call(&create_system(1, "asked", kind.document)).ok();
    let runtime_id = made.reply.runtime_id.unwrap();
    client.call(&start_system(1)).ok();
    let script = "trap 'echo asked' TERM; echo ready; while :; do sleep 0.01; done";
    let mut process = client.create_process(1, 2, &shell(script));
    line(&mut process, "ready\n");
    client.send(&Call::ShutDownSystem {
        system: 1,
        options: None,
    });
    line(&mut process, "asked\n");
    service.kill();
    kind.kill_agent(&service);
    service.run();
    let mut client = service.client();
    let open = open_system(1, "asked", Some(&runtime_id));
    client.call(&open).ok();
    assert_eq!(client.system_exit(1), kind.killed_in_shutdown);
}

pub(super) fn an_agent_that_is_killed_ends_its_system_and_no_other(kind: &Kind) {
    let service = kind.service();
    let mut client = service.client();
    kind.run(&mut client, 1, "killed");
    let process = client.create_process(1, 2, &json!({"CommandArgs": ["/bin/sleep", "1000"]}));
    assert!(process.pid > 1);
    kind.kill_agent(&service);
    let (subject, _, status) = client.connection_closed(1);
    assert_eq!(subject, Subject::Process(2));
    assert_eq!(status["ExitCode"], 137);
    let (_, _, status) = client.event();
    assert_eq!(status["ExitType"], "UnexpectedExit");
    let initiator = &status["Attribution"][0]["SystemExit"]["Initiator"];
    assert!(initiator == "Unknown" || initiator == "GuestOS", "{status}");
    // Where the host has it ended, the end of the connection is nothing to tell.
    kind.run(&mut client, 3, "other");
    client.terminate(3);
    assert_eq!(client.system_exit(3), "ForcedExit");
}
