//! The protocol between the library and `hcsd`.
//!
//! Every message is a 16 byte header (little endian: size u32 with the header included, kind u16, descriptor count
//! u16, id u64) and one JSON object. A client sends [`Hello`](Call::Hello) first. Requests of one connection are taken
//! up in the order they come and answered in any order; only the id links answer and request.
//!
//! Handles are numbers that the CLIENT chooses (never 0, never reused on one connection). So a call on a handle may be
//! sent before the call that makes it is answered: the service keeps their order.
//!
//! **A call survives the service**, and is done once. Its name is the client's user, the secret [`Hello::instance`]
//! that the client made for itself, and the number of its request. A client whose connection is lost makes another,
//! gives its instance again and opens its handles again. Then it repeats the unanswered calls, in the order in which
//! they were made and before any new one: the same message under the same number, as a [`Kind::Repeat`].
//!
//! - An answer that reached the client's socket counts as given. A unix socket keeps its data when the writer dies, and
//!   the client reads that data before it sees the end of the connection. So nothing has to be acknowledged.
//! - The service answers a repeat with the result of the call, where that is known: the call goes on in this service,
//!   or was answered to a connection that was gone, or the agent of the system knows its name ([`crate::guest`]).
//!   Otherwise the call was never begun, and is begun now.
//! - The pipes of a process are made by its client, which sends the ends of the process along
//!   ([`Call::CreateProcess`]) and keeps both ends until the answer is there. So a service that dies takes no byte with
//!   it, and a process does not see its reader go.
//! - It may be unknown whether a call was begun: the client took longer to come back than `reconnect_seconds`, or the
//!   agent is older than this. Or more calls than there was room for had no answer that reached their clients, so that
//!   some had to be forgotten. Then a repeat ends with `HCS_E_SERVICE_DISCONNECT` and is not begun.
//! - A service that does not say `Repeats` in its greeting is older than this. No call is repeated to it, and a call
//!   that was first sent to it is never repeated.
//!
//! [`Hello::instance`]: Call::Hello::instance

use std::{collections::VecDeque, os::fd::OwnedFd};

use hcs_schema::{HResult, Stdio};
use serde::{Deserialize, Serialize};

use crate::{
    WireError,
    frame::{self, Layout, Stream},
    log::LogQuery,
    network::NetworkCall,
    output::OutputQuery,
};

/// Version of this protocol; the service answers older clients it still understands.
pub const VERSION: u32 = 1;
/// Size of the header.
pub const HEADER_BYTES: usize = frame::HEADER_BYTES;
/// Largest message, header included. A document of the largest size the schema room accepts fits, escaped.
pub const MAX_MESSAGE_BYTES: u32 = 16 << 20;

/// The kind of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Client to service; body [`Call`].
    Request,
    /// Service to client; body [`Reply`], same id as the request.
    Reply,
    /// Service to client; body [`Event`], id counts the events of the connection.
    Event,
    /// Client to service: a [`Kind::Request`] that an earlier connection of the same client may have brought.
    Repeat,
}

impl Kind {
    const fn number(self) -> u16 {
        match self {
            Self::Request => 1,
            Self::Reply => 2,
            Self::Event => 3,
            Self::Repeat => 4,
        }
    }
}

