//! One request of the service.

use std::{
    os::fd::{AsFd as _, OwnedFd},
    time::Duration,
};

use hcs_wire::peer::Peer;
use rustix::process::geteuid;
use vhost_vsock::Handle;

use super::{disks, switchboard::Switchboard};
use crate::{
    protocol::{self, Answer, Request},
    qmp::{
        Client, QmpError,
        command::{Cont, QueryStatus, Stop, SystemPowerdown},
        message::plain,
    },
};

/// How long the service may take to say what it asks for after it has connected.
const REQUEST_LIMIT: Duration = Duration::from_secs(1);
/// How long QEMU may take for one command.
const COMMAND_LIMIT: Duration = Duration::from_secs(4);

/// Receives a request on a connection, does it and answers. The connection ends with that. Only the user that this
/// process runs as may ask.
pub(super) fn answer(
    connection: &OwnedFd,
    monitor: Option<&mut Client>,
    dialled: &Switchboard,
    vsock: Option<&Handle>,
) {
    let own = geteuid().as_raw();
    if !Peer::of(connection).is_ok_and(|peer| peer.user == own) {
        return;
    }
    let Ok((request, file)) = protocol::receive(connection.as_fd(), REQUEST_LIMIT) else {
        return;
    };
    let (answer, stream) = match (request, monitor) {
        (Request::HasAgent, _) if dialled.has_agent() => (Answer::Done, None),
        (Request::HasAgent, _) => (Answer::NotThere, None),
        (Request::TakeAgent, _) => found(dialled.take_agent()),
        (Request::TakeStdio(port), _) => found(dialled.take_stdio(port)),
        (Request::Fault, _) => (Answer::Fault(fault(vsock)), None),
        (request, Some(monitor)) => {
            let done = act(request, file.as_ref(), monitor);
            (done.unwrap_or_else(|e| Answer::Failed(e.to_string())), None)
        }
        (_, None) => (
            Answer::Failed("QEMU has closed its monitor".to_owned()),
            None,
        ),
    };
    let stream = stream.as_ref().map(|stream| stream.as_fd());
    // A service that is gone asks again, or its successor does. The guest dials again for a stream that is lost.
    let _gone = protocol::send(connection.as_fd(), &answer, stream);
}

/// What went wrong at the device for sockets, last.
pub(super) fn fault(vsock: Option<&Handle>) -> Option<String> {
    vsock?.last_fault().map(|fault| plain(&fault))
}

fn found(stream: Option<OwnedFd>) -> (Answer, Option<OwnedFd>) {
    match stream {
        Some(stream) => (Answer::Done, Some(stream)),
        None => (Answer::NotThere, None),
    }
}

fn act(request: Request, file: Option<&OwnedFd>, monitor: &mut Client) -> Result<Answer, QmpError> {
    match (request, file) {
        (Request::Attach(disk), Some(file)) => {
            return disks::attach(monitor, &disk, file).map(|()| Answer::Done);
        }
        (Request::Detach(place), _) => {
            return disks::detach(monitor, place).map(|()| Answer::Done);
        }
        _ => {}
    }
    let status = monitor.execute(&QueryStatus, COMMAND_LIMIT)?;
    let has_begun = status.status != "prelaunch";
    match request {
        Request::IsPaused => return Ok(Answer::Paused(status.status == "paused")),
        Request::Start if has_begun => {}
        Request::Pause if !status.running => {}
        Request::Resume if status.running => {}
        Request::Start | Request::Resume => drop(monitor.execute(&Cont, COMMAND_LIMIT)?),
        Request::Pause => drop(monitor.execute(&Stop, COMMAND_LIMIT)?),
        Request::PowerDown => drop(monitor.execute(&SystemPowerdown, COMMAND_LIMIT)?),
        // They are not for QEMU, or were done above.
        Request::HasAgent
        | Request::TakeAgent
        | Request::TakeStdio(_)
        | Request::Fault
        | Request::Detach(_) => {}
        Request::Attach(_) => return Ok(Answer::Failed("no file came along".to_owned())),
    }
    Ok(Answer::Done)
}
