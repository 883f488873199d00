//! A newer service takes over what an older one wrote down: a recorded state directory of version 1, given the process
//! of a real container.

use std::fs;

use crate::common::{
    Service,
    client::{shell, start_system},
};
use hcs_wire::service::Call;
use serde_json::{Value, json};

/// As version 1 wrote it.
const STATE: &str = include_str!("../data/state-v1/state.json");
const PROCESSES: &str = include_str!("../data/state-v1/processes.jsonl");

#[test]
fn systems_that_version_1_wrote_down_are_taken_over() {
    let mut service = Service::new();
    let mut client = service.client();
    client.start_container(1, "old");
    let mut process = client.create_process(1, 2, &shell("read x; exit 91"));
    assert_eq!(process.pid, 2, "as in the recorded journal");
    service.kill();
    let systems = service.root().join("systems");
    let directory = fs::read_dir(systems)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let written = fs::read_to_string(directory.join("state.json")).unwrap();
    let written: Value = serde_json::from_str(&written).unwrap();
    let machine: Value = serde_json::from_str(written["machine"].as_str().unwrap()).unwrap();
    let mut recorded: Value = serde_json::from_str(STATE).unwrap();
    let mut old: Value = serde_json::from_str(recorded["machine"].as_str().unwrap()).unwrap();
    for of_this_host in ["Pid", "StartTime", "BootId", "Groups", "Scratch"] {
        assert!(
            !old[of_this_host].is_null(),
            "{of_this_host} is in the record"
        );
        old[of_this_host] = machine[of_this_host].clone();
    }
    // Its agent is a new one.
    old["Proof"] = machine["Proof"].clone();
    recorded["machine"] = json!(old.to_string());
    recorded["runtime_id"] = written["runtime_id"].clone();
    fs::write(directory.join("state.json"), recorded.to_string()).unwrap();
    fs::write(directory.join("processes.jsonl"), PROCESSES).unwrap();
    service.run();

    let mut client = service.client();
    let open = Call::OpenSystem {
        system: 1,
        id: "recorded".to_owned(),
        runtime_id: None,
    };
    client.call(&open).ok();
    let open = |process, process_id| Call::OpenProcess {
        system: 1,
        process,
        process_id,
        again: false,
    };
    client.call(&open(2, 2)).ok();
    // A process that had exited, and no client had been told.
    client.call(&open(3, 5)).ok();
    assert_eq!(client.exit_code(3), 7);
    process.write("go\n");
    assert_eq!(client.exit_code(2), 91);
    assert!(
        !client.call(&start_system(1)).reply.result.is_success(),
        "it runs already"
    );
    client.terminate(1);
}
