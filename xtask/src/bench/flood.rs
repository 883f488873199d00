//! A client that has very many calls of one kind on the way, as long as another one is measured. It speaks the protocol
//! itself, so that what the library would do for each answer takes no processor from the other.

use std::{
    collections::VecDeque,
    os::unix::net::UnixStream,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::service::ENDPOINT;
use hcs_wire::{
    log::LogQuery,
    network::{NetworkCall, ObjectKind},
    service::{Call, Decoder, Kind, Reply, VERSION, encode},
    socket,
};

/// Calls that are on the way at one time.
pub(crate) const CALLS: u64 = 10_000;
/// How long they may take to be sent: what the service leaves in the socket cannot be.
const FILLING: Duration = Duration::from_millis(500);

/// The call with this number.
pub(crate) type Make = fn(u64) -> Call;

/// Calls of each kind, on the system that is open under the number 1.
pub(crate) const KINDS: &[(&str, Make)] = &[
    ("events", |_| Call::ReadEvents(LogQuery::default())),
    ("events that are waited for", |_| {
        Call::ReadEvents(LogQuery {
            follow: true,
            system: Some("none".to_owned()),
            ..LogQuery::default()
        })
    }),
    ("time lines", |number| Call::ExplainOperation {
        operation: format!("7-{number}"),
    }),
    ("list of systems", |_| Call::EnumerateSystems {
        query: None,
    }),
    ("properties of the service", |_| {
        Call::GetServiceProperties {
            query: Some(r#"{"PropertyQueries":{"Capabilities":{}}}"#.to_owned()),
        }
    }),
    ("properties of a system", |_| Call::GetSystemProperties {
        system: 1,
        query: Some(r#"{"PropertyTypes":["Statistics","ProcessList"]}"#.to_owned()),
    }),
    ("handles opened and closed", |number| match number % 2 {
        0 => open(number),
        _ => Call::CloseSystem { system: number - 1 },
    }),
    ("systems that are refused", |number| Call::CreateSystem {
        system: number,
        id: "bench-refused".to_owned(),
        document: r#"{"Container":{"Storage":7}}"#.to_owned(),
    }),
    ("processes", |number| Call::CreateProcess {
        system: 1,
        process: number,
        parameters: r#"{"CommandArgs":["/bin/true"]}"#.to_owned(),
        pipes: None,
    }),
    ("processes that are refused", |number| Call::CreateProcess {
        system: 1,
        process: number,
        parameters: "{".to_owned(),
        pipes: None,
    }),
    ("processes that are not there", |number| Call::OpenProcess {
        system: 1,
        process: number,
        process_id: 4711,
        again: false,
    }),
    ("signals on no handle", |_| Call::SignalProcess {
        process: 9,
        options: None,
    }),
    ("modifications", |_| Call::ModifySystem {
        system: 1,
        settings: r#"{"ResourcePath":"Container/Memory/SizeInMB","Settings":512}"#.to_owned(),
    }),
    ("pauses and resumes", |number| match number % 2 {
        0 => Call::PauseSystem {
            system: 1,
            options: None,
        },
        _ => Call::ResumeSystem {
            system: 1,
            options: None,
        },
    }),
    ("saves", |_| Call::SaveSystem {
        system: 1,
        options: None,
    }),
    ("settings of the service", |_| Call::ModifyServiceSettings {
        settings: "{}".to_owned(),
    }),
    ("crash reports", |_| Call::SubmitCrashReport {
        settings: r#"{"SystemId":"bench-flooding"}"#.to_owned(),
    }),
    ("changes of networks", |_| {
        Call::Network(NetworkCall::Delete {
            kind: ObjectKind::Network,
            id: "5f1f0b0e-1a2b-4c3d-8e9f-000000000001".to_owned(),
            only_unused: false,
        })
    }),
    ("lists of networks", |_| {
        Call::Network(NetworkCall::Enumerate {
            kind: ObjectKind::Network,
            query: String::new(),
        })
    }),
    ("cancellations", |_| Call::Cancel { request: 1 }),
];

/// The container that the calls are about.
pub(crate) const FLOODED: &str = "bench-flooding";

fn open(system: u64) -> Call {
    Call::OpenSystem {
        system,
        id: FLOODED.to_owned(),
        runtime_id: None,
    }
}

/// Calls on the way, until this is dropped.
pub(crate) struct Flood {
    stream: UnixStream,
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Flood {
    /// Begins, and returns when [`CALLS`] are on the way, or as many as the service and the socket take.
    ///
    /// # Errors
    /// The service cannot be reached.
    pub(crate) fn begin(make: Make) -> Result<Self, String> {
        let stream = UnixStream::connect(ENDPOINT).map_err(|e| format!("{ENDPOINT}: {e}"))?;
        Self::over(stream, make)
    }

    /// The same against a server that does nothing for the calls: what it costs others is the processor time of the
    /// flooding client and of one busy server, whatever that does.
    ///
    /// # Errors
    /// The host has no sockets left.
    pub(crate) fn elsewhere() -> Result<Self, String> {
        let (stream, served) = UnixStream::pair().map_err(|e| format!("sockets: {e}"))?;
        let mut flood = Self::over(stream, |_| Call::SignalProcess {
            process: 9,
            options: None,
        })?;
        flood.threads.push(thread::spawn(move || {
            answer_all(&served);
        }));
        Ok(flood)
    }

    fn over(stream: UnixStream, make: Make) -> Result<Self, String> {
        let failed = |e: std::io::Error| format!("sockets: {e}");
        let over = Arc::<AtomicBool>::default();
        let (sent, answered) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let writer = Writer {
            stream: stream.try_clone().map_err(failed)?,
            over: Arc::clone(&over),
            sent: Arc::clone(&sent),
            answered: Arc::clone(&answered),
        };
        let received = stream.try_clone().map_err(failed)?;
        let threads = vec![
            thread::spawn(move || writer.write(make)),
            thread::spawn(move || count(&received, &answered)),
        ];
        let began = Instant::now();
        while sent.load(Ordering::Relaxed) < CALLS && began.elapsed() < FILLING {
            thread::sleep(Duration::from_millis(1));
        }
        Ok(Self {
            stream,
            over,
            threads,
        })
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // The service may have ended it already.
        let _ended = self.stream.shutdown(std::net::Shutdown::Both);
        for thread in self.threads.drain(..) {
            // What it has to say it has said.
            let _panicked = thread.join();
        }
    }
}

/// The sending side.
struct Writer {
    stream: UnixStream,
    over: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    answered: Arc<AtomicU64>,
}

impl Writer {
    fn write(&self, make: Make) {
        let hello = Call::Hello {
            minimum: VERSION,
            maximum: VERSION,
            instance: None,
        };
        if !self.send(1, &hello) || !self.send(2, &open(1)) {
            return;
        }
        for number in 1_000.. {
            while self.sent.load(Ordering::Relaxed) > self.answered.load(Ordering::Relaxed) + CALLS
            {
                if self.over.load(Ordering::Relaxed) {
                    return;
                }
                thread::sleep(Duration::from_micros(100));
            }
            if self.over.load(Ordering::Relaxed) || !self.send(number, &make(number)) {
                return;
            }
        }
    }

    fn send(&self, number: u64, call: &Call) -> bool {
        let Ok(bytes) = encode(Kind::Request, number, 0, call) else {
            return false;
        };
        self.sent.fetch_add(1, Ordering::Relaxed);
        socket::send_all(&self.stream, &bytes, &[]).is_ok()
    }
}

/// Answers each request at once, until the connection ends.
fn answer_all(stream: &UnixStream) {
    let (mut decoder, mut buffer) = (Decoder::default(), vec![0; 1 << 16]);
    let mut descriptors = VecDeque::new();
    while let Ok(bytes @ 1..) = socket::receive(stream, &mut buffer, &mut descriptors) {
        decoder.feed(&buffer[..bytes]);
        while let Ok(Some(frame)) = decoder.next_frame() {
            let answer = encode(Kind::Reply, frame.id, 0, &Reply::done());
            let sent = answer.map(|answer| socket::send_all(stream, &answer, &[]));
            if !matches!(sent, Ok(Ok(()))) {
                return;
            }
        }
    }
}

/// Counts answers until the connection ends.
fn count(stream: &UnixStream, answered: &AtomicU64) {
    let (mut decoder, mut buffer) = (Decoder::default(), vec![0; 1 << 16]);
    let mut descriptors = VecDeque::new();
    while let Ok(bytes @ 1..) = socket::receive(stream, &mut buffer, &mut descriptors) {
        decoder.feed(&buffer[..bytes]);
        decoder.descriptors.append(&mut descriptors);
        while let Ok(Some(frame)) = decoder.next_frame() {
            let is_answer = u64::from(frame.kind == Kind::Reply);
            answered.fetch_add(is_answer, Ordering::Relaxed);
        }
    }
}
