//! `GetProperties`: the list of processes.

use std::time::{SystemTime, UNIX_EPOCH};

use hcs_schema::{Failure, HResult};
use hcs_wire::guest::{GetProperties, GetPropertiesResponse, code};
use serde_json::{Value, json};

use super::{Answer, Call};
use crate::{
    agent::{Agent, Process},
    link::Link,
    proc_files::{self, Usage},
    timestamp,
};

impl<L: Link> Agent<L> {
    pub(super) fn get_properties(&self, call: &Call, request: &GetProperties) -> Answer {
        let mut properties = json!({});
        for name in wanted(&request.query)? {
            if name != "ProcessList" {
                let message = format!("the guest has no property {name:?}; it has \"ProcessList\"");
                return Err(Failure::new(HResult::NOT_SUPPORTED, message));
            }
            let list = self
                .processes
                .iter()
                .map(|(pid, process)| details(*pid, process));
            properties["ProcessList"] = list.collect();
        }
        call.answer(&GetPropertiesResponse {
            base: call.base(),
            properties: properties.to_string(),
        })
    }
}

/// The property names in a query document.
fn wanted(query: &str) -> Result<Vec<String>, Failure> {
    let invalid = |reason: String| {
        Failure::new(
            code::INVALID_JSON,
            format!("the property query is not valid: {reason}"),
        )
    };
    if query.is_empty() {
        return Ok(Vec::new());
    }
    let query: Value = serde_json::from_str(query).map_err(|error| invalid(error.to_string()))?;
    match query.get("PropertyTypes") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(types) => serde_json::from_value(types.clone())
            .map_err(|error| invalid(format!("PropertyTypes: {error}"))),
    }
}

/// A `ProcessDetails` document.
fn details(pid: u32, process: &Process) -> Value {
    let usage = proc_files::usage(pid).unwrap_or_default();
    let Usage {
        user_100ns,
        kernel_100ns,
        commit_bytes,
        private_bytes,
        shared_bytes,
    } = usage;
    json!({
        "ProcessId": pid,
        "ImageName": process.image,
        "CreateTimestamp": timestamp::rfc3339(since_1970(process.started)),
        "UserTime100ns": user_100ns,
        "KernelTime100ns": kernel_100ns,
        "MemoryCommitBytes": commit_bytes,
        "MemoryWorkingSetPrivateBytes": private_bytes,
        "MemoryWorkingSetSharedBytes": shared_bytes,
    })
}

fn since_1970(time: SystemTime) -> std::time::Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}
