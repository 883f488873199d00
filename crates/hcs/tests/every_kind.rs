//! The service is killed again and again under calls of every kind: no call fails, and none is done twice.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod killing;
mod service;

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    thread,
};

use hcs::{
    ComputeSystem, OutputAbout, OutputQuery, OutputRecord,
    documents::{ProcessParameters, Signal, SystemPropertyQuery, SystemQuery},
    enumerate, raw,
};
use killing::{CONFIGURATION, End, LIMIT, Progress, answered, kill_again_and_again};
use serde_json::json;
use service::{container, on_its_own_with, shell};

const THREADS: usize = 8;
const USR1: u8 = 10;
const ERROR_NOT_SUPPORTED: &str = "0x80070032";

/// Says how often it was signalled, and ends when it is told a line. A signal just before a shell reads would not
/// interrupt the read: the trap is waited for by itself.
const SCRIPT: &str = "trap 'echo signalled; seen=1' USR1; echo ready
    until [ $seen ]; do sleep 0.01; done; read line; echo bye; exit 5";

/// A call that takes no operation.
#[track_caller]
fn done(outcome: Result<Option<raw::Document>, raw::Error>) {
    match outcome {
        Ok(_) => {}
        // Groups of processors, on a host that has none.
        Err(error) if error.hresult.to_string().contains(ERROR_NOT_SUPPORTED) => {}
        Err(error) => panic!("{error:?}"),
    }
}

/// A process from its making to its end, with all that can be asked of it.
fn process(system: &ComputeSystem, progress: &Progress) {
    let mut process = answered(system.create_process(&shell(SCRIPT)));
    progress.round();
    let mut stdin = File::from(process.take_stdin().unwrap());
    let mut stdout = BufReader::new(File::from(process.take_stdout().unwrap()));
    let mut ready = String::new();
    stdout.read_line(&mut ready).unwrap();
    assert_eq!(ready, "ready\n");
    answered(process.signal(Signal::Linux(USR1)));
    progress.round();
    let mut signalled = String::new();
    stdout.read_line(&mut signalled).unwrap();
    assert_eq!(signalled, "signalled\n");
    answered(process.properties());
    answered(system.open_process(process.id()));
    answered(process.attach());
    progress.round();
    stdin.write_all(b"go\n").unwrap();
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "bye\n", "it was signalled more than once");
    assert_eq!(process.exit().wait_for(LIMIT).unwrap().code, 5);
    let mut forever = answered(system.create_process(&shell("exec sleep 1000")));
    answered(forever.close_stdin());
    progress.round();
    answered(forever.terminate());
    assert_eq!(forever.exit().wait_for(LIMIT).unwrap().code, 137);
    progress.round();
}

/// A detached process: its output is there once, also to a reader whose call was made again.
fn detached(system: &ComputeSystem, progress: &Progress) {
    let parameters = ProcessParameters {
        create_std_in_pipe: Some(true),
        detached: Some(true),
        ..shell("read line; echo got $line; exit 3")
    };
    let process = answered(system.create_process(&parameters));
    progress.round();
    let attach = OutputQuery {
        process_id: process.id(),
        follow: true,
        attach: true,
        ..OutputQuery::default()
    };
    let mut output = answered(system.output(&attach));
    progress.round();
    let mut input = File::from(output.take_input().unwrap());
    input.write_all(b"it\n").unwrap();
    let records: Vec<_> = output.map(|record| record.unwrap().1).collect();
    let about = OutputAbout {
        terminal: false,
        stdin: true,
    };
    let expected = [
        OutputRecord::About(about),
        OutputRecord::Stdout(b"got it\n".to_vec()),
        OutputRecord::Exit(3),
    ];
    assert_eq!(records, expected);
    assert_eq!(process.exit().wait_for(LIMIT).unwrap().code, 3);
}

/// The calls that concern no system.
fn service(thread: usize, round: usize, progress: &Progress) {
    let systems = answered(enumerate(&SystemQuery::default()));
    assert!(!systems.is_empty());
    done(raw::service_properties(None));
    progress.round();
    let report =
        json!({ "SystemId": format!("{thread}"), "CrashLog": format!("{thread}.{round}") });
    done(raw::submit_wer_report(&report.to_string()));
    progress.round();
    let id = format!("0ad8b3c2-91e6-4ed2-{thread:04x}-{round:012x}");
    let change = |operation: &str, details: serde_json::Value| {
        json!({
            "PropertyType": "CpuGroup",
            "Settings": { "Operation": operation, "OperationDetails": details },
        })
        .to_string()
    };
    let group = json!({ "GroupId": id, "LogicalProcessorCount": 1, "LogicalProcessors": [0] });
    done(raw::modify_service_settings(&change("CreateGroup", group)));
    progress.round();
    let group = json!({ "GroupId": id });
    let deleted = raw::modify_service_settings(&change("DeleteGroup", group));
    // On a host without groups there is none.
    assert!(deleted.is_ok() || deleted.unwrap_err().hresult == hcs::HResult::NOT_FOUND);
    progress.round();
}

/// The lives of systems, one after the other.
fn live(thread: usize, progress: &Progress) {
    let _end = End(progress);
    let mut round = 0;
    while !progress.is_over() {
        round += 1;
        let id = format!("every-{thread}-{round}");
        let system = answered(ComputeSystem::create(&id, &container()));
        progress.round();
        answered(system.start());
        progress.round();
        answered(system.properties(&SystemPropertyQuery::default()));
        process(&system, progress);
        detached(&system, progress);
        answered(system.pause());
        progress.round();
        answered(system.resume());
        progress.round();
        let memory = json!({ "ResourcePath": "Container/Memory/SizeInMB", "Settings": 512 });
        answered(system.modify(&memory));
        progress.round();
        service(thread, round, progress);
        let opened = answered(ComputeSystem::open(&id));
        if round % 2 == 0 {
            answered(opened.terminate());
        } else {
            answered(opened.shut_down());
        }
        progress.round();
        system.exit().wait_for(LIMIT).unwrap();
    }
}

mod alone {
    use super::*;

    #[test]
    fn a_hundred_kills_under_calls_of_every_kind_fail_none_and_do_none_twice() {
        let test = "alone::a_hundred_kills_under_calls_of_every_kind_fail_none_and_do_none_twice";
        let Some(endpoint) = on_its_own_with(test, CONFIGURATION) else {
            return;
        };
        let progress = Progress::default();
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let progress = &progress;
                scope.spawn(move || live(thread, progress));
            }
            let _end = End(&progress);
            kill_again_and_again(&endpoint, &progress);
        });
        let left = answered(enumerate(&SystemQuery::default()));
        assert!(left.is_empty(), "{left:?}");
    }
}
