//! Detached processes: what the agent keeps of their output, and how it is read.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::fd::{AsFd as _, OwnedFd},
};

use hcs_schema::HResult;
use hcs_wire::{
    guest::{
        ExecuteProcess, ExecuteProcessResponse, ExecuteProcessSettings, KEPT_FILES, Naming,
        ReadOutput, ReadOutputResponse, ResponseBase, Rpc, VsockStdioRelaySettings,
    },
    output::{About, Decoder, OutputQuery, Record},
};
use rustix::{
    fs::{MemfdFlags, memfd_create},
    pipe::{PipeFlags, pipe_with},
};
use serde_json::{Value, json};

use crate::{
    Test,
    bridge::{Bridge, Started, base},
    system::System,
};

pub const TESTS: &[Test] = &[
    (
        "what_a_detached_process_writes_is_kept_beyond_its_end",
        what_a_detached_process_writes_is_kept_beyond_its_end,
    ),
    (
        "a_follower_hears_what_comes_until_all_has_ended",
        a_follower_hears_what_comes_until_all_has_ended,
    ),
    (
        "output_goes_on_without_a_host",
        output_goes_on_without_a_host,
    ),
    (
        "a_reader_that_does_not_read_holds_nothing_up",
        a_reader_that_does_not_read_holds_nothing_up,
    ),
    ("a_terminal_can_be_detached", a_terminal_can_be_detached),
    (
        "attached_clients_write_to_a_process_that_goes_on_without_them",
        attached_clients_write_to_a_process_that_goes_on_without_them,
    ),
    (
        "a_terminal_can_be_attached_to",
        a_terminal_can_be_attached_to,
    ),
    (
        "input_that_is_not_read_holds_nothing_up",
        input_that_is_not_read_holds_nothing_up,
    ),
    ("a_call_to_read_is_done_once", a_call_to_read_is_done_once),
    (
        "what_cannot_be_kept_or_read_is_refused",
        what_cannot_be_kept_or_read_is_refused,
    ),
];

fn files(count: usize) -> Vec<OwnedFd> {
    let file = |_| memfd_create("kept", MemfdFlags::CLOEXEC).unwrap();
    (0..count).map(file).collect()
}

/// Starts `document` with so many files for its output.
fn try_detach(
    bridge: &mut Bridge,
    document: &Value,
    count: usize,
) -> Result<Started, ResponseBase> {
    let wait_id = bridge.fresh_id();
    let request = ExecuteProcess {
        base: base(),
        settings: ExecuteProcessSettings {
            process_parameters: document.to_string(),
            ..ExecuteProcessSettings::default()
        },
        wait_message_id: Some(wait_id),
        naming: Naming::default(),
    };
    let files = files(count);
    let descriptors: Vec<_> = files.iter().map(OwnedFd::as_fd).collect();
    let id = bridge.send(Rpc::ExecuteProcess, &request, &descriptors);
    let response: ExecuteProcessResponse = bridge.answer(id);
    if response.base.result != 0 {
        return Err(response.base);
    }
    Ok(Started {
        pid: response.process_id,
        wait_id,
        stdin: None,
        stdout: None,
        stderr: None,
    })
}

/// Starts `sh -c script`, detached.
fn detach(bridge: &mut Bridge, script: &str) -> Started {
    let document = json!({
        "CommandArgs": ["sh", "-c", script], "Detached": true,
        "CreateStdOutPipe": true, "CreateStdErrPipe": true,
    });
    try_detach(bridge, &document, KEPT_FILES).unwrap()
}

/// Asks for output; answers the pipe that it comes through and the id of the request.
fn ask(bridge: &mut Bridge, query: OutputQuery, call_name: &str) -> (File, u64) {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let naming = Naming {
        call_name: call_name.to_owned(),
        ..Naming::default()
    };
    let base = base();
    let request = ReadOutput {
        vsock_stdio_relay_settings: VsockStdioRelaySettings::default(),
        base,
        query,
        naming,
    };
    let id = bridge.send(Rpc::ReadOutput, &request, &[write.as_fd()]);
    (read.into(), id)
}

