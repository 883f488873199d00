//! What a user holds of the service while something of that user's hangs, and that others go on meanwhile.

use hcs_schema::HResult;
use hcs_wire::{
    service::{Call, Kind, encode},
    socket,
};
use serde_json::{Value, json};

use crate::{
    common::{
        Client, Service, await_that,
        client::{
            create_process, create_system, open_system, shell, start_system, terminate_system,
        },
        hanging::HangingFiles,
    },
    flood::{OTHERS, client_of},
};

/// Connections of the user whose calls hang, and the calls of each kind of each: the user's threads, all of them.
const CONNECTIONS: u64 = 4;
const CALLS: u64 = 8;

/// A user whose calls hang on every thread that one user may have.
struct Stuck {
    files: HangingFiles,
    clients: Vec<(Client, Vec<u64>)>,
}

impl Stuck {
    fn new(service: &Service, user: u32) -> Self {
        let files = HangingFiles::mount();
        let mut clients = Vec::new();
        for number in 0..CONNECTIONS {
            let mut client = client_of(service, user);
            for one in 0..CALLS {
                client.start_container(100 + one, &format!("stuck-{user}-{number}-{one}"));
            }
            clients.push((client, Vec::new()));
        }
        for ((client, sent), number) in clients.iter_mut().zip(0_u64..) {
            for one in 0..CALLS {
                let of = usize::try_from(CALLS * number + one).unwrap();
                let path = files.path(2 * of);
                let document =
                    json!({ "Container": { "Storage": { "Layers": [{ "Path": path }] } } });
                let id = format!("hanging-{user}-{of}");
                sent.push(client.send(&create_system(200 + one, &id, &document.to_string())));
                sent.push(client.send(&Call::ModifySystem {
                    system: 100 + one,
                    settings: map(&files.path(2 * of + 1)).to_string(),
                }));
            }
        }
        let all = usize::try_from(2 * CONNECTIONS * CALLS).unwrap();
        await_that("all threads of the user hang", || files.asked() == all);
        Self { files, clients }
    }

    /// Ends it: all of its calls fail, and what it has is ended.
    fn end(self) {
        let Self { files, clients } = self;
        drop(files);
        for (mut client, sent) in clients {
            for request in sent {
                assert_ne!(client.wait(request).reply.result, HResult::S_OK);
            }
            (0..CALLS).for_each(|one| client.terminate(100 + one));
        }
    }
}

fn map(path: &std::path::Path) -> Value {
    json!({
        "ResourcePath": "Container/MappedDirectories", "RequestType": "Add",
        "Settings": { "HostPath": path, "ContainerPath": "/mnt", "ReadOnly": true },
    })
}

fn config() -> String {
    format!("{OTHERS}[limits]\nsystems_per_client = 1000\n")
}

