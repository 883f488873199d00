//! `hcs run -d`, `hcs logs`, `hcs wait`: commands that go on without their hcs.

use std::{
    io::{Read as _, Write as _},
    process::{Child, Stdio},
};

use crate::common::{Container, hcs, listed, says, signal, unique, with_input, words};
use rustix::process::Signal;
use serde_json::Value;

/// Runs a shell script in a new container, detached.
#[track_caller]
fn detached(options: &[&str], script: &str) -> Container {
    let container = Container(unique("detached"));
    let id = container.0.as_str();
    let line = [
        &["run", "-d", "--id", id],
        options,
        &["--", "sh", "-c", script],
    ]
    .concat();
    let out = crate::common::ended(&mut hcs(line)).fine();
    assert_eq!(out, format!("{id}\n"));
    container
}

fn follow(id: &str) -> Child {
    hcs(["logs", "-f", id])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Row N4.
#[test]
fn a_detached_command_goes_on_and_its_output_and_exit_code_stay() {
    let container = detached(&[], "echo out; echo err >&2; printf 'no end'; exit 42");
    let id = &container.0;
    for _ in 0..2 {
        assert_eq!(words(&format!("wait {id}")).code, Some(42));
        let logs = words(&format!("logs {id}"));
        assert_eq!(
            (logs.out.as_str(), logs.err.as_str(), logs.code),
            ("out\nno end", "err\n", Some(0))
        );
    }
    let status = words(&format!("wait {id} --json"));
    let status: Value = serde_json::from_str(&status.out).unwrap();
    assert_eq!(
        (&status["ExitCode"], &status["Exited"]),
        (&42.into(), &true.into())
    );
    assert!(listed().contains(id));
    words(&format!("terminate {id}")).fine();
    let gone = words(&format!("logs {id}"));
    assert!(
        gone.code == Some(125) && gone.err.contains("HCS_E_SYSTEM_NOT_FOUND"),
        "{gone:?}"
    );
}

#[test]
fn logs_follow_until_the_command_has_ended() {
    let container = detached(
        &[],
        "mkfifo /tmp/go; echo ready; read x </tmp/go; echo more; exit 3",
    );
    let id = &container.0;
    let mut follower = follow(id);
    says(&mut follower, "ready\n");
    let late = words(&format!("wait {id} --timeout 0.1"));
    assert!(
        late.code == Some(124) && late.err.contains("goes on"),
        "{late:?}"
    );
    let late = words(&format!("logs -f -n 0 {id} --timeout 0.1"));
    assert_eq!((late.code, late.out.as_str()), (Some(124), ""), "{late:?}");
    let waiting = hcs(["wait", id]).stdout(Stdio::null()).spawn().unwrap();
    let go = crate::common::ended(&mut hcs(["exec", id, "--", "sh", "-c", "echo >/tmp/go"]));
    go.fine();
    says(&mut follower, "more\n");
    let mut rest = String::new();
    follower
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut rest)
        .unwrap();
    assert_eq!(
        (rest.as_str(), follower.wait().unwrap().code()),
        ("", Some(0))
    );
    assert_eq!(waiting.wait_with_output().unwrap().status.code(), Some(3));
}

#[test]
fn a_part_of_the_output_can_be_asked_for() {
    let container = detached(
        &[],
        "for i in 1 2 3; do echo line $i; done; printf '\\377\\000'",
    );
    let id = &container.0;
    assert_eq!(words(&format!("wait {id}")).code, Some(0));
    let part = |options: &str| {
        let output = hcs(format!("logs {options} {id}").split_whitespace())
            .output()
            .unwrap();
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{output:?}"
        );
        output.stdout
    };
    assert_eq!(part(""), b"line 1\nline 2\nline 3\n\xff\0");
    assert_eq!(part("--tail 2"), b"line 3\n\xff\0");
    assert_eq!(part("-n 0"), b"");
    assert_eq!(part("--since 1h -n all"), part(""));
    assert_eq!(part("--since 2100-01-01T00:00:00Z"), b"");
    assert_eq!(part("--process 2"), part(""));
    let stamped = String::from_utf8_lossy(&part("-t -n 2")).into_owned();
    let (time, line) = stamped.lines().next().unwrap().split_once(' ').unwrap();
    assert!(time.ends_with('Z') && line == "line 3", "{stamped}");
    let again = part(&format!("--since {time}"));
    assert!(again.ends_with(b"line 3\n\xff\0"));
    let json = String::from_utf8(part("--json -n 2")).unwrap();
    let objects: Vec<Value> = json
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(objects[0]["Text"], "line 3");
    assert_eq!(
        (&objects[1]["Base64"], &objects[1]["Partial"]),
        (&"/wA=".into(), &true.into())
    );
    assert_eq!(objects[2]["ExitCode"], 0);
}

