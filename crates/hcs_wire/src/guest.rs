//! The guest bridge: `hcsd` to the agent inside a compute system, as HCS speaks it to Linux guests.
//!
//! Header, 16 bytes little endian: type u32, size u32 (header included), id u64. Type is a 4 bit class (1 request,
//! 2 response, 3 notification), 8 bit category (always 0x01, compute system), 12 bit message number, 8 bit version (1).
//! A response has the type and id of its request with class 2. Answers come in any order.
//!
//! Over vsock stdio is one port per stream ([`VsockStdioRelaySettings`]). Over a unix socket the child's ends of the
//! pipes are sent along with the `ExecuteProcess` request, in the order stdin, stdout, stderr, one for each
//! `CreateStd*Pipe` that is true; the agent says that it wants this by `DescriptorStdioSupported`.
//!
//! The agent is not trusted by the host: sizes are bounded here, and `hcsd` uses an answer only for the system it
//! came from.

use std::collections::VecDeque;

use hcs_schema::HResult;
use serde::{Deserialize, Serialize};

use crate::WireError;

/// Size of the header.
pub const HEADER_BYTES: usize = 16;
/// Largest message, header included.
pub const MAX_MESSAGE_BYTES: u32 = 64 << 10;
/// The protocol version both sides must share.
pub const PROTOCOL_VERSION: u32 = 4;
/// Container id that means the compute system the agent is the first process of.
pub const NULL_ID: &str = "00000000-0000-0000-0000-000000000000";
/// vsock port a guest dials.
pub const BRIDGE_PORT: u32 = 0x4000_0000;
/// `TimeoutInMs` that means no limit.
pub const NO_TIMEOUT: u32 = u32::MAX;

/// Message numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rpc {
    /// A container of a hosting guest is made.
    Create,
    /// The system may run processes from now on.
    Start,
    /// SIGTERM to everything.
    ShutdownGraceful,
    /// SIGKILL to everything.
    ShutdownForced,
    /// Starts a process.
    ExecuteProcess,
    /// Answered when a process has exited.
    WaitForProcess,
    /// Sends a signal.
    SignalProcess,
    /// Sets the size of a console.
    ResizeConsole,
    /// Reads properties.
    GetProperties,
    /// Changes settings.
    ModifySettings,
    /// First message of a stream.
    NegotiateProtocol,
    /// Stacks of the agent, for diagnosis.
    DumpStacks,
    /// Forgets a container of a hosting guest.
    DeleteContainerState,
}

impl Rpc {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Create,
        Self::Start,
        Self::ShutdownGraceful,
        Self::ShutdownForced,
        Self::ExecuteProcess,
        Self::WaitForProcess,
        Self::SignalProcess,
        Self::ResizeConsole,
        Self::GetProperties,
        Self::ModifySettings,
        Self::NegotiateProtocol,
        Self::DumpStacks,
        Self::DeleteContainerState,
    ];

    /// The 12 bit message number.
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::Create => 1,
            Self::Start => 2,
            Self::ShutdownGraceful => 3,
            Self::ShutdownForced => 4,
            Self::ExecuteProcess => 5,
            Self::WaitForProcess => 6,
            Self::SignalProcess => 7,
            Self::ResizeConsole => 8,
            Self::GetProperties => 9,
            Self::ModifySettings => 10,
            Self::NegotiateProtocol => 11,
            Self::DumpStacks => 12,
            Self::DeleteContainerState => 13,
        }
    }

    fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|rpc| rpc.number() == number)
    }
}

/// The type field of a header, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageType {
    /// Host to guest.
    Request(Rpc),
    /// Guest to host.
    Response(Rpc),
    /// Guest to host, unasked: the notification of a container's end.
    Notification,
    /// A well-formed request number we do not have: answered `E_NOTIMPL` with the class changed to response.
    UnknownRequest(u32),
}

const REQUEST: u32 = 0x1010_0001;
const RESPONSE: u32 = 0x2010_0001;
/// The one notification, message number 1.
const NOTIFICATION: u32 = 0x3010_0101;

