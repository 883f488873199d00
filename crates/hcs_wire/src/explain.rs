//! The service's report on one operation.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The time line of one call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct OperationReport {
    /// The operation, as [`OperationId`](crate::operation::OperationId) writes it.
    pub operation: String,
    /// The call, `StartSystem` for example.
    pub call: String,
    /// Id of the compute system it concerns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// User of the client.
    pub user_id: u32,
    /// When the service received it: RFC 3339, UTC.
    pub received: String,
    /// Whether it has been answered.
    pub done: bool,
    /// The steps that were done for it, in order.
    pub steps: Vec<OperationStep>,
    /// The HRESULT it was answered with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// The `ResultError` it was answered with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Value>,
}

/// One line of a time line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct OperationStep {
    /// Microseconds since the call was received. Negative for a step that was done before: the boot of a system may be
    /// over before its start is asked for.
    pub after_microseconds: i64,
    /// The action that was done, or the event that was waited for.
    pub step: String,
}