/// A call of the API, as the client sends it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "snake_case")]
#[expect(
    missing_docs,
    reason = "the fields are the parameters of the HCS function each variant names"
)]
pub enum Call {
    /// First message of a connection: versions the client speaks.
    Hello {
        minimum: u32,
        maximum: u32,
        /// Tells this client from every other of its user, before and after it. Secret, and the same on each
        /// connection.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        instance: Option<String>,
    },
    /// `HcsCreateComputeSystem`: `system` is the handle to be.
    CreateSystem {
        system: u64,
        id: String,
        document: String,
    },
    /// `HcsOpenComputeSystem`. `runtime_id`, when given, must match: a reconnecting client opens the very system it
    /// had.
    OpenSystem {
        system: u64,
        id: String,
        #[serde(default)]
        runtime_id: Option<String>,
    },
    /// `HcsCloseComputeSystem`.
    CloseSystem { system: u64 },
    /// `HcsStartComputeSystem`.
    StartSystem {
        system: u64,
        #[serde(default)]
        options: Option<String>,
    },
    /// `HcsShutDownComputeSystem`.
    ShutDownSystem {
        system: u64,
        #[serde(default)]
        options: Option<String>,
    },
    /// `HcsTerminateComputeSystem`.
    TerminateSystem {
        system: u64,
        #[serde(default)]
        options: Option<String>,
    },
    /// `HcsPauseComputeSystem`.
    PauseSystem {
        system: u64,
        #[serde(default)]
        options: Option<String>,
    },
    /// `HcsResumeComputeSystem`.
    ResumeSystem {
        system: u64,
        #[serde(default)]
        options: Option<String>,
    },
    /// `HcsSaveComputeSystem`.
    SaveSystem {
        system: u64,
        #[serde(default)]
        options: Option<String>,
    },
    /// `HcsCrashComputeSystem`.
    CrashSystem {
        system: u64,
        #[serde(default)]
        options: Option<String>,
    },
    /// `HcsModifyComputeSystem`.
    ModifySystem { system: u64, settings: String },
    /// `HcsGetComputeSystemProperties`.
    GetSystemProperties {
        system: u64,
        #[serde(default)]
        query: Option<String>,
    },
    /// `HcsEnumerateComputeSystems`.
    EnumerateSystems {
        #[serde(default)]
        query: Option<String>,
    },
    /// `HcsCreateProcess`: `process` is the handle to be.
    CreateProcess {
        system: u64,
        process: u64,
        parameters: String,
        /// The ends for the process of pipes that the client made, which come along as descriptors.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pipes: Option<Stdio<bool>>,
    },
    /// `HcsOpenProcess`.
    OpenProcess {
        system: u64,
        process: u64,
        process_id: u32,
        /// For a handle that was there before the connection was lost: it hears how the process ended even if others
        /// have been told since.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        again: bool,
    },
    /// Ours: the agent of the system writes the kept output of a detached process into the pipe that comes along; it
    /// reads its standard input from another if the query attaches ([`crate::output`]); answered with the pid of the
    /// process. A service that does not know the property `Detached` does not know this.
    ReadOutput {
        system: u64,
        query: OutputQuery,
        /// The ends for the agent of pipes that the client made, which come along as descriptors.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pipes: Option<Stdio<bool>>,
    },
    /// `HcsCloseProcess`.
    CloseProcess { process: u64 },
    /// `HcsTerminateProcess`.
    TerminateProcess {
        process: u64,
        #[serde(default)]
        options: Option<String>,
    },
    /// `HcsSignalProcess`.
    SignalProcess {
        process: u64,
        #[serde(default)]
        options: Option<String>,
    },
    /// `HcsGetProcessInfo`.
    GetProcessInfo { process: u64 },
    /// `HcsGetProcessProperties`.
    GetProcessProperties {
        process: u64,
        #[serde(default)]
        query: Option<String>,
    },
    /// `HcsModifyProcess`.
    ModifyProcess { process: u64, settings: String },
    /// `HcsGetServiceProperties`.
    GetServiceProperties {
        #[serde(default)]
        query: Option<String>,
    },
    /// `HcsModifyServiceSettings`.
    ModifyServiceSettings { settings: String },
    /// `HcsSubmitWerReport`.
    SubmitCrashReport { settings: String },
    /// Ours: the user and group that stand for the virtual machine `id` in access control lists, whether it is there or
    /// not; answered with an [`Identity`](crate::access::Identity).
    GetVmIdentity { id: String },
    /// A function of `ComputeNetwork.h`.
    Network(NetworkCall),
    /// Ours: reads the numbered event log; answered with a [`LogPage`](crate::log::LogPage).
    ReadEvents(LogQuery),
    /// Ours: the time line of one operation.
    ExplainOperation { operation: String },
    /// Ours: the service is to leave, as it does when idle: systems go on, and the next call starts another service.
    /// Never repeated, as the next service is not meant. A service that does not know the property `Service` does not
    /// know this.
    StopService,
    /// Ours: the service is to read its configuration again; answered with the settings that have changed (`Changed`),
    /// and those that only the next service has (`NotChanged`). A service whose property `Service` has no `ReloadedAt`
    /// does not know this.
    ReloadService,
    /// Ours: the request with this id on the same connection is to be done within this time from now on; else it is
    /// cancelled, and ends with `HCS_E_OPERATION_TIMEOUT`.
    Limit { request: u64, milliseconds: u64 },
    /// `HcsCancelOperation`: cancels the request with this id on the same connection.
    Cancel { request: u64 },
}

