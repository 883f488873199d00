//! A call is done once, or its client hears that it is unknown, whatever was forgotten or removed in the meantime.

use std::{fs, io::Read as _};

use crate::common::{
    Client, Service,
    client::{CONTAINER, create_system, open_system, shell, start_system, terminate_system},
    log::everything,
};
use hcs_schema::HResult;
use hcs_wire::service::{Call, Kind};
use serde_json::{Value, json};

const INSTANCE: &str = "c0ffee00-0000-4000-8000-000000000001";

/// Changes the record of the only system there is. No service runs.
fn change_record(service: &Service, change: impl FnOnce(&mut Value)) {
    let mut systems = fs::read_dir(service.root().join("systems")).unwrap();
    let path = systems.next().unwrap().unwrap().path().join("state.json");
    assert!(systems.next().is_none());
    let mut record = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    change(&mut record);
    fs::write(path, record.to_string()).unwrap();
}

/// A service that had to forget calls on a system says so to the next one, in the record of the system. A repeated call
/// that is not remembered may be one of them. A new call is none.
#[test]
fn a_call_that_a_service_may_have_forgotten_is_not_begun_again() {
    let mut service = Service::new();
    let mut client = service.client();
    let made = client.call(&create_system(1, "forgotten", CONTAINER)).ok();
    let runtime_id = made.reply.runtime_id.unwrap();
    client.call(&start_system(1)).ok();
    service.kill();
    change_record(&service, |record| {
        record["calls"]["done"] = json!(["", "0.other.1"]);
    });
    service.run();

    let open = open_system(1, "forgotten", Some(&runtime_id));
    let pause = Call::PauseSystem {
        system: 1,
        options: None,
    };
    let resume = Call::ResumeSystem {
        system: 1,
        options: None,
    };
    let mut again = Client::connect_as(&service.endpoint(), Some(INSTANCE));
    again.call(&open).ok();
    again.send_as(Kind::Repeat, 78, &pause, &[]);
    again.wait(78).failed(HResult::HCS_E_SERVICE_DISCONNECT);
    // It was not paused: that call is done, and there is something to resume after it only.
    again.call(&pause).ok();
    again.call(&resume).ok();
    again.call(&terminate_system(1)).ok();
}

/// A service that dies as soon as it has created a system leaves a client that may not know. Another client ends the
/// system before the first one comes back.
#[test]
fn a_system_that_has_ended_is_not_created_again_for_the_call_that_created_it() {
    let mut service = Service::new();
    let create = create_system(1, "ended", CONTAINER);
    let mut asking = Client::connect_as(&service.endpoint(), Some(INSTANCE));
    asking.send_as(Kind::Request, 78, &create, &[]);
    asking.wait(78).ok();
    service.kill();
    service.run();
    let mut other = service.client();
    other.call(&open_system(1, "ended", None)).ok();
    other.terminate(1);
    assert_eq!(other.system_exit(1), "ForcedExit");
    for _ in 0..2 {
        service.kill();
        service.run();
    }
    let mut again = Client::connect_as(&service.endpoint(), Some(INSTANCE));
    again.send_as(Kind::Repeat, 78, &create, &[]);
    again.wait(78).failed(HResult::HCS_E_SYSTEM_ALREADY_STOPPED);
    again
        .call(&open_system(2, "ended", None))
        .failed(HResult::HCS_E_SYSTEM_NOT_FOUND);
    // A new call is another one.
    again.call(&create_system(3, "ended", CONTAINER)).ok();
    again.terminate(3);
}

const GROUP: &str = "0ad8b3c2-91e6-4ed2-9bf2-6f47f2b1a3c4";

fn change_group(operation: &str, details: &Value) -> Call {
    let settings = json!({
        "PropertyType": "CpuGroup",
        "Settings": { "Operation": operation, "OperationDetails": details },
    });
    Call::ModifyServiceSettings {
        settings: settings.to_string(),
    }
}

fn has_group(client: &mut Client) -> bool {
    let query = Some(json!({ "PropertyTypes": ["CpuGroup"] }).to_string());
    let told = client.call(&Call::GetServiceProperties { query }).ok();
    told.json().to_string().contains(GROUP)
}

/// Makes a call to a service that dies before its client knows, and starts the next one.
fn asked_in_vain(service: &mut Service, call: &Call) {
    let mut asking = Client::connect_as(&service.endpoint(), Some(INSTANCE));
    asking.send_as(Kind::Request, 78, call, &[]);
    asking.wait(78).ok();
    service.kill();
    service.run();
}

