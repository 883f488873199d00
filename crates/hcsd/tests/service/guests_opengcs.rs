//! Microsoft's agent for Linux guests, as its conversation with a host was recorded (`data/opengcs`): a guest in a real
//! QEMU says to the service what that agent said, byte for byte, over its own device for vsock.
//!
//! The guest only passes bytes on ([`Relay`]), for a program on the host that reads the record ([`Agent`]). Each line
//! of the record is a message that the host has to send or is sent, or what the processes of the guest do in between.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::Shutdown,
    os::{
        fd::AsRawFd as _,
        unix::net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use hcs_schema::HResult;
use hcs_wire::service::{Call, Subject};
use serde_json::{Value, json};

use crate::{
    common::{
        Client, Service,
        client::{SYSTEM_EXITED, create_process, create_system, open_system, start_system},
    },
    guests::Guest,
};

const RECORD: &str = include_str!("../data/opengcs/conversation.jsonl");

/// Ports of the relay: for orders, and for the streams that come of them.
const ORDERS: u32 = 6000;
const STREAMS: u32 = 6001;
/// The port of the bridge.
const BRIDGE: u64 = 0x4000_0000;

/// Only so that a failure does not hang.
fn patient(stream: UnixStream) -> UnixStream {
    let patience = Some(Duration::from_secs(60));
    stream.set_read_timeout(patience).unwrap();
    stream
}

/// The program in the guest, which dials what it is told to.
struct Relay {
    orders: UnixStream,
    streams: UnixListener,
}

impl Relay {
    fn dial(&mut self, port: u64) -> UnixStream {
        writeln!(self.orders, "{port}").unwrap();
        let mut stream = patient(self.streams.accept().unwrap().0);
        let mut said = [0; 4];
        stream.read_exact(&mut said[..3]).unwrap();
        assert_ne!(
            &said[..3],
            b"no\n",
            "the host has not accepted the port {port}"
        );
        stream.read_exact(&mut said[3..]).unwrap();
        assert_eq!(&said, b"yes\n");
        stream
    }
}

/// Plays the guest's part of the record.
struct Agent {
    relay: Relay,
    bridge: Option<UnixStream>,
    /// The ids of the host's requests, by those of the record.
    ids: HashMap<u64, u64>,
    /// Streams that were dialled for the process that is being made, by their names.
    dialled: HashMap<String, UnixStream>,
    processes: HashMap<u64, HashMap<String, UnixStream>>,
}

impl Agent {
    fn play(mut self) {
        for line in RECORD.lines() {
            let entry: Value = serde_json::from_str(line).unwrap();
            match entry["to"].as_str() {
                Some("guest") => self.hear(&entry),
                Some(_) => self.say(&entry),
                None => self.act(&entry),
            }
        }
    }

    /// Reads a message; its type, its id and its body.
    fn read(&mut self) -> Option<(String, u64, Value)> {
        let bridge = self.bridge.as_mut().unwrap();
        let mut header = [0; 16];
        bridge.read_exact(&mut header).ok()?;
        let size = u32::from_le_bytes(header[4..8].try_into().unwrap());
        let mut body = vec![0; size as usize - header.len()];
        bridge.read_exact(&mut body).unwrap();
        let kind: String = header[..4].iter().map(|b| format!("{b:02x}")).collect();
        let id = u64::from_le_bytes(header[8..].try_into().unwrap());
        Some((kind, id, serde_json::from_slice(&body).unwrap()))
    }

    /// The host says what it said then.
    fn hear(&mut self, entry: &Value) {
        let (kind, id, body) = self.read().unwrap();
        assert_eq!(kind, entry["type"].as_str().unwrap(), "{body}");
        let recorded: Value = serde_json::from_str(entry["body"].as_str().unwrap()).unwrap();
        // What our agent takes beside is no part of the protocol that was recorded.
        let is_first = entry["what"] == "NegotiateProtocol";
        same(&plain(&body), &plain(&recorded), is_first);
        self.ids.insert(entry["id"].as_u64().unwrap(), id);
        let ports = body
            .pointer("/Settings/VsockStdioRelaySettings")
            .and_then(Value::as_object);
        // The agent dials before it answers, in this order.
        for name in ["StdIn", "StdOut", "StdErr"] {
            if let Some(port) = ports.and_then(|ports| ports.get(name)) {
                let stream = self.relay.dial(port.as_u64().unwrap());
                self.dialled.insert(name.to_owned(), stream);
            }
        }
    }

    fn say(&mut self, entry: &Value) {
        let body = entry["body"].as_str().unwrap();
        let kind = u32::from_str_radix(entry["type"].as_str().unwrap(), 16).unwrap();
        let id = self.ids[&entry["id"].as_u64().unwrap()];
        let mut message = kind.to_be_bytes().to_vec();
        message.extend(u32::try_from(16 + body.len()).unwrap().to_le_bytes());
        message.extend(id.to_le_bytes());
        message.extend(body.as_bytes());
        let answer: Value = serde_json::from_str(body).unwrap();
        if let Some(process) = answer["ProcessId"].as_u64() {
            let streams = std::mem::take(&mut self.dialled);
            self.processes.insert(process, streams);
        }
        // The streams of a process that could not be made end.
        self.dialled.clear();
        let bridge = self.bridge.as_mut().unwrap();
        bridge.write_all(&message).unwrap();
    }

    /// What happens in the guest between two messages.
    fn act(&mut self, entry: &Value) {
        let process = entry["process"].as_u64().unwrap_or_default();
        let text = entry["text"].as_str().unwrap_or_default();
        let mut stream = |name: &str| {
            let stream = self.processes.get_mut(&process).unwrap();
            stream.get_mut(name).unwrap().try_clone().unwrap()
        };
        match entry["act"].as_str().unwrap() {
            "dial" => self.bridge = Some(self.relay.dial(BRIDGE)),
            "say" => stream(entry["stream"].as_str().unwrap())
                .write_all(text.as_bytes())
                .unwrap(),
            "hear" => {
                let mut heard = vec![0; text.len()];
                stream("StdIn").read_exact(&mut heard).unwrap();
                assert_eq!(heard, text.as_bytes());
            }
            "echo" => {
                let mut heard = Vec::new();
                stream("StdIn").read_to_end(&mut heard).unwrap();
                stream("StdOut").write_all(&heard).unwrap();
            }
            "close" => {
                for (_, stream) in self.processes.remove(&process).unwrap() {
                    let _ended_already = stream.shutdown(Shutdown::Both);
                }
            }
            "end of stream" => {
                assert!(self.read().is_none());
                self.ids.clear();
            }
            "off" => self.relay.orders.write_all(b"off\n").unwrap(),
            other => panic!("{other}"),
        }
    }
}

/// A message without what differs from host to host: the id of the operation, and the numbers of ports.
fn plain(body: &Value) -> Value {
    let mut body = body.clone();
    body.as_object_mut().unwrap().remove("ActivityId");
    let parameters = body.pointer("/Settings/ProcessParameters");
    if let Some(parameters) = parameters.and_then(Value::as_str) {
        let parameters: Value = serde_json::from_str(parameters).unwrap();
        body["Settings"]["ProcessParameters"] = parameters;
        let ports = body["Settings"]["VsockStdioRelaySettings"].as_object_mut();
        for (_, port) in ports.unwrap() {
            *port = Value::Null;
        }
    }
    body
}

#[track_caller]
fn same(said: &Value, recorded: &Value, may_have_more: bool) {
    if !may_have_more {
        assert_eq!(said, recorded);
        return;
    }
    for (name, value) in recorded.as_object().unwrap() {
        assert_eq!(&said[name], value, "{name}");
    }
}

/// The settings that the record has for the guest.
fn recorded_changes() -> Vec<Call> {
    let entries = RECORD
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let changes =
        entries.filter(|entry| entry["to"] == "guest" && entry["what"] == "ModifySettings");
    let call = |entry: Value| {
        let body: Value = serde_json::from_str(entry["body"].as_str().unwrap()).unwrap();
        Call::ModifySystem {
            system: 1,
            settings: json!({ "GuestRequest": body["Request"] }).to_string(),
        }
    };
    changes.map(call).collect()
}

/// Parameters as the recorded host had them, with these.
fn parameters(more: &Value) -> Value {
    let mut parameters = json!({
        "WorkingDirectory": "/", "Environment": {"PATH": "/sbin:/usr/sbin:/bin:/usr/bin"},
    });
    for (name, value) in more.as_object().unwrap() {
        parameters[name] = value.clone();
    }
    parameters
}

/// Makes and starts a guest whose agent plays the record; its runtime id, and the thread of that agent.
fn start(service: &Service, client: &mut Client) -> (String, thread::JoinHandle<()>) {
    let guest = Guest::new();
    let document = guest
        .document_with(|machine| {
            machine["Devices"]["HvSocket"] = json!({});
            machine["GuestConnection"] = json!({"UseVsock": true});
        })
        .to_string()
        .replace("quiet", "quiet rdinit=/bin/relay");
    let made = client.call(&create_system(1, "guest", &document)).ok();
    let runtime_id = made.reply.runtime_id.unwrap();
    let (orders, streams) = listen(&service.root().join("systems").join(&runtime_id));
    let agent = thread::spawn(move || {
        let orders = patient(orders.accept().unwrap().0);
        let agent = Agent {
            relay: Relay { orders, streams },
            bridge: None,
            ids: HashMap::new(),
            dialled: HashMap::new(),
            processes: HashMap::new(),
        };
        agent.play();
    });
    client.call(&start_system(1)).ok();
    (runtime_id, agent)
}

/// Listens to what the guest dials.
fn listen(directory: &Path) -> (UnixListener, UnixListener) {
    // By its descriptor: the path of a test's directory may be longer than the address of a socket.
    let opened = File::open(directory.join("hvsocket")).unwrap();
    let folder = PathBuf::from(format!("/proc/self/fd/{}", opened.as_raw_fd()));
    let at = |port: u32| UnixListener::bind(folder.join(format!("vsock_{port}"))).unwrap();
    (at(ORDERS), at(STREAMS))
}

/// What that agent cannot do for processes outside of its containers is refused, without asking it.
fn is_refused(client: &mut Client, process: u64) {
    let calls = [
        Call::SignalProcess {
            process,
            options: Some(json!({"Signal": 15}).to_string()),
        },
        Call::ModifyProcess {
            process,
            settings:
                json!({"Operation": "ConsoleSize", "ConsoleSize": {"Height": 40, "Width": 120}})
                    .to_string(),
        },
    ];
    for call in calls {
        let message = client.call(&call).failed(HResult::NOT_SUPPORTED);
        assert!(message.contains("the guest agent does not"), "{message}");
    }
}

fn has_ended(client: &mut Client) {
    loop {
        let (subject, event_type, status) = client.event();
        if (subject, event_type) == (Subject::System(1), SYSTEM_EXITED) {
            assert_eq!(status["ExitType"], "GracefulExit", "{status}");
            return;
        }
    }
}

#[test]
fn the_recorded_agent_of_microsoft_is_served_and_what_it_lacks_is_refused() {
    // The client before the kill does not come back: its time is the time that the ended guest stays.
    let mut service = Service::with_config("[times]\nreconnect_seconds = 10\n");
    let mut client = service.client();
    let (runtime_id, agent) = start(&service, &mut client);
    for change in recorded_changes() {
        client.call(&change).ok();
    }

    let script = "uname -a; id; echo to-stderr >&2; exit 7";
    let mut process = client.create_process(
        1,
        2,
        &parameters(&json!({
            "CommandArgs": ["/bin/sh", "-c", script], "CreateStdOutPipe": true, "CreateStdErrPipe": true,
        })),
    );
    assert_eq!((process.pid, process.output().lines().count()), (100, 2));
    let mut errors = String::new();
    let mut stderr = BufReader::new(process.stderr.take().unwrap());
    stderr.read_line(&mut errors).unwrap();
    assert_eq!(errors, "to-stderr\n");
    assert_eq!(client.exit_code(2), 7);
    client.create_process(1, 3, &parameters(&json!({"CommandLine": "/bin/true"})));
    assert_eq!(client.exit_code(3), 0);
    let all = json!({
        "CommandLine": "/bin/cat", "CreateStdInPipe": true, "CreateStdOutPipe": true, "CreateStdErrPipe": true,
    });
    let mut process = client.create_process(1, 4, &parameters(&all));
    process.write("and back\n");
    drop(process.stdin.take());
    assert_eq!(process.output(), "and back\n");
    assert_eq!(client.exit_code(4), 0);
    let missing = parameters(&json!({"CommandArgs": ["/bin/nosuch"]}));
    let message = client
        .call(&create_process(1, 5, &missing))
        .failed(HResult::E_FAIL);
    assert!(message.contains("no such file"), "{message}");

    let console =
        json!({"EmulateConsole": true, "CreateStdInPipe": true, "CreateStdOutPipe": true});
    let mut shell = parameters(&console);
    shell["CommandLine"] = json!("/bin/sh");
    let mut process = client.create_process(1, 6, &shell);
    process.write("exit 3\n");
    assert_eq!(client.exit_code(6), 3);
    let mut sleeping = parameters(&console);
    sleeping["CommandArgs"] = json!(["/bin/sleep", "1000"]);
    let sleeper = client.create_process(1, 7, &sleeping);
    is_refused(&mut client, 7);

    // The agent dials again, and goes on with the next service.
    service.kill();
    service.run();
    let mut client = service.client();
    client
        .call(&open_system(1, "guest", Some(&runtime_id)))
        .ok();
    let echo = json!({
        "CommandArgs": ["/bin/sh", "-c", "echo after-reconnect"], "CreateStdOutPipe": true, "CreateStdErrPipe": true,
    });
    let mut process = client.create_process(1, 8, &parameters(&echo));
    assert_eq!(process.output(), "after-reconnect\n");
    assert_eq!(client.exit_code(8), 0);
    let shut_down = Call::ShutDownSystem {
        system: 1,
        options: None,
    };
    client.call(&shut_down).ok();
    has_ended(&mut client);
    agent.join().unwrap();
    drop(sleeper);
}
