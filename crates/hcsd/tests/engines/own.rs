//! What the second engine alone has: guests without an agent, guests that reboot, and every kind of end that a
//! supervisor leaves word of. And that both engines serve side by side.

use std::{fs, os::fd::OwnedFd, path::PathBuf};

use hcs_schema::HResult;
use hcs_wire::service::{Call, Subject};
use rustix::{
    event::{PollFd, PollFlags, poll},
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    common::{
        Client, Service,
        client::{SYSTEM_EXITED, create_process, create_system, open_system, shell, start_system},
    },
    engine::{CONTAINER_OF_AGENT, POWER_OFF, RESET, SILENT},
    kinds::{PROCESS, child_of},
};

/// A test: its name and its body. A body fails by panicking.
type Test = (&'static str, fn());

pub(crate) const TESTS: &[Test] = &[
    (
        "two_engines_serve_side_by_side",
        two_engines_serve_side_by_side,
    ),
    (
        "each_engine_answers_for_its_systems",
        each_engine_answers_for_its_systems,
    ),
    (
        "requests_name_the_container_of_the_agent",
        requests_name_the_container_of_the_agent,
    ),
    (
        "a_guest_that_reboots_keeps_its_system",
        a_guest_that_reboots_keeps_its_system,
    ),
    (
        "a_guest_without_an_agent_is_left_to_its_client",
        a_guest_without_an_agent_is_left_to_its_client,
    ),
    ("ends_are_told_as_they_were", ends_are_told_as_they_were),
    (
        "ends_without_a_service_are_told_as_they_were",
        ends_without_a_service_are_told_as_they_were,
    ),
    (
        "machines_that_do_not_answer_hold_no_client_up",
        machines_that_do_not_answer_hold_no_client_up,
    ),
];

/// A machine with an agent.
const WITH_AGENT: &str =
    r#"{"SchemaVersion":{"Major":2,"Minor":1},"VirtualMachine":{"GuestConnection":{}}}"#;

/// One whose guest boots again when it is reset.
const REBOOTING: &str = r#"{"SchemaVersion":{"Major":2,"Minor":1},
    "VirtualMachine":{"GuestConnection":{},"StopOnReset":false}}"#;

fn service() -> Service {
    PROCESS.service_with("[times]\nreconnect_seconds = 5\n")
}

fn shut_down(system: u64, options: Option<&str>) -> Call {
    Call::ShutDownSystem {
        system,
        options: options.map(str::to_owned),
    }
}

fn properties(system: u64, kind: &str) -> Call {
    Call::GetSystemProperties {
        system,
        query: Some(json!({ "PropertyTypes": [kind] }).to_string()),
    }
}

/// Waits for the end of a system, which must be the next event; returns how it ended, and what its machine said of
/// that.
#[track_caller]
fn end(client: &mut Client, system: u64) -> (String, Value) {
    let (subject, event_type, status) = client.event_after_crash();
    assert_eq!(
        (subject, event_type),
        (Subject::System(system), SYSTEM_EXITED)
    );
    let kind = status["ExitType"].as_str().unwrap().to_owned();
    (kind, status["Attribution"].clone())
}

fn two_engines_serve_side_by_side() {
    let service = service();
    let mut client = service.client();
    client.call(&create_system(1, "tree", WITH_AGENT)).ok();
    client
        .call(&create_process(1, 9, &shell("true")))
        .failed(HResult::HCS_E_INVALID_STATE);
    client.call(&start_system(1)).ok();
    client.start_container(2, "container");
    for (system, handle) in [(1, 3), (2, 4)] {
        let mut process = client.create_process(system, handle, &shell("read a; echo $a; exit 7"));
        process.write("said\n");
        assert_eq!(process.output(), "said\n");
        assert_eq!(client.exit_code(handle), 7);
    }
    let query = Call::EnumerateSystems { query: None };
    let systems = client.call(&query).ok().json();
    let types: Vec<&Value> = systems
        .as_array()
        .unwrap()
        .iter()
        .map(|s| &s["SystemType"])
        .collect();
    assert_eq!(types, ["Container", "VirtualMachine"]);
    client.terminate(2);
    assert_eq!(client.system_exit(2), "ForcedExit");
    client.call(&shut_down(1, None)).ok();
    assert_eq!(client.system_exit(1), "GracefulExit");
    client
        .call(&start_system(1))
        .failed(HResult::HCS_E_SYSTEM_ALREADY_STOPPED);
    client.call(&create_system(5, "tree", WITH_AGENT)).ok();
    client.terminate(5);
    assert_eq!(client.system_exit(5), "ForcedExit");
}

