//! Changes to a running container.

use hcs_schema::{
    Failure, HResult,
    documents::{ContainerMemory, ContainerProcessor},
};
use serde_json::Value;

use crate::{
    cgroup::{
        ControlGroups,
        limits::{self, CpuLimits},
    },
    plan,
};

/// Applies a `ModifySettingRequest`.
///
/// # Errors
/// The resource or the kind of change is not supported, the value does not fit, or the kernel refused it.
pub(super) fn apply(groups: &ControlGroups, request: &Value) -> Result<(), Failure> {
    let resource = request["ResourcePath"].as_str().unwrap_or_default();
    let kind = request["RequestType"].as_str().unwrap_or("Update");
    let settings = &request["Settings"];
    let update = || match kind {
        "Update" => Ok(()),
        other => Err(refuse(
            "/RequestType",
            format!("{other:?} of {resource} is not supported, only \"Update\""),
        )),
    };
    match resource {
        "Container/Memory/SizeInMB" => {
            update()?;
            groups.limit_memory(Some(memory(settings)?))
        }
        "Container/Processor" => {
            update()?;
            groups.limit_cpu(processor(settings)?)
        }
        _ => Err(refuse(
            "/ResourcePath",
            format!("{resource:?} of a Linux container cannot be modified"),
        )),
    }
}

fn refuse(pointer: &str, message: String) -> Failure {
    Failure::new(HResult::NOT_SUPPORTED, message.clone()).cause_at(pointer, message)
}

fn memory(settings: &Value) -> Result<u64, Failure> {
    let document = ContainerMemory {
        size_in_mb: settings.as_u64(),
    };
    limits::memory(Some(&document))
        .map_err(in_settings)?
        .ok_or_else(|| {
            let message = format!("{settings} is not a size in megabytes");
            Failure::new(HResult::HCS_E_INVALID_JSON, message.clone())
                .cause_at("/Settings", message)
        })
}

fn processor(settings: &Value) -> Result<CpuLimits, Failure> {
    let document: ContainerProcessor =
        hcs_schema::parse(&settings.to_string()).map_err(in_settings)?;
    limits::processor(Some(&document), plan::processors()).map_err(in_settings)
}

/// The pointers of a failure are those of the document a container is made from; here the value stands elsewhere.
fn in_settings(mut failure: Failure) -> Failure {
    for cause in &mut failure.causes {
        cause.pointer = Some("/Settings".to_owned());
    }
    failure
}
