//! The bridge itself: negotiation, bad messages, streams that break.

use std::{
    io::{Read as _, Write as _},
    net::Shutdown,
    os::fd::AsFd as _,
};

use hcs_schema::HResult;
use hcs_wire::{
    guest::{
        DumpStacksResponse, ExecuteProcessResponse, GetPropertiesResponse, MessageType,
        NegotiateProtocol, Renewal, RequestBase, ResponseBase, Rpc, WaitForProcess, code, encode,
    },
    socket,
};
use rustix::pipe::{PipeFlags, pipe_with};
use serde_json::{Value, json};

use crate::{
    Test,
    bridge::{Bridge, base},
    system::System,
};

pub const TESTS: &[Test] = &[
    (
        "negotiation_comes_first_and_once",
        negotiation_comes_first_and_once,
    ),
    (
        "unknown_messages_are_refused_by_number",
        unknown_messages_are_refused_by_number,
    ),
    (
        "bad_bodies_are_refused_and_nothing_else",
        bad_bodies_are_refused_and_nothing_else,
    ),
    (
        "bad_headers_end_their_stream_only",
        bad_headers_end_their_stream_only,
    ),
    ("requests_may_be_cut_anywhere", requests_may_be_cut_anywhere),
    (
        "a_host_may_vanish_in_any_byte",
        a_host_may_vanish_in_any_byte,
    ),
    ("a_host_may_say_anything", a_host_may_say_anything),
    (
        "descriptors_stay_with_their_message",
        descriptors_stay_with_their_message,
    ),
    ("large_requests_are_taken", large_requests_are_taken),
    (
        "a_host_that_does_not_read_is_replaced",
        a_host_that_does_not_read_is_replaced,
    ),
    (
        "a_slow_host_gets_every_answer",
        a_slow_host_gets_every_answer,
    ),
    ("waits_time_out", waits_time_out),
    (
        "a_new_stream_takes_the_place_of_the_old",
        a_new_stream_takes_the_place_of_the_old,
    ),
    (
        "exits_without_a_host_are_kept",
        exits_without_a_host_are_kept,
    ),
    (
        "properties_list_the_processes",
        properties_list_the_processes,
    ),
    (
        "what_the_guest_cannot_do_is_said",
        what_the_guest_cannot_do_is_said,
    ),
];

fn negotiation_comes_first_and_once() {
    let system = System::start();
    let mut bridge = Bridge::new(system.dial());
    let (code, message) = bridge.refusal(Rpc::Start, &base());
    assert_eq!(code, HResult::E_NOTIMPL);
    assert!(message.contains("NegotiateProtocol"), "{message}");
    let versions = |minimum_version, maximum_version| NegotiateProtocol {
        base: RequestBase::default(),
        minimum_version,
        maximum_version,
        renewal: Renewal::default(),
    };
    for (minimum, maximum) in [(5, 9), (1, 3), (9, 1)] {
        let (code, message) = bridge.refusal(Rpc::NegotiateProtocol, &versions(minimum, maximum));
        assert_eq!(code, code::UNSUPPORTED_PROTOCOL_VERSION, "{message}");
    }
    let response = bridge.negotiate();
    assert_eq!(response.base.activity_id, base().activity_id);
    assert_eq!(response.capabilities.runtime_os_type, "Linux");
    let (code, _) = bridge.refusal(Rpc::NegotiateProtocol, &versions(4, 4));
    assert_eq!(code, HResult::E_NOTIMPL);
    let started: Value = bridge.call(Rpc::Start, &json!({ "ContainerId": "" }));
    assert_eq!(started, json!({ "Result": 0 }));
}

