//! Messages about one process.

use serde::{Deserialize, Serialize};

use super::{RequestBase, ResponseBase};

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
    /// Ours: what was done for it, and when. Also of a request that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<ExecuteSteps>,
}

/// What an agent has done for an `ExecuteProcess` request: for each step how many microseconds before its answer. A step
/// that was not reached is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ExecuteSteps {
    /// The request was taken up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun: Option<u32>,
    /// The user was looked up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identified: Option<u32>,
    /// What to run, and where, was decided.
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
