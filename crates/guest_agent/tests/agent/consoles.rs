//! Emulated consoles.

use std::io::{Read as _, Write as _};

use hcs_schema::HResult;
use hcs_wire::guest::{DumpStacksResponse, Naming, ResizeConsole, ResponseBase, Rpc, code};
use serde_json::{Value, json};

use crate::{
    Test,
    bridge::{Bridge, Started, base},
    system::System,
};

pub const TESTS: &[Test] = &[
    ("a_console_is_a_terminal", a_console_is_a_terminal),
    (
        "a_session_resizes_and_is_interrupted",
        a_session_resizes_and_is_interrupted,
    ),
    ("the_end_of_stdin_is_typed", the_end_of_stdin_is_typed),
    (
        "all_output_comes_before_the_end",
        all_output_comes_before_the_end,
    ),
    (
        "much_output_flows_at_the_readers_pace",
        much_output_flows_at_the_readers_pace,
    ),
    (
        "much_input_flows_at_the_readers_pace",
        much_input_flows_at_the_readers_pace,
    ),
    ("a_closed_stdout_hangs_up", a_closed_stdout_hangs_up),
    (
        "a_console_without_streams_is_drained",
        a_console_without_streams_is_drained,
    ),
    (
        "the_terminal_outlives_its_descriptors",
        the_terminal_outlives_its_descriptors,
    ),
    (
        "background_processes_keep_the_output_open",
        background_processes_keep_the_output_open,
    ),
    ("stdin_may_be_opened_again", stdin_may_be_opened_again),
    (
        "the_terminal_belongs_to_the_user",
        the_terminal_belongs_to_the_user,
    ),
    ("idle_consoles_wake_no_thread", idle_consoles_wake_no_thread),
    ("a_false_ptmx_is_refused", a_false_ptmx_is_refused),
    ("descriptors_run_out_in_words", descriptors_run_out_in_words),
];

fn console(arguments: &[&str]) -> Value {
    json!({
        "CommandArgs": arguments, "EmulateConsole": true, "ConsoleSize": [33, 101],
        "CreateStdInPipe": true, "CreateStdOutPipe": true, "CreateStdErrPipe": false
    })
}

fn start(bridge: &mut Bridge, script: &str) -> Started {
    bridge.start(&console(&["sh", "-c", script]))
}

fn resize(bridge: &mut Bridge, pid: u32, height: u16, width: u16) -> ResponseBase {
    let request = ResizeConsole {
        base: base(),
        process_id: pid,
        height,
        width,
        naming: Naming::default(),
    };
    bridge.call(Rpc::ResizeConsole, &request)
}

fn a_console_is_a_terminal() {
    let system = System::start();
    let mut bridge = system.connect();
    let script = "for n in 0 1 2; do [ -t $n ] && echo tty $n; done; stty size; echo $TERM; exec </dev/tty && echo ctty; echo err >&2; exit 5";
    let mut process = start(&mut bridge, script);
    let out = process.read_stdout();
    assert_eq!(
        out,
        "tty 0\r\ntty 1\r\ntty 2\r\n33 101\r\nxterm\r\nctty\r\nerr\r\n"
    );
    assert_eq!(bridge.exit(&process), 5);
    // A host that sends a stderr with a console all the same.
    let mut document = console(&["sh", "-c", "echo both; echo streams >&2"]);
    document["CreateStdErrPipe"] = json!(true);
    let mut process = bridge.start(&document);
    assert_eq!(process.read_stdout(), "both\r\nstreams\r\n");
    assert_eq!(process.read_stderr(), "");
}

fn a_session_resizes_and_is_interrupted() {
    let system = System::start();
    let mut bridge = system.connect();
    let script = "stty noflsh; trap 'echo winch $(stty size)' WINCH; trap 'echo int' INT; echo ready; while :; do read -r x || break; echo \"[$x]\"; done; exit 7";
    let mut process = bridge.start(&console(&["bash", "-c", script]));
    process.read_until("ready\r\n");
    process.write("one\n");
    assert_eq!(
        process.read_until("]\r\n"),
        "one\r\n[one]\r\n",
        "input is echoed"
    );
    assert_eq!(resize(&mut bridge, process.pid, 40, 120).result, 0);
    // bash runs a trap when the read that it interrupted is over.
    process.write("two\n");
    assert!(process.read_until("[two]\r\n").contains("winch 40 120"));
    // By default Ctrl-C flushes the terminal, the answer to itself included: hence noflsh above. A signal that comes
    // just before bash reads does not interrupt the read: only the line that ends it makes the trap certain.
    process.write("\u{3}");
    let mut said = process.read_until("^C");
    process.write("three\n");
    said.push_str(&process.read_until("[three]\r\n"));
    assert!(said.contains("int\r\n"), "{said:?}");
    process.write("\u{4}");
    process
        .stdout
        .as_mut()
        .unwrap()
        .read_to_end(&mut Vec::new())
        .unwrap();
    assert_eq!(bridge.exit(&process), 7);
    assert_eq!(
        resize(&mut bridge, process.pid, 1, 1).hresult(),
        code::PROCESS_ALREADY_STOPPED
    );
    let plain = bridge.shell("exec sleep 1000");
    assert_eq!(
        resize(&mut bridge, plain.pid, 1, 1).hresult(),
        HResult::E_INVALIDARG
    );
    assert_eq!(
        resize(&mut bridge, 99_999, 1, 1).hresult(),
        HResult::NOT_FOUND
    );
    // Ctrl-C ends what does not catch it.
    let mut sleeper = start(&mut bridge, "echo ready; exec sleep 1000");
    sleeper.read_until("ready\r\n");
    sleeper.write("\u{3}");
    assert_eq!(bridge.exit(&sleeper), 130);
}

