//! The service's numbered event log: the queries of a reader, and the pages it gets.
//!
//! Readers pull: a page is asked for from a number on, and a reader that follows asks to be answered when there is
//! something to tell. So a slow reader delays no other client, and a reader that lost its connection goes on from its
//! cursor.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A query of a reader of the event log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogQuery {
    /// The first number wanted; 0 for the oldest event that is kept.
    #[serde(default)]
    pub since: u64,
    /// Most events in one answer; without it as many as the service likes to send at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Where there is nothing to tell yet, the answer waits until there is.
    #[serde(default)]
    pub follow: bool,
    /// Events of this compute system only: its id, or its runtime id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
}

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct LogEntry {
    /// Counts the events of a service, from 1, through its restarts.
    pub number: u64,
    /// When it was written down: RFC 3339, UTC.
    pub time: String,
    /// The kind of event, `ProcessExited` for example. More kinds may come.
    pub kind: String,
    /// Id of the compute system it concerns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// The GUID that tells this system from others with the same id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_id: Option<String>,
    /// Pid inside the compute system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process_id: Option<u32>,
    /// The user whose system, call or crash report it is about; none for what the service does itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<u32>,
    /// The operation it came of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// The document that goes with its kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}

/// Events in the order of their numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct LogPage {
    /// Number of the oldest event that is kept.
    pub first: u64,
    /// The cursor to go on with.
    pub next: u64,
    /// Whether there was more to tell than was sent.
    #[serde(default)]
    pub more: bool,
    /// The events.
    pub events: Vec<LogEntry>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_may_leave_out_what_it_does_not_want() {
        let query: LogQuery = serde_json::from_str("{}").unwrap();
        assert_eq!(query, LogQuery::default());
    }

    #[test]
    fn an_entry_begins_with_its_number() {
        let entry = LogEntry {
            number: 7,
            kind: "ServiceStarted".to_owned(),
            ..LogEntry::default()
        };
        let text = serde_json::to_string(&entry).unwrap();
        assert_eq!(text, r#"{"Number":7,"Time":"","Kind":"ServiceStarted"}"#);
        assert_eq!(serde_json::from_str::<LogEntry>(&text).unwrap(), entry);
    }
}
