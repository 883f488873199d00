//! The host's side of the guest bridge, blocking.

use std::{
    collections::{BTreeMap, VecDeque},
    fs::File,
    io::{Read as _, Write as _},
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    time::Duration,
};

use hcs_schema::HResult;
use hcs_wire::{
    guest::{
        Decoder, ExecuteProcess, ExecuteProcessResponse, ExecuteProcessSettings, MessageType,
        NO_TIMEOUT, NULL_ID, Naming, NegotiateProtocol, NegotiateProtocolResponse, RecallCall,
        RecallCallResponse, Renewal, RequestBase, ResponseBase, Rpc, SignalOptions, SignalProcess,
        WaitForProcess, WaitForProcessResponse, encode,
    },
    socket,
};
use rustix::io::Errno;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

/// Nothing here takes as long unless something hangs.
const HANG: Duration = Duration::from_secs(120);

/// A stream to the agent. Answers that come out of order are kept until they are asked for.
pub struct Bridge {
    pub stream: UnixStream,
    decoder: Decoder,
    /// What came along with answers.
    pub descriptors: VecDeque<OwnedFd>,
    answers: BTreeMap<u64, (u32, Vec<u8>)>,
    next_id: u64,
    naming: Naming,
}

/// A process that was started, and the host's ends of its pipes.
#[derive(Debug)]
pub struct Started {
    pub pid: u32,
    pub wait_id: u64,
    pub stdin: Option<File>,
    pub stdout: Option<File>,
    pub stderr: Option<File>,
}

/// The base of a request about the system itself.
pub fn base() -> RequestBase {
    RequestBase {
        container_id: NULL_ID.to_owned(),
        activity_id: "11111111-0000-0000-0000-000000000000".to_owned(),
    }
}

impl Bridge {
    pub fn new(stream: UnixStream) -> Self {
        stream.set_read_timeout(Some(HANG)).unwrap();
        Self {
            stream,
            decoder: Decoder::default(),
            descriptors: VecDeque::new(),
            answers: BTreeMap::new(),
            next_id: 1,
            naming: Naming::default(),
        }
    }

