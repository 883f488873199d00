//! A service that is killed, or leaves: the next one has what lives, and tells of what ended.

use std::fs;

use hcs_schema::HResult;
use hcs_wire::service::Call;
use serde_json::{Value, json};

use super::{line, open_again, open_process};
use crate::{
    common::{
        Client,
        client::{create_system, open_system, shell, start_system},
    },
    kinds::{Kind, record, resume},
};

pub(super) fn running_processes_go_on_and_are_taken_over(kind: &Kind) {
    let mut service = kind.service();
    let mut client = service.client();
    let made = client
        .call(&create_system(1, "goes on", kind.document))
        .ok();
    let runtime_id = made.reply.runtime_id.unwrap();
    client.call(&start_system(1)).ok();
    let script = "echo before; read x; echo $x; exit 11";
    let mut process = client.create_process(1, 2, &shell(script));
    line(&mut process, "before\n");
    service.kill();
    assert!(!client.receive(), "the connection ends with the service");
    service.run();

    let mut client = service.client();
    let again = client
        .call(&open_system(1, "goes on", Some(&runtime_id)))
        .ok();
    assert_eq!(again.reply.runtime_id.unwrap(), runtime_id);
    client.call(&open_process(1, 2, process.pid)).ok();
    process.write("after\n");
    assert_eq!(process.output(), "after\n");
    assert_eq!(client.exit_code(2), 11);
    let mut other = client.create_process(1, 3, &shell("echo new; exit 12"));
    assert_eq!(other.output(), "new\n");
    assert_eq!(client.exit_code(3), 12);
    client.terminate(1);
    assert_eq!(client.system_exit(1), "ForcedExit");
}

pub(super) fn what_exited_while_no_service_was_there_is_told_with_its_true_code(kind: &Kind) {
    let mut service = kind.service();
    let mut client = service.client();
    kind.run(&mut client, 1, "meanwhile");
    let mut process = client.create_process(1, 2, &shell("read x; exit 21"));
    service.kill();
    process.write("go\n");
    assert_eq!(process.output(), "");
    service.run();
    let mut client = service.client();
    client.call(&open_system(1, "meanwhile", None)).ok();
    client.call(&open_process(1, 2, process.pid)).ok();
    assert_eq!(client.exit_code(2), 21);
    client
        .call(&open_process(1, 3, process.pid))
        .failed(HResult::NOT_FOUND);
    client.terminate(1);
}

pub(super) fn each_client_that_comes_back_is_told_of_an_exit_it_missed(kind: &Kind) {
    let mut service = kind.service();
    let mut client = service.client();
    kind.run(&mut client, 1, "each");
    let mut process = client.create_process(1, 2, &shell("read x; exit 22"));
    let lost = client.create_process(1, 3, &shell("exit 23"));
    assert_eq!(client.exit_code(3), 23);
    service.kill();
    process.write("go\n");
    assert_eq!(process.output(), "");
    service.run();
    for _ in 0..2 {
        let mut client = service.client();
        client.call(&open_system(1, "each", None)).ok();
        client.call(&open_again(1, 2, process.pid)).ok();
        assert_eq!(client.exit_code(2), 22);
        // One whose exit was written down as told, although it may not have arrived.
        client.call(&open_again(1, 3, lost.pid)).ok();
        assert_eq!(client.exit_code(3), 23);
    }
    let mut client = service.client();
    client.call(&open_system(1, "each", None)).ok();
    client
        .call(&open_process(1, 2, process.pid))
        .failed(HResult::NOT_FOUND);
    client.terminate(1);
}

pub(super) fn an_exit_that_no_client_was_told_survives_the_service(kind: &Kind) {
    let mut service = kind.service();
    let mut client = service.client();
    kind.run(&mut client, 1, "owed");
    let mut owed = client.create_process(1, 2, &shell("read x; exit 31"));
    let mut told = client.create_process(1, 3, &shell("read x; exit 32"));
    client.call(&Call::CloseProcess { process: 2 }).ok();
    owed.write("go\n");
    assert_eq!(owed.output(), "");
    told.write("go\n");
    assert_eq!(client.exit_code(3), 32);
    // What is told first is written down after: a service killed in between would tell it again rather than never.
    client.call(&Call::EnumerateSystems { query: None }).ok();
    service.kill();
    service.run();
    let mut client = service.client();
    client.call(&open_system(1, "owed", None)).ok();
    client.call(&open_process(1, 2, owed.pid)).ok();
    assert_eq!(client.exit_code(2), 31);
    client
        .call(&open_process(1, 3, told.pid))
        .failed(HResult::NOT_FOUND);
    client.terminate(1);
}

