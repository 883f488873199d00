//! The end of a system.

use hcs_wire::guest::{LeftRecord, ResponseBase, Rpc, code};
use serde_json::json;

use crate::{
    Test,
    bridge::{Bridge, base},
    system::System,
};

pub const TESTS: &[Test] = &[
    (
        "a_graceful_shutdown_ends_with_the_last_process",
        a_graceful_shutdown_ends_with_the_last_process,
    ),
    ("a_forced_shutdown_kills_all", a_forced_shutdown_kills_all),
    ("an_empty_system_ends_at_once", an_empty_system_ends_at_once),
    (
        "nothing_starts_during_a_shutdown",
        nothing_starts_during_a_shutdown,
    ),
    (
        "a_lost_host_finds_the_exits_of_a_shutdown",
        a_lost_host_finds_the_exits_of_a_shutdown,
    ),
    (
        "the_end_of_the_command_is_written_down_before_the_host_hears_of_it",
        the_end_of_the_command_is_written_down_before_the_host_hears_of_it,
    ),
    (
        "a_shutdown_leaves_all_exits_and_calls_that_were_not_released",
        a_shutdown_leaves_all_exits_and_calls_that_were_not_released,
    ),
];

/// A host that dies as soon as it has heard the exit, or before, finds it when the agent has left.
fn the_end_of_the_command_is_written_down_before_the_host_hears_of_it() {
    let mut system = System::start();
    let mut bridge = system.connect();
    let beside = bridge.shell("exec sleep 1000");
    bridge.name_next("1.a", &[]);
    let last = json!({ "CommandArgs": ["sh", "-c", "exit 3"], "EndsSystem": true });
    let command = bridge.start(&last);
    assert_eq!(bridge.exit(&command), 3);
    // What else it has come to by now is written behind that.
    let text = std::fs::read(system.path("left")).unwrap();
    let first = text.split(|byte| *byte == b'\n').next().unwrap();
    let first = LeftRecord::read(&[first, b"\n"].concat());
    assert!(first.complete);
    assert_eq!(first.exits, [(command.pid, 3)]);
    let made = |record: &LeftRecord| {
        let call = record.call("1.a").unwrap();
        (call.process_id, call.exit_code)
    };
    assert_eq!(made(&first), (command.pid, Some(3)));
    assert_eq!(bridge.exit(&beside), 137);
    assert!(bridge.is_closed());
    assert_eq!(system.wait().code(), Some(0));
    let left = system.left();
    assert_eq!(
        (left.exit(command.pid), left.exit(beside.pid)),
        (Some(3), Some(137))
    );
    assert_eq!(made(&left), (command.pid, Some(3)));
    assert!(left.complete && !left.forgetful);
}

fn a_shutdown_leaves_all_exits_and_calls_that_were_not_released() {
    let mut system = System::start();
    let mut bridge = system.connect();
    bridge.name_next("1.told", &[]);
    let (code, ..) = bridge.run("exit 7");
    assert_eq!(code, 7);
    bridge.name_next("1.a", &["1.told"]);
    let obeys = bridge.shell("exec sleep 1000");
    assert_eq!(
        system.left(),
        LeftRecord::default(),
        "a system that goes on"
    );
    shut_down(&mut bridge, Rpc::ShutdownGraceful);
    assert_eq!(bridge.exit(&obeys), 143);
    assert!(bridge.is_closed());
    assert_eq!(system.wait().code(), Some(0));
    let left = system.left();
    let codes: Vec<u32> = left.exits.iter().map(|(_, code)| *code).collect();
    assert_eq!(codes, [7, 143]);
    assert_eq!(left.call("1.told"), None);
    let made = left.call("1.a").unwrap();
    assert_eq!((made.process_id, made.exit_code), (obeys.pid, Some(143)));
    assert!(!left.complete);
}

fn shut_down(bridge: &mut Bridge, rpc: Rpc) {
    let answer: ResponseBase = bridge.call(rpc, &base());
    assert_eq!(answer.result, 0, "{answer:?}");
}

/// Every wait is answered before the stream ends; a stopped process and an orphan are reached, too.
fn a_graceful_shutdown_ends_with_the_last_process() {
    let mut system = System::start();
    let mut bridge = system.connect();
    let mut polite =
        bridge.shell("trap 'echo bye; exit 3' TERM; echo ready; while :; do read x; done");
    polite.read_until("ready\n");
    let stopped = bridge.shell("exec sleep 1000");
    assert_eq!(bridge.signal(stopped.pid, Some(19)).result, 0);
    let (code, ..) = bridge.run("sleep 1000 >/dev/null 2>&1 & exit 0");
    assert_eq!(code, 0);
    shut_down(&mut bridge, Rpc::ShutdownGraceful);
    assert_eq!(bridge.exit(&stopped), 143);
    drop(polite.stdin.take());
    assert_eq!(polite.read_stdout(), "bye\n");
    assert_eq!(bridge.exit(&polite), 3);
    assert!(bridge.is_closed());
    assert_eq!(system.wait().code(), Some(0));
}

fn a_forced_shutdown_kills_all() {
    let mut system = System::start();
    let mut bridge = system.connect();
    let mut stubborn = bridge.shell("trap '' TERM; echo ready; while :; do sleep 1000; done");
    stubborn.read_until("ready\n");
    shut_down(&mut bridge, Rpc::ShutdownGraceful);
    shut_down(&mut bridge, Rpc::ShutdownForced);
    assert_eq!(bridge.exit(&stubborn), 137);
    assert!(bridge.is_closed());
    assert_eq!(system.wait().code(), Some(0));
}

fn an_empty_system_ends_at_once() {
    for rpc in [Rpc::ShutdownGraceful, Rpc::ShutdownForced] {
        let mut system = System::start();
        let mut bridge = system.connect();
        shut_down(&mut bridge, rpc);
        assert!(bridge.is_closed());
        assert_eq!(system.wait().code(), Some(0));
    }
}

fn nothing_starts_during_a_shutdown() {
    let system = System::start();
    let mut bridge = system.connect();
    let mut stubborn = bridge.shell("trap '' TERM; echo ready; while :; do sleep 1000; done");
    stubborn.read_until("ready\n");
    shut_down(&mut bridge, Rpc::ShutdownGraceful);
    let refusal = bridge
        .try_start(&serde_json::json!({ "CommandLine": "true" }))
        .unwrap_err();
    assert_eq!(refusal.hresult(), code::INVALID_STATE);
}

/// The agent does not leave with exits that the host never heard of.
fn a_lost_host_finds_the_exits_of_a_shutdown() {
    let mut system = System::start();
    let mut bridge = system.connect();
    let mut process =
        bridge.shell("trap 'read x; exit 8' TERM; echo ready; while :; do read y; done");
    process.read_until("ready\n");
    shut_down(&mut bridge, Rpc::ShutdownGraceful);
    drop(bridge);
    drop(process.stdin.take());
    assert_eq!(process.read_stdout(), "");
    let mut bridge = system.connect();
    let wait = bridge.wait_for(process.pid, None);
    assert_eq!(bridge.exit_of(wait), 8);
    shut_down(&mut bridge, Rpc::ShutdownForced);
    assert!(bridge.is_closed());
    assert_eq!(system.wait().code(), Some(0));
}
