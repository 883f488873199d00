//! Messages about one process.

use hcs_schema::Stdio;
use serde::{Deserialize, Serialize};

use super::{RequestBase, ResponseBase};
use crate::output::OutputQuery;

/// `ExecuteProcess` request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ExecuteProcess {
    /// Base.
    #[serde(flatten)]
    pub base: RequestBase,
    /// The program to run.
    pub settings: ExecuteProcessSettings,
    /// Ours: answer this id as a `WaitForProcess` without limit would be, when the process has exited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_message_id: Option<u64>,
    /// Ours: the call this is done for.
    #[serde(flatten)]
    pub naming: Naming,
}

/// Ours: the fields about calls of the host's clients, in a request to an agent that says `NamedCallsSupported`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Naming {
    /// The name of the call this is done for, at most [`super::MAX_NAME_BYTES`]; empty when no service will ask for it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub call_name: String,
    /// Calls whose answers have reached their clients: no service will ask for them any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub released: Vec<String>,
}

/// `RecallCall` request, ours.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RecallCall {
    /// Base.
    #[serde(flatten)]
    pub base: RequestBase,
    /// The call to ask for; empty asks for none.
    #[serde(default)]
    pub call_name: String,
    /// Forget the calls that came with earlier streams: no service will ask for them any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub release_earlier: bool,
}

/// `RecallCall` response.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RecallCallResponse {
    /// Base.
    #[serde(flatten)]
    pub base: ResponseBase,
    /// The call was done.
    #[serde(default)]
    pub known: bool,
    /// Calls were forgotten that had not been released; so one that is not known may have been done all the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forgetful: bool,
    /// The process that the call made; 0 when it made none.
    #[serde(default)]
    pub process_id: u32,
    /// That process has exited, with this code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<u32>,
}

/// The program to run.
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

impl From<Stdio<Option<u32>>> for VsockStdioRelaySettings {
    fn from(ports: Stdio<Option<u32>>) -> Self {
        Self {
            std_in: ports.stdin,
            std_out: ports.stdout,
            std_err: ports.stderr,
        }
    }
}

impl VsockStdioRelaySettings {
    /// The ports.
    #[must_use]
    pub const fn ports(&self) -> Stdio<Option<u32>> {
        Stdio {
            stdin: self.std_in,
            stdout: self.std_out,
            stderr: self.std_err,
        }
    }

    /// Whether it names no port.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.std_in.is_none() && self.std_out.is_none() && self.std_err.is_none()
    }
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
    /// Ours: the steps done for it, and their times. Also for a request that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<ExecuteSteps>,
}

/// The steps of an agent for an `ExecuteProcess` request: each in microseconds before its answer. A step that was not
/// reached is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ExecuteSteps {
    /// The request was taken up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun: Option<u32>,
    /// The user was looked up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identified: Option<u32>,
    /// The program and its directory were decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided: Option<u32>,
    /// Its standard streams, or its console, were ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connected: Option<u32>,
    /// The new process ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloned: Option<u32>,
    /// It had its session, its streams and its user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub became: Option<u32>,
    /// It had entered its working directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entered: Option<u32>,
    /// It had become the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executed: Option<u32>,
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
    /// Milliseconds; [`super::NO_TIMEOUT`] for none.
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
    /// Ours: the call this is done for. A call that was done already is not done again.
    #[serde(flatten)]
    pub naming: Naming,
}

/// Which signal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SignalOptions {
    /// Linux number.
    #[serde(default)]
    pub signal: i32,
    /// Ours: to the group of the process, and to its session where it kills. An agent that does not know it sends to
    /// the process alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub group: bool,
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
    /// Ours: the call this is done for. A call that was done already is not done again.
    #[serde(flatten)]
    pub naming: Naming,
}

/// `FetchStdio` request, ours: for an agent that says `FetchStdioSupported`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct FetchStdio {
    /// Base.
    #[serde(flatten)]
    pub base: RequestBase,
    /// Pid inside the system.
    pub process_id: u32,
}

/// `FetchStdio` response. The pipes that were given for the process come along as descriptors opened with `O_PATH`, one
/// for each stream that is true, in the order stdin, stdout, stderr.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct FetchStdioResponse {
    /// Base.
    #[serde(flatten)]
    pub base: ResponseBase,
    /// Standard input is among them.
    #[serde(default)]
    pub std_in: bool,
    /// Standard output is.
    #[serde(default)]
    pub std_out: bool,
    /// Standard error is.
    #[serde(default)]
    pub std_err: bool,
}

impl FetchStdioResponse {
    /// Which pipes come along.
    #[must_use]
    pub const fn streams(&self) -> Stdio<bool> {
        Stdio {
            stdin: self.std_in,
            stdout: self.std_out,
            stderr: self.std_err,
        }
    }
}

/// `ReadOutput` request, ours: for an agent that says `DetachedProcessesSupported`. The write end of a pipe comes
/// along, and before it the read end of another if the query attaches. Over vsock the agent dials ports in their place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ReadOutput {
    /// Base.
    #[serde(flatten)]
    pub base: RequestBase,
    /// The part of the output that is wanted.
    #[serde(flatten)]
    pub query: OutputQuery,
    /// The ports of the two streams, over vsock: `StdOut` for the output, `StdIn` for what an attached reader sends.
    #[serde(default, skip_serializing_if = "VsockStdioRelaySettings::is_empty")]
    pub vsock_stdio_relay_settings: VsockStdioRelaySettings,
    /// The call this is done for. A call that was done already is not done again.
    #[serde(flatten)]
    pub naming: Naming,
}

/// `ReadOutput` response.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ReadOutputResponse {
    /// Base.
    #[serde(flatten)]
    pub base: ResponseBase,
    /// Pid of the process, inside the system; it may have exited.
    #[serde(default)]
    pub process_id: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_of_the_streams_that_they_are_named_after() {
        let ports = Stdio {
            stdin: Some(1),
            stdout: None,
            stderr: Some(3),
        };
        let settings = VsockStdioRelaySettings::from(ports);
        assert_eq!(
            (settings.std_in, settings.std_out, settings.std_err),
            (Some(1), None, Some(3))
        );
        assert_eq!(settings.ports(), ports);
    }

    #[test]
    fn one_port_is_enough_not_to_be_empty() {
        assert!(VsockStdioRelaySettings::default().is_empty());
        for one in 0..3 {
            let port = |n| (n == one).then_some(7);
            let settings = VsockStdioRelaySettings {
                std_in: port(0),
                std_out: port(1),
                std_err: port(2),
            };
            assert!(!settings.is_empty(), "{one}");
        }
    }

    #[test]
    fn pipes_are_of_the_streams_that_they_are_named_after() {
        for one in 0..3 {
            let response = FetchStdioResponse {
                std_in: one == 0,
                std_out: one == 1,
                std_err: one == 2,
                ..FetchStdioResponse::default()
            };
            let streams = response.streams();
            assert_eq!(
                [streams.stdin, streams.stdout, streams.stderr],
                [0, 1, 2].map(|n| n == one)
            );
        }
    }
}
