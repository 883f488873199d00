//! Processes with plain pipes: start, output, exit, signals, ends.

use std::{
    io::{Read as _, Write as _},
    os::fd::{AsFd, OwnedFd},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use hcs_schema::{HResult, timestamp::rfc3339};
use hcs_wire::guest::{FetchStdio, FetchStdioResponse, GetPropertiesResponse, Rpc, code};
use rustix::fs::OFlags;
use serde_json::{Value, json};

use crate::{
    Test,
    bridge::{Bridge, base},
    system::System,
};

pub const TESTS: &[Test] = &[
    (
        "pipes_carry_ten_mebibytes_exactly",
        pipes_carry_ten_mebibytes_exactly,
    ),
    ("streams_are_apart_and_end", streams_are_apart_and_end),
    ("exit_codes_are_all_delivered", exit_codes_are_all_delivered),
    (
        "death_by_signal_is_128_and_its_number",
        death_by_signal_is_128_and_its_number,
    ),
    ("many_processes_at_once", many_processes_at_once),
    ("orphans_are_reaped", orphans_are_reaped),
    (
        "all_processes_are_listed_and_those_of_the_host_marked",
        all_processes_are_listed_and_those_of_the_host_marked,
    ),
    (
        "a_full_system_has_a_list_that_ends",
        a_full_system_has_a_list_that_ends,
    ),
    (
        "a_call_is_remembered_by_its_name_until_it_is_released",
        a_call_is_remembered_by_its_name_until_it_is_released,
    ),
    ("pipes_are_handed_out_again", pipes_are_handed_out_again),
    (
        "streams_not_asked_for_are_null",
        streams_not_asked_for_are_null,
    ),
    ("a_process_begins_clean", a_process_begins_clean),
    (
        "the_agents_oom_score_is_its_own",
        the_agents_oom_score_is_its_own,
    ),
];

fn pipes_carry_ten_mebibytes_exactly() {
    let system = System::start();
    let mut bridge = system.connect();
    let mut cat = bridge.start(&json!({
        "CommandLine": "cat", "CreateStdInPipe": true, "CreateStdOutPipe": true
    }));
    let bytes: Vec<u8> = (0..10_u32 << 20)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let mut stdin = cat.stdin.take().unwrap();
    let sent = bytes.clone();
    let writer = std::thread::spawn(move || stdin.write_all(&sent).unwrap());
    let mut back = Vec::new();
    cat.stdout.take().unwrap().read_to_end(&mut back).unwrap();
    writer.join().unwrap();
    assert!(back == bytes, "{} bytes came back, some differ", back.len());
    assert_eq!(bridge.exit(&cat), 0);
}

/// The pipes of `pid` that the agent kept, in the order stdin, stdout, stderr.
fn fetch(bridge: &mut Bridge, pid: u32) -> Vec<OwnedFd> {
    let request = FetchStdio {
        base: base(),
        process_id: pid,
    };
    let response: FetchStdioResponse = bridge.call(Rpc::FetchStdio, &request);
    assert_eq!(response.base.result, 0, "{response:?}");
    let streams = [response.std_in, response.std_out, response.std_err];
    let descriptors: Vec<_> = bridge.descriptors.drain(..).collect();
    assert_eq!(
        descriptors.len(),
        streams.into_iter().filter(|s| *s).count()
    );
    descriptors
}

fn all_processes_are_listed_and_those_of_the_host_marked() {
    let system = System::start();
    let mut bridge = system.connect();
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let before = now();
    // A process that has become another program, and its child, left behind, whose parent the agent is then.
    let script = "(setsid sleep 1001 & echo $! ) ; exec sleep 1000";
    let mut process = bridge.start(&json!({
        "CommandArgs": ["sh", "-c", script], "CreateStdOutPipe": true
    }));
    let mut left = process.read_until("\n");
    left.truncate(left.trim_end().len());
    let list = |bridge: &mut Bridge| {
        let query = json!({ "Query": "{\"PropertyTypes\":[\"ProcessList\"]}" });
        let answer: GetPropertiesResponse = bridge.call(Rpc::GetProperties, &query);
        let properties: Value = serde_json::from_str(&answer.properties).unwrap();
        properties["ProcessList"].as_array().unwrap().clone()
    };
    // Both have to have got as far as their `execve`.
    let (first, second) = loop {
        let list = list(&mut bridge);
        let named = |pid: u64| {
            let mut all = list.iter();
            // Its memory is counted a moment after its `execve`.
            all.find(|process| {
                process["ProcessId"] == pid
                    && process["ImageName"] == "sleep"
                    && process["MemoryWorkingSetSharedBytes"].as_u64().unwrap() > 0
            })
            .cloned()
        };
        if let (Some(first), Some(second)) =
            (named(process.pid.into()), named(left.parse().unwrap()))
        {
            break (first, second);
        }
    };
    assert_eq!(first["CreatedByHost"], true, "{first}");
    assert_eq!(second["CreatedByHost"], false, "{second}");
    assert_eq!(first["CommandArgs"], json!(["sleep", "1000"]));
    assert_eq!(second["CommandArgs"], json!(["sleep", "1001"]));
    for process in [&first, &second] {
        assert!(
            process["MemoryWorkingSetSharedBytes"].as_u64().unwrap() > 0,
            "{process}"
        );
        let created = process["CreateTimestamp"].as_str().unwrap();
        let second = Duration::from_secs(1);
        let between = [before - second, now() + second].map(rfc3339);
        // The kernel's clock of processes goes in hundredths of a second.
        assert!(
            between[0][..19] <= created[..19] && created[..19] <= between[1][..19],
            "{process}"
        );
    }
    assert_eq!(bridge.signal(process.pid, None).result, 0);
    assert_eq!(bridge.exit(&process), 137);
}

fn a_full_system_has_a_list_that_ends() {
    let system = System::start();
    let mut bridge = system.connect();
    let script =
        r#"for (1..4500) { fork // die $! or do { sleep } } $| = 1; print "ready\n"; sleep"#;
    let mut process = bridge.start(&json!({
        "CommandArgs": ["perl", "-e", script], "CreateStdOutPipe": true
    }));
    process.read_until("ready\n");
    let query = json!({ "Query": "{\"PropertyTypes\":[\"ProcessList\"]}" });
    let answer: GetPropertiesResponse = bridge.call(Rpc::GetProperties, &query);
    let properties: Value = serde_json::from_str(&answer.properties).unwrap();
    let list = properties["ProcessList"].as_array().unwrap();
    assert!((4000..=4096).contains(&list.len()), "{}", list.len());
    let own = list
        .iter()
        .find(|one| one["CreatedByHost"] == true)
        .unwrap();
    assert_eq!(own["ProcessId"], process.pid);
    assert_eq!(own["CommandArgs"], json!(["perl", "-e", script]));
}

fn pipes_are_handed_out_again() {
    let system = System::start();
    let mut bridge = system.connect();
    let inode = |file: &dyn AsFd| rustix::fs::fstat(file.as_fd()).unwrap().st_ino;
    for console in [false, true] {
        let mut cat = bridge.start(&json!({
            "CommandArgs": ["sh", "-c", "exec 7<&0 0</dev/null; exec cat <&7"],
            "CreateStdInPipe": true, "CreateStdOutPipe": true, "EmulateConsole": console,
        }));
        let given = [
            inode(cat.stdin.as_ref().unwrap()),
            inode(cat.stdout.as_ref().unwrap()),
        ];
        // Again and again, on another stream too.
        for _ in 0..2 {
            let kept = fetch(&mut bridge, cat.pid);
            assert_eq!(kept.iter().map(|fd| inode(fd)).collect::<Vec<_>>(), given);
            let flags = rustix::fs::fcntl_getfl(&kept[0]).unwrap();
            assert!(flags.contains(OFlags::PATH), "no end of it is kept open");
            bridge = system.connect();
        }
        let wait = bridge.wait_for(cat.pid, None);
        if console {
            cat.write("\u{4}");
        }
        drop(cat.stdin.take());
        assert_eq!(bridge.exit_of(wait), 0);
        let request = FetchStdio {
            base: base(),
            process_id: cat.pid,
        };
        let (refused, _) = bridge.refusal(Rpc::FetchStdio, &request);
        assert_eq!(refused, code::PROCESS_ALREADY_STOPPED);
    }
}

fn streams_are_apart_and_end() {
    let system = System::start();
    let mut bridge = system.connect();
    let (code, out, err) = bridge.run("echo out; echo err >&2; cat; exit 3");
    assert_eq!((code, out.as_str(), err.as_str()), (3, "out\n", "err\n"));
}

fn exit_codes_are_all_delivered() {
    let system = System::start();
    let mut bridge = system.connect();
    let started: Vec<_> = (0..256)
        .map(|code| bridge.start(&json!({ "CommandArgs": ["sh", "-c", format!("exit {code}")] })))
        .collect();
    for (code, process) in (0..256).zip(&started) {
        assert_eq!(bridge.exit(process), code);
    }
    // Asked again, as after a lost answer, the same is said.
    let last = started.last().unwrap().pid;
    let again = bridge.wait_for(last, None);
    assert_eq!(bridge.exit_of(again), 255);
}

fn death_by_signal_is_128_and_its_number() {
    let system = System::start();
    let mut bridge = system.connect();
    for (sent, code) in [
        (None, 137),
        (Some(0), 137),
        (Some(9), 137),
        (Some(15), 143),
        (Some(1), 129),
        (Some(34), 162),
        (Some(64), 192),
    ] {
        let process = bridge.start(&json!({ "CommandArgs": ["sleep", "1000"] }));
        assert_eq!(bridge.signal(process.pid, sent).result, 0);
        assert_eq!(bridge.exit(&process), code, "signal {sent:?}");
        let gone = bridge.signal(process.pid, Some(15));
        assert_eq!(gone.hresult(), code::PROCESS_ALREADY_STOPPED, "{gone:?}");
    }
    let process = bridge.shell("exec sleep 1000");
    for bad in [-1, 65, i32::MAX] {
        assert_eq!(
            bridge.signal(process.pid, Some(bad)).hresult(),
            HResult::E_INVALIDARG
        );
    }
    assert_eq!(bridge.signal(1, None).hresult(), HResult::NOT_FOUND);
    assert_eq!(bridge.signal(u32::MAX, None).hresult(), HResult::NOT_FOUND);
    assert_eq!(bridge.signal(0, None).hresult(), HResult::NOT_FOUND);
}

fn many_processes_at_once() {
    let system = System::start();
    let mut bridge = system.connect();
    let mut all: Vec<_> = (0..200)
        .map(|_| {
            bridge.start(
                &json!({ "CommandLine": "cat", "CreateStdInPipe": true, "CreateStdOutPipe": true }),
            )
        })
        .collect();
    for (number, process) in all.iter_mut().enumerate() {
        process.write(&format!("number {number}"));
    }
    for (number, process) in all.iter_mut().enumerate() {
        drop(process.stdin.take());
        assert_eq!(process.read_stdout(), format!("number {number}"));
        assert_eq!(bridge.exit(process), 0);
    }
}

fn a_call_is_remembered_by_its_name_until_it_is_released() {
    let system = System::start();
    let mut bridge = system.connect();
    assert!(!bridge.recall("1.a.1", false).known);
    bridge.name_next("1.a.1", &[]);
    // A signal just before a shell reads would not interrupt the read: the trap is waited for by itself.
    let script = "trap 'echo signalled; seen=1' USR1; echo ready; until [ $seen ]; do sleep 0.01; done; read x; exit 7";
    let mut process = bridge.shell(script);
    process.read_until("ready\n");
    bridge.name_next("1.a.1", &[]);
    let twice = bridge.try_start(&json!({ "CommandArgs": ["true"] }));
    assert_eq!(twice.unwrap_err().hresult(), HResult::E_INVALIDARG);
    // A host that comes after asks, and asks again for what was done already.
    let mut bridge = system.connect();
    let known = bridge.recall("1.a.1", false);
    assert_eq!(
        (known.known, known.process_id, known.exit_code),
        (true, process.pid, None)
    );
    for _ in 0..2 {
        bridge.name_next("1.a.2", &[]);
        assert_eq!(bridge.signal(process.pid, Some(10)).result, 0);
        // Answered after the first was delivered.
        assert!(bridge.recall("1.a.2", false).known);
    }
    process.read_until("signalled\n");
    let wait = bridge.wait_for(process.pid, None);
    process.write("x\n");
    assert_eq!(bridge.exit_of(wait), 7);
    assert_eq!(process.read_stdout(), "", "it was signalled twice");
    assert_eq!(bridge.recall("1.a.1", false).exit_code, Some(7));
    bridge.name_next("1.a.3", &["1.a.1"]);
    let last = bridge.shell("exit 0");
    assert_eq!(bridge.exit(&last), 0);
    assert!(!bridge.recall("1.a.1", false).known);
    assert!(bridge.recall("1.a.3", false).known);
    let mut bridge = system.connect();
    assert!(
        !bridge.recall("1.a.3", true).known,
        "it came with an earlier stream"
    );
}

fn orphans_are_reaped() {
    let system = System::start();
    let mut bridge = system.connect();
    // Each shell leaves children behind that end a little later, all of them writing to the same stdout: its end says
    // that they have all exited.
    let (code, ..) =
        bridge.run("i=0; while [ $i -lt 50 ]; do (sleep 0.0$i; exit 5) & i=$((i+1)); done; exit 0");
    assert_eq!(code, 0);
    let count = "n=0; for f in /proc/[0-9]*/stat; do read -r line < $f && case $line in *') Z '*) n=$((n+1));; esac; done; echo $n";
    // The last of them may have closed its stdout and not yet be reaped when the count begins: count until it is 0.
    let until_none = format!("while :; do n=$({count}); [ \"$n\" = 0 ] && break; done; echo none");
    let (_, out, err) = bridge.run(&until_none);
    assert_eq!(out, "none\n", "{err}");
}

fn streams_not_asked_for_are_null() {
    let system = System::start();
    let mut bridge = system.connect();
    let document = json!({
        "CommandArgs": ["sh", "-c", "readlink /proc/self/fd/0; cat; echo x >&2; readlink /proc/self/fd/2"],
        "CreateStdOutPipe": true
    });
    let mut process = bridge.start(&document);
    assert_eq!(process.read_stdout(), "/dev/null\n/dev/null\n");
    assert_eq!(bridge.exit(&process), 0);
}

/// Descriptors, signals, session, umask, directory and environment of a new process.
fn a_process_begins_clean() {
    let system = System::start();
    let mut bridge = system.connect();
    let script = "ls /proc/self/fd | tr '\\n' ' '; cat /proc/self/status | grep -E 'Sig(Blk|Ign|Cgt)'; \
                  umask; pwd; set -- $(cat /proc/$$/stat); [ $1 = $6 ] && echo session leader; \
                  env -u _ -u PWD -u OLDPWD -u SHLVL env | sort";
    let mut process = bridge.start(&json!({
        "CommandArgs": ["bash", "-c", script], "CreateStdOutPipe": true, "CreateStdErrPipe": true, "Environment": { "A": "b c" }
    }));
    let out = process.read_stdout();
    let none = "0000000000000000";
    let expected = format!(
        "0 1 2 3 SigBlk:\t{none}\nSigIgn:\t{none}\nSigCgt:\t{none}\n0022\n/\nsession leader\nA=b c\nHOME=/root\n\
         PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
    );
    assert_eq!(out, expected, "{}", process.read_stderr());
    assert_eq!(bridge.exit(&process), 0);
}

/// Name of the test that needs [`may_lower_oom_score`].
pub const OOM_SCORE: &str = "the_agents_oom_score_is_its_own";

/// Whether this root may give a process an OOM score below 0: in some containers it may not.
pub fn may_lower_oom_score() -> bool {
    let mut shell = std::process::Command::new("sh");
    let shell = shell
        .args(["-c", "echo -500 > /proc/self/oom_score_adj"])
        .stderr(std::process::Stdio::null());
    shell.status().unwrap().success()
}

fn the_agents_oom_score_is_its_own() {
    let system = System::start_after("echo -500 > /proc/self/oom_score_adj");
    let mut bridge = system.connect();
    for user in ["", "65534"] {
        let mut process = bridge.start(&json!({
            "CommandLine": "cat /proc/self/oom_score_adj /proc/1/oom_score_adj", "User": user, "CreateStdOutPipe": true
        }));
        assert_eq!(process.read_stdout(), "0\n-500\n");
    }
}
