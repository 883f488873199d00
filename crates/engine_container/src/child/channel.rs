//! The channel between the service and one child: the specification goes there, one report comes back.
//!
//! A stream socket. The service sends JSON with the descriptors that belong to it on the first byte and shuts its
//! direction; the child answers with one JSON document and closes. An early end of either direction means that the
//! other side has died.

use std::{
    collections::VecDeque,
    os::fd::{BorrowedFd, OwnedFd},
};

use rustix::{
    io::Errno,
    net::{SendFlags, Shutdown, send},
};
use serde::{Deserialize, Serialize};

use super::spec::LaunchSpec;
use crate::failure::{Attempt, StepError};

/// How a child's way to its agent ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Report {
    /// The agent can be connected to.
    Ready,
    /// A step failed, and the child has ended.
    Failed(StepError),
}

/// The specification with its descriptors.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) spec: LaunchSpec,
    /// The agent's socket, bound and not yet listening.
    pub(crate) listener: OwnedFd,
    /// The named network namespace to join.
    pub(crate) network: Option<OwnedFd>,
}

/// The child's side: waits for the specification.
pub(crate) fn receive_spec(channel: BorrowedFd<'_>) -> Result<Received, StepError> {
    let step = "reading the specification";
    let mut text = Vec::with_capacity(4096);
    let mut descriptors = VecDeque::new();
    loop {
        let mut buffer = [0; 4096];
        match hcs_wire::socket::receive(channel, &mut buffer, &mut descriptors).step(step)? {
            0 => break,
            read => text.extend_from_slice(&buffer[..read]),
        }
    }
    let spec = serde_json::from_slice(&text).map_err(|_| StepError::new(step, Errno::BADMSG))?;
    let listener = descriptors.pop_front();
    Ok(Received {
        spec,
        listener: listener.ok_or_else(|| StepError::new(step, Errno::BADF))?,
        network: descriptors.pop_front(),
    })
}

/// The service's side: sends the specification. Blocks only for one larger than the socket's buffer, while the child
/// reads.
pub(crate) fn send_spec(
    channel: BorrowedFd<'_>,
    spec: &LaunchSpec,
    descriptors: &[BorrowedFd<'_>],
) -> Result<(), StepError> {
    let step = "sending the specification";
    let text = serde_json::to_vec(spec).map_err(|_| StepError::new(step, Errno::INVAL))?;
    hcs_wire::socket::send_all(channel, &text, descriptors).step(step)?;
    rustix::net::shutdown(channel, Shutdown::Write).step(step)
}

/// The child's side: reports. A service that is gone will look at the socket instead, so nothing is lost.
pub(crate) fn report(channel: BorrowedFd<'_>, report: &Report) {
    if let Ok(text) = serde_json::to_vec(report) {
        let _service_is_gone = send(channel, &text, SendFlags::NOSIGNAL);
    }
}

/// The service's side: what the child said before it closed the channel; `None` when it said nothing.
///
/// Blocks until the child closes.
pub(crate) fn parse_report(text: &[u8]) -> Option<Report> {
    serde_json::from_slice(text).ok()
}
