//! A client: one connection, calls and answers by number.

use std::{
    collections::{HashMap, VecDeque},
    fs::File,
    io::{Read as _, Write as _},
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::net::UnixStream,
    },
    path::Path,
    time::Duration,
};

use hcs_schema::HResult;
pub(crate) use hcs_wire::event_type::SYSTEM_EXITED;
use hcs_wire::{
    event_type::{
        PROCESS_EXITED, SYSTEM_CRASH_INITIATED, SYSTEM_CRASH_REPORT, SYSTEM_GUEST_CONNECTION_CLOSED,
    },
    service::{
        Call, Decoder, Event, Frame, Kind, ProcessInformation, Reply, Subject, VERSION, encode,
    },
    socket,
};
use serde_json::Value;

/// No test waits longer than this for one message; a service that hangs fails the test instead of blocking it.
const LIMIT: Duration = Duration::from_secs(60);

/// The answer to a call.
#[derive(Debug)]
pub(crate) struct ClientAnswer {
    pub(crate) reply: Reply,
    pub(crate) descriptors: VecDeque<OwnedFd>,
}

impl ClientAnswer {
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(
            self.reply.result,
            HResult::S_OK,
            "{:?}",
            self.reply.document
        );
        self
    }

    /// Asserts the failure, and that it is told in words.
    #[track_caller]
    pub(crate) fn failed(self, expected: HResult) -> String {
        assert_eq!(self.reply.result, expected, "{:?}", self.reply.document);
        let document: Value =
            serde_json::from_str(self.reply.document.as_deref().unwrap()).unwrap();
        let message = document["ErrorMessage"].as_str().unwrap().to_owned();
        assert!(!message.is_empty());
        message
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(self.reply.document.as_deref().unwrap()).unwrap()
    }
}

/// A process as its creator sees it.
#[derive(Debug)]
pub(crate) struct Created {
    pub(crate) pid: u32,
    pub(crate) handle: u64,
    pub(crate) stdin: Option<File>,
    pub(crate) stdout: Option<File>,
    pub(crate) stderr: Option<File>,
}

impl Created {
    pub(crate) fn write(&mut self, text: &str) {
        self.stdin
            .as_mut()
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
    }

    /// Everything it still writes to stdout.
    pub(crate) fn output(&mut self) -> String {
        let mut text = String::new();
        self.stdout
            .take()
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        text
    }
}

pub(crate) struct Client {
    pub(crate) stream: UnixStream,
    decoder: Decoder,
    next: u64,
    replies: HashMap<u64, ClientAnswer>,
    pub(crate) events: VecDeque<Event>,
}

impl Client {
    /// Connects and says hello.
    pub(crate) fn connect(endpoint: &Path) -> Self {
        Self::connect_as(endpoint, None)
    }

    /// Connects as a client that may come back.
    pub(crate) fn connect_as(endpoint: &Path, instance: Option<&str>) -> Self {
        let mut client = Self::connect_silently(endpoint);
        let hello = Call::Hello {
            minimum: VERSION,
            maximum: VERSION,
            instance: instance.map(str::to_owned),
        };
        client.call(&hello).ok();
        client
    }

    pub(crate) fn connect_silently(endpoint: &Path) -> Self {
        let stream = UnixStream::connect(endpoint).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        Self {
            stream,
            decoder: Decoder::default(),
            next: 1,
            replies: HashMap::new(),
            events: VecDeque::new(),
        }
    }

    /// Sends a call; returns its number.
    pub(crate) fn send(&mut self, call: &Call) -> u64 {
        let request = self.next;
        self.next += 1;
        let bytes = encode(Kind::Request, request, 0, call).unwrap();
        socket::send_all(&self.stream, &bytes, &[]).unwrap();
        request
    }