pub(super) fn a_process_whose_creation_was_not_written_down_is_found_again(kind: &Kind) {
    let mut service = kind.service();
    let mut client = service.client();
    kind.run(&mut client, 1, "unknown");
    let mut process = client.create_process(1, 2, &shell("read x; exit 81"));
    let directory = record(&service)["runtime_id"].as_str().unwrap().to_owned();
    service.kill();
    let journal = service
        .root()
        .join("systems")
        .join(directory)
        .join("processes.jsonl");
    fs::remove_file(journal).unwrap();
    service.run();
    let mut client = service.client();
    client.call(&open_system(1, "unknown", None)).ok();
    client.call(&open_process(1, 2, process.pid)).ok();
    process.write("go\n");
    assert_eq!(client.exit_code(2), 81);
    client.terminate(1);
}

pub(super) fn states_survive(kind: &Kind) {
    let mut service = kind.service();
    let mut client = service.client();
    client
        .call(&create_system(1, "created", kind.document))
        .ok();
    kind.run(&mut client, 2, "paused");
    let mut process = client.create_process(2, 3, &shell("read x; exit 41"));
    let paused = kind.pause(&mut client, 2);
    service.kill();
    service.run();
    let mut client = service.client();
    let state = |client: &mut Client, system: u64| {
        let query = Call::GetSystemProperties {
            system,
            query: None,
        };
        client.call(&query).ok().json()["State"].clone()
    };
    client.call(&open_system(1, "created", None)).ok();
    client.call(&open_system(2, "paused", None)).ok();
    assert_eq!(state(&mut client, 1), Value::Null, "it has not run");
    assert_eq!(
        state(&mut client, 2),
        if paused { "Paused" } else { "Running" }
    );
    client.call(&start_system(1)).ok();
    if paused {
        client.call(&resume(2)).ok();
    }
    client.call(&open_process(2, 3, process.pid)).ok();
    process.write("go\n");
    assert_eq!(client.exit_code(3), 41);
    client.terminate(1);
    client.terminate(2);
}

pub(super) fn a_system_that_no_client_comes_back_for_ends_if_it_is_to_end_with_its_last_handle(
    kind: &Kind,
) {
    let mut service = kind.service_with("[times]\nreconnect_seconds = 1\n");
    let document = kind.document_with(&json!({ "ShouldTerminateOnLastHandleClosed": true }));
    let mut client = service.client();
    for (handle, id) in [(1, "forgotten"), (2, "fetched")] {
        client.call(&create_system(handle, id, &document)).ok();
    }
    service.kill();
    service.run();
    let mut client = service.client();
    client.call(&open_system(2, "fetched", None)).ok();
    let enumerate = Call::EnumerateSystems { query: None };
    loop {
        let left = client.call(&enumerate).ok().json();
        let ids: Vec<_> = left
            .as_array()
            .unwrap()
            .iter()
            .map(|s| s["Id"].as_str().unwrap().to_owned())
            .collect();
        if ids == ["fetched"] {
            break;
        }
        assert_eq!(ids, ["fetched", "forgotten"]);
    }
    client.terminate(2);
}

pub(super) fn a_service_that_is_told_to_leave_leaves_its_systems_running(kind: &Kind) {
    let mut service = kind.service();
    let mut client = service.client();
    kind.run(&mut client, 1, "stays");
    let mut process = client.create_process(1, 2, &shell("read x; exit 51"));
    service.stop();
    assert!(!client.receive());
    process.write("go\n");
    assert_eq!(process.output(), "");
    service.run();
    let mut client = service.client();
    client.call(&open_system(1, "stays", None)).ok();
    client.call(&open_process(1, 2, process.pid)).ok();
    assert_eq!(client.exit_code(2), 51);
    client.terminate(1);
}

pub(super) fn what_an_ended_system_left_behind_does_not_harm_a_later_one_of_its_id(kind: &Kind) {
    let mut service = kind.service();
    let mut client = service.client();
    kind.run(&mut client, 1, "again");
    let mut process = client.create_process(1, 2, &shell("read x; exit 61"));
    let living = record(&service);
    service.kill();
    // An earlier system of the same id, whose directory could not be removed when it ended.
    for number in 1..=8 {
        let runtime_id = format!("0b7a2f6e-0000-4000-8000-00000000000{number}");
        let directory = service.root().join("systems").join(&runtime_id);
        fs::create_dir(&directory).unwrap();
        let mut ended = living.clone();
        let mut machine: Value = serde_json::from_str(ended["machine"].as_str().unwrap()).unwrap();
        machine["StartTime"] = json!(1);
        ended["machine"] = json!(machine.to_string());
        ended["runtime_id"] = json!(runtime_id);
        fs::write(directory.join("state.json"), ended.to_string()).unwrap();
    }
    service.run();
    let mut client = service.client();
    let runtime_id = living["runtime_id"].as_str();
    client.call(&open_system(1, "again", runtime_id)).ok();
    client.call(&open_process(1, 2, process.pid)).ok();
    process.write("go\n");
    assert_eq!(client.exit_code(2), 61);
    client.terminate(1);
}
