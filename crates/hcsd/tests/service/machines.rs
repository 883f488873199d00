//! Virtual machines: the guest of 124 bytes that the tests of their engine have, in a real QEMU.

#[path = "../../../engine_vm/tests/machines/guest.rs"]
mod guest;

use std::{
    io::{Read as _, Write as _},
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
    time::Duration,
};

use hcs_schema::HResult;
use hcs_wire::{
    event_type::{SYSTEM_CRASH_INITIATED, SYSTEM_CRASH_REPORT},
    service::{Call, Subject},
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::{
    Client, Service,
    client::{SYSTEM_EXITED, create_process, create_system, open_system, shell, start_system},
};

/// A kernel, and the document that boots it with COM1 at a pipe.
struct Guest(TempDir);

impl Guest {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        guest::write(&place.path().join("kernel"));
        Self(place)
    }

    fn document(&self, pipe: &str) -> Value {
        let kernel = self.0.path().join("kernel");
        json!({
            "SchemaVersion": {"Major": 2, "Minor": 1},
            "VirtualMachine": {
                "StopOnReset": true,
                "Chipset": {"LinuxKernelDirect": {"KernelFilePath": kernel}},
                "ComputeTopology": {"Memory": {"SizeInMB": 16}, "Processor": {"Count": 1}},
                "Devices": {"ComPorts": {"0": {"NamedPipe": format!(r"\\.\pipe\{pipe}")}}},
            },
        })
    }
}

/// COM1 of a guest that has booted.
fn com(service: &Service, pipe: &str) -> UnixStream {
    let stream = UnixStream::connect(service.root().join("pipes").join(pipe)).unwrap();
    // Only so that a failure does not hang.
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    stream
}

fn read_line(com: &mut UnixStream) -> String {
    let (mut text, mut byte) = (Vec::new(), [0]);
    while !text.ends_with(b"\n") {
        com.read_exact(&mut byte).unwrap();
        text.push(byte[0]);
    }
    String::from_utf8(text).unwrap()
}

/// Waits for the end of a system, which must be the next event; returns its type, and what its machine said of it.
#[track_caller]
fn end(client: &mut Client, system: u64) -> (String, Value) {
    let (subject, event_type, status) = client.event_after_crash();
    assert_eq!(
        (subject, event_type),
        (Subject::System(system), SYSTEM_EXITED)
    );
    let kind = status["ExitType"].as_str().unwrap().to_owned();
    let detail = status["Attribution"][1]["WorkerExit"]["Detail"].clone();
    (kind, detail)
}

const fn pause(system: u64) -> Call {
    Call::PauseSystem {
        system,
        options: None,
    }
}

const fn resume(system: u64) -> Call {
    Call::ResumeSystem {
        system,
        options: None,
    }
}

#[test]
fn a_machine_lives_beside_a_container_and_its_end_is_told() {
    let service = Service::new();
    let mut client = service.client();
    let guest = Guest::new();
    client.start_container(9, "beside");
    let ends = [
        ("o", "GracefulExit", json!("PowerOff")),
        ("r", "GracefulExit", json!("Reset")),
        ("p", "UnexpectedExit", json!("GuestCrash")),
    ];
    for (system, (letter, kind, detail)) in (1..).zip(ends) {
        let document = guest.document("com").to_string();
        client
            .call(&create_system(system, "machine", &document))
            .ok();
        client.call(&start_system(system)).ok();
        let mut com = com(&service, "com");
        read_line(&mut com);
        client.call(&pause(system)).ok();
        com.write_all(b"x\n").unwrap();
        client.call(&resume(system)).ok();
        assert_eq!(read_line(&mut com), "x\n");
        com.write_all(letter.as_bytes()).unwrap();
        assert_eq!(
            end(&mut client, system),
            (kind.to_owned(), detail),
            "{letter}"
        );
    }
    let mut process = client.create_process(9, 10, &shell("echo on"));
    assert_eq!(process.output(), "on\n");
    assert_eq!(client.exit_code(10), 0);
    client.terminate(9);
    assert_eq!(client.system_exit(9), "ForcedExit");
}

