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
//! An agent that says `FetchStdioSupported` keeps an `O_PATH` descriptor of each of these pipes while the process
//! lives; that keeps no end of them open, and hands them out by [`Rpc::FetchStdio`]: so a host that was restarted can
//! give the stdio of a process out again.
//!
//! An agent that says `NamedCallsSupported` remembers the result of a client's call by the name of the call
//! ([`Naming`]). It forgets the call when the host says, along with its next request, that the client has its answer. A
//! host that replaces a dead one asks by [`Rpc::RecallCall`] for the result before it does a call (see
//! [`crate::service`]). A new stream replaces the one before it; requests on the old stream that were not taken up are
//! never done. So the agent's answer to that question is final.
//!
//! # Detached processes
//!
//! An agent that says `DetachedProcessesSupported` takes `Detached` in `ProcessParameters`. With such an
//! `ExecuteProcess` come [`KEPT_FILES`] empty files that have no name, open for reading and writing, in place of pipes.
//! The agent keeps in them what the process writes, with times ([`crate::output`]). [`Rpc::ReadOutput`] brings the
//! write end of a pipe, into which the agent writes what it has kept, and on request what comes from then on. No byte
//! of it passes through the host, and the stream goes on without the host. Over vsock no files come, and the agent
//! keeps the output in files of its own.
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
//! 3. `base`, `negotiate`, `process`, `renewal`, `system`: the bodies.
//! 4. `left`: what an agent leaves in a file, for a host that died before it had written down what it heard.

mod base;
mod frame;
mod kind;
mod left;
mod negotiate;
mod process;
mod renewal;
mod system;

pub use base::{AgentRequest, ErrorRecord, GuestTarget, RequestBase, ResponseBase};
pub use frame::{Decoder, Frame, encode, encode_bits};
pub use kind::{MessageType, Rpc};
pub use left::{LeftCall, LeftRecord, MAX_LEFT_BYTES, MAX_LEFT_CALLS, MAX_LEFT_EXITS};
pub use negotiate::{
    GcsCapabilities, GuestDefinedCapabilities, NegotiateProtocol, NegotiateProtocolResponse,
    SchemaVersion,
};
pub use process::{
    ExecuteProcess, ExecuteProcessResponse, ExecuteProcessSettings, ExecuteSteps, FetchStdio,
    FetchStdioResponse, Naming, ReadOutput, ReadOutputResponse, RecallCall, RecallCallResponse,
    ResizeConsole, SignalOptions, SignalProcess, VsockStdioRelaySettings, WaitForProcess,
    WaitForProcessResponse,
};
pub use renewal::{ENTROPY_BYTES, Renew, Renewal};
pub use system::{
    ContainerNotification, DumpStacksResponse, GetProperties, GetPropertiesResponse, GuestCard,
    GuestNetwork, GuestRoute, ModifySettings, ShutDown, UpdateNames,
};

/// Size of the header.
pub const HEADER_BYTES: usize = crate::frame::HEADER_BYTES;
/// Largest message that every guest takes, header included. A host sends a larger one only to an agent that says
/// `LargeMessagesSupported`.
pub const MAX_MESSAGE_BYTES: u32 = 64 << 10;
/// Largest request to an agent that says `LargeMessagesSupported`: a document of the largest size, as a JSON string.
pub const MAX_REQUEST_BYTES: u32 = 8 << 20;
/// Largest response or notification that the host takes from an agent.
pub const MAX_RESPONSE_BYTES: u32 = 4 << 20;
/// The longest name of a call, in bytes.
pub const MAX_NAME_BYTES: usize = 96;
/// The most bytes of names that an agent takes.
pub const MAX_NAMES_BYTES: usize = 16 << 10;
/// How many files come along for the output of a detached process.
pub const KEPT_FILES: usize = 4;
/// The protocol version both sides must share.
pub const PROTOCOL_VERSION: u32 = 4;
/// Container id that means the compute system the agent is the first process of.
pub const NULL_ID: &str = "00000000-0000-0000-0000-000000000000";
/// vsock port a guest dials.
pub const BRIDGE_PORT: u32 = 0x4000_0000;
/// vsock port where the agent of a guest leaves lines of [`LeftRecord`]. The host writes each down before it answers it
/// with one byte, whatever that is. A host of an earlier release refuses the connection.
pub const LEFT_PORT: u32 = 0x4000_0001;
/// The last vsock port that a guest's kernel keeps for programs with `CAP_NET_BIND_SERVICE`, and never gives to a
/// program that has not named it. A guest's agent dials from such a port, all its ports of the host; so a host knows it
/// from other programs of the guest, which may dial as well.
pub const LAST_RESERVED_PORT: u32 = 1023;
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

#[cfg(test)]
mod tests {
    //! Bodies as they were recorded between a host and Microsoft's own Linux guest agent.

    use serde::de::DeserializeOwned;

    use super::*;

    const ACTIVITY: &str = "00000000-0000-0000-0000-000000000000";

