//! The engines under test, each with the differences that the shared suite may meet. A difference stands here, by name:
//! the suite then expects the engine's refusal, or its other answer, and skips nothing.

use std::{fs, path::PathBuf};

use hcs_schema::HResult;
use hcs_wire::service::Call;
use rustix::{
    event::{PollFd, PollFlags, poll},
    process::{Pid, PidfdFlags, pidfd_open},
};
use serde_json::{Map, Value, json};

use crate::common::{
    Client, Service,
    client::{create_system, start_system},
    kill,
};

/// What the suite knows of an engine.
#[derive(Debug)]
pub(crate) struct Kind {
    /// The engine's name, which begins the names of its tests.
    pub(crate) name: &'static str,
    /// A document for it, of a system with a guest agent.
    pub(crate) document: &'static str,
    /// `SystemType` of its systems.
    pub(crate) system_type: &'static str,
    /// That of systems of the other engine.
    pub(crate) other_type: &'static str,
    /// Whether a machine can be paused, or the words of the refusal.
    pub(crate) pauses: Result<(), &'static str>,
    /// Whether memory and processor time are accounted for each machine, or the words of the refusal.
    pub(crate) accounts: Result<(), &'static str>,
    /// Whether the output of detached processes can be kept, or the words of the refusal.
    pub(crate) keeps_output: Result<(), &'static str>,
    /// Whether a client may send requests to the agent, or the words of the refusal.
    pub(crate) takes_guest_requests: Result<(), &'static str>,
    /// The exit type of a system whose agent was killed after a shutdown was asked for, while no service was there:
    /// one engine leaves word of how its machine ended, the other's host does not tell.
    pub(crate) killed_in_shutdown: &'static str,
    /// The pid of the agent, from the pid in the machine's record.
    agent_of: fn(i32) -> i32,
}

/// The engine of containers.
pub(crate) static CONTAINER: Kind = Kind {
    name: "container",
    document: crate::common::client::CONTAINER,
    system_type: "Container",
    other_type: "VirtualMachine",
    pauses: Ok(()),
    accounts: Ok(()),
    keeps_output: Ok(()),
    takes_guest_requests: Err("takes orders from the service only"),
    killed_in_shutdown: "GracefulExit",
    agent_of: |pid| pid,
};

/// The engine of plain process trees.
pub(crate) static PROCESS: Kind = Kind {
    name: "process",
    document: r#"{"SchemaVersion":{"Major":2,"Minor":1},"Owner":"test","VirtualMachine":{"GuestConnection":{}}}"#,
    system_type: "VirtualMachine",
    other_type: "Container",
    pauses: Err("a process tree cannot be paused"),
    accounts: Err("is not available"),
    keeps_output: Err("cannot keep the output of detached processes"),
    takes_guest_requests: Ok(()),
    killed_in_shutdown: "UnexpectedExit",
    // Its record has the supervisor, whose child is `unshare`.
    agent_of: |supervisor| child_of(child_of(supervisor)),
};

/// All of them.
pub(crate) static ALL: [&Kind; 2] = [&CONTAINER, &PROCESS];

impl Kind {
    /// A service with both engines.
    pub(crate) fn service(&self) -> Service {
        self.service_with("")
    }

    /// The same, with further lines of configuration.
    pub(crate) fn service_with(&self, lines: &str) -> Service {
        let program = std::env::current_exe().unwrap().display().to_string();
        Service::of(vec![program, "--service".to_owned()], lines)
    }

    /// [`Kind::document`] with further members.
    pub(crate) fn document_with(&self, members: &Value) -> String {
        let mut document: Map<String, Value> = serde_json::from_str(self.document).unwrap();
        document.extend(members.as_object().unwrap().clone());
        Value::from(document).to_string()
    }

    /// Makes and starts a system.
    #[track_caller]
    pub(crate) fn run(&self, client: &mut Client, handle: u64, id: &str) {
        client.call(&create_system(handle, id, self.document)).ok();
        client.call(&start_system(handle)).ok();
    }

    /// Pauses a system. Returns false where the engine refuses, as it is declared.
    #[track_caller]
    pub(crate) fn pause(&self, client: &mut Client, system: u64) -> bool {
        let answer = client.call(&pause(system));
        match self.pauses {
            Ok(()) => drop(answer.ok()),
            Err(words) => {
                let said = answer.failed(HResult::NOT_SUPPORTED);
                assert!(said.contains(words), "{said}");
            }
        }
        self.pauses.is_ok()
    }

    /// The pid in the record of the only system there is: when it is gone, so is the machine.
    fn first_pid(service: &Service) -> i32 {
        let record = record(service);
        let machine: Value = serde_json::from_str(record["machine"].as_str().unwrap()).unwrap();
        i32::try_from(machine["Pid"].as_i64().unwrap()).unwrap()
    }

    /// Kills the agent of the only system there is, and waits for the end of its machine.
    pub(crate) fn kill_agent(&self, service: &Service) {
        let first = Self::first_pid(service);
        let machine = pidfd_open(Pid::from_raw(first).unwrap(), PidfdFlags::empty()).unwrap();
        kill((self.agent_of)(first));
        poll(&mut [PollFd::new(&machine, PollFlags::IN)], None).unwrap();
    }
}

/// A call that pauses.
pub(crate) fn pause(system: u64) -> Call {
    Call::PauseSystem {
        system,
        options: None,
    }
}

/// A call that resumes.
pub(crate) fn resume(system: u64) -> Call {
    Call::ResumeSystem {
        system,
        options: None,
    }
}

/// The directory of the only system there is.
fn directory(service: &Service) -> PathBuf {
    let entries = fs::read_dir(service.root().join("systems")).unwrap();
    let systems: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    assert_eq!(systems.len(), 1, "{systems:?}");
    systems.into_iter().next().unwrap()
}

/// The record of the only system there is.
pub(crate) fn record(service: &Service) -> Value {
    let text = fs::read_to_string(directory(service).join("state.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The only child of a process.
pub(crate) fn child_of(pid: i32) -> i32 {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let children = fs::read_to_string(path).unwrap();
    children.trim().parse().unwrap()
}

/// Properties of a system, by the names of their types.
pub(crate) fn properties(system: u64, kinds: &[&str]) -> Call {
    Call::GetSystemProperties {
        system,
        query: Some(json!({ "PropertyTypes": kinds }).to_string()),
    }
}