/// What the kernel says of QEMU of a machine.
pub(crate) fn status_of_qemu(runtime_id: &str, field: &str) -> String {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let mut found = all.filter_map(|entry| {
        let line = std::fs::read_to_string(entry.path().join("cmdline")).ok()?;
        let is_its = line.contains("qemu") && line.contains(runtime_id);
        is_its.then(|| std::fs::read_to_string(entry.path().join("status")).ok())?
    });
    let status = found.next().unwrap();
    let list = status
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    list.unwrap().trim().to_owned()
}

/// The processors that QEMU of a machine may use.
fn processors_of(runtime_id: &str) -> String {
    status_of_qemu(runtime_id, "Cpus_allowed_list")
}

#[test]
fn a_machine_runs_on_the_processors_of_its_group() {
    let service = Service::new();
    let mut client = service.client();
    let guest = Guest::new();
    let id = "41f7f3c1-7d9a-4d52-a0d5-3b1f0a7b9e11";
    let change = |operation: &str, details: &Value| Call::ModifyServiceSettings {
        settings: json!({
            "PropertyType": "CpuGroup",
            "Settings": { "Operation": operation, "OperationDetails": details },
        })
        .to_string(),
    };
    let mut document = guest.document("grouped");
    let group = json!({ "Id": id.to_uppercase() });
    document["VirtualMachine"]["ComputeTopology"]["Processor"]["CpuGroup"] = group;
    let create = create_system(1, "grouped", &document.to_string());
    let make = json!({ "GroupId": id, "LogicalProcessorCount": 1, "LogicalProcessors": [0] });
    let made = client.call(&change("CreateGroup", &make));
    if made.reply.result == HResult::NOT_SUPPORTED {
        client.call(&create).failed(HResult::NOT_SUPPORTED);
        return;
    }
    made.ok();
    let machine = client.call(&create).ok().reply.runtime_id.unwrap();
    assert_eq!(processors_of(&machine), "0");
    let delete = change("DeleteGroup", &json!({ "GroupId": id }));
    let busy = HResult::from_win32(hcs_schema::win32::ERROR_BUSY);
    assert!(client.call(&delete).failed(busy).contains("'grouped'"));
    client.terminate(1);
    assert_eq!(end(&mut client, 1).0, "ForcedExit");
    client.call(&delete).ok();
    let refused = client.call(&create_system(2, "grouped", &document.to_string()));
    let told = format!("{:?}", refused.reply);
    refused.failed(HResult::NOT_FOUND);
    assert!(told.contains("/Processor/CpuGroup/Id"), "{told}");
}

#[test]
fn a_crash_is_reported_with_the_file_that_has_the_memory() {
    let service = Service::new();
    let mut client = service.client();
    let guest = Guest::new();
    let file = guest.0.path().join("memory");
    std::fs::write(&file, "").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).unwrap();
    let mut document = guest.document("crash");
    for (system, named) in [(1, true), (2, false)] {
        document["VirtualMachine"]["DebugOptions"] = match named {
            true => json!({ "BugcheckSavedStateFileName": file }),
            false => json!({}),
        };
        let call = create_system(system, "crashes", &document.to_string());
        client.call(&call).ok();
        client.call(&start_system(system)).ok();
        let mut com = com(&service, "crash");
        read_line(&mut com);
        com.write_all(b"p").unwrap();
        let mut report = json!({"SystemId": "crashes", "Status": 0});
        if named {
            report["GuestCrashSaveInfo"] = json!({ "SaveStateFile": file });
        }
        for event in [SYSTEM_CRASH_INITIATED, SYSTEM_CRASH_REPORT] {
            let told = (Subject::System(system), event, report.clone());
            assert_eq!(client.event(), told);
        }
        let expected = ("UnexpectedExit".to_owned(), json!("GuestCrash"));
        assert_eq!(end(&mut client, system), expected);
    }
    assert!(std::fs::metadata(&file).unwrap().len() > 16 << 20);
}