fn unknown_messages_are_refused_by_number() {
    let system = System::start();
    let mut bridge = system.connect();
    let bytes = encode(MessageType::UnknownRequest(0x1010_5501), 77, &base()).unwrap();
    bridge.send_raw(&bytes);
    // The decoder of the host takes no such answer, as it sends no such request.
    let mut header = [0; 16];
    bridge.stream.read_exact(&mut header).unwrap();
    let size = u32::from_le_bytes(header[4..8].try_into().unwrap());
    let mut body = vec![0; size as usize - 16];
    bridge.stream.read_exact(&mut body).unwrap();
    assert_eq!(
        (header[0..4].to_vec(), header[8]),
        (0x2010_5501_u32.to_le_bytes().to_vec(), 77)
    );
    let answer: ResponseBase = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        (answer.hresult(), answer.activity_id),
        (HResult::E_NOTIMPL, base().activity_id)
    );
    for rpc in [Rpc::Create, Rpc::DeleteContainerState] {
        assert_eq!(bridge.refusal(rpc, &base()).0, HResult::E_NOTIMPL);
    }
}

fn bad_bodies_are_refused_and_nothing_else() {
    let system = System::start();
    let mut bridge = system.connect();
    let deep = "[".repeat(100_000);
    let bodies = [
        "",
        "{bad json",
        "null",
        "[]",
        "\"x\"",
        "{\"ContainerId\":5}",
        "\u{fffd}",
        &deep,
    ];
    for (id, (rpc, body)) in (1000..).zip(
        Rpc::ALL
            .iter()
            .filter(|rpc| **rpc != Rpc::NegotiateProtocol)
            .flat_map(|rpc| bodies.map(|body| (*rpc, body))),
    ) {
        let mut bytes = encode(MessageType::Request(rpc), id, &0).unwrap();
        bytes.truncate(16);
        let size = u32::try_from(16 + body.len()).unwrap();
        bytes[4..8].copy_from_slice(&size.to_le_bytes());
        bytes.extend_from_slice(body.as_bytes());
        bridge.send_raw(&bytes);
        let (bits, answer) = bridge.receive(id);
        assert_eq!(bits, MessageType::Response(rpc).to_bits());
        let answer: ResponseBase = serde_json::from_slice(&answer).unwrap();
        assert_eq!(
            answer.hresult(),
            code::INVALID_JSON,
            "{rpc:?} {body:.20}: {answer:?}"
        );
        assert!(
            !answer.error_message.is_empty() && answer.error_records[0].result == answer.result
        );
    }
    let execute = json!({ "Settings": { "ProcessParameters": "{\"CommandLine\":5}" } });
    assert_eq!(
        bridge.refusal(Rpc::ExecuteProcess, &execute).0,
        code::INVALID_JSON
    );
    let endless = json!({ "ActivityId": "a".repeat(5_000_000) });
    assert_eq!(bridge.refusal(Rpc::Start, &endless).0, code::INVALID_JSON);
    let elsewhere = json!({ "ContainerId": "nocontainer" });
    let (code, message) = bridge.refusal(Rpc::Start, &elsewhere);
    assert_eq!(code, code::CONTAINER_NOT_FOUND);
    assert!(message.contains("nocontainer"));
    assert_eq!(bridge.run("exit 9").0, 9);
}

fn bad_headers_end_their_stream_only() {
    let system = System::start();
    let mut first = system.connect();
    let sleeper = first.shell("exec sleep 1000");
    let header = |bits: u32, size: u32| {
        let mut bytes = [0; 16];
        bytes[0..4].copy_from_slice(&bits.to_le_bytes());
        bytes[4..8].copy_from_slice(&size.to_le_bytes());
        bytes
    };
    let request = MessageType::Request(Rpc::Start).to_bits();
    let bad = [
        header(request, 0),
        header(request, 15),
        header(request, u32::MAX),
        header(request, hcs_wire::guest::MAX_REQUEST_BYTES + 1),
        header(0, 16),
        header(0x4010_0201, 16),
        header(0x1020_0201, 16),
        header(MessageType::Response(Rpc::Start).to_bits(), 16),
        header(MessageType::Notification.to_bits(), 16),
        [0xff; 16],
    ];
    for header in bad {
        let mut bridge = system.connect();
        bridge.send_raw(&header);
        assert!(bridge.is_closed(), "{header:x?}");
    }
    let mut bridge = system.connect();
    assert_eq!(bridge.signal(sleeper.pid, None).result, 0);
    let wait = bridge.wait_for(sleeper.pid, None);
    assert_eq!(bridge.exit_of(wait), 137);
}

