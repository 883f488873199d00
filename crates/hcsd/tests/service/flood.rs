//! A client that asks for more than it may have, or reads nothing, is refused or waits; others are served meanwhile, in
//! turns with it.
//!
//! How much one client is in another's way is counted, not timed: how many calls of the flooding client are answered
//! between two answers of the other.

use std::{
    collections::VecDeque,
    fs,
    io::Write as _,
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
};

use crate::common::{
    Client, Service,
    client::{create_process, create_system, open_system, shell, terminate_system},
};
use hcs_schema::{HResult, win32};
use hcs_wire::{
    log::LogQuery,
    network::{NetworkCall, ObjectKind},
    service::{Call, Decoder, HEADER_BYTES, Kind, encode},
    socket,
};
use rustix::thread::{Gid, Uid, set_thread_gid, set_thread_groups, set_thread_uid};
use serde_json::{Value, json};

const LIMITS: &str = "[limits]\npending_per_connection = 50\nunread_bytes_per_connection = 100000\n\
                      systems_per_client = 3\nprocesses_per_client = 4\n";

fn no_more() -> HResult {
    HResult::from_win32(win32::ERROR_NO_SYSTEM_RESOURCES)
}

/// Resident memory of the service, in KiB.
fn resident(service: &Service) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", service.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let value = line.unwrap().split_whitespace().nth(1);
    value.unwrap().parse().unwrap()
}

/// A client that sends calls as fast as they are taken, and counts the answers.
struct Flood {
    stream: UnixStream,
    over: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    threads: [JoinHandle<()>; 2],
}

