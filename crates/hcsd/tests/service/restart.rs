//! The service may be killed at any moment; the next one takes over what lives and tells what ended.

use std::{
    fs::{self, File},
    io::Read as _,
    os::fd::OwnedFd,
};

use crate::common::{
    Client, Service,
    client::{
        CONTAINER, Created, create_process, create_system, open_system, shell, start_system,
        terminate_system,
    },
    kill,
};
use hcs_schema::HResult;
use hcs_wire::service::{Call, Kind, Pipes, Subject};
use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with},
    process::{Pid, Signal, kill_process},
};
use serde_json::{Value, json};

fn open_process(system: u64, process: u64, process_id: u32) -> Call {
    Call::OpenProcess {
        system,
        process,
        process_id,
        again: false,
    }
}

fn line(process: &mut Created, text: &str) {
    let mut read = vec![0; text.len()];
    process
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut read)
        .unwrap();
    assert_eq!(String::from_utf8(read).unwrap(), text);
}

/// The record of the only system there is.
fn record(service: &Service) -> Value {
    let systems: Vec<_> = fs::read_dir(service.root().join("systems"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(systems.len(), 1, "{systems:?}");
    let text = fs::read_to_string(systems[0].join("state.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The pid of the agent of the only system there is.
fn agent(service: &Service) -> i32 {
    let machine: Value =
        serde_json::from_str(record(service)["machine"].as_str().unwrap()).unwrap();
    i32::try_from(machine["Pid"].as_i64().unwrap()).unwrap()
}

/// Kills the agent of the only system there is: the system ends.
fn kill_agent(service: &Service) {
    kill(agent(service));
}

const INSTANCE: &str = "c0ffee00-0000-4000-8000-000000000001";

/// A process that leaves a line in a file of the host and says one.
fn making(user: &str) -> Call {
    let script = "echo ran >> /mnt/ran; echo said";
    Call::CreateProcess {
        system: 1,
        process: 2,
        parameters: json!({
            "CommandArgs": ["/bin/sh", "-c", script], "CreateStdOutPipe": true, "User": user
        })
        .to_string(),
        pipes: Some(Pipes {
            stdout: true,
            ..Pipes::default()
        }),
    }
}

/// The agent gives the pipes of a process to its user, so that they are not the client's any more when it asks again.
#[test]
fn a_process_of_another_user_keeps_the_pipes_of_a_client_that_asks_again() {
    use std::os::unix::fs::MetadataExt as _;
    for namespace in [false, true] {
        let mut service = Service::new();
        let document = json!({ "Container": {
            "MappedDirectories": [{ "HostPath": "/tmp", "ContainerPath": "/mnt", "ReadOnly": true }],
            "UserNamespace": namespace,
        } });
        let mut client = service.client();
        let made = client.call(&create_system(1, "other", &document.to_string()));
        let runtime_id = made.ok().reply.runtime_id.unwrap();
        client.call(&start_system(1)).ok();
        let open = open_system(1, "other", Some(&runtime_id));
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        let pipes = [write];
        let mut asking = Client::connect_as(&service.endpoint(), Some(INSTANCE));
        asking.call(&open).ok();
        asking.send_as(Kind::Request, 77, &making("33"), &pipes);
        let first = asking.wait(77).ok().reply.process.unwrap();
        assert!(first.own_pipes);
        let file = File::from(pipes[0].try_clone().unwrap());
        assert_ne!(file.metadata().unwrap().uid(), 0);
        service.kill();
        service.run();
        let mut again = Client::connect_as(&service.endpoint(), Some(INSTANCE));
        again.call(&open).ok();
        again.send_as(Kind::Repeat, 77, &making("33"), &pipes);
        let same = again.wait(77).ok().reply.process.unwrap();
        assert_eq!((same.process_id, same.own_pipes), (first.process_id, true));
        again.exit_code(2);
        drop((pipes, file));
        let mut said = String::new();
        File::from(read).read_to_string(&mut said).unwrap();
        assert!(said.ends_with("said\n"), "{said}");
        again.terminate(1);
    }
}

/// A call whose answer the service could not give is made again after its death: it is not done twice, what the process
/// said is not lost, and another client that uses its number gets nothing of it.
#[test]
fn a_process_is_made_once_though_its_client_asks_the_next_service_again() {
    let mut service = Service::new();
    let shared = tempfile::tempdir().unwrap();
    let place = shared.path().display().to_string();
    let document = json!({ "Container": { "MappedDirectories": [
        { "HostPath": place, "ContainerPath": "/mnt" }
    ] } });
    let mut client = service.client();
    let made = client
        .call(&create_system(1, "once", &document.to_string()))
        .ok();
    let runtime_id = made.reply.runtime_id.unwrap();
    client.call(&start_system(1)).ok();

    let open = open_system(1, "once", Some(&runtime_id));
    let mut asking = Client::connect_as(&service.endpoint(), Some(INSTANCE));
    asking.call(&open).ok();
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let pipes = [write];
    asking.send_as(Kind::Request, 77, &making(""), &pipes);
    let first = asking.wait(77).ok();
    let pid = first.reply.process.unwrap().process_id;
    assert!(first.reply.process.unwrap().own_pipes && first.descriptors.is_empty());
    // The agent hears with the next request that the client has its answer, and there is none.
    service.kill();
    service.run();

    let mut again = Client::connect_as(&service.endpoint(), Some(INSTANCE));
    again.call(&open).ok();
    again.send_as(Kind::Repeat, 77, &making(""), &pipes);
    let same = again.wait(77).ok().reply.process.unwrap();
    assert_eq!((same.process_id, same.own_pipes), (pid, true));
    assert_eq!(again.exit_code(2), 0);

    let mut other = Client::connect_as(&service.endpoint(), Some(&INSTANCE.replace('1', "2")));
    other.call(&open).ok();
    other.send_as(Kind::Repeat, 77, &making(""), &pipes);
    assert_ne!(other.wait(77).ok().reply.process.unwrap().process_id, pid);
    assert_eq!(other.exit_code(2), 0);
    drop(pipes);
    let mut said = String::new();
    File::from(read).read_to_string(&mut said).unwrap();
    assert_eq!(said, "said\nsaid\n");
    assert_eq!(
        fs::read_to_string(shared.path().join("ran")).unwrap(),
        "ran\nran\n"
    );
    other.call(&terminate_system(1)).ok();
}

/// The service remembers for a while what it did for a client whose connection was gone.
#[test]
fn a_pause_is_not_done_again_for_a_client_that_comes_back() {
    let mut service = Service::new();
    let mut client = service.client();
    let made = client.call(&create_system(1, "paused", CONTAINER)).ok();
    let runtime_id = made.reply.runtime_id.unwrap();
    client.call(&start_system(1)).ok();
    let open = open_system(1, "paused", Some(&runtime_id));
    let pause = Call::PauseSystem {
        system: 1,
        options: None,
    };
    let mut asking = Client::connect_as(&service.endpoint(), Some(INSTANCE));
    asking.call(&open).ok();
    asking.send_as(Kind::Request, 78, &pause, &[]);
    asking.wait(78).ok();
    service.kill();
    service.run();

    let mut client = service.client();
    client.call(&open).ok();
    let resume = Call::ResumeSystem {
        system: 1,
        options: None,
    };
    client.call(&resume).ok();
    let mut again = Client::connect_as(&service.endpoint(), Some(INSTANCE));
    again.call(&open).ok();
    again.send_as(Kind::Repeat, 78, &pause, &[]);
    again.wait(78).ok();
    assert_eq!(record(&service)["state"], "Running", "it was paused once");
    // To a client that says nothing of itself a repeat is no message.
    client.send_as(Kind::Repeat, 79, &pause, &[]);
    assert!(!client.receive());
    again.call(&terminate_system(1)).ok();
}

#[test]
fn running_processes_go_on_and_are_taken_over() {
    let mut service = Service::new();
    let mut client = service.client();
    let made = client.call(&create_system(1, "goes on", CONTAINER)).ok();
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

#[test]
fn what_exited_while_no_service_was_there_is_told_with_its_true_code() {
    let mut service = Service::new();
    let mut client = service.client();
    client.start_container(1, "meanwhile");
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

/// Opens a process as the library does for a handle that it had before the connection was lost.
fn open_again(system: u64, process: u64, process_id: u32) -> Call {
    Call::OpenProcess {
        system,
        process,
        process_id,
        again: true,
    }
}

#[test]
fn each_client_that_comes_back_is_told_of_an_exit_it_missed() {
    let mut service = Service::new();
    let mut client = service.client();
    client.start_container(1, "each");
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

#[test]
fn an_exit_that_no_client_was_told_survives_the_service() {
    let mut service = Service::new();
    let mut client = service.client();
    client.start_container(1, "owed");
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

#[test]
fn a_system_that_ended_while_no_service_was_there_tells_its_end_once_clients_are_back() {
    let mut service = Service::with_config("[times]\nreconnect_seconds = 5\n");
    let mut client = service.client();
    let made = client.call(&create_system(1, "gone", CONTAINER)).ok();
    let runtime_id = made.reply.runtime_id.unwrap();
    client.call(&start_system(1)).ok();
    let process = client.create_process(1, 2, &json!({"CommandArgs": ["/bin/sleep", "1000"]}));
    service.kill();
    kill_agent(&service);
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
    client.start_container(5, "gone");
    client.terminate(5);
}

#[test]
fn an_end_that_was_asked_for_before_the_service_died_is_no_surprise_to_the_next() {
    let mut service = Service::new();
    let mut client = service.client();
    let made = client.call(&create_system(1, "asked", CONTAINER)).ok();
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
    kill_agent(&service);
    service.run();
    let mut client = service.client();
    let open = open_system(1, "asked", Some(&runtime_id));
    client.call(&open).ok();
    assert_eq!(client.system_exit(1), "GracefulExit");
}

#[test]
fn an_agent_that_is_killed_ends_its_system_and_no_other() {
    let service = Service::new();
    let mut client = service.client();
    client.start_container(1, "killed");
    let process = client.create_process(1, 2, &json!({"CommandArgs": ["/bin/sleep", "1000"]}));
    assert!(process.pid > 1);
    kill_agent(&service);
    let (subject, _, status) = client.connection_closed(1);
    assert_eq!(subject, Subject::Process(2));
    assert_eq!(status["ExitCode"], 137);
    let (_, _, status) = client.event();
    assert_eq!(status["ExitType"], "UnexpectedExit");
    let initiator = &status["Attribution"][0]["SystemExit"]["Initiator"];
    assert!(initiator == "Unknown" || initiator == "GuestOS", "{status}");
    // Where the host has it ended, the end of the connection is nothing to tell.
    client.start_container(3, "other");
    client.terminate(3);
    assert_eq!(client.system_exit(3), "ForcedExit");
}

fn wait_until_readable(file: &File) {
    let mut polled = [PollFd::new(file, PollFlags::IN)];
    poll(&mut polled, None).unwrap();
    assert_eq!(polled[0].revents(), PollFlags::IN);
}

/// Asks for fresh ends of a process's stdio.
fn attach(client: &mut Client, handle: u64) -> Created {
    let request = client.send(&Call::GetProcessInfo { process: handle });
    client.created(request, handle)
}

#[test]
fn stdio_can_be_fetched_again_when_both_client_and_service_have_died() {
    let mut service = Service::new();
    let mut client = service.client();
    client.start_container(1, "attach");
    // It has moved its pipes elsewhere, and other files are in their places.
    let script = "exec 7<&0 8>&1 9>&2 0</dev/null 1>/dev/null 2>/dev/null; mkfifo /gate; echo bad >&9; echo before >&8; \
                  read x <&7; echo got $x >&8; read go < /gate; read y <&7 || echo end >&8; exit 71";
    let mut process = client.create_process(1, 2, &shell(script));
    line(&mut process, "before\n");
    process.write("first\n");
    service.kill();
    service.run();

    let mut client = service.client();
    client.call(&open_system(1, "attach", None)).ok();
    client.call(&open_process(1, 2, process.pid)).ok();
    let held = attach(&mut client, 2);
    assert!(held.stdin.is_none() && held.stdout.is_none() && held.stderr.is_none());
    wait_until_readable(process.stdout.as_ref().unwrap());
    // What the first client had not read is not lost with it.
    drop(process);
    let mut again = attach(&mut client, 2);
    client.create_process(1, 3, &shell("echo go > /gate"));
    assert_eq!(client.exit_code(3), 0);
    let mut stderr = String::new();
    drop(again.stdin.take().unwrap());
    again
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut stderr)
        .unwrap();
    assert_eq!(stderr, "bad\n");
    assert_eq!(again.output(), "got first\nend\n");
    assert_eq!(client.exit_code(2), 71);
    client.terminate(1);
}

#[test]
fn a_stdin_that_was_closed_stays_closed() {
    let mut service = Service::new();
    let mut client = service.client();
    client.start_container(1, "closed");
    let process = client.create_process(1, 2, &shell("sleep 1000"));
    let close = Call::ModifyProcess {
        process: 2,
        settings: r#"{"Operation":"CloseHandle","CloseHandle":{"Handle":"StdIn"}}"#.to_owned(),
    };
    client.call(&close).ok();
    for _ in 0..2 {
        service.kill();
        service.run();
    }
    let mut client = service.client();
    client.call(&open_system(1, "closed", None)).ok();
    client.call(&open_process(1, 2, process.pid)).ok();
    drop(process);
    let again = attach(&mut client, 2);
    assert!(again.stdin.is_none() && again.stdout.is_some() && again.stderr.is_some());
    client.terminate(1);
}

#[test]
fn a_process_whose_creation_was_not_written_down_is_found_again() {
    let mut service = Service::new();
    let mut client = service.client();
    client.start_container(1, "unknown");
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

#[test]
fn states_survive() {
    let mut service = Service::new();
    let mut client = service.client();
    client.call(&create_system(1, "created", CONTAINER)).ok();
    client.start_container(2, "paused");
    let mut process = client.create_process(2, 3, &shell("read x; exit 41"));
    let pause = Call::PauseSystem {
        system: 2,
        options: None,
    };
    client.call(&pause).ok();
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
    assert_eq!(state(&mut client, 2), "Paused");
    client.call(&start_system(1)).ok();
    let resume = Call::ResumeSystem {
        system: 2,
        options: None,
    };
    client.call(&resume).ok();
    client.call(&open_process(2, 3, process.pid)).ok();
    process.write("go\n");
    assert_eq!(client.exit_code(3), 41);
    client.terminate(1);
    client.terminate(2);
}

#[test]
fn what_was_being_paused_when_the_service_died_is_taken_over_as_it_is() {
    let mut service = Service::new();
    let mut client = service.client();
    for (handle, id) in [(1, "running"), (2, "paused")] {
        client.start_container(handle, id);
    }
    let pause = Call::PauseSystem {
        system: 2,
        options: None,
    };
    client.call(&pause).ok();
    service.kill();
    // As if it had died after it had frozen the one and thawed the other, and before it could write that down.
    for entry in fs::read_dir(service.root().join("systems")).unwrap() {
        let path = entry.unwrap().path().join("state.json");
        let mut record: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let other = if record["state"] == "Paused" {
            "Running"
        } else {
            "Paused"
        };
        record["state"] = json!(other);
        fs::write(path, record.to_string()).unwrap();
    }
    service.run();
    let mut client = service.client();
    for (handle, id) in [(1, "running"), (2, "paused")] {
        client.call(&open_system(handle, id, None)).ok();
    }
    let resume = Call::ResumeSystem {
        system: 2,
        options: None,
    };
    client.call(&resume).ok();
    for (system, process) in [(1, 3), (2, 4)] {
        client.create_process(system, process, &shell("exit 42"));
        assert_eq!(client.exit_code(process), 42);
        client.terminate(system);
        assert_eq!(client.system_exit(system), "ForcedExit");
    }
}

#[test]
fn a_system_that_no_client_comes_back_for_ends_if_it_is_to_end_with_its_last_handle() {
    let mut service = Service::with_config("[times]\nreconnect_seconds = 1\n");
    let document = r#"{"Container":{},"ShouldTerminateOnLastHandleClosed":true}"#;
    let mut client = service.client();
    for (handle, id) in [(1, "forgotten"), (2, "fetched")] {
        client.call(&create_system(handle, id, document)).ok();
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

#[test]
fn damaged_records_are_cleared_away_and_newer_ones_left_alone() {
    let mut service = Service::new();
    let mut client = service.client();
    client.start_container(1, "damaged");
    let directory = service
        .root()
        .join("systems")
        .join(record(&service)["runtime_id"].as_str().unwrap());
    service.kill();
    fs::write(directory.join("state.json"), "{\"version\":1,\"id\":").unwrap();
    let newer = service
        .root()
        .join("systems/0b7a2f6e-0000-4000-8000-000000000001");
    fs::create_dir(&newer).unwrap();
    let future = json!({
        "version": 99, "id": "future", "runtime_id": "0b7a2f6e-0000-4000-8000-000000000001",
        "uid": 0, "document": "{}", "engine": "container", "machine": "{}", "state": "Running",
        "terminate_on_last_handle_closed": false,
    });
    fs::write(newer.join("state.json"), future.to_string()).unwrap();
    service.run();
    assert!(!directory.exists());
    assert!(newer.exists());
    let mut client = service.client();
    let left = client
        .call(&Call::EnumerateSystems { query: None })
        .ok()
        .json();
    assert_eq!(left, json!([]));
    let said = client
        .call(&open_system(1, "future", None))
        .failed(HResult::HCS_E_SYSTEM_NOT_FOUND);
    assert!(said.contains("a newer service made it"), "{said}");
    client
        .call(&create_system(2, "future", CONTAINER))
        .failed(HResult::HCS_E_SYSTEM_ALREADY_EXISTS);
    fs::remove_dir_all(newer).unwrap();
}

#[test]
fn a_service_that_is_told_to_leave_leaves_its_systems_running() {
    let mut service = Service::new();
    let mut client = service.client();
    client.start_container(1, "stays");
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

#[test]
fn what_an_ended_system_left_behind_does_not_harm_a_later_one_of_its_id() {
    let mut service = Service::new();
    let mut client = service.client();
    client.start_container(1, "again");
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

/// Connects to the agent of the only system there is until no further connection fits into its queue.
fn fill_queue(service: &Service) -> Vec<OwnedFd> {
    let directory = record(service)["runtime_id"].as_str().unwrap().to_owned();
    let path = service
        .root()
        .join("systems")
        .join(directory)
        .join("agent.sock");
    let address = SocketAddrUnix::new(path).unwrap();
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let mut connected = Vec::new();
    loop {
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
        match connect(&socket, &address) {
            Ok(()) => connected.push(socket),
            Err(Errno::AGAIN) => return connected,
            Err(errno) => panic!("{errno}"),
        }
    }
}

#[test]
fn an_agent_that_does_not_come_to_accept_is_waited_for() {
    let mut service = Service::new();
    let mut client = service.client();
    client.start_container(1, "starved");
    let mut process = client.create_process(1, 2, &shell("read x; exit 91"));
    // As on a machine where it is not its turn for as long as several services take to come and go.
    let agent = Pid::from_raw(agent(&service)).unwrap();
    kill_process(agent, Signal::STOP).unwrap();
    drop(fill_queue(&service));
    for _ in 0..2 {
        service.kill();
        service.run();
    }
    let mut client = service.client();
    client.call(&open_system(1, "starved", None)).ok();
    let opening = client.send(&open_process(1, 2, process.pid));
    let creation = client.send(&create_process(1, 3, &shell("exit 92")));
    kill_process(agent, Signal::CONT).unwrap();
    client.wait(opening).ok();
    client.wait(creation).ok();
    assert_eq!(client.exit_code(3), 92);
    process.write("go\n");
    assert_eq!(client.exit_code(2), 91);
    client.terminate(1);
}

#[test]
fn a_paused_system_outlives_any_number_of_services() {
    let mut service = Service::new();
    let mut client = service.client();
    client.start_container(1, "paused");
    let pause = Call::PauseSystem {
        system: 1,
        options: None,
    };
    client.call(&pause).ok();
    drop(fill_queue(&service));
    service.kill();
    service.run();
    let mut client = service.client();
    client.call(&open_system(1, "paused", None)).ok();
    let resume = Call::ResumeSystem {
        system: 1,
        options: None,
    };
    client.call(&resume).ok();
    client.create_process(1, 2, &shell("exit 93"));
    assert_eq!(client.exit_code(2), 93);
    client.terminate(1);
}