/// A stream that negotiates, starts a process and waits for it.
fn conversation() -> Vec<u8> {
    let negotiate = NegotiateProtocol {
        base: base(),
        minimum_version: 4,
        maximum_version: 4,
        renewal: Renewal::default(),
    };
    let execute = json!({
        "ContainerId": "", "WaitMessageId": 3, "Settings": { "ProcessParameters": "{\"CommandArgs\":[\"sh\",\"-c\",\"exit 7\"]}" }
    });
    let mut bytes = encode(MessageType::Request(Rpc::NegotiateProtocol), 1, &negotiate).unwrap();
    bytes.extend(encode(MessageType::Request(Rpc::ExecuteProcess), 2, &execute).unwrap());
    bytes
}

fn requests_may_be_cut_anywhere() {
    let system = System::start();
    let bytes = conversation();
    for cut in 1..bytes.len() {
        let mut bridge = Bridge::new(system.dial());
        bridge.send_raw(&bytes[..cut]);
        bridge.send_raw(&bytes[cut..]);
        let started: ExecuteProcessResponse = bridge.answer(2);
        assert_eq!(started.base.result, 0, "cut at {cut}");
        assert_eq!(bridge.exit_of(3), 7, "cut at {cut}");
    }
}

fn a_host_may_vanish_in_any_byte() {
    let system = System::start();
    let bytes = conversation();
    for cut in 0..=bytes.len() {
        system.dial().write_all(&bytes[..cut]).unwrap();
    }
    let mut bridge = system.connect();
    assert_eq!(bridge.run("exit 5").0, 5);
}

/// One byte wrong at a time: whatever becomes of that stream, the next one is served.
fn a_host_may_say_anything() {
    let system = System::start();
    let bytes = conversation();
    for index in 0..bytes.len() {
        for flip in [0x01, 0x20, 0x80] {
            let mut wrong = bytes.clone();
            wrong[index] ^= flip;
            if wrong[1..]
                .windows(3)
                .any(|w| matches!(w, [3 | 4, 0x10, 0x10]))
            {
                // One bit makes ExecuteProcess a shutdown, which would be obeyed.
                continue;
            }
            let mut stream = system.dial();
            stream.write_all(&wrong).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            // The agent closes the stream at its end, at the latest.
            drop(stream.read_to_end(&mut Vec::new()));
        }
    }
    let mut bridge = system.connect();
    assert_eq!(bridge.run("exit 5").0, 5);
    assert!(!system.log().contains("panicked"), "{}", system.log());
}

/// An `ExecuteProcess` that is refused takes its descriptors with it, also when all are sent in one go.
fn descriptors_stay_with_their_message() {
    let system = System::start();
    let mut bridge = system.connect();
    let mut expected = Vec::new();
    for number in 0..20 {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let parameters = match number % 4 {
            0 => "{broken".to_owned(),
            1 => json!({ "CommandLine": "/no/such/program", "CreateStdOutPipe": true }).to_string(),
            2 => {
                json!({ "CommandLine": "true", "CreateStdOutPipe": true, "CreateStdErrPipe": true })
                    .to_string()
            }
            _ => json!({ "CommandLine": format!("echo {number}"), "CreateStdOutPipe": true })
                .to_string(),
        };
        let id = bridge.fresh_id();
        let request = json!({ "Settings": { "ProcessParameters": parameters } });
        let bytes = encode(MessageType::Request(Rpc::ExecuteProcess), id, &request).unwrap();
        socket::send_all(&bridge.stream, &bytes, &[write.as_fd()]).unwrap();
        expected.push((number, id, read));
    }
    for (number, id, read) in expected {
        let answer: ResponseBase = bridge.answer(id);
        let code = [
            code::INVALID_JSON,
            HResult::FILE_NOT_FOUND,
            HResult::E_INVALIDARG,
            HResult::S_OK,
        ][number % 4];
        assert_eq!(answer.hresult(), code, "{answer:?}");
        // The pipe ends in every case: no process keeps a descriptor of a refused request.
        let out = std::io::read_to_string(std::fs::File::from(read)).unwrap();
        let text = if number % 4 == 3 {
            format!("{number}\n")
        } else {
            String::new()
        };
        assert_eq!(out, text);
    }
}