impl Flood {
    fn begin(client: Client, call: impl Fn(u64) -> Call + Send + 'static) -> Self {
        let (over, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let stream = client.stream.try_clone().unwrap();
        let (sent, end) = (stream.try_clone().unwrap(), Arc::clone(&over));
        let bytes_sent = Arc::<AtomicU64>::default();
        let count_sent = Arc::clone(&bytes_sent);
        let write = move || {
            let _open = client;
            for number in 1_000_u64.. {
                let bytes = encode(Kind::Request, number, 0, &call(number)).unwrap();
                if end.load(Ordering::Relaxed) || socket::send_all(&sent, &bytes, &[]).is_err() {
                    return;
                }
                count_sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            }
        };
        let (received, count) = (stream.try_clone().unwrap(), Arc::clone(&answered));
        let read = move || {
            let (mut decoder, mut buffer) = (Decoder::default(), vec![0; 1 << 16]);
            let mut descriptors = VecDeque::new();
            while let Ok(1..) =
                socket::receive(&received, &mut buffer, &mut descriptors).inspect(|n| {
                    decoder.feed(&buffer[..*n]);
                })
            {
                decoder.descriptors.append(&mut descriptors);
                while let Some(frame) = decoder.next_frame().unwrap() {
                    count.fetch_add(u64::from(frame.kind == Kind::Reply), Ordering::Relaxed);
                }
            }
        };
        let threads = [thread::spawn(write), thread::spawn(read)];
        // The service has much before it, whatever it has done already.
        while bytes_sent.load(Ordering::Relaxed) < MUCH {
            thread::yield_now();
        }
        Self {
            stream,
            over,
            answered,
            threads,
        }
    }

    fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    fn end(self) {
        self.over.store(true, Ordering::Relaxed);
        // The service may have ended it already.
        drop(self.stream.shutdown(std::net::Shutdown::Both));
        for thread in self.threads {
            thread.join().unwrap();
        }
    }
}

/// Bytes of calls that are sent before the other client begins.
const MUCH: u64 = 100_000;
/// Calls of the other client while one floods.
const CALLS: usize = 31;
/// Answers to the flooding client between two of the other's, at most, in the middle of all cases: some turns of the
/// service per step of the other's call, and what the test's own threads are late.
const SHARE: u64 = 200;

/// Lets users of [`GROUP`] in.
pub(crate) const OTHERS: &str = "socket_group = \"64123\"\n";
pub(crate) const GROUP: u32 = 64_123;

/// A client of a user of that group, who has no further rights.
pub(crate) fn client_of(service: &Service, user: u32) -> Client {
    let directory = service.root().parent().unwrap().to_owned();
    fs::set_permissions(directory, fs::Permissions::from_mode(0o711)).unwrap();
    thread::scope(|scope| {
        let connecting = scope.spawn(|| {
            set_thread_groups(&[]).unwrap();
            set_thread_gid(Gid::from_raw(GROUP)).unwrap();
            set_thread_uid(Uid::from_raw(user)).unwrap();
            service.client()
        });
        connecting.join().unwrap()
    })
}

/// Has `call` flood the service, and returns how many of its calls were answered during one of `other`'s.
fn answers_during_one(
    service: &Service,
    other: &mut Client,
    call: impl Fn(u64) -> Call + Send + 'static,
) -> u64 {
    let mut flooding = service.client();
    flooding.call(&open_system(1, "flooding", None)).ok();
    let flood = Flood::begin(flooding, call);
    let query = Some(r#"{"PropertyTypes":["Basic"]}"#.to_owned());
    let asked = [
        Call::GetSystemProperties { system: 1, query },
        // Its document is refused: what is changed here, one after the other, is nothing.
        change_networks(),
    ];
    let during = asked.map(|asked| {
        let mut during: Vec<u64> = (0..CALLS)
            .map(|_| {
                let before = flood.answered();
                other.call(&asked);
                flood.answered() - before
            })
            .collect();
        during.sort_unstable();
        during[CALLS / 2]
    });
    let resident = resident(service);
    flood.end();
    assert!(resident < 200_000, "{resident} KiB");
    during[0].max(during[1])
}

/// A call that waits for its turn to change networks, and finds none to be deleted.
fn change_networks() -> Call {
    Call::Network(NetworkCall::Delete {
        kind: ObjectKind::Network,
        id: "5f1f0b0e-1a2b-4c3d-8e9f-000000000001".to_owned(),
        only_unused: false,
    })
}

type Make = fn(u64) -> Call;

/// Calls of each kind.
const KINDS: &[(&str, Make)] = &[
    ("read events", |_| Call::ReadEvents(LogQuery::default())),
    ("follow events", |_| {
        Call::ReadEvents(LogQuery {
            follow: true,
            system: Some("none".to_owned()),
            ..LogQuery::default()
        })
    }),
    ("watch networks", |number| {
        Call::Network(NetworkCall::Watch {
            life: "another".to_owned(),
            since: number,
        })
    }),
    ("explain", |number| Call::ExplainOperation {
        operation: format!("7-{number}"),
    }),
    ("enumerate", |_| Call::EnumerateSystems { query: None }),
    ("service properties", |_| Call::GetServiceProperties {
        query: Some(r#"{"PropertyQueries":{"Capabilities":{}}}"#.to_owned()),
    }),
    ("system properties", |_| Call::GetSystemProperties {
        system: 1,
        query: Some(r#"{"PropertyTypes":["Statistics","ProcessList"]}"#.to_owned()),
    }),
    ("open and close", |number| match number % 2 {
        0 => open_system(number, "flooding", None),
        _ => Call::CloseSystem { system: number - 1 },
    }),
    ("create a system that is none", |number| {
        create_system(number, "new", r#"{"Container":{"Storage":7}}"#)
    }),
    ("create a system from a long document", |number| {
        let document = json!({ "Owner": "x".repeat(1 << 20) });
        create_system(number, "new", &document.to_string())
    }),
    ("create processes", |number| {
        create_process(1, number, &json!({ "CommandArgs": ["/bin/true"] }))
    }),
    ("create a process that is none", |number| {
        Call::CreateProcess {
            system: 1,
            process: number,
            parameters: "{".to_owned(),
            pipes: None,
        }
    }),
    ("open a process", |number| Call::OpenProcess {
        system: 1,
        process: number,
        process_id: 4711,
        again: false,
    }),
    ("calls on no handle", |number| match number % 5 {
        0 => Call::SignalProcess {
            process: 9,
            options: None,
        },
        1 => Call::GetProcessInfo { process: 9 },
        2 => Call::GetProcessProperties {
            process: 9,
            query: None,
        },
        3 => Call::TerminateProcess {
            process: 9,
            options: None,
        },
        _ => Call::ModifyProcess {
            process: 9,
            settings: "{}".to_owned(),
        },
    }),
    ("modify", |_| Call::ModifySystem {
        system: 1,
        settings: r#"{"ResourcePath":"Container/Memory/SizeInMB","Settings":{"SizeInMB":512}}"#
            .to_owned(),
    }),
    ("pause and resume", |number| match number % 2 {
        0 => Call::PauseSystem {
            system: 1,
            options: None,
        },
        _ => Call::ResumeSystem {
            system: 1,
            options: None,
        },
    }),
    ("save and crash", |number| match number % 2 {
        0 => Call::SaveSystem {
            system: 1,
            options: None,
        },
        _ => Call::CrashSystem {
            system: 1,
            options: None,
        },
    }),
    ("service settings", |_| Call::ModifyServiceSettings {
        settings: "{}".to_owned(),
    }),
    ("crash reports", |_| Call::SubmitCrashReport {
        settings: r#"{"SystemId":"flooding"}"#.to_owned(),
    }),
    ("change networks that are none", |number| match number % 3 {
        0 => change_networks(),
        1 => Call::Network(NetworkCall::Modify {
            kind: ObjectKind::Endpoint,
            id: "5f1f0b0e-1a2b-4c3d-8e9f-000000000002".to_owned(),
            settings: "{}".to_owned(),
        }),
        _ => Call::Network(NetworkCall::Create {
            kind: ObjectKind::Namespace,
            id: String::new(),
            network: String::new(),
            settings: "{".to_owned(),
        }),
    }),
    ("ask for networks", |number| match number % 2 {
        0 => Call::Network(NetworkCall::Enumerate {
            kind: ObjectKind::Network,
            query: String::new(),
        }),
        _ => Call::Network(NetworkCall::Query {
            kind: ObjectKind::Network,
            id: "5f1f0b0e-1a2b-4c3d-8e9f-000000000001".to_owned(),
            query: String::new(),
        }),
    }),
    ("cancel and limit", |number| match number % 2 {
        0 => Call::Cancel { request: 1 },
        _ => Call::Limit {
            request: 1,
            milliseconds: 1,
        },
    }),
];

#[test]
fn a_flood_of_any_call_leaves_another_client_its_turn() {
    let service = Service::with_config("log = \"warn,hcsd::serve=info\"\n");
    let mut keeping = service.client();
    keeping.start_container(1, "flooding");
    let mut other = service.client();
    other.start_container(1, "other");
    let mut unfair = Vec::new();
    for (kind, call) in KINDS {
        let during = answers_during_one(&service, &mut other, call);
        eprintln!("{kind}: {during}");
        if during > SHARE {
            unfair.push(format!("{during} answers to: {kind}"));
        }
    }
    assert!(unfair.is_empty(), "{unfair:#?}");
    let mut process = other.create_process(1, 2, &shell("echo served"));
    assert_eq!(process.output(), "served\n");
    keeping.terminate(1);
    other.terminate(1);
}

#[test]
fn a_user_of_many_connections_leaves_another_user_as_much_as_one_of_a_single_one() {
    const CONNECTIONS: usize = 20;
    let service = Service::with_config(OTHERS);
    let mut other = service.client();
    other.start_container(1, "other");
    let floods = [(); CONNECTIONS].map(|()| {
        let mut client = client_of(&service, 64_201);
        client.call(&open_system(1, "other", None)).ok();
        Flood::begin(client, |number| match number % 2 {
            0 => open_system(number, "other", None),
            _ => Call::CloseSystem { system: number - 1 },
        })
    });
    let answered = || floods.iter().map(Flood::answered).sum::<u64>();
    let mut during: Vec<u64> = (0..CALLS)
        .map(|_| {
            let before = answered();
            let query = Some(r#"{"PropertyTypes":["Basic"]}"#.to_owned());
            let asked = Call::GetSystemProperties { system: 1, query };
            other.call(&asked).ok();
            answered() - before
        })
        .collect();
    during.sort_unstable();
    assert!(during[CALLS / 2] < SHARE, "{during:?}");
    floods.into_iter().for_each(Flood::end);
    other.terminate(1);
}

#[test]
fn a_flood_of_connections_and_half_messages_leaves_others_served() {
    let service = Service::with_config("[limits]\nconnections = 300\n");
    let mut other = service.client();
    other.start_container(1, "other");
    let mut all = Vec::new();
    for number in 0..280 {
        let mut client = service.client();
        let half = encode(Kind::Request, 7, 0, &json!({ "text": "x".repeat(100_000) })).unwrap();
        let end = [1, HEADER_BYTES, half.len() - 1][number % 3];
        // Of a long one the service takes no more than it has room for.
        client.stream.set_nonblocking(true).unwrap();
        drop(client.stream.write(&half[..end]));
        all.push(client);
    }
    for process in 2..5 {
        let mut created = other.create_process(1, process, &shell("echo served"));
        assert_eq!(created.output(), "served\n");
        assert_eq!(other.exit_code(process), 0);
    }
    let resident = resident(&service);
    assert!(resident < 100_000, "{resident} KiB");
    drop(all);
    other.terminate(1);
}

#[test]
fn a_client_that_reads_no_answers_waits_and_gets_them_all_when_it_does() {
    const CALLS: u64 = 50_000;
    let service = Service::with_config(LIMITS);
    let mut other = service.client();
    other.start_container(1, "other");
    let mut flooding = service.client();
    let stream = flooding.stream.try_clone().unwrap();
    let flood = thread::spawn(move || {
        let call = Call::EnumerateSystems { query: None };
        for request in 1_000..1_000 + CALLS {
            let bytes = encode(Kind::Request, request, 0, &call).unwrap();
            socket::send_all(&stream, &bytes, &[]).unwrap();
        }
    });
    for process in 2..10 {
        let mut created = other.create_process(1, process, &shell("cat; exit 5"));
        created.write("served");
        drop(created.stdin.take());
        assert_eq!(created.output(), "served");
        assert_eq!(other.exit_code(process), 5);
    }
    for request in 1_000..1_000 + CALLS {
        flooding.wait(request).ok();
    }
    flood.join().unwrap();
    other.terminate(1);
}

#[test]
fn options_that_are_too_long_are_refused() {
    let service = Service::new();
    let mut client = service.client();
    client.start_container(1, "box");
    let long = format!("{{\"PropertyTypes\":[{}]}}", " ".repeat(70_000));
    let query = Call::GetSystemProperties {
        system: 1,
        query: Some(long),
    };
    let message = client.call(&query).failed(HResult::HCS_E_INVALID_JSON);
    assert!(message.contains("65536"), "{message}");
    client.terminate(1);
}

#[test]
fn systems_and_processes_of_one_user_are_counted_over_all_connections() {
    let service = Service::with_config(LIMITS);
    let mut client = service.client();
    let mut second = service.client();
    client.start_container(1, "a");
    let document = crate::common::client::CONTAINER;
    client.call(&create_system(2, "b", document)).ok();
    second.call(&create_system(3, "c", document)).ok();
    let message = second
        .call(&create_system(4, "d", document))
        .failed(no_more());
    assert!(
        message.contains("systems_per_client") || message.contains("limit of 3"),
        "{message}"
    );
    // They live as long as their input is held.
    let living: Vec<_> = (10..14)
        .map(|process| client.create_process(1, process, &shell("read x")))
        .collect();
    let fifth = Call::CreateProcess {
        system: 1,
        process: 14,
        parameters: shell("true").to_string(),
        pipes: None,
    };
    client.call(&fifth).failed(no_more());
    assert_eq!(living.len(), 4);
    client.terminate(1);
    client.terminate(2);
    second.terminate(3);
}

#[test]
fn what_waits_for_a_handle_and_what_many_handles_hear_comes_in_its_order() {
    const MANY: u64 = 3000;
    let service = Service::new();
    let mut client = service.client();
    let mut other = service.client();
    client.start_container(1, "box");
    other.call(&open_system(1, "box", None)).ok();
    // The handle is there when its process is: what is sent meanwhile waits for it.
    let sleep = json!({ "CommandArgs": ["/bin/sleep", "1000"] });
    let created = client.send(&create_process(1, 2, &sleep));
    let waiting: Vec<u64> = (0..MANY)
        .map(|_| client.send(&Call::GetProcessInfo { process: 2 }))
        .collect();
    let closed = client.send(&Call::CloseProcess { process: 2 });
    let late = client.send(&Call::GetProcessInfo { process: 2 });
    client.created(created, 2);
    for request in waiting {
        client.wait(request).ok();
    }
    client.wait(closed).ok();
    client.wait(late).failed(HResult::E_HANDLE);
    // So does what follows a failure.
    let none = json!({ "CommandArgs": ["/no/such/program"] });
    client.send(&create_process(1, 3, &none));
    let refused: Vec<u64> = (0..MANY)
        .map(|_| client.send(&Call::GetProcessInfo { process: 3 }))
        .collect();
    let first = client.wait(refused[0]).reply.result;
    assert!(!first.is_success(), "{first}");
    for request in &refused[1..] {
        assert_eq!(client.wait(*request).reply.result, first);
    }
    client.call(&Call::CloseProcess { process: 3 }).ok();
    // Each handle hears of an end, once, and so does that of the other client.
    for handle in 100..100 + MANY {
        client.call(&open_system(handle, "box", None)).ok();
    }
    client.events.clear();
    client.send(&terminate_system(1));
    assert_eq!(other.system_exit(1), "ForcedExit");
    assert_eq!(client.system_exit(1), "ForcedExit");
    for handle in 100..100 + MANY {
        assert_eq!(client.system_exit(handle), "ForcedExit");
    }
}

/// The kinds of the events that a service has written, in their order.
fn kinds_of_events(service: &Service) -> Vec<String> {
    let mut segments: Vec<_> = fs::read_dir(service.root().join("events"))
        .unwrap()
        .map(|segment| segment.unwrap().path())
        .collect();
    segments.sort();
    let kind_in = |line: &str| {
        let entry: Value = serde_json::from_str(line).unwrap();
        entry["Kind"].as_str().unwrap().to_owned()
    };
    let kinds_in = |segment: &PathBuf| -> Vec<String> {
        let text = fs::read_to_string(segment).unwrap();
        text.lines().map(kind_in).collect()
    };
    segments.iter().flat_map(kinds_in).collect()
}

#[test]
fn what_one_client_queues_on_a_system_leaves_another_its_turn_and_ends_with_its_client() {
    const CALLS: usize = 300;
    let service = Service::with_config("[limits]\nevent_log_bytes = 268435456\n");
    let mut other = service.client();
    other.start_container(1, "box");
    let mut flooding = service.client();
    flooding.call(&open_system(1, "box", None)).ok();
    let settings = r#"{"ResourcePath":"Container/Memory/SizeInMB","Settings":{"SizeInMB":512}}"#;
    for _ in 0..CALLS {
        flooding.send(&Call::ModifySystem {
            system: 1,
            settings: settings.to_owned(),
        });
    }
    // Answered when all of them have been taken up.
    flooding.call(&Call::EnumerateSystems { query: None }).ok();
    let options = None;
    other.call(&Call::PauseSystem { system: 1, options }).ok();
    let modified = || {
        let kinds = kinds_of_events(&service);
        (kinds.iter().filter(|kind| *kind == "SystemModified")).count()
    };
    assert!(modified() < CALLS / 2, "{}", modified());
    // What waits is not begun any more.
    drop(flooding);
    let options = None;
    other.call(&Call::ResumeSystem { system: 1, options }).ok();
    let options = None;
    other.call(&Call::PauseSystem { system: 1, options }).ok();
    assert!(modified() < CALLS / 2, "{}", modified());
    other.terminate(1);
}

/// Processes of a system that ends while a client floods the service.
const ENDING: u64 = 100;

#[test]
fn others_have_their_turn_while_a_system_of_many_processes_ends() {
    // The floods write events, too, and none may take the place of an earlier one.
    let limits = "[limits]\nevent_log_bytes = 268435456\n";
    let service = Service::with_config(&format!("{OTHERS}{limits}"));
    let mut client = service.client();
    client.start_container(1, "full");
    for handle in 100..100 + ENDING {
        client.create_process(1, handle, &shell("exec sleep 1000"));
    }
    // Each of these calls fails, which is an event. One user alone may have had more than its turns just before.
    let floods = [64_201, 64_202, 64_203, 64_204].map(|user| {
        Flood::begin(client_of(&service, user), |number| {
            open_system(number, "nothing", None)
        })
    });
    client.terminate(1);
    floods.into_iter().for_each(Flood::end);
    let mut segments: Vec<_> = fs::read_dir(service.root().join("events"))
        .unwrap()
        .map(|segment| segment.unwrap().path())
        .collect();
    segments.sort();
    let text: String = (segments.iter())
        .map(|segment| fs::read_to_string(segment).unwrap())
        .collect();
    let events = text.lines().filter_map(|line| {
        let exit = line.contains("ProcessExited");
        (exit || line.contains("OperationFailed")).then_some(exit)
    });
    let events: Vec<bool> = events.collect();
    let steps: Vec<usize> = (events.chunk_by(|one, next| one == next))
        .map(<[bool]>::len)
        .collect();
    assert!(steps.len() > 4, "{steps:?} exits and other events in turn");
}

/// A user who keeps processes with pipes until no more are given, in a service that may have few descriptors.
#[test]
fn the_descriptors_of_one_user_leave_enough_for_others() {
    let limited = ["prlimit", "--nofile=1024:1024", env!("CARGO_BIN_EXE_hcsd")];
    let service = Service::of(limited.map(str::to_owned).into(), OTHERS);
    let mut client = client_of(&service, 64_221);
    client.start_container(1, "taking");
    let mut living = Vec::new();
    let refused = loop {
        let handle = 10 + living.len() as u64;
        let made = client.call(&create_process(1, handle, &shell("read x")));
        if !made.reply.result.is_success() {
            break made.failed(no_more());
        }
        living.push(made);
        assert!(living.len() < 64, "a sixteenth of 1024 descriptors");
    };
    assert!(refused.contains("LimitNOFILE"), "{refused}");
    assert!(living.len() > 10, "{}", living.len());
    let mut other = client_of(&service, 64_222);
    other.start_container(1, "other");
    other.create_process(1, 2, &shell("true"));
    let mut own = service.client();
    own.start_container(1, "own");
    for handle in 10..10 + 64 {
        own.create_process(1, handle, &shell("exec sleep 1000"));
    }
    for client in [&mut client, &mut other, &mut own] {
        client.terminate(1);
    }
}
