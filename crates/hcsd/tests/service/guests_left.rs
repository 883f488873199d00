//! A virtual machine that ends with a process: its agent leaves the exit where the next service finds it.

use std::{collections::BTreeMap, fs};

use hcs_wire::service::{Call, Subject};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::{
    common::{
        Client, Service, await_that,
        client::{open_system, shell},
        log::{everything, story},
    },
    guests::Guest,
    machines::status_of_qemu,
};

/// Whether that process has ended; its parent may not have taken note.
fn is_gone(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.map_or(true, |stat| stat.contains(") Z "))
}

fn open_again(process: u64, process_id: u32) -> Call {
    Call::OpenProcess {
        system: 1,
        process,
        process_id,
        again: true,
    }
}

/// What the service tells of the exits of processes by their handles, and of the system's; `count` of them.
#[track_caller]
fn ends(client: &mut Client, count: usize) -> BTreeMap<u64, Value> {
    let mut told = BTreeMap::new();
    while told.len() < count {
        let (subject, _, status) = client.event();
        match subject {
            Subject::Process(handle) => {
                assert_eq!(status["LastWaitResult"], 0, "{status}");
                told.insert(handle, status["ExitCode"].clone());
            }
            // The end of the agent's stream may be told before.
            _ if status["ExitType"].is_null() => {}
            _ => drop(told.insert(0, status["ExitType"].clone())),
        }
    }
    told
}

/// The service is killed before the process ends, or it stands still then: its socket takes what the agent tells, and
/// it is killed before it has looked.
#[test]
fn the_exit_that_a_machine_ends_with_is_told_by_each_later_service() {
    let guest = Guest::new();
    for is_told in [true, false] {
        // What an ended system leaves stays as long as its clients may come back.
        let mut service = Service::with_config("[times]\nreconnect_seconds = 20\n");
        let mut client = service.client();
        let runtime_id = guest.start_with(&mut client, |_| ());
        let open = open_system(1, "guest", Some(&runtime_id));
        let beside = client.create_process(1, 2, &shell("exec sleep 1000"));
        let mut last = shell("read x; exit 51");
        last["EndsSystem"] = json!(true);
        let mut process = client.create_process(1, 3, &last);
        let worker = status_of_qemu(&runtime_id, "PPid");
        if is_told {
            let service = i32::try_from(service.pid()).ok().and_then(Pid::from_raw);
            kill_process(service.unwrap(), Signal::STOP).unwrap();
        } else {
            service.kill();
        }
        process.write("go\n");
        assert_eq!(process.output(), "");
        // The agent needs no service to leave.
        await_that("the machine is gone", || is_gone(&worker));
        if is_told {
            service.kill();
        }
        for _ in 0..2 {
            service.run();
            let mut client = service.client();
            client.call(&open).ok();
            client.call(&open_again(3, process.pid)).ok();
            client.call(&open_again(2, beside.pid)).ok();
            let told = ends(&mut client, 3);
            let expected = [(0, json!("GracefulExit")), (2, json!(137)), (3, json!(51))];
            assert_eq!(told, BTreeMap::from(expected));
            let events = everything(&mut client);
            let story = story(&events, "guest");
            let ended = [
                ("ProcessExited", Some(process.pid)),
                ("ProcessExited", Some(beside.pid)),
                ("SystemExited", None),
            ];
            for (kind, pid) in ended {
                let same = |(of, process): &&(String, Option<u32>)| of == kind && *process == pid;
                assert_eq!(story.iter().filter(same).count(), 1, "{kind}: {story:?}");
            }
            service.kill();
        }
        service.run();
    }
}