#[test]
fn a_file_system_that_hangs_holds_up_its_user_alone() {
    if !HangingFiles::are_possible() {
        return;
    }
    let service = Service::with_config(&config());
    let stuck = Stuck::new(&service, 64_124);
    let mut other = client_of(&service, 64_125);
    other.start_container(1, "other");
    let mut process = other.create_process(1, 2, &shell("echo on"));
    assert_eq!(process.output(), "on\n");
    assert_eq!(other.exit_code(2), 0);
    let query = Some(r#"{"PropertyTypes":["Statistics","ProcessList"]}"#.to_owned());
    let asked = [
        Call::GetSystemProperties { system: 1, query },
        Call::GetServiceProperties { query: None },
        Call::EnumerateSystems { query: None },
        Call::ReadEvents(hcs_wire::log::LogQuery::default()),
        Call::ModifySystem {
            system: 1,
            settings: map("/usr".as_ref()).to_string(),
        },
        Call::PauseSystem {
            system: 1,
            options: None,
        },
        Call::ResumeSystem {
            system: 1,
            options: None,
        },
        terminate_system(1),
    ];
    for call in asked {
        other.call(&call).ok();
    }
    stuck.end();
}

/// The same system is used by both: a place at its agent is not held by what waits for a thread.
#[test]
fn who_waits_for_a_thread_holds_no_place_at_an_agent() {
    if !HangingFiles::are_possible() {
        return;
    }
    let service = Service::with_config(&config());
    let mut other = client_of(&service, 64_125);
    other.start_container(1, "shared");
    let mut stuck = Stuck::new(&service, 64_124);
    let (client, sent) = &mut stuck.clients[0];
    client.call(&open_system(300, "shared", None)).ok();
    let detached = json!({ "CommandArgs": ["/bin/true"], "Detached": true });
    let waiting: Vec<_> = (400..408)
        .map(|handle| client.send(&create_process(300, handle, &detached)))
        .collect();
    // They have got as far as they can.
    for _ in 0..100 {
        client.call(&Call::Cancel { request: 1_000_000 }).ok();
    }
    let mut process = other.create_process(1, 2, &shell("echo on"));
    assert_eq!(process.output(), "on\n");
    assert_eq!(other.exit_code(2), 0);
    for request in &waiting {
        client.call(&Call::Cancel { request: *request }).ok();
    }
    sent.extend(waiting);
    stuck.end();
    other.terminate(1);
}

/// What waits in the queue needs a thread of the same connection, whose others wait for that.
#[test]
fn many_detached_processes_and_a_change_of_their_system_are_all_answered() {
    let service = Service::with_config(&config());
    let mut client = client_of(&service, 64_124);
    client.start_container(1, "one");
    let detached = json!({ "CommandArgs": ["/bin/true"], "Detached": true });
    let mut sent: Vec<_> = (100..140)
        .map(|handle| client.send(&create_process(1, handle, &detached)))
        .collect();
    for round in 1..4 {
        sent.push(client.send(&Call::ModifySystem {
            system: 1,
            settings: map("/usr".as_ref()).to_string(),
        }));
        for more in 100..120 {
            let call = create_process(1, 100 * round + more, &detached);
            sent.push(client.send(&call));
        }
    }
    // An answer is all: the same place is not mapped twice.
    for request in sent {
        client.wait(request);
    }
    client.terminate(1);
}

/// The clients of creations that hang are killed. The places stay taken, and others are told so.
#[test]
fn a_creation_that_waits_for_others_that_hang_fails_and_names_them() {
    if !HangingFiles::are_possible() {
        return;
    }
    let times = "[times]\nstart_seconds = 5\n";
    let service = Service::with_config(&format!("{}{times}", config()));
    let files = HangingFiles::mount();
    for connection in 0..CONNECTIONS {
        let mut client = service.client();
        for one in 0..CALLS {
            let path = files.path(usize::try_from(CALLS * connection + one).unwrap());
            let document = json!({ "Container": { "Storage": { "Layers": [{ "Path": path }] } } });
            let id = format!("hung-{connection}-{one}");
            client.send(&create_system(1 + one, &id, &document.to_string()));
        }
        let all = usize::try_from(CALLS * (connection + 1)).unwrap();
        await_that("its creations hang", || files.asked() == all);
    }
    let mut client = service.client();
    let document = json!({ "Container": {} }).to_string();
    let refused = client.call(&create_system(1, "further", &document)).reply;
    assert_ne!(refused.result, HResult::S_OK);
    let said = format!("{refused:?}");
    assert!(said.contains("32 compute systems of this user"), "{said}");
    assert!(said.contains("hung-0-0 for "), "{said}");
    drop(files);
    client.start_container(2, "further");
    client.terminate(2);
}

/// Long messages of one user that are received at one time.
const LONG: u64 = 8;

/// The creation of a system that hangs.
fn hanging(files: &HangingFiles, number: u64) -> Call {
    let path = files.path(usize::try_from(number).unwrap());
    let document = json!({ "Container": { "Storage": { "Layers": [{ "Path": path }] } } });
    create_system(5, &number.to_string(), &document.to_string())
}

/// Bytes of the answer to a call on a system that was not made, as it hung.
fn bytes_of_an_answer(service: &Service) -> usize {
    let files = HangingFiles::mount();
    let mut client = service.client();
    client.send(&hanging(&files, 0));
    let waiting = client.send(&start_system(5));
    await_that("it hangs", || files.asked() == 1);
    drop(files);
    let reply = client.wait(waiting).reply;
    encode(Kind::Reply, waiting, 0, &reply).unwrap().len()
}

/// As many of the user's connections as there are places for long messages send one and read nothing; a further one of
/// that user is served.
#[test]
fn who_reads_nothing_holds_no_place_for_long_messages() {
    if !HangingFiles::are_possible() {
        return;
    }
    const UNREAD: usize = 600_000;
    let lines = format!("[limits]\nunread_bytes_per_connection = {UNREAD}\n");
    let service = Service::with_config(&lines);
    // What is left unread beside what is in the socket is more than half of that, and less than it.
    let waiting = UNREAD / bytes_of_an_answer(&service);
    let files = HangingFiles::mount();
    let long = json!({ "Owner": "x".repeat(300_000) }).to_string();
    let call = create_system(6, "long", &long);
    let message = encode(Kind::Request, 1_000_000, 0, &call).unwrap();
    let (first, rest) = message.split_at(1000);
    let mut clients: Vec<_> = (0..LONG)
        .map(|number| {
            let mut client = service.client();
            let made = client.send(&hanging(&files, number));
            for _ in 0..waiting {
                client.send(&start_system(5));
            }
            (client, made)
        })
        .collect();
    for (client, _) in &clients {
        socket::send_all(&client.stream, first, &[]).unwrap();
    }
    let mut other = service.client();
    // The connections of one user have their turns one after the other: so the others have had as many.
    let mut have_turns = || {
        for _ in 0..2 * waiting {
            other.call(&Call::EnumerateSystems { query: None }).ok();
        }
    };
    have_turns();
    // Now all that waits is answered, and there is no room for more.
    drop(files);
    have_turns();
    let writing: Vec<_> = clients
        .iter()
        .map(|(client, _)| {
            let (stream, rest) = (client.stream.try_clone().unwrap(), rest.to_vec());
            std::thread::spawn(move || socket::send_all(&stream, &rest, &[]).unwrap())
        })
        .collect();
    let answer = other.call(&create_system(1, "another", &long));
    assert_ne!(answer.reply.result, HResult::S_OK);
    for (client, made) in &mut clients {
        client.wait(1_000_000);
        client.wait(*made);
    }
    for thread in writing {
        thread.join().unwrap();
    }
}

/// A process that nothing can kill keeps a system from ending. The call that created the system is made again
/// meanwhile: its answer waited behind many that the client did not read.
#[test]
fn a_creation_that_is_made_again_is_given_no_system_that_is_about_to_end() {
    if !HangingFiles::are_possible() {
        return;
    }
    const INSTANCE: &str = "c0ffee00-0000-4000-8000-000000000008";
    const UNREAD: u64 = 1000;
    let service = Service::with_config("[limits]\nunread_bytes_per_connection = 2000000\n");
    let files = HangingFiles::mount();
    let document = json!({ "ShouldTerminateOnLastHandleClosed": true, "Container": { "MappedDirectories": [
        { "HostPath": files.root(), "ContainerPath": "/mnt", "ReadOnly": true },
    ] } });
    let create = create_system(1, "leaving", &document.to_string());
    let mut client = Client::connect_as(&service.endpoint(), Some(INSTANCE));
    for _ in 0..UNREAD {
        client.send(&start_system(5));
    }
    client.send_as(Kind::Request, 1_000_077, &create, &[]);
    let mut other = service.client();
    await_that("it is created", || {
        let opened = other.call(&open_system(1, "leaving", None));
        opened.reply.result == HResult::S_OK
    });
    other.call(&start_system(1)).ok();
    let _stuck = other.create_process(1, 2, &shell("cat /mnt/1"));
    await_that("the process hangs", || files.asked() == 1);
    drop((client, other));
    await_that("it is about to end", || {
        service.has_said("its last handle was closed")
    });
    let mut again = Client::connect_as(&service.endpoint(), Some(INSTANCE));
    again.send_as(Kind::Repeat, 1_000_077, &create, &[]);
    let why = again
        .wait(1_000_077)
        .failed(HResult::HCS_E_SYSTEM_ALREADY_STOPPED);
    assert!(why.contains("has ended since"), "{why}");
    drop(files);
}