fn each_engine_answers_for_its_systems() {
    let service = service();
    let mut client = service.client();
    // What one engine's table refuses is no matter of the other's.
    let hosted = r#"{"HostingSystemId":"a","VirtualMachine":{}}"#;
    let refused = client.call(&create_system(1, "tree", hosted));
    let message = refused.failed(HResult::NOT_SUPPORTED);
    assert!(message.contains("there is nothing to host it"), "{message}");
    client.call(&create_system(1, "tree", WITH_AGENT)).ok();
    client.call(&start_system(1)).ok();
    let statistics = client.call(&properties(1, "Statistics")).ok().json();
    assert!(
        statistics["Statistics"]["Uptime100ns"].as_u64() > Some(0),
        "{statistics}"
    );
    // What only this engine has comes through in both ways, beside another property.
    let query = json!({
        "PropertyTypes": ["ICHeartbeatStatus", "Statistics"],
        "PropertyQueries": {"ICHeartbeatStatus": {}},
    });
    let heartbeat = client.call(&Call::GetSystemProperties {
        system: 1,
        query: Some(query.to_string()),
    });
    let heartbeat = heartbeat.ok().json();
    let expected = json!({"IsEnabled": true});
    assert_eq!(heartbeat["ICHeartbeatStatus"], expected, "{heartbeat}");
    assert!(heartbeat["Statistics"].is_object(), "{heartbeat}");
    assert_eq!(
        heartbeat["PropertyResponses"]["ICHeartbeatStatus"]["Response"], expected,
        "{heartbeat}"
    );
    let refused = client.call(&properties(1, "GuestMemory"));
    let message = refused.failed(HResult::NOT_SUPPORTED);
    assert!(message.contains("does not offer it"), "{message}");
    let sleeping = client.create_process(1, 2, &json!({"CommandArgs": ["/bin/sleep", "1000"]}));
    let list = client.call(&properties(1, "ProcessList")).ok().json();
    let ids: Vec<_> = list["ProcessList"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| &p["ProcessId"])
        .collect();
    assert!(ids.contains(&&json!(sleeping.pid)), "{list}");
    client.call(&properties(1, "GuestConnection")).ok();
    let pause = Call::PauseSystem {
        system: 1,
        options: None,
    };
    client.call(&pause).failed(HResult::NOT_SUPPORTED);
    let settings = json!({"ResourcePath": "Container/Memory/SizeInMB", "Settings": 64}).to_string();
    let modify = Call::ModifySystem {
        system: 1,
        settings,
    };
    let message = client.call(&modify).failed(HResult::NOT_SUPPORTED);
    assert!(
        message.contains("of a process tree cannot be modified"),
        "{message}"
    );
    // The guest's part goes to the agent, which says what it makes of it.
    let settings = json!({"GuestRequest": {"ResourceType": "Nonsense"}}).to_string();
    let modify = Call::ModifySystem {
        system: 1,
        settings,
    };
    let message = client.call(&modify).failed(HResult::NOT_SUPPORTED);
    assert!(message.contains("Nonsense"), "{message}");
    let query = json!({"PropertyQueries": {"Capabilities": {}}}).to_string();
    let query = Call::GetServiceProperties { query: Some(query) };
    let told = client.call(&query).ok().json();
    let told = &told["PropertyResponses"]["Capabilities"]["Response"];
    assert_eq!(told["Processes"]["Plain"], true);
    assert!(told["Limits"].is_object(), "the other engine's: {told}");
    client.terminate(1);
    assert_eq!(client.exit_code(2), 137);
    assert_eq!(client.system_exit(1), "ForcedExit");
}

/// A machine that is a container of an agent: our agent hosts none, so it refuses each request about one, by its id.
fn requests_name_the_container_of_the_agent() {
    const ID: &str = "5d9a0e4c-1f66-4c33-9d3e-7d2f0c1b6a90";
    let service = service();
    let mut client = service.client();
    let mut document: Value = serde_json::from_str(WITH_AGENT).unwrap();
    document["Owner"] = json!(format!("{CONTAINER_OF_AGENT}{ID}"));
    client
        .call(&create_system(1, "hosted", &document.to_string()))
        .ok();
    // What is said of the guest as a whole names no container: the agent is ready.
    client.call(&start_system(1)).ok();
    let guest_request = json!({"GuestRequest": {"ResourceType": "Nonsense"}});
    for call in [
        create_process(1, 2, &shell("true")),
        properties(1, "ProcessList"),
        Call::ModifySystem {
            system: 1,
            settings: guest_request.to_string(),
        },
    ] {
        let message = client.call(&call).failed(HResult::HCS_E_SYSTEM_NOT_FOUND);
        assert!(
            message.contains(&format!("there is no container {ID:?} in this system")),
            "{message}"
        );
    }
    client.terminate(1);
    assert_eq!(client.system_exit(1), "ForcedExit");
}