impl Call {
    /// Whether a client repeats this call when it was not answered before the connection was lost. The end of the
    /// connection closes handles, and a message about another request is sent anew with that request.
    #[must_use]
    pub const fn survives(&self) -> bool {
        !matches!(
            self,
            Self::Hello { .. }
                | Self::CloseSystem { .. }
                | Self::CloseProcess { .. }
                | Self::Limit { .. }
                | Self::Cancel { .. }
                | Self::StopService
        )
    }
}

impl Call {
    /// Whether the call changes something, so that it must not be made twice. (For the creation of a process, its agent
    /// knows the result.)
    #[must_use]
    pub const fn has_effect(&self) -> bool {
        if let Self::Network(call) = self {
            return call.has_effect();
        }
        matches!(
            self,
            Self::CreateSystem { .. }
                | Self::StartSystem { .. }
                | Self::ShutDownSystem { .. }
                | Self::TerminateSystem { .. }
                | Self::PauseSystem { .. }
                | Self::ResumeSystem { .. }
                | Self::ModifySystem { .. }
                | Self::TerminateProcess { .. }
                | Self::SignalProcess { .. }
                | Self::ModifyProcess { .. }
                | Self::ModifyServiceSettings { .. }
                | Self::SubmitCrashReport { .. }
                | Self::ReadOutput { .. }
        )
    }
}

/// The answer to a [`Call`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// The result of the operation.
    pub result: HResult,
    /// The result document, or a `ResultError` when `result` is a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<String>,
    /// For `CreateSystem` and `OpenSystem`: the GUID that tells this system from a later one with the same id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_id: Option<String>,
    /// For `CreateProcess`, `OpenProcess` and `GetProcessInfo`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<ProcessInformation>,
}

impl Reply {
    /// Success without a document.
    #[must_use]
    pub const fn done() -> Self {
        Self {
            result: HResult::S_OK,
            document: None,
            runtime_id: None,
            process: None,
        }
    }
}

/// Pid and stdio of a process. The descriptors come with the message, in the order stdin, stdout, stderr, one for each
/// flag that is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessInformation {
    /// Pid inside the compute system.
    pub process_id: u32,
    /// A descriptor for stdin comes along.
    #[serde(default)]
    pub stdin: bool,
    /// A descriptor for stdout comes along.
    #[serde(default)]
    pub stdout: bool,
    /// A descriptor for stderr comes along.
    #[serde(default)]
    pub stderr: bool,
    /// The process has the pipes that came with the call, so no descriptors come along.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub own_pipes: bool,
}

impl ProcessInformation {
    /// Which descriptors come along.
    #[must_use]
    pub const fn streams(&self) -> Stdio<bool> {
        Stdio {
            stdin: self.stdin,
            stdout: self.stdout,
            stderr: self.stderr,
        }
    }
}

/// The subject of a message of kind `Event`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// The client's handle of a compute system.
    System(u64),
    /// The client's handle of a process.
    Process(u64),
    /// The service itself.
    Service,
}

/// Something that happened to a handle's system or process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The subject of the event.
    pub subject: Subject,
    /// `HCS_EVENT_TYPE`.
    pub event_type: u32,
    /// The document that goes with the type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
}

/// A whole message as it came, its body not yet parsed.
#[derive(Debug)]
pub struct Frame {
    /// The kind of message.
    pub kind: Kind,
    /// Request id, or the event's number.
    pub id: u64,
    /// JSON.
    pub body: Vec<u8>,
    /// The descriptors that came along.
    pub descriptors: Vec<OwnedFd>,
}

impl Frame {
    /// Parses the body.
    ///
    /// # Errors
    /// [`WireError::Body`] when it is not the JSON of a `T`.
    pub fn parse<T: for<'de> Deserialize<'de>>(&self, name: &'static str) -> Result<T, WireError> {
        serde_json::from_slice(&self.body).map_err(|e| WireError::Body {
            kind: name,
            reason: e.to_string(),
        })
    }
}

/// The bytes of a message; the caller sends `descriptors` descriptors along with the first of them.
///
/// # Errors
/// [`WireError::Size`] when the message is larger than [`MAX_MESSAGE_BYTES`].
pub fn encode<T: Serialize>(
    kind: Kind,
    id: u64,
    descriptors: u16,
    body: &T,
) -> Result<Vec<u8>, WireError> {
    let [k0, k1] = kind.number().to_le_bytes();
    let [d0, d1] = descriptors.to_le_bytes();
    let own = [k0, k1, d0, d1];
    frame::encode(Layout::SizeFirst, own, id, body, MAX_MESSAGE_BYTES)
}