fn large_requests_are_taken() {
    let system = System::start();
    let mut bridge = system.connect();
    let script = format!("printf %s {} | wc -c", "x".repeat(100_000));
    assert_eq!(bridge.run(&script).1, "100000\n");
    let arguments: Vec<String> = (0..12).map(|_| "y".repeat(120_000)).collect();
    let script = "for a; do n=$((n + ${#a})); done; echo $n".to_owned();
    let command = [
        vec!["sh".to_owned(), "-c".to_owned(), script, "sh".to_owned()],
        arguments,
    ]
    .concat();
    let mut process = bridge.start(&json!({ "CommandArgs": command, "CreateStdOutPipe": true }));
    assert_eq!(process.read_stdout(), "1440000\n");
}

/// Writes requests until the socket takes no more; the agent has stopped reading then.
fn flood(bridge: &mut Bridge) -> usize {
    bridge.stream.set_nonblocking(true).unwrap();
    let mut sent = 0;
    loop {
        let request = encode(
            MessageType::Request(Rpc::DumpStacks),
            1_000_000 + sent as u64,
            &base(),
        )
        .unwrap();
        let Ok(count) = bridge.stream.write(&request) else {
            return sent;
        };
        sent += 1;
        if count < request.len() {
            return sent;
        }
    }
}

fn a_host_that_does_not_read_is_replaced() {
    let system = System::start();
    let mut deaf = system.connect();
    let mut started: Vec<_> = (0..10)
        .map(|_| deaf.shell("read x; echo $x; exit 4"))
        .collect();
    assert!(flood(&mut deaf) > 100);
    // The agent goes on with its work: processes end and are reaped, while no host reads.
    for process in &mut started {
        process.write("line\n");
        assert_eq!(process.read_stdout(), "line\n");
    }
    let mut bridge = system.connect();
    for process in &started {
        let wait = bridge.wait_for(process.pid, None);
        assert_eq!(bridge.exit_of(wait), 4);
    }
    assert!(system.log().is_empty());
}

fn a_slow_host_gets_every_answer() {
    let system = System::start();
    let mut bridge = system.connect();
    let sleepers: Vec<_> = (0..50).map(|_| bridge.shell("exec sleep 1000")).collect();
    // Each answer lists 50 processes: far more than the socket holds and the agent keeps.
    let query = json!({ "Query": "{\"PropertyTypes\":[\"ProcessList\"]}" });
    let ids: Vec<u64> = (0..300)
        .map(|_| bridge.send(Rpc::GetProperties, &query, &[]))
        .collect();
    for id in ids {
        let answer: GetPropertiesResponse = bridge.answer(id);
        let properties: Value = serde_json::from_str(&answer.properties).unwrap();
        assert_eq!(properties["ProcessList"].as_array().unwrap().len(), 50);
    }
    for process in &sleepers {
        assert_eq!(bridge.signal(process.pid, None).result, 0);
        assert_eq!(bridge.exit(process), 137);
    }
}

fn waits_time_out() {
    let system = System::start();
    let mut bridge = system.connect();
    let process = bridge.shell("exec sleep 1000");
    let waits: Vec<u64> = [50, 0, 1, 20]
        .iter()
        .map(|ms| bridge.wait_for(process.pid, Some(*ms)))
        .collect();
    for id in waits {
        let answer: ResponseBase = bridge.answer(id);
        assert_eq!(answer.hresult(), code::TIMEOUT);
        assert!(answer.error_message.contains(&process.pid.to_string()));
    }
    let long = bridge.wait_for(process.pid, Some(u32::MAX - 1));
    bridge.signal(process.pid, None);
    assert_eq!(bridge.exit_of(long), 137);
    let unknown = WaitForProcess {
        base: base(),
        process_id: 999_999,
        timeout_in_ms: 0,
    };
    assert_eq!(
        bridge.refusal(Rpc::WaitForProcess, &unknown).0,
        HResult::NOT_FOUND
    );
}

