//! The service may be killed at any moment; the next one takes over what lives. What holds for each engine is in
//! `tests/engines/shared/adoption.rs`.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use crate::common::{
    Client, Service, await_that,
    client::{
        CONTAINER, create_process, create_system, open_system, shell, start_system,
        terminate_system,
    },
    log::everything,
};
use hcs_schema::{HResult, Stdio};
use hcs_wire::service::{Call, Kind, Subject};
use rustix::{
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

/// What an ended system leaves stays as long as its clients may come back.
const PATIENCE: &str = "[times]\nreconnect_seconds = 10\n";

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
        pipes: Some(Stdio {
            stdout: true,
            ..Stdio::default()
        }),
    }
}

/// The agent gives the pipes of a process to its user, so that they are not the client's any more when it asks again.
#[test]
fn a_process_of_another_user_keeps_the_pipes_of_a_client_that_asks_again() {
    use std::os::unix::fs::MetadataExt as _;
    for namespace in [false, true] {
        let mut service = Service::new();
        // No service of root starts in what is mapped, as `/tmp` would be.
        let mapped = tempfile::tempdir().unwrap();
        let document = json!({ "Container": {
            "MappedDirectories": [{ "HostPath": mapped.path(), "ContainerPath": "/mnt", "ReadOnly": true }],
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

/// The call that made the process that a system ends with is answered though the system has ended: by what its agent
/// has left. What was not done for a client is not done then.
#[test]
fn a_call_that_made_the_last_process_is_answered_when_its_system_has_ended() {
    let last = |number: u64| Call::CreateProcess {
        system: 1,
        process: number,
        parameters: json!({
            "CommandArgs": ["/bin/sh", "-c", "read x; echo said; exit 52"], "EndsSystem": true,
            "CreateStdInPipe": true, "CreateStdOutPipe": true,
        })
        .to_string(),
        pipes: Some(Stdio {
            stdin: true,
            stdout: true,
            ..Stdio::default()
        }),
    };
    for namespace in [false, true] {
        let mut service = Service::with_config(PATIENCE);
        let document = json!({ "Container": { "UserNamespace": namespace } }).to_string();
        let mut client = service.client();
        let made = client.call(&create_system(1, "last", &document)).ok();
        let open = open_system(1, "last", made.reply.runtime_id.as_deref());
        client.call(&start_system(1)).ok();
        let pipe = || rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        let ((stdin, write), (read, stdout)) = (pipe(), pipe());
        let pipes = [stdin, stdout];
        let mut asking = Client::connect_as(&service.endpoint(), Some(INSTANCE));
        asking.call(&open).ok();
        asking.send_as(Kind::Request, 77, &last(2), &pipes);
        let first = asking.wait(77).ok().reply.process.unwrap();
        assert!(first.own_pipes);
        let pid = agent(&service);
        service.kill();
        rustix::io::write(&write, b"go\n").unwrap();
        let process = Path::new("/proc").join(pid.to_string());
        await_that("the container is gone", || {
            fs::read_to_string(process.join("stat")).map_or(true, |stat| stat.contains(") Z "))
        });
        for _ in 0..2 {
            service.run();
            let mut again = Client::connect_as(&service.endpoint(), Some(INSTANCE));
            again.call(&open).ok();
            again.send_as(Kind::Repeat, 77, &last(2), &pipes);
            let same = again.wait(77).ok().reply.process.unwrap();
            assert_eq!((same.process_id, same.own_pipes), (first.process_id, true));
            again.send_as(Kind::Repeat, 78, &last(3), &pipes);
            let refused = again.wait(78);
            refused.failed(HResult::HCS_E_SYSTEM_ALREADY_STOPPED);
            let code = loop {
                let (subject, _, status) = again.event();
                if subject == Subject::Process(2) {
                    assert_eq!(status["LastWaitResult"], 0, "{status}");
                    break status["ExitCode"].clone();
                }
            };
            assert_eq!(code, 52);
            // Another one makes that call in vain.
            let mut other =
                Client::connect_as(&service.endpoint(), Some(&INSTANCE.replace('1', "2")));
            other.call(&open).ok();
            other.send_as(Kind::Repeat, 77, &last(2), &pipes);
            let refused = other.wait(77);
            refused.failed(HResult::HCS_E_SYSTEM_ALREADY_STOPPED);
            service.kill();
        }
        service.run();
        drop(pipes);
        let mut said = String::new();
        File::from(read).read_to_string(&mut said).unwrap();
        assert_eq!(said, "said\n");
    }
}

/// A client that does not read what it is told learns it from the next service.
#[test]
fn an_exit_that_a_client_has_not_read_survives_the_end_of_its_system() {
    let mut service = Service::with_config(PATIENCE);
    let mut client = service.client();
    let made = client.call(&create_system(1, "unread", CONTAINER)).ok();
    let open = open_system(1, "unread", made.reply.runtime_id.as_deref());
    client.call(&start_system(1)).ok();
    let mut busy = Client::connect_as(&service.endpoint(), Some(INSTANCE));
    busy.call(&open).ok();
    let mut last = shell("read x; exit 53");
    last["EndsSystem"] = json!(true);
    let mut process = busy.create_process(1, 2, &last);
    // More answers than its socket has room for; the last call shows that all have been made.
    for _ in 0..600 {
        busy.send(&Call::EnumerateSystems { query: None });
    }
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let said = Call::CreateProcess {
        system: 1,
        process: 3,
        parameters: json!({ "CommandArgs": ["echo", "said"], "CreateStdOutPipe": true })
            .to_string(),
        pipes: Some(Stdio {
            stdout: true,
            ..Stdio::default()
        }),
    };
    busy.send_as(Kind::Request, 100_000, &said, &[write]);
    let mut text = String::new();
    File::from(read).read_to_string(&mut text).unwrap();
    assert_eq!(text, "said\n");
    process.write("go\n");
    // The other client reads, and hears of the end.
    assert_eq!(client.system_exit(1), "GracefulExit");
    service.kill();
    service.run();
    let mut again = Client::connect_as(&service.endpoint(), Some(INSTANCE));
    again.call(&open).ok();
    let opened = Call::OpenProcess {
        system: 1,
        process: 2,
        process_id: process.pid,
        again: true,
    };
    again.call(&opened).ok();
    let code = loop {
        let (subject, _, status) = again.event();
        if subject == Subject::Process(2) {
            assert_eq!(status["LastWaitResult"], 0, "{status}");
            break status["ExitCode"].clone();
        }
    };
    assert_eq!(code, 53);
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

/// A record that is there and cannot be read for now, as with an error of the disk, is no reason to end the system.
#[test]
fn a_system_whose_record_cannot_be_read_for_now_is_left_alone() {
    let mut service = Service::new();
    let mut client = service.client();
    client.start_container(1, "box");
    let alive = PathBuf::from(format!("/proc/{}/ns/pid", agent(&service)));
    let machine = fs::read_link(&alive).unwrap();
    let runtime_id = record(&service)["runtime_id"].as_str().unwrap().to_owned();
    let directory = service.root().join("systems").join(runtime_id);
    let (place, aside) = (directory.join("state.json"), directory.join("aside"));
    service.kill();
    fs::rename(&place, &aside).unwrap();
    fs::create_dir(&place).unwrap();
    service.run();
    let left = service
        .client()
        .call(&Call::EnumerateSystems { query: None })
        .ok()
        .json();
    assert_eq!(left, json!([]));
    service.kill();
    fs::remove_dir(&place).unwrap();
    fs::rename(&aside, &place).unwrap();
    service.run();
    assert_eq!(fs::read_link(&alive).unwrap(), machine);
    let mut client = service.client();
    client.call(&open_system(1, "box", None)).ok();
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

/// The agent of the only container is stopped. What it has to tell, no service hears.
fn is_stopped(agent: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{agent}/stat")).unwrap();
    status.rsplit(") ").next().unwrap().starts_with('T')
}

/// A service that dies right after it wrote an exit into the event log has not noted it anywhere else. The next one
/// dies, too, before it hears of that exit; by then other events are the last ones.
#[test]
fn an_exit_is_one_event_though_two_services_die_before_they_note_it() {
    let mut service = Service::new();
    let mut client = service.client();
    client.start_container(1, "exits");
    let created = client.create_process(1, 2, &shell("exec sleep 1000"));
    let events = everything(&mut client);
    let entry = |kind: &str| events.iter().find(|entry| entry.kind == kind).unwrap();
    let mut exit = serde_json::to_value(entry("ProcessCreated")).unwrap();
    exit["Kind"] = json!("ProcessExited");
    exit["Number"] = json!(events.len() + 1);
    let agent = agent(&service);
    service.kill();
    let log = service.root().join("events");
    let mut segments: Vec<_> = fs::read_dir(&log)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    segments.sort();
    let mut last = fs::OpenOptions::new()
        .append(true)
        .open(segments.last().unwrap())
        .unwrap();
    writeln!(last, "{exit}").unwrap();
    drop(last);
    kill_process(Pid::from_raw(agent).unwrap(), Signal::STOP).unwrap();
    await_that("the agent stops", || is_stopped(agent));
    service.run();
    service.kill();
    kill_process(Pid::from_raw(agent).unwrap(), Signal::CONT).unwrap();
    service.run();
    let mut client = service.client();
    client.call(&open_system(1, "exits", None)).ok();
    client.call(&open_process(1, 2, created.pid)).ok();
    client
        .call(&Call::TerminateProcess {
            process: 2,
            options: None,
        })
        .ok();
    assert_eq!(client.exit_code(2), 137);
    let exits = everything(&mut client).into_iter();
    assert_eq!(
        exits.filter(|entry| entry.kind == "ProcessExited").count(),
        1
    );
    client.terminate(1);
}

/// A client asks the next service for a process whose exit was told and noted as done with. That service asks the agent
/// again, and dies before it has the answer.
#[test]
fn an_exit_is_one_event_though_a_later_service_asks_for_it_again() {
    let mut service = Service::new();
    let mut client = service.client();
    client.start_container(1, "exits");
    let ended = client.create_process(1, 2, &shell("exit 7"));
    assert_eq!(client.exit_code(2), 7);
    let gone = format!("\"gone\",\"pid\":{}}}", ended.pid);
    await_that("there is nothing more to tell of it", || {
        journal(&service).contains(&gone)
    });
    let agent = agent(&service);
    service.kill();
    service.run();
    let again = Call::OpenProcess {
        system: 1,
        process: 2,
        process_id: ended.pid,
        again: true,
    };
    let mut client = service.client();
    client.call(&open_system(1, "exits", None)).ok();
    // So the service is connected to its agent.
    client.create_process(1, 3, &shell("exit 0"));
    assert_eq!(client.exit_code(3), 0);
    kill_process(Pid::from_raw(agent).unwrap(), Signal::STOP).unwrap();
    await_that("the agent stops", || is_stopped(agent));
    client.send(&again);
    let noted = format!("\"pid\":{},", ended.pid);
    await_that("the process is noted again", || {
        journal(&service).contains(&noted)
    });
    service.kill();
    kill_process(Pid::from_raw(agent).unwrap(), Signal::CONT).unwrap();
    service.run();
    let mut client = service.client();
    client.call(&open_system(1, "exits", None)).ok();
    client.call(&again).ok();
    assert_eq!(client.exit_code(2), 7);
    let mut exits = everything(&mut client);
    exits.retain(|entry| entry.kind == "ProcessExited" && entry.process_id == Some(ended.pid));
    assert_eq!(exits.len(), 1, "{exits:?}");
    client.terminate(1);
}

/// What the only system has written down of its processes.
fn journal(service: &Service) -> String {
    let mut systems = fs::read_dir(service.root().join("systems")).unwrap();
    let system = systems.next().unwrap().unwrap().path();
    fs::read_to_string(system.join("processes.jsonl")).unwrap()
}