fn the_end_of_stdin_is_typed() {
    let system = System::start();
    let mut bridge = system.connect();
    for (typed, expected) in [("", "0\r\n"), ("line\n", "5\r\n"), ("no newline", "10\r\n")] {
        let mut process = start(&mut bridge, "stty -echo; echo ready; wc -c");
        process.read_until("ready\r\n");
        process.write(typed);
        drop(process.stdin.take());
        assert_eq!(process.read_stdout(), expected, "{typed:?}");
        assert_eq!(bridge.exit(&process), 0);
    }
}

fn all_output_comes_before_the_end() {
    let system = System::start();
    let mut bridge = system.connect();
    for _ in 0..50 {
        let mut process = start(&mut bridge, "stty -opost; seq 1 2000; exit 4");
        let expected: String = (1..=2000).map(|n| format!("{n}\n")).collect();
        // The exit is known before a byte is read: the output is still all there.
        assert_eq!(bridge.exit(&process), 4);
        assert!(process.read_stdout() == expected);
    }
}

/// Far more than pipe, terminal and agent can hold; the process has to wait for us.
fn much_output_flows_at_the_readers_pace() {
    let system = System::start();
    let mut bridge = system.connect();
    let mut process = start(&mut bridge, "stty -opost; seq 1 400000");
    let out = process.read_stdout();
    let expected: String = (1..=400_000).map(|n| format!("{n}\n")).collect();
    assert!(out == expected, "{} of {} bytes", out.len(), expected.len());
    assert_eq!(bridge.exit(&process), 0);
}

fn much_input_flows_at_the_readers_pace() {
    let system = System::start();
    let mut bridge = system.connect();
    let mut process = start(
        &mut bridge,
        "stty raw -echo; echo ready; head -c 3000000 | cksum",
    );
    process.read_until("ready\n");
    let bytes: Vec<u8> = (0..3_000_000_u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    process.stdin.as_mut().unwrap().write_all(&bytes).unwrap();
    let here = system.path("bytes");
    std::fs::write(&here, &bytes).unwrap();
    let (_, expected, _) = bridge.run(&format!("cksum < {}", here.display()));
    assert_eq!(process.read_stdout(), expected);
}

/// A silent process is not disturbed; the first output that no reader can get ends the session.
fn a_closed_stdout_hangs_up() {
    let system = System::start();
    let mut bridge = system.connect();
    let mut process = start(&mut bridge, "echo ready; read x; echo $x; exec sleep 1000");
    process.read_until("ready\r\n");
    drop(process.stdout.take());
    let silent = bridge.wait_for(process.pid, Some(50));
    let answer: ResponseBase = bridge.answer(silent);
    assert_eq!(answer.hresult(), code::TIMEOUT);
    process.write("something\n");
    assert_eq!(bridge.exit(&process), 129);
}

fn a_console_without_streams_is_drained() {
    let system = System::start();
    let mut bridge = system.connect();
    let mut document = console(&["sh", "-c", "seq 1 100000; [ -t 1 ] && exit 6"]);
    document["CreateStdInPipe"] = json!(false);
    document["CreateStdOutPipe"] = json!(false);
    let process = bridge.start(&document);
    assert_eq!(bridge.exit(&process), 6);
}

fn the_terminal_outlives_its_descriptors() {
    let system = System::start();
    let mut bridge = system.connect();
    let script = "exec <&- >&- 2>&-; sleep 0.05; exec >/dev/tty; echo still there";
    let mut process = start(&mut bridge, script);
    assert_eq!(process.read_stdout(), "still there\r\n");
    assert_eq!(bridge.exit(&process), 0);
}

fn background_processes_keep_the_output_open() {
    let system = System::start();
    let mut bridge = system.connect();
    let go = system.path("go");
    let script = format!(
        "trap '' HUP; (until [ -e {} ]; do sleep 0.01; done; echo late) & echo early",
        go.display()
    );
    let mut process = start(&mut bridge, &script);
    assert_eq!(bridge.exit(&process), 0);
    process.read_until("early\r\n");
    std::fs::write(go, "").unwrap();
    assert_eq!(process.read_stdout(), "late\r\n");
}

/// As a service does that hands the streams out again after their client has died.
fn stdin_may_be_opened_again() {
    let system = System::start();
    let mut bridge = system.connect();
    let mut process = start(
        &mut bridge,
        "stty -echo; echo ready; while :; do read x && echo got $x; done",
    );
    process.read_until("ready\r\n");
    let stdin = process.stdin.take().unwrap();
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&stdin));
    let handle = rustix::fs::open(
        path,
        rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )
    .unwrap();
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&handle));
    drop(stdin);
    for word in ["one", "two", "three"] {
        let mut again = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        again.write_all(format!("{word}\n").as_bytes()).unwrap();
        drop(again);
        process.read_until(&format!("got {word}\r\n"));
    }
    assert_eq!(bridge.signal(process.pid, None).result, 0);
    assert_eq!(bridge.exit(&process), 137);
}

