//! The service is killed again and again under calls of every kind: no call fails, and none is done twice.
//!
//! 1. Here: systems, processes, and what concerns the service. 2. [`networking`]: the calls of `ComputeNetwork.h`.
//!    3. [`witnesses`]: what callbacks, the event log and the crash reports say of it.
//!
//! The test is in namespaces of its own, as its service makes networks. It boots no virtual machine: of their calls it
//! has those that need none, and the crash, which a container refuses.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod killing;
mod networking;
mod service;
mod witnesses;

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    thread,
};

use hcs::{
    ComputeSystem, Failure, HResult, Operation, OutputAbout, OutputQuery, OutputRecord,
    documents::{ProcessParameters, SaveOptions, Signal, SystemPropertyQuery, SystemQuery},
    enumerate, explain, raw,
};
use killing::{CONFIGURATION, End, LIMIT, Progress, answered, kill_again_and_again};
use serde_json::json;
use service::{container, in_namespaces_of_its_own, shell};
use witnesses::{Heard, Refusals};

const THREADS: usize = 8;
const USR1: u8 = 10;
const ERROR_NOT_SUPPORTED: &str = "0x80070032";
/// Processes that [`live`] makes in each system.
const PROCESSES: usize = 4;

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

/// The failure of a call that has to be refused.
#[track_caller]
fn refused<T>(mut call: Operation<T>) -> Failure {
    match call.wait_for(LIMIT) {
        Ok(_) => panic!("it was not refused"),
        Err(failure) => failure,
    }
}

/// A process from its making to its end, with all that can be asked of it.
fn process(system: &ComputeSystem, progress: &Progress) {
    let mut process = answered(system.create_process(&shell(SCRIPT)));
    let heard = Heard::of_process(&process);
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
    // GetProcessInfo.
    answered(process.attach());
    progress.round();
    stdin.write_all(b"go\n").unwrap();
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "bye\n", "it was signalled more than once");
    assert_eq!(process.exit().wait_for(LIMIT).unwrap().code, 5);
    heard.assert_once();
    let mut forever = answered(system.create_process(&shell("exec sleep 1000")));
    answered(forever.close_stdin());
    progress.round();
    answered(forever.terminate());
    assert_eq!(forever.exit().wait_for(LIMIT).unwrap().code, 137);
    progress.round();
}

