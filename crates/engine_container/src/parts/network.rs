//! The container's network: an isolated namespace with loopback only, or a named one (`ip netns`).

use std::os::fd::{AsFd, OwnedFd};

use hcs_schema::Failure;
use rustix::{
    fs::{Mode, OFlags, open},
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

use crate::{
    failure::{Attempt, StepError},
    sys::loopback,
};

/// JSON pointer of the property.
const POINTER: &str = "/Container/Networking/Namespace";

/// Where `ip netns` keeps its names.
const NAMES: &str = "/run/netns";

/// Opens the namespace that the document names: below `/run/netns`, or by its absolute path. `None` for an isolated
/// one.
///
/// # Errors
/// It cannot be opened.
pub(crate) fn check(name: Option<&str>) -> Result<Option<OwnedFd>, Failure> {
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        return Ok(None);
    };
    let path = if name.starts_with('/') {
        name.to_owned()
    } else {
        format!("{NAMES}/{name}")
    };
    open(
        path.as_str(),
        OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .step_at("opening the network namespace", path)
    .map(Some)
    .map_err(|error| {
        error
            .asked_by(POINTER)
            .into_failure(format!("the network namespace {name:?} cannot be used"))
    })
}

/// Joins `named`, or sets the loopback interface of the namespace that the process was born with up.
pub(crate) fn apply(named: Option<OwnedFd>) -> Result<(), StepError> {
    match named {
        Some(named) => move_into_link_name_space(named.as_fd(), Some(LinkNameSpaceType::Network))
            .step("joining the network namespace")
            .map_err(|error| error.asked_by(POINTER)),
        None => loopback::up().step("setting the loopback interface up"),
    }
}
