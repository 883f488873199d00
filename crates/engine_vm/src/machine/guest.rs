//! The way to the agent in a guest: streams that the guest has dialled and that its worker keeps.

use std::{
    os::fd::OwnedFd,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use hcs_engine::engine::StdioOffer;
use hcs_schema::{Failure, HResult, Stdio};
use rustix::rand::{GetRandomFlags, getrandom};

use super::control::Control;
use crate::protocol::{STDIO_PORTS, WorkerAnswer, WorkerRequest};

/// How often a worker is asked whether the agent has dialled.
const LOOK: Duration = Duration::from_millis(10);

/// Numbers of ports for standard streams. They begin anywhere, so that two services after one another, of which the
/// first was killed, hardly name the same to one guest.
#[derive(Debug)]
pub(super) struct Ports(AtomicU32);

impl Ports {
    /// Begins.
    pub(super) fn new() -> Self {
        let mut bytes = [0; 4];
        // Without random numbers it begins at the first.
        let _none = getrandom(&mut bytes, GetRandomFlags::NONBLOCK);
        Self(AtomicU32::new(u32::from_le_bytes(bytes)))
    }

    fn next(&self) -> u32 {
        let count = STDIO_PORTS.end() - STDIO_PORTS.start() + 1;
        STDIO_PORTS.start() + self.0.fetch_add(1, Ordering::Relaxed) % count
    }
}

/// Waits until the agent has dialled, at most for `limit`; takes its stream with `take`. `is_gone` says that the
/// machine has ended.
pub(super) fn agent(
    control: &Control,
    take: bool,
    limit: Duration,
    is_gone: impl Fn() -> bool,
) -> Result<Option<OwnedFd>, Failure> {
    let request = if take {
        WorkerRequest::TakeAgent
    } else {
        WorkerRequest::HasAgent
    };
    let deadline = Instant::now() + limit;
    loop {
        match control.ask_for(&request) {
            Ok((WorkerAnswer::Done, stream)) => return Ok(stream),
            Ok(_) => {}
            Err(_) if is_gone() => {
                let message = "the virtual machine ended before its agent was ready";
                return Err(Failure::new(
                    HResult::HCS_E_TERMINATED_DURING_START,
                    message,
                ));
            }
            Err(failure) => return Err(failure),
        }
        if Instant::now() >= deadline {
            return Err(undialled(control));
        }
        std::thread::sleep(LOOK);
    }
}

/// The agent has not dialled in time.
fn undialled(control: &Control) -> Failure {
    let message = "the guest agent has not dialled its host; does the guest have one (hcs-guest), and the driver of vsock?";
    let failure = Failure::new(HResult::HCS_E_CONNECTION_TIMEOUT, message);
    match control.ask(&WorkerRequest::Fault) {
        Ok(WorkerAnswer::Fault(Some(fault))) => failure.cause(fault),
        _ => failure,
    }
}

/// Standard streams that the guest is to dial.
#[derive(Debug)]
pub(super) struct VsockStdio {
    control: Arc<Control>,
    ports: Stdio<Option<u32>>,
}

impl VsockStdio {
    pub(super) fn offer(control: &Arc<Control>, ports: &Ports, wanted: Stdio<bool>) -> Self {
        Self {
            control: Arc::clone(control),
            ports: wanted.map(|wanted| wanted.then(|| ports.next())),
        }
    }
}

impl StdioOffer for VsockStdio {
    fn take_guest_ends(&mut self) -> Vec<OwnedFd> {
        Vec::new()
    }

    fn ports(&self) -> Option<Stdio<Option<u32>>> {
        Some(self.ports)
    }

    fn into_host_ends(self: Box<Self>, limit: Duration) -> Result<Stdio<Option<OwnedFd>>, Failure> {
        let deadline = Instant::now() + limit;
        self.ports.try_map(|port| {
            port.map(|port| stream(&self.control, port, deadline))
                .transpose()
        })
    }
}

/// The stream that the guest has dialled to `port`. Its agent dials before it answers, so there is hardly any waiting.
fn stream(control: &Control, port: u32, deadline: Instant) -> Result<OwnedFd, Failure> {
    loop {
        if let (WorkerAnswer::Done, Some(stream)) =
            control.ask_for(&WorkerRequest::TakeStdio(port))?
        {
            return Ok(stream);
        }
        if Instant::now() >= deadline {
            let message = "the guest has not dialled the ports of its process's standard streams";
            return Err(Failure::new(HResult::HCS_E_CONNECTION_TIMEOUT, message));
        }
        std::thread::sleep(LOOK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_in_range_and_differ() {
        let ports = Ports(AtomicU32::new(u32::MAX - 1));
        let named: Vec<u32> = (0..4).map(|_| ports.next()).collect();
        assert!(
            named.iter().all(|port| STDIO_PORTS.contains(port)),
            "{named:?}"
        );
        assert!(
            named[0] + 1 == named[1] && named[2] + 1 == named[3],
            "{named:?}"
        );
    }
}