impl MessageType {
    /// The header's 32 bits.
    #[must_use]
    pub const fn to_bits(self) -> u32 {
        match self {
            Self::Request(rpc) => REQUEST | rpc.number() << 8,
            Self::Response(rpc) => RESPONSE | rpc.number() << 8,
            Self::Notification => NOTIFICATION,
            Self::UnknownRequest(bits) => bits,
        }
    }

    fn from_bits(bits: u32) -> Result<Self, WireError> {
        let number = bits >> 8 & 0xfff;
        match (bits & 0xfff0_00ff, Rpc::from_number(number)) {
            (REQUEST, Some(rpc)) => Ok(Self::Request(rpc)),
            (REQUEST, None) => Ok(Self::UnknownRequest(bits)),
            (RESPONSE, Some(rpc)) => Ok(Self::Response(rpc)),
            _ if bits == NOTIFICATION => Ok(Self::Notification),
            _ => Err(WireError::Kind { kind: bits }),
        }
    }
}

/// A whole message, its body not yet parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub kind: MessageType,
    /// Links a response to its request; 0 for notifications.
    pub id: u64,
    /// JSON.
    pub body: Vec<u8>,
}

/// The bytes of a message.
///
/// # Errors
/// [`WireError::Size`] when the message is larger than [`MAX_MESSAGE_BYTES`].
pub fn encode<T: Serialize>(kind: MessageType, id: u64, body: &T) -> Result<Vec<u8>, WireError> {
    encode_bits(kind.to_bits(), id, body)
}

/// [`encode`] with the type field as bits: for the answer to a request of unknown number.
///
/// # Errors
/// As [`encode`].
pub fn encode_bits<T: Serialize>(bits: u32, id: u64, body: &T) -> Result<Vec<u8>, WireError> {
    let mut bytes = vec![0; HEADER_BYTES];
    serde_json::to_writer(&mut bytes, body).map_err(|e| WireError::Body {
        kind: "outgoing",
        reason: e.to_string(),
    })?;
    let size = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    check_size(size)?;
    bytes[0..4].copy_from_slice(&bits.to_le_bytes());
    bytes[4..8].copy_from_slice(&size.to_le_bytes());
    bytes[8..16].copy_from_slice(&id.to_le_bytes());
    Ok(bytes)
}

fn check_size(size: u32) -> Result<(), WireError> {
    let minimum = 16;
    if size < minimum || size > MAX_MESSAGE_BYTES {
        return Err(WireError::Size {
            size,
            minimum,
            maximum: MAX_MESSAGE_BYTES,
        });
    }
    Ok(())
}

/// Cuts a stream into frames. Pure; holds at most one message more than it was fed.
#[derive(Debug, Default)]
pub struct Decoder {
    bytes: VecDeque<u8>,
}

impl Decoder {
    /// Appends received bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
    }

    /// The next whole frame, if there is one.
    ///
    /// # Errors
    /// After an error the stream is out of step and must be closed.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, WireError> {
        let rest = self.bytes.make_contiguous();
        let Some(header) = rest.first_chunk::<HEADER_BYTES>() else {
            return Ok(None);
        };
        let [t0, t1, t2, t3, s0, s1, s2, s3, id @ ..] = *header;
        let size = u32::from_le_bytes([s0, s1, s2, s3]);
        check_size(size)?;
        let kind = MessageType::from_bits(u32::from_le_bytes([t0, t1, t2, t3]))?;
        let size = size as usize;
        if rest.len() < size {
            return Ok(None);
        }
        let body = rest[HEADER_BYTES..size].to_vec();
        self.bytes.drain(..size);
        Ok(Some(Frame {
            kind,
            id: u64::from_le_bytes(id),
            body,
        }))
    }
}

/// What every request begins with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RequestBase {
    /// Which container; [`NULL_ID`] means the system itself.
    pub container_id: String,
    /// GUID of the operation this belongs to; echoed in the answer.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub activity_id: String,
}

