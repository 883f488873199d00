//! The verbs that keep a container: create, start, exec, ps, inspect, stats, signal, wait, pause, shutdown, terminate.

use std::process::Stdio;

use crate::common::{Container, ended, hcs, listed, ready, unique, with_input, words};
use serde_json::Value;

fn json(line: &str) -> Value {
    serde_json::from_str(&words(line).fine()).unwrap()
}

#[test]
fn a_container_lives_from_create_to_terminate() {
    let id = unique("life");
    assert_eq!(
        words(&format!("create --id {id}")).fine(),
        format!("{id}\n")
    );
    assert_eq!(json(&format!("inspect {id}"))["State"], "Created");
    words(&format!("start {id}")).fine();
    let properties = json(&format!("inspect {id}"));
    assert_eq!(properties["State"], "Running");
    assert_eq!(properties["Owner"], "hcs");
    assert_eq!(properties["Id"], id.as_str());
    words(&format!("terminate {id}")).fine();
    assert!(!listed().contains(&id));
    let ended = words(&format!("inspect {id}"));
    assert_eq!(ended.code, Some(125));
    assert!(ended.err.contains("HCS_E_SYSTEM_NOT_FOUND"), "{ended:?}");
}

#[test]
fn exec_is_a_process_in_the_same_container() {
    let container = Container::new("exec");
    let id = &container.0;
    assert_eq!(words(&format!("exec {id} -- mkdir /tmp/mark")).fine(), "");
    assert_eq!(
        words(&format!("exec {id} ls -d /tmp/mark")).fine(),
        "/tmp/mark\n"
    );
    let output = with_input(
        &mut hcs(["exec", "-i", id, "--", "sort"]),
        b"b\na\n".to_vec(),
    );
    assert_eq!(output.stdout, b"a\nb\n");
    assert_eq!(
        ended(&mut hcs(["exec", id, "--", "sh", "-c", "exit 9"])).code,
        Some(9)
    );
    assert_eq!(
        words(&format!("exec {id} -- no-such-program")).code,
        Some(127)
    );
}

#[test]
fn output_that_a_background_process_holds_open_is_given_up() {
    let container = Container::new("held");
    let script = "sleep 1000 & echo done";
    let out = ended(&mut hcs(["exec", &container.0, "--", "sh", "-c", script])).fine();
    assert_eq!(out, "done\n");
}

#[test]
fn processes_are_listed_signalled_and_waited_for() {
    let container = Container::new("ps");
    let id = &container.0;
    let script = "echo ready; exec sleep 1000";
    let mut exec = ready(&mut hcs(["exec", id, "--", "sh", "-c", script]));
    let list = json(&format!("ps {id} --format json"));
    let process = list
        .as_array()
        .unwrap()
        .iter()
        .find(|p| ["sh", "sleep"].contains(&p["ImageName"].as_str().unwrap()))
        .unwrap_or_else(|| panic!("{list}"));
    let pid = process["ProcessId"].as_u64().unwrap();
    let table = words(&format!("ps {id}")).fine();
    assert!(table.starts_with("PID"), "{table}");
    assert!(
        table.lines().any(|l| l.starts_with(&format!("{pid} "))),
        "{table}"
    );
    let mut wait = hcs(["wait", id, &pid.to_string()]).spawn().unwrap();
    words(&format!("signal {id} {pid} TERM")).fine();
    assert_eq!(exec.wait().unwrap().code(), Some(143));
    // Whether it opened the process before or after its end, which is delivered once, decides between the two.
    assert!([Some(143), Some(125)].contains(&wait.wait().unwrap().code()));
    let ended = words(&format!("signal {id} 99999"));
    assert_eq!(ended.code, Some(125));
    assert!(ended.err.contains("99999"), "{ended:?}");
}