    fn read<T: DeserializeOwned>(json: &str) -> T {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn recorded_answers_are_understood() {
        let negotiated: NegotiateProtocolResponse = read(
            r#"{"Result":0,"ActivityId":"00000000-0000-0000-0000-000000000000","Version":4,"Capabilities":{
            "SupportedSchemaVersions":[{"Major":2,"Minor":1}],"RuntimeOsType":"Linux","GuestDefinedCapabilities":{
            "NamespaceAddRequestSupported":true,"SignalProcessSupported":true,"DumpStacksSupported":true,
            "DeleteContainerStateSupported":true}}}"#,
        );
        let capabilities = negotiated.capabilities;
        assert_eq!((negotiated.version, negotiated.base.hresult().0), (4, 0));
        assert!(!capabilities.send_host_create_message && !capabilities.send_host_start_message);
        let own = capabilities.guest_defined_capabilities;
        assert!(own.signal_process_supported && !own.descriptor_stdio_supported);
        let executed: ExecuteProcessResponse = read(
            r#"{"Result":0,"ActivityId":"00000000-0000-0000-0000-000000000000","ProcessId":100}"#,
        );
        assert_eq!(executed.process_id, 100);
        let waited: WaitForProcessResponse = read(
            r#"{"Result":0,"ActivityId":"00000000-0000-0000-0000-000000000000","ExitCode":143}"#,
        );
        assert_eq!(waited.exit_code, 143);
        let refused: WaitForProcessResponse = read(
            r#"{"Result":-1070137079,"ActivityId":"00000000-0000-0000-0000-000000000000","ErrorMessage":
            "HRESULT: 0xc0370109","ErrorRecords":[{"Result":-1070137079,"Message":"HRESULT: 0xc0370109",
            "ModuleName":"gcs","FileName":"","Line":4294967295}]}"#,
        );
        assert_eq!(refused.base.hresult(), code::TIMEOUT);
        assert_eq!(
            refused.base.to_failure().unwrap().message,
            "HRESULT: 0xc0370109"
        );
        let ended: ContainerNotification = read(
            r#"{"ContainerId":"kill0001","ActivityId":"00000000-0000-0000-0000-000000000000","Type":"ForcedExit",
            "Operation":"None","Result":0}"#,
        );
        assert_eq!(ended.notification_type, "ForcedExit");
    }

    #[test]
    fn limits_and_codes_are_those_of_the_protocol() {
        assert_eq!(MAX_MESSAGE_BYTES, 65_536);
        assert_eq!(MAX_REQUEST_BYTES, 8_388_608);
        assert_eq!(MAX_RESPONSE_BYTES, 4_194_304);
        assert_eq!(MAX_NAMES_BYTES, 16_384);
        assert_eq!(code::INVALID_STATE.0.cast_unsigned(), 0xC037_0105);
        assert_eq!(code::PROCESS_ALREADY_STOPPED.0.cast_unsigned(), 0xC037_011F);
    }

    /// Our messages have the very bytes that were recorded.
    #[test]
    fn requests_are_as_recorded() {
        let base = RequestBase {
            container_id: NULL_ID.to_owned(),
            activity_id: ACTIVITY.to_owned(),
        };
        let text = |bytes: Vec<u8>| String::from_utf8(bytes[HEADER_BYTES..].to_vec()).unwrap();
        let negotiate = NegotiateProtocol {
            base: base.clone(),
            minimum_version: 4,
            maximum_version: 4,
            renewal: Renewal::default(),
        };
        let bytes = encode(MessageType::Request(Rpc::NegotiateProtocol), 1, &negotiate).unwrap();
        assert_eq!(
            bytes[..HEADER_BYTES],
            [1, 0x0b, 0x10, 0x10, 0xa0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]
        );
        assert_eq!(
            text(bytes),
            r#"{"ContainerId":"00000000-0000-0000-0000-000000000000","ActivityId":"00000000-0000-0000-0000-000000000000","MinimumVersion":4,"MaximumVersion":4}"#
        );
        let execute = ExecuteProcess {
            base: base.clone(),
            settings: ExecuteProcessSettings {
                process_parameters: r#"{"CommandLine":"/bin/true"}"#.to_owned(),
                vsock_stdio_relay_settings: VsockStdioRelaySettings {
                    std_out: Some(1_073_741_825),
                    ..VsockStdioRelaySettings::default()
                },
            },
            wait_message_id: None,
            naming: Naming::default(),
        };
        assert_eq!(
            text(encode(MessageType::Request(Rpc::ExecuteProcess), 2, &execute).unwrap()),
            r#"{"ContainerId":"00000000-0000-0000-0000-000000000000","ActivityId":"00000000-0000-0000-0000-000000000000","Settings":{"ProcessParameters":"{\"CommandLine\":\"/bin/true\"}","VsockStdioRelaySettings":{"StdOut":1073741825}}}"#
        );
        let signal = SignalProcess {
            base,
            process_id: 107,
            options: Some(SignalOptions {
                signal: 15,
                group: false,
            }),
            naming: Naming::default(),
        };
        assert_eq!(
            text(encode(MessageType::Request(Rpc::SignalProcess), 10, &signal).unwrap()),
            r#"{"ContainerId":"00000000-0000-0000-0000-000000000000","ActivityId":"00000000-0000-0000-0000-000000000000","ProcessId":107,"Options":{"Signal":15}}"#
        );
    }
}
