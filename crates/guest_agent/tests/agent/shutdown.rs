//! The end of a system.

use hcs_wire::guest::{ResponseBase, Rpc, code};

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
];

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
