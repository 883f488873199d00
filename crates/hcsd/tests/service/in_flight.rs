//! Descriptors in flight, which the kernel counts for each user: what containers of root leave to programs of root that
//! have given up their capabilities, as the workers of virtual machines have.

use std::{
    io::{BufRead as _, BufReader},
    process::Command,
};

use crate::common::{
    Client, Service,
    client::{CONTAINER, create_system, shell, start_system},
};

/// A container with a user namespace of its own.
const OWN_IDS: &str =
    r#"{"SchemaVersion":{"Major":2,"Minor":1},"Owner":"test","Container":{"UserNamespace":true}}"#;

/// The limit on open files of the service.
const SERVICE: u64 = 4096;

/// Sends descriptors until it may send no more, says how many these were, and keeps them until it is told to end.
const FILL: &str = r#"
import array, os, resource, socket, sys
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
one = os.open("/dev/null", os.O_RDONLY)
rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [one] * 250))]
sender, kept = socket.socketpair()
sent = 0
try:
    while True:
        sender.sendmsg([b"x"], rights)
        sent += 250
except OSError as e:
    print(e.errno, sent, flush=True)
sys.stdin.read()
"#;

/// Sends one.
const SEND: &str = r#"
import array, socket
sender, kept = socket.socketpair()
rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0]))]
try:
    sender.sendmsg([b"x"], rights)
    print("sent")
except OSError as e:
    print(e.errno)
"#;

/// What a program of root says that may have so many files open, and has no capabilities.
fn sends(limit: u64) -> String {
    let output = Command::new("prlimit")
        .arg(format!("--nofile={limit}:{limit}"))
        .args(["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"])
        .args(["python3", "-c", SEND])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The hard limit of a process of that system.
fn limit(client: &mut Client, system: u64, handle: u64) -> u64 {
    let mut process = client.create_process(system, handle, &shell("ulimit -Hn"));
    process.output().trim().parse().unwrap()
}

#[test]
fn a_container_without_ids_of_its_own_leaves_roots_programs_able_to_send() {
    let limited = format!("--nofile={SERVICE}:{SERVICE}");
    let program = ["prlimit", &limited, env!("CARGO_BIN_EXE_hcsd")];
    let service = Service::of(program.map(str::to_owned).into(), "");
    let mut client = service.client();
    client.call(&create_system(1, "shares", CONTAINER)).ok();
    client.call(&create_system(2, "own", OWN_IDS)).ok();
    for system in [1, 2] {
        client.call(&start_system(system)).ok();
    }
    assert_eq!(limit(&mut client, 1, 10), SERVICE / 2);
    assert_eq!(limit(&mut client, 2, 11), SERVICE);

    let fill = format!("exec python3 -c '{FILL}'");
    let mut filling = client.create_process(1, 12, &shell(&fill));
    let mut said = String::new();
    let mut output = BufReader::new(filling.stdout.take().unwrap());
    output.read_line(&mut said).unwrap();
    let (errno, sent) = said.trim().split_once(' ').unwrap();
    let sent: u64 = sent.parse().unwrap();
    assert_eq!(errno, "109", "ETOOMANYREFS");
    // Another container of root may have some in flight.
    assert!(sent <= SERVICE / 2 + 250, "{sent}");
    assert_eq!(sends(SERVICE / 2), "109");
    assert_eq!(sends(SERVICE), "sent");
    // What has ids of its own is counted by itself.
    let mut other = client.create_process(2, 13, &shell(&format!("python3 -c '{SEND}'")));
    assert_eq!(other.output(), "sent\n");
    drop(filling.stdin.take());
    for system in [1, 2] {
        client.terminate(system);
    }
}
