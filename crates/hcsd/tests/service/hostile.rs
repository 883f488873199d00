//! Agents that misbehave: each can harm its own system, nothing else.
//!
//! The service is killed, the agent of one container too, and a process of the test's is written into the record in
//! its place; the next service takes the system over with that.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use crate::common::{
    Client, Service,
    client::{CONTAINER, create_process, create_system, open_system, shell, start_system},
    kill,
};
use hcs_schema::HResult;
use hcs_wire::{
    guest::{
        Decoder, ExecuteProcessResponse, Frame, GcsCapabilities, GetPropertiesResponse,
        GuestDefinedCapabilities, HEADER_BYTES, MessageType, NegotiateProtocolResponse,
        PROTOCOL_VERSION, ResponseBase, Rpc, WaitForProcessResponse, encode,
    },
    service::{Call, Subject},
};
use serde::Serialize;
use serde_json::{Value, json};

/// The next process that an agent invents.
static INVENTED: AtomicU32 = AtomicU32::new(1000);

/// What an agent of the test's does with a request after the greeting.
type Script = fn(&Frame, &mut UnixStream);

/// The agents, by name: each runs in a process of its own.
const SCRIPTS: &[(&str, Script)] = &[
    ("noise", |_, stream| {
        stream.write_all(&[0xee; 64]).ok();
    }),
    ("too large", |frame, stream| {
        let mut header = [0; HEADER_BYTES];
        header[0..4].copy_from_slice(&frame.kind.response_bits().to_le_bytes());
        header[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        stream.write_all(&header).ok();
    }),
    ("unasked", |_, stream| created(stream, 999, 7)),
    ("other kind", |frame, stream| {
        let body = GetPropertiesResponse::default();
        respond(stream, Rpc::GetProperties, frame.id, &body);
    }),
    ("request", |_, stream| {
        let body = json!({"ContainerId": ""});
        let request = encode(MessageType::Request(Rpc::Start), 1, &body).unwrap();
        stream.write_all(&request).ok();
    }),
    ("pid 0", |frame, stream| created(stream, frame.id, 0)),
    ("pid -1", |frame, stream| {
        created(stream, frame.id, u32::MAX);
    }),
    ("pid 7", |frame, stream| created(stream, frame.id, 7)),
    ("early exit", |frame, stream| {
        let request: Value = serde_json::from_slice(&frame.body).unwrap();
        let wait = request["WaitMessageId"].as_u64().unwrap();
        let body = WaitForProcessResponse::default();
        respond(stream, Rpc::WaitForProcess, wait, &body);
    }),
    ("errors", |frame, stream| {
        let MessageType::Request(rpc) = frame.kind else {
            return;
        };
        let base = ResponseBase {
            result: HResult(0xC037_010E_u32.cast_signed()).0,
            error_message: "line one\nline two \u{1b}[31m".repeat(2000),
            ..ResponseBase::default()
        };
        respond(stream, rpc, frame.id, &base);
    }),
    ("properties", |frame, stream| {
        let body = GetPropertiesResponse {
            properties: "{\"ProcessList\": 7}".to_owned(),
            ..GetPropertiesResponse::default()
        };
        respond(stream, Rpc::GetProperties, frame.id, &body);
    }),
    ("many", |frame, stream| {
        // As many as a message can have.
        let list = vec!["{}"; 1_390_000].join(",");
        let body = GetPropertiesResponse {
            properties: format!("{{\"ProcessList\":[{list}]}}"),
            ..GetPropertiesResponse::default()
        };
        respond(stream, Rpc::GetProperties, frame.id, &body);
    }),
    ("long", |frame, stream| {
        let base = ResponseBase {
            error_message: "x".repeat(100_000),
            ..ResponseBase::default()
        };
        respond(stream, Rpc::ExecuteProcess, frame.id, &base);
    }),
    ("long list", |frame, stream| {
        let process = json!({ "ProcessId": 7, "CommandArgs": ["x".repeat(100)] });
        let list = vec![process; 1000];
        let body = GetPropertiesResponse {
            properties: json!({ "ProcessList": list }).to_string(),
            ..GetPropertiesResponse::default()
        };
        respond(stream, Rpc::GetProperties, frame.id, &body);
    }),
    // New processes with each stream, which end with it; the rest of the stream it hangs up.
    ("invents", |frame, stream| match frame.kind {
        MessageType::Request(Rpc::GetProperties) => {
            let list: Vec<Value> = (0..8000)
                .map(|_| json!({ "ProcessId": INVENTED.fetch_add(1, Ordering::Relaxed) }))
                .collect();
            let body = GetPropertiesResponse {
                properties: json!({ "ProcessList": list }).to_string(),
                ..GetPropertiesResponse::default()
            };
            respond(stream, Rpc::GetProperties, frame.id, &body);
        }
        MessageType::Request(Rpc::WaitForProcess) => {
            let request: Value = serde_json::from_slice(&frame.body).unwrap();
            if request["ProcessId"].as_u64().unwrap().is_multiple_of(16) {
                let body = WaitForProcessResponse::default();
                respond(stream, Rpc::WaitForProcess, frame.id, &body);
            }
        }
        _ => {
            stream.shutdown(std::net::Shutdown::Both).ok();
        }
    }),
    ("notifications", |_, stream| {
        let body = json!({ "ContainerId": "" });
        let notification = encode(MessageType::Notification, 0, &body).unwrap();
        stream.write_all(&notification.repeat(17)).ok();
    }),
    ("silent", |_, _| {}),
    ("hangs up", |_, stream| {
        stream.shutdown(std::net::Shutdown::Both).ok();
    }),
    // Does not even greet.
    ("mute", |_, _| {}),
];

fn created(stream: &mut UnixStream, id: u64, process_id: u32) {
    let body = ExecuteProcessResponse {
        process_id,
        ..ExecuteProcessResponse::default()
    };
    respond(stream, Rpc::ExecuteProcess, id, &body);
}

fn respond<T: Serialize>(stream: &mut UnixStream, rpc: Rpc, id: u64, body: &T) {
    let bytes = encode(MessageType::Response(rpc), id, body).unwrap();
    // The service may have hung up already, which is what the test is about.
    stream.write_all(&bytes).ok();
}

fn greeting() -> NegotiateProtocolResponse {
    NegotiateProtocolResponse {
        version: PROTOCOL_VERSION,
        capabilities: GcsCapabilities {
            guest_defined_capabilities: GuestDefinedCapabilities {
                descriptor_stdio_supported: true,
                execute_and_wait_supported: true,
                system_process_calls_supported: true,
                ..GuestDefinedCapabilities::default()
            },
            ..GcsCapabilities::default()
        },
        ..NegotiateProtocolResponse::default()
    }
}

fn serve(mut stream: UnixStream, name: &str, script: Script) {
    let mut decoder = Decoder::with_limit(hcs_wire::guest::MAX_REQUEST_BYTES);
    let mut buffer = [0; 4096];
    let mut received = 0;
    while let Ok(n @ 1..) = stream.read(&mut buffer) {
        decoder.feed(&buffer[..n]);
        while let Some(frame) = decoder.next_frame().unwrap() {
            received += 1;
            match (received, frame.kind) {
                _ if name == "mute" => {}
                (1, _) => respond(&mut stream, Rpc::NegotiateProtocol, frame.id, &greeting()),
                // A service that takes a system over begins with a look at its processes.
                (2, MessageType::Request(Rpc::GetProperties)) if name != "invents" => {
                    let body = GetPropertiesResponse {
                        properties: "{}".to_owned(),
                        ..GetPropertiesResponse::default()
                    };
                    respond(&mut stream, Rpc::GetProperties, frame.id, &body);
                }
                _ => script(&frame, &mut stream),
            }
        }
    }
}

/// The process that plays an agent. Started by [`Hostile::start`], does nothing otherwise.
#[test]
fn agent() {
    let (Ok(path), Ok(wanted)) = (
        std::env::var("HCSD_TEST_AGENT"),
        std::env::var("HCSD_TEST_SCRIPT"),
    ) else {
        return;
    };
    let (name, script) = SCRIPTS.iter().find(|(name, _)| *name == wanted).unwrap();
    let listener = UnixListener::bind(path).unwrap();
    println!("listening");
    while let Ok((stream, _)) = listener.accept() {
        thread::spawn(|| serve(stream, name, *script));
    }
}

/// A process that plays an agent.
struct Hostile(Child);

impl Hostile {
    /// Starts one at `path`, and waits until it can be connected to.
    fn start(path: &str, script: &str) -> Self {
        // The first process of a container: a record that names another one is not believed.
        let mut child = Command::new("unshare")
            .args(["--pid", "--fork", "--kill-child"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "hostile::agent", "--nocapture"])
            .env("HCSD_TEST_AGENT", path)
            .env("HCSD_TEST_SCRIPT", script)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(said.any(|line| line.unwrap().contains("listening")));
        // The harness of the child would end at a closed stdout.
        thread::spawn(move || said.for_each(drop));
        Self(child)
    }

    /// The process that it is, the only child of `unshare`.
    fn pid(&self) -> u32 {
        let parent = self.0.id();
        let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
        children.unwrap().trim().parse().unwrap()
    }

    /// Puts it into the control groups of a record.
    fn join(&self, groups: &Value) {
        let directories = groups["v1"].as_array().into_iter().flatten();
        let directories = directories.map(|group| &group["directory"]);
        for directory in directories.chain([&groups["unified"]]) {
            if let Some(directory) = directory.as_str() {
                let procs = PathBuf::from(directory).join("cgroup.procs");
                fs::write(procs, self.pid().to_string()).unwrap();
            }
        }
    }

    /// Field 22 of its `proc_pid_stat(5)`.
    fn start_time(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        fields.split(' ').nth(19).unwrap().parse().unwrap()
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn systems(service: &Service) -> Vec<PathBuf> {
    let mut all: Vec<_> = fs::read_dir(service.root().join("systems"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    all.sort();
    all
}

/// A service with a sound system "sound" (handle 1) and a system "hostile" (handle 2) whose agent follows `script`.
fn with_hostile_agent(lines: &str, script: &str) -> (Hostile, Service, Client) {
    let mut service = Service::with_config(lines);
    let mut client = service.client();
    client.start_container(1, "sound");
    let sound = systems(&service);
    client.call(&create_system(2, "hostile", CONTAINER)).ok();
    client.call(&start_system(2)).ok();
    let directory = systems(&service)
        .into_iter()
        .find(|path| !sound.contains(path))
        .unwrap();
    service.kill();

    let state = directory.join("state.json");
    let mut record: Value = serde_json::from_slice(&fs::read(&state).unwrap()).unwrap();
    let mut machine: Value = serde_json::from_str(record["machine"].as_str().unwrap()).unwrap();
    kill(i32::try_from(machine["Pid"].as_i64().unwrap()).unwrap());
    let socket = directory.join("agent.sock");
    fs::remove_file(&socket).unwrap();
    let hostile = Hostile::start(socket.to_str().unwrap(), script);
    hostile.join(&machine["Groups"]);
    machine["Pid"] = json!(hostile.pid());
    machine["StartTime"] = json!(hostile.start_time());
    machine["Proof"] = json!(false);
    record["machine"] = json!(machine.to_string());
    fs::write(&state, record.to_string()).unwrap();

    service.run();
    let mut client = service.client();
    for (handle, id) in [(1, "sound"), (2, "hostile")] {
        let open = open_system(handle, id, None);
        client.call(&open).ok();
    }
    (hostile, service, client)
}

/// The hostile system has ended because of its agent; the other works.
fn only_the_hostile_one_ends(mut client: Client) {
    let end = client.connection_closed(2);
    the_hostile_one_has_ended(&end, client);
}

/// `end` is the end of the hostile system, because of its agent; the other works.
fn the_hostile_one_has_ended((subject, _, status): &(Subject, u32, Value), mut client: Client) {
    assert_eq!(*subject, Subject::System(2));
    assert_eq!(status["ExitType"], "UnexpectedExit");
    assert_eq!(
        status["Attribution"][0]["SystemExit"]["Initiator"], "Internal",
        "{status}"
    );
    let mut process = client.create_process(1, 100, &shell("echo sound"));
    assert_eq!(process.output(), "sound\n");
    assert_eq!(client.exit_code(100), 0);
    client.terminate(1);
}

fn process_list(system: u64) -> Call {
    Call::GetSystemProperties {
        system,
        query: Some(r#"{"PropertyTypes":["ProcessList"]}"#.to_owned()),
    }
}

/// Sends a process creation to the hostile system, whose agent's answer must end it.
fn creation_is_fatal(script: &str) {
    let (_hostile, _service, mut client) = with_hostile_agent("", script);
    let created = client.send(&create_process(2, 3, &shell("true")));
    let result = client.wait(created).reply.result;
    assert!(!result.is_success(), "{result}");
    only_the_hostile_one_ends(client);
}

#[test]
fn bytes_that_are_no_message_end_the_system() {
    creation_is_fatal("noise");
}

#[test]
fn a_message_that_is_announced_too_large_ends_the_system() {
    creation_is_fatal("too large");
}

#[test]
fn an_answer_that_no_call_waits_for_ends_the_system() {
    creation_is_fatal("unasked");
}

#[test]
fn an_answer_of_another_kind_ends_the_system() {
    creation_is_fatal("other kind");
}

#[test]
fn a_request_from_the_agent_ends_the_system() {
    creation_is_fatal("request");
}

#[test]
fn notifications_without_end_end_the_system() {
    creation_is_fatal("notifications");
}

#[test]
fn an_impossible_process_id_ends_the_system() {
    creation_is_fatal("pid 0");
    creation_is_fatal("pid -1");
}

#[test]
fn an_exit_before_the_creation_ends_the_system() {
    creation_is_fatal("early exit");
}

#[test]
fn a_process_created_twice_ends_the_system() {
    let (_hostile, _service, mut client) = with_hostile_agent("", "pid 7");
    let first = client.create_process(2, 3, &shell("true"));
    assert_eq!(first.pid, 7);
    let second = client.send(&create_process(2, 4, &shell("true")));
    assert!(!client.wait(second).reply.result.is_success());
    let (subject, _, status) = client.connection_closed(2);
    assert_eq!(subject, Subject::Process(3));
    assert_ne!(
        status["LastWaitResult"], 0,
        "an agent that lies is not asked for exit codes"
    );
    let end = client.event();
    the_hostile_one_has_ended(&end, client);
}

#[test]
fn errors_are_told_in_the_agents_words_but_made_safe() {
    let (_hostile, _service, mut client) = with_hostile_agent("", "errors");
    let message = client
        .call(&create_process(2, 3, &shell("true")))
        .failed(HResult::HCS_E_SYSTEM_NOT_FOUND);
    assert!(message.starts_with("line one line two"), "{message}");
    assert!(message.len() <= 8192 && !message.contains(char::is_control));
    client
        .call(&process_list(2))
        .failed(HResult::HCS_E_SYSTEM_NOT_FOUND);
    client.terminate(2);
    client.terminate(1);
}

#[test]
fn a_property_list_that_is_none_fails_the_call_only() {
    let (_hostile, _service, mut client) = with_hostile_agent("", "properties");
    client
        .call(&process_list(2))
        .failed(HResult::HCS_E_PROTOCOL_ERROR);
    client.terminate(2);
    client.terminate(1);
}

#[test]
fn a_list_of_more_processes_than_there_can_be_ends_the_system() {
    let (_hostile, service, mut client) =
        with_hostile_agent("[times]\nquery_seconds = 60\n", "many");
    client
        .call(&process_list(2))
        .failed(HResult::HCS_E_PROTOCOL_ERROR);
    let status = fs::read_to_string(format!("/proc/{}/status", service.pid())).unwrap();
    let peak = status.lines().find(|line| line.starts_with("VmHWM:"));
    let peak = peak.unwrap().split_whitespace().nth(1).unwrap();
    let peak: u64 = peak.parse().unwrap();
    assert!(peak < 128 << 10, "the service has taken {peak} KiB for it");
    only_the_hostile_one_ends(client);
}

#[test]
fn processes_that_an_agent_invents_without_end_end_the_system_and_leave_no_trace() {
    let (_hostile, service, mut client) = with_hostile_agent("", "invents");
    // The agent hangs up with each, and has further processes on its next stream.
    let mut creations = 0;
    loop {
        let created = client.call(&create_process(2, 3, &shell("true")));
        if created.reply.result == HResult::HCS_E_SYSTEM_ALREADY_STOPPED {
            break;
        }
        assert!(!created.reply.result.is_success());
        let journals = systems(&service).into_iter();
        let journals = journals.filter_map(|path| fs::metadata(path.join("processes.jsonl")).ok());
        assert!(journals.map(|file| file.len()).sum::<u64>() < 1000);
        creations += 1;
        assert!(creations < 6, "it may have as many as it says");
    }
    only_the_hostile_one_ends(client);
    let mut exits = 0;
    for segment in fs::read_dir(service.root().join("events")).unwrap() {
        let text = fs::read_to_string(segment.unwrap().path()).unwrap();
        let hostile = text.lines().filter(|line| line.contains("\"hostile\""));
        exits += hostile
            .filter(|line| line.contains("ProcessExited"))
            .count();
    }
    assert_eq!(exits, 0, "exits of processes that no client had");
}

#[test]
fn a_process_that_only_the_agent_knew_is_written_down_when_a_client_has_it() {
    let (_hostile, service, mut client) = with_hostile_agent("", "invents");
    let open = Call::OpenProcess {
        system: 2,
        process: 3,
        process_id: 1001,
        again: false,
    };
    client.call(&open).ok();
    // It is written down with the answer; this one comes after both.
    client.call(&Call::EnumerateSystems { query: None }).ok();
    let text: String = (systems(&service).into_iter())
        .filter_map(|path| fs::read_to_string(path.join("processes.jsonl")).ok())
        .collect();
    assert_eq!(text.matches("\"pid\":1001,").count(), 1, "{text}");
    client.terminate(2);
    client.terminate(1);
}

#[test]
fn an_answer_that_has_no_reason_to_be_long_ends_the_system() {
    creation_is_fatal("long");
}

#[test]
fn a_long_list_of_processes_is_told_in_each_of_its_forms() {
    let (_hostile, _service, mut client) = with_hostile_agent("", "long list");
    let query = r#"{"PropertyTypes":["ProcessList"],"PropertyQueries":{"ProcessList":{}}}"#;
    let call = Call::GetSystemProperties {
        system: 2,
        query: Some(query.to_owned()),
    };
    let answer = client.call(&call).ok().json();
    let list = answer["ProcessList"].as_array().unwrap();
    assert_eq!(list.len(), 1000);
    assert_eq!(list[999]["ProcessId"], 7);
    let by_name = &answer["PropertyResponses"]["ProcessList"]["Response"];
    assert_eq!(by_name.as_array(), Some(list));
    client.terminate(2);
    client.terminate(1);
}

#[test]
fn an_agent_that_says_nothing_delays_no_client() {
    let lines = "[times]\nguest_seconds = 1\n";
    let (_hostile, _service, mut client) = with_hostile_agent(lines, "silent");
    let stuck = client.send(&create_process(2, 3, &shell("true")));
    let stuck_list = client.send(&process_list(2));
    // All other calls are served meanwhile, and so is its own terminate.
    let mut process = client.create_process(1, 100, &shell("echo sound"));
    assert_eq!(process.output(), "sound\n");
    assert_eq!(client.exit_code(100), 0);
    client.call(&Call::EnumerateSystems { query: None }).ok();
    client.wait(stuck).failed(HResult::HCS_E_CONNECTION_TIMEOUT);
    client
        .wait(stuck_list)
        .failed(HResult::HCS_E_CONNECTION_TIMEOUT);
    let stuck = client.send(&create_process(2, 4, &shell("true")));
    client.terminate(2);
    client
        .wait(stuck)
        .failed(HResult::HCS_E_SYSTEM_ALREADY_STOPPED);
    assert_eq!(client.system_exit(2), "ForcedExit");
    client.terminate(1);
}

#[test]
fn what_needs_no_agent_is_told_although_the_agent_says_nothing() {
    let lines = "[times]\nquery_seconds = 1\n";
    let (_hostile, _service, mut client) = with_hostile_agent(lines, "silent");
    let names = [
        "Basic",
        "GuestConnection",
        "Memory",
        "ProcessList",
        "Statistics",
    ];
    let query: Value = names
        .iter()
        .map(|name| ((*name).to_owned(), json!({})))
        .collect();
    let call = Call::GetSystemProperties {
        system: 2,
        query: Some(json!({ "PropertyQueries": query }).to_string()),
    };
    let answers = client.call(&call).ok().json()["PropertyResponses"].clone();
    for name in names {
        let error = &answers[name]["Error"];
        if name == "ProcessList" {
            assert_eq!(error["Error"], HResult::HCS_E_CONNECTION_TIMEOUT.0);
            let message = "the guest agent of 'hostile' does not answer; is it stopped?";
            assert_eq!(error["ErrorMessage"], message);
        } else {
            assert!(
                error.is_null() && answers[name]["Response"].is_object(),
                "{answers}"
            );
        }
    }
    assert_eq!(answers["Basic"]["Response"]["Id"], "hostile");
    client.terminate(2);
    client.terminate(1);
}

#[test]
fn an_agent_that_never_greets_delays_no_client() {
    let lines = "[times]\nguest_seconds = 1\n";
    let (_hostile, _service, mut client) = with_hostile_agent(lines, "mute");
    let stuck = client.send(&create_process(2, 3, &shell("true")));
    let mut process = client.create_process(1, 100, &shell("echo sound"));
    assert_eq!(process.output(), "sound\n");
    assert_eq!(client.exit_code(100), 0);
    client.wait(stuck).failed(HResult::HCS_E_CONNECTION_CLOSED);
    // It may be a good one that does not get its turn. A client that knows better terminates it.
    client.terminate(2);
    assert_eq!(client.system_exit(2), "ForcedExit");
    client.terminate(1);
}

#[test]
fn an_agent_that_hangs_up_again_and_again_ends_its_system_only() {
    let (_hostile, _service, mut client) = with_hostile_agent("", "hangs up");
    loop {
        let result = client
            .call(&create_process(2, 3, &shell("true")))
            .reply
            .result;
        if result == HResult::HCS_E_SYSTEM_ALREADY_STOPPED {
            break;
        }
        assert!(!result.is_success());
    }
    only_the_hostile_one_ends(client);
}