#[test]
fn a_machine_goes_on_without_its_service() {
    let mut service = Service::new();
    let mut client = service.client();
    let guest = Guest::new();
    let document = guest.document("on").to_string();
    let made = client.call(&create_system(1, "goes on", &document)).ok();
    let runtime_id = made.reply.runtime_id.unwrap();
    // Killed before the start, while it runs, and while it is paused.
    service.kill();
    service.run();
    let open = open_system(1, "goes on", Some(&runtime_id));
    let mut client = service.client();
    client.call(&open).ok();
    client.call(&start_system(1)).ok();
    let mut stream = com(&service, "on");
    read_line(&mut stream);
    // Row J11. The process group of a worker that is stopped then is hung up by the kernel.
    let worker = status_of_qemu(&runtime_id, "PPid").parse().ok();
    let worker = worker.and_then(Pid::from_raw).unwrap();
    kill_process(worker, Signal::STOP).unwrap();
    service.kill();
    kill_process(worker, Signal::CONT).unwrap();
    stream.write_all(b"mean\n").unwrap();
    assert_eq!(read_line(&mut stream), "mean\n");
    service.run();
    let mut client = service.client();
    client.call(&open).ok();
    client.call(&pause(1)).ok();
    service.kill();
    service.run();
    let mut client = service.client();
    client.call(&open).ok();
    client.call(&resume(1)).ok();
    stream.write_all(b"again\n").unwrap();
    assert_eq!(read_line(&mut stream), "again\n");
    stream.write_all(b"o").unwrap();
    assert_eq!(
        end(&mut client, 1),
        ("GracefulExit".to_owned(), json!("PowerOff"))
    );
}

#[test]
fn an_end_without_a_service_is_told_by_the_next() {
    let mut service = Service::with_config("[times]\nreconnect_seconds = 20\n");
    let mut client = service.client();
    let guest = Guest::new();
    let document = guest.document("end").to_string();
    let made = client.call(&create_system(1, "ends", &document)).ok();
    let runtime_id = made.reply.runtime_id.unwrap();
    client.call(&start_system(1)).ok();
    let mut stream = com(&service, "end");
    read_line(&mut stream);
    service.kill();
    stream.write_all(b"r").unwrap();
    // The pipe ends with its worker.
    assert_eq!(stream.read_to_end(&mut Vec::new()).unwrap(), 0);
    service.run();
    let mut client = service.client();
    client.call(&open_system(1, "ends", Some(&runtime_id))).ok();
    assert_eq!(
        end(&mut client, 1),
        ("GracefulExit".to_owned(), json!("Reset"))
    );
}

#[test]
fn what_a_machine_has_not_is_refused() {
    let service = Service::new();
    let mut client = service.client();
    let guest = Guest::new();
    let mut document = guest.document("not");
    document["VirtualMachine"]["Devices"]["VirtualSmb"] = json!({});
    let refused = client.call(&create_system(1, "machine", &document.to_string()));
    let message = refused.failed(HResult::NOT_SUPPORTED);
    assert!(
        message.starts_with("/VirtualMachine/Devices/VirtualSmb "),
        "{message}"
    );
    let document = guest.document("not").to_string();
    client.call(&create_system(1, "machine", &document)).ok();
    client.call(&start_system(1)).ok();
    read_line(&mut com(&service, "not"));
    let answer = client.call(&create_process(1, 2, &shell("true")));
    let message = answer.failed(HResult::NOT_SUPPORTED);
    assert!(message.contains("no guest agent"), "{message}");
    let settings =
        json!({"ResourcePath": "VirtualMachine/ComputeTopology/Memory/SizeInMB", "Settings": 8});
    let modify = Call::ModifySystem {
        system: 1,
        settings: settings.to_string(),
    };
    let message = client.call(&modify).failed(HResult::E_INVALIDARG);
    assert!(message.contains("began with 16 MB"), "{message}");
    client.terminate(1);
    assert_eq!(client.system_exit(1), "ForcedExit");
}