/// What every response begins with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ResponseBase {
    /// HRESULT of the request.
    pub result: i32,
    /// Echo of the request's.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub activity_id: String,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub error_message: String,
    /// Why it failed, in parts: the message first, then its causes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub error_records: Vec<ErrorRecord>,
}

impl ResponseBase {
    /// The code as an [`HResult`].
    #[must_use]
    pub const fn hresult(&self) -> HResult {
        HResult(self.result)
    }
}

/// One part of an error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ErrorRecord {
    /// HRESULT.
    #[serde(default)]
    pub result: i32,
    /// Sentence.
    #[serde(default)]
    pub message: String,
    /// The agent's name, "gcs" for Microsoft's.
    #[serde(default)]
    pub module_name: String,
}

/// `NegotiateProtocol` request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct NegotiateProtocol {
    /// Base.
    #[serde(flatten)]
    pub base: RequestBase,
    /// Oldest version the host speaks.
    pub minimum_version: u32,
    /// Newest version the host speaks.
    pub maximum_version: u32,
}

/// `NegotiateProtocol` response.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct NegotiateProtocolResponse {
    /// Base.
    #[serde(flatten)]
    pub base: ResponseBase,
    /// Version chosen.
    #[serde(default)]
    pub version: u32,
    /// What the guest can do.
    #[serde(default)]
    pub capabilities: GcsCapabilities,
}

/// What the guest can do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GcsCapabilities {
    /// The host must send `Create` for the system itself.
    #[serde(default)]
    pub send_host_create_message: bool,
    /// The host must send `Start` for the system itself.
    #[serde(default)]
    pub send_host_start_message: bool,
    /// "Linux".
    #[serde(default)]
    pub runtime_os_type: String,
    /// More of it.
    #[serde(default)]
    pub guest_defined_capabilities: GuestDefinedCapabilities,
}

/// Capabilities named by the guest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[expect(clippy::struct_excessive_bools, reason = "a list of flags by nature")]
pub struct GuestDefinedCapabilities {
    /// `SignalProcess` works.
    pub signal_process_supported: bool,
    /// `DumpStacks` works.
    pub dump_stacks_supported: bool,
    /// `DeleteContainerState` works.
    pub delete_container_state_supported: bool,
    /// Ours: stdio comes as descriptors with the request.
    pub descriptor_stdio_supported: bool,
    /// Ours: `ExecuteProcess` may carry `WaitMessageId`.
    pub execute_and_wait_supported: bool,
    /// Ours: `SignalProcess`, `ResizeConsole`, `GetProperties` take [`NULL_ID`]; `CloseStdin` works.
    pub system_process_calls_supported: bool,
}

/// `ExecuteProcess` request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ExecuteProcess {
    /// Base.
    #[serde(flatten)]
    pub base: RequestBase,
    /// What to run.
    pub settings: ExecuteProcessSettings,
    /// Ours: answer this id as a `WaitForProcess` without limit would be, when the process has exited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_message_id: Option<u64>,
}

/// What to run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ExecuteProcessSettings {
    /// A `ProcessParameters` document as a string.
    pub process_parameters: String,
    /// Ports for stdio, over vsock.
    #[serde(default)]
    pub vsock_stdio_relay_settings: VsockStdioRelaySettings,
}

/// Which port the guest dials for which stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct VsockStdioRelaySettings {
    /// Standard input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub std_in: Option<u32>,
    /// Standard output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub std_out: Option<u32>,
    /// Standard error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub std_err: Option<u32>,
}

/// `ExecuteProcess` response.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ExecuteProcessResponse {
    /// Base.
    #[serde(flatten)]
    pub base: ResponseBase,
    /// Pid inside the system.
    #[serde(default)]
    pub process_id: u32,
}

/// `WaitForProcess` request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct WaitForProcess {
    /// Base.
    #[serde(flatten)]
    pub base: RequestBase,
    /// Pid inside the system.
    pub process_id: u32,
    /// Milliseconds; [`NO_TIMEOUT`] for none.
    pub timeout_in_ms: u32,
}

