//! A service that does as the test says, on a real socket: it tests how the client treats everything a peer may send.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(
    clippy::allow_attributes,
    reason = "what is unused differs by test file"
)]

use std::{
    collections::VecDeque,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::net::{UnixListener, UnixStream},
    },
    path::Path,
    thread::{self, JoinHandle},
};

use hcs::{
    Endpoint, HResult,
    raw::{Operation, System},
};
use hcs_wire::{
    service::{
        Call, Decoder, Event, Frame, Kind, ProcessInformation, Reply, Subject, VERSION, encode,
    },
    socket::{receive, send_all},
};

/// A directory with the socket of a peer.
pub(crate) struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint::at(self.directory.path().join("hcs.sock"))
    }

    pub(crate) fn listen(&self) -> UnixListener {
        let path = self.directory.path().join("hcs.sock");
        if path.exists() {
            std::fs::remove_file(&path).unwrap();
        }
        UnixListener::bind(path).unwrap()
    }

    /// Plays `script` on the first connection, after the greeting.
    pub(crate) fn play(&self, script: impl FnOnce(&mut Peer) + Send + 'static) -> JoinHandle<()> {
        let listener = self.listen();
        thread::spawn(move || script(&mut Peer::accept(&listener)))
    }

    /// Asks for the creation of a system.
    pub(crate) fn begin(&self) -> (Operation, System) {
        let operation = Operation::new();
        let system = self
            .endpoint()
            .create_system("a", "{}", &operation)
            .unwrap();
        (operation, system)
    }

    /// A system whose creation the peer has answered, and the operation that tracked it.
    pub(crate) fn system(&self) -> (Operation, System) {
        let (operation, system) = self.begin();
        operation.wait(None).unwrap();
        (operation, system)
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// One connection of a client.
pub(crate) struct Peer {
    pub(crate) stream: UnixStream,
    decoder: Decoder,
    events: u64,
}

/// A request as it came.
#[derive(Debug)]
pub(crate) struct PeerRequest {
    pub(crate) id: u64,
    pub(crate) call: Call,
}

impl Peer {
    /// Accepts and greets.
    pub(crate) fn accept(listener: &UnixListener) -> Self {
        let mut peer = Self::accept_only(listener);
        let hello = peer.request();
        assert!(
            matches!(hello.call, Call::Hello { minimum, maximum, .. } if minimum <= VERSION && VERSION <= maximum)
        );
        peer.reply(hello.id, &Reply::done());
        peer
    }

    pub(crate) fn accept_only(listener: &UnixListener) -> Self {
        let (stream, _) = listener.accept().unwrap();
        Self {
            stream,
            decoder: Decoder::default(),
            events: 0,
        }
    }

    /// The next message, or none when the client has closed.
    pub(crate) fn frame(&mut self) -> Option<Frame> {
        let mut buffer = vec![0; 1 << 16];
        loop {
            if let Some(frame) = self.decoder.next_frame().unwrap() {
                return Some(frame);
            }
            let mut descriptors = VecDeque::new();
            let received = receive(&self.stream, &mut buffer, &mut descriptors).ok()?;
            if received == 0 {
                return None;
            }
            self.decoder.feed(&buffer[..received]);
        }
    }

    pub(crate) fn request(&mut self) -> PeerRequest {
        self.next_request().expect("the client has closed")
    }

    pub(crate) fn next_request(&mut self) -> Option<PeerRequest> {
        let frame = self.frame()?;
        assert_eq!(frame.kind, Kind::Request);
        let call = frame.parse("request").unwrap();
        Some(PeerRequest { id: frame.id, call })
    }

    pub(crate) fn reply(&self, id: u64, reply: &Reply) {
        self.reply_with(id, reply, &[]);
    }

    pub(crate) fn reply_with(&self, id: u64, reply: &Reply, descriptors: &[OwnedFd]) {
        let count = u16::try_from(descriptors.len()).unwrap();
        let bytes = encode(Kind::Reply, id, count, reply).unwrap();
        let borrowed: Vec<_> = descriptors.iter().map(|fd| fd.as_fd()).collect();
        send_all(&self.stream, &bytes, &borrowed).unwrap();
    }

    pub(crate) fn event(&mut self, subject: Subject, event_type: u32, data: Option<&str>) {
        self.events += 1;
        let event = Event {
            subject,
            event_type,
            data: data.map(str::to_owned),
        };
        let bytes = encode(Kind::Event, self.events, 0, &event).unwrap();
        send_all(&self.stream, &bytes, &[]).unwrap();
    }

    /// Answers the creation of a system; its handle.
    pub(crate) fn create_system(&mut self) -> u64 {
        let request = self.request();
        let Call::CreateSystem { system, .. } = request.call else {
            panic!("{request:?}");
        };
        self.reply(request.id, &made_system());
        system
    }

    /// Answers the creation of a process with pid 7; its handle.
    pub(crate) fn create_process(&mut self, descriptors: &[OwnedFd]) -> u64 {
        let request = self.request();
        let Call::CreateProcess { process, .. } = request.call else {
            panic!("{request:?}");
        };
        self.reply_with(request.id, &made_process(descriptors.len()), descriptors);
        process
    }
}

pub(crate) fn made_system() -> Reply {
    Reply {
        runtime_id: Some("c0ffee00-0000-4000-8000-000000000001".to_owned()),
        ..Reply::done()
    }
}

/// Pid 7 with so many streams.
pub(crate) fn made_process(streams: usize) -> Reply {
    Reply {
        process: Some(ProcessInformation {
            process_id: 7,
            stdin: streams > 0,
            stdout: streams > 1,
            stderr: streams > 2,
            own_pipes: false,
        }),
        ..Reply::done()
    }
}

pub(crate) fn failed(result: HResult, message: &str) -> Reply {
    Reply {
        result,
        document: Some(hcs::Failure::new(result, message.to_owned()).to_document()),
        ..Reply::done()
    }
}
