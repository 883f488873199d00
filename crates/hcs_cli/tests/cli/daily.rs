//! Short ways for every day: ids only, all systems at once, JSON from every verb that tells facts.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::{
    common::{Container, Ended, ended, hcs, ready, unique, words},
    service::Place,
};

fn at(place: &Place, line: &str) -> Ended {
    let arguments: Vec<&str> = line.split_whitespace().collect();
    ended(&mut place.hcs(&arguments))
}

#[test]
fn list_can_be_the_ids_alone() {
    let place = Place::new(60);
    for id in ["one", "two"] {
        at(&place, &format!("create --id {id}")).fine();
    }
    let out = at(&place, "list -q").fine();
    let mut ids: Vec<&str> = out.lines().collect();
    ids.sort_unstable();
    assert_eq!(ids, ["one", "two"]);
    assert_eq!(at(&place, "list -a --quiet").fine(), out);
    assert_eq!(at(&place, "list -q --json").code, Some(125));
    at(&place, "terminate --all").fine();
    assert_eq!(at(&place, "list -q").fine(), "");
}

/// Row N7.
#[test]
fn all_systems_are_ended_whatever_their_state() {
    let place = Place::new(60);
    at(&place, "terminate --all").fine();
    for id in ["created", "running", "paused"] {
        at(&place, &format!("create --id {id}")).fine();
    }
    at(&place, "start running paused").fine();
    at(&place, "pause paused").fine();
    // Where nothing runs, nothing can be asked to end; the others have ended all the same, and each failure is told.
    let shut = at(&place, "shutdown --all");
    assert_eq!(shut.code, Some(125), "{shut:?}");
    for asleep in ["'created'", "'paused'"] {
        assert!(shut.err.contains(asleep), "{shut:?}");
    }
    let left = at(&place, "list -q").fine();
    assert!(
        left.contains("paused\n") && !left.contains("running"),
        "{left}"
    );
    at(&place, "terminate --all").fine();
    assert_eq!(at(&place, "list -q").fine(), "");
    for wrong in ["terminate", "terminate --all box", "shutdown -a box"] {
        assert_eq!(at(&place, wrong).code, Some(125), "{wrong}");
    }
}

#[test]
fn the_processes_of_all_systems_are_listed() {
    let place = Place::new(60);
    let script = "echo ready; sleep 1000; :";
    let mut run = place.hcs(&["run", "--id", "busy", "--", "sh", "-c", script]);
    let mut run = ready(&mut run);
    at(&place, "create --id waiting").fine();
    let table = at(&place, "ps").fine();
    assert!(table.starts_with("SYSTEM "), "{table}");
    let line = |id: &str| table.lines().find(|line| line.starts_with(id)).unwrap();
    assert!(line("busy ").contains("Running"), "{table}");
    assert!(line("waiting ").contains("Created"), "{table}");
    let json: Value = serde_json::from_str(&at(&place, "ps -a --json").fine()).unwrap();
    let busy = json
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["Id"] == "busy");
    let list = &busy.unwrap()["ProcessList"];
    assert!(list[0]["ProcessId"].is_u64(), "{json}");
    assert_eq!(list[0]["CommandArgs"], json!(["sh", "-c", script]));
    let told = format!("  sh -c '{script}'");
    assert!(line("busy ").ends_with(&told), "{table}");
    let inspected: Value = serde_json::from_str(&at(&place, "inspect busy").fine()).unwrap();
    assert_eq!(inspected["ProcessList"][0]["CommandArgs"][2], script);
    // Every client may read the event log.
    let events = at(&place, "events --json").fine();
    assert!(
        events.contains("ProcessCreated") && !events.contains("sleep"),
        "{events}"
    );
    at(&place, "pause busy").fine();
    let paused = at(&place, "top").fine();
    assert!(paused.contains("Paused"), "{paused}");
    at(&place, "terminate --all").fine();
    run.wait().unwrap();
}

#[test]
fn every_verb_that_tells_facts_tells_them_as_json() {
    let container = Container::new("json");
    let id = &container.0;
    for line in [
        "list --json",
        "service --json",
        &format!("ps {id} --json"),
        "ps --json",
        &format!("inspect {id} --json"),
        &format!("stats {id} --json"),
        &format!("events --json --system {id}"),
    ] {
        let out = words(line).fine();
        let mut documents = serde_json::Deserializer::from_str(&out).into_iter::<Value>();
        let first = documents
            .next()
            .unwrap_or_else(|| panic!("{line}: nothing"));
        assert!(
            first.is_ok() && documents.all(|one| one.is_ok()),
            "{line}: {out}"
        );
    }
    let new = unique("json");
    let created = words(&format!("create --id {new} --json")).fine();
    let created: Value = serde_json::from_str(&created).unwrap();
    assert_eq!(created["Id"], new.as_str());
    let inspected: Value = serde_json::from_str(&words(&format!("inspect {new}")).fine()).unwrap();
    assert_eq!(created["RuntimeId"], inspected["RuntimeId"]);
    words(&format!("terminate {new}")).fine();
    let both = words("list --json --format table");
    assert_eq!(both.code, Some(125));
}

#[test]
fn the_end_of_a_process_is_a_document() {
    let container = Container::new("status");
    let id = &container.0;
    let script = "mkfifo /tmp/end && echo ready && read line < /tmp/end; exit 3";
    let mut exec = ready(&mut hcs(["exec", id, "--", "sh", "-c", script]));
    let list: Value = serde_json::from_str(&words(&format!("ps {id} --json")).fine()).unwrap();
    let shell = |one: &&Value| one["ImageName"] == "sh";
    let pid = &list.as_array().unwrap().iter().find(shell).unwrap()["ProcessId"];
    // Without its client no other hears of its end, which is kept for the first client to ask.
    exec.kill().unwrap();
    exec.wait().unwrap();
    let mut wait = hcs(["wait", id, &pid.to_string(), "--json"]);
    let wait = wait.stdout(Stdio::piped()).spawn().unwrap();
    let end = "echo > /tmp/end";
    ended(&mut hcs(["exec", id, "--", "sh", "-c", end])).fine();
    let ended = wait.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(3));
    let status: Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!(status["ProcessId"], *pid);
    assert_eq!(
        (&status["Exited"], &status["ExitCode"]),
        (&true.into(), &3.into())
    );
}

/// Row N8.
#[test]
fn a_system_is_inspected_with_what_it_was_made_from() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().to_str().unwrap();
    let options = format!("--memory 64 --mount {here}:/data:ro --hostname box --ulimit nofile=64");
    let container = Container::with("inspect", &options);
    let inspected = words(&format!("inspect {}", container.0)).fine();
    let inspected: Value = serde_json::from_str(&inspected).unwrap();
    let made = &inspected["Document"]["Container"];
    assert_eq!(made["Memory"]["SizeInMB"], 64);
    assert_eq!(made["MappedDirectories"][0]["HostPath"], here);
    assert_eq!(made["GuestOs"]["HostName"], "box");
    assert_eq!(made["ResourceLimits"][0]["Name"], "nofile");
    assert!(made["Storage"]["HostDirectory"].is_string(), "{inspected}");
    assert!(inspected["PropertyResponses"].is_null(), "{inspected}");
    assert!(inspected["ProcessList"].is_array(), "{inspected}");
    words(&format!("pause {}", container.0)).fine();
    let paused = words(&format!("inspect {}", container.0)).fine();
    assert!(paused.contains("\"SizeInMB\": 64"), "{paused}");
}
