//! What a process inside finds of its streams, and who gets the signals that are meant for it.

use std::process::Command;

use rustix::process::Signal;

use crate::common::{Container, ended, hcs, ready, says, signal, unique, with_input};

/// A shell that opens its three streams again, as its own user.
pub(crate) const AGAIN: &str = "cat /dev/stdin; echo out > /dev/stdout; echo err > /dev/stderr; stat -L -c %u /dev/stdin \
                                /dev/stdout /dev/stderr";

/// Runs [`AGAIN`] by a command line whose user is 1000.
#[track_caller]
pub(crate) fn assert_streams_open_again(command: &mut Command) {
    let output = with_input(command, b"in\n".to_vec());
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(
        (out.as_str(), err.as_str()),
        ("in\nout\n1000\n1000\n1000\n", "err\n")
    );
}

/// Row F1.
#[test]
fn the_streams_of_a_process_belong_to_its_user() {
    for options in ["", "--userns", "--cap-drop CHOWN"] {
        let container = Container::with("streams", options);
        let line = [
            "exec",
            "-i",
            "-u",
            "1000",
            &container.0,
            "--",
            "sh",
            "-c",
            AGAIN,
        ];
        assert_streams_open_again(&mut hcs(line));
    }
}

/// A shell that waits for a command acts on a signal only when that has ended. It is the command that says it is ready:
/// a signal that came before the shell had made it would not reach it.
const WAITS: &str = "trap 'exit 9' INT; (echo ready; exec sleep 1000); echo went on";

/// Row F2.
#[test]
fn a_signal_reaches_what_the_command_waits_for() {
    for options in [&[][..], &["--userns"]] {
        let id = unique("group");
        let line = [&["run", "--id", &id], options, &["--", "sh", "-c", WAITS]].concat();
        let child = ready(&mut hcs(line));
        signal(&child, Signal::INT);
        let output = child.wait_with_output().unwrap();
        assert_eq!(
            (output.status.code(), output.stdout.as_slice()),
            (Some(9), &b""[..])
        );
    }
}

/// Waits until this is left of the programs that these tests start: what was killed may take a moment to be gone.
#[track_caller]
fn assert_left(container: &Container, expected: &str) {
    let script = "for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline; echo; done 2>/dev/null | grep '^sleep'; echo end";
    // The last line is of the look itself: one that fails has found nothing out.
    let expected = format!("{expected}end\n");
    let left = || ended(&mut hcs(["exec", &container.0, "--", "sh", "-c", script])).out;
    let mut looks = std::iter::repeat_with(left).take(100);
    assert!(looks.any(|left| left == expected), "{}", left());
}

/// Row F2.
#[test]
fn a_command_whose_time_is_over_leaves_nothing() {
    for options in ["", "--userns"] {
        let container = Container::with("late", options);
        let line = [
            "exec",
            "--timeout",
            "1",
            &container.0,
            "--",
            "sh",
            "-c",
            "sleep 1001; echo x",
        ];
        let late = ended(&mut hcs(line));
        assert_eq!((late.code, late.out.as_str()), (Some(124), ""), "{late:?}");
        assert_left(&container, "");
    }
}

#[test]
fn the_second_interrupt_kills_all_of_the_session() {
    let container = Container::new("session");
    // The second sleeps in a group of its own, as an interactive shell makes one for each job, the third in a session.
    // The 5th field of a process's stat is its group; bash makes groups without a terminal, too.
    let script = "trap '' INT; sleep 1002 & set -m; sleep 1003 & job=$!; set +m
                  setsid sh -c 'echo up > /tmp/up; exec sleep 1004' & until [ -s /tmp/up ]; do sleep 0.01; done
                  set -- $(cat /proc/$job/stat); [ $5 = $job ] || exit 1
                  trap 'echo no' INT; echo ready; while :; do sleep 0.01; done";
    let mut child = ready(&mut hcs(["exec", &container.0, "--", "bash", "-c", script]));
    signal(&child, Signal::INT);
    says(&mut child, "no\n");
    signal(&child, Signal::INT);
    assert_eq!(child.wait().unwrap().code(), Some(137));
    assert_left(&container, "sleep 1004 \n");
}

/// `hcs signal` means the process that it names.
#[test]
fn a_signal_by_pid_is_for_that_process_alone() {
    let container = Container::new("one");
    let id = &container.0;
    // The pid is told when the other process is there.
    let script = "exec 3>&1 >/dev/null; sleep 1006 3>&- & echo $$ >&3; exec 3>&-; wait";
    let mut child = hcs(["exec", id, "--", "sh", "-c", script]);
    let mut child = child.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let stdout = child.stdout.take().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).unwrap();
    ended(&mut hcs(["signal", id, line.trim(), "KILL"])).fine();
    assert_eq!(child.wait().unwrap().code(), Some(137));
    assert_left(&container, "sleep 1006 \n");
}

/// Row F5: A server that a command left behind, say.
#[test]
fn what_was_started_inside_is_listed_as_well() {
    let container = Container::new("left");
    let id = &container.0;
    let script = "setsid sleep 1007 > /dev/null 2>&1 & :";
    ended(&mut hcs(["exec", id, "--", "sh", "-c", script])).fine();
    // The shell has ended; the other may still be on its way to its program.
    let mut looks = std::iter::repeat_with(|| ended(&mut hcs(["ps", id])).fine()).take(100);
    let lines = looks.find(|lines| {
        lines
            .lines()
            .any(|line| line.ends_with("sleep  sleep 1007"))
    });
    let lines = lines.expect("a process that was started inside is listed");
    let words: Vec<&str> = lines.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(
        (lines.lines().count(), words[4], words[5]),
        (2, "inside", "sleep"),
        "{lines}"
    );
    // It is no process of the API's, whose signals would reach whatever has its number by now.
    let refused = ended(&mut hcs(["signal", id, words[0]]));
    let advice = format!("hcs exec {id} -- sh -c 'kill {}'", words[0]);
    assert_eq!(refused.code, Some(125), "{refused:?}");
    assert!(refused.err.contains(&advice), "{refused:?}");
    let kill = format!("kill {}", words[0]);
    ended(&mut hcs(["exec", id, "--", "sh", "-c", &kill])).fine();
}