fn reader(bridge: &mut Bridge, query: OutputQuery) -> Reader {
    let (pipe, id) = ask(bridge, query, "");
    let response: ReadOutputResponse = bridge.answer(id);
    assert_eq!(response.base.result, 0, "{response:?}");
    Reader {
        pipe,
        decoder: Decoder::default(),
    }
}

struct Reader {
    pipe: File,
    decoder: Decoder,
}

impl Iterator for Reader {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        loop {
            if let Some((time, record)) = self.decoder.next_record().unwrap() {
                assert!(time > 0);
                return Some(record);
            }
            let mut bytes = [0; 4096];
            match self.pipe.read(&mut bytes).unwrap() {
                0 => return None,
                count => self.decoder.feed(&bytes[..count]),
            }
        }
    }
}

/// All that is kept: standard output, standard error, the exit code, and what is missing.
fn all(reader: Reader) -> (String, String, Option<u32>, u64) {
    let (mut out, mut err, mut exit, mut lost) = (Vec::new(), Vec::new(), None, 0);
    for record in reader {
        match record {
            Record::Stdout(bytes) => out.extend(bytes),
            Record::Stderr(bytes) => err.extend(bytes),
            Record::Exit(code) => exit = Some(code),
            Record::Lost(count) => lost += count,
            Record::About(about) => panic!("it did not attach: {about:?}"),
        }
    }
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(out), text(err), exit, lost)
}

fn following() -> OutputQuery {
    OutputQuery {
        follow: true,
        ..OutputQuery::default()
    }
}

fn what_a_detached_process_writes_is_kept_beyond_its_end() {
    let system = System::start();
    let mut bridge = system.connect();
    let started = detach(&mut bridge, "echo out; echo err >&2; printf last; exit 7");
    assert_eq!(bridge.exit(&started), 7);
    let kept = ("out\nlast".to_owned(), "err\n".to_owned(), Some(7), 0);
    for query in [
        OutputQuery::default(),
        following(),
        OutputQuery {
            process_id: started.pid,
            since: Some(1),
            ..OutputQuery::default()
        },
    ] {
        assert_eq!(all(reader(&mut bridge, query)), kept);
    }
    let none = [
        OutputQuery {
            tail: Some(0),
            ..OutputQuery::default()
        },
        OutputQuery {
            since: Some(u64::MAX),
            ..OutputQuery::default()
        },
        OutputQuery {
            exit_only: true,
            ..following()
        },
    ];
    for query in none {
        let exit = (String::new(), String::new(), Some(7), 0);
        assert_eq!(all(reader(&mut bridge, query)), exit);
    }
    let second = detach(&mut bridge, "echo 1; echo 2; echo 3; exec cat");
    assert_eq!(bridge.exit(&second), 0, "its standard input is empty");
    let last = OutputQuery {
        process_id: second.pid,
        tail: Some(2),
        ..OutputQuery::default()
    };
    assert_eq!(all(reader(&mut bridge, last)).0, "2\n3\n");
    assert_eq!(all(reader(&mut bridge, OutputQuery::default())), kept);
}

fn a_follower_hears_what_comes_until_all_has_ended() {
    let system = System::start();
    let mut bridge = system.connect();
    // What it leaves in the background has its output after it.
    let script = "mkfifo /tmp/go$$ /tmp/on$$; echo $$; (read x </tmp/go$$; echo late; read x </tmp/on$$) & exit 5";
    let started = detach(&mut bridge, script);
    let mut follower = reader(&mut bridge, following());
    let name = match follower.next().unwrap() {
        Record::Stdout(bytes) => String::from_utf8(bytes).unwrap().trim().to_owned(),
        other => panic!("{other:?}"),
    };
    assert_eq!(bridge.exit(&started), 5);
    assert_eq!(follower.next(), Some(Record::Exit(5)));
    assert_eq!(bridge.run(&format!("echo >/tmp/go{name}")).0, 0);
    assert_eq!(follower.next(), Some(Record::Stdout(b"late\n".to_vec())));
    // Without following it ends here all the same.
    let (out, _, exit, _) = all(reader(&mut bridge, OutputQuery::default()));
    assert_eq!((out, exit), (format!("{name}\nlate\n"), Some(5)));
    assert_eq!(
        bridge
            .run(&format!("echo >/tmp/on{name}; rm /tmp/??{name}"))
            .0,
        0
    );
    assert_eq!(follower.next(), None);
}