    pub fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Sends a request with descriptors; returns its id.
    pub fn send<T: Serialize>(
        &mut self,
        rpc: Rpc,
        body: &T,
        descriptors: &[BorrowedFd<'_>],
    ) -> u64 {
        let id = self.fresh_id();
        let bytes = encode(MessageType::Request(rpc), id, body).unwrap();
        socket::send_all(&self.stream, &bytes, descriptors).unwrap();
        id
    }

    /// Receives until the answer to `id` is there: its type bits and body.
    pub fn receive(&mut self, id: u64) -> (u32, Vec<u8>) {
        loop {
            if let Some(answer) = self.answers.remove(&id) {
                return answer;
            }
            assert!(
                self.receive_some(),
                "the agent closed the stream before it answered {id}"
            );
        }
    }

    /// Receives once; `false` at the end of the stream.
    pub fn receive_some(&mut self) -> bool {
        let mut bytes = [0; 65536];
        let count = match socket::receive(&self.stream, &mut bytes, &mut self.descriptors) {
            Ok(count) => count,
            Err(Errno::CONNRESET) => 0,
            Err(error) => panic!("no answer: {error}"),
        };
        self.decoder.feed(&bytes[..count]);
        while let Some(frame) = self.decoder.next_frame().unwrap() {
            let answer = (frame.kind.to_bits(), frame.body);
            assert!(
                self.answers.insert(frame.id, answer).is_none(),
                "{} answered twice",
                frame.id
            );
        }
        count > 0
    }

    /// Whether the agent has closed the stream and said nothing more.
    pub fn is_closed(&mut self) -> bool {
        while self.receive_some() {}
        self.answers.is_empty()
    }

    /// Whether the answer to `id` has been received so far.
    pub fn has(&self, id: u64) -> bool {
        self.answers.contains_key(&id)
    }

    pub fn answer<R: DeserializeOwned>(&mut self, id: u64) -> R {
        serde_json::from_slice(&self.receive(id).1).unwrap()
    }

    /// A request and its answer.
    pub fn call<T: Serialize, R: DeserializeOwned>(&mut self, rpc: Rpc, body: &T) -> R {
        let id = self.send(rpc, body, &[]);
        self.answer(id)
    }

    /// A request that fails: code and message.
    pub fn refusal<T: Serialize>(&mut self, rpc: Rpc, body: &T) -> (HResult, String) {
        let base: ResponseBase = self.call(rpc, body);
        assert!(!base.error_message.is_empty());
        (base.hresult(), base.error_message)
    }

    pub fn negotiate(&mut self) -> NegotiateProtocolResponse {
        let request = NegotiateProtocol {
            base: base(),
            minimum_version: 4,
            maximum_version: 4,
            renewal: Renewal::default(),
        };
        let response: NegotiateProtocolResponse = self.call(Rpc::NegotiateProtocol, &request);
        assert_eq!((response.base.result, response.version), (0, 4));
        response
    }

    /// Starts `document`, or says why not.
    pub fn try_start(&mut self, document: &Value) -> Result<Started, ResponseBase> {
        let wanted = |name: &str| document[name].as_bool().unwrap_or(false);
        let (mut ours, mut theirs) = ([None, None, None], Vec::new());
        for (index, name) in ["CreateStdInPipe", "CreateStdOutPipe", "CreateStdErrPipe"]
            .iter()
            .enumerate()
        {
            if wanted(name) {
                let (read, write) =
                    rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
                let (our, their) = if index == 0 {
                    (write, read)
                } else {
                    (read, write)
                };
                ours[index] = Some(File::from(our));
                theirs.push(their);
            }
        }
        let wait_id = self.fresh_id();
        let request = ExecuteProcess {
            base: base(),
            settings: ExecuteProcessSettings {
                process_parameters: document.to_string(),
                ..ExecuteProcessSettings::default()
            },
            wait_message_id: Some(wait_id),
            naming: self.naming(),
        };
        let descriptors: Vec<_> = theirs.iter().map(|end: &OwnedFd| end.as_fd()).collect();
        let id = self.send(Rpc::ExecuteProcess, &request, &descriptors);
        drop(theirs);
        let response: ExecuteProcessResponse = self.answer(id);
        if response.base.result != 0 {
            assert!(!self.has(wait_id));
            return Err(response.base);
        }
        assert_eq!(response.base.activity_id, base().activity_id);
        let [stdin, stdout, stderr] = ours;
        Ok(Started {
            pid: response.process_id,
            wait_id,
            stdin,
            stdout,
            stderr,
        })
    }

    pub fn start(&mut self, document: &Value) -> Started {
        self.try_start(document)
            .unwrap_or_else(|base| panic!("{document}: {base:?}"))
    }

    /// Starts `sh -c script` with all three pipes.
    pub fn shell(&mut self, script: &str) -> Started {
        self.start(&json!({
            "CommandArgs": ["sh", "-c", script],
            "CreateStdInPipe": true, "CreateStdOutPipe": true, "CreateStdErrPipe": true,
        }))
    }

    /// The exit code of a process started with `WaitMessageId`.
    pub fn exit(&mut self, started: &Started) -> u32 {
        self.exit_of(started.wait_id)
    }

    /// The exit code that the wait `id` is answered with.
    pub fn exit_of(&mut self, id: u64) -> u32 {
        let response: WaitForProcessResponse = self.answer(id);
        assert_eq!(response.base.result, 0, "{response:?}");
        response.exit_code
    }

    /// Asks for the exit code of `pid`; answers the id of the request.
    pub fn wait_for(&mut self, pid: u32, timeout_in_ms: Option<u32>) -> u64 {
        let request = WaitForProcess {
            base: base(),
            process_id: pid,
            timeout_in_ms: timeout_in_ms.unwrap_or(NO_TIMEOUT),
        };
        self.send(Rpc::WaitForProcess, &request, &[])
    }

    /// The next start, signal or resize is made for the call `name`, and releases these others.
    pub fn name_next(&mut self, name: &str, released: &[&str]) {
        self.naming = Naming {
            call_name: name.to_owned(),
            released: released.iter().map(|name| (*name).to_owned()).collect(),
        };
    }

    fn naming(&mut self) -> Naming {
        std::mem::take(&mut self.naming)
    }

    pub fn recall(&mut self, name: &str, release_earlier: bool) -> RecallCallResponse {
        let request = RecallCall {
            base: base(),
            call_name: name.to_owned(),
            release_earlier,
        };
        self.call(Rpc::RecallCall, &request)
    }

    pub fn signal(&mut self, pid: u32, signal: Option<i32>) -> ResponseBase {
        let request = SignalProcess {
            base: base(),
            process_id: pid,
            options: signal.map(|signal| SignalOptions {
                signal,
                group: false,
            }),
            naming: self.naming(),
        };
        self.call(Rpc::SignalProcess, &request)
    }

    /// Runs `sh -c script` to its end: exit code, stdout, stderr.
    pub fn run(&mut self, script: &str) -> (u32, String, String) {
        let mut started = self.shell(script);
        drop(started.stdin.take());
        let (out, err) = (started.read_stdout(), started.read_stderr());
        (self.exit(&started), out, err)
    }
}

impl Started {
    pub fn read_stdout(&mut self) -> String {
        read(self.stdout.take())
    }

    pub fn read_stderr(&mut self) -> String {
        read(self.stderr.take())
    }

    pub fn write(&mut self, text: &str) {
        self.stdin
            .as_mut()
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
    }

    /// Reads stdout until `text` has come; answers all that has.
    pub fn read_until(&mut self, text: &str) -> String {
        let mut all = String::new();
        let mut byte = [0];
        while !all.ends_with(text) {
            let count = self.stdout.as_mut().unwrap().read(&mut byte).unwrap();
            assert_ne!(count, 0, "stdout ended before {text:?}: {all:?}");
            all.push(char::from(byte[0]));
        }
        all
    }
}

fn read(file: Option<File>) -> String {
    let mut text = String::new();
    file.unwrap().read_to_string(&mut text).unwrap();
    text
}