#[test]
fn what_is_not_kept_is_said() {
    let container = Container::new("undetached");
    let id = &container.0;
    let none = words(&format!("logs {id}"));
    assert_eq!(none.code, Some(125));
    assert!(none.err.contains("hcs run -d"), "{none:?}");
    let none = words(&format!("attach {id}"));
    assert_eq!(none.code, Some(125), "{none:?}");
}

#[test]
fn streams_are_attached_and_the_command_outlives_them() {
    let script =
        "while read line; do echo got $line; echo err >&2; [ \"$line\" = end ] && exit 5; done";
    let container = detached(&["-i"], script);
    let id = &container.0;
    let mut first = hcs(["attach", id])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = first.stdin.take().unwrap();
    input.write_all(b"one\n").unwrap();
    says(&mut first, "got one\n");
    // Neither the end of its input nor its own ends the command.
    drop(input);
    signal(&first, Signal::HUP);
    assert_eq!(first.wait().unwrap().code(), Some(0));
    assert_eq!(words(&format!("attach {id} --timeout 0.2")).code, Some(124));
    let second = with_input(&mut hcs(["attach", id]), b"\x10\x11 two\nend\n".to_vec());
    assert_eq!(second.status.code(), Some(5), "{second:?}");
    let out = String::from_utf8_lossy(&second.stdout).into_owned();
    assert_eq!(out, "got \u{10}\u{11} two\ngot end\n");
    assert_eq!(second.stderr, b"err\nerr\n", "{second:?}");
    let all = "got one\ngot \u{10}\u{11} two\ngot end\n";
    assert_eq!(words(&format!("logs {id}")).out, all);
    assert_eq!(words(&format!("wait {id}")).code, Some(5));
    let late = words(&format!("attach {id}"));
    assert_eq!(late.code, Some(125), "{late:?}");
    assert!(late.err.contains(&format!("hcs logs {id}")), "{late:?}");
}

#[test]
fn a_command_that_cannot_be_started_leaves_nothing() {
    let id = unique("detached");
    let failed = words(&format!("run -d --id {id} -- no-such-program-here"));
    assert_eq!(
        (failed.code, failed.out.as_str()),
        (Some(127), ""),
        "{failed:?}"
    );
    assert!(!listed().contains(&id));
}

/// Row N4.
#[test]
fn a_container_keeps_the_newest_output_within_bounds() {
    let script = "echo first; head -c 20000000 /dev/zero | tr '\\0' 'x'; echo; echo last";
    let container = detached(&[], script);
    let id = &container.0;
    assert_eq!(words(&format!("wait {id}")).code, Some(0));
    let kept = words(&format!("logs {id}")).fine();
    assert!((8 << 20..=16 << 20).contains(&kept.len()), "{}", kept.len());
    assert!(kept.starts_with('x') && kept.ends_with("x\nlast\n"));
    assert_eq!(words(&format!("logs -n 1 {id}")).fine(), "last\n");
}