fn output_goes_on_without_a_host() {
    let system = System::start();
    let mut bridge = system.connect();
    let script = "mkfifo /tmp/go$$; echo $$; read x </tmp/go$$; rm /tmp/go$$; echo more; exit 3";
    let started = detach(&mut bridge, script);
    let mut follower = reader(&mut bridge, following());
    let Some(Record::Stdout(name)) = follower.next() else {
        panic!("it says its pid");
    };
    let name = String::from_utf8(name).unwrap().trim().to_owned();
    let go = bridge.shell(&format!("read x; echo >/tmp/go{name}"));
    drop(bridge);
    drop(go);
    assert_eq!(follower.next(), Some(Record::Stdout(b"more\n".to_vec())));
    assert_eq!(follower.next(), Some(Record::Exit(3)));
    assert_eq!(follower.next(), None);
    let mut bridge = system.connect();
    let wait = bridge.wait_for(started.pid, None);
    assert_eq!(bridge.exit_of(wait), 3);
    let (out, ..) = all(reader(&mut bridge, OutputQuery::default()));
    assert_eq!(out, format!("{name}\nmore\n"));
}

fn a_reader_that_does_not_read_holds_nothing_up() {
    let system = System::start();
    let mut bridge = system.connect();
    let script = "yes 123456789 | head -c 30000000; echo; echo end";
    let document = json!({
        "CommandArgs": ["sh", "-c", script], "Detached": true,
        "CreateStdOutPipe": true,
    });
    let started = try_detach(&mut bridge, &document, KEPT_FILES).unwrap();
    let slow = reader(&mut bridge, following());
    let gone = reader(&mut bridge, following());
    drop(gone);
    assert_eq!(bridge.exit(&started), 0);
    let (out, _, exit, lost) = all(reader(&mut bridge, OutputQuery::default()));
    assert!(out.ends_with("123456789\n\nend\n") && exit == Some(0) && lost == 0);
    assert!((8 << 20..16 << 20).contains(&out.len()), "{}", out.len());
    let (late, _, exit, lost) = all(slow);
    assert_eq!((late.len() as u64 + lost, exit), (30_000_005, Some(0)));
    assert!(late.ends_with("\nend\n") && lost > 0);
}

fn a_terminal_can_be_detached() {
    let system = System::start();
    let mut bridge = system.connect();
    let document = json!({
        "CommandArgs": ["sh", "-c", "tty >/dev/null && echo terminal; exit 4"], "Detached": true,
        "EmulateConsole": true, "CreateStdOutPipe": true,
    });
    let started = try_detach(&mut bridge, &document, KEPT_FILES).unwrap();
    assert_eq!(bridge.exit(&started), 4);
    let (out, err, exit, _) = all(reader(&mut bridge, following()));
    assert_eq!(
        (out.as_str(), err.as_str(), exit),
        ("terminal\r\n", "", Some(4))
    );
}

/// Attaches: what comes, and where input goes.
fn attach(bridge: &mut Bridge) -> (Reader, File) {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let (input, to) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let request = ReadOutput {
        base: base(),
        vsock_stdio_relay_settings: VsockStdioRelaySettings::default(),
        query: OutputQuery {
            attach: true,
            tail: Some(0),
            ..following()
        },
        naming: Naming::default(),
    };
    let id = bridge.send(Rpc::ReadOutput, &request, &[input.as_fd(), write.as_fd()]);
    let response: ReadOutputResponse = bridge.answer(id);
    assert_eq!(response.base.result, 0, "{response:?}");
    let reader = Reader {
        pipe: read.into(),
        decoder: Decoder::default(),
    };
    (reader, to.into())
}