#[test]
fn figures_are_shown() {
    let container = Container::new("stats");
    let id = &container.0;
    let statistics = json(&format!("stats {id} --format json"));
    assert!(
        statistics["Uptime100ns"].as_u64().unwrap() > 0,
        "{statistics}"
    );
    assert!(words(&format!("stats {id}")).fine().starts_with("UPTIME"));
    // Other tests end systems meanwhile, which is no failure.
    let all = words("stats --no-stream").fine();
    assert!(all.starts_with("SYSTEM"), "{all}");
    let mut systems = all.lines().map(|line| line.split_whitespace().next());
    assert!(systems.any(|first| first == Some(id.as_str())), "{all}");
    let all = json("stats --json");
    let mut own = all
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["Id"] == id.as_str());
    assert!(own.next().unwrap()["Statistics"].is_object(), "{all}");
}

#[test]
fn a_paused_container_says_so_and_runs_on() {
    let container = Container::new("pause");
    let id = &container.0;
    words(&format!("pause {id}")).fine();
    assert_eq!(json(&format!("inspect {id}"))["State"], "Paused");
    words(&format!("resume {id}")).fine();
    assert_eq!(words(&format!("exec {id} -- echo on")).fine(), "on\n");
}

#[test]
fn shutdown_asks_and_wait_tells_how_it_ended() {
    let container = Container::new("shutdown");
    let id = &container.0;
    let waiting = hcs(["wait", id]).stdout(Stdio::piped()).spawn().unwrap();
    words(&format!("shutdown {id}")).fine();
    let output = waiting.wait_with_output().unwrap();
    let status = String::from_utf8(output.stdout).unwrap();
    // The system may have been gone before `wait` asked for it.
    assert!(
        status.contains("ExitType") || output.status.code() == Some(125),
        "{status}"
    );
    assert!(!listed().contains(id));
}

#[test]
fn a_table_has_kind_state_id_owner_image_command_and_outcome() {
    let container = Container::new("list");
    let list = words("list").fine();
    assert!(list.starts_with("TYPE"), "{list}");
    let line = list
        .lines()
        .find(|line| line.contains(&container.0))
        .unwrap();
    let cells: Vec<_> = line.split_whitespace().collect();
    let expected = ["Container", "Running", &container.0, "hcs", "-", "-", "-"];
    assert_eq!(cells, expected);
}

#[test]
fn the_limits_of_a_running_container_are_changed() {
    let container = Container::with("update", "--memory 64");
    let id = &container.0;
    let take = "$x = 'x' x (96 << 20); print length $x";
    let take = || ended(&mut hcs(["exec", id, "--", "perl", "-e", take]));
    assert_eq!(take().code, Some(137));
    words(&format!("update --memory 256 --cpus 0.5 {id}")).fine();
    assert_eq!(take().fine(), (96 << 20).to_string());
    // What is in use is not taken away, and the limit stays.
    let script = "dd if=/dev/zero of=/dev/shm/file bs=1M count=48 2>/dev/null";
    ended(&mut hcs(["exec", id, "--", "sh", "-c", script])).fine();
    let refused = words(&format!("update --memory 16 {id}"));
    assert_eq!(refused.code, Some(125), "{refused:?}");
    assert!(refused.err.contains("the container uses "), "{refused:?}");
    assert_eq!(take().fine(), (96 << 20).to_string());
    assert_eq!(words("update --memory 16 no-such-system").code, Some(125));
}

#[test]
fn the_service_speaks_of_itself() {
    let responses = &json("service --json")["PropertyResponses"];
    let versions = &responses["Basic"]["Response"]["SupportedSchemaVersions"];
    assert_eq!(versions[0]["Major"], 2);
    let service = &responses["Service"]["Response"];
    assert_eq!(service["Version"], env!("CARGO_PKG_VERSION"));
    assert!(service["Uptime100ns"].as_u64() > Some(0), "{service}");
    let told = words("service").fine();
    let version = format!("version        {}\n", env!("CARGO_PKG_VERSION"));
    assert!(told.starts_with(&version), "{told}");
    let some = words("service Memory Bad");
    assert_eq!(some.code, Some(125));
    assert!(some.err.contains("\"Bad\""), "{}", some.err);
    assert!(some.out.contains("TotalMemoryInBytes"), "{}", some.out);
}