/// Makes it again, after one more service has died.
fn asked_again(service: &mut Service, call: &Call) {
    service.kill();
    service.run();
    let mut again = Client::connect_as(&service.endpoint(), Some(INSTANCE));
    again.send_as(Kind::Repeat, 78, call, &[]);
    again.wait(78).ok();
}

/// What the group is like when the client comes back says nothing of its call: another client has changed it since.
#[test]
fn a_group_of_processors_is_made_and_deleted_once_whatever_others_do_meanwhile() {
    let mut service = Service::new();
    let group = json!({ "GroupId": GROUP, "LogicalProcessorCount": 1, "LogicalProcessors": [0] });
    let create = change_group("CreateGroup", &group);
    let delete = change_group("DeleteGroup", &json!({ "GroupId": GROUP }));
    let mut client = service.client();
    let first = client.call(&create);
    if first.reply.result == HResult::NOT_SUPPORTED {
        // A host without groups.
        return;
    }
    first.ok();
    client.call(&delete).ok();

    asked_in_vain(&mut service, &create);
    service.client().call(&delete).ok();
    asked_again(&mut service, &create);
    assert!(!has_group(&mut service.client()), "it was made twice");

    service.client().call(&create).ok();
    asked_in_vain(&mut service, &delete);
    service.client().call(&create).ok();
    asked_again(&mut service, &delete);
    assert!(has_group(&mut service.client()), "it was deleted twice");
    service.client().call(&delete).ok();
}

/// A report whose file had to go for those of others is not written again for the client that comes back.
#[test]
fn a_crash_report_is_written_once_though_its_file_had_to_go() {
    let mut service = Service::new();
    let report = |of: &str| Call::SubmitCrashReport {
        settings: json!({ "CrashLog": of }).to_string(),
    };
    let kept = |service: &Service| {
        let files = fs::read_dir(service.root().join("crashes")).unwrap();
        let texts = files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
        texts.filter(|text| text.contains("the first")).count()
    };
    asked_in_vain(&mut service, &report("the first"));
    assert_eq!(kept(&service), 1);
    let mut other = service.client();
    for number in 0..64 {
        other.call(&report(&number.to_string())).ok();
    }
    assert_eq!(kept(&service), 0);
    asked_again(&mut service, &report("the first"));
    assert_eq!(kept(&service), 0, "it was written again");
    // Each was told once.
    let events = everything(&mut service.client());
    let reported = events.iter().filter(|event| event.kind == "CrashReported");
    assert_eq!(reported.count(), 65);
}

/// A cancellation means the same to the service that comes after the one that was asked.
#[test]
fn a_shutdown_that_outlived_its_service_is_cancelled_and_undone() {
    // What it leaves stays as long as its clients may come back.
    let mut service = Service::with_config("[times]\nreconnect_seconds = 10\n");
    let mut client = service.client();
    let made = client.call(&create_system(1, "deaf", CONTAINER)).ok();
    let runtime_id = made.reply.runtime_id.unwrap();
    client.call(&start_system(1)).ok();
    let script = "trap 'echo asked' TERM; echo ready; while :; do sleep 0.01; done";
    let mut deaf = client.create_process(1, 2, &shell(script));
    let mut said = [0; 6];
    deaf.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
    assert_eq!(&said, b"ready\n");

    let open = open_system(1, "deaf", Some(&runtime_id));
    let shut_down = Call::ShutDownSystem {
        system: 1,
        options: None,
    };
    let mut asking = Client::connect_as(&service.endpoint(), Some(INSTANCE));
    asking.call(&open).ok();
    asking.send_as(Kind::Request, 78, &shut_down, &[]);
    deaf.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
    assert_eq!(&said, b"asked\n");
    service.kill();
    service.run();

    let mut again = Client::connect_as(&service.endpoint(), Some(INSTANCE));
    again.call(&open).ok();
    again.send_as(Kind::Repeat, 78, &shut_down, &[]);
    again.send(&Call::Cancel { request: 78 });
    again.wait(78).failed(HResult::CANCELLED);
    // It was taken back: processes may be created again.
    let mut later = again.create_process(1, 3, &shell("echo again"));
    assert_eq!(later.output(), "again\n");
    assert_eq!(again.exit_code(3), 0);
    again.terminate(1);
    let mut rest = String::new();
    deaf.stdout.unwrap().read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "", "it was asked once");
}
