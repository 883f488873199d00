//! `GetProperties`: the list of processes.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hcs_schema::{
    Failure, HResult,
    documents::{ProcessDetails, Properties},
    timestamp::rfc3339,
};
use hcs_wire::guest::{GetProperties, GetPropertiesResponse, code};
use serde_json::Value;

use super::{Answer, Call};
use crate::{
    agent::{Agent, Process},
    link::Link,
    own::Own,
    proc_files,
};

impl<L: Link> Agent<L> {
    pub(super) fn get_properties(&self, call: &Call, request: &GetProperties) -> Answer {
        let mut properties = Properties::default();
        for name in wanted(&request.query)? {
            if name != "ProcessList" {
                let message = format!("the guest has no property {name:?}; it has \"ProcessList\"");
                return Err(Failure::new(HResult::NOT_SUPPORTED, message));
            }
            let list = self.processes.iter();
            properties.process_list = Some(
                list.map(|(pid, process)| details(&self.facts.own, *pid, process))
                    .collect(),
            );
        }
        let properties = serde_json::to_string(&properties).map_err(|error| {
            Failure::new(
                HResult::E_UNEXPECTED,
                format!("the properties cannot be written: {error}"),
            )
        })?;
        call.answer(&GetPropertiesResponse {
            base: call.base(),
            properties,
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

fn details(own: &Own, pid: u32, process: &Process) -> ProcessDetails {
    // A process that has just ended is listed until it is reaped, with nothing used.
    let usage = proc_files::usage(own, pid).unwrap_or_default();
    ProcessDetails {
        process_id: Some(pid),
        image_name: Some(process.image.clone()),
        create_timestamp: Some(rfc3339(since_1970(process.started))),
        user_time100ns: Some(usage.user_100ns),
        kernel_time100ns: Some(usage.kernel_100ns),
        memory_commit_bytes: Some(usage.commit_bytes),
        memory_working_set_private_bytes: Some(usage.private_bytes),
        memory_working_set_shared_bytes: Some(usage.shared_bytes),
    }
}

fn since_1970(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}