    /// Sends a call under the number `request`, with pipes for a process.
    pub(crate) fn send_as(&mut self, kind: Kind, request: u64, call: &Call, pipes: &[OwnedFd]) {
        let count = u16::try_from(pipes.len()).unwrap();
        let bytes = encode(kind, request, count, call).unwrap();
        let pipes: Vec<_> = pipes.iter().map(OwnedFd::as_fd).collect();
        socket::send_all(&self.stream, &bytes, &pipes).unwrap();
    }

    /// Sends calls at once, so that all are there when the service takes the first up; answers their numbers.
    pub(crate) fn send_together<const N: usize>(&mut self, calls: [&Call; N]) -> [u64; N] {
        let mut bytes = Vec::new();
        let requests = calls.map(|call| {
            let request = self.next;
            self.next += 1;
            bytes.extend(encode(Kind::Request, request, 0, call).unwrap());
            request
        });
        socket::send_all(&self.stream, &bytes, &[]).unwrap();
        requests
    }

    /// Waits for the answer to a call.
    #[track_caller]
    pub(crate) fn wait(&mut self, request: u64) -> ClientAnswer {
        loop {
            if let Some(answer) = self.replies.remove(&request) {
                return answer;
            }
            assert!(self.receive(), "the service closed the connection");
        }
    }

    #[track_caller]
    pub(crate) fn call(&mut self, call: &Call) -> ClientAnswer {
        let request = self.send(call);
        self.wait(request)
    }

    /// Receives something; `false` when the service has closed the connection.
    #[track_caller]
    pub(crate) fn receive(&mut self) -> bool {
        let mut buffer = [0; 4096];
        let n = match socket::receive(&self.stream, &mut buffer, &mut self.decoder.descriptors) {
            Ok(n) => n,
            Err(rustix::io::Errno::CONNRESET) => 0,
            Err(e) => panic!("nothing came: {e}"),
        };
        if n == 0 {
            return false;
        }
        self.decoder.feed(&buffer[..n]);
        while let Some(frame) = self.decoder.next_frame().unwrap() {
            self.sort(frame);
        }
        true
    }

    fn sort(&mut self, frame: Frame) {
        match frame.kind {
            Kind::Reply => {
                let reply: Reply = frame.parse("reply").unwrap();
                let answer = ClientAnswer {
                    reply,
                    descriptors: frame.descriptors.into(),
                };
                assert!(
                    self.replies.insert(frame.id, answer).is_none(),
                    "two answers to {}",
                    frame.id
                );
            }
            Kind::Event => self.events.push_back(frame.parse("event").unwrap()),
            Kind::Request | Kind::Repeat => panic!("the service sent a request"),
        }
    }

    /// Waits for the next event; returns its subject, type and document, null where it has none.
    #[track_caller]
    pub(crate) fn event(&mut self) -> (Subject, u32, Value) {
        while self.events.is_empty() {
            assert!(self.receive(), "the service closed the connection");
        }
        let event = self.events.pop_front().unwrap();
        let data = event.data.as_deref().unwrap_or("null");
        let data = serde_json::from_str(data).unwrap();
        (event.subject, event.event_type, data)
    }

    /// The same, with the reports of a crash of its guest left out that come before.
    #[track_caller]
    pub(crate) fn event_after_crash(&mut self) -> (Subject, u32, Value) {
        loop {
            let event = self.event();
            if ![SYSTEM_CRASH_INITIATED, SYSTEM_CRASH_REPORT].contains(&event.1) {
                return event;
            }
        }
    }

    /// Waits for the exit of a process, which must be the next event; returns its exit code.
    #[track_caller]
    pub(crate) fn exit_code(&mut self, handle: u64) -> u64 {
        let (subject, event_type, status) = self.event();
        assert_eq!(
            (subject, event_type),
            (Subject::Process(handle), PROCESS_EXITED)
        );
        assert_eq!(status["Exited"], true);
        assert_eq!(status["LastWaitResult"], 0, "{status}");
        status["ExitCode"].as_u64().unwrap()
    }