/// Reads until standard output has said `text`.
fn until(reader: &mut Reader, text: &str) {
    let mut said = String::new();
    while !said.ends_with(text) {
        match reader.next() {
            Some(Record::Stdout(bytes)) => said += &String::from_utf8(bytes).unwrap(),
            other => panic!("{other:?} after {said:?}, before {text:?}"),
        }
    }
}

fn attached_clients_write_to_a_process_that_goes_on_without_them() {
    let system = System::start();
    let mut bridge = system.connect();
    let script = "while read line; do echo got $line; [ $line = end ] && exit 6; done";
    let document = json!({
        "CommandArgs": ["sh", "-c", script], "Detached": true,
        "CreateStdInPipe": true, "CreateStdOutPipe": true,
    });
    let started = try_detach(&mut bridge, &document, KEPT_FILES).unwrap();
    let about = |stdin| {
        Record::About(About {
            terminal: false,
            stdin,
        })
    };
    let (mut first, mut input) = attach(&mut bridge);
    assert_eq!(first.next(), Some(about(true)));
    input.write_all(b"one\n").unwrap();
    until(&mut first, "got one\n");
    drop((first, input));
    let (mut second, mut input) = attach(&mut bridge);
    let (mut third, mut other) = attach(&mut bridge);
    for reader in [&mut second, &mut third] {
        assert_eq!(reader.next(), Some(about(true)));
    }
    drop(bridge);
    other.write_all(b"two\n").unwrap();
    until(&mut second, "got two\n");
    drop(other);
    input.write_all(b"end\n").unwrap();
    until(&mut second, "got end\n");
    until(&mut third, "got two\ngot end\n");
    for reader in [&mut second, &mut third] {
        assert_eq!(reader.next(), Some(Record::Exit(6)));
        assert_eq!(reader.next(), None);
    }
    let mut bridge = system.connect();
    let wait = bridge.wait_for(started.pid, None);
    assert_eq!(bridge.exit_of(wait), 6);
    // There is no process to write to any more, but its exit code.
    let (mut late, _input) = attach(&mut bridge);
    assert_eq!(late.next(), Some(about(false)));
    assert_eq!(late.next(), Some(Record::Exit(6)));
}

fn a_terminal_can_be_attached_to() {
    let system = System::start();
    let mut bridge = system.connect();
    let script = "stty -echo; while read line; do echo got $line; done; exit 3";
    let document = json!({
        "CommandArgs": ["sh", "-c", script], "Detached": true, "EmulateConsole": true,
        "CreateStdInPipe": true, "CreateStdOutPipe": true,
    });
    let started = try_detach(&mut bridge, &document, KEPT_FILES).unwrap();
    for round in 0..2 {
        let (mut reader, mut input) = attach(&mut bridge);
        let about = About {
            terminal: true,
            stdin: true,
        };
        assert_eq!(reader.next(), Some(Record::About(about)));
        input.write_all(format!("{round}\n").as_bytes()).unwrap();
        until(&mut reader, &format!("got {round}\r\n"));
    }
    let (mut reader, mut input) = attach(&mut bridge);
    input.write_all(b"\x04").unwrap();
    assert_eq!(bridge.exit(&started), 3);
    assert!(reader.any(|record| record == Record::Exit(3)));
}

fn input_that_is_not_read_holds_nothing_up() {
    let system = System::start();
    let mut bridge = system.connect();
    let document = json!({
        "CommandArgs": ["sleep", "1000"], "Detached": true,
        "CreateStdInPipe": true, "CreateStdOutPipe": true,
    });
    let started = try_detach(&mut bridge, &document, KEPT_FILES).unwrap();
    let (_reader, mut input) = attach(&mut bridge);
    let writer = std::thread::spawn(move || input.write_all(&[b'x'; 1 << 20]));
    assert_eq!(bridge.run("echo alive").1, "alive\n");
    assert_eq!(bridge.signal(started.pid, None).result, 0);
    assert_eq!(bridge.exit(&started), 137);
    assert!(writer.join().unwrap().is_err(), "no process reads it");
}

