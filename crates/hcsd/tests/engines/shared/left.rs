//! A system that ends with a process, whose service dies before it has heard of that: the agent has left it.

use std::{collections::BTreeMap, fs};

use hcs_wire::service::Subject;
use serde_json::{Value, json};

use super::open_again;
use crate::{
    common::{
        Client, await_that,
        client::{create_system, open_system, shell, start_system},
        log::{everything, story},
    },
    kinds::{Kind, record},
};

/// Whether that process has ended; its parent may not have taken note.
fn is_gone(pid: i64) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.map_or(true, |stat| stat.contains(") Z "))
}

/// The next two events: the exit code of the process with that handle, and how the system 1 ended.
#[track_caller]
fn ends(client: &mut Client, handle: u64) -> (Value, Value) {
    let mut told = BTreeMap::new();
    for _ in 0..2 {
        let (subject, _, status) = client.event();
        told.insert(subject == Subject::Process(handle), status);
    }
    let process = told.remove(&true).unwrap();
    assert_eq!(process["LastWaitResult"], 0, "{process}");
    let system = told.remove(&false).unwrap();
    (process["ExitCode"].clone(), system["ExitType"].clone())
}

pub(super) fn the_exits_of_a_system_that_ended_with_its_process_are_told_by_each_later_service(
    kind: &Kind,
) {
    // What an ended system leaves stays as long as its clients may come back.
    let mut service = kind.service_with("[times]\nreconnect_seconds = 10\n");
    let mut client = service.client();
    let made = client.call(&create_system(1, "left", kind.document)).ok();
    let open = open_system(1, "left", made.reply.runtime_id.as_deref());
    client.call(&start_system(1)).ok();
    let beside = client.create_process(1, 2, &shell("exec sleep 1000"));
    let mut last = shell("read x; exit 51");
    last["EndsSystem"] = json!(true);
    let mut process = client.create_process(1, 3, &last);
    let machine = record(&service)["machine"].as_str().unwrap().to_owned();
    let machine: Value = serde_json::from_str(&machine).unwrap();
    let pid = machine["Pid"].as_i64().unwrap();
    service.kill();
    process.write("go\n");
    assert_eq!(process.output(), "");
    // Its agent needs no service to leave.
    await_that("the machine is gone", || is_gone(pid));
    for _ in 0..3 {
        service.run();
        let mut client = service.client();
        client.call(&open).ok();
        client.call(&open_again(1, 3, process.pid)).ok();
        let (code, exit) = ends(&mut client, 3);
        assert_eq!((code, exit), (json!(51), json!("GracefulExit")));
        client.call(&open_again(1, 2, beside.pid)).ok();
        assert_eq!(client.exit_code(2), 137);
        let events = everything(&mut client);
        let story = story(&events, "left");
        let times = |kind: &str, pid| {
            let same = |(of, process): &&(String, Option<u32>)| of == kind && *process == pid;
            story.iter().filter(same).count()
        };
        assert_eq!(times("ProcessExited", Some(process.pid)), 1, "{story:?}");
        assert_eq!(times("ProcessExited", Some(beside.pid)), 1, "{story:?}");
        assert_eq!(times("SystemExited", None), 1, "{story:?}");
        service.kill();
    }
    service.run();
}