fn the_terminal_belongs_to_the_user() {
    let system = System::start();
    let mut bridge = system.connect();
    let mut document = console(&[
        "sh",
        "-c",
        "stat -c %u $(tty); : < $(tty) && : > $(tty) && echo mine",
    ]);
    document["User"] = json!("65534");
    let mut process = bridge.start(&document);
    assert_eq!(process.read_stdout(), "65534\r\nmine\r\n");
}

/// An agent with consoles whose streams are closed, blocked or idle must wait, not spin.
fn idle_consoles_wake_no_thread() {
    let system = System::start();
    let mut bridge = system.connect();
    let mut ended = start(
        &mut bridge,
        "trap '' HUP; echo ready; while :; do read x || sleep 1000; done",
    );
    ended.read_until("ready\r\n");
    drop(ended.stdin.take());
    let _blocked = start(&mut bridge, "seq 1 10000000");
    let mut silent = start(&mut bridge, "echo ready; exec sleep 1000");
    silent.read_until("ready\r\n");
    drop(silent.stdout.take());
    let turns = |bridge: &mut Bridge| -> u64 {
        let answer: DumpStacksResponse = bridge.call(Rpc::DumpStacks, &base());
        let (before, _) = answer.guest_stacks.split_once(" turns\n").unwrap();
        before.rsplit(' ').next().unwrap().parse().unwrap()
    };
    // The talkative one goes on until its pipe is full, however long the machine takes for that; an agent that is woken
    // by what only waits never comes to rest.
    let mut made = Vec::new();
    for _ in 0..30 {
        let before = turns(&mut bridge);
        assert_eq!(bridge.run("sleep 0.3").0, 0);
        made.push(turns(&mut bridge) - before);
        if made.last().is_some_and(|turns| *turns < 100) {
            return;
        }
    }
    panic!("the agent woke up so many times while everything waited: {made:?}");
}

/// What stands where the terminals are made may be anything: nothing blocks the agent.
fn a_false_ptmx_is_refused() {
    for trap in [
        "mkfifo $d/ptmx",
        "cp /bin/true $d/ptmx",
        "mknod $d/ptmx c 1 5",
    ] {
        let script = format!(
            "d=$1/trap; mkdir $d; mount -t tmpfs trap $d; {trap}; mount --bind $d/ptmx /dev/pts/ptmx"
        );
        let system = System::start_after(&script);
        let mut bridge = system.connect();
        let refusal = bridge.try_start(&console(&["true"])).unwrap_err();
        let message = refusal.error_message;
        assert!(
            message.starts_with("cannot run \"true\": no console can be made for it"),
            "{message}"
        );
        assert_eq!(bridge.run("exit 3").0, 3);
    }
    // What is at /dev/ptmx is the system's affair: the agent does not look there.
    let script = "mkfifo $1/ptmx; mount --bind $1/ptmx /dev/ptmx";
    let system = System::start_after(script);
    let mut process = start(&mut system.connect(), "tty >/dev/null && echo here");
    assert_eq!(process.read_stdout(), "here\r\n");
}

/// Descriptors run out: what does not fit is refused, everything else goes on.
fn descriptors_run_out_in_words() {
    let system = System::start_after("ulimit -n 64");
    let mut bridge = system.connect();
    let mut all = Vec::new();
    let refusal = loop {
        match bridge.try_start(&console(&["cat"])) {
            Ok(process) => all.push(process),
            Err(refusal) => break refusal,
        }
        assert!(all.len() < 64);
    };
    assert!(refusal.error_message.contains("open"), "{refusal:?}");
    let mut bridge = system.connect();
    let first = all.first_mut().unwrap();
    first.write("hello\n");
    first.read_until("hello\r\n");
    for process in &all {
        assert_eq!(bridge.signal(process.pid, None).result, 0);
        let wait = bridge.wait_for(process.pid, None);
        assert_eq!(bridge.exit_of(wait), 137);
    }
    for mut process in all {
        process.read_stdout();
    }
    let mut process = start(&mut bridge, "echo again");
    assert_eq!(process.read_stdout(), "again\r\n");
}
