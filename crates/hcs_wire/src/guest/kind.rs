//! The type of a message: the type field of its header.

use crate::WireError;

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
    /// Ours: hands out the pipes of a process, for a host that has lost track of them.
    FetchStdio,
    /// Ours: the result of a call, by its name.
    RecallCall,
    /// Ours: the kept output of a detached process, into a pipe.
    ReadOutput,
    /// Ours: fresh random bytes and the time, for a virtual machine.
    Renew,
    /// Ours: the names of the other containers in the networks of this one.
    UpdateNames,
}

impl Rpc {
    /// All of them.
    pub const ALL: [Self; 18] = [
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
        Self::FetchStdio,
        Self::RecallCall,
        Self::ReadOutput,
        Self::Renew,
        Self::UpdateNames,
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
            // Far from the numbers that HCS itself may come to use.
            Self::FetchStdio => 0xf01,
            Self::RecallCall => 0xf02,
            Self::ReadOutput => 0xf03,
            Self::Renew => 0xf04,
            Self::UpdateNames => 0xf05,
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

    /// The header's 32 bits of the response to this request.
    #[must_use]
    pub const fn response_bits(self) -> u32 {
        self.to_bits() & 0x0fff_ffff | 0x2000_0000
    }

    pub(super) fn from_bits(bits: u32) -> Result<Self, WireError> {
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
    fn each_type_is_read_as_it_is_written() {
        for rpc in Rpc::ALL {
            for kind in [MessageType::Request(rpc), MessageType::Response(rpc)] {
                assert_eq!(MessageType::from_bits(kind.to_bits()), Ok(kind));
            }
        }
        let notification = MessageType::Notification;
        assert_eq!(
            MessageType::from_bits(notification.to_bits()),
            Ok(notification)
        );
        // A response that answers nothing, and a request of another category.
        assert!(MessageType::from_bits(0x2010_5501).is_err());
        assert!(MessageType::from_bits(0x1020_0101).is_err());
    }

    #[test]
    fn the_answer_to_an_unknown_request_is_a_response_of_that_number() {
        let unknown = MessageType::UnknownRequest(0x1010_5501);
        assert_eq!(unknown.response_bits(), 0x2010_5501);
        let known = MessageType::Request(Rpc::Start);
        assert_eq!(
            known.response_bits(),
            MessageType::Response(Rpc::Start).to_bits()
        );
    }
}