/// A host that comes after one that died asks again for what it does not know to be done.
fn a_call_to_read_is_done_once() {
    let system = System::start();
    let mut bridge = system.connect();
    let started = detach(&mut bridge, "echo once");
    bridge.exit(&started);
    let (pipe, first) = ask(&mut bridge, OutputQuery::default(), "a-call");
    let (other, second) = ask(&mut bridge, OutputQuery::default(), "a-call");
    for id in [first, second] {
        let response: ReadOutputResponse = bridge.answer(id);
        assert_eq!(
            (response.base.result, response.process_id),
            (0, started.pid)
        );
    }
    let read = |pipe| {
        all(Reader {
            pipe,
            decoder: Decoder::default(),
        })
    };
    assert_eq!(read(pipe).0, "once\n");
    assert_eq!(read(other).0, "");
}

fn what_cannot_be_kept_or_read_is_refused() {
    let system = System::start();
    let mut bridge = system.connect();
    let request = ReadOutput {
        base: base(),
        vsock_stdio_relay_settings: VsockStdioRelaySettings::default(),
        ..ReadOutput::default()
    };
    let (read, write) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let refused = |bridge: &mut Bridge, descriptor: &OwnedFd| {
        let id = bridge.send(Rpc::ReadOutput, &request, &[descriptor.as_fd()]);
        let base: ResponseBase = bridge.answer(id);
        (base.hresult(), base.error_message)
    };
    let (code, message) = refused(&mut bridge, &write);
    assert!(
        code == HResult::NOT_FOUND && message.contains("detached"),
        "{message}"
    );
    let attaching = ReadOutput {
        query: OutputQuery {
            attach: true,
            ..OutputQuery::default()
        },
        ..request.clone()
    };
    let id = bridge.send(Rpc::ReadOutput, &attaching, &[write.as_fd()]);
    let base: ResponseBase = bridge.answer(id);
    assert_eq!(base.hresult(), HResult::E_INVALIDARG);
    assert_eq!(refused(&mut bridge, &read).0, HResult::E_INVALIDARG);
    assert_eq!(refused(&mut bridge, &files(1)[0]).0, HResult::E_INVALIDARG);
    assert_eq!(
        bridge.refusal(Rpc::ReadOutput, &request).0,
        HResult::E_INVALIDARG
    );
    let document = json!({ "CommandLine": "true", "Detached": true, "CreateStdOutPipe": true });
    for count in [0, KEPT_FILES - 1, KEPT_FILES + 1] {
        let base = try_detach(&mut bridge, &document, count).unwrap_err();
        assert_eq!(base.hresult(), HResult::E_INVALIDARG, "{count}");
    }
    // Those that run keep their place; one that has ended makes room.
    let mut running = Vec::new();
    while running.len() < 16 {
        running.push(detach(&mut bridge, "exec sleep 1000"));
    }
    let document = json!({ "CommandLine": "echo new", "Detached": true, "CreateStdOutPipe": true });
    let base = try_detach(&mut bridge, &document, KEPT_FILES).unwrap_err();
    assert!(
        base.error_message.contains("16 detached processes"),
        "{base:?}"
    );
    let oldest = running.remove(0);
    assert_eq!(bridge.signal(oldest.pid, None).result, 0);
    assert_eq!(bridge.exit(&oldest), 137);
    let started = try_detach(&mut bridge, &document, KEPT_FILES).unwrap();
    assert_eq!(bridge.exit(&started), 0);
    let newest = OutputQuery {
        process_id: started.pid,
        ..OutputQuery::default()
    };
    assert_eq!(all(reader(&mut bridge, newest)).0, "new\n");
}