fn a_new_stream_takes_the_place_of_the_old() {
    let system = System::start();
    let mut old = system.connect();
    let mut process = old.shell("read x; echo got $x; exit 6");
    let pending: Vec<u64> = (0..10).map(|_| old.wait_for(process.pid, None)).collect();
    let mut new = system.connect();
    assert!(
        old.is_closed(),
        "the old stream ends, its waits unanswered: {pending:?}"
    );
    let wait = new.wait_for(process.pid, None);
    process.write("hello\n");
    assert_eq!(process.read_stdout(), "got hello\n");
    assert_eq!(new.exit_of(wait), 6);
}

fn exits_without_a_host_are_kept() {
    let system = System::start();
    let mut bridge = system.connect();
    let mut started: Vec<_> = (0..20)
        .map(|code| bridge.shell(&format!("read x; exit {code}")))
        .collect();
    drop(bridge);
    for process in &mut started {
        drop(process.stdin.take());
        assert_eq!(process.read_stdout(), "");
    }
    for _ in 0..2 {
        let mut bridge = system.connect();
        for (code, process) in (0..).zip(&started) {
            let wait = bridge.wait_for(process.pid, None);
            assert_eq!(bridge.exit_of(wait), code);
        }
    }
}

fn properties_list_the_processes() {
    let system = System::start();
    let mut bridge = system.connect();
    let list = |bridge: &mut Bridge, query: &str| -> Value {
        let answer: GetPropertiesResponse =
            bridge.call(Rpc::GetProperties, &json!({ "Query": query }));
        assert_eq!(answer.base.result, 0);
        serde_json::from_str(&answer.properties).unwrap()
    };
    for empty in [
        "",
        "{}",
        "{\"PropertyTypes\":[]}",
        "{\"PropertyTypes\":null}",
    ] {
        assert_eq!(list(&mut bridge, empty), json!({}));
    }
    let query = "{\"PropertyTypes\":[\"ProcessList\"]}";
    assert_eq!(list(&mut bridge, query), json!({ "ProcessList": [] }));
    let mut process = bridge.start(&json!({
        "CommandLine": "/bin/cat", "CreateStdInPipe": true, "CreateStdOutPipe": true
    }));
    process.write("x");
    process.read_until("x");
    let properties = list(&mut bridge, query);
    let details = &properties["ProcessList"][0];
    assert_eq!(
        (details["ProcessId"].as_u64(), &details["ImageName"]),
        (Some(process.pid.into()), &json!("cat"))
    );
    assert!(
        details["MemoryWorkingSetSharedBytes"].as_u64().unwrap() > 0,
        "{details}"
    );
    assert!(details["CreateTimestamp"].as_str().unwrap().ends_with('Z'));
    let answer: DumpStacksResponse = bridge.call(Rpc::DumpStacks, &base());
    let line = format!("process {}: cat\n", process.pid);
    assert!(
        answer.guest_stacks.contains(&line),
        "{}",
        answer.guest_stacks
    );
}

fn what_the_guest_cannot_do_is_said() {
    let system = System::start();
    let mut bridge = system.connect();
    let settings = json!({ "Request": { "ResourceType": "CombinedLayers", "RequestType": "Add" } });
    let (code, message) = bridge.refusal(Rpc::ModifySettings, &settings);
    assert!(
        code == HResult::NOT_SUPPORTED && message.contains("CombinedLayers"),
        "{message}"
    );
    let query = json!({ "Query": "{\"PropertyTypes\":[\"Statistics\"]}" });
    let (code, message) = bridge.refusal(Rpc::GetProperties, &query);
    assert!(
        code == HResult::NOT_SUPPORTED && message.contains("Statistics"),
        "{message}"
    );
    for bad in ["{", "{\"PropertyTypes\":5}", "{\"PropertyTypes\":[5]}"] {
        assert_eq!(
            bridge
                .refusal(Rpc::GetProperties, &json!({ "Query": bad }))
                .0,
            code::INVALID_JSON
        );
    }
}