/// A process with a terminal, whose size is changed.
fn console(system: &ComputeSystem, progress: &Progress) {
    let parameters = ProcessParameters {
        emulate_console: Some(true),
        create_std_err_pipe: None,
        ..shell("read line; stty size; exit 6")
    };
    let mut process = answered(system.create_process(&parameters));
    progress.round();
    answered(process.resize(31, 97));
    progress.round();
    let mut stdin = File::from(process.take_stdin().unwrap());
    stdin.write_all(b"go\n").unwrap();
    let mut said = String::new();
    let mut stdout = File::from(process.take_stdout().unwrap());
    stdout.read_to_string(&mut said).unwrap();
    assert_eq!(said, "go\r\n31 97\r\n");
    assert_eq!(process.exit().wait_for(LIMIT).unwrap().code, 6);
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

/// What a container cannot do is refused each time in the same way, and so is a system that is not there; each failure
/// can be explained by whichever service is there.
fn refusals(system: &ComputeSystem, id: &str, refusals: &Refusals, progress: &Progress) {
    let saved = refused(system.save(&SaveOptions::default()));
    refusals.same("save", saved.hresult);
    progress.round();
    let operation = raw::Operation::new();
    system.raw().crash(&operation, None).unwrap();
    let crashed = operation.wait(Some(LIMIT)).unwrap_err();
    refusals.same("crash", crashed.hresult);
    progress.round();
    let missing = refused(ComputeSystem::open(&format!("{id}-missing")));
    assert_eq!(missing.hresult, HResult::HCS_E_SYSTEM_NOT_FOUND);
    let report = answered(explain(missing.operation.as_deref().unwrap()));
    assert_eq!(report.call, "OpenSystem");
    assert_eq!(report.result, Some(missing.hresult.to_string()));
    progress.round();
}

/// The calls that concern no system.
fn service(thread: usize, round: usize, progress: &Progress) {
    let systems = answered(enumerate(&SystemQuery::default()));
    assert!(!systems.is_empty());
    done(raw::service_properties(None));
    progress.round();
    let operation = raw::Operation::new();
    raw::reload_service(&operation).unwrap();
    operation.wait(Some(LIMIT)).unwrap();
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
    assert!(deleted.is_ok() || deleted.unwrap_err().hresult == HResult::NOT_FOUND);
    progress.round();
    grants(thread, progress);
    if thread == 0 && round.is_multiple_of(3) {
        // Whatever the others are doing meanwhile.
        let operation = raw::Operation::new();
        raw::stop_service(&operation).unwrap();
        operation.wait(Some(LIMIT)).unwrap();
        progress.round();
    }
}

/// What virtual machines may do with a file. The service says which user and group they are, the library does the rest.
fn grants(thread: usize, progress: &Progress) {
    let file = tempfile::NamedTempFile::new_in("/var/tmp").unwrap();
    let (path, machine) = (file.path(), format!("machine-{thread}"));
    let is_listed = || {
        let mut list = [0; 1024];
        rustix::fs::getxattr(path, "system.posix_acl_access", &mut list[..]).is_ok()
    };
    raw::grant_vm_access(&machine, path).unwrap();
    progress.round();
    raw::grant_vm_group_access(path).unwrap();
    progress.round();
    assert!(is_listed());
    raw::revoke_vm_access(&machine, path).unwrap();
    progress.round();
    raw::revoke_vm_group_access(path).unwrap();
    progress.round();
    assert!(!is_listed());
}

/// The lives of systems, one after the other.
fn live(thread: usize, refused: &Refusals, progress: &Progress) {
    let _end = End(progress);
    let mut round = 0;
    while !progress.is_over() {
        round += 1;
        let id = format!("every-{thread}-{round}");
        let system = answered(ComputeSystem::create(&id, &container()));
        let heard = Heard::of_system(&system);
        progress.round();
        answered(system.start());
        progress.round();
        answered(system.properties(&SystemPropertyQuery::default()));
        process(&system, progress);
        console(&system, progress);
        detached(&system, progress);
        answered(system.pause());
        progress.round();
        answered(system.resume());
        progress.round();
        let memory = json!({ "ResourcePath": "Container/Memory/SizeInMB", "Settings": 512 });
        answered(system.modify(&memory));
        progress.round();
        refusals(&system, &id, refused, progress);
        service(thread, round, progress);
        networking::live(thread, round, progress);
        networking::balance(thread, round, progress);
        let opened = answered(ComputeSystem::open(&id));
        if round % 2 == 0 {
            answered(opened.terminate());
        } else {
            answered(opened.shut_down());
        }
        progress.round();
        system.exit().wait_for(LIMIT).unwrap();
        heard.assert_once();
        witnesses::assert_events_of(&id, PROCESSES);
        progress.round();
    }
}

mod alone {
    use super::*;

    #[test]
    fn a_hundred_kills_under_calls_of_every_kind_fail_none_and_do_none_twice() {
        let test = "alone::a_hundred_kills_under_calls_of_every_kind_fail_none_and_do_none_twice";
        let Some(endpoint) = in_namespaces_of_its_own(test, CONFIGURATION) else {
            return;
        };
        let (progress, refused) = (Progress::default(), Refusals::default());
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let (progress, refused) = (&progress, &refused);
                scope.spawn(move || live(thread, refused, progress));
            }
            let _end = End(&progress);
            kill_again_and_again(&endpoint, &progress);
        });
        let left = answered(enumerate(&SystemQuery::default()));
        assert!(left.is_empty(), "{left:?}");
        networking::assert_none_is_left();
        witnesses::assert_reports_are_single(&endpoint);
    }
}