/// Kills the agent of a machine, from outside of it: to its guest that is a reset.
fn reset(service: &Service, runtime_id: &str) {
    let (_, supervisor) = supervisor(service, runtime_id);
    crate::common::kill(child_of(child_of(supervisor)));
}

fn a_guest_that_reboots_keeps_its_system() {
    let service = service();
    let mut client = service.client();
    let made = client.call(&create_system(1, "tree", REBOOTING)).ok();
    let runtime_id = made.reply.runtime_id.unwrap();
    client.call(&start_system(1)).ok();
    for boot in 0..3 {
        let handle = 10 + 2 * boot;
        let sleep = json!({"CommandArgs": ["/bin/sleep", "1000"]});
        client.create_process(1, handle, &sleep);
        reset(&service, &runtime_id);
        // It is not known how a process ended that went with its guest.
        let (subject, _, status) = client.connection_closed(1);
        assert_eq!(subject, Subject::Process(handle));
        assert_ne!(status["LastWaitResult"], 0, "{status}");
        let mut process = client.create_process(1, handle + 1, &shell("echo back"));
        assert_eq!(process.output(), "back\n");
        assert_eq!(client.exit_code(handle + 1), 0);
    }
    client.call(&shut_down(1, None)).ok();
    assert_eq!(client.system_exit(1), "GracefulExit");
}

/// A guest without an agent: a script of a test's own.
struct Script {
    directory: TempDir,
}

impl Script {
    /// A script that begins with `begin` and does `end` when it is told to.
    fn new(begin: &str, end: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().display();
        let text = format!(
            "{begin}\n: > {path}/begun\nwhile [ ! -e {path}/end ]; do sleep 0.01; done\n{end}\n"
        );
        fs::write(directory.path().join("kernel"), text).unwrap();
        Self { directory }
    }

    fn document(&self) -> String {
        let kernel = self.directory.path().join("kernel");
        let direct = json!({ "KernelFilePath": kernel });
        let machine = json!({ "Chipset": { "LinuxKernelDirect": direct } });
        json!({"SchemaVersion": {"Major": 2, "Minor": 1}, "VirtualMachine": machine}).to_string()
    }

    fn has_begun(&self) {
        let begun = self.directory.path().join("begun");
        crate::common::await_that("the guest begins", || begun.exists());
    }

    fn tell_to_end(&self) {
        fs::write(self.directory.path().join("end"), "").unwrap();
    }
}