    /// Waits to hear that the agent of a system is lost, which must be the next event, and perhaps again; answers the
    /// event after.
    #[track_caller]
    pub(crate) fn connection_closed(&mut self, system: u64) -> (Subject, u32, Value) {
        let lost = (
            Subject::System(system),
            SYSTEM_GUEST_CONNECTION_CLOSED,
            Value::Null,
        );
        assert_eq!(self.event(), lost);
        loop {
            let next = self.event();
            if next != lost {
                return next;
            }
        }
    }

    /// Waits for the end of a system, which must be the next event; returns its kind.
    #[track_caller]
    pub(crate) fn system_exit(&mut self, handle: u64) -> String {
        let (subject, event_type, status) = self.event();
        assert_eq!(
            (subject, event_type),
            (Subject::System(handle), SYSTEM_EXITED)
        );
        assert_eq!(status["Status"], 0);
        status["ExitType"].as_str().unwrap().to_owned()
    }

    /// Makes and starts a container on the host's own files.
    #[track_caller]
    pub(crate) fn start_container(&mut self, handle: u64, id: &str) {
        self.call(&create_system(handle, id, CONTAINER)).ok();
        self.call(&start_system(handle)).ok();
    }

    #[track_caller]
    pub(crate) fn create_process(
        &mut self,
        system: u64,
        handle: u64,
        parameters: &Value,
    ) -> Created {
        let request = self.send(&create_process(system, handle, parameters));
        self.created(request, handle)
    }

    /// A process that does not end when it is asked to, and so keeps a shutdown waiting; deaf already.
    #[track_caller]
    pub(crate) fn create_deaf_process(&mut self, system: u64, handle: u64) -> Created {
        let script = "trap '' TERM; echo ready; while :; do sleep 1; done";
        let mut deaf = self.create_process(system, handle, &shell(script));
        let mut said = [0; 6];
        deaf.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
        deaf
    }

    #[track_caller]
    pub(crate) fn created(&mut self, request: u64, handle: u64) -> Created {
        let mut answer = self.wait(request).ok();
        let information: ProcessInformation = answer.reply.process.unwrap();
        let mut take =
            |wanted: bool| wanted.then(|| File::from(answer.descriptors.pop_front().unwrap()));
        let created = Created {
            pid: information.process_id,
            handle,
            stdin: take(information.stdin),
            stdout: take(information.stdout),
            stderr: take(information.stderr),
        };
        assert!(answer.descriptors.is_empty());
        created
    }

    #[track_caller]
    pub(crate) fn terminate(&mut self, system: u64) {
        self.call(&terminate_system(system)).ok();
    }
}

pub(crate) const CONTAINER: &str =
    r#"{"SchemaVersion":{"Major":2,"Minor":1},"Owner":"test","Container":{}}"#;

pub(crate) fn create_system(system: u64, id: &str, document: &str) -> Call {
    Call::CreateSystem {
        system,
        id: id.to_owned(),
        document: document.to_owned(),
    }
}

pub(crate) fn start_system(system: u64) -> Call {
    Call::StartSystem {
        system,
        options: None,
    }
}

pub(crate) fn terminate_system(system: u64) -> Call {
    Call::TerminateSystem {
        system,
        options: None,
    }
}

pub(crate) fn create_process(system: u64, process: u64, parameters: &Value) -> Call {
    Call::CreateProcess {
        system,
        process,
        parameters: parameters.to_string(),
        pipes: None,
    }
}

/// Parameters of a shell command with all three pipes.
pub(crate) fn shell(script: &str) -> Value {
    serde_json::json!({
        "CommandArgs": ["/bin/sh", "-c", script],
        "CreateStdInPipe": true, "CreateStdOutPipe": true, "CreateStdErrPipe": true,
    })
}

pub(crate) fn open_system(system: u64, id: &str, runtime_id: Option<&str>) -> Call {
    Call::OpenSystem {
        system,
        id: id.to_owned(),
        runtime_id: runtime_id.map(str::to_owned),
    }
}