/// `WaitForProcess` response.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct WaitForProcessResponse {
    /// Base.
    #[serde(flatten)]
    pub base: ResponseBase,
    /// Exit code; 128 + N for death by signal N.
    #[serde(default)]
    pub exit_code: u32,
}

/// `SignalProcess` request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SignalProcess {
    /// Base.
    #[serde(flatten)]
    pub base: RequestBase,
    /// Pid inside the system.
    pub process_id: u32,
    /// `{"Signal": N}`; absent or 0 means SIGKILL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<SignalOptions>,
}

/// Which signal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SignalOptions {
    /// Linux number.
    #[serde(default)]
    pub signal: i32,
}

/// `ResizeConsole` request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ResizeConsole {
    /// Base.
    #[serde(flatten)]
    pub base: RequestBase,
    /// Pid inside the system.
    pub process_id: u32,
    /// Rows.
    pub height: u16,
    /// Columns.
    pub width: u16,
}

/// `GetProperties` request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetProperties {
    /// Base.
    #[serde(flatten)]
    pub base: RequestBase,
    /// A property query document as a string.
    #[serde(default)]
    pub query: String,
}

/// `GetProperties` response.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetPropertiesResponse {
    /// Base.
    #[serde(flatten)]
    pub base: ResponseBase,
    /// A `Properties` document as a string.
    #[serde(default)]
    pub properties: String,
}

/// `ModifySettings` request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ModifySettings {
    /// Base.
    #[serde(flatten)]
    pub base: RequestBase,
    /// A `ModifySettingRequest` of the guest.
    pub request: serde_json::Value,
}

/// The notification of a container's end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ContainerNotification {
    /// Base.
    #[serde(flatten)]
    pub base: RequestBase,
    /// `GracefulExit`, `ForcedExit`, `UnexpectedExit`.
    #[serde(rename = "Type")]
    pub notification_type: String,
    /// "None".
    #[serde(default)]
    pub operation: String,
    /// HRESULT.
    #[serde(default)]
    pub result: i32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_those_of_the_recorded_bridge() {
        let bits = |kind: MessageType| kind.to_bits();
        assert_eq!(
            bits(MessageType::Request(Rpc::NegotiateProtocol)),
            0x1010_0b01
        );
        assert_eq!(
            bits(MessageType::Response(Rpc::ExecuteProcess)),
            0x2010_0501
        );
        assert_eq!(bits(MessageType::Notification), 0x3010_0101);
        assert_eq!(
            MessageType::from_bits(0x1010_5501),
            Ok(MessageType::UnknownRequest(0x1010_5501))
        );
        assert!(MessageType::from_bits(0x4010_0101).is_err());
    }

    #[test]
    fn frames_survive_any_cut() {
        let body = WaitForProcess {
            process_id: 5,
            timeout_in_ms: NO_TIMEOUT,
            ..WaitForProcess::default()
        };
        let stream = encode(MessageType::Request(Rpc::WaitForProcess), 3, &body).unwrap();
        for cut in 0..stream.len() {
            let mut decoder = Decoder::default();
            decoder.feed(&stream[..cut]);
            assert_eq!(decoder.next_frame().unwrap(), None);
            decoder.feed(&stream[cut..]);
            let frame = decoder.next_frame().unwrap().unwrap();
            assert_eq!(
                serde_json::from_slice::<WaitForProcess>(&frame.body).unwrap(),
                body
            );
        }
    }

    #[test]
    fn sizes_are_bounded() {
        for size in [0_u32, 15, MAX_MESSAGE_BYTES + 1, u32::MAX] {
            let mut header = [0; 16];
            header[0..4].copy_from_slice(&0x1010_0b01_u32.to_le_bytes());
            header[4..8].copy_from_slice(&size.to_le_bytes());
            let mut decoder = Decoder::default();
            decoder.feed(&header);
            assert!(
                matches!(decoder.next_frame(), Err(WireError::Size { .. })),
                "size {size}"
            );
        }
    }
}