fn a_guest_without_an_agent_is_left_to_its_client() {
    let mut service = service();
    let mut client = service.client();
    let script = Script::new(&format!("trap 'exit {POWER_OFF}' TERM"), "");
    client
        .call(&create_system(1, "alone", &script.document()))
        .ok();
    assert!(!script.directory.path().join("begun").exists());
    client.call(&start_system(1)).ok();
    script.has_begun();
    let answer = client.call(&create_process(1, 2, &shell("true")));
    let message = answer.failed(HResult::NOT_SUPPORTED);
    assert!(message.contains("no guest agent"), "{message}");
    client
        .call(&properties(1, "GuestConnection"))
        .failed(HResult::NOT_SUPPORTED);
    // Nothing is looked for when it is taken over.
    service.kill();
    service.run();
    let mut client = service.client();
    client.call(&open_system(1, "alone", None)).ok();
    let basic = client.call(&properties(1, "Basic")).ok().json();
    assert_eq!(basic["State"], "Running");
    let reboot = r#"{"Type":"Reboot"}"#;
    client
        .call(&shut_down(1, Some(reboot)))
        .failed(HResult::NOT_SUPPORTED);
    client
        .call(&shut_down(1, Some(r#"{"Type":"Shutdown"}"#)))
        .ok();
    let (kind, attribution) = end(&mut client, 1);
    assert_eq!(kind, "GracefulExit");
    assert_eq!(
        attribution[1]["WorkerExit"]["Detail"], "PowerOff",
        "{attribution}"
    );
}

/// Ends of guests, by themselves: what they do, the kind of end, and its attribution.
fn ends() -> [(String, &'static str, Value); 6] {
    let system_exit = |detail: &str, initiator: &str| json!({"SystemExit": {"Detail": detail, "Initiator": initiator}});
    let worker_exit = |kind: &str, detail: &str| json!({"WorkerExit": {"ExitCode": 0, "Type": kind, "Detail": detail, "Initiator": "GuestOS"}});
    let orderly = system_exit("Shutdown", "GuestOS");
    let surprising = system_exit("UnexpectedExit", "GuestOS");
    let (off, reset) = (
        worker_exit("Stopped", "PowerOff"),
        worker_exit("StoppedOnReset", "Reset"),
    );
    let crash = worker_exit("UnexpectedStop", "GuestCrash");
    let killed = json!([system_exit("UnexpectedExit", "Unknown")]);
    [
        ("exit 0".to_owned(), "GracefulExit", json!([orderly])),
        ("exit 3".to_owned(), "UnexpectedExit", json!([surprising])),
        (
            format!("exit {POWER_OFF}"),
            "GracefulExit",
            json!([orderly, off]),
        ),
        (
            format!("exit {RESET}"),
            "GracefulExit",
            json!([orderly, reset]),
        ),
        (
            "kill -SEGV $$".to_owned(),
            "UnexpectedExit",
            json!([surprising, crash]),
        ),
        ("kill -KILL $$".to_owned(), "UnexpectedExit", killed),
    ]
}

fn ends_are_told_as_they_were() {
    let service = service();
    let mut client = service.client();
    for (system, (what, kind, attribution)) in (1..).zip(ends()) {
        let script = Script::new("", &what);
        client
            .call(&create_system(system, "guest", &script.document()))
            .ok();
        client.call(&start_system(system)).ok();
        script.has_begun();
        script.tell_to_end();
        assert_eq!(
            end(&mut client, system),
            (kind.to_owned(), attribution),
            "{what}"
        );
    }
}

/// The supervisor of a system of which the service has written that down, and its pid.
fn supervisor(service: &Service, runtime_id: &str) -> (OwnedFd, i32) {
    let path: PathBuf = service
        .root()
        .join("systems")
        .join(runtime_id)
        .join("state.json");
    let record: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let machine: Value = serde_json::from_str(record["machine"].as_str().unwrap()).unwrap();
    let pid = i32::try_from(machine["Pid"].as_i64().unwrap()).unwrap();
    let process = pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty());
    (process.unwrap(), pid)
}

fn ends_without_a_service_are_told_as_they_were() {
    let mut service = service();
    let mut client = service.client();
    let mut systems = Vec::new();
    let ends = ends()
        .into_iter()
        .map(|(what, kind, told)| (what, kind, told, false));
    let killed = json!([{"SystemExit": {"Detail": "UnexpectedExit", "Initiator": "Unknown"}}]);
    let taken_away = ("exit 0".to_owned(), "UnexpectedExit", killed, true);
    for (system, end) in (1..).zip(ends.chain([taken_away])) {
        let script = Script::new("", &end.0);
        let id = format!("guest {system}");
        let made = client
            .call(&create_system(system, &id, &script.document()))
            .ok();
        client.call(&start_system(system)).ok();
        script.has_begun();
        let runtime_id = made.reply.runtime_id.unwrap();
        let (supervisor, _) = supervisor(&service, &runtime_id);
        systems.push((system, id, runtime_id, script, supervisor, end));
    }
    service.kill();
    for (_, _, _, script, supervisor, (.., from_outside)) in &systems {
        if *from_outside {
            pidfd_send_signal(supervisor, Signal::KILL).unwrap();
        }
        script.tell_to_end();
        poll(&mut [PollFd::new(supervisor, PollFlags::IN)], None).unwrap();
    }
    service.run();
    let mut client = service.client();
    for (system, id, runtime_id, _, _, (what, kind, attribution, _)) in systems {
        client
            .call(&open_system(system, &id, None))
            .failed(HResult::HCS_E_SYSTEM_NOT_FOUND);
        client
            .call(&open_system(system, &id, Some(&runtime_id)))
            .ok();
        assert_eq!(
            end(&mut client, system),
            (kind.to_owned(), attribution),
            "{what}"
        );
    }
}

/// A machine may be in the hands of its guest.
fn machines_that_do_not_answer_hold_no_client_up() {
    let mut service = service();
    let mut client = service.client();
    let mut machines = Vec::new();
    for system in 1..4 {
        let script = Script::new("", &format!("exit {POWER_OFF}"));
        let id = format!("silent {system}");
        let made = client
            .call(&create_system(system, &id, &script.document()))
            .ok();
        client.call(&start_system(system)).ok();
        script.has_begun();
        let runtime_id = made.reply.runtime_id.unwrap();
        let directory = service.root().join("systems").join(runtime_id);
        machines.push((system, id, script, directory.join(SILENT)));
    }
    for (.., silent) in &machines {
        fs::write(silent, "").unwrap();
    }
    service.kill();
    service.run();
    let mut client = service.client();
    for (system, id, ..) in &machines {
        client.call(&open_system(*system, id, None)).ok();
        client.call(&properties(*system, "Basic")).ok();
    }
    for (system, _, script, silent) in &machines {
        fs::remove_file(silent).unwrap();
        script.tell_to_end();
        assert_eq!(client.system_exit(*system), "GracefulExit");
    }
}