#[test]
fn what_takes_too_long_is_given_up_and_undone() {
    let container = Container::new("late");
    let id = &container.0;
    let waited = words(&format!("wait {id} --timeout 0.05"));
    assert_eq!(waited.code, Some(124));
    for said in [id.as_str(), " within 0.05 seconds and "] {
        assert!(waited.err.contains(said), "{waited:?}");
    }
    words(&format!("pause {id} --timeout 60")).fine();
    words(&format!("resume {id} --timeout 60")).fine();
    let script = "trap '' TERM; echo ready; while :; do sleep 1; done";
    let mut deaf = ready(&mut hcs(["exec", id, "--", "sh", "-c", script]));
    let late = words(&format!("shutdown {id} --timeout 0.1"));
    assert_eq!(late.code, Some(124));
    let said = format!("hcs: shutdown of {id:?} was not done within 0.1 seconds and was given up ");
    assert!(late.err.starts_with(&said), "{}", late.err);
    assert!(late.err.contains("HCS_E_OPERATION_TIMEOUT"), "{}", late.err);
    assert!(late.err.contains("hcs explain "), "{}", late.err);
    assert_eq!(words(&format!("exec {id} -- echo again")).fine(), "again\n");
    words(&format!("terminate {id}")).fine();
    deaf.wait().unwrap();
}

#[test]
fn a_command_that_takes_too_long_is_killed_and_a_run_leaves_nothing() {
    let container = Container::new("killed");
    let id = &container.0;
    let deaf = "trap '' TERM; exec sleep 1000";
    let exec = ["exec", "--timeout", "1", id, "--", "sh", "-c", deaf];
    let name = unique("killed");
    let run = [
        "run",
        "--timeout",
        "2",
        "--id",
        &name,
        "--",
        "sh",
        "-c",
        deaf,
    ];
    for (line, limit, id) in [(&exec[..], "1 second ", id), (&run, "2 seconds ", &name)] {
        let late = ended(&mut hcs(line));
        assert_eq!(late.code, Some(124), "{late:?}");
        assert!(
            late.err.starts_with(&format!("hcs: {} of ", line[0])),
            "{late:?}"
        );
        for said in [format!("{id:?} "), format!(" within {limit}")] {
            assert!(late.err.contains(&said), "{late:?}");
        }
    }
    assert!(!listed().contains(&name));
    let left = words(&format!("ps {id}")).fine();
    assert!(!left.contains("sleep"), "{left}");
    // What was done in time is as it is without a limit.
    let done = ["exec", "--timeout", "60", id, "--", "sh", "-c", "exit 7"];
    assert_eq!(ended(&mut hcs(done)).code, Some(7));
}

#[test]
fn the_time_of_a_run_includes_its_creation() {
    let name = unique("at-once");
    let late = words(&format!("run --timeout 0.000001 --id {name} -- sleep 1000"));
    assert_eq!(late.code, Some(124), "{late:?}");
    assert!(late.err.contains(&name), "{late:?}");
    assert!(!listed().contains(&name));
}

#[test]
fn the_same_is_done_to_several_and_each_failure_is_told() {
    let (one, two) = (Container::new("one"), Container::new("two"));
    let pause = words(&format!(
        "pause {} no-such-system {} nor-this",
        one.0, two.0
    ));
    assert_eq!(pause.code, Some(125));
    for missing in ["no-such-system", "nor-this"] {
        assert!(pause.err.contains(missing), "{pause:?}");
    }
    for paused in [&one.0, &two.0] {
        assert_eq!(json(&format!("inspect {paused}"))["State"], "Paused");
    }
    let asleep = words(&format!("exec {} -- true", one.0));
    assert!(
        asleep
            .err
            .contains(&format!("first: hcs resume {}\n", one.0)),
        "{asleep:?}"
    );
    words(&format!("resume {} {}", one.0, two.0)).fine();
}
