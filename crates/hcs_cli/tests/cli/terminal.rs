//! `hcs run -it` on a real terminal.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::fd::{AsFd as _, OwnedFd},
    process::{Child, Stdio},
};

use crate::common::{Container, ended, hcs, ready, signal, unique};
use rustix::{
    fs::{Mode, OFlags},
    process::Signal,
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, OptionalActions, Winsize, tcgetattr, tcsetattr, tcsetwinsize},
};

/// A terminal and `hcs` on it.
pub(crate) struct Session {
    keys_and_screen: File,
    terminal: OwnedFd,
    hcs: Child,
    modes_before: LocalModes,
}

impl Session {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let master =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let terminal = rustix::fs::open(name, flags, Mode::empty()).unwrap();
        tcsetwinsize(&terminal, size(33, 77)).unwrap();
        let modes_before = tcgetattr(&terminal).unwrap().local_modes;
        let copy = || Stdio::from(terminal.try_clone().unwrap());
        let hcs = hcs(arguments)
            .stdin(copy())
            .stdout(copy())
            .stderr(copy())
            .spawn()
            .unwrap();
        Self {
            keys_and_screen: File::from(master),
            terminal,
            hcs,
            modes_before,
        }
    }

    pub(crate) fn type_in(&mut self, keys: &[u8]) {
        self.keys_and_screen.write_all(keys).unwrap();
    }

    /// Reads the screen until `text` has appeared.
    pub(crate) fn until(&mut self, text: &str) -> String {
        let mut seen = Vec::new();
        let mut part = [0; 256];
        while !String::from_utf8_lossy(&seen).contains(text) {
            let count = self.keys_and_screen.read(&mut part).unwrap();
            seen.extend_from_slice(&part[..count]);
        }
        String::from_utf8_lossy(&seen).into_owned()
    }

    /// Waits for the end: the terminal is as it was; the exit code.
    pub(crate) fn end(mut self) -> Option<i32> {
        let code = self.hcs.wait().unwrap().code();
        assert_eq!(
            tcgetattr(self.terminal.as_fd()).unwrap().local_modes,
            self.modes_before
        );
        code
    }
}

fn size(rows: u16, columns: u16) -> Winsize {
    Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}

#[test]
fn the_terminal_inside_has_our_size_and_follows_it() {
    let script = "trap 'stty size' WINCH; stty size; while :; do sleep 0.05; done";
    let mut session = Session::start(&["run", "-it", "--", "sh", "-c", script]);
    session.until("33 77\r\n");
    tcsetwinsize(&session.terminal, size(10, 20)).unwrap();
    signal(&session.hcs, Signal::WINCH);
    session.until("10 20\r\n");
    session.type_in(b"\x03");
    assert_eq!(session.end(), Some(130));
}

#[test]
fn keys_are_read_by_the_process_alone() {
    let mut session = Session::start(&["run", "-it", "--", "sh", "-c", "echo ready; cat"]);
    session.until("ready\r\n");
    assert!(
        !tcgetattr(&session.terminal)
            .unwrap()
            .local_modes
            .contains(LocalModes::ECHO)
    );
    session.type_in(b"hello\r");
    // Echoed by the terminal inside, then written by cat.
    session.until("hello\r\nhello\r\n");
    session.type_in(b"\x04");
    assert_eq!(session.end(), Some(0));
}

#[test]
fn a_shell_says_that_it_has_a_terminal() {
    let script = "test -t 0 && test -t 1 && test -t 2 && echo $TERM && tty";
    let mut session = Session::start(&["run", "-it", "-e", "TERM=vt52", "--", "sh", "-c", script]);
    session.until("vt52\r\n/dev/");
    assert_eq!(session.end(), Some(0));
}

#[test]
fn the_terminal_is_restored_when_hcs_is_told_to_end() {
    let script = "trap '' TERM HUP; echo ready; while :; do sleep 0.05; done";
    let mut session = Session::start(&["run", "-it", "--", "sh", "-c", script]);
    session.until("ready\r\n");
    signal(&session.hcs, Signal::TERM);
    signal(&session.hcs, Signal::HUP);
    assert_eq!(session.end(), Some(137));
}

#[test]
fn the_terminal_is_restored_when_the_command_does_not_exist() {
    let mut session = Session::start(&["run", "-it", "--", "no-such-program-here"]);
    session.until("no-such-program-here");
    assert_eq!(session.end(), Some(127));
}

#[test]
fn a_session_that_was_stopped_has_its_terminal_again() {
    // A signal just before a shell reads would not interrupt the read: the trap is waited for by itself.
    let script = "trap 'stty size; seen=1' WINCH; echo ready
        until [ $seen ]; do sleep 0.05; done; read line; echo got $line";
    let mut session = Session::start(&["run", "-it", "--", "sh", "-c", script]);
    session.until("ready\r\n");
    let modes = |session: &Session| tcgetattr(&session.terminal).unwrap();
    let raw = modes(&session).local_modes;
    signal(&session.hcs, Signal::STOP);
    // As a shell does when a job of its stops.
    let mut cooked = modes(&session);
    cooked.local_modes = session.modes_before;
    tcsetattr(&session.terminal, OptionalActions::Now, &cooked).unwrap();
    tcsetwinsize(&session.terminal, size(10, 20)).unwrap();
    signal(&session.hcs, Signal::CONT);
    session.until("10 20\r\n");
    assert_eq!(modes(&session).local_modes, raw);
    session.type_in(b"on\r");
    session.until("got on\r\n");
    assert_eq!(session.end(), Some(0));
}