/// All that is kept passes through the agent: a process has pipes, and neither names nor descriptors of the files.
#[test]
fn kept_output_cannot_be_reached_inside() {
    let container = detached(&[], "mkfifo /tmp/go; echo secret; read x </tmp/go");
    let id = &container.0;
    let mut follower = follow(id);
    says(&mut follower, "secret\n");
    let look = "cat /proc/1/fd/* 2>/dev/null; cat /proc/1/mem 2>/dev/null
        for fd in /proc/[0-9]*/fd/*; do
            case $(readlink $fd) in ''|pipe:*|/dev/null|/proc/*|/tmp/go) ;; *) readlink $fd ;; esac
        done
        find / -xdev -name '*kept-output*' 2>/dev/null; true";
    let looked = crate::common::ended(&mut hcs(["exec", id, "--", "sh", "-c", look]));
    assert_eq!(looked.fine(), "");
    let go = crate::common::ended(&mut hcs(["exec", id, "--", "sh", "-c", "echo >/tmp/go"]));
    go.fine();
    assert!(follower.wait().unwrap().success());
    assert_eq!(words(&format!("logs {id}")).fine(), "secret\n");
}

/// What `hcs list` says of the command of a container.
#[track_caller]
fn listed_command(id: &str) -> String {
    let list = words("list").fine();
    let line = list.lines().find(|line| line.contains(id));
    // It is made of no image.
    let (_, behind) = line.unwrap().split_once(" hcs ").unwrap();
    let command = behind.trim().strip_prefix('-').unwrap();
    let words: Vec<&str> = command.trim().split("  ").collect();
    let words = words.into_iter().filter(|word| !word.is_empty());
    words.map(str::trim).collect::<Vec<_>>().join(" | ")
}

#[test]
fn the_list_says_what_became_of_the_command() {
    let ended = detached(&[], "exit 3");
    assert_eq!(words(&format!("wait {}", ended.0)).code, Some(3));
    let running = detached(&[], "mkfifo /tmp/go; read x </tmp/go");
    let none = Container::new("undetached");
    assert_eq!(listed_command(&ended.0), "sh -c 'exit 3' | exited (3)");
    let command = "sh -c 'mkfifo /tmp/go; read x </tmp/go'";
    let outcome = |outcome| format!("{command} | {outcome}");
    assert_eq!(listed_command(&running.0), outcome("running"));
    assert_eq!(listed_command(&none.0), "- | -");
    words(&format!("pause {}", running.0)).fine();
    assert_eq!(listed_command(&running.0), outcome("-"));
}

#[test]
fn a_container_can_end_with_its_detached_command() {
    let script = "sleep 1000 & mkfifo /tmp/go; echo ready; read x </tmp/go; echo end; exit 3";
    let container = detached(&["--rm"], script);
    let id = &container.0;
    let mut follower = follow(id);
    says(&mut follower, "ready\n");
    let waiting = hcs(["wait", id]).stdout(Stdio::null()).spawn().unwrap();
    let mut ended = hcs(["events", "--system", id, "--follow", "--format", "json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let go = crate::common::ended(&mut hcs(["exec", id, "--", "sh", "-c", "echo >/tmp/go"]));
    // Its own end may be that of the container.
    assert!(matches!(go.code, Some(0 | 125 | 137)), "{go:?}");
    says(&mut follower, "end\n");
    assert!(follower.wait().unwrap().success());
    assert_eq!(waiting.wait_with_output().unwrap().status.code(), Some(3));
    let mut events = std::io::BufReader::new(ended.stdout.take().unwrap());
    let mut line = String::new();
    while std::io::BufRead::read_line(&mut events, &mut line).unwrap() > 0 {
        if line.contains("SystemExited") {
            break;
        }
        line.clear();
    }
    assert!(line.contains("GracefulExit"), "{line}");
    drop(events);
    ended.kill().unwrap();
    ended.wait().unwrap();
    assert!(!listed().contains(id));
}

#[test]
fn a_further_process_can_be_detached() {
    let container = Container::new("detached");
    let id = &container.0;
    let line = ["exec", "-d", id, "--", "sh", "-c", "echo out; exit 4"];
    let pid = crate::common::ended(&mut hcs(line)).fine();
    let pid = pid.trim();
    assert!(pid.parse::<u32>().unwrap() > 1);
    for _ in 0..2 {
        assert_eq!(words(&format!("wait {id} {pid}")).code, Some(4));
        assert_eq!(words(&format!("logs --process {pid} {id}")).fine(), "out\n");
    }
    assert_eq!(words(&format!("wait {id} 4711")).code, Some(125));
}

/// Whether the agent of a container has the other end of a pipe that `child` reads, beside its standard streams.
fn is_served(child: &Child) -> bool {
    let pipes = |process: &str| -> Vec<std::path::PathBuf> {
        let entries = std::fs::read_dir(format!("/proc/{process}/fd")).into_iter();
        let open = entries.flatten().flatten();
        let own = open.filter(|entry| {
            entry
                .file_name()
                .into_string()
                .unwrap()
                .parse::<u32>()
                .unwrap()
                > 2
        });
        let targets = own.filter_map(|entry| std::fs::read_link(entry.path()).ok());
        targets
            .filter(|target| target.to_string_lossy().starts_with("pipe:"))
            .collect()
    };
    let read = pipes(&child.id().to_string());
    let is_agent = |process: &str| {
        let name = std::fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
        name.trim_end() == "hcs-agent"
    };
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let names = processes.filter_map(|entry| entry.file_name().into_string().ok());
    let mut agents = names.filter(|name| name.parse::<u32>().is_ok() && is_agent(name));
    agents.any(|agent| pipes(&agent).iter().any(|pipe| read.contains(pipe)))
}

/// A script that waits for a command goes on as if that had failed, as it has.
#[test]
fn a_command_that_is_killed_with_its_container_has_not_succeeded() {
    let container = detached(&[], "echo ready; exec sleep 1000");
    let id = &container.0;
    let wait = |options: &[&str]| {
        let mut wait = hcs([&["wait"], options, &[id]].concat());
        wait.stdout(Stdio::piped()).stderr(Stdio::piped());
        wait.spawn().unwrap()
    };
    let waiting = [wait(&[]), wait(&["--json"])];
    while !waiting.iter().all(is_served) {
        std::thread::yield_now();
    }
    words(&format!("terminate {id}")).fine();
    for waiting in waiting {
        let ended = crate::common::Ended::from(waiting.wait_with_output().unwrap());
        assert_eq!(ended.code, Some(137), "{ended:?}");
        assert!(ended.err.contains("its command was killed"), "{ended:?}");
        if !ended.out.is_empty() {
            let status: Value = serde_json::from_str(&ended.out).unwrap();
            assert_eq!(status["ExitCode"], 137);
        }
    }
}