/// Cuts a stream of bytes and descriptors into frames. Pure: the owner of the socket feeds it.
#[derive(Debug)]
pub struct Decoder {
    stream: Stream,
    /// Descriptors received and not yet given to a frame; [`crate::socket::receive`] appends here.
    pub descriptors: VecDeque<OwnedFd>,
    /// How many of these stand before each place at which some were lost.
    cuts: VecDeque<usize>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self {
            stream: Stream::new(Layout::SizeFirst),
            descriptors: VecDeque::new(),
            cuts: VecDeque::new(),
        }
    }
}

impl Decoder {
    /// Some of the descriptors were lost that came last ([`crate::socket::Received::cut`]). The frame that they came
    /// with is given out with those that are there: the descriptors of a frame come with its first byte, and nothing is
    /// received beyond them at one time. So the frame is the one that announces more than are left before that place.
    pub fn note_cut(&mut self) {
        self.cuts.push_back(self.descriptors.len());
    }

    /// How many descriptors a frame gets that announces so many.
    fn share(&mut self, announced: usize) -> Result<usize, WireError> {
        let received = self.descriptors.len();
        let count = match self.cuts.front() {
            Some(&left) if announced > left => {
                self.cuts.pop_front();
                left
            }
            _ if announced > received => {
                return Err(WireError::Descriptors {
                    announced,
                    received,
                });
            }
            _ => announced,
        };
        for left in &mut self.cuts {
            *left -= count;
        }
        Ok(count)
    }