#[test]
fn the_time_of_a_session_is_over_also_when_its_terminal_is_not_read() {
    let session = Session::start(&["run", "-it", "--timeout", "0.5", "--", "yes"]);
    assert_eq!(session.end(), Some(124));
}

#[test]
fn all_output_comes_before_the_end() {
    let mut session = Session::start(&["run", "-it", "--", "sh", "-c", "seq 1 20000; exit 5"]);
    session.until("\r\n20000\r\n");
    assert_eq!(session.end(), Some(5));
}

/// All that a command writes to its terminal.
fn screen(arguments: &[&str]) -> String {
    let Session {
        mut keys_and_screen,
        terminal,
        mut hcs,
        ..
    } = Session::start(arguments);
    drop(terminal);
    let mut seen = Vec::new();
    // The end of the last one at the terminal is an error of reading.
    let _ended = keys_and_screen.read_to_end(&mut seen);
    hcs.wait().unwrap();
    String::from_utf8_lossy(&seen).into_owned()
}

#[test]
fn an_id_that_looks_like_an_option_is_not_given() {
    for verb in ["create", "run"] {
        let refused = ended(&mut hcs([verb, "--id=--all"]));
        assert_ne!(refused.code, Some(0), "{refused:?}");
        let said = "would be taken for an option";
        assert!(refused.err.contains(said), "{verb}: {refused:?}");
    }
}

#[test]
fn ids_and_names_of_others_do_not_drive_the_terminal() {
    let id = format!("{}\n\u{1b}[2J\u{202e}\u{9b}31m\u{7f}b", unique("hostile"));
    let box_of_others = Container(id);
    let id = box_of_others.0.as_str();
    assert!(
        ended(&mut hcs(["create", "--id", id]))
            .out
            .contains("hostile")
    );
    ended(&mut hcs(["start", id])).fine();
    let rename = "printf 'a\\033[2J' >/proc/self/comm; echo ready; read x";
    let mut named = hcs(["exec", id, "sh", "-c", rename]);
    let mut named = ready(named.stdin(Stdio::piped()));
    let shown: Vec<_> = [
        &["list"][..],
        &["list", "--format", "json"],
        &["ps", id],
        &["ps", id, "--format", "json"],
        &["stats", id],
        &["inspect", id],
        &["events", "--system", id],
        &["events", "--system", id, "--format", "json"],
        // Fails: it runs.
        &["start", id],
        &["create", "--id", id],
        &["exec", id, "/no/\u{1b}[2J"],
    ]
    .iter()
    .map(|arguments| (arguments.to_vec(), screen(arguments)))
    .collect();
    drop(named.stdin.take());
    named.wait().unwrap();
    for (arguments, screen) in shown {
        assert!(!screen.is_empty(), "{arguments:?}");
        let drives = |c: char| c.is_control() && c != '\n' && c != '\r' || c == '\u{202e}';
        assert!(!screen.contains(drives), "{arguments:?}: {screen:?}");
    }
}

/// Row N4: keys, screen and size are passed through; the keys that detach leave the command alone, for the next to
/// attach.
#[test]
fn a_detached_terminal_is_attached_to_and_left_again() {
    let container = Container(unique("attach"));
    let id = container.0.as_str();
    let script =
        "stty -echo; while read line; do echo got $line in $(stty size) there; done; exit 7";
    let line = ["run", "-dit", "--id", id, "--", "sh", "-c", script];
    assert_eq!(ended(&mut hcs(line)).fine(), format!("{id}\n"));
    for keys in [&b"\x10\x11"[..], b"\x10x\x10\x11"] {
        let mut session = Session::start(&["attach", id]);
        // The size takes another way, by the service.
        let mut seen = String::new();
        while !seen.contains("in 33 77 ") {
            session.type_in(b"one\r");
            seen = session.until("there\r\n");
        }
        session.type_in(keys);
        session.until("detached from");
        assert_eq!(session.end(), Some(0));
    }
    let mut session = Session::start(&["attach", "--detach-keys", "~,.", id]);
    session.type_in(b"\r");
    session.until("got \u{10}x in ");
    session.type_in(b"~.");
    session.until("detached from");
    assert_eq!(session.end(), Some(0));
    let mut session = Session::start(&["attach", id]);
    session.type_in(b"two\r");
    session.until("got two in ");
    signal(&session.hcs, Signal::HUP);
    session.until("detached from");
    assert_eq!(session.end(), Some(0));
    let mut session = Session::start(&["attach", id]);
    session.type_in(b"three\r");
    session.until("got three in ");
    session.type_in(b"\x04");
    assert_eq!(session.end(), Some(7));
    assert_eq!(ended(&mut hcs(["wait", id])).code, Some(7));
}
