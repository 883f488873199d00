//! `hcs events` against a service that comes and goes.

use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
};

use serde_json::Value;

use crate::{
    common::{ended, ready},
    service::{Place, kill_services},
};

fn kinds(lines: &str) -> Vec<(u64, String)> {
    lines
        .lines()
        .map(|line| {
            let event: Value = serde_json::from_str(line).unwrap();
            let kind = event["Kind"].as_str().unwrap().to_owned();
            (event["Number"].as_u64().unwrap(), kind)
        })
        .collect()
}

#[test]
fn a_follower_ends_with_its_reader_though_nothing_happens() {
    let place = Place::new(60);
    ended(&mut place.hcs(&["create", "--id", "box"])).fine();
    let mut follower = place
        .hcs(&["events", "--follow"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    for expected in ["NUMBER", "ServiceStarted", "SystemCreated"] {
        let line = lines.next().unwrap().unwrap();
        assert!(line.contains(expected), "{line}");
    }
    drop(lines);
    assert_eq!(follower.wait().unwrap().code(), Some(0));
    ended(&mut place.hcs(&["terminate", "box"])).fine();
}

#[test]
fn a_follower_goes_on_through_a_killed_service_without_gap_or_repetition() {
    let place = Place::new(60);
    ended(&mut place.hcs(&["create", "--id", "box"])).fine();
    let mut follower = place
        .hcs(&["events", "--follow", "--format", "json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    let mut followed = String::new();
    let mut until = |kind: &str| {
        let wanted = format!("\"Kind\":\"{kind}\"");
        for line in &mut lines {
            let line = line.unwrap();
            followed.push_str(&format!("{line}\n"));
            if line.contains(&wanted) {
                return;
            }
        }
        panic!("the follower ended before {kind}");
    };
    until("SystemCreated");
    kill_services(&place);
    until("SystemAdopted");
    ended(&mut place.hcs(&["start", "box"])).fine();
    until("SystemStarted");
    ended(&mut place.hcs(&["terminate", "box"])).fine();
    until("SystemExited");
    follower.kill().unwrap();
    follower.wait().unwrap();
    let all = ended(&mut place.hcs(&["events", "--format", "json"])).fine();
    let (all, followed) = (kinds(&all), kinds(&followed));
    assert_eq!(all[..followed.len()], followed);
    assert_eq!(all[0].0, 1);

    let table = ended(&mut place.hcs(&["events", "--system", "box"])).fine();
    let table: Vec<&str> = table.lines().collect();
    assert!(table[0].trim_start().starts_with("NUMBER"), "{table:?}");
    assert!(table[1].contains("SystemCreated"), "{table:?}");
    assert!(table.iter().skip(1).all(|line| line.contains("box")));
    let since = ended(&mut place.hcs(&["events", "--since", "3", "--format", "json"])).fine();
    assert_eq!(kinds(&since)[0].0, 3);
    let beyond = ended(&mut place.hcs(&["events", "--since", "123456"]));
    assert_eq!(beyond.code, Some(125));
    assert_eq!(beyond.out, "");
    let said = "there is no event 123456 yet: the next one has the number ";
    assert!(beyond.err.contains(said), "{}", beyond.err);
    let late = ended(&mut place.hcs(&["events", "--since", "3", "--follow", "--timeout", "0.2"]));
    assert_eq!(late.code, Some(124));
    ended(&mut place.hcs(&["create", "--id", "kept"])).fine();
    ended(&mut place.hcs(&["exec", "kept", "--", "true"]));
    let table = ended(&mut place.hcs(&["events", "--system", "kept"])).fine();
    let failed = table.lines().find(|line| line.contains("OperationFailed"));
    let failed = failed.unwrap_or_else(|| panic!("{table}"));
    assert!(
        failed.contains("CreateProcess: the compute system is in a state that does not allow"),
        "{failed}"
    );
    ended(&mut place.hcs(&["terminate", "kept"])).fine();
}

/// Row N8.
#[test]
fn a_run_ends_its_container_gracefully_and_a_terminate_by_force() {
    let place = Place::new(60);
    let exit = |id: &str| {
        let all = ended(&mut place.hcs(&["events", "--system", id, "--json"])).fine();
        let events = all
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let mut exits = events.filter(|event| event["Kind"] == "SystemExited");
        exits.next().unwrap()["Data"]["ExitType"].clone()
    };
    for (id, script, code) in [
        ("true", "true", 0),
        ("fails", "exit 3", 3),
        ("leaves", "sleep 1000 & exit 0", 0),
        ("killed", "kill -9 $$", 137),
    ] {
        let run = ended(&mut place.hcs(&["run", "--id", id, "--", "sh", "-c", script]));
        assert_eq!(run.code, Some(code), "{run:?}");
        assert_eq!(exit(id), "GracefulExit", "{id}");
    }
    let mut run = place.hcs(&[
        "run",
        "--id",
        "cut",
        "--",
        "sh",
        "-c",
        "echo ready; sleep 1000",
    ]);
    let mut run = ready(&mut run);
    ended(&mut place.hcs(&["terminate", "cut"])).fine();
    assert_eq!(run.wait().unwrap().code(), Some(137));
    assert_eq!(exit("cut"), "ForcedExit");
}