    /// Appends received bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.stream.feed(bytes);
    }

    /// How many bytes there are that were not part of a whole frame yet.
    #[must_use]
    pub const fn rest(&self) -> usize {
        self.stream.waiting()
    }

    /// How long the next frame says it is, header included, where its header is there.
    #[must_use]
    pub fn announced(&self) -> Option<usize> {
        self.stream.announced()
    }

    /// The next whole frame, if there is one.
    ///
    /// # Errors
    /// After an error the stream is out of step and must be closed.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, WireError> {
        let Some(header) = self.stream.header(MAX_MESSAGE_BYTES)? else {
            return Ok(None);
        };
        let [k0, k1, d0, d1] = header.kind;
        let kind = match u16::from_le_bytes([k0, k1]) {
            1 => Kind::Request,
            2 => Kind::Reply,
            3 => Kind::Event,
            4 => Kind::Repeat,
            other => return Err(WireError::Kind { kind: other.into() }),
        };
        if !self.stream.holds(header) {
            return Ok(None);
        }
        let announced = usize::from(u16::from_le_bytes([d0, d1]));
        let announced = self.share(announced)?;
        let id = header.id;
        Ok(self.stream.take(header).map(|body| Frame {
            kind,
            id,
            body,
            descriptors: self.descriptors.drain(..announced).collect(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_any_cut() {
        let call = Call::OpenProcess {
            system: 1,
            process: 2,
            process_id: 3,
            again: false,
        };
        let mut stream = encode(Kind::Request, 7, 0, &call).unwrap();
        stream.extend(encode(Kind::Reply, 8, 0, &Reply::done()).unwrap());
        for cut in 0..stream.len() {
            let mut decoder = Decoder::default();
            let mut frames = Vec::new();
            for part in [&stream[..cut], &stream[cut..]] {
                decoder.feed(part);
                while let Some(frame) = decoder.next_frame().unwrap() {
                    frames.push(frame);
                    assert!(frames.len() <= 2, "cut at {cut}");
                }
            }
            assert_eq!(frames.len(), 2, "cut at {cut}");
            assert_eq!(frames[0].parse::<Call>("request").unwrap(), call);
            assert_eq!((frames[1].kind, frames[1].id), (Kind::Reply, 8));
        }
    }

    #[test]
    fn what_has_come_of_the_next_frame_is_known() {
        assert_eq!(MAX_MESSAGE_BYTES, 16_777_216);
        let message = encode(Kind::Repeat, 7, 0, &Reply::done()).unwrap();
        let mut decoder = Decoder::default();
        for (at, byte) in message.iter().enumerate() {
            assert_eq!(decoder.rest(), at);
            assert!(decoder.next_frame().unwrap().is_none());
            decoder.feed(std::slice::from_ref(byte));
        }
        assert_eq!(decoder.announced(), Some(message.len()));
        assert_eq!(decoder.next_frame().unwrap().unwrap().kind, Kind::Repeat);
        assert_eq!((decoder.rest(), decoder.announced()), (0, None));
    }

    #[test]
    fn a_frame_takes_the_descriptors_that_it_announced() {
        let descriptor = || OwnedFd::from(tempfile::tempfile().unwrap());
        for (there, taken) in [(0, None), (1, None), (2, Some(0)), (3, Some(1))] {
            let mut decoder = Decoder::default();
            decoder.descriptors.extend((0..there).map(|_| descriptor()));
            decoder.feed(&encode(Kind::Reply, 1, 2, &Reply::done()).unwrap());
            let found = decoder.next_frame();
            let Some(left) = taken else {
                let expected = WireError::Descriptors {
                    announced: 2,
                    received: there,
                };
                assert_eq!(found.unwrap_err(), expected);
                continue;
            };
            assert_eq!(found.unwrap().unwrap().descriptors.len(), 2);
            assert_eq!(decoder.descriptors.len(), left);
        }
    }

    #[test]
    fn descriptors_that_were_lost_are_missing_from_their_own_frames_alone() {
        let mut decoder = Decoder::default();
        // How many descriptors a frame announces, and how many of them arrive.
        let frames = [
            (0, 0),
            (1, 1),
            (2, 0),
            (1, 1),
            (3, 1),
            (1, 1),
            (2, 0),
            (2, 2),
        ];
        for (announced, arrive) in frames {
            let files = (0..arrive).map(|_| OwnedFd::from(tempfile::tempfile().unwrap()));
            decoder.descriptors.extend(files);
            if arrive < announced {
                decoder.note_cut();
            }
            let announced = u16::try_from(announced).unwrap();
            decoder.feed(&encode(Kind::Reply, 1, announced, &Reply::done()).unwrap());
        }
        for (announced, arrive) in frames {
            let frame = decoder.next_frame().unwrap().unwrap();
            assert_eq!(frame.descriptors.len(), arrive, "of {announced}");
        }
        assert!(decoder.cuts.is_empty() && decoder.descriptors.is_empty());
    }

    #[test]
    fn calls_are_repeated_unless_they_belong_to_their_connection() {
        let options = None;
        let calls = [
            (Call::CloseSystem { system: 1 }, false, false),
            (Call::CloseProcess { process: 1 }, false, false),
            (Call::Cancel { request: 1 }, false, false),
            (Call::StopService, false, false),
            (Call::ReloadService, true, false),
            (Call::GetProcessInfo { process: 1 }, true, false),
            (Call::EnumerateSystems { query: None }, true, false),
            (Call::StartSystem { system: 1, options }, true, true),
        ];
        for (call, survives, effect) in calls {
            assert_eq!(
                (call.survives(), call.has_effect()),
                (survives, effect),
                "{call:?}"
            );
        }
        let (kind, id) = (crate::network::ObjectKind::Network, String::new());
        let open = Call::Network(NetworkCall::Open {
            kind,
            id: id.clone(),
        });
        assert!(open.survives() && !open.has_effect());
        let delete = NetworkCall::Delete {
            kind,
            id,
            only_unused: true,
        };
        assert!(Call::Network(delete).has_effect());
    }

    #[test]
    fn descriptors_are_of_the_streams_that_they_are_named_after() {
        for one in 0..3 {
            let information = ProcessInformation {
                stdin: one == 0,
                stdout: one == 1,
                stderr: one == 2,
                ..ProcessInformation::default()
            };
            let streams = information.streams();
            assert_eq!(
                [streams.stdin, streams.stdout, streams.stderr],
                [0, 1, 2].map(|n| n == one)
            );
        }
    }

    #[test]
    fn impossible_headers_are_refused() {
        let mut decoder = Decoder::default();
        decoder.feed(&[0xff; 16]);
        assert_eq!(decoder.announced(), Some(u32::MAX as usize));
        assert!(matches!(decoder.next_frame(), Err(WireError::Size { .. })));
        let mut header = encode(Kind::Event, 1, 0, &()).unwrap();
        header[4] = 9;
        let mut decoder = Decoder::default();
        decoder.feed(&header);
        assert!(matches!(
            decoder.next_frame(),
            Err(WireError::Kind { kind: 9 })
        ));
    }
}
