//! The guest bridge: `hcsd` to the agent inside a compute system, as HCS speaks it to Linux guests.
//!
//! Header, 16 bytes little endian: type u32, size u32 (header included), id u64. Type is a 4 bit class (1 request,
//! 2 response, 3 notification), 8 bit category (always 0x01, compute system), 12 bit message number, 8 bit version (1).
//! A response has the type and id of its request with class 2. Answers come in any order. Each stream begins with
//! `NegotiateProtocol`.
//!
//! Over vsock stdio is one port per stream ([`VsockStdioRelaySettings`]). Over a unix socket the child's ends of the
//! pipes are sent along with the `ExecuteProcess` request, in the order stdin, stdout, stderr, one for each
//! `CreateStd*Pipe` that is true; the agent says that it takes them by `DescriptorStdioSupported`. With
//! `EmulateConsole` there is no stderr, so none is sent for it (one that comes nevertheless is closed).
//!
//! **Descriptors belong to the message they were sent with**: a message with descriptors has a `sendmsg` of its own
//! ([`crate::socket::send_all`] does it), it is not glued to others in one buffer. So a message that is refused takes
//! its descriptors with it, and the ones of later messages stay where they belong.
//!
//! The agent is not trusted by the host: sizes are bounded here, and `hcsd` uses an answer only for the system it
//! came from.
//!
//! 1. `kind`: message numbers and the type field.
//! 2. `frame`: [`encode`] and [`Decoder`].
//! 3. `base`, `negotiate`, `process`, `system`: the bodies.

mod base;
mod frame;
mod kind;
mod negotiate;
mod process;
mod system;

pub use base::{ErrorRecord, Request, RequestBase, ResponseBase};
pub use frame::{Decoder, Frame, encode, encode_bits};
pub use kind::{MessageType, Rpc};
pub use negotiate::{
    GcsCapabilities, GuestDefinedCapabilities, NegotiateProtocol, NegotiateProtocolResponse,
    SchemaVersion,
};
pub use process::{
    ExecuteProcess, ExecuteProcessResponse, ExecuteProcessSettings, ResizeConsole, SignalOptions,
    SignalProcess, VsockStdioRelaySettings, WaitForProcess, WaitForProcessResponse,
};
pub use system::{
    ContainerNotification, DumpStacksResponse, GetProperties, GetPropertiesResponse, ModifySettings,
};

/// Size of the header.
pub const HEADER_BYTES: usize = 16;
/// Largest message that every guest takes, header included. A host sends a larger one only to an agent that says
/// `LargeMessagesSupported`.
pub const MAX_MESSAGE_BYTES: u32 = 64 << 10;
/// Largest request to an agent that says `LargeMessagesSupported`: a document of the largest size, as a JSON string.
pub const MAX_REQUEST_BYTES: u32 = 8 << 20;
/// Largest response or notification that the host takes from an agent.
pub const MAX_RESPONSE_BYTES: u32 = 4 << 20;
/// The protocol version both sides must share.
pub const PROTOCOL_VERSION: u32 = 4;
/// Container id that means the compute system the agent is the first process of.
pub const NULL_ID: &str = "00000000-0000-0000-0000-000000000000";
/// vsock port a guest dials.
pub const BRIDGE_PORT: u32 = 0x4000_0000;
/// `TimeoutInMs` that means no limit.
pub const NO_TIMEOUT: u32 = u32::MAX;

/// HRESULTs as guests say them: the 0xC037xxxx twins of the codes that hosts say (`HResult::same_error`).
pub mod code {
    use hcs_schema::HResult;

    const fn guest(low: u16) -> HResult {
        HResult((0xC037_0000_u32 | low as u32).cast_signed())
    }

    /// The system cannot do this in the state it is in.
    pub const INVALID_STATE: HResult = guest(0x105);
    /// The process did not exit within the time limit of a `WaitForProcess`.
    pub const TIMEOUT: HResult = guest(0x109);
    /// No protocol version is spoken by both sides.
    pub const UNSUPPORTED_PROTOCOL_VERSION: HResult = guest(0x10C);
    /// A body is not the JSON its message has.
    pub const INVALID_JSON: HResult = guest(0x10D);
    /// No container has this id.
    pub const CONTAINER_NOT_FOUND: HResult = guest(0x10E);
    /// The process has exited.
    pub const PROCESS_ALREADY_STOPPED: HResult = guest(0x11F);
}
