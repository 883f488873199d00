//! The event log: the life of a system in order, with numbers that go on.

use crate::{
    common::{
        client::{open_system, shell},
        log::{everything, story, told},
    },
    kinds::{Kind, resume},
};

pub(super) fn the_life_of_a_system_is_told_in_order(kind: &Kind) {
    let service = kind.service();
    let mut client = service.client();
    kind.run(&mut client, 1, "told");
    let mut process = client.create_process(1, 2, &shell("exit 7"));
    assert_eq!(process.output(), "");
    assert_eq!(client.exit_code(2), 7);
    let paused = kind.pause(&mut client, 1);
    if paused {
        client.call(&resume(1)).ok();
    }
    client.terminate(1);
    let events = everything(&mut client);
    assert_eq!(events[0].kind, "ServiceStarted");
    let mut expected = vec![
        ("SystemCreated", None),
        ("SystemStarted", None),
        ("ProcessCreated", Some(process.pid)),
        ("ProcessExited", Some(process.pid)),
    ];
    if paused {
        expected.extend([("SystemPaused", None), ("SystemResumed", None)]);
    } else {
        expected.push(("OperationFailed", None));
    }
    expected.push(("SystemExited", None));
    assert_eq!(story(&events, "told"), told(&expected));
    let data = |kind: &str| {
        let entry = events.iter().find(|entry| entry.kind == kind).unwrap();
        entry.data.clone().unwrap()
    };
    // A value of the client's document.
    assert!(data("SystemCreated")["Owner"].is_null());
    assert_eq!(data("ProcessExited")["ExitCode"], 7);
    assert_eq!(data("SystemExited")["ExitType"], "ForcedExit");
    assert!(events[0].time.ends_with('Z'));
}

pub(super) fn numbers_go_on_through_a_killed_service_and_nothing_is_told_twice(kind: &Kind) {
    let mut service = kind.service();
    let mut client = service.client();
    kind.run(&mut client, 1, "box");
    let mut early = client.create_process(1, 2, &shell("exit 3"));
    assert_eq!(early.output(), "");
    assert_eq!(client.exit_code(2), 3);
    let mut late = client.create_process(1, 3, &shell("read x; exit 4"));
    let before = everything(&mut client);
    service.kill();
    late.write("go\n");
    assert_eq!(late.output(), "");
    service.run();
    let mut client = service.client();
    let open = open_system(1, "box", None);
    client.call(&open).ok();
    client.terminate(1);
    let events = everything(&mut client);
    assert_eq!(events[..before.len()], before);
    assert_eq!(
        story(&events[before.len()..], "box"),
        told(&[
            ("SystemAdopted", None),
            ("ProcessExited", Some(late.pid)),
            ("SystemExited", None)
        ])
    );
    service.stop();
    service.run();
    let events = everything(&mut service.client());
    let ends = events.iter().filter(|e| e.kind == "SystemExited").count();
    assert_eq!(ends, 1);
    let last: Vec<_> = events.iter().rev().map(|e| e.kind.as_str()).collect();
    assert_eq!(last[..2], ["ServiceStarted", "ServiceStopped"]);
}
