//! `hcs explain`: from an error message to the time line.

use std::thread;

use serde_json::Value;

use crate::{
    common::{Container, ended, hcs, unique, words},
    service::Place,
};

#[test]
fn what_an_event_names_can_be_explained() {
    let container = Container::new("explain");
    let id = &container.0;
    let failed = ended(&mut hcs(["exec", id, "--", "/no/such/program"]));
    assert_eq!(failed.code, Some(127));
    let events = words(&format!("events --system {id} --format json")).fine();
    let event = events
        .lines()
        .find(|line| line.contains("\"OperationFailed\""))
        .unwrap();
    let event: Value = serde_json::from_str(event).unwrap();
    let operation = event["Operation"].as_str().unwrap();
    let told = words(&format!("explain {operation}")).fine();
    let first = format!("{operation} CreateProcess on {id}, received ");
    assert!(told.starts_with(&first), "{told}");
    assert!(
        told.contains(" s  asked the guest agent: ExecuteProcess\n"),
        "{told}"
    );
    assert_in_order(
        &told,
        &[
            " s  agent: looked up the user",
            " s  process: entered its working directory",
            " s  failed: the file or path does not exist",
            " s  answered",
        ],
    );
    let unknown = words("explain 1-1");
    assert_eq!(unknown.code, Some(125));
    assert!(unknown.err.contains("1-1"), "{}", unknown.err);
}

/// The parts stand in `text`, in this order.
#[track_caller]
fn assert_in_order(text: &str, parts: &[&str]) {
    let mut rest = text;
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else {
            panic!("{part:?} is missing, or too early, in {text}");
        };
        rest = after;
    }
}

/// The time line of the one call of this kind on a system.
#[track_caller]
fn time_line(id: &str, call: &str) -> String {
    let events = words(&format!("events --system {id} --format json")).fine();
    let events = events
        .lines()
        .map(|line| -> Value { serde_json::from_str(line).unwrap() });
    let operations = events.filter_map(|event| Some(event["Operation"].as_str()?.to_owned()));
    let told = operations.map(|operation| words(&format!("explain {operation}")).fine());
    let head = format!(" {call} on {id}, received ");
    told.into_iter().find(|line| line.contains(&head)).unwrap()
}

#[test]
fn time_lines_have_what_the_engine_the_agent_and_the_process_did() {
    let container = Container::new("explain-steps");
    let id = &container.0;
    assert_in_order(
        &time_line(id, "CreateSystem"),
        &[
            " s  the document is possible on this host",
            " s  told the container what to be",
            " s  the machine is made",
            " s  answered",
        ],
    );
    // The child boots while its creation is answered and its start is asked for.
    assert_in_order(
        &time_line(id, "StartSystem"),
        &[
            " s  container: joined its control groups",
            " s  container: mounted the root file system",
            " s  container: changed to its root",
            " s  container: the agent listens",
            " s  connected to the guest agent",
        ],
    );
    ended(&mut hcs(["exec", id, "--", "true"])).fine();
    assert_in_order(
        &time_line(id, "CreateProcess"),
        &[
            " s  asked the guest agent: ExecuteProcess",
            " s  agent: took the request up",
            " s  process: cloned from the agent",
            " s  process: became the program (execve)",
            " s  the guest agent answered",
        ],
    );
}

#[test]
fn containers_that_fail_before_their_start_say_why_to_it() {
    let place = Place::new(60);
    let fail = || {
        let mount = "/etc/hostname:/etc/hostname/below";
        let failed = ended(&mut place.hcs(&["run", "--mount", mount, "--", "true"]));
        assert!(failed.err.contains("Not a directory"), "{failed:?}");
    };
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..12).for_each(|_| fail()));
        }
    });
}

#[test]
fn a_container_that_cannot_be_made_says_at_which_step() {
    let id = &unique("explain-unmade");
    let no_directory = "/etc/hostname:/etc/hostname/below";
    let failed = ended(&mut hcs([
        "run",
        "--id",
        id,
        "--mount",
        no_directory,
        "--",
        "true",
    ]));
    assert_eq!(failed.code, Some(125));
    assert_in_order(
        &time_line(id, "StartSystem"),
        &[
            " s  container: mounted the root file system",
            " s  failed: ",
            "it failed with ",
            "/etc/hostname/below: Not a directory",
        ],
    );
}
